"""The trainer: assignments in, points and a result out, and never the same epoch trained twice."""

from __future__ import annotations

import logging

import pytest

import lrsearch
from lrsearch.tasks.catalog import BUILT_IN
from lrsearch.tasks.registry import load_task
from lrsearch.training.prefixes import PrefixStore

COSINE = {"family": "cosine", "initial_lr": 0.02, "epochs": 3}


def values(points):
    return [(p.epoch, p.update, p.seed, p.lr_first, p.lr_last, p.metrics) for p in points]


def test_a_trial_emits_every_epoch_and_completes(bench, assign):
    result, points = bench().train(assign("digits-mlp", COSINE))
    assert result.state == "completed"
    assert [(p.epoch, p.update, p.seed, p.shared) for p in points] == [(e, None, 0, False) for e in (1, 2, 3)]
    assert points[0].lr_first == pytest.approx(0.02)
    assert points[-1].metrics.keys() == {
        "train_loss", "train_accuracy", "val_loss", "val_accuracy", "grad_norm"
    }  # fmt: skip
    assert points[-1].metrics["val_accuracy"] > 0.8
    assert all(p.seconds > 0 for p in points)


def test_seeds_advance_together_and_each_is_what_it_is_alone(bench, assign):
    _, both = bench().train(assign("digits-mlp", COSINE, seeds=(4, 5)))
    assert [(p.epoch, p.seed) for p in both] == [(e, s) for e in (1, 2, 3) for s in (4, 5)]
    _, second = bench().train(assign("digits-mlp", COSINE, seeds=(5,)))
    assert values(p for p in both if p.seed == 5) == values(second)
    assert values(p for p in both if p.seed == 4)[0][-1] != values(second)[0][-1]


def test_an_equal_curve_is_not_trained_again_whatever_it_is_called(bench, assign, tmp_path):
    constant = {"family": "constant", "initial_lr": 0.1, "epochs": 3}
    step = {"family": "step", "initial_lr": 0.1, "decay_rate": 0.5, "step_size": 3, "epochs": 3}
    _, first = bench(PrefixStore(tmp_path)).train(assign(schedule=constant))
    result, again = bench(PrefixStore(tmp_path)).train(assign(schedule=step, study="another"))
    assert result.state == "completed"
    assert [p.shared for p in again] == [True] * 3
    assert values(again) == values(first)


@pytest.mark.parametrize("task", ["least-squares", "digits-cnn"])
def test_stopped_and_resumed_is_uninterrupted(bench, assign, tmp_path, task):
    schedule = {"family": "cosine", "initial_lr": 0.02, "epochs": 4}
    _, whole = bench().train(assign(task, schedule))
    result, begun = bench(PrefixStore(tmp_path)).train(assign(task, schedule), stop_after=2)
    assert result is None
    result, rest = bench(PrefixStore(tmp_path)).train(assign(task, schedule, reported=1, attempt=2))
    assert result.state == "completed"
    assert [(p.epoch, p.shared) for p in rest] == [(2, True), (3, False), (4, False)]
    assert values(begun) + values(rest[1:]) == values(whole)


def test_with_nothing_stored_reported_epochs_are_trained_again_and_say_so(bench, assign):
    _, whole = bench().train(assign())
    _, again = bench().train(assign(reported=2, attempt=2))
    assert values(again) == values(whole)
    assert not any(p.shared for p in again)


def test_a_longer_horizon_continues_a_shorter_one(bench, assign):
    trainer = bench()
    trainer.train(assign(schedule={"family": "constant", "initial_lr": 0.1, "epochs": 2}))
    _, longer = trainer.train(assign(schedule={"family": "constant", "initial_lr": 0.1, "epochs": 4}))
    assert [p.shared for p in longer] == [True, True, False, False]


def test_until_epoch_is_an_end(bench, assign):
    trainer = bench()
    result, points = trainer.train(assign(until_epoch=2))
    assert result is None
    assert len(points) == 2
    _, rest = trainer.train(assign(reported=2, attempt=2))
    assert [(p.epoch, p.shared) for p in rest] == [(3, False), (4, False)]


def test_a_horizon_in_updates_gives_the_same_states(bench, assign):
    in_epochs = {"family": "cosine", "initial_lr": 0.02, "epochs": 2}
    in_updates = {"family": "cosine", "initial_lr": 0.02, "updates": 38, "eval_every": 19}
    _, first = bench().train(assign("digits-mlp", in_epochs))
    trainer = bench()
    _, second = trainer.train(assign("digits-mlp", in_updates))
    assert [(p.epoch, p.update) for p in second] == [(None, 19), (None, 38)]
    assert [p.metrics for p in second] == [p.metrics for p in first]
    _, shared = trainer.train(assign("digits-mlp", in_epochs))
    assert [p.shared for p in shared] == [True, True]


