"""Tapes: what is played has the very bits of what was called, or is not played."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsearch.study import TrainSpec
from lrsearch.training import fused_program
from lrsearch.training.fused_program import FusedProgram
from lrsearch.training.tape import Taped, Tapes, tape, taped
from lrsearch.training.tape.recording import Recording
from lrsearch.training.workload import Workload

from .zoo import FUSABLE

CALLS = taped.ORDINARY + 2
"""As many as it takes until a tape is played."""
SHAPE = (3, 4)


def equal(one, other):
    return one.keys() == other.keys() and all(taped.same_bits(one[name], other[name]) for name in one)


RATES = np.linspace(0.001, 0.03, 5)[:, None, None].repeat(8, axis=1)


def program(workload, seed=0):
    return FusedProgram(workload, TrainSpec.read({"optimizer": "adam", "batch_size": 50}), seed, "cpu")


@pytest.mark.parametrize("name", FUSABLE)
def test_a_program_trains_the_same_with_and_without_tapes(same, monkeypatch, name):
    seen = []
    for longest in (np.inf, 0):
        monkeypatch.setattr(taped, "LONGEST_SECONDS", longest)
        made = program(Workload(FUSABLE[name], {}))
        made.fork([0] * 5)
        records = [record for epoch in (1, 2, 3) for record in made.run_epoch(epoch, RATES)]
        plays = [call.plays for call in made._passes._taped.values()]
        assert any(plays) == (longest > 0)
        made.fork([0, 4, 2])
        records += [record for epoch in (4, 5) for record in made.run_epoch(epoch, RATES[:3])]
        seen.append((records, [made.save(lane) for lane in range(3)]))
    (with_records, with_states), (records, states) = seen
    assert all(map(same, with_records, records))
    assert all(map(same, with_states, states))


@pytest.mark.parametrize("name", FUSABLE)
def test_what_was_recorded_of_one_program_is_played_by_others(same, monkeypatch, name):
    monkeypatch.setattr(taped, "LONGEST_SECONDS", np.inf)
    shared = Workload(FUSABLE[name], {})
    recordings = []
    monkeypatch.setattr(taped, "Recording", lambda: recordings.append(1) or Recording())
    for again in (False, True):
        trained = []
        for workload in (shared, Workload(FUSABLE[name], {})):
            made = program(workload, 1)
            del recordings[:]
            for n_lanes in (5, 3, 5):  # the last ones are played without a look at whether they are the same
                made.fork([0] * n_lanes)
                for epoch in (1, 2):
                    records = made.run_epoch(epoch, RATES[:n_lanes, :5])
            trained.append((records, made.save(2), len(recordings)))
        (shared_records, shared_state, n_recorded), (records, state, n_fresh) = trained
        assert n_recorded < n_fresh or not again
        assert same(shared_state, state)
        assert all(map(same, shared_records, records))


def test_lanes_that_last_get_no_more_rows_than_they_need(same, monkeypatch):
    seen = []
    for lasting in (2, 100):
        monkeypatch.setattr(fused_program, "LASTING", lasting)
        made = program(Workload(FUSABLE["frozen"], {}))
        made.fork([0] * 5)
        records = [record for epoch in range(1, 7) for record in made.run_epoch(epoch, RATES)]
        seen.append((records, [made.save(lane) for lane in range(5)], len(made._model.weights)))
    (records, states, snug), (others, other_states, roomy) = seen
    assert 5 <= snug < roomy
    assert all(map(same, records, others))
    assert all(map(same, states, other_states))


def test_tapes_used_longest_ago_are_forgotten(monkeypatch):
    monkeypatch.setattr(taped, "LONGEST_SECONDS", np.inf)
    tapes = Tapes()
    for size in (1000, 2000, 1000, 3000):
        given = torch.zeros(size)
        call = Taped(lambda given=given: {"it": (given + 1).exp()}, [given], tapes.of(size))
        for _ in range(CALLS):
            call()
    kept = {size: tapes.of(size).tape for size in (1000, 2000, 3000)}
    assert all(kept.values())
    monkeypatch.setattr(tape, "MOST_BYTES", sum(kept[size].n_bytes for size in (2000, 3000)))
    assert [tapes.of(size).tape is not None for size in (3000, 2000, 1000)] == [True, True, False]


def test_a_kind_that_was_taped_is_recorded_at_once_in_another_size():
    tapes = Tapes()

    def calls_until_taped(size):
        given = torch.zeros(size)
        call = Taped(lambda: {"it": (given + 1).exp()}, [given], tapes.of("kind", size))
        return next(n for n in range(1, 9) if (call(), call.plays)[1])

    assert calls_until_taped(1000) == CALLS
    assert calls_until_taped(2000) == CALLS - taped.ORDINARY
    tapes.of("kind", 1000).fastest = 1.0  # longer than what is recorded, unless a call of another size is shorter
    assert calls_until_taped(3000) == CALLS - taped.ORDINARY + 1


def test_a_tape_is_for_tensors_that_lie_in_their_memory_as_its_own_did():
    def made(given, before):
        return Taped(lambda: {"it": (given * 2).exp()}, [given], before)

    before = Tapes().of("it")
    first = made(torch.randn(4, 6), before)
    for _ in range(CALLS):
        first()
    for other, plays in (
        (torch.randn(4, 6), True), (torch.randn(6, 4).t(), False), (torch.randn(5, 6)[1:], False),
        (torch.randn(3, 6), False), (torch.randn(4, 6, dtype=torch.float64), False),
    ):  # fmt: skip
        call = made(other, before)
        call()
        assert call.plays == plays
        for _ in range(CALLS):
            assert torch.equal(call()["it"], (other * 2).exp())


def test_a_tape_that_changes_more_than_it_was_given_is_its_own_only():
    kept, before = torch.zeros(3), Tapes().of("it")
    given = torch.ones(3)
    call = Taped(lambda: {"it": kept.add_(given) * 2}, [given], before)
    for n_calls in range(1, CALLS + 3):
        assert torch.equal(call()["it"], torch.full((3,), 2.0 * n_calls))
    assert call.plays
    assert before.tape is None


def test_a_program_is_freed_at_once():
    """Its tensors are large, and Python's collector of cycles does not know how large."""
    made = program(Workload(FUSABLE["mlp"], {}))
    rates = np.full((1, 8, 1), 0.01)
    for epoch in (1, 2, 3):
        made.run_epoch(epoch, rates)
    assert any(call.plays for call in made._passes._taped.values())
    weights = weakref.ref(made._model.weights)
    gc.disable()
    try:
        del made
        assert weights() is None
    finally:
        gc.enable()


