"""Where the service and its workers run: processes on this machine."""

from .crew import Crew
from .insistence import kill_all, killable, patient
from .listener import Listener
from .log import LogStyle, write_log
from .serve import interruptible, serve, undisturbed
from .token import read_admin_token, read_token, require_token

__all__ = [
    "Crew",
    "Listener",
    "LogStyle",
    "interruptible",
    "kill_all",
    "killable",
    "patient",
    "read_admin_token",
    "read_token",
    "require_token",
    "serve",
    "undisturbed",
    "write_log",
]