def test_intervals_need_not_end_where_passes_do(bench, assign):
    at_once = {"family": "constant", "initial_lr": 0.01, "updates": 38, "eval_every": 38}
    odd = {"family": "constant", "initial_lr": 0.01, "updates": 38, "eval_every": 15}
    _, one = bench().train(assign("digits-mlp", at_once))
    _, three = bench().train(assign("digits-mlp", odd))
    assert [p.update for p in three] == [15, 30, 38]
    assert {k: v for k, v in three[-1].metrics.items() if k.startswith("val_")} == {
        k: v for k, v in one[-1].metrics.items() if k.startswith("val_")
    }


def test_a_test_measures_the_stored_end_state(bench, assign):
    trainer = bench()
    _, trained = trainer.train(assign("digits-mlp", COSINE, seeds=(0, 1)))
    result, tested = trainer.train(assign("digits-mlp", COSINE, seeds=(0, 1), purpose="test"))
    assert result.state == "completed"
    assert [(p.epoch, p.seed, p.shared) for p in tested] == [(3, 0, True), (3, 1, True)]
    extra = {"test_loss", "test_accuracy"}
    assert {k: v for k, v in tested[0].metrics.items() if k not in extra} == trained[-2].metrics
    assert tested[0].metrics["test_accuracy"] > 0.8
    _, retrained = bench().train(assign("digits-mlp", COSINE, seeds=(0, 1), purpose="test", reported=3))
    assert [p.shared for p in retrained] == [False, False]
    assert [p.metrics for p in retrained] == [p.metrics for p in tested]


@pytest.mark.parametrize(
    "schedule", [COSINE, {"family": "plateau", "initial_lr": 0.02, "patience": 1, "decay_rate": 0.5, "epochs": 3}]
)
def test_a_test_finds_an_end_that_another_process_has_just_stored(bench, assign, tmp_path, schedule, monkeypatch):
    monkeypatch.setattr("lrsearch.training.shelf.SOONEST_SECONDS", 3600.0)
    constant = {"family": "constant", "initial_lr": 0.1, "epochs": 1}
    other = bench(PrefixStore(tmp_path))
    other.train(assign(schedule=constant))  # the folder is listed
    bench(PrefixStore(tmp_path)).train(assign("digits-mlp", schedule))
    _, tested = other.train(assign("digits-mlp", schedule, purpose="test"))
    assert [(p.epoch, p.shared) for p in tested] == [(3, True)]


def test_divergence_is_a_result_and_is_remembered(bench, assign):
    trainer = bench()
    wild = {"family": "constant", "initial_lr": 1e6, "epochs": 3}
    first, trained = trainer.train(assign("digits-mlp", wild, train={"optimizer": "sgd"}, seeds=(0, 1)))
    assert first.state == "diverged"
    assert first.diverged_at.lr == pytest.approx(1e6)
    assert 0 < first.diverged_at.update < 19
    assert [(p.epoch, p.seed) for p in trained] == [(1, 0)]
    assert trained[0].metrics["val_loss"] is None
    again, shared = trainer.train(assign("digits-mlp", wild, train={"optimizer": "sgd"}, seeds=(0, 1)))
    assert again == first
    assert [p.shared for p in shared] == [True]


def test_a_diverged_least_squares_ends_where_it_left_the_bound(bench, assign):
    result, points = bench().train(assign(schedule={"family": "constant", "initial_lr": 3.9, "epochs": 30}))
    assert result.state == "diverged"
    assert len(points) < 30


class Broken(BUILT_IN["digits-mlp"]):
    """Fails on demand."""

    name = "broken"

    class Options(lrsearch.Options):
        """Where."""

        where: str = ""

    def model(self):
        if self.options.where == "model":
            raise KeyError("no \x1b[31m such layer" + "!" * 3000)
        return super().model()

    def data(self):
        if self.options.where == "data":
            raise OSError("disk gone")
        return super().data()

    def loss(self, outputs, targets):
        if self.options.where == "loss":
            return super().loss(outputs[:, :3], targets)
        return super().loss(outputs, targets)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"task": "nobody-has-it"}, "nobody-has-it"),
        ({"task": "broken", "options": {"where": "model"}}, "KeyError"),
        ({"task": "broken", "options": {"where": "data"}}, "OSError: disk gone (test_trainer.py"),
        ({"task": "broken", "options": {"where": "loss"}}, "IndexError"),
        ({"task": "broken", "options": {"wher": "loss"}}, "did you mean `where`"),
        ({"train": {"optimizer": "adam"}}, "plain sgd"),
    ],
)
def test_what_cannot_be_trained_fails_and_says_why(bench, assign, caplog, fields, says):
    with caplog.at_level(logging.CRITICAL):
        result, points = bench(tasks={**BUILT_IN, "broken": Broken}).train(assign(**fields))
    assert result.state == "failed"
    assert says in result.error
    assert len(result.error) <= 1000
    assert points == []


