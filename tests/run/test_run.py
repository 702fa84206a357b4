"""``lrsearch.run``: a study in this process, again and again under its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lrsearch
from lrsearch.errors import Conflict, InvalidInput, NotFound
from lrsearch.external import LiveTrial
from lrsearch.in_process import finish, opened
from lrsearch.study import Report

SPEC: dict[str, Any] = {
    "name": "small",
    "task": "least-squares",
    "epochs": 6,
    "space": {"family": ["step", "cosine"], "initial_lr": {"low": 1e-2, "high": 1.0, "log": True}},
    "sampler": "tpe",
    "budget": {"trials": 10},
}
OWN: dict[str, Any] = {
    "name": "own",
    "task": "external",
    "epochs": 3,
    "space": {"family": "cosine", "initial_lr": {"low": 1e-3, "high": 1.0, "log": True}},
    "objective": {"metric": "accuracy", "direction": "maximize"},
    "budget": {"trials": 5},
}


def accuracy(trial: LiveTrial) -> None:
    for epoch in range(trial.start, trial.epochs):
        trial.report(accuracy=trial.schedule.initial_lr / (3 - epoch))


def test_a_study_in_this_process(tmp_path: Path) -> None:
    reports: list[Report] = []
    result = lrsearch.run(SPEC, on_event=reports.append)
    assert result.study.state == "completed"
    assert len(result.trials()) == 10
    assert result.best is not None
    assert result.best.value == min(trial.value for trial in result.trials() if trial.value is not None)
    assert result.schedule == result.best.schedule
    assert sum(report.result is not None for report in reports) == 10
    assert sum(len(report.points) for report in reports) == 60
    assert (tmp_path / "own.db").exists()


def test_again_is_answered_from_what_is_there() -> None:
    first = lrsearch.run(SPEC)
    reports: list[Report] = []
    second = lrsearch.run(SPEC, on_event=reports.append)
    assert second.trials() == first.trials()
    assert reports == []
    with pytest.raises(Conflict, match="epochs"):
        lrsearch.run(SPEC | {"epochs": 7})


def test_a_name_makes_another_study_and_none_makes_one_each_time() -> None:
    values = [trial.value for trial in lrsearch.run(SPEC).trials()]
    other = lrsearch.run(SPEC, name="other")
    assert other.study.name == "other"
    assert [trial.value for trial in other.trials()] == values
    nameless = {key: value for key, value in SPEC.items() if key != "name"}
    assert [lrsearch.run(nameless).study.name for _ in range(2)] == ["least-squares-1", "least-squares-2"]


def test_interrupted_it_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole = lrsearch.run(SPEC, database=f"sqlite:///{tmp_path / 'whole.db'}")
    for stop_after in (2, 1):
        seen: list[Report] = []

        def interrupt(report: Report, seen: list[Report] = seen, stop_after: int = stop_after) -> None:
            seen.append(report)
            if len(seen) == stop_after:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            lrsearch.run(SPEC, on_event=interrupt)
    result = lrsearch.run(SPEC)
    assert [trial.number for trial in result.trials()] == list(range(10))
    assert [(t.params, t.value) for t in result.trials()] == [(t.params, t.value) for t in whole.trials()]


def test_a_paused_study_goes_on() -> None:
    with opened() as service:
        service.create(lrsearch.StudySpec.read(SPEC))
        service.pause("small")
        assert finish(service, "small").study.state == "completed"


def test_a_schedule_for_each_parameter_group(tmp_path: Path) -> None:
    head = {"family": "step", "initial_lr": [0.01, 0.0001], "decay_rate": 0.5, "step_size": 1}
    spec = {
        "name": "heads",
        "task": "digits-mlp",
        "epochs": 2,
        "train": {"groups": {"head": ["5"]}},
        "space": {"family": "cosine", "initial_lr": 0.003, "groups": {"head": head}},
        "baselines": [{"family": "cosine", "initial_lr": 0.003}],
        "sampler": "grid",
    }
    result = lrsearch.run(spec)
    assert result.best is not None
    assert result.best.recipe["groups"] == {"head": ["5"]}
    trials = result.trials()
    assert [trial.params.get("groups.head.initial_lr") for trial in trials] == [None, 0.01, 0.0001]
    assert len({trial.value for trial in trials}) == 3
    with opened(None) as service:
        assert "MODULES = {'head': ['5']}" in service.export("heads", 2, "torch").text
    wrong = lrsearch.run({**spec, "name": "nobody", "train": {"groups": {"head": ["classifier"]}}})
    assert all("which has 1, 3, 5 (got classifier for head)" in (trial.error or "") for trial in wrong.trials())


def test_your_own_loop() -> None:
    result = lrsearch.run(OWN, accuracy)
    assert result.study.state == "completed"
    values = [trial.value for trial in result.trials()]
    assert len(values) == 5
    assert result.best is not None
    assert result.best.value == max(value for value in values if value is not None)


def test_a_loop_that_breaks_now_and_then_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def breaks(trial: LiveTrial) -> None:
        if trial.number == 1:
            raise RuntimeError("bad luck")
        accuracy(trial)

    result = lrsearch.run(OWN, breaks)
    assert result.study.progress.trials == {"completed": 4, "failed": 1}
    assert "bad luck" in caplog.text


def test_a_loop_that_always_breaks_says_why(caplog: pytest.LogCaptureFixture) -> None:
    def breaks(trial: LiveTrial) -> None:
        raise NameError("name 'modle' is not defined")

    with pytest.raises(NameError, match="modle"):
        lrsearch.run(OWN, breaks)
    result = lrsearch.run(OWN, breaks)
    assert result.study.state == "failed"
    with pytest.raises(NotFound, match="modle"):
        result.schedule  # noqa: B018
    assert len(caplog.records) == 5


def test_a_loop_and_its_task_go_together() -> None:
    with pytest.raises(InvalidInput, match="train"):
        lrsearch.run(OWN)
    with pytest.raises(InvalidInput, match="external"):
        lrsearch.run(SPEC, accuracy)


TASK = """
import lrsearch
from lrsearch.tasks.least_squares import LeastSquares

class Mine(LeastSquares):
    name = "mine"
"""


def test_a_task_of_your_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(TASK)
    result = lrsearch.run(SPEC | {"name": "mine", "task": "mine"}, tasks=[f"{file}:Mine"])
    assert result.study.state == "completed"
    from lrsearch.tasks.least_squares import LeastSquares

    class Ours(LeastSquares):
        """A class of this test."""

        name = "ours"

    assert lrsearch.run(SPEC | {"name": "ours", "task": "ours"}, tasks=[Ours]).study.state == "completed"


def test_a_task_that_nobody_here_trains_is_said_at_once() -> None:
    with pytest.raises(InvalidInput, match="did you mean `digits-cnn`"):
        lrsearch.run({"task": "digits-cnnn", "epochs": 1, "space": {"family": "cosine"}})


def test_a_task_whose_data_cannot_be_loaded_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "absent.py").write_text(
        "import lrsearch\n"
        "class Absent(lrsearch.Task):\n"
        "    name = 'absent'\n"
        "    def model(self): ...\n"
        "    def data(self): return open('nowhere.npz')\n"
    )
    with pytest.raises(InvalidInput, match=r"`absent` cannot be trained: FileNotFoundError.*nowhere\.npz"):
        lrsearch.run(SPEC | {"name": "absent", "task": "absent"}, tasks=[f"{tmp_path}/absent.py:Absent"])
