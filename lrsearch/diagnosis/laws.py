"""What the rules measure: each law turns a trace into one number, the larger the worse, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from .trace import NORM, Trace

Number = float | str
TINY = 1e-300
EARLY = 0.1
"""The share of a training that counts as its beginning; ten updates at least."""
LASTS = 0.25
"""The share of a training in which a rise from the beginning has its top."""
BACK = 0.5
"""A loss that rose and ends below this share of its first value has come back: the beginning alone was at fault."""
FELL = 0.5
"""A loss that fell to less than this share of its first value has been learnt from."""
STEADY = 1e-3
"""A rate whose updates move the weights by more than this share is not low."""


STILL = 0.1
"""Weights whose updates add up to less than this share of their size have hardly moved in the whole training."""


class Finding(NamedTuple):
    """How strongly a trace shows something, and the numbers for its words."""

    strength: float
    numbers: Mapping[str, Number]


def lost_suddenly(trace: Trace) -> Finding | None:
    """1 where the loss left the finite numbers though nothing had grown; also in update 0, or in validation alone."""
    if trace.divergence is None or trace.divergence[2]:
        return None
    update, rate, _ = trace.divergence
    numbers: dict[str, Number] = {"update": update, "rate": rate, "how": "before anything was trained"}
    if not len(trace.loss):
        return Finding(1.0 if update == 0 else 0.0, numbers)
    typical = max(trace.first, float(np.median(trace.loss)) - trace.floor, TINY)
    grew = (float(trace.loss_max[-1]) - trace.floor) / typical
    norms = trace.grad_norm[np.isfinite(trace.grad_norm)]
    steeper = float(norms[-1] / np.median(norms)) if len(norms) and np.median(norms) > 0 else 1.0
    moved = float(trace.ratios[-1]) if len(trace.ratios) else 0.0
    calm = grew <= 2 and steeper <= 10 and moved <= 0.5
    numbers["how"] = f"out of the blue: the loss was {trace.loss[-1]:.3g} just before, and calm"
    return Finding(float(calm), numbers)


def diverged(trace: Trace) -> Finding | None:
    """1 where a training diverged."""
    if trace.divergence is None:
        return None
    update, rate, _ = trace.divergence
    best = float(trace.loss.min()) if len(trace.loss) else float("nan")
    return Finding(1.0, {"update": update, "rate": rate, "best": best, "share": update / trace.horizon})


def steep_from_the_start(trace: Trace) -> Finding | None:
    """How many times the loss would change if a layer's weights changed by their own size, to first order; the most.

    ``|gradient| |weights| / loss`` in update 0. A loss that is linear in each layer's weights has 1 or less of it along
    the weights; the unit of the loss does not matter. Layers whose gradient is smaller than their weights do not count:
    where the loss is next to nothing, everything is large beside it.
    """
    if not len(trace.signs) or not trace.started or not trace.first > 0:
        return None
    ratios, norms = trace.signs[0, :, 0], trace.signs[0, :, NORM]
    times = np.where(ratios >= 1, ratios * norms**2 / trace.first, 0.0)
    if not np.isfinite(times).any():
        return None
    at = int(np.nanargmax(times))
    norm = float(trace.grad_norm[0]) if len(trace.grad_norm) else float("nan")
    return Finding(float(times[at]), {"times": float(times[at]), "layer": trace.layers[at], "norm": norm})


def fading(trace: Trace) -> Finding | None:
    """How many times smaller the smallest gradient-to-weight ratio of a layer is than the largest, typically.

    Layers behind one whose units are all dead have no gradient at all: that is another matter. Where all layers'
    gradients are next to nothing though little was learnt, they vanish everywhere.
    """
    if not len(trace.signs) or len(trace.layers) < 2:
        return None
    rows = trace.signs[:, :, 0]
    highest = rows.max(axis=1, keepdims=True)
    shares = np.median(np.where(highest > 0, rows / np.where(highest > 0, highest, 1), 1.0), axis=0)
    weak = np.flatnonzero(shares < 1 / FADED)
    if len(weak) and np.any(shares[weak] > 0):
        deepest = int(weak[-1])
        best = int(np.argmax(shares))
        least = int(weak[np.argmin(shares[weak])])
        above = trace.layers[deepest + 1] if deepest + 1 < len(trace.layers) else trace.layers[best]
        numbers: dict[str, Number] = {"share": float(shares[least]), "layer": trace.layers[least], "above": above}
        numbers |= {"best": trace.layers[best], "count": float(len(weak)), "of": float(len(trace.layers))}
        return Finding(1 / max(float(shares[least]), TINY), numbers)
    usual = float(np.median(highest))
    if 0 < usual < 1e-5 and trace.end > FELL * trace.first:
        numbers = {
            "share": usual,
            "layer": "every layer",
            "above": "the loss",
            "best": "the weights",
            "count": 0.0,
            "of": 0.0,
        }
        return Finding(1 / usual, numbers)
    return None


FADED = 1000.0
"""A layer whose gradient-to-weight ratio is so many times smaller than the largest has lost its gradient."""


def dead(trace: Trace) -> Finding | None:
    """The largest share of a layer's units without any gradient, as a part of what is too much of them.

    That is ``MOST`` in the last half of the intervals, or ``ALWAYS`` in every single one. A layer whose input is dead
    gets none either: the first such layer is named. Where all gradients have shrunk to nothing, as in a loss that is
    solved, it is none of the units.
    """
    if not len(trace.signs):
        return None
    norms = trace.grad_norm[np.isfinite(trace.grad_norm)]
    if len(norms) and np.median(norms[len(norms) // 2 :]) < 1e-4 * norms.max() and trace.end < 0.05 * trace.first:
        return None
    late = np.median(trace.signs[len(trace.signs) // 2 :, :, 2], axis=0)
    always = trace.signs[:, :, 2].min(axis=0) if len(trace.signs) >= 4 else np.zeros_like(late)
    strengths = np.maximum(late / MOST, always / ALWAYS)
    at = int(np.argmax(strengths))
    if late[at] < 0.97 and trace.end < 0.1 * trace.first:
        return None  # it has learnt all the same
    return Finding(float(strengths[at]), {"share": float(late[at]), "layer": trace.layers[at]})


MOST = 0.8
"""The share of a layer's units without gradient, late, that is called dead."""
ALWAYS = 0.6
"""The same, if there never are fewer: a single example leaves half of all ReLU units without, but others each time."""


