"""Warm-ups: the ramp from ``warmup_start`` x peak at update 0 to the peak at update W."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .formula import Formula


@dataclass(frozen=True)
class WarmupShape:
    """A ramp as a share of the peak.

    Attributes:
        name: its name in a spec.
        help: one line for the catalog.
        formula: share of the peak at update u in [0, W), in ``u``, ``W`` (updates) and ``s`` (``warmup_start``).
        starts_at_zero: whether ``warmup_start`` may be 0.
    """

    name: str
    help: str
    formula: Formula
    starts_at_zero: bool


WARMUPS: Mapping[str, WarmupShape] = MappingProxyType(
    {
        shape.name: shape
        for shape in (
            WarmupShape("linear", "rises by the same amount every update", Formula("s + (1 - s) * u / W"), True),
            WarmupShape("exponential", "rises by the same factor every update", Formula("s ** ((W - u) / W)"), False),
            WarmupShape(
                "cosine",
                "rises along half a cosine: slowly, fast, slowly",
                Formula("s + (1 - s) * (1 - cos(pi * u / W)) / 2"),
                True,
            ),
        )
    }
)
"""Every warm-up shape by name."""
