"""Schedules drawn: with block characters in a terminal, and as a PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .errors import InvalidInput
from .schedules import FloatArray, History, MetricDriven, Schedule
from .study import Preview

BLOCKS = " ▁▂▃▄▅▆▇█"
LOG_FROM = 8.0
"""A schedule whose rates differ by more than this factor is drawn on a logarithmic axis."""
GOOD = 0.75
"""Colours spread over the values of this share of the schedules; what is worse shares one end of the scale."""
PICTURES = (".png", ".svg")
"""The files that pictures are written to."""
DECADES = 4
"""A logarithmic axis ends so many decades below the peak; a rate of 0 lies on its edge."""


class Tried(NamedTuple):
    """A schedule that was tried, and the value it reached; None where it reached none.

    ``history`` is what a metric-driven one measured; without it, it is drawn as it is while its metric improves.
    """

    number: int
    schedule: Schedule
    value: float | None
    history: History = ()

    def rates(self, updates_per_epoch: int | None) -> FloatArray:
        """The rate of every update."""
        history = self.history or self.schedule.improving(updates_per_epoch)
        return self.schedule.lr_table(updates_per_epoch, history=history)


def sketch(schedule: Schedule, updates_per_epoch: int | None = None, *, width: int = 60, height: int = 8) -> str:
    """``schedule`` as lines of block characters; a metric-driven one as it is while its metric improves.

    Args:
        schedule: the schedule.
        updates_per_epoch: where its horizon is in epochs; any number shows the shape.
        width: columns, >= 1; each shows the mean rate of its share of the updates.
        height: rows, >= 1.
    """
    table = schedule.lr_table(updates_per_epoch, history=schedule.improving(updates_per_epoch))
    edges = np.linspace(0, len(table), width + 1)
    columns = np.array([table[int(low) : max(int(low) + 1, int(high))].mean() for low, high in pairwise(edges)])
    peak = float(columns.max())
    lowest = float(columns[columns > 0].min(initial=peak))
    logarithmic = peak / lowest > LOG_FROM
    floor = max(lowest, peak * 10.0**-DECADES) / 1.5 if logarithmic else 0.0
    shares = np.log(np.maximum(columns, floor) / floor) / math.log(peak / floor) if logarithmic else columns / peak
    eighths = np.rint(shares * height * 8).astype(int)
    labels = {0: f"{peak:.3g}", height - 1: f"{floor:.3g}"}
    rows = []
    for row in range(height):
        filled = np.clip(eighths - (height - 1 - row) * 8, 0, 8)
        rows.append(f"{labels.get(row, ''):>9} ┤{''.join(BLOCKS[level] for level in filled)}")
    unit = "epochs" if schedule.epochs is not None else "updates"
    end = f"{schedule.horizon} {unit}"
    rows.append(" " * 10 + "└" + "─" * width)
    rows.append(" " * 11 + "0" + f"{end:>{width - 1}}")
    if logarithmic:
        rows[0] += "  (logarithmic)"
    if isinstance(schedule, MetricDriven):
        rows[0] += f"  (as long as {schedule.metric} improves)"
    return "\n".join(rows)


def paint(
    path: Path,
    tried: Sequence[Tried],
    best: int,
    *,
    metric: str,
    minimize: bool = True,
    updates_per_epoch: int | None = None,
    title: str = "",
) -> None:
    """Draw every schedule tried into a PNG, coloured by what it reached, the best one marked.

    Args:
        path: where to write; its folder exists.
        tried: the schedules, at least one.
        best: the number of the best.
        metric: what the values are.
        minimize: whether smaller values are better.
        updates_per_epoch: where the horizons are in epochs.
        title: the picture's title.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 5.4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    values = np.array([item.value for item in tried if item.value is not None and item.number != best] or [0.0])
    low, high = (float(edge) for edge in np.quantile(values, [0.0, GOOD] if minimize else [1 - GOOD, 1.0]))
    scale = Normalize(low, max(high, low + 1e-12))
    colours = ScalarMappable(scale, "viridis" if minimize else "viridis_r")
    per_unit = updates_per_epoch or 1
    steps: dict[str, Any] = {"drawstyle": "steps-post"}
    floor = min(_positive(item.rates(updates_per_epoch)).min() for item in tried)
    for item in sorted(tried, key=lambda item: item.number == best):
        table = item.rates(updates_per_epoch)
        x = np.arange(len(table) + 1) / per_unit
        y = np.where(table > 0, table, np.nan)[[*range(len(table)), -1]]
        if item.number == best:
            axes.plot(x, y, color="white", linewidth=5.0, zorder=3, **steps)
            label = f"best: trial {item.number}, {item.schedule.family}, {metric} {item.value:.4g}"
            axes.plot(x, y, color="crimson", linewidth=2.6, zorder=4, label=label, **steps)
        elif item.value is None:
            axes.plot(x, y, color="0.6", linewidth=0.9, linestyle=(0, (2, 2)), zorder=1, **steps)
        else:
            axes.plot(x, y, color=colours.get_cmap()(scale(item.value)), linewidth=1.1, alpha=0.75, zorder=2, **steps)
    if any(item.value is None for item in tried):
        axes.plot([], [], color="0.6", linewidth=0.9, linestyle=(0, (2, 2)), label="diverged or not completed")
    axes.set_yscale("log")
    axes.set_ylim(bottom=float(floor) * 0.7)
    axes.set_xlabel("epoch" if updates_per_epoch else "update")
    axes.set_ylabel("learning rate")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(title)
    axes.grid(visible=True, which="major", alpha=0.25)
    axes.margins(x=0.01)
    figure.legend(loc="outside lower left", frameon=False, ncols=2)
    better, beyond = ("lower", "max") if minimize else ("higher", "min")
    figure.colorbar(colours, ax=axes, label=f"{metric} ({better} is better)", pad=0.01, extend=beyond)
    figure.savefig(path)


