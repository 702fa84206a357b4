"""Whom a command talks to: a service over HTTP, or this machine's database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import LrsearchError

if TYPE_CHECKING:
    from ..client import Client
    from ..exports import Export
    from ..schedules import Rescaling
    from ..service import Catalog, Service
    from ..study import Best, Comparison, ComparisonSpec, Page, Trial


class Local:
    """The service in this process, with the names and answers of ``Client``."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.studies = service.studies
        self.study = service.study
        self.events = service.events
        self.preview = service.preview
        self.pause = service.pause
        self.resume = service.resume
        self.cancel = service.cancel
        self.delete = service.delete
        self.trial = service.trial
        self.curve = service.curve
        self.comparison = service.comparison
        self.diagnosis = service.diagnosis
        self.checkpoint = service.checkpoint

    def list_trials(
        self, name: str, *, state: str | None = None, order: str = "number", limit: int = 50, cursor: str | None = None
    ) -> Page[Trial]:
        """Trials by number, or by value with the best first."""
        return self._service.trials(name, state=state, order=order, limit=limit, cursor=cursor)

    def leaders(self, name: str, top: int = 5) -> list[Best]:
        """The best trials, best first."""
        return self._service.best(name, top)

    def export(
        self,
        name: str,
        trial: int | None = None,
        target: str = "torch",
        *,
        updates_per_epoch: int | None = None,
        rescale: Rescaling | None = None,
    ) -> Export:
        """A trial's schedule (None: the best one's) as text or data for a framework."""
        return self._service.export(name, trial, target, updates_per_epoch=updates_per_epoch, rescale=rescale)

    def compare(self, spec: ComparisonSpec, *, key: str | None = None) -> tuple[Comparison, bool]:
        """Store a comparison."""
        return self._service.compare(spec, key=key)

    def catalog(self) -> Catalog:
        """Everything a spec may name."""
        return self._service.catalog()


@contextmanager
def client(server: str | None, token: str | None, *, patience: float = 2.0) -> Iterator[Client]:
    """The service over HTTP."""
    from ..client import Client

    with Client(server, token, patience=patience) as connected:
        yield connected


@contextmanager
def connected(server: str | None, token: str | None, database: str | None) -> Iterator[Client | Local]:
    """The service or database that was named; else the service at the default address; else this machine's database."""
    if server is not None or (database is None and _answers(token)):
        with client(server, token) as verbs:
            yield verbs
        return
    from ..in_process import opened

    with opened(database) as service:
        yield Local(service)


@contextmanager
def administered(server: str | None, token: str | None, database: str | None) -> Iterator[Client | Service]:
    """The service that was named; else the database: whoever may write there needs no token."""
    if server is not None:
        with client(server, token) as verbs:
            yield verbs
        return
    from ..in_process import opened

    with opened(database) as service:
        yield service


def _answers(token: str | None) -> bool:
    with client(None, token, patience=0.0) as verbs:
        try:
            verbs.ready()
        except LrsearchError:
            return False
        return True
