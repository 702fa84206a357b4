"""Callbacks: a trial of ``task: external`` trained by a framework's own loop.

A callback sets the trial's rate at every update, reports its metrics after every epoch, and stops the loop when the
service says so::

    for trial in lrsearch.Client().trials("my-study"):
        with trial:
            model.fit(x, y, epochs=trial.epochs, callbacks=[lrsearch.callbacks.Keras(trial)])

Each is loaded with its framework when first used::

    Keras         keras.Model.fit, on every backend
    Lightning     lightning.Trainer.fit
    Transformers  transformers.Trainer.train
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .keras import Keras
    from .lightning import Lightning
    from .transformers import Transformers

_HOMES = {"Keras": "keras", "Lightning": "lightning", "Transformers": "transformers"}

__all__ = ["Keras", "Lightning", "Transformers"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value
