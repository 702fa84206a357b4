"""A task with its options and its data, loaded once for many trainings."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

from ..tasks.fingerprint import fingerprint
from ..tasks.task import Data, Task, loaded

Prepared = TypeVar("Prepared")


class Workload:
    """What programs of one task and options share: the instance, the data, and the data as each kind places it."""

    def __init__(self, kind: type[Task], options: Mapping[str, Any]) -> None:
        """Load the data.

        Raises:
            InvalidInput: the options are not the task's.
            Exception: whatever the task's own code raises.
        """
        self.task = kind(options)
        self.data: Data = loaded(self.task)
        self.n_train = kind.train_examples if kind.train_examples is not None else self._counted(kind)
        self._prepared: dict[Hashable, Any] = {}

    def _counted(self, kind: type[Task]) -> int:
        """How many training examples the task announces: those its option says, or that it has with default ones."""
        if kind.examples_option is not None:
            return int(getattr(self.task.options, kind.examples_option))
        return len(self.data.train[0]) if self.task.options == kind.Options() else kind.offer().train_examples or 0

    def fingerprint(self, seed: int) -> str:
        """As ``tasks.fingerprint``."""
        return fingerprint(self.task, seed, self.data)

    def prepared(self, key: Hashable, make: Callable[[], Prepared]) -> Prepared:
        """``make()``, remembered under ``key``."""
        if key not in self._prepared:
            self._prepared[key] = make()
        found: Prepared = self._prepared[key]
        return found
