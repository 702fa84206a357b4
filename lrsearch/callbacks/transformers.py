"""Transformers: a trial trained by ``Trainer.train``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from ..errors import InvalidInput
from .parameter_groups import require_groups, set_rates
from .progress import Progress

if TYPE_CHECKING:
    from ..external import LiveTrial

CLOCK = ("_runtime", "_per_second")
"""How the names end of what a Trainer measures of itself."""


class Transformers(TrainerCallback):
    """Trains a trial with a Trainer: sets its rate at every update, reports every evaluation, stops when told::

        arguments = TrainingArguments(
            num_train_epochs=trial.epochs, eval_strategy="epoch", logging_strategy="epoch", seed=trial.seed
        )
        trainer = Trainer(model, arguments, train_dataset=..., eval_dataset=..., callbacks=[Transformers(trial)])
        trainer.train()

    The Trainer evaluates at the end of every reporting interval: of every epoch; or, where the study's horizon is in
    updates, with ``eval_strategy="steps", eval_steps=trial.schedule.eval_every``. Its own scheduler is overruled, which
    leaves the rates in its logs without meaning. ``eval_loss`` is reported as ``val_loss``, and so on; the loss that
    was logged last as ``train_loss``, if that was at the same update.

    Parameter groups with a schedule of their own (``groups``) are found by their ``"name"`` in the optimiser.

    Several processes train a trial together where all of them asked for it together: start them with torchrun, and call
    ``torch.distributed.init_process_group()`` before the loop over trials.

    Args:
        trial: what ``Client.trials`` or ``lrsearch.run`` hands out.
        updates_per_epoch: optimiser updates an epoch; needed only where the data's length is unknown.

    Raises:
        InvalidInput: here, where the schedule controls more than rates; from ``train``, where
            parameter groups have different rates, or other processes train than share the trial; where training ends
            before the trial does or begins elsewhere; or where it does not evaluate at the end of every interval.
    """

    def __init__(self, trial: LiveTrial, *, updates_per_epoch: int | None = None) -> None:
        self._progress = Progress(trial, updates_per_epoch, able=("groups",))
        self._n_updates = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **told: Any) -> None:
        """Look whether this training can be the trial's, and begin it."""
        self._progress.require_processes(args.world_size)
        require_groups(told["optimizer"], self._progress.trial.schedule)
        counted = self._counted(args, told["train_dataloader"])
        begun = self._progress.trial.start if counted is None else state.global_step // counted
        self._n_updates = self._progress.begin(begun, counted)
        self._progress.require_epochs(state.max_steps // self._n_updates, "num_train_epochs=trial.epochs")

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **told: Any) -> None:
        """Set the rate of this update."""
        begun = self._progress.epoch * self._n_updates
        set_rates(told["optimizer"], self._progress.rates(state.global_step - begun))

    def on_evaluate(self, args: Any, state: Any, control: Any, **told: Any) -> None:
        """Report, and stop where the service or the horizon says so; evaluations at other times are left out."""
        if state.global_step != (self._progress.epoch + 1) * self._n_updates:
            return
        metrics = {
            f"val_{name.removeprefix('eval_')}": value
            for name, value in told["metrics"].items()
            if name.startswith("eval_") and not name.endswith(CLOCK)
        }
        if self._progress.report(metrics | _train_loss(state)):
            control.should_training_stop = True
        else:
            self._progress.begin(self._progress.epoch, self._n_updates)

    def _counted(self, args: Any, loader: Any) -> int | None:
        """Updates between two evaluations; None where they cannot be counted."""
        if args.eval_strategy == "steps" and self._progress.trial.schedule.eval_every is not None:
            return int(args.eval_steps)
        if args.eval_strategy != "epoch":
            raise InvalidInput(
                'a trial is told how it does at the end of every reporting interval: `eval_strategy="epoch"`, or, '
                'for a horizon in updates, "steps" with `eval_steps=trial.schedule.eval_every` '
                f"(got {args.eval_strategy})",
                field="eval_strategy",
            )
        try:
            return -(-len(loader) // int(args.gradient_accumulation_steps))
        except TypeError:
            return None


def _train_loss(state: Any) -> dict[str, float]:
    logged = (entry for entry in reversed(state.log_history) if "loss" in entry)
    newest = next(logged, None)
    return {"train_loss": newest["loss"]} if newest is not None and newest["step"] == state.global_step else {}
