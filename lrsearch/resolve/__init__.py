"""Completing a spec: what the task, the families and the optimiser supply where it is silent."""

from .completion import resolve, updates_per_epoch
from .options import complete_options

__all__ = ["complete_options", "resolve", "updates_per_epoch"]
