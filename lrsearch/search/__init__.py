"""Searching: the next params of a study, when to stop a trial, and which of two samplers is better."""

from .comparison import Finish, judge
from .median import stops
from .suggester import Suggester

__all__ = ["Finish", "Suggester", "judge", "stops"]
