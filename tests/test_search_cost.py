"""The benchmark of a search's cost, on a grid of four cells."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from lrsearch.schedules import Schedule

torch = pytest.importorskip("torch")
BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
FIELDS = {
    "study", "engine", "device", "seconds", "training_seconds", "cost_in_trainings", "epochs_asked", "epochs_distinct",
    "epochs_trained", "epochs_repeated", "max_value_difference",
}  # fmt: skip


@pytest.fixture
def search_cost(monkeypatch):
    """The benchmark's module, its quick mlp cut to four cells of two epochs."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import reference
    import search_cost

    space = {"initial_lr": [0.03, 0.003], "decay_rate": [0.1, 0.5], "step_size": [1], "warmup": [0]}
    monkeypatch.setattr(reference, "QUICK", {"mlp": {"epochs": 2, "space": space}})
    yield search_cost
    torch.set_flush_denormal(False)  # the plain loop sets it for good
    for name in ("reference", "search_cost", "product", "started", "rivals", "plain_loop", "machine"):
        sys.modules.pop(name, None)


def test_every_engine_answers_one_line(search_cost, monkeypatch, capsys):
    engines = ["--engine", "plain", "--engine", "lrsearch"]
    monkeypatch.setattr(sys, "argv", ["search_cost.py", "--quick", "--json", "--no-record", "--compare", "2", *engines])
    search_cost.main()
    printed = capsys.readouterr()
    plain, ours = map(json.loads, printed.out.splitlines())
    assert set(plain) == set(ours) == FIELDS
    assert (plain["engine"], ours["engine"]) == ("plain", "lrsearch")
    assert (plain["epochs_asked"], plain["epochs_distinct"]) == (8, 6)
    assert (plain["epochs_trained"], plain["epochs_repeated"]) == (8, 2)
    assert ours["epochs_trained"] - ours["epochs_repeated"] >= 6
    assert plain["max_value_difference"] is None
    assert ours["max_value_difference"] < 1e-4
    assert "  cells_compared: 2\n" in printed.err  # of four
    for line in (plain, ours):
        cost = line["seconds"] / line["training_seconds"]  # of rounded numbers: the trainings take milliseconds
        assert line["cost_in_trainings"] == pytest.approx(cost, rel=0.05)


def test_optuna_and_the_plain_loop_find_the_same_values(search_cost):
    study = search_cost.Reference.named("mlp", quick=True)
    machine = search_cost.Machine(cores=1, threads=1, training_seconds=1.0)
    found = search_cost.with_optuna(study, machine)
    assert found.values == search_cost.plain(study, machine).values
    assert len(found.values) == 4


def test_a_layout_that_cannot_become_the_faster_one_is_ended_early(search_cost, monkeypatch):
    rivals = sys.modules["rivals"]
    monkeypatch.setattr(rivals, "SURE_CELLS", 2)
    study = search_cost.Reference.named("mlp", quick=True)
    machine = search_cost.Machine(cores=1, threads=1, training_seconds=1.0)
    begun = time.perf_counter()
    name, ended = rivals.one_process(study, machine, beat=0.0)
    seconds = time.perf_counter() - begun
    assert name == "one process, by 2 of 4 cells"
    assert len(ended.values) == 2
    assert ended.seconds == pytest.approx(2 * seconds, rel=0.5)  # the loop's own beginning is not in it
    name, whole = rivals.one_process(study, machine)
    assert name == "one process"
    assert len(whole.values) == 4


@pytest.mark.parametrize(("theirs", "worst", "beyond"), [(1.0, 0.0, 0), (1.00002, 2e-5, 0), (1.0005, 5e-4, 1)])
def test_a_stable_cell_is_held_to_what_the_plain_loop_differs_from_itself(search_cost, theirs, worst, beyond):
    rows = [{"engine": name, "max_value_difference": None} for name in ("plain", "lrsearch")]
    values = {"plain": {"a": 1.0, "b": 1.0}, "lrsearch": {"a": theirs, "b": 9.0}}
    told = search_cost.compare(rows, values, {"a": [1.000002, 0.99999], "b": [1.0, 2.0]})
    assert told["unstable_cells"] == ["b"]
    assert told["beyond"] == {"lrsearch": beyond}
    assert rows[1]["max_value_difference"] == pytest.approx(worst)


def test_a_disturbance_moves_a_value_a_little(search_cost):
    loop = search_cost.loop_of(search_cost.Reference.named("mlp", quick=True), 1)
    schedule = Schedule.model_validate({"family": "constant", "initial_lr": 0.1, "epochs": 10})
    for loop.masked in (False, True):
        moved = [loop.val_loss(schedule, disturbed=seed) for seed in (0, 1)]
        assert moved[0] != moved[1]
        assert moved[0] == loop.val_loss(schedule, disturbed=0)
        for value in moved:
            assert 0 < abs(loop.val_loss(schedule) - value) < 1e-2


def test_examples_stay_in_their_batch(search_cost):
    order = sys.modules["plain_loop"].within_batches(150, 64, torch.Generator().manual_seed(0))
    assert sorted(order.tolist()) == list(range(150))
    assert [sorted(part.tolist()) for part in order.split(64)] == [
        list(range(n, min(n + 64, 150))) for n in (0, 64, 128)
    ]
