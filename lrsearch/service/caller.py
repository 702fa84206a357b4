"""Who is calling: the API says it, the verbs ask. In a process of one's own it is everybody, with every right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from ..errors import NotAllowed
from ..study import GRANTS, SCOPES, Scope

LOCAL = "local"
"""The owner of what is made without a token, and with the one shared token."""


@dataclass(frozen=True)
class Caller:
    """Who makes a call.

    Attributes:
        name: the name of the token: what is made belongs to it.
        scopes: what the token may do, as written.
        token: the id of the token; None for those that are in no database, and without one.
        request_id: the request's id.
        address: where the request came from.
    """

    name: str = LOCAL
    scopes: tuple[Scope, ...] = tuple(SCOPES)
    token: str | None = None
    request_id: str | None = None
    address: str | None = None

    def may(self, scope: Scope) -> bool:
        """Whether its scopes stand for this one."""
        return any(scope in GRANTS[its] for its in self.scopes)

    def owns(self, owner: str) -> bool:
        """Whether what belongs to ``owner`` is its to change."""
        return self.name == owner or self.may("admin")

    def require(self, *scopes: Scope) -> None:
        """Raises NotAllowed where it has none of ``scopes``; none of them = everybody may."""
        if scopes and not any(map(self.may, scopes)):
            wanted = " or ".join(f"`{scope}`" for scope in scopes)
            raise NotAllowed(
                f"this call needs a token with the scope {wanted}; `{self.name}` has {_words(self.scopes)}"
            )

    def require_owned(self, owner: str, what: str) -> None:
        """Raises NotAllowed where ``what`` belongs to somebody else."""
        if not self.owns(owner):
            raise NotAllowed(f"{what} belongs to `{owner}`: to change it, `{self.name}` needs the scope `admin`")


def _words(scopes: Iterable[Scope]) -> str:
    return ", ".join(f"`{scope}`" for scope in scopes)


EVERYBODY = Caller()
"""Who calls where nobody says who it is."""
_CALLER: ContextVar[Caller] = ContextVar("caller", default=EVERYBODY)


def caller() -> Caller:
    """Who calls now, in this task or thread."""
    return _CALLER.get()


@contextmanager
def calling(who: Caller) -> Iterator[None]:
    """Within the block, and in what is begun there, ``who`` calls."""
    before = _CALLER.set(who)
    try:
        yield
    finally:
        _CALLER.reset(before)