def steps():
    """Operators on a list of tensors: what is appended, or None where one is changed in place."""
    return {
        "add": lambda a, b: a + b,
        "times one": lambda a, b: torch.ops.aten.mul.Scalar(a, 1),
        "scaled": lambda a, b: torch.ops.aten.mul.Scalar(a, 0.5),
        "relu": lambda a, b: a.relu(),
        "product": lambda a, b: a.t() @ b,
        "turned": lambda a, b: a.t().contiguous().t(),
        "view": lambda a, b: a.view(-1).view(a.shape) if a.is_contiguous() else a.t(),
        "part": lambda a, b: torch.cat([a[:1], b[1:]]) if a.shape == b.shape else a[:1],
        "joined": lambda a, b: torch.cat([a.t().reshape(1, -1), b.reshape(1, -1)], dim=1),
        "larger": lambda a, b: torch.where(a > 0, a, b),
        "largest": lambda a, b: a.max(dim=1, keepdim=True).values,
        "ones": lambda a, b: torch.ones_like(a),
        "noise": lambda a, b: torch.empty_like(a).bernoulli_(0.5),
        "dropped": lambda a, b: torch.nn.functional.dropout(a, 0.5),
        "changed": lambda a, b: a.add_(1) if a.is_leaf else a,
        "copied": lambda a, b: a.copy_(b) if a.shape == b.shape else a,
        "sum": lambda a, b: a.sum(dim=0),
    }


@settings(max_examples=60)
@given(st.data())
def test_whatever_operators_do_a_tape_does_it_again(data):
    names = data.draw(st.lists(st.sampled_from(sorted(steps())), min_size=1, max_size=12), label="operators")
    places = [data.draw(st.tuples(st.integers(0, i + 1), st.integers(0, i + 1)), label="of") for i in range(len(names))]
    kept = data.draw(st.sets(st.integers(0, len(names) + 1), min_size=1), label="kept")

    def built(inputs):
        def function():
            held = [*inputs]
            for name, (one, other) in zip(names, places, strict=True):
                a, b = held[one], held[other]
                try:
                    held.append(steps()[name](a, b))
                except (RuntimeError, IndexError):  # the shapes do not fit
                    held.append(a)
            return {str(i): held[i].clone() for i in sorted(kept)}

        return function

    ours, theirs = ([torch.randn(SHAPE) for _ in range(2)] for _ in range(2))
    with torch.no_grad():
        tape, function = Taped(built(ours)), built(theirs)
        for call in range(CALLS + 3):
            torch.manual_seed(call)
            for one, other in zip(ours, theirs, strict=True):
                other.copy_(one.copy_(torch.randn(SHAPE)))
            torch.manual_seed(-call)
            played = {name: tensor.clone() for name, tensor in tape().items()}
            torch.manual_seed(-call)
            assert equal(played, function())
            assert all(map(taped.same_bits, ours, theirs))
    assert tape.plays


