"""Where a trial stands in a framework's loop: its next epoch, and that epoch's rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, SupportsFloat

import numpy as np

from ..errors import InvalidInput
from ..schedules import FloatArray

if TYPE_CHECKING:
    from ..external import LiveTrial


class Progress:
    """A trial as its callback sees it: one epoch of the framework's loop is one reporting interval.

    Args:
        trial: the trial.
        updates_per_epoch: optimiser updates an epoch, where the framework cannot count them beforehand.
        able: what the callback can do beside one rate for all parameters: ``groups``, or nothing.

    Raises:
        InvalidInput: the schedule controls more than the callback can do.
    """

    def __init__(self, trial: LiveTrial, updates_per_epoch: int | None, able: tuple[str, ...] = ()) -> None:
        if beyond := [name for name in trial.schedule.wider if name not in able]:
            names = "`, `".join(beyond)
            raise InvalidInput(
                f"this callback sets rates alone, {'' if able else 'one for all parameters, '}and cannot do `{names}`: "
                "set what `lrsearch.schedules.controls` says in a loop of your own",
                field=beyond[0],
            )
        self.trial = trial
        self.epoch = trial.start
        """Finished epochs."""
        self._updates_per_epoch = updates_per_epoch
        self._rates: dict[str | None, FloatArray] = {None: np.empty(0)}

    def require_processes(self, n_processes: int) -> None:
        """Who trains the model together must have asked for the trial together, so that all report and stop in step.

        Raises:
            InvalidInput: others train it than know of the trial.
        """
        if n_processes == self.trial.world:
            return
        if self.trial.world > 1:
            raise InvalidInput(
                f"{self.trial.world} processes share trial {self.trial.number}, and this one trains a model of its own "
                f"({n_processes} in the framework's loop): tell the framework of all of them, or give `trials` world=1",
                field="world",
            )
        raise InvalidInput(
            f"{n_processes} processes train this model, and each asked for a trial of its own: start them with "
            "torchrun and call `torch.distributed.init_process_group()` before the loop over trials, or give `trials` "
            "`rank`, `world` and `broadcast`",
            field="world",
        )

    def require_epochs(self, last: int, advice: str) -> None:
        """The loop must reach the trial's last epoch, or nobody would know what its schedule ends with.

        Raises:
            InvalidInput: it ends before.
        """
        if last < self.trial.epochs:
            raise InvalidInput(
                f"trial {self.trial.number} has {self.trial.epochs} epochs, and the loop ends after {last}: {advice}",
                field="epochs",
            )

    def begin(self, epoch: int, counted: int | None) -> int:
        """Begin an epoch: a metric-driven schedule knows its rates only now. Returns its number of updates.

        Args:
            epoch: finished epochs before it.
            counted: updates of an epoch as the framework counts them; None = it cannot.

        Raises:
            InvalidInput: another epoch comes next; nobody knows the updates of an epoch, or they are not
                ``eval_every``; as ``Schedule.lr``.
        """
        if epoch != self.epoch:
            raise InvalidInput(
                f"trial {self.trial.number} goes on after {self.epoch} finished epochs, the loop after {epoch}: "
                "begin with `trial.start`",
                field="epoch",
            )
        n_updates = self._updates_per_epoch or counted
        if n_updates is None:
            raise InvalidInput(
                "nobody knows how many updates an epoch has: give the callback `updates_per_epoch`",
                field="updates_per_epoch",
            )
        schedule = self.trial.schedule
        if schedule.eval_every not in (None, n_updates):
            raise InvalidInput(
                f"an epoch of the loop is a reporting interval: it must have eval_every = {schedule.eval_every} "
                f"updates (got {n_updates})",
                field="eval_every",
            )
        updates = np.arange(epoch * n_updates, (epoch + 1) * n_updates)
        rates = schedule.lr(updates, n_updates, history=self.trial.history[:epoch])
        self._rates = {None: rates, **{name: own.lr(updates, n_updates) for name, own in schedule.groups}}
        return n_updates

    def rate(self, update: int) -> float:
        """The rate of an update of the epoch, counted from its beginning.

        Raises:
            InvalidInput: the epoch has fewer updates.
        """
        return self.rates(update)[None]

    def rates(self, update: int) -> dict[str | None, float]:
        """As ``rate``, with those of the parameter groups that have their own, by name; None: all others."""
        if update >= len(self._rates[None]):
            raise InvalidInput(
                f"an epoch has {len(self._rates[None])} updates, and the loop goes on without reporting: correct "
                "`updates_per_epoch`, and validate at the end of every epoch",
                field="updates_per_epoch",
            )
        return {name: float(rates[update]) for name, rates in self._rates.items()}

    def report(self, metrics: Mapping[str, SupportsFloat]) -> bool:
        """Tell an epoch's metrics; whether the loop is to stop."""
        self.trial.report(**metrics)
        self.epoch += 1
        return self.trial.should_stop or self.trial.finished
