"""Products that round alike wherever their factors lie."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from lrsearch.training import mkl
from lrsearch.training.numerics import torch_numerics

PROBE = """
from lrsearch.training import mkl
mkl.repeat()
import torch
print(mkl.strict(), mkl.mode())
"""


def placed(tensor, offset):
    """A copy that begins ``offset`` numbers after a multiple of 64 bytes."""
    memory = torch.empty(tensor.numel() + 64)
    begin = -memory.data_ptr() // 4 % 16 + offset
    return memory[begin : begin + tensor.numel()].view(tensor.shape).copy_(tensor)


@pytest.mark.parametrize("shape", [(50, 19, 7), (50, 125, 10), (64, 100, 10), (33, 65, 31)])
def test_bits_do_not_depend_on_where_a_factor_lies(shape):
    n, k, m = shape
    left, right = torch.randn(2, n, k), torch.randn(2, m, k).transpose(1, 2)
    expected = torch.bmm(left, right)
    assert all(torch.equal(torch.bmm(placed(left, offset), right), expected) for offset in range(16))


def answer(told):
    environment = {name: value for name, value in os.environ.items() if name != mkl.VARIABLE}
    ran = subprocess.run(
        [sys.executable, "-c", PROBE], env=environment | told, capture_output=True, text=True, check=True
    )
    return ran.stdout.split()


@pytest.mark.skipif(mkl.mode() in ("none", "unknown"), reason="torch has no MKL here, or none that tells")
def test_a_process_that_asks_in_time_is_heard_and_one_that_asks_for_something_else_too():
    assert answer({})[0] == "True"
    strict, mode = answer({mkl.VARIABLE: "COMPATIBLE"})
    assert (strict, mode) != tuple(answer({}))
    assert strict == "False"


def test_states_of_another_mode_are_others():
    assert f"products {mkl.mode()}," in torch_numerics("cpu", "lone 5")
