"""The torch program against a loop written by hand, and as a guest in somebody's process."""

from __future__ import annotations

import math

import numpy as np
import pytest
import pytorch_optimizer
import torch

from lrsearch.errors import InvalidInput
from lrsearch.study import OPTIMIZERS, TrainSpec
from lrsearch.tasks.catalog import BUILT_IN
from lrsearch.tasks.draw import order
from lrsearch.tasks.task import Data
from lrsearch.training.optimizers import OPTIMIZER_CLASSES
from lrsearch.training.torch_program import TorchProgram
from lrsearch.training.workload import Workload

RATES = np.linspace(0.02, 0.001, 40)
CASES = [
    ("sgd", {}, None),
    ("sgd", {"momentum": 0.9, "dampening": 0.1, "weight_decay": 0.01}, None),
    ("sgd", {"momentum": 0.9, "nesterov": True}, 0.5),
    ("adam", {"betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.01}, None),
    ("adam", {"amsgrad": True}, 0.5),
    ("adamw", {}, None),
    ("rmsprop", {"centered": True, "momentum": 0.9, "eps": 1e-3}, None),
    ("adagrad", {"weight_decay": 0.1}, 0.5),
    ("ranger", {}, 0.5),
]


def test_every_optimizer_has_a_class():
    assert OPTIMIZER_CLASSES.keys() == OPTIMIZERS.keys()


@pytest.mark.parametrize(("name", "settings", "clip_norm"), CASES)
@pytest.mark.parametrize("batch_size", [500, "full"])
def test_it_agrees_with_a_plain_loop(make_program, name, settings, clip_norm, batch_size):
    n_updates = 10
    train = {"optimizer": {"name": name, **settings}, "clip_norm": clip_norm, "precision": "float64"}
    program = make_program("digits-mlp", seed=3, batch_size=batch_size, **train)
    record = program.run_epoch(1, RATES[None, :n_updates, None])[0]

    task = BUILT_IN["digits-mlp"]()
    inputs, targets = (torch.from_numpy(side) for side in task.data().arrays()["train"])
    inputs = inputs.double()
    torch.manual_seed(3)
    model = task.model().double()
    kind = pytorch_optimizer.Ranger if name == "ranger" else OPTIMIZER_CLASSES[name]
    spec = OPTIMIZERS[name](**settings).model_dump(exclude={"name"})
    optimizer = kind(model.parameters(), lr=1.0, foreach=False, **spec)
    size = len(inputs) if batch_size == "full" else batch_size
    n_batches = math.ceil(len(inputs) / size)
    losses, sizes, right, norms = [], [], 0, []
    for update in range(n_updates):
        number, position = divmod(update, n_batches)
        batch = order(len(inputs), 3, number)[position * size : (position + 1) * size]
        optimizer.param_groups[0]["lr"] = RATES[update]
        optimizer.zero_grad()
        outputs = model(inputs[batch])
        loss = torch.nn.functional.cross_entropy(outputs, targets[batch])
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm or math.inf).item())
        optimizer.step()
        losses.append(loss.item())
        sizes.append(len(batch))
        right += (outputs.argmax(1) == targets[batch]).sum().item()

    state = program.save(0)
    for parameter, value in model.named_parameters():
        assert np.abs(state[f"model.{parameter}"] - value.detach().numpy()).max() <= 1e-10
    assert record.metrics["train_loss"] == pytest.approx(np.average(losses, weights=sizes), rel=1e-10)
    assert record.metrics["train_accuracy"] == pytest.approx(right / sum(sizes))
    assert record.metrics["grad_norm"] == pytest.approx(np.mean(norms), rel=1e-9)
    val_inputs, val_targets = (torch.from_numpy(side) for side in task.data().arrays()["val"])
    outputs = model(val_inputs.double())
    val_loss = torch.nn.functional.cross_entropy(outputs, val_targets).item()
    assert record.metrics["val_loss"] == pytest.approx(val_loss, rel=1e-9)
    assert record.metrics["val_accuracy"] == (outputs.argmax(1) == val_targets).double().mean().item()
    assert (record.lr_first, record.lr_last) == (RATES[0], RATES[n_updates - 1])


