"""Following a study: what happens in it, told as it happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Literal, NamedTuple

from ..store import Store, Transaction
from ..study import ENDED, AnyEvent, ProgressEvent, ResetEvent, Study
from .ground import Settings
from .previews import Previews

LOOK_SECONDS = 1.0
"""How often whoever follows looks, even if no bell was rung: for epochs, and for what other processes stored."""
LEAST_SECONDS = 0.25
"""Looks are so far apart, however often the bell is rung."""
STALE_SECONDS = 0.5
"""Where a study stands is worked out no more often, however many follow it."""
STALE_COSTS = 20
"""Nor does it take more than one in so many seconds, however many trials it has."""
AT_ONCE = 500
"""So many events are read at once."""

After = int | Literal["newest"] | None


class _Stand(NamedTuple):
    """A study as it stood, when that was found out, and for how long it is good enough."""

    study: Study
    moment: float
    good_for: float

    def still_good(self, study: Study, now: float) -> bool:
        """Whether it may stand for ``study``."""
        same = (self.study.created_at, self.study.state) == (study.created_at, study.state)
        return same and now - self.moment < self.good_for


class Following(Previews):
    """Events of a study."""

    def __init__(self, store: Store, settings: Settings | None = None) -> None:
        super().__init__(store, settings)
        self._stands: dict[str, _Stand] = {}

    def events(self, name: str, *, after: After = None) -> Iterator[AnyEvent]:
        """What happens in a study, until it ends; this thread waits meanwhile.

        Args:
            name: the study's name.
            after: the id of the event to go on after; ``"newest"``: only what happens from now on; None: everything
                that is kept.

        Raises:
            NotFound: there is no such study, or it was deleted meanwhile.
        """
        follower = Follower(self, name, after)
        rung = threading.Event()
        with self.bell.heard_by(rung.set):
            while True:
                rung.clear()
                looked = time.monotonic()
                yield from follower.look()
                if follower.over or self.bell.closed:
                    return
                if follower.caught_up:
                    rung.wait(LOOK_SECONDS)
                    time.sleep(max(0.0, looked + LEAST_SECONDS - time.monotonic()))

    def stand(self, tx: Transaction, study: Study) -> Study:
        """The study where it stands, or where it stood a moment ago."""
        known = self._stands.get(study.name)
        now = time.monotonic()
        if known is not None and known.still_good(study, now):
            return known.study
        stand = self._standing(tx, study)
        if study.state in ENDED:
            self._stands.pop(study.name, None)
        else:
            cost = time.monotonic() - now
            self._stands[study.name] = _Stand(stand, now, max(STALE_SECONDS, STALE_COSTS * cost))
        return stand


class Follower:
    """Somebody who follows a study: where they are in it.

    Attributes:
        last: the id of the newest event that was told.
        caught_up: whether that was the newest there is.
        over: whether the study has ended, and everything was told.
    """

    def __init__(self, service: Following, name: str, after: After = None) -> None:
        self._service = service
        self._name = name
        self._after: After = after
        self._begun = False
        self._shown: object = None
        self.last = 0
        self.caught_up = False
        self.over = False

    def look(self) -> list[AnyEvent]:
        """What has happened since the last look, and where the study stands if that has changed.

        Raises:
            NotFound: there is no such study, or no longer.
        """
        with self._service.store.transaction(write=False) as tx:
            study = tx.studies.get(self._name)
            events = [] if self._begun else self._begin(tx)
            self._begun = True
            stored = tx.events.after(self._name, self.last, limit=AT_ONCE)
            events += stored
            self.last = stored[-1].id if stored else self.last
            self.caught_up = len(stored) < AT_ONCE
            self.over = self.caught_up and study.state in ENDED
            return [*events, *self._progress(tx, study)] if self.caught_up else events

    def _begin(self, tx: Transaction) -> list[AnyEvent]:
        """Find the place to go on from; an id that was never given out is of a database that was put back since."""
        if self._after is None:
            return []
        newest = tx.events.newest(self._name)
        self.last = newest if self._after == "newest" else min(self._after, newest)
        unknown = self._after != "newest" and self._after > newest
        return [ResetEvent(id=newest, at=tx.now())] if unknown else []

    def _progress(self, tx: Transaction, study: Study) -> list[AnyEvent]:
        """Where the study stands, if it has moved since that was told last."""
        stand = self._service.stand(tx, study)
        shown = (stand.state, stand.progress.trials, stand.progress.epochs, stand.best)
        if shown == self._shown:
            return []
        self._shown = shown
        told = {"state": stand.state, "progress": stand.progress, "best": stand.best}
        return [ProgressEvent(id=self.last, at=tx.now(), **told)]
