"""What is measured of a training besides its metrics, and what is made of it."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydantic import Field

from ..frozen import AtMost, Frozen, Natural, Positive
from .text import Metric, Text

MAX_PIECES = 64
Updates = Annotated[tuple[Positive, ...], Field(max_length=MAX_PIECES, fail_fast=True)]
Measures = Annotated[tuple[Metric, ...], Field(max_length=MAX_PIECES, fail_fast=True)]


class LayerSigns(NamedTuple):
    """One layer's weights. Null = was not finite."""

    gradient: Metric
    """The gradient's norm over the weights' norm."""
    update_ratio: Metric
    """The norm of what an update changed over the weights' norm."""
    dead: Metric
    """The share of output units whose gradient was exactly zero."""
    norm: Metric = None
    """The weights' norm."""


Layers = Annotated[dict[Annotated[str, Field(max_length=200)], LayerSigns], AtMost(64)]


class Diagnostics(Frozen):
    """How one interval was trained, thinned; four significant digits. Numbers of updates count finished ones.

    ``loss``, ``loss_max``, ``grad_norm``, ``lr`` belong to pieces of the interval that end at ``updates``: the median
    and the largest training loss of a piece's batches, its largest gradient norm before clipping, its last rate.
    ``update_ratio`` is that of all weights together, of single updates: those that ended at ``sampled``.
    """

    updates: Updates
    loss: Measures
    loss_max: Measures
    grad_norm: Measures
    lr: Measures
    sampled: Updates = ()
    update_ratio: Measures = ()
    layers: Layers = {}
    """Means over the sampled updates, from the input's layer to the output's; at most 32 layers."""
    start: Annotated[Layers | None, Field(exclude_if=lambda value: value is None)] = None
    """The layers in update 0, before anything was trained."""


class Verdict(Frozen):
    """One thing that a training shows, and the numbers behind it."""

    rule: str
    words: Text
    numbers: dict[str, Metric | str]


class LayerState(Frozen):
    """How a layer's gradients were over a training, in the middle of its intervals."""

    name: str
    gradient: Metric
    update_ratio: Metric
    dead: Metric
    state: str
    """exploding, vanishing, dead or fine."""


class Diagnosis(Frozen):
    """What a training's records show: verdicts, the most telling first; ``healthy`` alone if there is nothing."""

    verdicts: tuple[Verdict, ...]
    layers: tuple[LayerState, ...] = ()
    shares: dict[str, float] = {}
    """The share of layers in each state; empty where no layers were measured."""
    n_updates: Natural = 0
    """Updates that the records tell of; 0 where they only count epochs."""

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return [verdict.rule for verdict in self.verdicts] == ["healthy"]
