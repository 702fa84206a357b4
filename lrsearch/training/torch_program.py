"""The torch program: lanes one after the other, each with its own model and torch.optim optimiser."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from ..errors import InvalidInput
from ..schedules import FloatArray
from ..study import TrainSpec
from ..tasks.task import Task
from .batches import EVALUATED_AT_ONCE, Tensors
from .device import FUSED_DEVICES, Reseed, chosen_device, pinned
from .interval import Interval, Tally
from .judged import batch_loss, measured_sums
from .numerics import TORCH_PROGRAM, torch_numerics
from .probe import Probe
from .program import EpochRecord, State
from .setting import Setting
from .torch_lane import TorchLane
from .workload import Workload


class TorchProgram:
    """As ``program.Program``, for models of torch.

    Args:
        workload: the task and its data.
        train: the recipe, with optimiser and batch size.
        seed: weights, data order and dropout masks are drawn from it.
        device: ``"cpu"``, ``"cuda:0"``, ...; None = the best one here.
    """

    def __init__(self, workload: Workload, train: TrainSpec, seed: int, device: str | None = None) -> None:
        self._setting = Setting.of(workload, train, seed, device)
        self._task, self._train, self._seed = workload.task, train, seed
        self._lanes = [self._new_lane()]
        self._without: set[tuple[int, ...]] = set()
        self.n_lanes = 1

    def _new_lane(self) -> TorchLane:
        return TorchLane(self._task, self._train, self._seed, self._setting.device)

    def run_epoch(self, epoch: int, controls: FloatArray) -> list[EpochRecord]:
        """Train every lane for one interval; as the protocol."""
        return [self._run(lane, epoch, controls[i]) for i, lane in enumerate(self._lanes)]

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
        """``test_*`` metrics of a lane's present state; no lane changes."""
        data = self._setting.data.test
        if data is None:
            return {}
        own = self._lanes[lane]
        with pinned(self._setting.device, python_too=True) as reseed, own.buffers_kept():
            reseed(self._seed, own.update)
            return {f"test_{name}": float(value[0]) for name, value in self._evaluated(own, data).items()}

    @staticmethod
    def numerics(device: str | None = None) -> str:
        """What may change the last bits here."""
        chosen = chosen_device(device)
        optimizer = "fused" if chosen.type in FUSED_DEVICES else "foreach"
        return torch_numerics(str(chosen), f"{optimizer} optimiser; {TORCH_PROGRAM}")

    def train_only(self, rates: FloatArray) -> None:
        """Train every lane for some updates, of which nothing is recorded; rates of shape (lanes, updates)."""
        with pinned(self._setting.device, python_too=True) as reseed:
            for lane, own in zip(self._lanes, rates, strict=True):
                self._trained(lane, own[:, None], reseed)

    def train_plainly(self, rates: FloatArray) -> None:
        """As ``train_only``, and without measuring anything: what a loop by hand does."""
        with pinned(self._setting.device, python_too=True) as reseed:
            for lane, own in zip(self._lanes, rates, strict=True):
                self._trained(lane, own[:, None], reseed, measures=False)

    @property
    def task(self) -> Task:
        """What is trained."""
        return self._task

    def attributes(self) -> dict[str, object]:
        """What the task and the modules of the first lane's model keep beside torch's own, by name."""
        torchs = vars(torch.nn.Module()).keys() | {"forward"}
        owners = [("task", self._task), *self._lanes[0].model.named_modules(prefix="model")]
        return {f"{path}.{k}": v for path, owner in owners for k, v in vars(owner).items() if k not in torchs}

    def why_alone(self) -> str | None:
        """Why no fused program trains as this one did so far; None where one may.

        Weights without a gradient are left alone by torch's optimisers; among many lanes their gradient is 0.
        """
        if len(self._without) > 1:
            return "which weights get a gradient differs from update to update"
        names = [name for name, p in self._lanes[0].model.named_parameters() if p.requires_grad]
        unused = [names[i] for its in self._without for i in its]
        decay: float = getattr(self._train.optimizer, "weight_decay", 0.0)
        if unused and decay:
            return (
                f"weight `{unused[0]}` gets no gradient, and weight decay would shrink it in company: leave it out, or "
                "freeze it (`requires_grad_(False)`)"
            )
        return None

    def losses(self, rates: FloatArray) -> FloatArray:
        """Train every lane for some updates; the loss before each, rates and losses of shape (lanes, updates)."""
        with pinned(self._setting.device, python_too=True) as reseed:
            lanes = zip(self._lanes, rates, strict=True)
            trained = [self._trained(lane, own[:, None], reseed) for lane, own in lanes]
            return np.concatenate([interval.numbers(1)["loss"] for interval in trained])

    def _run(self, lane: TorchLane, epoch: int, controls: FloatArray) -> EpochRecord:
        began = time.perf_counter()
        first = lane.update
        with pinned(self._setting.device, python_too=True) as reseed:
            interval = self._trained(lane, controls, reseed, Probe(lane.layers, first, len(controls)))
            val = {f"val_{name}": value for name, value in self._evaluated(lane, self._setting.data.val).items()}
            return interval.records(epoch, first, controls[None, :, 0], val, lane.first_loss, began=began)[0]

    def _trained(
        self,
        lane: TorchLane,
        controls: FloatArray,
        reseed: Reseed,
        probe: Probe | None = None,
        *,
        measures: bool = True,
    ) -> Interval:
        lane.model.train()
        first = lane.update
        interval = Interval(probe)
        batches = self._setting.order.batches(first, first + len(controls), self._setting.device)
        set_controls = lane.take(controls)
        for number, index in enumerate(batches):
            update = first + number
            reseed(self._seed, update)
            set_controls(number)
            looked = probe if probe is not None and probe.wants(update) else None
            self._update(lane, index, interval if measures else None, looked)
        lane.update = first + len(controls)
        return interval

    def _update(self, lane: TorchLane, index: torch.Tensor, interval: Interval | None, probe: Probe | None) -> None:
        """One optimiser step; what is measured for ``interval`` stays on the device until that ends."""
        inputs, targets = (side.index_select(0, index) for side in self._setting.data.train)
        lane.optimizer.zero_grad(set_to_none=True)
        outputs = lane.outputs(inputs)
        loss = batch_loss(self._task, outputs, targets)
        if not loss.requires_grad:
            raise InvalidInput(f"`loss()` of task `{self._task.name}` must depend on the model's weights, undetached")
        loss.backward()  # type: ignore[no-untyped-call]  # torch types it not
        norm = None
        if interval is not None or self._train.clip_norm is not None:
            gradients = [p.grad for p in lane.parameters if p.grad is not None]
            if len(self._without) < 2:  # more would tell nothing more
                self._without.add(tuple(i for i, p in enumerate(lane.parameters) if p.grad is None))
            # half the time of torch.nn.utils.get_total_norm, which sorts the gradients by device and type first
            norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        if probe is not None:
            probe.before([None if p.grad is None else p.grad[None] for p in lane.parameters], lane.rows())
        if self._train.clip_norm is not None and norm is not None:
            torch.nn.utils.clip_grads_with_norm_(lane.parameters, self._train.clip_norm, norm)
        lane.optimizer.step()
        if probe is not None:
            probe.after(lane.rows())
        if interval is None or norm is None:
            return
        sums = measured_sums(self._task, outputs, targets, len(index))
        interval.add(len(index), {"loss": loss.detach(), "grad_norm": norm, **sums})

    @torch.no_grad()
    def _evaluated(self, lane: TorchLane, pair: Tensors) -> dict[str, FloatArray]:
        """Loss and measures over ``pair``, means over its examples, shape (1,)."""
        lane.model.eval()
        tally = Tally()
        for inputs, targets in zip(*(torch.split(side, EVALUATED_AT_ONCE) for side in pair), strict=True):
            # copies: what a model does to its inputs must not change what is measured next time
            outputs, n, asked = lane.outputs(inputs.clone()), len(targets), targets.clone()
            loss = batch_loss(self._task, outputs, asked)
            tally.add(n, {"loss": loss * n, **measured_sums(self._task, outputs, asked, n)})
        return tally.means(1)
