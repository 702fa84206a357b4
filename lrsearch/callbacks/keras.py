"""Keras: a trial trained by ``Model.fit``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

from ..errors import InvalidInput
from .progress import Progress

if TYPE_CHECKING:
    from ..external import LiveTrial

OWN = frozenset({"learning_rate"})
"""What Keras's callbacks write among the metrics that is none."""


class Keras(keras.callbacks.Callback):
    """Trains a trial with ``Model.fit``: sets its rate at every update, reports every epoch, stops when told::

        keras.utils.set_random_seed(trial.seed)
        model.compile(keras.optimizers.Adam(1.0), "mse")  # any number: the callback sets the rate
        model.fit(
            x,
            y,
            validation_split=0.2,
            initial_epoch=trial.start,
            epochs=trial.epochs,
            callbacks=[lrsearch.callbacks.Keras(trial)],
        )

    An epoch of ``fit`` is a reporting interval: where the study's horizon is in updates, it must have ``eval_every`` of
    them. Keras's metrics keep their names where they begin with ``val_``; the others get ``train_`` before: ``loss``
    is ``train_loss``. Works on every backend of Keras, for every family, metric-driven ones too.

    It trains in one process, on as many of its devices as Keras is told of.

    Args:
        trial: what ``Client.trials`` or ``lrsearch.run`` hands out.
        updates_per_epoch: optimiser updates an epoch; needed only where Keras cannot count the batches beforehand.

    Raises:
        InvalidInput: here, where the schedule controls more than one rate for all parameters; from ``fit``, where the
            model was compiled with a schedule of its own or ``steps_per_execution`` above 1, where ``fit`` ends before
            the trial does or begins elsewhere, where an epoch has other updates than the trial, or where
            several processes train the model or share the trial.
    """

    def __init__(self, trial: LiveTrial, *, updates_per_epoch: int | None = None) -> None:
        super().__init__()
        self._progress = Progress(trial, updates_per_epoch)
        self._accumulated = 1
        self._rate: float | None = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Look whether this training can be the trial's."""
        self._progress.require_processes(1)
        if (n_processes := _n_processes()) > 1:
            raise InvalidInput(
                f"this callback trains in one process (got {n_processes}); several train a trial together in a loop of "
                "your own, with `rank`, `world` and `broadcast` of `trials`",
                field="world",
            )
        self._progress.require_epochs(self.params["epochs"], "fit(..., epochs=trial.epochs)")
        if self.model.steps_per_execution != 1:
            raise InvalidInput(
                "the rate is set at every update, so Keras must come back after each: compile with "
                f"steps_per_execution=1 (got {self.model.steps_per_execution})",
                field="steps_per_execution",
            )
        self._accumulated = self._optimizer().gradient_accumulation_steps or 1

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Look up the epoch's rates: a metric-driven schedule knows them only now."""
        batches = self.params["steps"]
        if batches is not None and batches % self._accumulated:
            raise InvalidInput(
                f"`gradient_accumulation_steps` must divide the batches of an epoch, so that each has as many updates "
                f"(got {self._accumulated} and {batches})",
                field="gradient_accumulation_steps",
            )
        self._progress.begin(epoch, None if batches is None else batches // self._accumulated)
        self._rate = None

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Set the rate of the update that this batch belongs to."""
        rate = self._progress.rate(batch // self._accumulated)
        if rate == self._rate:  # JAX hands the whole state over to be looked at
            return
        try:
            self._optimizer().learning_rate = self._rate = rate
        except (AttributeError, TypeError):
            raise InvalidInput(
                "the callback sets the rate, so compile with a number as `learning_rate`, not with a schedule",
                field="learning_rate",
            ) from None

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Report, and stop where the service or the horizon says so."""
        told = {name: value for name, value in (logs or {}).items() if name not in OWN}
        metrics = {name if name.startswith("val_") else f"train_{name}": value for name, value in told.items()}
        if self._progress.report(metrics):
            self.model.stop_training = True

    def _optimizer(self) -> Any:
        optimizer = self.model.optimizer
        return getattr(optimizer, "inner_optimizer", optimizer)  # a LossScaleOptimizer's


def _n_processes() -> int:
    """How many processes ``fit`` trains one model in."""
    if keras.backend.backend() != "jax":
        return 1
    import jax

    return int(jax.process_count())
