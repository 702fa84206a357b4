"""A model whose trained weights and buffers carry a leading lane axis, called once for all lanes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..errors import InvalidInput
from .python_draws import python_draws

ROW = 64
"""A lane's weights fill whole blocks of so many numbers: elementwise kernels treat the last numbers of a tensor that
are no whole vector differently, and which lane those belong to would depend on how many lanes there are."""
ONE_BY_ONE = (torch.nn.RNNBase,)
"""Layers that keep their weights where no lane axis reaches them."""
RECOMPUTED = "what a forward pass leaves out would be computed again with the initial weights"
"""Of activation checkpoints: weights are in the model during a forward pass only."""

Slot = tuple[torch.nn.Module, str]
Measured = tuple[torch.Tensor, Mapping[str, torch.Tensor]]
Rows = tuple[torch.Tensor, dict[str, torch.Tensor]]
"""Weights and buffers of some lanes."""


class LanesModel:
    """The lanes of one model, one row at first: ``weights`` (rows, P), ``buffers`` of shape (rows, \\*shape) each.

    ``sizes`` are the numbers of P that each trained weight takes, and at last those that fill a row up.

    Every tensor is a lane's own, but for weights that are not trained: all lanes share those.

    Args:
        model: a lane's model, on its device; from here on it is this object's.

    Raises:
        InvalidInput: a layer of the model cannot be given a lane axis.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self._model = model
        for name, module in model.named_modules():
            if isinstance(module, ONE_BY_ONE):
                raise InvalidInput(f"layer `{name}` ({type(module).__name__}) cannot train many lanes at once")
            if module._backward_hooks or module._backward_pre_hooks:
                raise InvalidInput(f"layer `{name}` has a backward hook, which would see the gradients of all lanes")
        named = dict(model.named_parameters())
        self.fixed = {name: p.detach() for name, p in named.items() if not p.requires_grad}
        trained = {name: p for name, p in named.items() if p.requires_grad}
        if hooked := [name for name, p in trained.items() if p._backward_hooks or p._post_accumulate_grad_hooks]:
            raise InvalidInput(f"weight `{hooked[0]}` has a hook, which would not see a lane's own gradient")
        if not trained:
            raise InvalidInput("`model()` must have at least one parameter to train")
        kinds = {p.dtype for p in trained.values()}
        if len(kinds) > 1 or not next(iter(kinds)).is_floating_point:
            raise InvalidInput(f"weights of many lanes need one floating-point type (got {sorted(map(str, kinds))})")
        places = Counter(tensor.data_ptr() for tensor in (*named.values(), *model.buffers()))
        if shared := [name for name, p in trained.items() if p.numel() and places[p.data_ptr()] > 1]:
            raise InvalidInput(f"weight `{shared[0]}` lies in another's memory: tie weights by assigning the parameter")
        self.shapes = {name: tuple(p.shape) for name, p in trained.items()}
        self._sizes = [p.numel() for p in trained.values()]
        self._slots = {name: _slots(model, "_parameters", p) for name, p in trained.items()}
        self._own = list(trained.values())
        held = dict(model.named_buffers())
        self._buffer_slots = {name: _slots(model, "_buffers", b) for name, b in held.items()}
        filling = -sum(self._sizes) % ROW
        self._sizes.append(filling)
        self.sizes = tuple(self._sizes)
        with torch.no_grad():
            flat = [*(p.detach().reshape(-1) for p in trained.values()), self._own[0].new_zeros(filling)]
            self.weights = torch.cat(flat)[None].clone()
            self.buffers = {name: b.detach()[None].clone() for name, b in held.items()}

    def split(self, weights: torch.Tensor) -> list[torch.Tensor]:
        """Views of (rows, P) numbers, one a trained weight: (rows, \\*shape) each, in the order of ``shapes``."""
        parts = torch.split(weights, self._sizes, dim=1)
        return [part.view(len(weights), *shape) for part, shape in zip(parts, self.shapes.values(), strict=False)]

    def train(self, mode: bool) -> None:
        """Switch between training and evaluation."""
        self._model.train(mode)

    def selected(self, index: torch.Tensor) -> Rows:
        """Copies of rows ``index``; nothing is changed."""
        buffers = {name: tensor.index_select(0, index) for name, tensor in self.buffers.items()}
        return self.weights.index_select(0, index), buffers

    def put(self, rows: Rows) -> None:
        """Have other rows, without making a tensor; as many as before stay the same tensors."""
        weights, buffers = rows
        if len(weights) != len(self.weights):
            self.weights, self.buffers = weights, buffers
            return
        self.weights.copy_(weights)
        for name, tensor in buffers.items():
            self.buffers[name].copy_(tensor)

    def call(
        self,
        measure: Callable[[torch.Tensor, torch.Tensor], Measured],
        weights: torch.Tensor,
        inputs: torch.Tensor,
        targets: torch.Tensor,
    ) -> Measured:
        """``measure(outputs, targets)`` of every lane for a batch that all lanes share; a first axis counts the rows.

        Buffers change as the model changes them. Everything random is drawn once and is the same in every lane.

        Raises:
            Exception: whatever torch raises where the model's or the task's code cannot be vectorised.
        """

        def lane(own: Sequence[torch.Tensor], buffers: Mapping[str, torch.Tensor]) -> tuple[Measured, Mapping]:  # type: ignore[type-arg]  # names -> tensors
            _fill(self._slots.values(), own, "_parameters")
            _fill(self._buffer_slots.values(), buffers.values(), "_buffers")
            measured = measure(self._model(inputs), targets)
            now = {name: getattr(*slots[0]) for name, slots in self._buffer_slots.items()}
            return measured, {name: tensor for name, tensor in now.items() if tensor is not buffers[name]}

        try:
            with python_draws():
                measured, replaced = torch.vmap(lane, randomness="same")(self.split(weights), self.buffers)
        finally:
            _fill(self._slots.values(), self._own, "_parameters")
        with torch.no_grad():
            now = [tensor.clone() for tensor in replaced.values()] if len(replaced) > 1 else replaced.values()
            for name, tensor in zip(replaced, now, strict=True):  # one may be what another was
                self.buffers[name].copy_(tensor)
        return measured


