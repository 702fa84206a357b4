"""One trajectory of a torch program: a model, its optimiser, and where it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ..errors import InvalidInput
from ..schedules import Column, FloatArray
from ..study import TrainSpec
from ..tasks.initial import initial_model
from ..tasks.task import Task
from .hints import add_hints
from .optimizers import build_optimizer
from .precision import in_precision
from .probe import layers_of
from .program import MODEL, OPTIMIZER, State, check_state
from .wide import group_rates, layouts, momenta, own_momentum

POSITION = "position"
"""float64 (2,): updates done, and the loss of update 0 (NaN before it)."""
COUNT = "step"
"""torch's name of an optimiser's count of updates: a scalar that is no moment."""


class TorchLane:
    """A model and its optimiser on a device; weights of 2-D convolutions lie channels-last, where they are fastest.

    Args:
        task: what is trained.
        train: the recipe.
        seed: the initial weights are drawn from it.
        device: where it lives.
    """

    def __init__(self, task: Task, train: TrainSpec, seed: int, device: torch.device) -> None:
        self.model = placed_model(task, train, seed, device)
        self.channels_last = any(isinstance(module, torch.nn.Conv2d) for module in self.model.modules())
        if self.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        if not self.parameters:
            raise InvalidInput(f"`model()` of task `{task.name}` must have at least one parameter to train")
        self.layers = layers_of(self.model)
        assert train.optimizer is not None
        self._spec = train.optimizer
        self._task = task
        self._groups = train.groups
        if train.groups:
            layouts(task, self.model, train.groups)  # names that the model has not are told at once
        self._all = [[name for name, parameter in self.model.named_parameters() if parameter.requires_grad]]
        self._parts = self._all
        self.optimizer = build_optimizer(train.optimizer, self.parameters)
        self.update = 0
        self.first_loss = np.full(1, np.nan)

    def outputs(self, inputs: torch.Tensor) -> Any:
        """The model's outputs for a batch of inputs."""
        if self.channels_last and inputs.ndim == 4:
            inputs = inputs.to(memory_format=torch.channels_last)
        try:
            return self.model(inputs)
        except Exception as error:
            add_hints(error, self.model, inputs)
            raise

    def rows(self) -> list[torch.Tensor]:
        """The weights that are trained, each as the only row of its kind."""
        return [parameter.detach()[None] for parameter in self.parameters]

    @contextmanager
    def buffers_kept(self) -> Iterator[None]:
        """Whatever happens inside, the model's buffers are as before: some models count their calls."""
        owners = [module._buffers for module in self.model.modules()]
        entries = [(owner, dict(owner)) for owner in owners]
        values = [(buffer, buffer.clone()) for buffer in self.model.buffers()]
        try:
            yield
        finally:
            for owner, kept in entries:  # a forward pass may have put others in their place
                owner.clear()
                owner.update(kept)
            with torch.no_grad():
                for buffer, value in values:
                    buffer.copy_(value)

    def take(self, controls: FloatArray) -> Callable[[int], None]:
        """Make ready for an interval's controls, shape (updates, columns); what sets those of its n-th update.

        Raises:
            InvalidInput: they move the momentum of an optimiser that has none.
        """
        groups, momentum = self.optimizer.param_groups, momenta(controls, self._spec)
        parts, rates = self._parted(controls)
        if parts != self._parts:
            settings = {name: value for name, value in groups[0].items() if name != "params"}
            named = dict(self.model.named_parameters())
            groups[:] = [{**settings, "params": [named[name] for name in part]} for part in parts]
            self._parts = parts
        own = own_momentum(self._spec)
        moved = momentum.tolist() if momentum is not None else None
        if moved is None and own is not None:
            self._set_momentum(own)

        def set_controls(number: int) -> None:
            for group, rate in zip(groups, rates[number], strict=True):
                group["lr"] = rate
            if moved is not None:
                self._set_momentum(moved[number])

        return set_controls

    def _parted(self, controls: FloatArray) -> tuple[list[list[str]], list[list[float]]]:
        """The trained parameters by the rate that they have, and these rates at every update."""
        if controls.shape[1] <= Column.LAYER_DECAY:
            return self._all, controls[:, :1].tolist()
        layout = layouts(self._task, self.model, self._groups).of(controls)
        found, used = group_rates(controls, layout), sorted(set(layout.places))
        assert found is not None
        parts = [[n for n, place in zip(self._all[0], layout.places, strict=True) if place == own] for own in used]
        return parts, found[:, used].tolist()

    def _set_momentum(self, momentum: float) -> None:
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["betas"] = (momentum, group["betas"][1])
            elif "momentum" in group:
                group["momentum"] = momentum

    def _tensors(self) -> dict[str, torch.Tensor]:
        """Weights and buffers, those that torch would not keep in a state dict included."""
        return dict([*self.model.named_parameters(), *self.model.named_buffers()])

    def save(self) -> State:
        """A copy of everything that the next update depends on."""
        tensors = {MODEL + name: tensor for name, tensor in self._tensors().items()}
        for i, parameter in enumerate(self.parameters):
            for name, value in self.optimizer.state.get(parameter, {}).items():
                if isinstance(value, torch.Tensor):
                    tensors[f"{OPTIMIZER}{i}.{name}"] = value
        state = {name: as_copy(tensor) for name, tensor in tensors.items()}
        return {**state, POSITION: np.array([self.update, self.first_loss[0]])}

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        """Become the lane that was saved.

        Raises:
            InvalidInput: it was saved by another model; nothing is changed.
        """
        ours = self._tensors()
        theirs = {name: array for name, array in state.items() if not name.startswith(OPTIMIZER)}
        check_state(theirs, {POSITION: (2,), **{MODEL + name: tuple(t.shape) for name, t in ours.items()}})
        moments = self._moments(state)
        with torch.no_grad():
            for name, tensor in ours.items():
                tensor.copy_(torch.from_numpy(state[MODEL + name]))
        self.optimizer.state.clear()
        for parameter, values in zip(self.parameters, moments, strict=True):
            if values:
                self.optimizer.state[parameter] = values
        self.update, self.first_loss = int(state[POSITION][0]), np.array(state[POSITION][1:])

    def _moments(self, state: Mapping[str, np.ndarray]) -> list[dict[str, torch.Tensor]]:
        """The optimiser's state of every parameter, laid out in memory as torch would have made it."""
        moments: list[dict[str, torch.Tensor]] = [{} for _ in self.parameters]
        fused = bool(self.optimizer.defaults.get("fused"))
        for key in state:
            if not key.startswith(OPTIMIZER):
                continue
            number, _, name = key.removeprefix(OPTIMIZER).partition(".")
            if not number.isdigit() or int(number) >= len(moments):
                raise InvalidInput(f"a state has exactly its program's arrays (got `{key}`)")
            parameter = self.parameters[int(number)]
            saved = torch.from_numpy(np.array(state[key]))
            if name == COUNT and saved.ndim == 0:
                moments[int(number)][name] = saved.to(parameter.device if fused else "cpu")
            elif saved.shape == parameter.shape:
                moments[int(number)][name] = torch.empty_like(parameter, dtype=saved.dtype).copy_(saved).detach()
            else:
                raise InvalidInput(f"`{key}` must have shape {tuple(parameter.shape)} (got {tuple(saved.shape)})")
        return moments


def placed_model(task: Task, train: TrainSpec, seed: int, device: torch.device) -> torch.nn.Module:
    """A task's model with its initial weights on ``device``, computing in the recipe's precision.

    Raises:
        InvalidInput: as ``initial_model``.
    """
    return in_precision(initial_model(task, seed), train.precision, device)


def convolves(task: Task) -> bool:
    """Whether a task's model has layers of convolutions."""
    layers = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)
    return any(isinstance(module, layers) for module in initial_model(task, 0).modules())


def as_copy(tensor: torch.Tensor) -> np.ndarray:
    """A copy on the processor, in C order."""
    return np.array(tensor.detach().cpu().numpy(), order="C", copy=True)
