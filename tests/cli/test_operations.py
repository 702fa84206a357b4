"""What whoever runs the service does with it: databases copied and put back, studies written for other tools."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from lrsearch.launch import Listener
from lrsearch.service import Service
from lrsearch.store import Store

Cli = Callable[..., Any]


@pytest.fixture
def trained(cli: Cli, small: Path) -> None:
    assert cli("run", str(small)).code == 0


@pytest.fixture(params=["database", "http"])
def where(request: pytest.FixtureRequest, trained: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands work beside the database, or over HTTP."""
    if request.param == "database":
        yield
        return
    with Listener(request.getfixturevalue("service"), port=0) as listener:
        monkeypatch.setenv("LRSEARCH_SERVER", listener.url)
        monkeypatch.setenv("LRSEARCH_DATABASE_URL", "sqlite:////nowhere/at/all.db")
        yield


@pytest.mark.usefixtures("where")
def test_a_study_is_exported_to_an_optuna_storage(cli: Cli, tmp_path: Path) -> None:
    answer = cli("export", "small", "--to", f"optuna:sqlite:///{tmp_path / 'o.db'}")
    assert answer.code == 0
    assert "3 trials" in answer.out
    found = optuna.load_study(study_name="small", storage=f"sqlite:///{tmp_path / 'o.db'}")
    assert len(found.trials) == 3
    best = cli("best", "small", "--json")
    assert f'"trial": {found.best_trial.number}' in best.out
    assert all(len(trial.intermediate_values) == 4 for trial in found.trials)
    assert cli("export", "small", "--to", f"optuna:sqlite:///{tmp_path / 'o.db'}").code == 4
    assert cli("export", "small", "--to", f"optuna:journal:{tmp_path / 'o.log'}").code == 0


@pytest.mark.usefixtures("where")
def test_a_study_is_exported_as_csv(cli: Cli, tmp_path: Path) -> None:
    assert cli("export", "small", "--to", f"csv:{tmp_path / 't.csv'}").out.startswith("3 trials")
    with (tmp_path / "t.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["number"] for row in rows] == ["0", "1", "2"]
    assert cli("export", "small", "--to", f"csv:{tmp_path / 'none' / 't.csv'}").code == 2


@pytest.mark.parametrize("to", ["nonsense", "optuna:", "csv", "pickle:x", "optuna:what://x"])
def test_what_cannot_be_written_to_is_said(cli: Cli, trained: None, to: str) -> None:
    answer = cli("export", "small", "--to", to)
    assert answer.code == 2
    assert "optuna" in answer.err.lower()


def test_a_database_is_backed_up_and_restored(cli: Cli, trained: None, tmp_path: Path) -> None:
    file = str(tmp_path / "backup.db")
    assert cli("db", "backup", file).out.startswith(f"Backed up to {file}")
    assert cli("db", "backup", file).code == 4
    assert cli("db", "backup", file, "--force").code == 0
    assert cli("delete", "small").code == 0
    assert cli("db", "restore", file).code == 4
    assert cli("db", "restore", file, "--force").out == f"Restored from {file}.\n"
    assert cli("status", "small").code == 0
    assert cli("db", "restore", str(tmp_path / "none")).code == 2


def test_followed_studies_end_as_they_end(cli: Cli, trained: None) -> None:
    answer = cli("status", "small", "--follow")
    assert answer.code == 0
    assert "small: 3 of 3 trials (completed)" in answer.err


def test_a_study_is_followed_while_it_is_trained(cli: Cli, server: str, service: Service, small: Path) -> None:
    from threading import Thread

    from lrsearch.in_process import finish
    from lrsearch.spec_file import read_study

    service.create(read_study(str(small)))
    cli("status", "small", "--server", server)  # the first request builds the routes, with warnings held back
    thread = Thread(target=finish, args=(service, "small"))
    thread.start()
    answer = cli("status", "small", "--follow")
    thread.join()
    assert answer.code == 0
    assert "3 of 3 trials (completed)" in answer.err


def test_postgres_is_migrated_by_its_people_alone(cli: Cli, postgres_url: str, small: Path) -> None:
    answer = cli("run", str(small), "--database", postgres_url)
    assert answer.code == 5
    assert "has no tables yet" in answer.err
    assert "lrsearch db migrate" in answer.err
    assert "newest version, " in cli("db", "migrate", "--database", postgres_url).out
    assert cli("run", str(small), "--database", postgres_url).code == 0


def test_a_service_on_an_unmigrated_postgres_says_so_until_it_is(postgres_url: str) -> None:
    import httpx

    store = Store(postgres_url)
    with Listener(Service(store), port=0) as listener:
        for path in ("/readyz", "/v1/studies"):
            answer = httpx.get(listener.url + path)
            assert answer.status_code == 503
            assert "lrsearch db migrate" in answer.json()["detail"]
            assert int(answer.headers["retry-after"]) > 0
        assert httpx.get(f"{listener.url}/livez").status_code == 200
        store.migrate()
        assert httpx.get(f"{listener.url}/readyz").status_code == 200
        assert httpx.get(f"{listener.url}/v1/studies").status_code == 200
    store.close()
