"""Several processes train one trial: one of them asks, all train the same, all stop after the same epoch."""

from __future__ import annotations

import json
import math
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lrsearch.errors import Conflict, InvalidInput, LrsearchError
from lrsearch.external import LiveTrial, trials
from lrsearch.launch import Listener
from lrsearch.service import Service
from lrsearch.study import StudySpec

from ..torchrun import joined

Make = Callable[..., StudySpec]
SCRIPT = Path(__file__).with_name("rank.py")


class Voice:
    """Broadcast between threads."""

    def __init__(self, world: int) -> None:
        self._queues: list[queue.Queue[Any]] = [queue.Queue() for _ in range(world)]

    def of(self, rank: int) -> Callable[[Any], Any]:
        def broadcast(said: Any) -> Any:
            if rank == 0:
                for other in self._queues[1:]:
                    other.put(json.dumps(said))
                return said
            return json.loads(self._queues[rank].get(timeout=30))

        return broadcast


def together(service: Service, body: Callable[[LiveTrial], Any], world: int = 3) -> list[list[Any]]:
    """What every rank met: what ``body`` answers for its trials, or the error that ended its loop."""
    voice = Voice(world)
    met: list[list[Any]] = [[] for _ in range(world)]

    def loop(rank: int) -> None:
        try:
            told = {"rank": rank, "world": world, "broadcast": voice.of(rank)}
            for trial in trials(service, "own", worker=f"rank-{rank}", **told):
                with trial:
                    met[rank].append(body(trial))
        except Exception as error:
            met[rank].append(error)

    threads = [threading.Thread(target=loop, args=(rank,)) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return met


def test_all_ranks_train_the_same_and_hear_rank_0(service: Service, external: Make) -> None:
    service.create(external(budget={"trials": 4}))

    def body(trial: LiveTrial) -> Any:
        stops = []
        for epoch in range(trial.epochs):
            if (trial.rank, trial.number, epoch) == (0, 1, 2):
                service.cancel_trial("own", 1)
            loss = {0: math.inf if epoch == 1 else 0.5 + trial.number}.get(trial.rank, math.nan)
            trial.report(val_loss=loss)
            stops.append(trial.should_stop)
            if trial.should_stop:
                break
        return trial.number, trial.schedule, stops, repr(trial.history), trial.world

    first, *others = together(service, body)
    assert others == [first, first]
    assert [len(stops) for _, _, stops, _, _ in first] == [5, 3, 5, 5]
    rows = service.trials("own").items
    assert [row.worker for row in rows] == ["rank-0"] * 4
    assert [point.metrics["val_loss"] for point in service.curve("own", 2)] == [2.5, None, 2.5, 2.5, 2.5]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_failure_on_one_rank_ends_the_loop_of_all_and_names_it(service: Service, external: Make, rank: int) -> None:
    service.create(external(budget={"trials": 2}))

    def body(trial: LiveTrial) -> None:
        trial.report(val_loss=1.0)
        if trial.rank == rank:
            raise RuntimeError("out of memory")
        raise ConnectionError("closed by peer")  # as a training hears of it

    met = together(service, body, world=2)
    assert [[type(error) for error in of_rank] for of_rank in met] == [
        [RuntimeError if number == rank else ConnectionError] for number in range(2)
    ]
    row = service.trial("own", 0)
    assert row.state == "failed"


def test_a_loop_does_not_go_on_after_a_failure(service: Service, external: Make) -> None:
    service.create(external(budget={"trials": 2}))
    loop = trials(service, "own", rank=0, world=2, broadcast=lambda said: said)
    trial = next(loop)
    with pytest.raises(RuntimeError), trial:
        raise RuntimeError("out of memory")
    with pytest.raises(Conflict, match="start all of them again"):
        next(loop)


def test_an_error_of_rank_0_is_one_of_all(service: Service, external: Make) -> None:
    service.create(external(budget={"trials": 1}))
    wrong: Any = "low"
    met = together(service, lambda trial: trial.report(val_loss=wrong))
    assert [type(error) for (error,) in met] == [InvalidInput, LrsearchError, LrsearchError]
    assert all("val_loss" in str(error) for (error,) in met)
    assert [type(error) for (error,) in together(service_without_study(service), print)][1:] == [LrsearchError] * 2


def service_without_study(service: Service) -> Service:
    service.delete("own")
    return service


def test_ranks_that_are_out_of_step_are_told(service: Service, external: Make) -> None:
    service.create(external(budget={"trials": 1}))

    def body(trial: LiveTrial) -> None:
        for _ in range(trial.epochs - 2 * (trial.rank == 0)):
            trial.report(val_loss=1.0)

    met = together(service, body, world=2)
    assert met[0] == [None]
    assert "rank 1 is at epoch 4 of trial 0, rank 0 at the next trial" in str(met[1][0])


@pytest.mark.parametrize(
    ("told", "law"),
    [
        ({"rank": 0}, "go together"),
        ({"world": 2}, "go together"),
        ({"rank": 2, "world": 2, "broadcast": print}, "0 <= rank < world"),
        ({"rank": 0, "world": 2}, "need `broadcast`"),
        ({"broadcast": print}, "go together"),
    ],
)
def test_what_does_not_go_together_is_refused(service: Service, told: dict[str, Any], law: str) -> None:
    with pytest.raises(InvalidInput, match=law):
        trials(service, "own", **told)


def test_one_of_one_is_alone(service: Service, external: Make) -> None:
    service.create(external(budget={"trials": 1}))
    for trial in trials(service, "own", rank=0, world=1):
        with trial:
            trial.report(val_loss=1.0)
        assert (trial.rank, trial.world) == (0, 1)
    assert service.trial("own", 0).value == 1.0


def processes(service: Service) -> list[tuple[int, list[Any], str]]:
    """Two processes joined by torch.distributed: exit code, what they printed, what they complained of."""
    with Listener(service, port=0) as listener:
        runs = joined([sys.executable, str(SCRIPT), listener.url], 2)
    return [(run.returncode, [json.loads(line) for line in run.stdout.splitlines()], run.stderr) for run in runs]


def test_processes_of_torch_share_every_trial_every_stop_and_a_failure(service: Service, external: Make) -> None:
    spec = external(
        budget={"trials": 7},
        sampler={"name": "random", "parallel": 1},
        pruner={"name": "median", "startup_trials": 2},
        epochs=4,
    )
    service.create(spec)
    (code, first, err), (other_code, second, other_err) = processes(service)
    assert (code, other_code) == (1, 1), err
    assert [line[:4] for line in first] == [line[:4] for line in second]
    assert [line[4] for line in first + second] == [[0, 2]] * 5 + [[1, 2]] * 5
    rows = service.trials("own").items
    assert [row.state for row in rows[:3]] == ["cancelled", "completed", "completed"]
    assert "pruned" in {row.state for row in rows[3:5]}
    stopped = [line[2][-1] for line in first]
    assert stopped == [row.state != "completed" for row in rows[:5]]
    assert (rows[5].state, rows[5].error) == ("failed", "rank 1: RuntimeError: out of memory")
    assert "out of memory" in other_err
    assert "out of memory" not in err
    assert service.study("own").progress.trials.get("running", 0) == 0
