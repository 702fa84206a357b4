"""Completing a spec: what the task, the families and the optimiser supply where it is silent."""

from .auto import asks_for_range, complete_range_test, range_test_of, with_range
from .completion import resolve, updates_per_epoch
from .options import complete_options

__all__ = [
    "asks_for_range",
    "complete_options",
    "complete_range_test",
    "range_test_of",
    "resolve",
    "updates_per_epoch",
    "with_range",
]
