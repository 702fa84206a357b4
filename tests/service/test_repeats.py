"""What is trained again is counted as repeated: trained = distinct + repeated, asked = trained - repeated + shared."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrsearch.service import Service, Settings
from lrsearch.store import Store
from lrsearch.trajectory import count_epochs

from .conftest import Toy

GRID = {
    "space": {
        "family": ["step", "cosine"],
        "initial_lr": [0.1, 0.01],
        "decay_rate": [0.1, 0.5],
        "step_size": [1, 2, 3],
        "warmup": [0, 1],
    },
    "epochs": 4,
    "sampler": "grid",
    "budget": {},
}


def counted(service, seeds=1):
    """Distinct epochs by brute force, the epochs of all schedules, and what the study says."""
    schedules = [trial.schedule for trial in service.trials("s", limit=100).items]
    asked, distinct = count_epochs(schedules, 4)
    return asked * seeds, distinct * seeds, service.study("s").progress.epochs


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9)), max_size=12), seeds=st.integers(1, 2))
def test_whoever_trains_what_again(tmp_path_factory, spec, turns, seeds):
    """Workers that share nothing, with the service restarted in between."""
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('repeats') / 's.db'}")
    store.migrate()
    service = Service(store, Settings(lease_seconds=60))
    service.create(spec(**GRID, train={"seeds": seeds}))
    toys = [Toy(service, f"w{i}") for i in range(3)]
    for who, hold in turns:
        toys[who].service = service
        toys[who].ask(hold)
        if toys[who].held:
            toys[who].finish(0)
        service = Service(store, service.settings)
    last = Toy(service, "last")
    for toy in toys:
        toy.service = service
        toy.ask(0)
    last.work(hold=8)
    asked, distinct, told = counted(service, seeds)
    assert service.study("s").state == "completed"
    assert told.trained - told.repeated == distinct
    assert told.asked == told.trained - told.repeated + told.shared == asked
    store.close()


def test_nothing_is_said_of_what_nobody_can_foresee(service, toy, spec):
    space = {"family": "plateau", "initial_lr": [0.1], "patience": [0, 1, 2]}
    service.create(spec(space=space, epochs=4, sampler="grid", budget={}))
    toy().work(hold=3)
    told = service.study("s").progress.epochs
    assert (told.repeated, told.shared) == (0, 0)
    assert told.trained == told.asked == 4 * service.study("s").progress.trials["completed"]
