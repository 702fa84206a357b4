"""The command line in this process, with everything it stores in this test's folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lrsearch.cli import app
from lrsearch.launch import Listener
from lrsearch.service import Service
from lrsearch.store import Store


class Answer:
    """What a command answered: its exit code and what it printed."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LRSEARCH_DATABASE_URL", f"sqlite:///{tmp_path / 'own.db'}")
    monkeypatch.setenv("LRSEARCH_PREFIXES", str(tmp_path / "prefixes"))
    for name in ("LRSEARCH_SERVER", "LRSEARCH_TOKEN", "LRSEARCH_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cli() -> Callable[..., Answer]:
    """Run a command; what it prints must be no traceback."""

    def run(*arguments: str, stdin: str | None = None) -> Answer:
        result = CliRunner().invoke(app, list(arguments), input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        return Answer(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service on the database that commands use where no other is named."""
    store = Store(f"sqlite:///{tmp_path / 'own.db'}")
    store.migrate()
    yield Service(store)
    store.close()


@pytest.fixture
def server(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a service, also in LRSEARCH_SERVER."""
    with Listener(service, port=0) as listener:
        monkeypatch.setenv("LRSEARCH_SERVER", listener.url)
        yield listener.url


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A study that runs in a moment."""
    file = tmp_path / "small.yaml"
    file.write_text(
        "name: small\ntask: least-squares\nepochs: 4\nsampler: random\n"
        "space: {family: step, initial_lr: {low: 1e-3, high: 0.3, log: true}, step_size: [1, 2]}\n"
        "budget: {trials: 3}\n"
    )
    return file
