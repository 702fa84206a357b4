"""Isolation: a study that cannot be served any more keeps no worker from all the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from ..errors import LrsearchError
from ..store import is_complaint


class StudyBroken(Exception):
    """What was raised while a study was worked on, its ``__cause__``, is that study's alone."""

    def __init__(self, study: str) -> None:
        super().__init__(study)
        self.study = study


class Isolated(Protocol):
    """Whatever can do without a study."""

    def _end_broken(self, broken: StudyBroken) -> None: ...


P = ParamSpec("P")
Answer = TypeVar("Answer")
Its = TypeVar("Its", bound=Isolated)


@contextmanager
def blaming(study: str, *also: type[LrsearchError]) -> Iterator[None]:
    """What the block raises is ``study``'s: rows that are damaged, or a bug that it alone meets.

    Not so what is raised on purpose (but for ``also``), nor what comes from the machine or the database.

    Raises:
        StudyBroken: from what was raised.
    """
    try:
        yield
    except also as error:
        raise StudyBroken(study) from error
    except (LrsearchError, StudyBroken, MemoryError, OSError):
        raise
    except Exception as error:
        if is_complaint(error):
            raise
        raise StudyBroken(study) from error


def isolating(verb: Callable[Concatenate[Its, P], Answer]) -> Callable[Concatenate[Its, P], Answer]:
    """A verb on many studies that begins again without one that is broken.

    What breaks once may have been a chance, or what the service remembered of the study, which a failed transaction
    forgets: a study is ended when it breaks a second time. So the verb begins at most twice for each.
    """

    @wraps(verb)
    def isolated(self: Its, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        met: set[str] = set()
        while True:
            try:
                return verb(self, *args, **kwargs)
            except StudyBroken as broken:
                if broken.study in met:
                    self._end_broken(broken)
                met.add(broken.study)

    return isolated
