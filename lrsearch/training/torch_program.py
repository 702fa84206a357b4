"""The torch program: lanes one after the other, each with its own model and torch.optim optimiser."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from ..errors import InvalidInput
from ..schedules import FloatArray
from ..study import TrainSpec
from .batches import EVALUATED_AT_ONCE, Order, Placed, Tensors
from .device import FUSED_DEVICES, chosen_device, pinned
from .numerics import torch_numerics
from .program import EpochRecord, State, divergence_bound, first_divergence
from .torch_lane import TorchLane
from .workload import Workload

Measured = dict[str, list[torch.Tensor]]


class TorchProgram:
    """As ``program.Program``, for models of torch.

    Args:
        workload: the task and its data.
        train: the recipe, with optimiser and batch size.
        seed: weights, data order and dropout masks are drawn from it.
        device: ``"cpu"``, ``"cuda:0"``, ...; None = the best one here.
    """

    def __init__(self, workload: Workload, train: TrainSpec, seed: int, device: str | None = None) -> None:
        self._workload, self._train, self._seed = workload, train, seed
        self._device = chosen_device(device, train.precision)
        dtype = torch.float64 if train.precision == "float64" else torch.float32
        place = (self._device, dtype)
        self._data = workload.prepared(place, lambda: Placed.of(workload.data, *place))
        n_examples = len(self._data.train[0])
        if n_examples != workload.n_train:
            raise InvalidInput(
                "options must not change the number of training examples, which schedules are counted by: task "
                f"`{workload.task.name}` announces {workload.n_train} (got {n_examples})"
            )
        assert train.batch_size is not None
        batch_size = workload.n_train if train.batch_size == "full" else train.batch_size
        self._order = Order(workload.n_train, batch_size, seed)
        self._lanes = [self._new_lane()]
        self.n_lanes = 1

    def _new_lane(self) -> TorchLane:
        return TorchLane(self._workload.task, self._train, self._seed, self._device)

    def run_epoch(self, epoch: int, controls: FloatArray) -> list[EpochRecord]:
        """Train every lane for one interval; as the protocol."""
        return [self._run(lane, epoch, controls[i, :, 0]) for i, lane in enumerate(self._lanes)]

    def fork(self, index: Sequence[int]) -> None:
        """Lane i becomes a copy of lane ``index[i]``."""
        lanes: list[TorchLane] = []
        for i in index:
            lane = self._lanes[i]
            if lane in lanes:
                lane = self._new_lane()
                lane.load(self._lanes[i].save())
            lanes.append(lane)
        self._lanes, self.n_lanes = lanes, len(lanes)

    def save(self, lane: int) -> State:
        """A copy of a lane's state."""
        return self._lanes[lane].save()

    def load(self, lane: int, state: Mapping[str, np.ndarray]) -> None:
        """Give a lane a saved state."""
        self._lanes[lane].load(state)

    def test(self, lane: int) -> dict[str, float]:
        """``test_*`` metrics of a lane's present state."""
        if self._data.test is None:
            return {}
        with pinned(self._device):
            return self._evaluate(self._lanes[lane], self._data.test, "test")

    @staticmethod
    def numerics(device: str | None = None) -> str:
        """What may change the last bits here."""
        chosen = chosen_device(device)
        return torch_numerics(str(chosen), fused_optimizer=chosen.type in FUSED_DEVICES)

    def _run(self, lane: TorchLane, epoch: int, rates: FloatArray) -> EpochRecord:
        began = time.perf_counter()
        first = lane.update
        with pinned(self._device) as reseed:
            lane.model.train()
            measured: Measured = {"loss": [], "grad_norm": []}
            sizes = []
            batches = self._order.batches(first, first + len(rates), self._device)
            for update, (index, rate) in enumerate(zip(batches, rates.tolist(), strict=True), start=first):
                reseed(self._seed, update)
                lane.set_rate(rate)
                self._update(lane, index, measured)
                sizes.append(len(index))
            lane.update = first + len(rates)
            values = {name: torch.stack(values).cpu().double().numpy() for name, values in measured.items()}
            losses, grad_norms = values.pop("loss"), values.pop("grad_norm")
            if first == 0:
                lane.first_loss = float(losses[0])
            metrics = {"train_loss": float(np.average(losses, weights=sizes))}
            metrics |= {f"train_{name}": float(sums.sum() / np.sum(sizes)) for name, sums in values.items()}
            metrics |= self._evaluate(lane, self._data.val, "val")
        divergence = first_divergence(losses, rates, first, divergence_bound(lane.first_loss))
        if divergence is None and not np.isfinite(metrics["val_loss"]):
            divergence = lane.update - 1, float(rates[-1])
        metrics["grad_norm"] = float(grad_norms.mean())
        seconds = time.perf_counter() - began
        return EpochRecord(epoch, float(rates[0]), float(rates[-1]), seconds, metrics, divergence)

    def _update(self, lane: TorchLane, index: torch.Tensor, measured: Measured) -> None:
        """One optimiser step; what it measured stays on the device until the interval ends."""
        task = self._workload.task
        inputs, targets = (side.index_select(0, index) for side in self._data.train)
        lane.optimizer.zero_grad(set_to_none=True)
        outputs = lane.outputs(inputs)
        loss = task.loss(outputs, targets)
        loss.backward()  # type: ignore[no-untyped-call]  # torch types it not
        gradients = [p.grad for p in lane.parameters if p.grad is not None]
        # half the time of torch.nn.utils.get_total_norm, which sorts the gradients by device and type first
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        if self._train.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(lane.parameters, self._train.clip_norm, norm)
        lane.optimizer.step()
        measured["loss"].append(loss.detach())
        measured["grad_norm"].append(norm)
        with torch.no_grad():
            for name, value in task.measure(outputs.detach(), targets).items():
                measured.setdefault(name, []).append(total(value, len(index)))

    @torch.no_grad()
    def _evaluate(self, lane: TorchLane, pair: Tensors, part: str) -> dict[str, float]:
        """Loss and measures over ``pair``, means over its examples."""
        task = self._workload.task
        lane.model.eval()
        totals: Measured = {}
        for inputs, targets in zip(*(torch.split(side, EVALUATED_AT_ONCE) for side in pair), strict=True):
            outputs = lane.outputs(inputs)
            measures = {"loss": task.loss(outputs, targets), **task.measure(outputs, targets)}
            for name, value in measures.items():
                totals.setdefault(name, []).append(total(value, len(targets)))
        sums = {name: torch.stack(values).cpu().double().sum().item() for name, values in totals.items()}
        return {f"{part}_{name}": value / len(pair[1]) for name, value in sums.items()}


def total(value: torch.Tensor, n_examples: int) -> torch.Tensor:
    """The sum over a batch of a measure: of one value for each example, or of their mean."""
    return value.sum() if value.ndim else value * n_examples