def _early(trace: Trace) -> np.ndarray:
    return trace.updates <= max(EARLY * trace.horizon, 10.0 if trace.in_updates else 1.0)


def rose_early(trace: Trace) -> Finding | None:
    """How many times its best the loss rose at once, at a high rate, before it fell; nothing as high once it is back.

    A loss that diverged at once at its full rate counts as well; one that never came back does not: it is the rate.
    A single batch that costs more than the first one did is no rise: of three in a row two must.
    """
    if len(trace.loss) == 0:
        return None
    early = _early(trace)
    if trace.divergence is not None:
        return _diverged_at_once(trace, early)
    level, most = trace.loss - trace.floor, trace.loss_max - trace.floor
    recovered = trace.end < BACK * trace.first and (not len(trace.ratios) or trace.ratios[-1] > 1e-6)
    usual = _of_three(level)
    above = np.flatnonzero(early & (most >= 1.3 * trace.first) & (_of_three(most) >= 1.3 * trace.first))
    above = above[above > 0]
    if not len(above) or early.sum() < 2 or not recovered:
        return None
    began = int(above[0])
    # it may rise on for a while: momentum carries it, and so does a rate that falls slowly
    near = np.flatnonzero(trace.updates <= max(LASTS * trace.horizon, float(trace.updates[early][-1])))
    at = began + int(np.argmax(most[began : near[-1] + 1]))
    times = float(most[at] / max(float(usual[:at].min()), TINY))
    back = at + 1 + np.flatnonzero(most[at + 1 :] < 0.5 * most[at])[:1]
    high = not np.isfinite(trace.lr).any() or trace.lr[began : at + 1].max() >= 0.3 * trace.peak_rate
    # as long as it may rise on it may also swing
    if not len(back) or most[max(back[0], near[-1]) :].max() > 0.7 * most[at] or not high:
        return None
    share = float(trace.updates[at]) / trace.horizon
    return Finding(times, {"times": times, "share": share, "rate": float(trace.lr[began])})


