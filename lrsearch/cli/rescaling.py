"""The options of commands that carry a schedule to another training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..schedules import Rescaling

UpdatesPerEpoch = Annotated[
    int | None, typer.Option("--updates-per-epoch", min=1, help="Optimiser updates of one epoch in your own training.")
]
Epochs = Annotated[int | None, typer.Option("--epochs", min=1, help="Carry it to so many epochs.")]
Updates = Annotated[int | None, typer.Option("--updates", min=1, help="Carry it to so many updates.")]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", min=1, help="Carry it to this batch size; the rate follows by --rule.")
]
Rule = Annotated[str, typer.Option("--rule", help="How the rate follows the batch size: linear or sqrt.")]


def rescaling(epochs: int | None, updates: int | None, batch_size: int | None, rule: str) -> Rescaling:
    """What the options ask for."""
    to: Rescaling = {"epochs": epochs, "updates": updates, "batch_size": batch_size}
    return to if batch_size is None else {**to, "rule": rule}
