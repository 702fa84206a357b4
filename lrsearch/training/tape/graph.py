"""The kernels of one call, captured on a GPU and launched again as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from .recording import UNFIT, tensors_in


class Graph:
    """``function`` as a ``torch.cuda.CUDAGraph``: launching its kernels one by one takes longer than small ones run.

    Capturing runs nothing. Generators draw while it plays as they would have drawn in a call.

    Args:
        function: gives new tensors by name; was called before, so that libraries have found their memory.
        given: every tensor that was there before and that it may write, the same objects at every call.

    Attributes:
        results: what playing leaves, by name.
        changed: ``given``.

    Raises:
        RuntimeError: it does what no graph can, or memory runs out.
    """

    def __init__(self, function: Callable[[], Mapping[str, torch.Tensor]], given: Sequence[torch.Tensor]) -> None:
        self.changed = given
        self._graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.current_stream()
        try:
            # other threads may go on meanwhile
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self.results = function()
        finally:
            torch.cuda.set_stream(stream)  # torch leaves its own one current where a capture fails

    def play(self) -> Mapping[str, torch.Tensor]:
        """The results, in tensors that the next playing writes again."""
        self._graph.replay()
        return self.results


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch types it not
    """Looks for what must not be captured: a failed capture leaves torch's generators unusable.

    Attributes:
        unfit: why what ran inside may not be captured; None where it may.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch types it not
        self.unfit: str | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if UNFIT.intersection(func.tags):
            self.unfit = f"{func} depends on numbers"
        elif any(tensor.device.type != "cuda" for tensor in tensors_in(args, kwargs, result)):
            self.unfit = f"{func} works on another device"
        return result
