"""The rules of a diagnosis as data: what each looks for, from where on it speaks, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import laws
from .laws import Finding
from .trace import Trace


@dataclass(frozen=True)
class Rule:
    """One failure of a training.

    Attributes:
        name: what it is called.
        meaning: its definition, for people.
        law: measures how strongly a trace shows it; None = not at all.
        threshold: the least strength that is told.
        words: the verdict, filled in with the law's numbers.
        unless: rules that explain it: where one of them speaks, this one does not.
    """

    name: str
    meaning: str
    law: Callable[[Trace], Finding | None]
    threshold: float
    words: str
    unless: tuple[str, ...] = ()


RULES: tuple[Rule, ...] = (
    Rule(
        "exploding-gradients",
        "gradients are so large for the loss, before anything is trained, that any usual rate is too high",
        laws.steep_from_the_start,
        20.0,
        "gradients explode: in update 0 those of `{layer}` would change the loss {times:.3g} times over if its weights "
        "changed by their own size (norm of all {norm:.3g}); scale the initial weights or the data, normalise, or clip",
    ),
    Rule(
        "not-finite",
        "the loss is not finite though training was calm: the data or the loss, not the rate",
        laws.lost_suddenly,
        1.0,
        "the loss is not finite at update {update:.0f}, {how}; look for NaN, infinity, a log or a "
        "division in data or loss",
        ("exploding-gradients",),
    ),
    Rule(
        "diverged",
        "the loss grew until it left the finite numbers or its bound",
        laws.diverged,
        1.0,
        "diverged at update {update:.0f}, rate {rate:.3g}, {share:.0%} of the way (best loss before: {best:.3g}); "
        "lower the rate or lengthen the warm-up",
        ("not-finite", "exploding-gradients"),
    ),
    Rule(
        "warm-up-too-short",
        "the loss rose far above its best at the beginning, at a high rate",
        laws.rose_early,
        1.8,
        "warm-up too short: the loss rose {times:.3g} times its best in the first {share:.1%}, at rate {rate:.3g}",
        ("not-finite", "exploding-gradients"),
    ),
    Rule(
        "rate-too-high",
        "steps so large that the loss stays about where it began, or above",
        laws.too_fast,
        0.25,
        "rate too high: at up to {rate:.3g} the loss rose to {rose:.3g} times its first value and ends at {end:.3g} "
        "(first {first:.3g}); updates changed the weights by up to {ratio:.1%}",
        ("not-finite", "diverged", "exploding-gradients", "warm-up-too-short"),
    ),
    Rule(
        "dead-units",
        "units that get no gradient from any example, so that they never change again",
        laws.dead,
        1.0,
        "dead units: {share:.0%} of those of `{layer}` get no gradient at all; lower the rate, or use a leaky "
        "activation or another initialisation",
        ("not-finite", "diverged", "exploding-gradients"),
    ),
    Rule(
        "vanishing-gradients",
        "layers near the input get gradients many times smaller than layers near the output",
        laws.fading,
        laws.FADED,
        "gradients vanish below `{above}`: at `{layer}` they are {share:.1g} of those at `{best}`, measured by the "
        "weights; use other activations, normalisation, residual paths or a larger initialisation",
        ("dead-units", "exploding-gradients"),
    ),
    Rule(
        "loss-spikes",
        "single batches with a loss far above those around them, from which training comes back",
        laws.spikes,
        4.0,
        "loss spikes: {count:.0f}, the largest {times:.3g} times the loss around it, before update {update:.0f} (rate "
        "{rate:.3g}, gradient norm {norm:.3g}); look at those batches, clip, or lower the rate",
        ("not-finite", "exploding-gradients", "rate-too-high"),
    ),
    Rule(
        "rate-too-low",
        "the loss is far from low and still falls as it did, for updates that move little",
        laws.too_slow,
        laws.FELL,
        "rate too low: the loss fell by {fell:.2g} % only, {how}; at up to {rate:.3g} an update changes the "
        "weights by {ratio:.2g} of their size",
        ("dead-units", "vanishing-gradients", "rate-too-high", "exploding-gradients"),
    ),
    Rule(
        "plateau",
        "the loss stopped falling long before the end, far from low",
        laws.flat,
        0.3,
        "plateau: the loss stays near {end:.3g} since update {since:.0f} (it fell by {fell:.2g} %; the later rate is "
        "{rate:.2g})",
        (
            "dead-units",
            "vanishing-gradients",
            "rate-too-high",
            "rate-too-low",
            "exploding-gradients",
            "warm-up-too-short",
        ),
    ),
    Rule(
        "overfitting",
        "the validation loss rises for long while the training loss falls",
        laws.overfitted,
        1.0,
        "overfits: the validation loss was lowest at epoch {epoch:.0f} ({best:.3g}) and ends at {end:.3g}; stop "
        "early or regularise",
        ("not-finite", "diverged", "exploding-gradients"),
    ),
)
"""In the order in which verdicts are told: causes before what they cause."""
HEALTHY = Rule(
    "healthy",
    "nothing of the above",
    lambda trace: Finding(1.0, {"fell": 100 * (1 - trace.end / trace.first), "ratio": trace.ratio}),
    0.0,
    "healthy: the loss fell by {fell:.0f} %",
)
