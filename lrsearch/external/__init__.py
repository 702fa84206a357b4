"""Ask and report from the user's own loop: trials that are trained by whatever code asks for them."""

from __future__ import annotations

from .loop import PATIENCE_SECONDS, trials
from .ranks import Broadcast
from .spool import Spool
from .trial import LiveTrial

__all__ = ["PATIENCE_SECONDS", "Broadcast", "LiveTrial", "Spool", "trials"]
