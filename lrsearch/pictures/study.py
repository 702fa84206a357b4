"""A study drawn: every schedule tried and what it reached, the best marked; or one trial."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidInput
from ..schedules import FloatArray
from ..study import Study
from .canvas import Canvas, lowest, scaled
from .trained import Trained, quantities

GOOD = 0.75
"""Colours and axes spread over this share of the trials; what is worse shares one end, or leaves the picture."""
FEW = 12
"""Up to so many epochs each is marked by a dot."""
WITHOUT_VALUE: dict[str, dict[str, Any]] = {
    "diverged": {"color": "0.35", "linestyle": ":"},
    "pruned": {"color": "0.6", "linestyle": "-"},
    "under way, or stopped": {"color": "0.6", "linestyle": "--"},
}
"""How trials without a value are drawn."""
BEST: dict[str, Any] = {"color": "crimson", "linewidth": 2.4, "zorder": 5}
TRAINED: dict[str, Any] = {"color": "crimson", "linewidth": 1.2, "linestyle": "--", "markerfacecolor": "white"}
HALO: dict[str, Any] = {"color": "white", "linewidth": 4.8, "zorder": 4}
STEPS = {"drawstyle": "steps-post"}


def paint_study(path: Path, study: Study, trained: Sequence[Trained]) -> None:
    """Draw the schedules tried and their curves into a .png or .svg file, coloured by value, the best one marked.

    One panel for the rates, and one a quantity that was measured, the objective's first: its held-out part, where
    there is one. Trials end where their training did. What is far worse than most leaves the picture at its edge.

    Args:
        path: where to write.
        study: the study.
        trained: its trials, or the best of them.

    Raises:
        InvalidInput: nothing has been trained yet, or the file cannot be written.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    shown = [one for one in trained if one.end]
    if not shown:
        raise InvalidInput(f"study `{study.name}` has trained nothing yet: look at it with `lrsearch preview`")
    metric, minimize = study.spec.objective.metric or "value", study.spec.minimize
    best = study.best.trial if study.best is not None else None
    values = [one.trial.value for one in shown if one.trial.value is not None and one.trial.number != best]
    low, high = (float(edge) for edge in np.quantile(values or [0.0], [0.0, GOOD] if minimize else [1 - GOOD, 1.0]))
    colours = ScalarMappable(Normalize(low, max(high, low + 1e-12)), "viridis" if minimize else "viridis_r")
    panels = quantities(shown, metric)
    canvas = Canvas(path, 1 + len(panels))
    styles = {one.trial.number: _style(one, colours) for one in shown}
    order = sorted(shown, key=lambda one: (one.trial.value is not None, one.trial.number))

    _draw_rates(canvas.axes[0], study, order, styles)
    for axes, parts in zip(canvas.axes[1:], panels.values(), strict=True):
        _draw_measured(axes, parts, order, styles, best)
    _legend(canvas, shown, best, metric, any({"train", "val"} <= set(parts) for parts in panels.values()))
    if values:
        better, beyond = ("lower", "max") if minimize else ("higher", "min")
        label = f"{metric} ({better} is better)"
        canvas.figure.colorbar(colours, ax=canvas.axes, label=label, pad=0.01, extend=beyond, aspect=40)
    n = sum(study.progress.trials.values())
    of = f"{len(shown):,} of {n:,} schedules" if n > len(shown) else f"{n:,} schedule{'s' * (n != 1)}"
    task = "" if study.spec.external else f" on {study.spec.task}"
    canvas.finish(f"{study.name}: {of}{task}", _unit(study))


def _draw_rates(axes: Any, study: Study, order: Sequence[Trained], styles: Mapping[int, dict[str, Any]]) -> None:
    best = study.best.trial if study.best is not None else None
    floors, peaks = [], []
    for one in order:
        x, y = one.rates(study)
        floors.append(lowest(y))
        peaks.append(y.max())
        _line(axes, x, np.where(y > 0, y, np.nan), styles[one.trial.number] | STEPS, is_best=one.trial.number == best)
    axes.set_yscale("log")
    axes.set_ylim(min(floors) * 0.7, max(peaks) * 1.4)
    axes.set_ylabel("learning rate")


def _draw_measured(
    axes: Any,
    parts: Mapping[str, str],
    order: Sequence[Trained],
    styles: Mapping[int, dict[str, Any]],
    best: int | None,
) -> None:
    """A quantity on held-out data; of the best trial on training data too."""
    held_out = next(parts[part] for part in ("val", "", "test", "train") if part in parts)
    reach = []
    for one in order:
        x, y = one.measured(held_out)
        reach.append((one, y))
        marker = {"marker": "o", "markersize": 3} if _few(one, x) else {}
        _line(axes, x, y, styles[one.trial.number] | marker, is_best=one.trial.number == best)
        if one.trial.number == best and held_out != parts.get("train", held_out):
            x, y = one.measured(parts["train"])
            axes.plot(x, y, zorder=6, **(marker | TRAINED))
            reach.append((one, y))
    scaled(axes, _within_reach(reach, best))
    axes.set_ylabel(held_out)


