"""Pruners: which trials are not worth their whole horizon."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ..frozen import Frozen, Natural, Positive
from ..union import UNTAGGED
from .optimizers import named


class NoPruner(Frozen):
    """Every trial runs to its horizon."""

    name: Literal["none"] = "none"


class MedianPruner(Frozen):
    """Stops a trial whose best value so far is worse than the median of earlier trials at the same epoch.

    Trial n is compared with the trials before n - parallel + 1 that reached the epoch (8 where parallel is
    unlimited), and waits until those have ended: so decisions do not depend on timing.
    """

    name: Literal["median"] = "median"
    startup_trials: Natural = 5
    """Nothing is stopped before this many trials can be compared with."""
    startup_epochs: Natural = 0
    """No trial is stopped before it finished this many epochs."""


class RungPruner(Frozen):
    """What asha and hyperband have in common: trials wait at rungs, and the best of each go on."""

    min_epochs: Positive = 1
    """The first rung: finished epochs (reporting intervals where the horizon is in updates)."""
    reduction_factor: Annotated[Positive, Field(ge=2)] = 3
    """Of so many trials at a rung one goes on; each rung is so many times further than the one before."""
    compare: Literal["same-epoch", "same-phase"] = "same-epoch"
    """Whether the trials of a rung have finished the same epochs, or the same share of their own decay."""


class AshaPruner(RungPruner):
    """Trials wait at rungs with their state kept; the best 1 / reduction_factor of each rung go on.

    Asynchronous successive halving (Li et al., MLSys 2020), decided in the order of trial numbers.
    """

    name: Literal["asha"] = "asha"


class HyperbandPruner(RungPruner):
    """Several asha brackets whose first rungs are ever later, in Hyperband's proportions (Li et al., JMLR 2018)."""

    name: Literal["hyperband"] = "hyperband"


AnyPruner = Annotated[
    NoPruner | MedianPruner | AshaPruner | HyperbandPruner,
    Field(discriminator="name"),
    UNTAGGED,
    BeforeValidator(named, json_schema_input_type=dict | str),
]
