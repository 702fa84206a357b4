"""Early stopping, whole: what is trained, what is counted, what the value is; by workers and by the user's own loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import lrsearch
from lrsearch.client import Client
from lrsearch.external import LiveTrial, trials
from lrsearch.in_process import load
from lrsearch.local_worker import on_this_machine
from lrsearch.service import Service
from lrsearch.study import Stop, StudySpec, Trial, read_spec

Verbs = Service | Client
EPOCHS = 12
STOP = {"patience": 2, "min_delta": 0.02}


def spec(name: str, **fields: Any) -> StudySpec:
    written = {
        "name": name,
        "task": "least-squares",
        "epochs": EPOCHS,
        "space": {"family": "step", "initial_lr": [0.05, 0.2, 0.4], "decay_rate": [0.1, 1.0], "step_size": [2, 6]},
        "sampler": "grid",
    }
    return read_spec(written | fields)


def curves(service: Service, name: str) -> dict[int, list[float | None]]:
    rows = service.trials(name, limit=1000).items
    return {row.number: [point.metrics["val_loss"] for point in service.curve(name, row.number)] for row in rows}


def rows(service: Service, name: str) -> list[Trial]:
    return list(service.trials(name, limit=1000).items)


def work(verbs: Verbs, name: str) -> None:
    on_this_machine(verbs, load(), study=name, device="cpu").run()


def test_trials_end_where_the_rule_says_with_the_value_of_that_epoch(verbs: Verbs, service: Service) -> None:
    verbs.create(spec("whole"))
    work(verbs, "whole")
    verbs.create(spec("stopped", stop=STOP))
    work(verbs, "stopped")
    rule = Stop(**STOP)
    whole, stopped = curves(service, "whole"), curves(service, "stopped")
    ends = {number: rule.epoch([value] for value in curve) for number, curve in whole.items()}
    assert {None} < set(ends.values()), "some stop, some go on, or there is nothing to see"
    for row in rows(service, "stopped"):
        end = ends[row.number]
        assert row.state == "completed"
        assert row.stopped_at == end
        assert stopped[row.number] == whole[row.number][:end]
        assert row.value == stopped[row.number][-1]
        assert row.epochs.trained + row.epochs.shared == (end or EPOCHS)
    asked = service.study("stopped").progress.epochs.asked
    assert asked == sum(end or EPOCHS for end in ends.values())


def test_a_stop_ends_a_trajectory_and_is_no_part_of_it(service: Service) -> None:
    for name, stop in [("stopped", STOP), ("whole", None), ("other", {"patience": 1, "min_delta": 0.05})]:
        service.create(spec(name, stop=stop))
        work(service, name)
    trained = {name: service.study(name).progress.epochs.trained for name in ("stopped", "whole", "other")}
    service.create(spec("again"))
    assert trained["other"] == 0, "all that it needs is a prefix of what was trained before"
    work(service, "again")
    assert curves(service, "again") == curves(service, "whole")


@pytest.mark.parametrize(
    "pruner",
    [
        {"name": "asha", "reduction_factor": 2, "min_epochs": 1},
        {"name": "hyperband", "reduction_factor": 2, "min_epochs": 1},
        {"name": "median", "startup_trials": 1, "startup_epochs": 1},
    ],
    ids=lambda pruner: pruner["name"],
)
def test_with_a_pruner_a_study_ends_and_is_repeatable(service: Service, pruner: dict[str, Any]) -> None:
    told = []
    for name in ("one", "two"):
        service.create(spec(name, stop=STOP, pruner=pruner))
        work(service, name)
        assert service.study(name).state == "completed"
        curve = curves(service, name)
        told.append([(row.state, row.value, row.stopped_at, curve[row.number]) for row in rows(service, name)])
    assert told[0] == told[1]
    states = {state for state, *_ in told[0]}
    assert {"completed", "pruned"} == states
    assert any(stopped_at for _, _, stopped_at, _ in told[0])


def test_several_seeds_stop_together(service: Service) -> None:
    service.create(spec("seeds", stop=STOP, train={"seeds": 2}, budget={"trials": 4}))
    work(service, "seeds")
    for row in rows(service, "seeds"):
        assert row.epochs.trained + row.epochs.shared == 2 * (row.stopped_at or EPOCHS)
        assert row.state == "completed"


def test_a_winner_that_stopped_is_tested_and_confirmed_where_it_stopped(service: Service) -> None:
    space = {"family": "constant", "initial_lr": [0.05]}
    stop = {"patience": 1, "min_delta": 10.0}
    told = {}
    for epochs in (2, 6):
        rule = stop if epochs == 6 else None
        name = f"epochs-{epochs}"
        train = {"optimizer": "sgd", "batch_size": 64}
        service.create(
            read_spec(
                {
                    "name": name,
                    "task": "digits-mlp",
                    "epochs": epochs,
                    "space": space,
                    "sampler": "grid",
                    "train": train,
                }
                | {"stop": rule, "confirm": {"top": 1, "seeds": 2}}
            )
        )
        work(service, name)
        told[epochs] = service.study(name).best
    assert told[6] is not None
    assert told[2] is not None
    assert service.trial("epochs-6", 0).stopped_at == 2
    assert (told[6].value, told[6].test, told[6].confirmed) == (told[2].value, told[2].test, told[2].confirmed)
    assert told[6].test


def train(trial: LiveTrial) -> int:
    """A loss that falls for two epochs and rises from then on; how many epochs it took."""
    for epoch in range(trial.epochs):
        trial.report(val_loss=1 + abs(epoch - 1), accuracy=epoch)
        if trial.should_stop:
            return epoch + 1
    return trial.epochs


@pytest.mark.parametrize(
    ("stop", "end", "value"),
    [
        ({"patience": 2}, 4, 3.0),
        ({"patience": 2, "metric": "accuracy", "direction": "minimize"}, 3, 2.0),
        ({"patience": 2, "metric": "accuracy", "direction": "maximize"}, 5, 4.0),
    ],
)
def test_your_own_loop_is_told_to_stop(
    verbs: Verbs, service: Service, external: Callable[..., StudySpec], stop: dict[str, Any], end: int, value: float
) -> None:
    verbs.create(external(stop=stop, budget={"trials": 2}))
    lengths = []
    for trial in trials(verbs, "own"):
        with trial:
            lengths.append(train(trial))
    assert lengths == [end, end]
    assert [(row.state, row.value, row.epochs.trained) for row in rows(service, "own")] == [
        ("completed", value, end)
    ] * 2
    assert [row.stopped_at for row in rows(service, "own")] == [end if end < 5 else None] * 2


def test_a_metric_that_is_never_reported_fails_the_trial_in_words(external: Callable[..., StudySpec]) -> None:
    written = external(stop={"metric": "f1", "direction": "maximize"}, budget={"trials": 1})
    failed = next(iter(lrsearch.run(written, train).trials()))
    assert failed.state == "failed"
    assert failed.error == "`stop` looks at `f1`, which was not reported; reported were val_loss, accuracy"