def test_a_tape_leaves_out_what_nobody_looks_at_and_what_is_only_moved():
    one, other = torch.randn(3, 4), torch.randn(3, 5)

    def function():
        one.exp().sum()
        return {"it": torch.cat([one.t().reshape(1, -1), (other + 1).reshape(1, -1)], dim=1)}

    tape = Taped(function)
    for _ in range(CALLS):
        tape()
    assert tape.plays
    assert [call.name for call in tape._played.calls] == ["clone", "add", "clone"]
    one.mul_(2)
    assert torch.equal(tape()["it"], function()["it"])


def test_signs_of_zeros_are_bits():
    zero, number = torch.zeros(2), torch.tensor([1.0, torch.nan])
    assert taped.same_bits(zero, zero.clone())
    assert not taped.same_bits(zero, -zero)
    assert taped.same_bits(number, number.clone())
    assert not taped.same_bits(number, zero)
    assert taped.same_bits(torch.arange(3), torch.arange(3))
    assert taped.same_bits(torch.tensor([True]), torch.tensor([True]))
    assert not taped.same_bits(torch.tensor([1 + 2j]), torch.tensor([1 + 3j]))


def test_what_looks_at_numbers_is_not_taped():
    given = torch.zeros(3)
    tape = Taped(lambda: {"it": given + 1 if given.sum() > 0 else given - 1})
    for call in range(CALLS + 2):
        given.fill_(call - 5)
        assert tape()["it"][0] == call - (4 if call > 5 else 6)
    assert not tape.plays


def test_what_may_not_be_taped_is_not_recorded_again(monkeypatch):
    recordings = []
    monkeypatch.setattr(taped, "Recording", lambda: recordings.append(1) or Recording())
    given, before = torch.zeros(3), Tapes().of("it")
    for _ in range(3):
        call = Taped(lambda: {"it": given + given.sum().item()}, [given], before)
        assert all(torch.equal(call()["it"], given) for _ in range(CALLS))
    assert len(recordings) == 1


def test_steps_between_tensors_are_no_constants():
    given = torch.zeros(3)
    call = Taped(lambda: {"it": torch.linspace(given.min(), given.max(), 5)})
    for n_calls in range(CALLS + 3):
        given[1] = n_calls // CALLS
        assert torch.equal(call()["it"], torch.linspace(0, n_calls // CALLS, 5))


def test_images_with_their_channels_last_may_be_pooled_to_one_pixel():
    given = torch.randn(3, 4, 5, 5).contiguous(memory_format=torch.channels_last).requires_grad_()

    def function():
        pooled = torch.nn.functional.adaptive_avg_pool2d(given * 2, 1)
        return {"it": pooled.detach(), "gradient": torch.autograd.grad(pooled.cos().sum(), given)[0]}

    tape = Taped(function)
    for _ in range(CALLS + 2):
        with torch.no_grad():
            given.normal_()
        assert equal({name: tensor.clone() for name, tensor in tape().items()}, function())
    assert tape.plays


def test_a_tensor_that_becomes_another_view_is_not_taped():
    given = torch.randn(3, 4)
    tape = Taped(lambda: {"it": (given * 2).as_strided_((4, 3), (1, 4)).sum(dim=0)})
    for _ in range(CALLS + 2):
        given.normal_()
        assert torch.equal(tape()["it"], (given * 2).t().sum(dim=0))
    assert not tape.plays


def test_what_depends_on_more_than_tensors_is_not_taped():
    given, calls = torch.zeros(3), []

    def counting():
        calls.append(1)
        return {"it": given + len(calls)}

    tape = Taped(counting)
    for call in range(CALLS + 2):
        assert tape()["it"][0] == call + 1
    assert not tape.plays


def test_what_takes_long_is_not_taped(monkeypatch):
    monkeypatch.setattr(taped, "LONGEST_SECONDS", 0)
    given = torch.zeros(3)
    tape = Taped(lambda: {"it": given + 1})
    assert all(tape()["it"][0] == 1 for _ in range(CALLS + 2))
    assert not tape.plays
