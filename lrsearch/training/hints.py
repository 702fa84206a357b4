"""What often lies behind an error that a model raises, for people to read."""

from __future__ import annotations

import torch

TOO_FEW = "more than 1 value per channel"
"""What torch says where a batch holds too little to be normalised."""
COUNTED = (torch.int64, torch.int32)
"""Types in which models expect numbers of tokens."""


def add_hints(error: Exception, model: torch.nn.Module, inputs: torch.Tensor) -> None:
    """Add notes to an error that ``model`` raised for a batch of ``inputs``."""
    if model.training and len(inputs) == 1 and TOO_FEW in str(error):
        error.add_note("a batch holds one example, too few for batch norm: choose a `batch_size` that leaves more")
    if isinstance(error, RuntimeError) and not (inputs.is_floating_point() or inputs.dtype in COUNTED):
        error.add_note(
            f"the model is given inputs as `data()` returns them, {inputs.dtype}: convert them there, or in `forward`"
        )
