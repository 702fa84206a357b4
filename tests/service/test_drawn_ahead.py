"""Trials that are drawn before anybody begins them, and what comes between."""

from __future__ import annotations

import random

import pytest

from lrsearch.service import Service
from lrsearch.study import TrialRequest

from .climber import Climber
from .conftest import TOY
from .test_rungs import ASHA, play


@pytest.mark.parametrize("n_services", [1, 2])
@pytest.mark.parametrize("pruner", [ASHA["pruner"], "none"])
def test_a_trial_that_is_added_costs_no_other(service, toy, spec, pruner, n_services):
    """What was drawn ahead is drawn again after it, also by a service that only shares the database."""
    space = {"family": "cosine", "initial_lr": [0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "warmup": [0, 1]}
    offers = (TOY,)
    toy().ask(hold=0)
    service.create(spec(epochs=8, pruner=pruner, space=space, sampler="grid", budget={"trials": 17}))
    worker = Climber(service, "w", offers)
    worker.ask(2, "s")
    schedule = {"family": "cosine", "initial_lr": 0.07, "epochs": 8}
    elsewhere = service if n_services == 1 else Service(service.store, service.settings)
    added = elsewhere.add_trial("s", TrialRequest.model_validate({"schedule": schedule}))
    assert added.number == 2
    service.release(worker.lease)
    play(service, "s", random.Random(1), offers, 2, 3)
    trials = service.trials("s", limit=100).items
    assert [trial.number for trial in trials] == list(range(17))
    assert len({repr(trial.params) for trial in trials if trial.origin == "sampler"}) == 16, "every cell once"
    assert {trial.state for trial in trials} <= {"completed", "pruned", "diverged"}
