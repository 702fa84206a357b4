"""Why a trial cannot be trained, in words that its study shows."""

from __future__ import annotations

import logging
import os
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import LrsearchError
from .program import OutOfMemory

MAX_ERROR_CHARACTERS = 1000
MEMORY_IS_FULL = ("not enough memory", "can't allocate memory", "out of memory", "STATUS_ALLOC_FAILED")
"""What torch's processors and its libraries for GPUs say in errors that have no class of their own."""
logger = logging.getLogger(__name__)


class TrainingFailed(Exception):
    """The recipe or the task's own code cannot be trained; the message is what the trial shows."""


@contextmanager
def user_errors(*passing: type[Exception]) -> Iterator[None]:
    """Turn what a recipe or a task's own code raises into TrainingFailed, with the place where it happened.

    That memory runs out is nobody's error: it is raised as OutOfMemory. What is ``passing`` passes.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, (TrainingFailed, OutOfMemory, *passing)):
            raise
        if says_memory_is_full(error):
            raise OutOfMemory(short_text(error)) from error
        # what we refuse says all there is to say: a way through our own code helps nobody
        logger.warning("a trial failed: %s", error, exc_info=not isinstance(error, LrsearchError))
        raise TrainingFailed(short_text(error)) from error


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise what is said when memory runs out, on any device, as OutOfMemory; all else passes."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not says_memory_is_full(error):
            raise
        raise OutOfMemory(short_text(error)) from error


def says_memory_is_full(error: Exception) -> bool:
    """Whether Python, numpy or torch raised this as a device or this machine has no memory left."""
    kinds = {kind.__name__ for kind in type(error).__mro__}  # torch's is told by its name: importing torch takes long
    if isinstance(error, MemoryError) or "OutOfMemoryError" in kinds:
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in MEMORY_IS_FULL)


def _place(error: Exception) -> traceback.FrameSummary:
    """Where it happened: the last line of a file that is neither ours nor installed, where there is one."""
    frames = traceback.extract_tb(error.__traceback__)
    ours, python = (f"{place}{os.sep}" for place in (Path(__file__).parents[1], sysconfig.get_path("stdlib")))
    theirs = [f for f in frames if not f.filename.startswith((ours, python, "<")) and "site-packages" not in f.filename]
    return theirs[-1] if theirs else frames[-1]


def short_text(error: Exception) -> str:
    """An error in one short printable line."""
    text = str(error)
    if not isinstance(error, LrsearchError):
        place = _place(error)
        text = f"{type(error).__name__}: {text} ({place.filename.rpartition('/')[2]}, line {place.lineno})"
        text = "; ".join([text, *getattr(error, "__notes__", ())])
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable if len(printable) <= MAX_ERROR_CHARACTERS else f"{printable[: MAX_ERROR_CHARACTERS - 3]}..."
