"""Where the service and its workers run: processes on this machine."""

from .crew import Crew
from .listener import Listener
from .serve import serve
from .token import read_token, require_token

__all__ = ["Crew", "Listener", "read_token", "require_token", "serve"]
