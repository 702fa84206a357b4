"""A range test drawn: loss over rate, what the rules suggest, the range to search and the edge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .errors import InvalidInput
from .study import RangeTestResult

MARKS = {"minimum": "s", "steepest": "v", "valley": "o", "slide": "D"}
HEADROOM = 0.25
"""The axis ends this share of the fall above the loss at the start: explosions would hide all else."""


def paint(result: RangeTestResult, path: Path, *, title: str = "") -> None:
    """Draw ``result`` into ``path``; its ending says how (.png, .svg, .pdf).

    Raises:
        InvalidInput: matplotlib is missing, or the path cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise InvalidInput("a picture needs matplotlib: pip install 'lrsearch[plot]'") from None
    figure = Figure(figsize=(9, 5.4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    lr = np.array(result.lr)
    loss = np.array([np.nan if value is None else value for value in result.loss])
    smoothed = np.array([np.nan if value is None else value for value in result.smoothed])
    if result.initial_lr is not None:
        low, high = float(result.initial_lr.low), float(result.initial_lr.high)
        axes.axvspan(low, high, color="tab:green", alpha=0.10, label=f"search {low:.2g} to {high:.2g}")
    axes.plot(lr, loss, color="0.65", linewidth=0.9, label="loss")
    axes.plot(lr, smoothed, color="tab:blue", linewidth=2.0, label="smoothed")
    for name, rate in result.suggestions.items():
        if rate is not None:
            height = np.interp(np.log(rate), np.log(lr), np.nan_to_num(smoothed, nan=0.0))
            style: dict[str, Any] = {"marker": MARKS.get(name, "*"), "color": "tab:orange", "markeredgecolor": "black"}
            axes.plot(rate, height, linestyle="none", markersize=8, zorder=4, label=f"{name} {rate:.2g}", **style)
    if result.suggested is not None:
        label = f"suggested {result.suggested:.2g}"
        axes.axvline(result.suggested, color="tab:green", linewidth=1.8, label=label)
    if result.edge is not None:
        axes.axvline(result.edge, color="crimson", linewidth=1.4, linestyle="--", label=f"lost from {result.edge:.2g}")
    if np.isfinite(smoothed).any():
        start, lowest = float(smoothed[0]), float(min(np.nanmin(smoothed), np.nanmin(loss)))
        fall = max(start - lowest, 1e-3 * abs(start), 1e-12)
        highest = start
        if result.suggested is None:  # nothing fell: noise is all there is to see below the edge
            below = loss[lr < (np.inf if result.edge is None else result.edge)]
            highest = max(start, float(np.nanmax(below))) if np.isfinite(below).any() else start
        axes.set_ylim(lowest - HEADROOM * fall, highest + HEADROOM * fall)
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.set_title(title)
    axes.grid(visible=True, which="major", alpha=0.25)
    axes.margins(x=0.01)
    figure.legend(loc="outside lower left", frameon=False, ncols=4)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be written: {error}", field="plot") from None
