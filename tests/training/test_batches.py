"""Every pass over the data sees every example once, in an order of its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lrsearch.training.batches import Order

CPU = torch.device("cpu")


@pytest.mark.parametrize(("n", "batch"), [(10, 3), (9, 3), (5, 5), (5, 8), (7, 1)])
def test_a_pass_sees_every_example_once(n, batch):
    order = Order(n, batch, 0)
    passes = []
    for number in range(2):
        u = order.updates_per_pass
        batches = list(order.batches(number * u, (number + 1) * u, CPU))
        assert len(batches) == -(-n // batch)
        assert all(len(part) == min(batch, n) for part in batches[:-1])
        passes.append(torch.cat(batches).tolist())
        assert sorted(passes[-1]) == list(range(n))
    assert passes[0] != passes[1]


def test_any_interval_is_a_window_on_the_same_sequence():
    whole = [part.tolist() for part in Order(10, 3, 5).batches(0, 17, CPU)]
    for first, end in [(0, 1), (3, 4), (2, 9), (4, 8), (7, 17), (6, 6)]:
        assert [part.tolist() for part in Order(10, 3, 5).batches(first, end, CPU)] == whole[first:end]
    assert [part.tolist() for part in Order(10, 3, 6).batches(0, 17, CPU)] != whole


def test_the_same_order_object_may_go_back():
    order = Order(10, 3, 5)
    later = [part.tolist() for part in order.batches(9, 12, CPU)]
    list(order.batches(0, 4, CPU))
    assert [part.tolist() for part in order.batches(9, 12, CPU)] == later
    assert np.concatenate(later).tolist() != list(range(9))
