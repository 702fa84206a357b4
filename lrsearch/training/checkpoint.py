"""A trial's weights by the names that its task's model knows them by."""

from __future__ import annotations

import json
from typing import Any

from pydantic import JsonValue

from ..errors import InvalidInput, NotFound
from ..study import Checkpoint
from ..tasks.initial import initial_model
from .prefixes import PrefixStore
from .program import MODEL
from .workload import Workload


def outline(workload: Workload) -> Checkpoint | None:
    """How a model's state dict differs from the arrays that are stored of it; None where there is no model of torch."""

    def made() -> Checkpoint | None:
        if workload.task.trained_by != "torch":
            return None
        model: Any = initial_model(workload.task, 0)
        stored = {id(tensor): name for name, tensor in (*model.named_parameters(), *model.named_buffers())}
        held = model.state_dict(keep_vars=True)
        wanted = {name: stored[id(tensor)] for name, tensor in held.items() if id(tensor) in stored}
        tied = {name: own for name, own in wanted.items() if name != own}
        left_out = tuple(name for name in stored.values() if name not in wanted)
        return Checkpoint(keys=(), tied=tied, left_out=left_out)

    found: Checkpoint | None = workload.prepared("outline", made)
    return found


def weights(prefixes: PrefixStore, checkpoint: Checkpoint, about: dict[str, JsonValue]) -> bytes:
    """A trial's model, of its first seed, as a safetensors file that ``load_state_dict`` takes.

    Args:
        prefixes: where states lie.
        checkpoint: which one.
        about: what the file's head says under `lrsearch`, as JSON.

    Raises:
        NotFound: it is not there, or safetensors, which reads it, is not installed.
    """
    try:
        from safetensors.numpy import save
    except ModuleNotFoundError:
        raise NotFound("the service cannot read checkpoints here: `pip install safetensors`") from None
    prefix = prefixes.load(checkpoint.keys[0]) if checkpoint.keys else None
    if prefix is None:
        raise NotFound(
            "its weights are not in the prefix store that the service reaches: they made room for others, or lie on "
            "the machine of the worker that trained it (LRSEARCH_PREFIXES names the store, for both)"
        )
    arrays = {name.removeprefix(MODEL): array for name, array in prefix.state.items() if name.startswith(MODEL)}
    if missing := [own for own in checkpoint.tied.values() if own not in arrays]:
        raise InvalidInput(f"the stored state has no `{missing[0]}`, which its model has under two names")
    arrays |= {name: arrays[own] for name, own in checkpoint.tied.items()}
    kept = {name: array for name, array in arrays.items() if name not in checkpoint.left_out}
    # one entry alone: the file is the same every time, and safetensors writes several in any order
    return save(kept, metadata={"lrsearch": json.dumps(about)})
