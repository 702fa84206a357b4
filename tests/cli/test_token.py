"""``lrsearch token``, beside the database and over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lrsearch.cli.moments import moment as moment_of
from lrsearch.errors import InvalidInput
from lrsearch.launch import Listener
from lrsearch.service import Service

Cli = Callable[..., object]


def test_a_first_token_beside_the_database_then_others_over_http(cli: Cli, service: Service) -> None:
    assert "no tokens yet" in cli("token", "list").out
    made = cli("token", "create", "--name", "root", "--scope", "admin")
    root = made.out.strip()
    assert root.startswith("lrs_")
    assert "Shown this once" in made.err
    with Listener(service, port=0) as listener:
        far = ("--server", listener.url)
        assert cli("list", *far).code == 6
        assert cli("list", *far, "--token", root).code == 0
        alice = cli(
            *("token", "create", "--name", "alice", "--scope", "write", "--scope", "worker", "--expires", "30d"),
            *(*far, "--token", root, "--json"),
        )
        alice = json.loads(alice.out)
        assert alice["scopes"] == ["write", "worker"]
        refused = cli("token", "list", *far, "--token", alice["token"])
        assert refused.code == 6
        assert "`admin`" in refused.err
        listed = cli("token", "list", *far, "--token", root).out
        assert "alice" in listed
        assert alice["token"] not in listed
        assert cli("token", "revoke", alice["id"], *far, "--token", root).code == 0
        assert cli("list", *far, "--token", alice["token"]).code == 6
        assert cli("token", "revoke", "0" * 12, *far, "--token", root).code == 3
        rows = {it["name"]: it for it in json.loads(cli("token", "list", "--json").out)["items"]}
        assert rows["alice"]["revoked_at"] is not None
        assert rows["root"]["revoked_at"] is None


@pytest.mark.parametrize(
    "wrong",
    [
        ("--name", "Capitals", "--scope", "read"),
        ("--name", "a", "--scope", "everything"),
        ("--name", "a"),
        ("--name", "a", "--scope", "read", "--expires", "soon"),
        ("--name", "a", "--scope", "read", "--expires", "2020-01-01"),
    ],
)
def test_what_makes_no_token(cli: Cli, service: Service, wrong: tuple[str, ...]) -> None:
    assert cli("token", "create", *wrong).code == 2
    assert service.tokens().items == ()


def test_lengths_and_moments() -> None:
    def moment(text: str) -> datetime:
        return moment_of(text, "--expires")

    assert timedelta(days=29.9) < moment("30d") - datetime.now(UTC) <= timedelta(days=30)
    ago = datetime.now(UTC) - moment_of("30d", "--since", past=True)
    assert timedelta(days=29.9) < ago < timedelta(days=30.1)
    assert moment("4w") - moment("12h") > timedelta(days=27)
    assert moment("2027-01-31T10:00:00+02:00") == datetime(2027, 1, 31, 8, tzinfo=UTC)
    assert moment("2027-01-31") == datetime(2027, 1, 31, tzinfo=UTC)
    for wrong in ("", "0d", "-3d", "3y", "999999w", "30 d"):
        with pytest.raises(InvalidInput, match="--expires"):
            moment(wrong)


def test_who_changed_what(cli: Cli, service: Service, small: Path) -> None:
    assert "no such changes" in cli("audit").out
    root = cli("token", "create", "--name", "root", "--scope", "admin").out.strip()
    bob = cli("token", "create", "--name", "bob", "--scope", "write").out.strip()
    with Listener(service, port=0) as listener:
        far = ("--server", listener.url, "--token")
        assert cli("submit", str(small), *far, bob).code == 0
        assert cli("pause", "small", *far, bob).code == 0
        assert cli("cancel", "small", *far, root).code == 0
        refused = cli("audit", *far, bob)
        assert refused.code == 6
        assert "`admin`" in refused.err

        def changes(*only: str) -> list[tuple[str, str, str]]:
            there, here = (json.loads(cli("audit", "--json", *only, *where).out) for where in ((*far, root), ()))
            assert there == here
            return [(it["name"], it["verb"], it["resource"]) for it in here["items"]]

        by_bob = [("bob", "pause", "studies/small"), ("bob", "create", "studies/small")]
        made = [("local", "create", f"tokens/{secret.split('_')[1]}") for secret in (bob, root)]
        assert changes() == [("root", "cancel", "studies/small"), *by_bob, *made]
        assert changes("--name", "bob") == by_bob
        assert changes("--resource", "tokens") == made
        assert changes("--resource", "studies/small", "--since", "1h") == changes("--resource", "studies")
        assert changes("--since", "2099-01-01") == []
        table = cli("audit", "--name", "bob", "--limit", "1").out
        assert "127.0.0.1" in table
        assert "more than 1" in table
    assert cli("audit", "--since", "soon").code == 2
