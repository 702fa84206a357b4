"""Weights from a file: what is taken, what is drawn, what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lrsearch.errors import InvalidInput
from lrsearch.tasks.given_weights import head, read_weights, take_weights


def network(n_classes=3, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Sequential(nn.ReLU(), nn.Linear(5, n_classes)))


def changed(model, given):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    take_weights(model, given)
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}


def given(**arguments):
    state = network(seed=1, **arguments).state_dict()
    return {name: tensor + 1 if name.startswith("1.") else tensor for name, tensor in state.items()}


def test_everything_is_taken_where_it_fits():
    ours = network()
    assert head(ours) == "2.1."
    changed(ours, given())
    assert all(torch.equal(tensor, given()[name]) for name, tensor in ours.state_dict().items())


@pytest.mark.parametrize(
    "file",
    [given(n_classes=7), {name: tensor for name, tensor in given().items() if not name.startswith("2.1.")}],
    ids=["another number of classes", "no head"],
)
def test_another_head_is_drawn_anew(file):
    assert changed(network(), file) == {name for name in network().state_dict() if not name.startswith("2.1.")}


def test_half_a_head_is_none():
    file = {name: tensor for name, tensor in given().items() if name != "2.1.bias"}
    assert "2.1.weight" not in changed(network(), file)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"extra.weight": torch.zeros(1)}, "`extra.weight`, which the model has not"),
        ({"0.bias": None}, "no `0.bias`"),
        ({"0.bias": torch.zeros(6)}, r"`0.bias` of shape \(6,\), which is \(5,\) here"),
    ],
)
def test_another_models_weights_are_refused(change, says):
    file = {name: tensor for name, tensor in (given() | change).items() if tensor is not None}
    ours = network()
    with pytest.raises(InvalidInput, match=says) as refused:
        take_weights(ours, file)
    assert refused.value.faults[0].field == "options.checkpoint"
    assert changed(ours, network().state_dict()) == set()


def test_what_is_no_safetensors_file_is_refused(tmp_path):
    torch.save(network().state_dict(), tmp_path / "pickled.safetensors")
    with pytest.raises(InvalidInput, match="must be a safetensors file"):
        read_weights(tmp_path / "pickled.safetensors")
