"""A preview drawn: what a study's schedules lie between, and the first of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidInput
from ..study import Preview
from .canvas import Canvas, positive


def paint_preview(path: Path, preview: Preview) -> None:
    """Draw what a study's schedules lie between, and its first ones by family, into a .png or .svg file.

    Args:
        path: where to write.
        preview: a preview with curves.

    Raises:
        InvalidInput: it has none, or the file cannot be written.
    """
    if not preview.curves:
        raise InvalidInput("; ".join(preview.warnings) or "there is no schedule to draw", field="--plot")
    canvas = Canvas(path, field="--plot")
    axes = canvas.axes[0]
    spec = preview.spec
    per_unit, unit = (preview.drawn_per_epoch, "epoch") if preview.drawn_per_epoch else (1, "update")
    # the last update's rate holds to the horizon
    x = np.array([*preview.updates, spec.horizon.get("updates") or (spec.epochs or 0) * per_unit]) / per_unit
    low, high = (np.array([*edge, edge[-1]]) for edge in (preview.low, preview.high))
    floor = min(positive(table).min() for table in (high, low) if table.max() > 0)
    all_of_them = preview.looked_at == preview.trials
    label = f"between these lie {'all' if all_of_them else 'the first'} {preview.looked_at} schedules"
    axes.fill_between(x, np.maximum(low, floor / 2), np.maximum(high, floor / 2), color="0.9", step="post", label=label)
    families = list(dict.fromkeys(curve.schedule.family for curve in preview.curves))
    steps: dict[str, Any] = {"drawstyle": "steps-post", "linewidth": 1.4, "alpha": 0.8}
    highest = float(high.max())
    for curve in preview.curves:
        rates = np.array([*curve.lr, curve.lr[-1]])
        its = families.index(curve.schedule.family)
        axes.plot(x, np.where(rates > 0, rates, np.nan), color=f"C{its % 10}", **steps)
        for of_group in curve.groups.values():
            own = np.array([*of_group, of_group[-1]])
            axes.plot(x, np.where(own > 0, own, np.nan), color=f"C{its % 10}", linestyle=":", **steps)
            highest = max(highest, float(own.max()))
    for number, family in enumerate(families):
        n = sum(curve.schedule.family == family for curve in preview.curves)
        axes.plot([], [], color=f"C{number % 10}", label=f"{family}: {n} of the first {len(preview.curves)}", **steps)
    if names := sorted({name for curve in preview.curves for name in curve.groups}):
        axes.plot([], [], color="0.4", linestyle=":", label=f"of the same trials: {', '.join(names)}", **steps)
    axes.set_yscale("log")
    axes.set_ylim(float(floor) * 0.7, highest * 1.4)
    axes.set_ylabel("learning rate")
    canvas.finish(f"{spec.name or spec.task}: before it is trained", unit)