def paint_trial(path: Path, study: Study, one: Trained) -> None:
    """Draw one trial's rates and curves into a .png or .svg file: means over seeds, and each seed faintly.

    Args:
        path: where to write.
        study: its study.
        one: the trial.

    Raises:
        InvalidInput: it has not been trained yet, or the file cannot be written.
    """
    trial = one.trial
    if not one.end:
        raise InvalidInput(f"trial {trial.number} of study `{study.name}` has not been trained yet")
    panels = quantities([one], study.spec.objective.metric)
    canvas = Canvas(path, 1 + len(panels))
    x, y = one.rates(study)
    canvas.axes[0].plot(x, y, color="black", linewidth=1.6, **STEPS)
    canvas.axes[0].set_yscale("log")
    canvas.axes[0].set_ylim(lowest(y) * 0.7, y.max() * 1.4)
    canvas.axes[0].set_ylabel("learning rate")
    seeds = sorted({point.seed for point in one.points if point.seed is not None})
    seen: dict[str, str] = {}
    for axes, (quantity, parts) in zip(canvas.axes[1:], panels.items(), strict=True):
        shown = []
        for part, metric in parts.items():
            colour = {"train": "tab:blue", "val": "tab:orange", "test": "tab:green"}.get(part, "black")
            x, y = one.measured(metric)
            few = {"marker": "o", "markersize": 4} if _few(one, x) else {}
            axes.plot(x, y, color=colour, linewidth=1.8, **few)
            shown.append(y)
            for seed in seeds if len(seeds) > 1 else ():
                x, y = one.measured(metric, seed)
                axes.plot(x, y, color=colour, linewidth=0.8, alpha=0.4)
                shown.append(y)
            seen[part or "measured"] = colour
        scaled(axes, shown)
        axes.set_ylabel(quantity)
    for part, colour in seen.items():
        canvas.axes[0].plot([], [], color=colour, linewidth=1.8, label=part)
    for axes in canvas.axes if (ended := _ended(one)) else ():
        label = ended if axes is canvas.axes[0] else None
        axes.axvline(one.end, color="0.4", linewidth=1.0, linestyle=":", label=label)
        axes.set_xlim(0, trial.schedule.horizon)
    value = f", {study.spec.objective.metric} {trial.value:.4g}" if trial.value is not None else ""
    canvas.finish(f"{study.name}, trial {trial.number}: {trial.schedule.family}{value}", _unit(study))


def _few(one: Trained, x: Any) -> bool:
    return len(x) == 1 or one.trial.schedule.horizon <= FEW * (one.trial.schedule.eval_every or 1)


def _unit(study: Study) -> str:
    return "epoch" if study.spec.epochs is not None else "update"


def _state(one: Trained) -> str:
    return one.trial.state if one.trial.state in WITHOUT_VALUE else "under way, or stopped"


def _style(one: Trained, colours: Any) -> dict[str, Any]:
    if one.trial.value is None:
        return WITHOUT_VALUE[_state(one)] | {"linewidth": 0.9, "zorder": 1}
    return {"color": colours.to_rgba(one.trial.value), "linewidth": 1.1, "alpha": 0.75, "zorder": 2}


def _line(axes: Any, x: Any, y: Any, style: dict[str, Any], *, is_best: bool) -> None:
    if is_best:
        axes.plot(x, y, **(style | HALO))
    axes.plot(x, y, **(style | {"alpha": 1.0} | BEST if is_best else style))


def _within_reach(curves: Sequence[tuple[Trained, FloatArray]], best: int | None) -> list[FloatArray]:
    """The curves that an axis is made for: most trials' and the best one's; of all, where none has a value."""
    ended = [(one, y) for one, y in curves if one.trial.value is not None] or curves
    heights = [float(np.abs(y[np.isfinite(y)]).max(initial=0.0)) for _, y in ended]
    limit = sorted(heights)[int(GOOD * (len(heights) - 1))]
    return [y for (one, y), height in zip(ended, heights, strict=True) if one.trial.number == best or height <= limit]


def _legend(canvas: Canvas, shown: Sequence[Trained], best: int | None, metric: str, trains: bool) -> None:
    axes = canvas.axes[0]
    for one in shown:
        if one.trial.number == best and one.trial.value is not None:
            label = f"best: trial {best}, {one.trial.schedule.family}, {metric} {one.trial.value:.4g}"
            axes.plot([], [], **BEST, label=label)
            if trains:
                axes.plot([], [], **TRAINED, label="the same on training data")
    for state, n in Counter(_state(one) for one in shown if one.trial.value is None).items():
        axes.plot([], [], linewidth=0.9, **WITHOUT_VALUE[state], label=f"{state}: {n}")


def _ended(one: Trained) -> str:
    """How it ended before its horizon; nothing where it did not."""
    trial = one.trial
    if trial.diverged_at is not None:
        at = f" at rate {trial.diverged_at.lr:.3g}" if trial.diverged_at.lr is not None else ""
        return f"diverged in update {trial.diverged_at.update}{at}"
    if one.end >= trial.schedule.horizon:
        return ""
    return "stopped early" if trial.stopped_at is not None else trial.state
