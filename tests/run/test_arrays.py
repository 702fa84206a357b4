"""Images of one's own from end to end: trained, their weights handed out, and fine-tuned."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

from lrsearch.local_worker import on_this_machine
from lrsearch.service import Service
from lrsearch.spec_file import read_study
from lrsearch.study import Study, Trial
from lrsearch.tasks.arrays import Arrays
from lrsearch.tasks.initial import initial_arrays

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "digits_arrays.py"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with the two files of the example."""
    monkeypatch.setenv("LRSEARCH_DATA", str(tmp_path))
    runpy.run_path(str(EXAMPLE))["write"](tmp_path)
    return tmp_path


def trained(service: Service, shipped: str, *settings: str) -> tuple[Study, list[Trial]]:
    """A shipped study cut down, with its trials."""
    spec = read_study(shipped, settings)
    service.create(spec)
    on_this_machine(service, {"arrays": Arrays}, study=shipped, device="cpu").run()
    return service.study(shipped), service.trials(shipped).items


def test_the_example_writes_all_digits_once(folder: Path) -> None:
    for first in (0, 5):
        with np.load(folder / f"digits-{first}-{first + 4}.npz") as held:
            assert held["x_train"].shape[1:] == (32, 32)
            assert set(held["y_train"]) == set(held["y_test"]) == set(range(5))


@pytest.mark.slow  # two recipes are measured before they are trained
@pytest.mark.timeout(900)
def test_a_study_is_fine_tuned_from_another_ones_weights(service: Service, folder: Path) -> None:
    few = ("epochs=1", "options.train_examples=100", "space.initial_lr=[0.003]")
    study, _ = trained(service, "arrays-pretrain", *few)
    assert study.state == "completed", study.error
    content = service.checkpoint("arrays-pretrain", None)
    (folder / "digits-0-4.safetensors").write_bytes(content)

    begun = initial_arrays(Arrays(read_study("arrays-finetune").options), 0)
    assert all(np.array_equal(begun[name], array) for name, array in load(content).items())

    settings = ("epochs=2", "space.initial_lr=[0.003]", "space.layer_decay=[0.5]", "space.freeze=[0, 2]")
    study, trials = trained(service, "arrays-finetune", *settings)
    assert study.state == "completed", study.error
    names = [name for name, _ in Arrays(read_study("arrays-finetune").options).model().named_parameters()]
    assert sorted(trial.params["freeze"] for trial in trials) == [0, 2]
    for trial in trials:
        ended = load(service.checkpoint("arrays-finetune", trial.number))
        moved = {name for name in names if (ended[name] != begun[name]).any()}
        assert {"fc.weight", "fc.bias"} <= moved
        assert (len(moved) > 2) == (trial.params["freeze"] == 0)


def test_a_study_of_a_missing_file_says_what_to_do(service: Service, folder: Path) -> None:
    (folder / "digits-0-4.npz").unlink()
    study, [trial] = trained(service, "arrays-pretrain", "epochs=1", "space.initial_lr=[0.003]")
    assert study.state == "failed"
    assert trial.error is not None
    assert "LRSEARCH_DATA" in trial.error
