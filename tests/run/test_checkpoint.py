"""The weights of chosen trials: kept, handed out, and loaded into the user's own model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load
from torch import nn
from typer.testing import CliRunner

from lrsearch import Data, Task
from lrsearch.cli import app
from lrsearch.client import Client
from lrsearch.errors import NotFound
from lrsearch.local_worker import on_this_machine
from lrsearch.service import Service
from lrsearch.study import read_spec
from lrsearch.tasks.digits import DigitsMlp, digits
from lrsearch.training.prefixes import PrefixStore

Verbs = Service | Client


class Tied(nn.Module):
    """A model with what makes a state dict differ from its weights and buffers: a tied weight, a buffer left out."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(64, 10)
        self.decode = nn.Linear(64, 10)
        self.decode.weight = self.encode.weight
        self.norm = nn.BatchNorm1d(10)
        self.register_buffer("shift", torch.full((1,), 0.5), persistent=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        flat = inputs.flatten(1)
        return self.norm(self.encode(flat)) + self.decode(flat) + self.shift


class TiedDigits(Task):
    """Scanned digits, with a tied weight."""

    name = "tied-digits"
    train_examples = 1197
    has_test = False

    def model(self) -> Any:
        return Tied()

    def data(self) -> Data:
        return digits()


def study(verbs: Verbs, name: str, task: type[Task], **fields: Any) -> None:
    space = {"family": "constant", "initial_lr": [0.003, 0.03, 0.3]}
    train = {"optimizer": {"name": "sgd", "momentum": 0.9}, "batch_size": 128}
    spec = {"name": name, "task": task.name, "epochs": 3, "space": space, "sampler": "grid", "train": train} | fields
    verbs.create(read_spec(spec))
    on_this_machine(verbs, {task.name: task}, study=name, device="cpu").run()


@pytest.mark.parametrize("task", [DigitsMlp, TiedDigits])
def test_weights_load_into_the_tasks_model_and_measure_what_the_trial_did(
    verbs: Verbs, service: Service, task: type[Task]
) -> None:
    study(verbs, "s", task, stop={"patience": 2, "min_delta": 0.05})
    inputs, targets = (torch.tensor(side) for side in digits().val)
    for row in service.trials("s").items:
        if row.state != "completed":
            continue
        model = task().model()
        model.load_state_dict(load(verbs.checkpoint("s", row.number)))
        model.eval()
        with torch.no_grad():
            loss = nn.functional.cross_entropy(model(inputs), targets).item()
        assert loss == pytest.approx(row.value, rel=1e-5)
    assert service.study("s").best is not None
    assert verbs.checkpoint("s") == verbs.checkpoint("s", service.study("s").best.trial)  # type: ignore[union-attr]


def test_the_command_writes_a_file(service: Service, tmp_path: Path) -> None:
    study(service, "s", DigitsMlp)
    file = tmp_path / "best.safetensors"
    database = f"sqlite:///{tmp_path / 'studies.db'}"
    answer = CliRunner().invoke(app, ["checkpoint", "s", "--to", str(file), "--database", database])
    assert answer.exit_code == 0, answer.output
    assert file.read_bytes() == service.checkpoint("s")


def test_where_there_are_no_weights_it_says_why(verbs: Verbs, service: Service, external: Any, tmp_path: Path) -> None:
    verbs.create(external())
    with pytest.raises(NotFound, match="no trial of `own` has completed"):
        verbs.checkpoint("own")
    study(verbs, "s", DigitsMlp)
    for file in (tmp_path / "prefixes").iterdir():
        file.unlink()
    with pytest.raises(NotFound, match="not in the prefix store"):
        Service(service.store).checkpoint("s", 0)


def test_the_best_are_kept_while_their_study_is_there(service: Service, tmp_path: Path) -> None:
    study(service, "s", DigitsMlp, confirm={"top": 2, "seeds": 2})
    leaders = list(service.best("s", 2))
    wanted = {service.trial("s", leader.trial).checkpoint.keys[0] for leader in leaders}  # type: ignore[union-attr]
    small = PrefixStore(tmp_path / "prefixes", budget_bytes=300_000)
    filler = PrefixStore(tmp_path / "prefixes").load(next(iter(wanted)))
    assert filler is not None
    for number in range(20):
        small.save(f"{number:032x}", filler)
    present = {file.stem for file in (tmp_path / "prefixes").glob("*.safetensors")}
    assert wanted <= present
    assert len(present) < 10
    service.delete("s")
    for number in range(20, 30):
        small.save(f"{number:032x}", filler)
    assert not wanted & {file.stem for file in (tmp_path / "prefixes").glob("*.safetensors")}
    study(service, "s", DigitsMlp, confirm={"top": 2, "seeds": 2})  # the same once more: the same keys
    for number in range(30, 50):
        small.save(f"{number:032x}", filler)
    assert wanted <= {file.stem for file in (tmp_path / "prefixes").glob("*.safetensors")}
