"""Depth groups: which weights of a model are trained at rates of their own, from the input to the output."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def depth_groups(model: torch.nn.Module) -> list[list[str]]:
    """The names of a model's parameters by its parts, in the order in which the model has them.

    A part is a child of the model that has parameters; where there is only one, it is looked into. What the model
    holds beside its parts (tokens, positions) goes with the first of them.

    Returns:
        At least one list; each names at least one parameter, as ``model.named_parameters()`` does.
    """
    prefix, inner = "", model
    while True:
        children = [(name, child) for name, child in inner.named_children() if any(True for _ in child.parameters())]
        if len(children) != 1 or any(True for _ in inner.parameters(recurse=False)):
            break
        prefix, inner = f"{prefix}{children[0][0]}.", children[0][1]
    groups: dict[str, list[str]] = {}
    beside: list[str] = []
    for name, _ in model.named_parameters():
        part, dot, _ = name.removeprefix(prefix).partition(".")
        if dot:
            groups.setdefault(part, []).append(name)
        else:
            beside.append(name)
    order = [groups[name] for name, _ in children if name in groups]
    return [beside + order[0], *order[1:]] if order else [beside]
