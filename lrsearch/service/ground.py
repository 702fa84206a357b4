"""What every verb of the service stands on: the store, the settings, and the samplers kept warm."""

from __future__ import annotations

import difflib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from ..errors import Conflict, Unavailable
from ..frozen import Frozen
from ..search import Rungs, Suggester
from ..space import Space
from ..store import Store, Transaction
from ..study import TERMINAL, AuditEntry, Budget, Origin, Outcome, Study, TaskOffer
from ..tasks.catalog import CATALOG
from .bell import Bell
from .caller import caller
from .hearing import Hearing
from .tallies import Tallies

Answer = TypeVar("Answer", bound=Frozen)


@dataclass(frozen=True)
class Settings:
    """How the service treats its workers.

    Attributes:
        lease_seconds: how long a worker may be silent before its trials are handed to others, > 0.
        max_lost: how many of a trial's workers may be lost before it is given up as failed, >= 1.
        audit_days: how long the audit of changes is kept, > 0.
        poison_seconds: a trial that twice lost a worker within so many seconds, and was all that this worker had, is
            given up as failed; 0 = never.
    """

    lease_seconds: float = 60.0
    max_lost: int = 5
    audit_days: float = 90.0
    poison_seconds: float = 60.0

    @property
    def heartbeat_seconds(self) -> float:
        """How often a worker should be heard: four times a lease."""
        return self.lease_seconds / 4


@dataclass
class _Warm:
    """A study's sampler with the part of its history that can no longer change."""

    drawn_for: tuple[datetime, int]
    """Which study of this name, and how often its trials had been drawn anew."""
    space: Space
    suggester: Suggester
    rungs: Rungs | None = None
    promoted: list[int] = field(default_factory=list)
    """Promotions that the store has not been told of yet."""
    begun_at: tuple[Transaction, int] | None = None
    """When all trials of the store were on the rungs."""
    settled: list[Outcome] = field(default_factory=list)
    full: tuple[int, Budget] | None = None
    """The number of the next trial at which this budget had no room for it, or the grid no cell."""
    _settled_origins: Counter[Origin] = field(default_factory=Counter)
    _origins: Counter[Origin] = field(default_factory=Counter)
    _read: tuple[Transaction, int, Sequence[Outcome]] | None = None

    def history(self, tx: Transaction, name: str) -> Sequence[Outcome]:
        """Every trial by number; only what may have changed since the last call is read.

        Where nothing is learnt from how trials ended, and where the rungs know, states and values may be old.
        """
        if self._read is not None and self._read[0] is tx and self._read[1] == tx.trials.n_writes:
            return self._read[2]
        recent = tx.trials.outcomes(name, start=len(self.settled))
        n_settled, spec = len(recent), self.suggester.spec
        if spec.rungs is None and spec.window is not None:
            n_settled = next((n for n, outcome in enumerate(recent) if outcome.state not in TERMINAL), n_settled)
        self.settled += recent[:n_settled]
        self._settled_origins.update(outcome.origin for outcome in recent[:n_settled])
        unsettled = recent[n_settled:]
        self._origins = self._settled_origins + Counter(outcome.origin for outcome in unsettled)
        history = [*self.settled, *unsettled] if unsettled else self.settled
        self._read = (tx, tx.trials.n_writes, history)
        return history

    def origins(self, tx: Transaction, name: str) -> Counter[Origin]:
        """How many trials there are of each origin."""
        self.history(tx, name)
        return self._origins


