"""The client: every verb of the service over HTTP."""

from __future__ import annotations

import copy
import os
import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar
from urllib.parse import quote

from ..errors import NotFound
from ..exports import Export
from ..frozen import Frozen
from ..schedules import Rescaling
from ..study import (
    AnyEvent,
    Best,
    Catalog,
    Comparison,
    ComparisonSpec,
    Diagnosis,
    Lease,
    LeaseRequest,
    Page,
    Point,
    Preview,
    RangeTest,
    RangeTestSpec,
    ReportAnswer,
    ReportRequest,
    Study,
    StudyPatch,
    StudySpec,
    Trial,
    TrialRequest,
    Worker,
)
from .events import follow
from .tokens import Tokens
from .transport import Transport

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from ..external import Broadcast, LiveTrial

DEFAULT_SERVER = "http://127.0.0.1:8000"
SOON_SECONDS = 0.3
"""How long a loop of live trials tries before it goes on without the server."""

Answer = TypeVar("Answer")
Request = TypeVar("Request", bound=Frozen)


class _Points(Frozen):
    points: tuple[Point, ...]


class Client(Tokens):
    """The verbs of ``lrsearch.service.Service`` over HTTP, with the same names, types and errors.

    ``trials`` alone is different: it is the loop over live trials that your own code trains; the listing is
    ``list_trials``. Usable from several threads, and as a context manager.

    Args:
        server: the service's address; by default ``LRSEARCH_SERVER``, else http://127.0.0.1:8000.
        token: the service's token; by default ``LRSEARCH_TOKEN``.
        timeout: seconds to wait for an answer, > 0.
        patience: seconds to go on trying while the server is away, >= 0; then Unavailable.

    Raises:
        InvalidInput: ``server`` is no http(s) address, or ``SSL_CERT_FILE`` names no file of certificates.
    """

    def __init__(
        self, server: str | None = None, token: str | None = None, *, timeout: float = 60.0, patience: float = 5.0
    ) -> None:
        address = server or os.environ.get("LRSEARCH_SERVER") or DEFAULT_SERVER
        secret = token or os.environ.get("LRSEARCH_TOKEN") or None
        self._transport = Transport(address, secret, timeout=timeout, patience=patience)

    @property
    def server(self) -> str:
        """The service's address."""
        return self._transport.server

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        """Use it, and close it at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    # studies

    def create(self, spec: StudySpec | Mapping[str, Any], *, key: str | None = None) -> tuple[Study, bool]:
        """Store a study; it starts when a worker that offers its task is free.

        Args:
            spec: the study, as a model or as YAML's or JSON's mapping.
            key: an ``Idempotency-Key``; by default a fresh one, so that a lost answer makes no second study.

        Returns:
            The study, and whether it is new: the same name and spec again answer the one that is there.

        Raises:
            InvalidInput: the spec breaks a law.
            Conflict: a study of this name has another spec.
        """
        body = _model(StudySpec, spec).model_dump_json()
        return self._create(Study, "/v1/studies", body, key)

    def studies(
        self, *, state: str | None = None, label: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Study]:
        """Studies, newest first; ``label`` is ``key`` or ``key=value``."""
        return self._get(Page[Study], "/v1/studies", state=state, label=label, limit=limit, cursor=cursor)

    def study(self, name: str) -> Study:
        """One study with its progress and best trial. Raises NotFound."""
        return self._get(Study, _study(name))

    def patch(self, name: str, patch: StudyPatch | Mapping[str, Any]) -> Study:
        """Change a study's budget or labels; a finished study with a larger budget goes on."""
        body = _model(StudyPatch, patch).model_dump_json(exclude_unset=True)
        return self._transport.read(Study, self._transport.send("PATCH", _study(name), body=body))

    def pause(self, name: str) -> Study:
        """Hand out nothing new and stop running trials at their next epoch."""
        return self._post(Study, f"{_study(name)}/pause")

    def resume(self, name: str) -> Study:
        """Go on with a paused study."""
        return self._post(Study, f"{_study(name)}/resume")

    def cancel(self, name: str) -> Study:
        """Stop a study now; its results stay."""
        return self._post(Study, f"{_study(name)}/cancel")

    def delete(self, name: str) -> None:
        """Erase a study with its trials and curves. Raises Conflict while it is running."""
        self._transport.send("DELETE", _study(name))

    def events(self, name: str, *, after: int | Literal["newest"] | None = None) -> Iterator[AnyEvent]:
        """What happens in a study, until it ends; rides out a restart of the service with nothing left out.

        Args:
            name: the study's name.
            after: the id of the event to go on after; ``"newest"``: only what happens from now on; None: everything
                that is kept.

        Raises:
            NotFound: there is no such study, or it was deleted meanwhile.
        """
        return follow(self._transport, f"{_study(name)}/events", after)

    def preview(self, spec: StudySpec | Mapping[str, Any]) -> Preview:
        """What a spec would be as a study: sample curves, envelope, cost and warnings; nothing is stored.

        Raises:
            InvalidInput: the spec breaks a law.
        """
        return self._post(Preview, "/v1/previews", _model(StudySpec, spec).model_dump_json())

    # trials

    def trials(
        self,
        study: str,
        *,
        worker: str | None = None,
        spool: str | Path | None = None,
        patience: float | None = None,
        rank: int | None = None,
        world: int | None = None,
        broadcast: Broadcast | None = None,
    ) -> Iterator[LiveTrial]:
        """The trials of an external study, one after the other, to be trained by your own loop::

            for trial in Client().trials("my-study"):
                with trial: train(trial)

        While the service is away, training goes on: reports are kept in ``spool`` and sent in their order once it is
        back, by this process or the next one on this machine. Only who has nothing to train waits.

        Args:
            study: the study's name.
            worker: this process's name among the workers; by default one of its own.
            spool: a folder; by default ``LRSEARCH_SPOOL``, else in the user's cache folder.
            patience: seconds to wait for a service that is away when a trial is over, >= 0; by default ten minutes.
            rank: where several processes train each trial together, which of them this is; with ``world`` and
                ``broadcast``. All of it comes from ``torch.distributed`` where that is initialised.
            world: how many there are; 1 = this one alone, whatever ``torch.distributed`` says.
            broadcast: called by all of them in step: gives every rank the object that rank 0 gives it.

        Raises:
            NotFound: there is no such study.
            InvalidInput: its task is trained by workers; or ``rank``, ``world`` and ``broadcast`` do not go together.
        """
        from ..external import PATIENCE_SECONDS, Spool, trials

        return trials(
            self._soon(),
            study,
            worker=worker,
            spool=Spool(spool, self.server, study),
            patience=PATIENCE_SECONDS if patience is None else patience,
            rank=rank,
            world=world,
            broadcast=broadcast,
        )

    def _soon(self) -> Client:
        """The same client, soon to say that the server is away: who asks tries again by itself."""
        soon = copy.copy(self)
        soon._transport = self._transport.with_patience(SOON_SECONDS)
        return soon

    def list_trials(
        self, name: str, *, state: str | None = None, order: str = "number", limit: int = 50, cursor: str | None = None
    ) -> Page[Trial]:
        """Trials by number, or by value with the best first."""
        path = f"{_study(name)}/trials"
        return self._get(Page[Trial], path, state=state, order=order, limit=limit, cursor=cursor)

    def trial(self, name: str, number: int) -> Trial:
        """One trial. Raises NotFound."""
        return self._get(Trial, _trial(name, number))

    def add_trial(self, name: str, request: TrialRequest | Mapping[str, Any], *, key: str | None = None) -> Trial:
        """Enqueue a schedule, import its value, or retry a trial under a new number."""
        body = _model(TrialRequest, request).model_dump_json(exclude_unset=True)
        return self._create(Trial, f"{_study(name)}/trials", body, key)[0]

    def cancel_trial(self, name: str, number: int) -> Trial:
        """Stop one trial. Raises Conflict if it has ended otherwise."""
        return self._post(Trial, f"{_trial(name, number)}/cancel")

    def curve(self, name: str, number: int) -> list[Point]:
        """What a trial reported, by seed and epoch."""
        return list(self._get(_Points, f"{_trial(name, number)}/curve").points)

    def diagnosis(self, name: str, trial: int | None = None) -> Diagnosis:
        """What a trial (None: the best one) shows of its training: verdicts in words, with their numbers."""
        return self._get(Diagnosis, f"{_study(name)}/trials/{'best' if trial is None else trial}/diagnosis")

    def checkpoint(self, name: str, trial: int | None = None) -> bytes:
        """The weights of a trial (None: the best one), as a safetensors file.

        ``task.model().load_state_dict(safetensors.torch.load(client.checkpoint("my-study")))`` has them again.

        Raises:
            NotFound: no such study or trial, or its weights are not where the service looks.
        """
        path = f"{_study(name)}/trials/{'best' if trial is None else trial}/checkpoint"
        return self._transport.send("GET", path).content

    def best(self, name: str) -> Best:
        """The best trial: of the confirmed by confirmed mean, else by value.

        Raises:
            NotFound: there is no such study, or none of its trials has completed yet.
        """
        found = self.leaders(name, 1)
        if not found:
            raise NotFound(f"no trial of `{name}` has completed yet; see how far it is with `lrsearch status {name}`")
        return found[0]

    def leaders(self, name: str, top: int = 5) -> list[Best]:
        """The best trials, best first; fewer than ``top`` where fewer have completed."""
        return list(self._get(Page[Best], f"{_study(name)}/best", top=top).items)

    def export(
        self,
        name: str,
        trial: int | None = None,
        target: str = "torch",
        *,
        updates_per_epoch: int | None = None,
        rescale: Rescaling | None = None,
    ) -> Export:
        """A trial's schedule (None: the best one's) as text or data for a framework: ``export(...).text``.

        Raises:
            NotFound: no such study, trial or target, or none has completed yet.
            InvalidInput: updates per epoch are needed and unknown.
        """
        path = f"{_study(name)}/trials/{'best' if trial is None else trial}/export"
        query = {**(rescale or {}), "target": target, "updates_per_epoch": updates_per_epoch}
        answer = self._transport.send("GET", path, query=query)
        return Export(answer.content, answer.headers["content-type"].partition(";")[0])

    # comparisons

    def compare(self, spec: ComparisonSpec | Mapping[str, Any], *, key: str | None = None) -> tuple[Comparison, bool]:
        """Store a comparison of samplers at equal budget; and whether it is new."""
        body = _model(ComparisonSpec, spec).model_dump_json()
        return self._create(Comparison, "/v1/comparisons", body, key)

    def comparison(self, name: str) -> Comparison:
        """One comparison, with what its finished repeats say. Raises NotFound."""
        return self._get(Comparison, f"/v1/comparisons/{quote(name, safe='')}")

    def comparisons(self, *, limit: int = 50, cursor: str | None = None) -> Page[Comparison]:
        """Comparisons, newest first."""
        return self._get(Page[Comparison], "/v1/comparisons", limit=limit, cursor=cursor)

    # range tests

    def range_test(self, spec: RangeTestSpec | Mapping[str, Any], *, key: str | None = None) -> tuple[RangeTest, bool]:
        """Store a range test, made by the first worker that offers its task; and whether it is new."""
        body = _model(RangeTestSpec, spec).model_dump_json()
        return self._create(RangeTest, "/v1/range-tests", body, key)

    def range_test_named(self, name: str) -> RangeTest:
        """One range test, with what it found once it is completed. Raises NotFound."""
        return self._get(RangeTest, f"/v1/range-tests/{quote(name, safe='')}")

    def range_tests(self, *, limit: int = 50, cursor: str | None = None) -> Page[RangeTest]:
        """Range tests, newest first."""
        return self._get(Page[RangeTest], "/v1/range-tests", limit=limit, cursor=cursor)

    # workers

    def lease(self, request: LeaseRequest) -> Lease:
        """Ask for trials to train; an earlier lease of the same worker ends."""
        return self._post(Lease, "/v1/leases", request.model_dump_json(exclude_unset=True))

    def report(self, lease: str, request: ReportRequest) -> ReportAnswer:
        """Report on trials held; an empty report is the heartbeat.

        Raises:
            NotFound: there never was such a lease.
            Conflict: the lease is lost; drop the work and ask for a new one.
        """
        path = f"/v1/leases/{quote(lease, safe='')}/reports"
        return self._post(ReportAnswer, path, request.model_dump_json(exclude_unset=True))

    def release(self, lease: str) -> None:
        """End a lease: what it held is handed to others."""
        self._transport.send("DELETE", f"/v1/leases/{quote(lease, safe='')}")

    def workers(self) -> list[Worker]:
        """Every worker that the service has heard of in the last seven days."""
        return list(self._get(Page[Worker], "/v1/workers").items)

    # the service

    def catalog(self) -> Catalog:
        """Everything a spec may name."""
        return self._get(Catalog, "/v1/catalog")

    def ready(self) -> None:
        """Raises Unavailable while the service or its database is away."""
        self._transport.send("GET", "/readyz")

    def _get(self, answer: type[Answer], path: str, **query: Any) -> Answer:
        return self._transport.read(answer, self._transport.send("GET", path, query=query))

    def _post(self, answer: type[Answer], path: str, body: str | None = None) -> Answer:
        return self._transport.read(answer, self._transport.send("POST", path, body=body))

    def _create(self, answer: type[Answer], path: str, body: str, key: str | None) -> tuple[Answer, bool]:
        response = self._transport.send("POST", path, body=body, key=key or uuid.uuid4().hex)
        return self._transport.read(answer, response), response.status_code == 201


def _model(model: type[Request], given: Request | Mapping[str, Any]) -> Request:
    return given if isinstance(given, model) else model.read(dict(given))


def _study(name: str) -> str:
    return f"/v1/studies/{quote(name, safe='')}"


def _trial(name: str, number: int) -> str:
    return f"{_study(name)}/trials/{number}"
