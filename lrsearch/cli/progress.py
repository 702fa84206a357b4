"""Live progress: one line that changes on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..errors import LrsearchError

if TYPE_CHECKING:
    from ..study import AnyEvent, Comparison, Study

LOOK_SECONDS = 0.4
PLAIN_SECONDS = 5.0
"""How often a plain line is printed where nobody sees a terminal."""


class Display:
    """Shows how far something is: ``(done, planned, words)``.

    Args:
        title: what it is.
        console: where it is shown; default standard error, so that standard output stays a command's answer.
    """

    def __init__(self, title: str, console: Console | None = None) -> None:
        self._title = title
        self._console = console or Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=8, transient=True)
        self._fancy = self._console.is_terminal
        self._said = ""
        self._said_at = 0.0

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._fancy:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show the last state as a plain line."""
        if self._fancy:
            self._live.stop()
        if self._said:
            self._console.print(self._said, highlight=False, markup=False, soft_wrap=True)

    def show(self, done: int, planned: int | None, words: str) -> None:
        """Show a state."""
        count = f"{done} of {planned}" if planned else str(done)
        self._said = f"{self._title}: {count} {words}"
        if self._fancy:
            row = Table.grid(padding=(0, 1))
            bar = ProgressBar(total=planned or None, completed=done, width=24, pulse=not planned)
            row.add_row(Text(self._title, style="bold"), bar, Text(f"{count} {words}"))
            self._live.update(row)
        elif time.monotonic() - self._said_at >= PLAIN_SECONDS:
            self._said_at = time.monotonic()
            self._console.print(self._said, highlight=False, markup=False, soft_wrap=True)


def study_words(study: Study) -> tuple[int, int | None, str]:
    """How far a study is: trials ended, trials planned, and the rest in words."""
    from ..study import TERMINAL

    progress = study.progress
    done = sum(count for state, count in progress.trials.items() if state in TERMINAL)
    parts = [f"trials ({study.state})"]
    bad = [
        f"{progress.trials[state]} {state}" for state in ("diverged", "pruned", "failed") if progress.trials.get(state)
    ]
    parts += bad
    if study.best is not None:
        parts.append(f"best {study.spec.objective.metric} {study.best.value:.5g} (trial {study.best.trial})")
    parts.append(f"{progress.epochs.trained} epochs trained, {progress.epochs.shared} shared")
    if progress.seconds.left:
        parts.append(f"about {progress.seconds.left:.0f} s left")
    else:
        parts.append(f"{progress.seconds.elapsed:.0f} s")
    return done, study.spec.budget.trials, ", ".join(parts)


def comparison_words(comparison: Comparison) -> tuple[int, int | None, str]:
    """How far a comparison is: studies ended, studies planned, and the rest in words."""
    from ..study import ENDED

    done = sum(count for state, count in comparison.progress.items() if state in ENDED)
    return done, len(comparison.studies), f"studies ({comparison.state})"


class Follows(Protocol):
    """What tells of a study: a service over HTTP, or this machine's database."""

    def study(self, name: str) -> Study:
        """Where it stands."""

    def events(self, name: str, *, after: Literal["newest"]) -> Iterator[AnyEvent]:
        """What happens from now on, until it is over."""


def follow_study(verbs: Follows, name: str) -> Study:
    """Show a study until it is over, as its events come."""
    from ..study import ENDED, ProgressEvent

    study = verbs.study(name)
    with Display(study.name) as display:
        display.show(*study_words(study))
        while study.state not in ENDED:
            for event in verbs.events(name, after="newest"):
                if isinstance(event, ProgressEvent):
                    told = {"state": event.state, "progress": event.progress, "best": event.best}
                    study = study.model_copy(update=told)
                    display.show(*study_words(study))
            study = verbs.study(name)
            display.show(*study_words(study))
    return study


def watch_study(look: Callable[[], Study], *, tend: Callable[[], None]) -> Study:
    """Show a study until it is over, for whoever has something to ``tend`` meanwhile: it is called at every look."""
    from ..study import ENDED

    study = look()
    with Display(study.name) as display:
        while True:
            display.show(*study_words(study))
            if study.state in ENDED:
                return study
            time.sleep(LOOK_SECONDS)
            tend()
            study = look()


def follow_comparison(look: Callable[[], Comparison], *, tend: Callable[[], None] = lambda: None) -> Comparison:
    """Show a comparison until it is over; ``tend`` is called at every look."""
    comparison = look()
    with Display(comparison.name) as display:
        while True:
            display.show(*comparison_words(comparison))
            if comparison.state not in ("queued", "running"):
                return comparison
            time.sleep(LOOK_SECONDS)
            tend()
            comparison = look()


@contextmanager
def beside(display: Display, look: Callable[[], tuple[int, int | None, str]]) -> Iterator[None]:
    """Within the block, which works in this thread, another thread shows how far it is."""
    over = threading.Event()

    def show() -> None:
        try:
            display.show(*look())
        except LrsearchError:
            return  # whoever works in the block hears of it

    def keep_showing() -> None:
        while not over.wait(LOOK_SECONDS):
            show()

    thread = threading.Thread(target=keep_showing, name="progress", daemon=True)
    with display:
        show()
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(2)
            show()
