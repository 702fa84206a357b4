"""Patience with a service that is away, where there is nothing to do meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ..errors import Conflict, InvalidInput, LrsearchError, NotAllowed, NotFound
from ..leasing import AWAY_SECONDS, Backoff

log = logging.getLogger("lrsearch.external")

WORDS_SECONDS = 30.0
"""Who waits says so at least this often."""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Patience:
    """How long to try.

    Attributes:
        seconds: how long, >= 0.
    """

    seconds: float

    def until_answered(self, verb: Callable[[], Answer]) -> Answer:
        """Call until there is an answer; the error where patience ends, or trying again would not help."""
        pause, begun, said = Backoff(AWAY_SECONDS), time.monotonic(), -WORDS_SECONDS
        while True:
            try:
                return verb()
            except (NotAllowed, InvalidInput, NotFound, Conflict):
                raise
            except LrsearchError as error:
                waited = time.monotonic() - begun
                if waited >= self.seconds:
                    raise
                if waited - said >= WORDS_SECONDS:
                    said = waited
                    log.warning("the service is away (%s); waiting for %.0f s at most", error, self.seconds - waited)
                time.sleep(min(pause.seconds(), self.seconds - waited))
