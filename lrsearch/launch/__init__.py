"""Where the service and its workers run: processes on this machine."""

from .crew import Crew
from .listener import Listener
from .serve import interruptible, serve, undisturbed
from .token import read_token, require_token

__all__ = ["Crew", "Listener", "interruptible", "read_token", "require_token", "serve", "undisturbed"]
