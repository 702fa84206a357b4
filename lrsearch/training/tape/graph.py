"""The kernels of one call, captured on a GPU and launched again as one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache
from typing import Any

import torch

from .recording import Recording, aten, storage_of, tensors_in


class Graph:
    """``function`` as a ``torch.cuda.CUDAGraph``: launching its kernels one by one takes longer than small ones run.

    Capturing runs nothing. Generators draw while it plays as they would have drawn in a call.

    Args:
        function: gives new tensors by name; was called before, so that libraries have found their memory.
        watch: looked at a call of it.
        device: where it runs.
        pool: the memory that it shares with graphs that are never played at the same time.

    Attributes:
        results: what playing leaves, by name.
        changed: the tensors that were there before and are written.

    Raises:
        RuntimeError: it does what no graph can, or memory runs out.
    """

    def __init__(
        self, function: Callable[[], Mapping[str, torch.Tensor]], watch: Watch, device: torch.device, pool: Any
    ) -> None:
        self.changed: Sequence[torch.Tensor] = watch.changed
        self._read = watch.given  # kernels read there as long as the graph is played
        self._graph = torch.cuda.CUDAGraph()
        before = torch.cuda.current_stream(device)
        try:
            # other threads may go on meanwhile
            with torch.cuda.graph(self._graph, pool, _stream(device), capture_error_mode="thread_local"):
                self.results = function()
        except RuntimeError:
            # a capture that fails leaves its stream current and, in older torch, a generator that waits for its end
            torch.cuda.set_stream(before)
            generator = torch.cuda.default_generators[before.device_index]
            generator.graphsafe_set_state(generator.clone_state())
            raise

    def play(self, moment: Hashable = None) -> Mapping[str, torch.Tensor]:  # its draws are kernels, too
        """The results, in tensors that the next playing writes again."""
        self._graph.replay()
        return self.results


class Watch(Recording):  # type: ignore[no-untyped-call]  # torch types it not
    """A recording that also knows what no graph can do, before it is tried.

    Attributes:
        given: every tensor that was there before.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = super().__torch_dispatch__(func, types, args, kwargs)
        if func is aten.lift_fresh.default:
            self.unfit = "it makes a tensor of Python's numbers, which are copied to the device"
        elif any(tensor.device.type != "cuda" for tensor in tensors_in(args, kwargs, result)):
            self.unfit = f"{func} works on another device"
        return result

    @property
    def given(self) -> list[torch.Tensor]:
        """Every tensor that was there before."""
        made = {storage_of(tensor) for call in self.calls for tensor in call.fresh}
        return [tensor for call in self.calls for tensor in call.touched if storage_of(tensor) not in made]


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """The one that captures: torch's own belongs to the device that came first."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch types it not
