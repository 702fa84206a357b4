"""The built-in tasks and their descriptions; imports neither torch nor scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..study import TaskOffer
from .arrays import Arrays
from .digits import DigitsCnn, DigitsMlp
from .least_squares import LeastSquares
from .mnist import MnistCnn
from .mnist1d import Mnist1dCnn, Mnist1dMlp
from .synthetic import SyntheticMlp
from .task import Task

BUILT_IN: Mapping[str, type[Task]] = MappingProxyType(
    {
        task.name: task
        for task in (DigitsMlp, DigitsCnn, Mnist1dMlp, Mnist1dCnn, MnistCnn, SyntheticMlp, LeastSquares, Arrays)
    }
)
"""The built-in tasks by name."""

CATALOG: Mapping[str, TaskOffer] = MappingProxyType({name: task.offer() for name, task in BUILT_IN.items()})
"""What they are, without loading their data."""
