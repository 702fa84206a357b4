"""What all pictures share: a figure of panels above each other, its axes, its file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidInput
from ..schedules import FloatArray

PICTURES = (".png", ".svg")
"""The files that pictures are written to."""
LOG_FROM = 8.0
"""What differs by more than this factor is drawn on a logarithmic axis."""
DECADES = 4
"""A logarithmic axis ends so many decades below the peak; a rate of 0 lies on its edge."""
BRIEF = 0.02
"""What is in force for less than this share of a training may leave the picture."""
PANEL = (9.0, 3.0)
"""Inches of one panel of several; a single one is higher."""


def positive(table: FloatArray) -> FloatArray:
    """The rates above 0, not further than ``DECADES`` below the peak."""
    found: FloatArray = table[table > table.max() * 10.0**-DECADES]
    return found


def lowest(rates: FloatArray) -> float:
    """The rate at which a logarithmic axis ends: the least that is in force for a while, or not ``DECADES`` down."""
    above = rates[rates > 0]
    return float(min(positive(rates).min(), np.quantile(above, BRIEF))) if len(above) else 1.0


class Canvas:
    """A figure with one or more panels that share their horizontal axis, to be written to a file.

    Args:
        path: a .png or .svg file in a folder that exists.
        panels: how many.
        field: what the errors call the path.

    Raises:
        InvalidInput: the path is no picture's.
    """

    def __init__(self, path: Path, panels: int = 1, *, field: str = "--to") -> None:
        from matplotlib.figure import Figure

        if path.suffix.lower() not in PICTURES:
            raise InvalidInput(f"a picture is a {' or '.join(PICTURES)} file (got {str(path)!r:.100})", field=field)
        width, height = PANEL
        self._path, self._field = path, field
        self.figure = Figure(figsize=(width, 5.4 if panels == 1 else height * panels), dpi=150, layout="constrained")
        self.axes: list[Any] = list(self.figure.subplots(panels, sharex=True, squeeze=False)[:, 0])

    def finish(self, title: str, unit: str) -> None:
        """Write the file, with a legend below.

        Raises:
            InvalidInput: it cannot be written.
        """
        from matplotlib.ticker import MaxNLocator

        self.axes[0].set_title(title)
        self.axes[-1].set_xlabel(unit)
        for axes in self.axes:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(visible=True, which="major", alpha=0.25)
            axes.margins(x=0.01)
        self.figure.legend(loc="outside lower left", frameon=False, ncols=3)
        try:
            self.figure.savefig(self._path)
        except OSError as error:
            raise InvalidInput(f"{self._path} cannot be written: {error.strerror}", field=self._field) from None


def scaled(axes: Any, curves: Sequence[FloatArray], *, headroom: float = 0.08) -> None:
    """Fit the vertical axis to the finite values of ``curves``.

    It is logarithmic where they are positive, differ much, and mostly fall: a share that rises to 1 is none such.
    """
    ends = [finite[[0, -1]] for curve in curves if len(finite := curve[np.isfinite(curve)])]
    finite = np.concatenate([curve[np.isfinite(curve)] for curve in curves] or [np.zeros(0)])
    if not len(finite):
        axes.text(0.5, 0.5, "nothing finite was measured", transform=axes.transAxes, ha="center", color="0.4")
        axes.set_yticks([])
        return
    low, high = float(finite.min()), float(finite.max())
    if low > 0 and high / low > LOG_FROM and 2 * sum(last < first for first, last in ends) > len(ends):
        axes.set_yscale("log")
        room = (high / low) ** headroom
        axes.set_ylim(low / room, high * room)
    else:
        room = (high - low) * headroom or abs(high) * headroom or 0.05
        axes.set_ylim(low - room, high + room)
