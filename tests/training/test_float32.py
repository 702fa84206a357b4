"""A caller's choice of fewer bits for float32 is theirs, whichever of torch's settings made it, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

import numpy as np
import pytest
import torch

from lrsearch.training.device import pinned
from lrsearch.training.float32 import ON_GPUS, ON_PROCESSORS, whole_float32

BACKENDS = torch.backends
CALLERS: Mapping[str, Callable[[], object]] = {
    "nobody": lambda: None,
    "older-high": lambda: torch.set_float32_matmul_precision("high"),
    "older-medium": lambda: torch.set_float32_matmul_precision("medium"),
    "older-tf32": lambda: setattr(BACKENDS.cuda.matmul, "allow_tf32", True),
    "older-without-tf32": lambda: setattr(BACKENDS.cudnn, "allow_tf32", False),
    "all": lambda: setattr(BACKENDS, "fp32_precision", "tf32"),
    "all-whole": lambda: setattr(BACKENDS, "fp32_precision", "ieee"),
    "cuda-products": lambda: setattr(BACKENDS.cuda.matmul, "fp32_precision", "tf32"),
    "cuda-convolutions": lambda: setattr(BACKENDS.cudnn.conv, "fp32_precision", "ieee"),
    "cuda-all": lambda: setattr(BACKENDS.cudnn, "fp32_precision", "tf32"),
    "processor-products": lambda: setattr(BACKENDS.mkldnn.matmul, "fp32_precision", "bf16"),
    "processor-convolutions": lambda: setattr(BACKENDS.mkldnn.conv, "fp32_precision", "bf16"),
    "processor-rnn": lambda: setattr(BACKENDS.mkldnn.rnn, "fp32_precision", "tf32"),
    "both": lambda: (
        torch.set_float32_matmul_precision("medium"),
        setattr(BACKENDS, "fp32_precision", "tf32"),
        setattr(BACKENDS.cuda.matmul, "fp32_precision", "ieee"),
        setattr(BACKENDS.cudnn.rnn, "fp32_precision", "ieee"),
    ),
}
OLDER = {
    "products": torch.get_float32_matmul_precision,
    "tf32": lambda: BACKENDS.cuda.matmul.allow_tf32,
    "convolutions": lambda: BACKENDS.cudnn.allow_tf32,
}


def seen(places=ON_GPUS):
    """What torch goes by."""
    return {place: torch._C._get_fp32_precision_getter(*place) for place in places}


def older():
    """What the older settings say, where they can."""
    told = {}
    for name, ask in OLDER.items():
        try:
            told[name] = ask()
        except RuntimeError:
            told[name] = "mixed"
    return told


def settings():
    """All settings, and what is left of them when those go that others fall back on."""
    found = [older(), seen()]
    for place in ON_GPUS:
        torch._C._set_fp32_precision_setter(*place, "none")
        found += [older(), seen()]
    return found


@pytest.fixture
def called():
    """``called(name)``: a process as torch starts it, in which its caller has made a choice."""

    def begin(name="nobody"):
        torch.set_float32_matmul_precision("highest")
        BACKENDS.cudnn.allow_tf32 = True
        for place in ON_GPUS:
            torch._C._set_fp32_precision_setter(
                *place, "tf32" if place in {("cuda", "conv"), ("cuda", "rnn")} else "none"
            )
        CALLERS[name]()

    before = older(), seen()
    begin()
    assert (older(), seen()) == before, "as torch starts it"
    yield begin
    begin()


@pytest.mark.parametrize("name", CALLERS)
def test_a_processor_computes_in_whole_float32(called, name):
    called(name)
    expected = settings()
    called(name)
    readable = {setting for setting, value in older().items() if value != "mixed"}
    with pinned(torch.device("cpu")):
        assert set(seen(ON_PROCESSORS).values()) == {"none"}
        assert readable <= {setting for setting, value in older().items() if value != "mixed"}
    assert settings() == expected


@pytest.mark.parametrize("name", CALLERS)
def test_a_gpu_computes_in_whole_float32(called, name):
    """And torch's other switches of cudnn, which look at the older settings, can be used inside."""
    called(name)
    expected = settings()
    called(name)
    with suppress(ZeroDivisionError), whole_float32(torch.device("cuda")):
        assert set(seen().values()) == {"none"}
        assert older() == {"products": "highest", "tf32": False, "convolutions": False}
        with BACKENDS.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            assert set(seen().values()) == {"none"}
        assert set(seen().values()) == {"none"}
        raise ZeroDivisionError
    assert settings() == expected


@pytest.mark.parametrize("name", ["older-medium", "processor-products"])
def test_no_choice_changes_a_bit_of_a_training(called, make_program, same, name):
    """On processors that multiply in bfloat16; on others these settings do nothing."""
    rates = np.full((1, 4, 1), 0.01)
    expected = make_program("digits-mlp").run_epoch(1, rates)[0]
    called(name)
    assert same(make_program("digits-mlp").run_epoch(1, rates)[0], expected)