class OneLaneModel(LanesModel):
    """The same for one row, called as it is, without ``vmap``; convolutions of images have their channels last."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__(model)
        self._channels_last = any(isinstance(module, torch.nn.Conv2d) for module in model.modules())

    def call(
        self,
        measure: Callable[[torch.Tensor, torch.Tensor], Measured],
        weights: torch.Tensor,
        inputs: torch.Tensor,
        targets: torch.Tensor,
    ) -> Measured:
        """As of many lanes: ``measure(outputs, targets)``, with a first axis of length 1."""
        if self._channels_last and inputs.ndim == 4:
            inputs = inputs.to(memory_format=torch.channels_last)
        _fill(self._slots.values(), [own.squeeze(0) for own in self.split(weights)], "_parameters")
        buffers = [own.squeeze(0) for own in self.buffers.values()]
        _fill(self._buffer_slots.values(), buffers, "_buffers")
        try:
            with python_draws(), torch.autograd.graph.disable_saved_tensors_hooks(RECOMPUTED):
                loss, sums = measure(self._model(inputs), targets)
        finally:
            _fill(self._slots.values(), self._own, "_parameters")
        with torch.no_grad():
            held = [getattr(*slots[0]) for slots in self._buffer_slots.values()]
            replaced = [(buffer, now.clone()) for buffer, now in zip(buffers, held, strict=True) if now is not buffer]
            for buffer, now in replaced:  # one may be what another was
                buffer.copy_(now)
        return loss[None], {name: total[None] for name, total in sums.items()}


def _slots(model: torch.nn.Module, kind: str, tensor: torch.Tensor) -> list[Slot]:
    """Every place of the model that holds ``tensor``: more than one where weights are tied."""
    return [
        (module, name) for module in model.modules() for name, held in getattr(module, kind).items() if held is tensor
    ]


def _fill(slots: object, tensors: object, kind: str) -> None:
    """Put ``tensors`` into their places, without the cost of ``torch.func.functional_call`` (a fifth of an update)."""
    for places, tensor in zip(slots, tensors, strict=True):  # type: ignore[call-overload]
        for module, name in places:
            getattr(module, kind)[name] = tensor


@contextmanager
def lane_kernels() -> Iterator[None]:
    """Only kernels that know a lane axis: attention as plain products, transformers without their fast path."""
    fast = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