class Ground:
    """The store, the settings and the samplers; the verbs are added by noun, in the modules beside this one."""

    def __init__(self, store: Store, settings: Settings | None = None) -> None:
        self.store = store
        self.settings = settings or Settings()
        self.bell = Bell()
        self._hearing = Hearing(timedelta(seconds=self.settings.lease_seconds))
        self.counts: Counter[str] = Counter()
        """What has happened since this process began, for whoever watches: leases given and expired, trials lost,
        seconds of suggestions."""
        self._warm: dict[str, _Warm] = {}
        self._tallies = Tallies()
        self._guard = threading.Lock()
        self._here = threading.local()

    @property
    def suggestion_seconds(self) -> float:
        """Seconds that samplers took in this thread's last ``lease`` or ``report``."""
        return float(getattr(self._here, "suggestion", 0.0))

    @contextmanager
    def _suggesting(self) -> Iterator[None]:
        """Adds the block's time to ``suggestion_seconds``."""
        begun = time.perf_counter()
        yield
        seconds = time.perf_counter() - begun
        self._here.suggestion = self.suggestion_seconds + seconds
        self.counts["suggestion_seconds"] += seconds  # type: ignore[assignment]  # a counter of seconds

    @contextmanager
    def _writing(self, *, rings: bool = True) -> Iterator[Transaction]:
        """A transaction that changes something; if it fails, samplers forget what they saw in it.

        Args:
            rings: whether the bell is rung after it whatever it does; else only where ``_ring`` was called in it.
        """
        self._here.touched = set()
        self._here.rings = rings
        try:
            with self.store.transaction() as tx:
                yield tx
        except BaseException as error:
            for name in self._here.touched:
                self._forget(name)
            if isinstance(error, Unavailable):
                self._hearing.broke()
            raise
        if self._here.rings:
            self.bell.ring()

    def _ring(self) -> None:
        """Ring the bell once the transaction under way is kept."""
        self._here.rings = True

    def _audit(self, tx: Transaction, verb: str, resource: str) -> None:
        """Note a change in the transaction that makes it, with who calls."""
        who = caller()
        entry = AuditEntry(
            at=tx.now(),
            name=who.name,
            token=who.token,
            verb=verb,
            resource=resource,
            request_id=who.request_id,
            address=who.address,
        )
        tx.audit.add(entry, kept=timedelta(days=self.settings.audit_days))

    def _owned(self, study: Study) -> Study:
        """``study``, where it is the caller's to change. Raises NotAllowed."""
        caller().require_owned(study.owner, f"study `{study.name}`")
        return study

    def _sampler(self, study: Study) -> _Warm:
        """The study's sampler; called under the study's lock only."""
        self._here.touched.add(study.name)
        with self._guard:
            warm, drawn_for = self._warm.get(study.name), (study.created_at, study.redrawn)
            if warm is None or warm.drawn_for != drawn_for:
                space = Space(study.spec, study.updates_per_epoch)
                warm = self._warm[study.name] = _Warm(drawn_for, space, Suggester(study.spec))
            return warm

    @staticmethod
    def _drop_unbegun(tx: Transaction, study: Study) -> Study:
        """Forget the last trials if they were drawn ahead and nobody has begun them; the study as it is then.

        Every service that remembers them hears of it by the study.
        """
        dropped = tx.trials.drop_unbegun(study.name)
        return tx.studies.change(study.name, redrawn=study.redrawn + 1) if dropped else study

    def _forget(self, name: str) -> None:
        with self._guard:
            self._warm.pop(name, None)

    def _offer(self, tx: Transaction, task: str) -> TaskOffer | None:
        """The task as a worker announced it, else as the built-in catalog describes it."""
        return tx.offers.find(task) or CATALOG.get(task)

    @staticmethod
    def _unoffered(tx: Transaction, task: str, what: str = "study") -> str:
        """Why what names this task waits; a name that is nearly a known one is hardly meant."""
        known = ["external", *CATALOG, *(offer.name for offer in tx.offers.all())]
        near = difflib.get_close_matches(task, known, n=1, cutoff=0.75)
        meant = f"; did you mean `{near[0]}`?" if near else ""
        return f"no worker has offered the task `{task}` yet; the {what} starts when one does{meant}"

    @staticmethod
    def _answered(
        tx: Transaction, model: type[Answer], key: str | None, owner: str, request: dict[str, Any]
    ) -> Answer | None:
        """What the same ``Idempotency-Key`` was answered before; Conflict if it came with another request."""
        if key is None or (found := tx.answers.find(key, owner)) is None:
            return None
        fingerprint, body = found
        if fingerprint != _text(request):
            raise Conflict(f"the Idempotency-Key {key!r:.100} was used for another request; choose a fresh one")
        return model.model_validate_json(body)

    @staticmethod
    def _answer(tx: Transaction, answer: Answer, key: str | None, owner: str, request: dict[str, Any]) -> Answer:
        """Remember ``answer`` for a repeated ``Idempotency-Key``, in the transaction of its effect."""
        if key is not None:
            tx.answers.put(key, owner, _text(request), answer.model_dump_json())
        return answer


def _text(request: dict[str, Any]) -> str:
    return json.dumps(request, sort_keys=True)


def differing(ours: dict[str, Any], theirs: dict[str, Any], path: Sequence[str] = ()) -> list[str]:
    """Dotted paths of the fields in which two dumped specs differ."""
    paths = []
    for name in sorted({*ours, *theirs}):
        here, there = ours.get(name), theirs.get(name)
        if isinstance(here, dict) and isinstance(there, dict):
            paths += differing(here, there, [*path, name])
        elif here != there:
            paths.append(".".join([*path, name]))
    return paths