def paint_preview(path: Path, preview: Preview) -> None:
    """Draw what a study's schedules lie between, and its first ones by family, into a .png or .svg file.

    Args:
        path: where to write.
        preview: a preview with curves.

    Raises:
        InvalidInput: it has none, or the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    if not preview.curves:
        raise InvalidInput("; ".join(preview.warnings) or "there is no schedule to draw", field="--plot")
    if path.suffix not in PICTURES:
        raise InvalidInput(f"a picture is a {' or '.join(PICTURES)} file (got {str(path)!r:.100})", field="--plot")
    figure = Figure(figsize=(9, 5.4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    spec = preview.spec
    per_unit, unit = (preview.drawn_per_epoch, "epoch") if preview.drawn_per_epoch else (1, "update")
    # the last update's rate holds to the horizon
    x = np.array([*preview.updates, spec.horizon.get("updates") or (spec.epochs or 0) * per_unit]) / per_unit
    low, high = (np.array([*edge, edge[-1]]) for edge in (preview.low, preview.high))
    floor = min(_positive(table).min() for table in (high, low) if table.max() > 0)
    all_of_them = preview.looked_at == preview.trials
    label = f"between these lie {'all' if all_of_them else 'the first'} {preview.looked_at} schedules"
    axes.fill_between(x, np.maximum(low, floor / 2), np.maximum(high, floor / 2), color="0.9", step="post", label=label)
    families = list(dict.fromkeys(curve.schedule.family for curve in preview.curves))
    steps: dict[str, Any] = {"drawstyle": "steps-post", "linewidth": 1.4, "alpha": 0.8}
    for curve in preview.curves:
        rates = np.array([*curve.lr, curve.lr[-1]])
        its = families.index(curve.schedule.family)
        axes.plot(x, np.where(rates > 0, rates, np.nan), color=f"C{its % 10}", **steps)
    for number, family in enumerate(families):
        n = sum(curve.schedule.family == family for curve in preview.curves)
        axes.plot([], [], color=f"C{number % 10}", label=f"{family}: {n} of the first {len(preview.curves)}", **steps)
    axes.set_yscale("log")
    axes.set_ylim(float(floor) * 0.7, float(high.max()) * 1.4)
    axes.set_xlabel(unit)
    axes.set_ylabel("learning rate")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(f"{spec.name or spec.task}: before it is trained")
    axes.grid(visible=True, which="major", alpha=0.25)
    axes.margins(x=0.01)
    figure.legend(loc="outside lower left", frameon=False, ncols=3)
    try:
        figure.savefig(path)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}", field="--plot") from None


def _positive(table: FloatArray) -> FloatArray:
    """The rates above 0, not further than ``DECADES`` below the peak."""
    positive: FloatArray = table[table > table.max() * 10.0**-DECADES]
    return positive
