"""Every error lrsearch raises on purpose: one root, five groups.

A message states the law, the value that broke it and the next step. HTTP codes belong to ``api`` and the client,
exit codes to the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One broken law in an input.

    Attributes:
        field: dotted path of the field, ``"space.initial_lr.low"``; empty for the whole input.
        message: the law, the value that broke it, and what to write instead.
    """

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class LrsearchError(Exception):
    """The root of every error raised on purpose."""


class InvalidInput(LrsearchError, ValueError):
    """An input breaks a law. ``faults`` lists every broken law found."""

    def __init__(self, message: str, faults: Sequence[Fault] = (), *, field: str = "") -> None:
        super().__init__(message)
        self.faults: tuple[Fault, ...] = tuple(faults) or (Fault(field, message),)


class NotFound(LrsearchError, LookupError):
    """A study, trial, task or target of this name does not exist."""


class Conflict(LrsearchError):
    """The request is valid, but the present state forbids it."""


class NotAllowed(LrsearchError):
    """The caller has no token, or the token lacks the right."""


class Unavailable(LrsearchError):
    """Something outside is away for now: the server, the database, a data set. Trying later may help."""
