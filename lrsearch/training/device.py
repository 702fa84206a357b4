"""The device a torch program trains on, and the settings of torch it trains under."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch

from ..tasks.initial import GLOBALS, seed_python, seeded
from .float32 import whole_float32
from .numerics import THREADS

FUSED_DEVICES = ("cpu", "cuda", "mps")
"""Where torch.optim has fused kernels."""

Reseed = Callable[[int, int], None]
"""``reseed(seed, update)``: starts the device's generator for one update."""


def chosen_device(device: str | None, precision: str = "float32") -> torch.device:
    """``device``, or the best one here: cuda, then mps (which knows no float64), then cpu."""
    if device is not None:
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if torch.backends.mps.is_available() and precision != "float64":
        return torch.device("mps")
    return torch.device("cpu")


@contextmanager
def pinned(device: torch.device, *, python_too: bool = False) -> Iterator[Reseed]:
    """Settings that change bits are ours inside, the caller's again afterwards: threads, generators, kernels, float32.

    They are the process's, so other threads wait for their turn.

    Args:
        device: where something is trained.
        python_too: whether Python's and numpy's generators are started with the device's.

    Yields:
        ``reseed(seed, update)``: starts the device's generator for one update, so that everything random in it
        (dropout masks) is a function of the two alone.
    """
    with ExitStack() as stack:
        stack.enter_context(seeded(0, torch_too=False) if python_too else GLOBALS)
        threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
        deterministic = torch.are_deterministic_algorithms_enabled()
        warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
        flushes = flushes_denormals()
        stack.enter_context(torch.autocast(device.type, enabled=False))
        stack.enter_context(whole_float32(device))
        stack.enter_context(torch.random.fork_rng(devices=[device] if device.type == "cuda" else []))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if device.type == "cuda":
            stack.enter_context(torch.cuda.device(device))
            flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
            stack.enter_context(flags)
        generators = _generators(device)

        def reseed(seed: int, update: int) -> None:
            mixed = int.from_bytes(hashlib.blake2b(b"%d %d" % (seed, update), digest_size=8).digest(), "little")
            for generator in generators:
                generator.manual_seed(mixed)
            if python_too:
                seed_python(mixed)

        try:
            torch.set_num_threads(THREADS)
            # Adam's averages of a gradient that stays 0 shrink below the normal numbers, where processors are slow
            torch.set_flush_denormal(True)
            torch.set_default_dtype(torch.float32)
            torch.use_deterministic_algorithms(False)
            yield reseed
        finally:
            torch.set_num_threads(threads)
            torch.set_flush_denormal(flushes)
            torch.set_default_dtype(dtype)
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


def flushes_denormals() -> bool:
    """Whether this thread counts numbers below the normal ones as 0."""
    return not bool(torch.tensor(2e-38) * 0.1)


def _generators(device: torch.device) -> list[torch.Generator]:
    """The generators that layers draw from: the processor's and the device's."""
    generators = [torch.default_generator]
    if device.type == "cuda":
        index = device.index if device.index is not None else torch.cuda.current_device()
        generators.append(torch.cuda.default_generators[index])
    elif device.type == "mps":
        generators.append(torch.mps._get_default_mps_generator())
    return generators