def _diverged_at_once(trace: Trace, early: np.ndarray) -> Finding | None:
    assert trace.divergence is not None
    update, rate, _ = trace.divergence
    ramped = len(trace.lr) and np.nanmin(trace.lr, initial=np.inf) < 0.5 * rate
    if update > max(EARLY * trace.horizon, 10.0) or not early.all() or ramped:
        return None
    return Finding(np.inf, {"times": np.inf, "share": update / trace.horizon, "rate": rate})


def _of_three(values: np.ndarray) -> np.ndarray:
    """The median of each value and its two neighbours; at the ends, of itself and the one beside it the lower."""
    padded = np.concatenate([[-np.inf], values, [-np.inf]])
    medians: np.ndarray = np.median(np.stack([padded[:-2], values, padded[2:]]), axis=0)
    return medians


def too_fast(trace: Trace) -> Finding | None:
    """How far above its share of the first loss a training ends whose updates were large, or whose loss had risen."""
    if trace.divergence is not None or len(trace.loss) < 2:
        return None
    rose = float((trace.loss_max.max() - trace.floor) / trace.first)
    fast = trace.ratios.max(initial=0.0) if len(trace.ratios) else float("nan")
    flat = abs(trace.between(0.4, 0.6) - trace.end) < 0.05 * trace.first
    stuck = trace.end > 0.9 * trace.first or (flat and trace.end > 0.3 * trace.first)
    killed = rose >= 3 and len(trace.ratios) > 0 and trace.ratios[-1] < 1e-6 * fast
    restless = (
        (rose >= 3 and trace.end > BACK * trace.first)
        or trace.end > 1.5 * trace.first
        or (stuck and (fast >= 0.3 or trace.ratio >= 0.03))
    )
    if not (restless or killed):
        return None
    strength = np.inf if killed else trace.end / trace.first
    numbers = {"first": trace.first + trace.floor, "end": trace.end + trace.floor, "rose": rose, "ratio": float(fast)}
    return Finding(strength, numbers | {"rate": trace.peak_rate})


def spikes(trace: Trace) -> Finding | None:
    """How many times the loss around it the largest spike was: an outlier from which training came back."""
    level, most = trace.loss - trace.floor, trace.loss_max - trace.floor
    late = np.flatnonzero(~_early(trace) & (np.arange(len(level)) < len(level) - 1))
    if len(late) < 5 or not (most > 0).all():
        return None
    around = np.array([np.median(np.concatenate([level[max(0, i - 3) : i], level[i + 1 : i + 4]])) for i in late])
    times, excess = most[late] / np.maximum(around, TINY), (most[late] - around) / trace.first
    logs = np.log(np.maximum(times, TINY))
    spread = 1.4826 * float(np.median(np.abs(logs - np.median(logs))))
    outliers = (logs - np.median(logs) > max(5 * spread, np.log(3))) & (excess >= 0.25)
    everywhere = np.median(times) >= 10 and np.median(excess) >= 1
    found = [
        (float(times[n]), int(i))
        for n, i in enumerate(late)
        if (outliers[n] or everywhere) and level[i + 1 :].min() <= 2 * around[n]
    ]
    if not found:
        return None
    largest, at = max(found)
    numbers: dict[str, Number] = {"times": largest, "update": float(trace.updates[at]), "count": float(len(found))}
    return Finding(largest, numbers | {"rate": float(trace.lr[at]), "norm": float(trace.grad_norm[at])})


