"""Products of many small matrices: written as they are fastest, and only where that keeps their bits."""

from __future__ import annotations

import pytest
import torch

from lrsearch.training.tape import Taped, products, taped

CALLS = taped.ORDINARY + 2
"""As many as it takes until a tape is played."""


def equal(one, other):
    return one.keys() == other.keys() and all(taped.same_bits(one[name], other[name]) for name in one)


def layer(rows, inputs, outputs, lanes=5):
    """A linear layer of many lanes: its outputs, and its weights' gradient where an optimiser wants it."""
    weights, given = torch.randn(lanes, outputs * inputs + 7), torch.randn(lanes, rows, inputs)
    weight = weights[:, 7:].view(lanes, outputs, inputs)

    def function():
        made = torch.bmm(given, weight.transpose(1, 2))
        gradient = torch.bmm(given.transpose(1, 2), made).transpose(1, 2)
        return {"made": made, "gradient": torch.cat([weights[:, :7], gradient.reshape(lanes, -1)], dim=1)}

    return given, function


@pytest.mark.parametrize("turns", [True, False])
def test_products_are_written_as_they_are_fastest(turns, monkeypatch):
    monkeypatch.setattr(products, "views_are_slow", lambda: True)
    monkeypatch.setattr(products, "turned_is_faster", lambda *shape: turns)
    given, function = layer(40, 12, 20)
    tape = Taped(function)
    for _ in range(CALLS):
        tape()
    assert tape.plays
    assert [call.name for call in tape._played.calls] == ["clone", "bmm", "bmm", "clone", "clone"]
    forward, backward = (call for call in tape._played.calls if call.name == "bmm")
    assert forward.args[1].is_contiguous()
    assert backward.kwargs["out"].shape == ((5, 20, 12) if turns else (5, 12, 20))
    for _ in range(3):
        given.normal_()
        assert equal(tape(), function())


@pytest.mark.parametrize(
    "shape", [(20, 64, 64), (64, 64, 32), (10, 64, 100), (64, 50, 10), (3, 7, 2), (0, 5, 1), (300, 500, 200)]
)
def test_both_ways_to_a_gradient_leave_the_same_numbers(shape):
    ways = products.Turning(*shape, torch.float64)
    straight = ways.straight().clone()
    assert torch.allclose(ways.turned(), straight, rtol=1e-12)
    assert torch.allclose(straight, (ways._left.transpose(1, 2) @ ways._right).transpose(1, 2), rtol=1e-12)


def test_a_product_is_turned_only_where_it_keeps_its_bits(monkeypatch):
    monkeypatch.setattr(products, "_seconds", lambda work: work.__name__ == "straight")
    monkeypatch.setattr(products, "turned_is_same", lambda *shape: False)
    assert not products.turned_is_faster(11, 12, 13, torch.float32)
    monkeypatch.setattr(products, "turned_is_same", lambda *shape: True)
    assert products.turned_is_faster(11, 12, 14, torch.float32)


def test_huge_products_are_left_alone(monkeypatch):
    monkeypatch.setattr(products, "Turning", lambda *shape: pytest.fail("it was looked at"))
    assert not products.turned_is_faster(8192, 4096, 8192, torch.float32)


def test_a_factor_is_laid_out_only_where_that_pays(monkeypatch):
    monkeypatch.setattr(products, "views_are_slow", lambda: False)
    tape = Taped(layer(40, 12, 20)[1])
    for _ in range(CALLS):
        tape()
    assert tape.plays
    assert [call.name for call in tape._played.calls] == ["bmm", "bmm", "clone", "clone"]


def test_a_product_with_one_column_is_written_as_it_is_fastest():
    given, gradient = torch.randn(5, 40, 12), torch.randn(5, 40, 1)

    def function():
        return {"it": torch.bmm(given.transpose(1, 2), gradient)}

    tape = Taped(function)
    for _ in range(CALLS):
        tape()
    assert tape.plays
    [call] = tape._played.calls
    assert call.kwargs["out"].shape == (5, 1, 12)
    for _ in range(20):
        given.normal_()
        gradient.normal_()
        assert equal(tape(), function())


def test_a_gradient_is_copied_to_its_place_while_caches_hold_it():
    given, function = layer(40, 12, 20)

    def another():
        found = function()
        return {**found, "later": found["made"].relu() + 1}

    tape = Taped(another)
    for _ in range(CALLS):
        tape()
    assert tape.plays
    names = [call.name for call in tape._played.calls if call.name in ("bmm", "clone", "relu", "clamp_min")]
    last = max(i for i, name in enumerate(names) if name == "bmm")
    assert names[last + 1] == "clone"
    for _ in range(3):
        given.normal_()
        assert equal(tape(), another())


def test_products_whose_sums_would_run_otherwise_are_left_alone(monkeypatch):
    monkeypatch.setattr(products, "FEWEST_ROWS", 1)
    given, function = layer(1, 100, 100)
    tape = Taped(function)
    for _ in range(CALLS + 2):
        tape()
    assert tape.plays
    given.normal_()
    assert equal(tape(), function())
