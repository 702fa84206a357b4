"""The fused torch program: all lanes of a cohort in one forward and one backward pass.

Lanes do not touch one another, so the gradient of the sum of their losses holds each lane's own gradient. The forward
pass alone is vectorised (``torch.vmap``); the backward pass is torch's ordinary one. docs/decisions/0008 has the
alternatives and their figures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch

from ..errors import InvalidInput
from ..schedules import FloatArray
from ..study import TrainSpec
from .batches import EVALUATED_AT_ONCE, Tensors
from .device import Reseed, chosen_device, pinned
from .failures import memory_errors
from .interval import Interval
from .lane_convolution import ByProducts
from .lane_rows import HOOK, operators, rows_of
from .lanes_model import LanesModel, lane_kernels
from .numerics import CONVOLUTIONS_BY_PRODUCTS, FUSED_PROGRAM, torch_numerics
from .passes import GRADIENT, Passes, Passing
from .position import Position
from .probe import Probe, layers_of
from .program import MODEL, OPTIMIZER, EpochRecord, OutOfMemory, State, check_state
from .setting import Setting
from .stacked import STACKED, StackedOptimizer
from .tape import Tapes
from .torch_lane import POSITION, as_copy, placed_model
from .wide import Layout, group_rates, layouts, momenta
from .workload import Workload

LASTING = 12
"""Epochs after a fork from which on lanes are given no more rows than they need."""
CLIP_EPS = 1e-6
"""As in ``torch.nn.utils.clip_grad_norm_``."""


class FusedProgram:
    """As ``program.Program``, for models of torch that can be given a lane axis.

    Args:
        workload: the task and its data.
        train: the recipe, with optimiser and batch size.
        seed: weights, data order and dropout masks are drawn from it.
        device: ``"cpu"``, ``"cuda:0"``, ...; None = the best one here.

    Raises:
        InvalidInput: a layer of the model knows no lane axis. Code that cannot be vectorised shows in the first
            update: ``calibration.calibrated`` tries some.
    """

    kernels: ClassVar[Callable[[], AbstractContextManager[object]]] = nullcontext
    """What the passes over examples run inside."""
    graphs: ClassVar[bool] = False
    """Whether a GPU's kernels are launched as graphs."""
    version: ClassVar[str] = FUSED_PROGRAM
    """Its part of the numerics."""
    model_kind: ClassVar[type[LanesModel]] = LanesModel
    """How its model is called."""
    evaluated_at_once: ClassVar[int] = EVALUATED_AT_ONCE
    """Examples of a forward pass without gradients."""
    shares_draws: ClassVar[bool] = False
    """Whether others train the same update just before or after."""

    def __init__(self, workload: Workload, train: TrainSpec, seed: int, device: str | None = None) -> None:
        self._setting = Setting.of(workload, train, seed, device)
        self._task, self._train, self._seed = workload.task, train, seed
        data = self._setting.data
        model = placed_model(workload.task, train, seed, self._setting.device)
        self._layouts = layouts(workload.task, model, train.groups)
        self._operators = workload.prepared(("operators", data), lambda: operators(workload.task, train, data))
        if HOOK in self._operators.names:
            raise InvalidInput("its forward pass hooks a tensor: the hook would see the gradients of all lanes")
        self._layers = layers_of(model)
        self._n_epochs = 0
        self._model = self.model_kind(model)
        self._model.put(self._model.selected(self._rows([0])))
        tapes = workload.prepared(("tapes", type(self), train.precision, self._setting.device), Tapes)
        batches: dict[Hashable, Tensors] = workload.prepared(("batches", train.precision, self._setting.device), dict)
        how = Passing(self.graphs, self.evaluated_at_once, batches)
        self._passes = Passes(self._model, workload.task, data.train, tapes, seed=seed, how=how)
        self._optimizer = self._new_optimizer(self._model.weights)
        self._position = Position()
        self._first_losses = np.full(1, np.nan)
        self._columns: dict[Layout, torch.Tensor] = {}
        self.n_lanes = 1

    def _rows(self, index: Sequence[int], *, lasting: bool = False) -> torch.Tensor:
        taped = self.graphs or self._setting.device.type == "cpu"
        rows = rows_of(index, self._operators, self._setting.order.batch_size, taped=taped, lasting=lasting)
        return torch.tensor(rows, device=self._setting.device)

    def _new_optimizer(self, weights: torch.Tensor) -> StackedOptimizer[Any]:
        assert self._train.optimizer is not None
        kind = STACKED[self._train.optimizer.name]
        return kind(self._train.optimizer, [weights] if kind.elementwise else self._model.split(weights))

    def run_epoch(self, epoch: int, controls: FloatArray) -> list[EpochRecord]:
        """Train every lane for one interval; as the protocol.

        Raises:
            OutOfMemory: no lane has changed.
        """
        began = time.perf_counter()
        if self._n_epochs == LASTING:
            self._select(range(self.n_lanes), lasting=True)
        self._n_epochs += 1
        with self.vectorised() as reseed, self.undone():
            interval = Interval(self.probe(controls))
            for _ in self.updates(controls, reseed, interval):
                pass
            records = self.recorded(epoch, controls, interval, began=began)
        self.moved(controls)
        return records

    def probe(self, controls: FloatArray) -> Probe:
        """What looks at the updates of an interval."""
        return Probe(self._layers, self._position.update, controls.shape[1])

    def recorded(self, epoch: int, controls: FloatArray, interval: Interval, *, began: float) -> list[EpochRecord]:
        """Every lane's record of an interval that it was trained for, ``began`` as for ``Interval.records``."""
        means = self._passes.evaluated("val", self._setting.data.val, self.n_lanes)
        val = {f"val_{name}": values for name, values in means.items()}
        first, rates = self._position.update, controls[:, :, 0]
        return interval.records(epoch, first, rates, val, self._first_losses, began=began)

    def moved(self, controls: FloatArray) -> None:
        """All lanes were trained for an interval."""
        self._position.advance(controls.shape[1], self.n_lanes)

    def train_only(self, rates: FloatArray) -> None:
        """Train every lane for some updates, of which nothing is recorded; rates of shape (lanes, updates)."""
        controls = rates[:, :, None]
        with self.vectorised() as reseed, memory_errors():
            for _ in self.updates(controls, reseed, Interval()):
                pass
        self.moved(controls)

    def fork(self, index: Sequence[int]) -> None:
        """Lane i becomes a copy of lane ``index[i]``.

        Raises:
            OutOfMemory: no lane has changed.
        """
        self._select(index)
        self._n_epochs = 0
        self._position.fork(index)
        self._first_losses = self._first_losses[list(index)]
        self.n_lanes = len(index)

    def _select(self, index: Sequence[int], *, lasting: bool = False) -> None:
        """Fill the rows with copies of lanes ``index``; as many rows as before stay the same tensors.

        Everything new is made before anything is changed, as memory may run out until then.
        """
        with memory_errors():
            rows = self._rows(index, lasting=lasting)
            moved = {name: t.index_select(0, rows) if t.ndim else t for name, t in self._optimizer.state().items()}
            weights, buffers = self._model.selected(rows)
            others = len(weights) != len(self._model.weights)
            optimizer = self._new_optimizer(weights) if others else self._optimizer
            optimizer.load(moved)
        self._model.put((weights, buffers))
        self._optimizer = optimizer
        if others:
            self._passes.forget()

    def save(self, lane: int) -> State:
        """A copy of a lane's state."""
        position = np.array([self._position.update, self._first_losses[lane]])
        state = {name: as_copy(tensor[lane] if stacked else tensor) for name, tensor, stacked in self._tensors()}
        return {**state, POSITION: position}

    def load(self, lane: int, state: Mapping[str, np.ndarray]) -> None:
        """Give a lane a saved state; all lanes stand at the same update.

        Raises:
            InvalidInput: it was saved by another model or optimiser, or stands elsewhere; nothing is changed.
        """
        ours = self._tensors()
        fresh = not any(name.startswith(OPTIMIZER) for name in state)
        ours = [own for own in ours if not fresh or not own[0].startswith(OPTIMIZER)]
        check_state(state, {POSITION: (2,), **{name: tuple(t.shape[stacked:]) for name, t, stacked in ours}})
        for name, tensor, stacked in ours:
            if name.startswith(MODEL) and not stacked and not np.array_equal(as_copy(tensor), state[name]):
                raise InvalidInput(f"`{name}` is not trained: a state must hold the numbers it has here")
        self._position.check(lane, int(state[POSITION][0]))
        rows = slice(lane, None if lane == self.n_lanes - 1 else lane + 1)
        moments = {}
        with torch.no_grad():
            for name, tensor, stacked in ours:
                saved = torch.from_numpy(np.array(state[name]))
                if stacked:
                    tensor[rows] = saved.to(tensor.device, tensor.dtype)
                elif name.startswith(OPTIMIZER):
                    moments[name.removeprefix(OPTIMIZER)] = saved
            if fresh:
                begun = self._new_optimizer(self._model.weights).state()
                for name, tensor in self._optimizer.state().items():
                    tensor[rows if tensor.ndim else ...] = begun[name][rows if tensor.ndim else ...]
                    moments |= {} if tensor.ndim else {name: begun[name]}
            self._optimizer.load({**self._optimizer.state(), **moments})
        self._position.load(lane, int(state[POSITION][0]))
        self._first_losses[lane] = state[POSITION][1]

    def _tensors(self) -> list[tuple[str, torch.Tensor, bool]]:
        """Everything that the next update depends on: name, tensor, and whether its first axis counts the rows."""
        model = self._model
        weights = dict(zip(model.shapes, model.split(model.weights), strict=True))
        return [
            *((MODEL + name, tensor, True) for name, tensor in {**weights, **model.buffers}.items()),
            *((MODEL + name, tensor, False) for name, tensor in model.fixed.items()),
            *((OPTIMIZER + name, tensor, tensor.ndim > 0) for name, tensor in self._optimizer.state().items()),
        ]

    def test(self, lane: int) -> dict[str, float]:
        """``test_*`` metrics of a lane's present state; no lane changes.

        Raises:
            OutOfMemory: no lane has changed.
        """
        if self._setting.data.test is None:
            return {}
        with self.vectorised() as reseed, self.undone():
            buffers = {name: tensor.clone() for name, tensor in self._model.buffers.items()}
            reseed(self._seed, self._position.update)
            try:
                means = self._passes.evaluated("test", self._setting.data.test, self.n_lanes)
            finally:
                for name, tensor in buffers.items():
                    self._model.buffers[name].copy_(tensor)  # some models count their calls
        return {f"test_{name}": float(values[lane]) for name, values in means.items()}

    @classmethod
    def numerics(cls, device: str | None = None) -> str:
        """What may change the last bits here."""
        return torch_numerics(str(chosen_device(device)), cls.version)

    @contextmanager
    def vectorised(self) -> Iterator[Reseed]:
        """Torch's settings while lanes train or are measured."""
        with pinned(self._setting.device) as reseed, lane_kernels(), type(self).kernels():
            yield reseed

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Leave all lanes as they were where memory runs out inside, and raise OutOfMemory."""
        model = self._model
        with memory_errors():
            weights = model.weights.clone()
            buffers = {name: tensor.clone() for name, tensor in model.buffers.items()}
            moments = {name: tensor.clone() for name, tensor in self._optimizer.state().items()}
        try:
            with memory_errors():
                yield
        except OutOfMemory:
            model.weights.copy_(weights)
            for name, tensor in buffers.items():
                model.buffers[name].copy_(tensor)
            self._optimizer.load(moments)
            raise

    def updates(self, controls: FloatArray, reseed: Reseed, interval: Interval) -> Iterator[None]:
        """Train all rows, the padded ones with the last lane's controls, an update a step; measures go to ``interval``.

        Between two steps others may start the generators anew.
        """
        probe = interval.probe
        model, setting = self._model, self._setting
        model.train(True)
        padded = np.concatenate([controls, controls[-1:].repeat(len(model.weights) - len(controls), axis=0)])
        by_update = self._placed(padded[:, :, 0])
        assert self._train.optimizer is not None
        used = self._layouts.of(controls)
        momentum, rates = momenta(padded, self._train.optimizer), group_rates(padded, used)
        moved = None if momentum is None else self._placed(momentum)
        by_depth = None if rates is None else self._placed(rates)
        batches = setting.order.batches(
            self._position.update, self._position.update + controls.shape[1], setting.device
        )
        for number, (examples, rate) in enumerate(zip(batches, by_update, strict=True)):
            update = self._position.update + number
            reseed(self._seed, update)
            measured = self._passes.update(examples, (self._seed, update) if self.shares_draws else None)
            gradient = measured.pop(GRADIENT)
            looked = probe if probe is not None and probe.wants(update) else None
            if looked is not None:
                looked.before(model.split(gradient), model.split(model.weights))
            if self._train.clip_norm is not None:
                gradient.mul_((self._train.clip_norm / (measured["grad_norm"] + CLIP_EPS)).clamp_(max=1.0)[:, None])
            elementwise = self._optimizer.elementwise
            self._optimizer.step(
                [gradient] if elementwise else model.split(gradient),
                rate if by_depth is None else self._spread(by_depth[number], used),
                None if moved is None else moved[number],
            )
            if looked is not None:
                looked.after(model.split(model.weights))
            interval.add(len(examples), measured)
            yield

    def _placed(self, values: FloatArray) -> torch.Tensor:
        """Numbers of shape (rows, updates, ...) on the device, as (updates, rows, ...)."""
        by_update = np.ascontiguousarray(np.moveaxis(values, 1, 0))
        return torch.from_numpy(by_update).to(self._setting.device, self._model.weights.dtype)

    def _spread(self, rates: torch.Tensor, used: Layout) -> list[torch.Tensor]:
        """Rates by a layout, shape (rows, places), as the optimiser takes them: a tensor a parameter."""
        if not self._optimizer.elementwise:
            return [rates[:, place] for place in used.places]
        if used not in self._columns:
            sizes = torch.tensor(self._model.sizes)
            places = torch.tensor([*used.places, 0])
            self._columns[used] = torch.repeat_interleave(places, sizes).to(self._setting.device)
        return [rates.index_select(1, self._columns[used])]


class FusedByProducts(FusedProgram):
    """The same, its convolutions as batched products of matrices: ``lane_convolution``."""

    kernels = ByProducts
    version = f"{FUSED_PROGRAM}, {CONVOLUTIONS_BY_PRODUCTS}"


class FusedGraphs(FusedProgram):
    """The same on a GPU, each pass launched as one graph: ``tape.graph``."""

    graphs = True
    version = f"{FUSED_PROGRAM}, graphs"


class FusedGraphsByProducts(FusedByProducts):
    """Both."""

    graphs = True
    version = f"{FUSED_PROGRAM}, {CONVOLUTIONS_BY_PRODUCTS}, graphs"


FUSED: Mapping[str, type[FusedProgram]] = MappingProxyType(
    {
        "torch": FusedProgram,
        "products": FusedByProducts,
        "torch-graphs": FusedGraphs,
        "products-graphs": FusedGraphsByProducts,
    }
)
"""The fused programs by the kernels of their convolutions, and by how these are launched."""


def fused_kinds(device: torch.device, *, convolves: bool) -> list[str]:
    """Those of ``FUSED`` that differ for a task on a device."""
    kinds = ["torch", "products"] if convolves else ["torch"]
    return [*kinds, *(f"{kind}-graphs" for kind in kinds)] if device.type == "cuda" else kinds
