"""Searching: the next params of a study, when to stop a trial, and which of two samplers is better."""

from .comparison import Finish, judge
from .halving import falls_behind
from .ladder import expected_share, ladder
from .median import stops
from .rungs import Rungs, Wanted
from .suggester import Suggester

__all__ = ["Finish", "Rungs", "Suggester", "Wanted", "expected_share", "falls_behind", "judge", "ladder", "stops"]
