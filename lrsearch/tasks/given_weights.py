"""Weights from a file, with which a training begins: fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    import torch

FIELD = "options.checkpoint"
MAX_NAMED = 3


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file by name.

    Raises:
        Unavailable: there is no such file.
        InvalidInput: it is no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except FileNotFoundError:
        raise Unavailable(
            f"`{path.name}` is not in `{path.parent}`: set LRSEARCH_DATA to the folder that `{FIELD}` is below"
        ) from None
    except (SafetensorError, OSError) as error:
        raise InvalidInput(f"{path.name} must be a safetensors file (got: {error!s:.200})", field=FIELD) from None


def head(model: torch.nn.Module) -> str:
    """The name of the module that holds the last weights, with a dot: ``"fc."``."""
    *_, (name, _) = model.named_parameters()
    return name.rpartition(".")[0] + "."


def take_weights(model: torch.nn.Module, given: Mapping[str, torch.Tensor]) -> None:
    """Copy ``given`` into a model with the same names and shapes.

    The head, the module that holds the last weights, stays as it was drawn where its shapes differ (another number of
    classes) or the file has none.

    Raises:
        InvalidInput: any other tensor is missing, has another shape, or is not the model's; nothing is copied.
    """
    import torch

    ours, last = model.state_dict(), head(model)
    wrong = [f"`{name}`, which the model has not" for name in given if name not in ours]
    wrong += [f"no `{name}`" for name in ours if name not in given and not name.startswith(last)]
    same = {name for name in ours.keys() & given.keys() if ours[name].shape == given[name].shape}
    for name in given:
        if name in ours and name not in same and not name.startswith(last):
            wrong.append(f"`{name}` of shape {tuple(given[name].shape)}, which is {tuple(ours[name].shape)} here")
    if wrong:
        more = f" and {len(wrong) - MAX_NAMED} more" if len(wrong) > MAX_NAMED else ""
        raise InvalidInput(
            f"a checkpoint holds the model's own weights, its head `{last[:-1]}` excepted "
            f"(got {'; '.join(wrong[:MAX_NAMED])}{more})",
            field=FIELD,
        )
    taken = {name for name in same if not name.startswith(last) or _whole_head(ours, same, last)}
    with torch.no_grad():
        for name in taken:
            ours[name].copy_(given[name])


def _whole_head(ours: Mapping[str, torch.Tensor], same: set[str], last: str) -> bool:
    """Whether all of the head can be taken: half a head is none."""
    return all(name in same for name in ours if name.startswith(last))
