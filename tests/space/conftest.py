from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lrsearch.study import StudySpec, TaskOffer, read_spec


def external(space: dict[str, Any], **changes: Any) -> StudySpec:
    return read_spec(
        {
            "task": "external",
            "epochs": 10,
            "objective": {"metric": "loss", "direction": "minimize"},
            "space": space,
            **changes,
        }
    )


@pytest.fixture(scope="session")
def spec_of() -> Callable[..., StudySpec]:
    """``spec_of(space, **changes)``: a study of the user's own loop, 10 epochs unless told."""
    return external


@pytest.fixture(scope="session")
def offer() -> TaskOffer:
    return TaskOffer(
        name="digits-cnn",
        train_examples=1437,
        metrics={"val_loss": "minimize", "val_accuracy": "maximize", "train_loss": "minimize", "test_loss": "minimize"},
        options_schema={
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "dropout": {"type": "number", "minimum": 0, "exclusiveMaximum": 1, "default": 0.3},
                "batch_norm": {"type": "boolean", "default": False},
                "head": {"$ref": "#/$defs/Head"},
            },
            "$defs": {
                "Head": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"width": {"type": "integer", "default": 128}, "bias": {"type": "boolean"}},
                }
            },
        },
        defaults={  # type: ignore[arg-type]  # as it comes over the wire
            "optimizer": {"name": "adam", "eps": 1e-7},
            "batch_size": 64,
            "initial_lr": {"low": 1e-4, "high": 1e-2, "log": True},
        },
        optimizers=("adam", "sgd"),
    )
