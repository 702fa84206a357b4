"""bfloat16: the model computes in it, lanes keep the law, and all else stays in float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lrsearch.errors import InvalidInput
from lrsearch.study import TrainSpec
from lrsearch.tasks.catalog import BUILT_IN
from lrsearch.tasks.draw import order
from lrsearch.training.fused_program import FUSED, FusedProgram
from lrsearch.training.setting import Setting
from lrsearch.training.tape import taped
from lrsearch.training.torch_program import TorchProgram
from lrsearch.training.workload import Workload

from .zoo import FUSABLE, Transformer

BFLOAT16 = {"optimizer": "adam", "batch_size": 50, "precision": "bfloat16"}
RATES = np.array([0.02, 0.01, 0.005, 0.01, 0.004])
ROUNDING = 2.0**-6
"""Some roundings to 8 bits of mantissa."""
WORKLOADS = {name: Workload(task, {}) for name, task in FUSABLE.items()}
WORKLOADS["calm"] = Workload(Transformer, {"dropout": 0.0})


def program(name, kind, **train):
    return kind(WORKLOADS[name], TrainSpec.read({**BFLOAT16, **train}), 0, "cpu")


def trained(made, rates=RATES[None]):
    return [made.run_epoch(epoch, (rates / epoch)[:, :, None]) for epoch in (1, 2)]


CASES = [(name, FusedProgram) for name in WORKLOADS] + [
    ("resnet", FUSED["products"]),
    ("digits-cnn", FUSED["products"]),
]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_bits_depend_neither_on_the_number_of_lanes_nor_on_the_place(same, name, kind):
    alone = program(name, kind)
    records = [epoch[0] for epoch in trained(alone, RATES[None, :3])]
    for lanes, place in ((5, 3), (33, 32)):
        crowd = program(name, kind)
        crowd.fork([0] * lanes)
        rates = RATES[:3] * np.linspace(0.1, 3, lanes)[:, None]
        rates[place] = RATES[:3]
        together = trained(crowd, rates)
        assert same(crowd.save(place), alone.save(0))
        assert all(same(epoch[place], record) for epoch, record in zip(together, records, strict=True))


# as in float32, dropout masks of these two lie otherwise in memory
@pytest.mark.parametrize(("name", "kind"), [case for case in CASES if case[0] not in ("digits-cnn", "transformer")])
def test_lanes_and_a_lane_alone_agree(name, kind):
    [[expected], _], [[found], _] = trained(program(name, TorchProgram)), trained(program(name, kind))
    losses = ("train_loss", "val_loss")
    assert [found.metrics[loss] for loss in losses] == pytest.approx(
        [expected.metrics[loss] for loss in losses], rel=ROUNDING
    )


@pytest.mark.parametrize("name", FUSABLE)
def test_a_tape_has_the_same_bits(same, monkeypatch, name):
    states = []
    for longest in (np.inf, 0):
        monkeypatch.setattr(taped, "LONGEST_SECONDS", longest)
        made = FusedProgram(Workload(FUSABLE[name], {}), TrainSpec.read(BFLOAT16), 0, "cpu")
        made.run_epoch(1, RATES.repeat(3)[None, :, None])
        assert any(call.plays for call in made._passes._taped.values()) == (longest > 0)
        states.append(made.save(0))
    assert same(*states)


def test_it_is_torchs_autocast_around_the_model():
    n_updates, task = 8, BUILT_IN["digits-mlp"]()
    made = TorchProgram(Workload(type(task), {}), TrainSpec.read({**BFLOAT16, "batch_size": 500}), 3, "cpu")
    made.run_epoch(1, np.full((1, n_updates, 1), 0.01))
    inputs, targets = (torch.from_numpy(side) for side in task.data().arrays()["train"])
    torch.manual_seed(3)
    model = task.model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
    for update in range(n_updates):
        number, position = divmod(update, -(-len(inputs) // 500))
        batch = order(len(inputs), 3, number)[position * 500 : (position + 1) * 500]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = model(inputs[batch])
        assert outputs.dtype == torch.bfloat16
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(outputs.float(), targets[batch]).backward()
        optimizer.step()
    state = made.save(0)
    for parameter, value in model.named_parameters():
        assert np.abs(state[f"model.{parameter}"] - value.detach().numpy()).max() <= 1e-6


@pytest.mark.parametrize("kind", [TorchProgram, FusedProgram])
def test_it_changes_what_is_computed_but_not_what_is_kept(kind):
    half, whole = program("mlp", kind), program("mlp", kind, precision="float32")
    [first, _], [other, _] = trained(half), trained(whole)
    assert first[0].metrics["val_loss"] != other[0].metrics["val_loss"]
    states = half.save(0), whole.save(0)
    assert [array.dtype for array in states[0].values()] == [array.dtype for array in states[1].values()]


@pytest.mark.parametrize("kind", [TorchProgram, FusedProgram])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_callers_autocast_changes_nothing(same, kind, precision):
    expected = trained(program("mlp", kind, precision=precision))[1][0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert same(trained(program("mlp", kind, precision=precision))[1][0], expected)
        assert torch.is_autocast_enabled("cpu")


def test_a_part_of_the_model_may_turn_it_off(same):
    class Whole(FUSABLE["mlp"]):
        name = "whole"

        def model(self):
            class Model(torch.nn.Sequential):
                def forward(self, x):
                    with torch.autocast("cpu", enabled=False):
                        return super().forward(x)

            return Model(*super().model())

    for kind in (TorchProgram, FusedProgram):
        half, whole = (
            kind(Workload(Whole, {}), TrainSpec.read({**BFLOAT16, "precision": precision}), 0, "cpu")
            for precision in ("bfloat16", "float32")
        )
        assert same(trained(half)[1][0], trained(whole)[1][0])
        assert same(half.save(0), whole.save(0))


def test_who_cannot_says_so(make_program):
    with pytest.raises(InvalidInput, match=r"train\.precision: bfloat16.*`meta`.*float32"):
        Setting.of(WORKLOADS["mlp"], TrainSpec.read(BFLOAT16), 0, "meta")
    with pytest.raises(InvalidInput, match=r"least-squares.*precision.*bfloat16"):
        make_program("least-squares", batch_size=2, precision="bfloat16")
