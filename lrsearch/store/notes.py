"""What one transaction changes for those who follow a study, gathered until it ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..study import TERMINAL

MOST_TRIALS = 1000
"""One event names no more trials."""


class Moved(NamedTuple):
    """How a trial stands at the end of the transaction."""

    state: str
    was: str | None = None
    worker: str | None = None
    value: float | None = None


@dataclass
class Notes:
    """Changes of studies and trials. Only the last state counts: nobody outside has seen those in between.

    Attributes:
        studies: by study: its state and error.
        trials: by study and number: how the trial stands.
        warnings: by study: what is new.
        ranked: by study: numbers of the trials that may have become the best.
    """

    studies: dict[str, dict[str, Any]] = field(default_factory=dict)
    trials: dict[str, dict[int, Moved]] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)
    ranked: dict[str, set[int]] = field(default_factory=dict)

    def trial(self, study: str, number: int, fields: Mapping[str, Any], was: str | None = None) -> None:
        """Fields of a trial are set."""
        state = fields.get("state")
        if state == was and state in TERMINAL:
            state = None  # it has ended before, and something more is done on it
        if state == "completed" or fields.get("confirmed") is not None:
            self.ranked.setdefault(study, set()).add(number)
        if state is not None:
            self._move(study, number, Moved(state, was, fields.get("worker"), fields.get("value")))

    def moved(self, study: str, numbers: Iterable[int], state: str, was: str | None = None) -> None:
        """Trials came into a state."""
        for number in numbers:
            self._move(study, number, Moved(state, was))

    def _move(self, study: str, number: int, to: Moved) -> None:
        its = self.trials.setdefault(study, {})
        before = its.get(number)
        was = to.was if before is None else before.was
        its[number] = to._replace(was=was if was == "waiting" and to.state != "waiting" else None)

    def forget(self, study: str) -> None:
        """The study is erased, and all that happened in it."""
        for kind in (self.studies, self.trials, self.warnings, self.ranked):
            kind.pop(study, None)

    def names(self) -> list[str]:
        """The studies in which something happened."""
        return list(dict.fromkeys([*self.studies, *self.trials, *self.warnings, *self.ranked]))

    def events(self, study: str) -> list[tuple[str, dict[str, Any]]]:
        """What happened in a study: kinds and data; without who is best now, and without the study's own state."""
        told: list[tuple[str, dict[str, Any]]] = [("warning", {"text": text}) for text in self.warnings.get(study, ())]
        alike: dict[tuple[str, str | None, str | None], list[int]] = {}
        its = self.trials.get(study, {})
        for number, moved in sorted(its.items()):
            alike.setdefault((moved.state, moved.was, moved.worker), []).append(number)
        for (state, was, worker), numbers in alike.items():
            for first in range(0, len(numbers), MOST_TRIALS):
                some = numbers[first : first + MOST_TRIALS]
                data: dict[str, Any] = {"state": state, "trials": some}
                if state == "completed":
                    data["values"] = [its[number].value for number in some]
                data |= {name: what for name, what in (("was", was), ("worker", worker)) if what is not None}
                told.append(("trials", data))
        return told

    def moves(self, study: str) -> list[tuple[str, dict[str, Any]]]:
        """The state that the study came into, which is told last: it may be its end."""
        return [("study", self.studies[study])] if study in self.studies else []
