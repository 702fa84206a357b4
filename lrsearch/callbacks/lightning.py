"""Lightning: a trial trained by ``Trainer.fit``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import lightning

from ..errors import InvalidInput
from .parameter_groups import require_groups, set_rates
from .progress import Progress

if TYPE_CHECKING:
    from ..external import LiveTrial


class Lightning(lightning.Callback):
    """Trains a trial with ``Trainer.fit``: sets its rate at every update, reports every epoch, stops when told::

        lightning.seed_everything(trial.seed)
        trainer = lightning.Trainer(max_epochs=trial.epochs, callbacks=[lrsearch.callbacks.Lightning(trial)])
        trainer.fit(model, train_loader, val_loader)

    ``configure_optimizers`` returns the optimiser alone, with any rate. An epoch is a reporting interval: where the
    study's horizon is in updates, it must have ``eval_every`` of them. What the module logs is reported under its name,
    as it stands at the end of the epoch.

    Parameter groups with a schedule of their own (``groups``) are found by their ``"name"`` in the optimiser.

    Several processes train a trial together where all of them asked for it together: start them with torchrun, and call
    ``torch.distributed.init_process_group()`` before the loop over trials. What rank 0 logs counts, so log with
    ``sync_dist=True``.

    Args:
        trial: what ``Client.trials`` or ``lrsearch.run`` hands out.
        updates_per_epoch: optimiser updates an epoch; needed only where Lightning cannot count the batches beforehand.

    Raises:
        InvalidInput: here, where the schedule controls more than rates; from ``fit``, where the
            module has several optimisers or a scheduler of its own, or parameter groups of different rates; where other
            processes train than share the trial; where ``fit`` ends before the trial does or begins elsewhere; or where
            an epoch has other updates than the trial.
    """

    def __init__(self, trial: LiveTrial, *, updates_per_epoch: int | None = None) -> None:
        self._progress = Progress(trial, updates_per_epoch, able=("groups",))
        self._first_update = 0

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Look whether this training can be the trial's."""
        self._progress.require_processes(trainer.world_size)
        if len(trainer.optimizers) != 1 or trainer.lr_scheduler_configs:
            raise InvalidInput(
                "the callback sets the rate of one optimiser, so `configure_optimizers` returns that and no scheduler",
                field="configure_optimizers",
            )
        require_groups(trainer.optimizers[0], self._progress.trial.schedule)
        last = trainer.max_epochs
        if last is not None and last >= 0:
            self._progress.require_epochs(last, "Trainer(max_epochs=trial.epochs)")

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin an epoch of the trial."""
        batches = trainer.num_training_batches
        counted = None if math.isinf(batches) else -(-batches // trainer.accumulate_grad_batches)
        self._progress.begin(trainer.current_epoch, counted)
        self._first_update = trainer.global_step

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Set the rate of this update."""
        set_rates(optimizer, self._progress.rates(trainer.global_step - self._first_update))

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Report, and stop where the service or the horizon says so."""
        if self._progress.report(trainer.callback_metrics):
            trainer.should_stop = True
