"""All trials of a study, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..study import Page, Trial

PAGE = 1000


class Lists(Protocol):
    """What lists trials: a service over HTTP, or this machine's database."""

    def list_trials(
        self, name: str, *, state: str | None = None, order: str = "number", limit: int = 50, cursor: str | None = None
    ) -> Page[Trial]:
        """One page."""


def all_trials(verbs: Lists, name: str, *, order: str = "number", most: int | None = None) -> Iterator[Trial]:
    """The trials of a study in ``order``, ``most`` of them if that is given."""
    return islice(_every(verbs, name, order), most)


def _every(verbs: Lists, name: str, order: str) -> Iterator[Trial]:
    cursor: str | None = None
    while True:
        page = verbs.list_trials(name, order=order, limit=PAGE, cursor=cursor)
        yield from page.items
        cursor = page.next
        if cursor is None:
            return