def test_a_broken_recipe_fails(bench, assign, caplog):
    whole = assign()
    for change in ({"optimizer": {"name": "sgd", "lr": 1}}, {"batch_size": 0}, {"batch_size": None}, {"speed": 9}):
        with caplog.at_level(logging.CRITICAL):
            result, _ = bench().train(whole.model_copy(update={"recipe": {**whole.recipe, **change}}))
        assert result.state == "failed"
        assert next(iter(change)) in result.error


def test_data_are_loaded_once(bench, assign):
    loads = []

    class Counted(BUILT_IN["digits-mlp"]):
        name = "counted"

        class Options(lrsearch.Options):
            """Anything."""

            variant: int = 0

        def data(self):
            loads.append(self.options.variant)
            return super().data()

    trainer = bench(tasks={"counted": Counted})
    short = {"family": "constant", "initial_lr": 0.01, "updates": 2, "eval_every": 1}
    for variant in (0, 0, 1, 2, 3, 0, 4, 0, 1):
        result, _ = trainer.train(assign("counted", short, options={"variant": variant}))
        assert result.state == "completed"
    assert loads == [0, 1, 2, 3, 4, 1]


SOURCE = """
import lrsearch
from lrsearch.tasks.digits import DigitsMlp
class Mine(DigitsMlp):
    name = "mine"
    def loss(self, outputs, targets):
        return super().loss(outputs, targets) * 1.0
"""


def test_nothing_stored_is_used_for_an_edited_task(bench, assign, tmp_path):
    path = tmp_path / "my.py"

    def train(source):
        path.write_text(source)
        tasks = {"mine": load_task(f"{path}:Mine")}
        result, points = bench(PrefixStore(tmp_path / "prefixes"), tasks).train(assign("mine", COSINE))
        assert result.state == "completed"
        return points

    first = train(SOURCE)
    assert [p.shared for p in first] == [False] * 3
    assert [p.shared for p in train(SOURCE)] == [True] * 3
    edited = train(SOURCE.replace("1.0", "2.0"))
    assert [p.shared for p in edited] == [False] * 3
    assert edited[0].metrics["train_loss"] > 1.2 * first[0].metrics["train_loss"]


def test_a_damaged_prefix_costs_only_training(bench, assign, tmp_path, caplog):
    store = tmp_path / "prefixes"
    schedule = {"family": "cosine", "initial_lr": 0.02, "epochs": 4}
    _, whole = bench().train(assign("digits-mlp", schedule))
    bench(PrefixStore(store)).train(assign("digits-mlp", schedule), stop_after=1)
    first = set(store.iterdir())
    bench(PrefixStore(store)).train(assign("digits-mlp", schedule), stop_after=3)
    for path in set(store.iterdir()) - first:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
    with caplog.at_level(logging.CRITICAL):
        result, points = bench(PrefixStore(store)).train(assign("digits-mlp", schedule))
    assert result.state == "completed"
    assert [p.shared for p in points] == [True, False, False, False]
    assert values(points) == values(whole)


def test_a_prefix_of_another_shape_is_passed_over(bench, assign, tmp_path):
    from safetensors.numpy import load_file

    from lrsearch.training.prefixes import Prefix

    store = PrefixStore(tmp_path)
    trainer = bench(store)
    trainer.train(assign("digits-mlp", COSINE), stop_after=2)
    file = next(tmp_path.glob("*.safetensors"))
    prefix = store.load(file.stem)
    wrong = {name: array[:1] if array.ndim else array for name, array in load_file(file).items()}
    for path in tmp_path.iterdir():
        path.unlink()
    store.save(file.stem, Prefix(prefix.records, wrong))
    _, points = trainer.train(assign("digits-mlp", COSINE))
    _, whole = bench().train(assign("digits-mlp", COSINE))
    assert values(points) == values(whole)


def test_a_long_trial_is_saved_on_the_way(bench, assign, tmp_path, monkeypatch):
    monkeypatch.setattr("lrsearch.training.cohort.SAVE_SECONDS", 0.0)
    bench(PrefixStore(tmp_path)).train(assign())
    assert len(list(tmp_path.glob("*.json"))) == 4
