"""The fastest honest single loop: tensors in memory, torch's fused optimiser, one LambdaLR, no data loader.

The same data, initial weights, batches and dropout masks as lrsearch's own programs, so that values can be compared
cell by cell. Validation once an epoch, one synchronisation with the device an epoch.
"""

from __future__ import annotations

import hashlib
import math
import statistics
import time

import torch

from lrsearch.schedules import Schedule
from lrsearch.study import TrainSpec
from lrsearch.tasks.initial import initial_model
from lrsearch.tasks.task import Task
from lrsearch.training.batches import Order, Placed
from lrsearch.training.device import chosen_device
from lrsearch.training.optimizers import build_optimizer

REPEATS = 3
"""Trainings that a training's time is the median of."""
EVALUATED_AT_ONCE = 1000


class PlainLoop:
    """Trains one schedule after the other, each from the start.

    Args:
        task: what is trained.
        train: the recipe.
        updates_per_epoch: U.
        threads: torch's threads.
    """

    def __init__(self, task: Task, train: TrainSpec, updates_per_epoch: int, threads: int) -> None:
        self.task, self.train, self.updates_per_epoch = task, train, updates_per_epoch
        self.threads = threads
        self.device = chosen_device(None)
        self.data = Placed.of(task.data(), self.device, torch.float32)
        assert isinstance(train.batch_size, int)
        self.batch_size = train.batch_size
        self.order = Order(len(self.data.train[0]), train.batch_size, train.seed)
        self.passes: dict[int, torch.Tensor] = {}

        self.masked = any(isinstance(module, torch.nn.Dropout) and module.p for module in task.model().modules())

    def examples(self, epoch: int) -> torch.Tensor:
        """The examples of an epoch in the order they are trained in: the same for every schedule, so drawn once."""
        if epoch not in self.passes:
            first = epoch * self.updates_per_epoch
            batches = self.order.batches(first, first + self.updates_per_epoch, self.device)
            self.passes[epoch] = torch.cat(list(batches))
        return self.passes[epoch]

    def val_loss(self, schedule: Schedule, *, disturbed: int | None = None) -> float:
        """Train ``schedule`` to its end; infinite where it diverged.

        Args:
            schedule: the rates.
            disturbed: the seed of a disturbance that is lost in exact arithmetic: every batch has its examples in
                another order, so that every gradient is summed in another one. Where dropout ties an example's mask to
                its place, every first weight is one unit in the last place higher or lower instead.
        """
        noise = None if disturbed is None else torch.Generator().manual_seed(disturbed)
        torch.set_num_threads(self.threads)
        torch.set_flush_denormal(True)  # as lrsearch does: Adam's averages of dead units are slow otherwise
        model = initial_model(self.task, self.train.seed).to(self.device)
        if noise is not None and self.masked:
            with torch.no_grad():
                for parameter in model.parameters():
                    towards = torch.randn(parameter.shape, generator=noise).sign() * math.inf
                    parameter.copy_(torch.nextafter(parameter, towards.to(self.device)))
        images = any(isinstance(module, torch.nn.Conv2d) for module in model.modules())
        (train_x, train_y), (val_x, val_y) = self.data.train, self.data.val
        if images:
            model = model.to(memory_format=torch.channels_last)
            train_x, val_x = (x.contiguous(memory_format=torch.channels_last) for x in (train_x, val_x))
        assert self.train.optimizer is not None
        parameters = list(model.parameters())
        optimizer = build_optimizer(self.train.optimizer, parameters)
        scheduler = schedule.to_torch(optimizer, updates_per_epoch=self.updates_per_epoch)
        loss = math.nan
        assert schedule.epochs is not None
        for epoch in range(schedule.epochs):
            model.train()
            examples = self.examples(epoch)
            if noise is not None and not self.masked:
                examples = examples[within_batches(len(examples), self.batch_size, noise).to(self.device)]
            batches = zip(*(side[examples].split(self.batch_size) for side in (train_x, train_y)), strict=True)
            for update, (x, y) in enumerate(batches, start=epoch * self.updates_per_epoch):
                if self.masked:
                    torch.manual_seed(update_seed(self.train.seed, update))
                optimizer.zero_grad(set_to_none=True)
                self.task.loss(model(x), y).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                scheduler.step()
            model.eval()
            with torch.no_grad():
                parts = zip(val_x.split(EVALUATED_AT_ONCE), val_y.split(EVALUATED_AT_ONCE), strict=True)
                loss = float(sum(self.task.loss(model(x), y) * len(y) for x, y in parts)) / len(val_y)
            if not math.isfinite(loss):
                return math.inf
        return loss


def within_batches(n: int, batch_size: int, noise: torch.Generator) -> torch.Tensor:
    """An order of ``n`` examples that leaves each in its batch."""
    return (torch.arange(n) // batch_size + torch.rand(n, generator=noise, dtype=torch.float64)).argsort()


def update_seed(seed: int, update: int) -> int:
    """What dropout masks of an update are drawn from: as ``lrsearch.training.device.pinned``."""
    return int.from_bytes(hashlib.blake2b(b"%d %d" % (seed, update), digest_size=8).digest(), "little")


def faster_threads(loop: PlainLoop, schedule: Schedule, n_cores: int) -> int:
    """One thread, or one a core: whichever trains faster."""
    seconds = {}
    for threads in {1, n_cores}:
        loop.threads = threads
        loop.val_loss(cut(schedule, 1))
        seconds[threads] = timed(loop, cut(schedule, 2))
    return min(seconds, key=seconds.__getitem__)


def training_seconds(loop: PlainLoop, schedule: Schedule) -> float:
    """Seconds of one training, the median of several."""
    return statistics.median(timed(loop, schedule) for _ in range(REPEATS))


def timed(loop: PlainLoop, schedule: Schedule) -> float:
    """Seconds of one training."""
    begun = time.perf_counter()
    loop.val_loss(schedule)
    return time.perf_counter() - begun


def cut(schedule: Schedule, epochs: int) -> Schedule:
    """A constant rate for a few epochs: what an epoch costs does not depend on the rate."""
    return Schedule.model_validate({"family": "constant", "initial_lr": schedule.initial_lr / 10, "epochs": epochs})
