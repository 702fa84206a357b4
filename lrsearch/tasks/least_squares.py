"""SGD on a quadratic, exactly: the free objective for tests and for comparing samplers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from ..frozen import Positive, Real
from ..study import Direction, TaskDefaults
from .task import Data, Options, Task

Eigenvalue = Annotated[Real, Field(gt=0, le=1e6)]


class LeastSquaresOptions(Options):
    """The quadratic's spectrum."""

    dimension: Annotated[Positive, Field(le=10_000)] = 100
    """How many eigenvalues, where `spectrum` does not give them."""
    exponent: Annotated[Real, Field(ge=0, le=10)] = 1.5
    """They are 1, 2^-exponent, 3^-exponent, ..."""
    spectrum: Annotated[tuple[Eigenvalue, ...], Field(min_length=1, max_length=10_000)] | None = None
    """The eigenvalues themselves."""


class LeastSquares(Task):
    """The exact expected loss of mini-batch SGD on least squares; microseconds an update, no data, no noise.

    With eigenvalues l, the expected squared distance p to the optimum along each eigenvector (1 at first), batch size
    B and N examples, one update at rate lr is::

        p <- (1 - lr l)^2 p + lr^2 (1/B - 1/N) l sum(l p)          loss = sum(l p) / 2

    Full-batch training diverges exactly where ``lr > 2 / max(l)``; smaller batches diverge earlier, and pay for a rate
    that stays high with noise. Computed in float64; a recipe of bfloat16 is refused.

    Source: Naganuma et al., arXiv 2603.10301; the recursion is that of Zhang et al., arXiv 1907.04164.
    """

    name = "least-squares"
    Options = LeastSquaresOptions
    metrics: ClassVar[Mapping[str, Direction]] = {"val_loss": "minimize"}
    train_examples = 20
    has_test = False
    optimizers = ("sgd",)
    trained_by = "least-squares"
    defaults = TaskDefaults(optimizer="sgd", batch_size=2, initial_lr={"low": 1e-2, "high": 4.0, "log": True})

    def model(self) -> np.ndarray:
        """The expected squared distances p at first: ones, float64 of shape (eigenvalues,)."""
        return np.ones(len(self.eigenvalues()))

    def data(self) -> Data:
        """The eigenvalues, once for every "example": all there is to know of the data."""
        return Data(train=(self.eigenvalues(), self.model()), val=(self.eigenvalues(), self.model()))

    def eigenvalues(self) -> np.ndarray:
        """float64 of shape (eigenvalues,)."""
        if self.options.spectrum is not None:
            return np.array(self.options.spectrum)
        exponent: float = self.options.exponent
        return np.arange(1.0, self.options.dimension + 1) ** -exponent
