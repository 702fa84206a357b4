"""What a training's records show: verdicts in words, with the numbers behind them. Numpy alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..study import Diagnosis, Divergence, LayerState, Point, Verdict
from . import laws
from .laws import Finding
from .rules import HEALTHY, RULES, Rule
from .trace import Step, Trace, trace_of

THRESHOLDS = {rule.name: rule.threshold for rule in RULES}


def diagnose(
    records: Iterable[Point | Mapping[str, Any]],
    *,
    diverged_at: Divergence | None = None,
    horizon: int | None = None,
) -> Diagnosis:
    """Say what a training's records show.

    Args:
        records: the points of one seed's curve; or, from any loop, one mapping an update: ``{"update": 0, "loss": 2.3,
            "lr": 0.1}`` and, where they were measured, ``grad_norm``, ``update_ratio`` (the norm of what the update
            changed over the weights' norm) and ``layers``: ``{name: (gradient norm over weight norm, update norm over
            weight norm, share of units without gradient, weight norm)}``, from the input's layer to the output's.
            ``lrsearch.Recorder`` makes them for a torch model. NaN is welcome.
        diverged_at: where it diverged, if that is known.
        horizon: updates that were planned; by default as many as there are.

    Raises:
        InvalidInput: there are no records, or one is neither.
    """
    trace = trace_of(records, diverged_at=diverged_at, horizon=horizon)
    found: dict[str, Verdict] = {}
    for rule in RULES:
        with np.errstate(all="ignore"):
            finding = rule.law(trace)
        if finding is not None and finding.strength >= rule.threshold and not found.keys() & set(rule.unless):
            found[rule.name] = _verdict(rule, finding)
    if not found:
        finding = HEALTHY.law(trace)
        assert finding is not None
        found[HEALTHY.name] = _verdict(HEALTHY, finding)
    layers = _layers(trace)
    states = [layer.state for layer in layers]
    shares = {
        state: states.count(state) / len(states) for state in ("exploding", "vanishing", "dead", "fine") if states
    }
    n_updates = int(trace.updates[-1]) if trace.in_updates and len(trace.updates) else 0
    return Diagnosis(verdicts=tuple(found.values()), layers=layers, shares=shares, n_updates=n_updates)


def _verdict(rule: Rule, finding: Finding) -> Verdict:
    return Verdict(rule=rule.name, words=rule.words.format(**finding.numbers), numbers=dict(finding.numbers))


def _layers(trace: Trace) -> tuple[LayerState, ...]:
    """Every layer as it typically was, and in which state."""
    if not len(trace.signs):
        return ()
    usual = trace.usual_signs
    highest = usual[:, 0].max()

    first = trace.first if trace.first > 0 else math.inf

    def state(gradient: float, dead: float, norm: float) -> str:
        if dead >= THRESHOLDS["dead-units"]:
            return "dead"
        if gradient * norm**2 / first >= THRESHOLDS["exploding-gradients"]:
            return "exploding"
        return "vanishing" if gradient * laws.FADED < highest else "fine"

    return tuple(
        LayerState(name=name, gradient=gradient, update_ratio=ratio, dead=dead, state=state(gradient, dead, norm))
        for name, (gradient, ratio, dead, norm) in zip(trace.layers, usual.tolist(), strict=True)
        if math.isfinite(gradient)
    )


__all__ = ["HEALTHY", "RULES", "Diagnosis", "Rule", "Step", "Verdict", "diagnose"]