def test_the_callers_settings_are_theirs_and_change_nothing(make_program, same):
    program, reference = (make_program("digits-cnn", {"dropout": 0.5}) for _ in range(2))
    expected = reference.run_epoch(1, RATES[None, :3, None])[0]
    threads = torch.get_num_threads()
    torch.manual_seed(77)
    before = torch.get_rng_state()
    try:
        torch.set_num_threads(2)
        torch.set_default_dtype(torch.float64)
        torch.use_deterministic_algorithms(True)
        with torch.no_grad():
            assert same(program.run_epoch(1, RATES[None, :3, None])[0], expected)
            program.test(0)
            assert not torch.is_grad_enabled()
        assert torch.get_num_threads() == 2
        assert torch.get_default_dtype() == torch.float64
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.equal(torch.get_rng_state(), before)
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(torch.float32)
        torch.use_deterministic_algorithms(False)


def test_dropout_masks_differ_from_update_to_update_and_seed_to_seed(make_program):
    def first_losses(seed):
        program = make_program("digits-cnn", {"dropout": 0.9}, seed=seed, batch_size="full")
        still = np.zeros((1, 1, 1))
        return [program.run_epoch(epoch, still)[0].metrics["train_loss"] for epoch in (1, 2)]

    assert len({*first_losses(0), *first_losses(1)}) == 4


@pytest.mark.parametrize(("rate", "bound"), [(1e4, 5), (1e30, 5)])
def test_divergence_is_found_with_its_update_and_rate(make_program, rate, bound):
    program = make_program("digits-mlp", optimizer="sgd")
    calm = program.run_epoch(1, np.full((1, 4, 1), 0.01))[0]
    assert calm.divergence is None
    rates = np.full(12, rate)
    rates[:2] = 0.01
    record = program.run_epoch(2, rates[None, :, None])[0]
    update, lr = record.divergence
    assert lr == rate
    assert 4 + 2 < update <= 4 + 2 + bound


def test_divergence_in_the_last_update_shows_in_the_validation_loss(make_program):
    record = make_program("digits-mlp", optimizer="sgd").run_epoch(1, np.array([[[0.01], [math.inf]]]))[0]
    assert math.isfinite(record.metrics["train_loss"])
    assert record.divergence == (1, math.inf)


class Frozen(BUILT_IN["digits-mlp"]):
    """A layer that is not trained, a buffer that no state dict keeps, and tied weights."""

    name = "frozen"

    def model(self):
        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.fixed = torch.nn.Linear(64, 16).requires_grad_(False)
                self.a, self.b, self.out = (torch.nn.Linear(16, 16), torch.nn.Linear(16, 16), torch.nn.Linear(16, 10))
                self.b.weight = self.a.weight
                self.register_buffer("count", torch.zeros(()), persistent=False)

            def forward(self, x):
                self.count += 1
                x = torch.relu(self.a(self.fixed(x.flatten(1))))
                return self.out(self.b(x)) + 0.01 * self.count

        return Model()


def test_frozen_tied_and_unlisted_tensors_are_kept(same):
    workload, train = Workload(Frozen, {}), TrainSpec.read({"optimizer": "adam", "batch_size": 400})
    whole, resumed = (TorchProgram(workload, train, 0, "cpu") for _ in range(2))
    rates = RATES[None, :3, None]
    whole.run_epoch(1, rates)
    resumed.load(0, whole.save(0))
    assert whole.save(0)["model.count"] == 4
    assert same(resumed.run_epoch(2, rates)[0], whole.run_epoch(2, rates)[0])
    assert same(resumed.save(0), whole.save(0))


def test_options_must_not_change_how_many_examples_there_are():
    class Cut(Frozen):
        name = "cut"

        def data(self):
            data = super().data()
            return Data(tuple(side[:100] for side in data.train), data.val)

    with pytest.raises(InvalidInput, match="1197"):
        TorchProgram(Workload(Cut, {}), TrainSpec.read({"optimizer": "adam", "batch_size": 400}), 0)


def test_test_metrics_are_measured_on_the_test_set(make_program):
    program = make_program("digits-mlp")
    assert program.test(0).keys() == {"test_loss", "test_accuracy"}
    assert program.test(0)["test_loss"] == pytest.approx(math.log(10), abs=0.1)