def too_slow(trace: Trace) -> Finding | None:
    """The share of the first loss that is left, where it still falls about as fast for its rate, or nothing moves."""
    if trace.divergence is not None or len(trace.loss) < 3:
        return None
    left = trace.end / trace.first
    still = trace.in_updates and len(trace.ratios) > 0 and float(trace.ratios.mean() * trace.updates[-1]) < STILL
    low = not len(trace.ratios) or trace.ratio < STEADY
    start, middle, end = trace.between(0.0, 0.1), trace.between(0.45, 0.55), trace.between(0.9, 1.0)
    half = trace.updates <= 0.5 * trace.updates[-1]
    rates = np.where(np.isfinite(trace.lr), trace.lr, 1.0)
    widths = np.diff(trace.updates, prepend=0.0)
    paid = [float((rates * widths)[mask].sum()) for mask in (half, ~half)]
    falls = [(start - middle) / max(paid[0], TINY), (middle - end) / max(paid[1], TINY)]
    goes_on = middle - end > 0.1 * (start - middle)
    falling = start - end > 0.005 * trace.first and falls[0] > 0 and falls[1] > 0.4 * falls[0] and goes_on
    if not (still or (falling and low)):
        return None
    how = "and falls on" if falling else "as nothing moves"
    numbers: dict[str, Number] = {"fell": max(0.0, 100 * (1 - left)), "ratio": trace.ratio, "how": how}
    return Finding(left, numbers | {"rate": trace.peak_rate})


def flat(trace: Trace) -> Finding | None:
    """The share of the first loss that is left, where it no longer falls in the second half; twice that where the rate
    is as good as gone by then.
    """
    if trace.divergence is not None or len(trace.loss) < 3:
        return None
    left, middle = trace.end / trace.first, trace.between(0.4, 0.6)
    if abs(middle - trace.end) > 0.03 * trace.first:
        return None
    level = trace.loss - trace.floor
    near = level <= trace.end + 0.05 * trace.first
    since = float(trace.updates[int(np.argmax(near))])
    late = trace.lr[trace.updates > 0.5 * trace.updates[-1]]
    rate = float(np.median(late)) if len(late) else float("nan")
    gone = rate < 0.05 * trace.peak_rate
    return Finding(
        2 * left if gone else left,
        {"end": trace.end + trace.floor, "since": since, "rate": rate, "fell": 100 * (1 - left)},
    )


def overfitted(trace: Trace) -> Finding | None:
    """How many times its best the validation loss ends at, while the training loss went on falling."""
    train, val = trace.epochs.T if len(trace.epochs) else (np.empty(0), np.empty(0))
    if len(val) < 4 or not np.isfinite(trace.epochs).all() or val.min() <= 0:
        return None
    best = int(np.argmin(val))
    if best > 0.7 * len(val) or train[-1] > 0.8 * train[best]:
        return None
    times = float(val[-1] / val[best])
    strength = times / FAR if times >= FAR or not _climbs(val[best:]) else times / LITTLE
    return Finding(strength, {"epoch": float(best + 1), "best": float(val[best]), "end": float(val[-1])})


FAR = 1.2
"""How many times its best a validation loss ends at that has risen, however it came there."""
LITTLE = 1.05
"""The same of one that climbed all the way."""


def _climbs(losses: np.ndarray) -> bool:
    """Whether losses rise in nearly every stretch, by far more than they differ from one epoch to the next."""
    if len(losses) < 8:
        return False
    later, before = np.triu_indices(len(losses), 1)[::-1]
    rising = float(np.mean(losses[later] > losses[before]))
    return rising >= 0.9 and losses[-1] - losses[0] >= 5 * float(np.median(np.abs(np.diff(losses, 2))))
