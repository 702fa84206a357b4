"""Max-pooling of rectified numbers, written as processors do it fastest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from .recording import Call, same_view, storage_of

POOL, BACK = "max_pool2d_with_indices", "max_pool2d_with_indices_backward"


class Rectified(NamedTuple):
    """A pooling of what a ReLU gave, and the gradients of both.

    Attributes:
        relu: the ReLU.
        pool: the pooling.
        back: the pooling's gradient.
        relu_back: the ReLU's.
    """

    relu: Call
    pool: Call
    back: Call
    relu_back: Call


def pooled_first(calls: Sequence[Call], kept: Sequence[torch.Tensor]) -> list[Call]:
    """The same calls, with pooling before ReLU, and gradients that lie in memory as what was pooled.

    * ``pool(relu(x))`` is ``relu(pool(x))``: the largest number of a window is found at the same place, or is none
      above 0, and then neither gives a gradient. After 2 x 2 pooling ReLU and its gradient have a quarter to do. Only
      the sign of a zero may be another, where a window's largest number is -0.
    * The gradient of pooling lays a gradient out as its input lies, channels last say, and takes 5 times as long for
      that as a copy.

    Args:
        calls: as recorded, in order.
        kept: results.
    """
    written: dict[int, list[Call]] = {}
    for its in _rectified(calls, kept):
        pooled, gradient = its.pool.fresh[0], its.back.args[0]
        wide, args = its.relu.args[0], its.pool.args[1:]
        passed = torch.empty_strided(pooled.shape, pooled.stride(), dtype=gradient.dtype)
        into = its.relu_back.fresh[0]
        written[id(its.relu)] = []
        written[id(its.pool)] = [
            replace(its.pool, args=(wide, *args)),
            Call("relu", torch.clamp_min, (pooled, 0), {"out": pooled}, (), (pooled,)),
        ]
        copy, gradient = _laid_out(gradient, pooled)
        narrow = {"grad_input": passed}
        written[id(its.back)] = [
            *copy,
            Call("threshold_backward", its.relu_back.run, (gradient, pooled, 0), narrow, (passed,), ()),
            replace(its.back, args=(passed, wide, *its.back.args[2:]), kwargs={"grad_input": into}, fresh=(into,)),
        ]
        written[id(its.relu_back)] = []
    return [laid for call in calls for its in written.get(id(call), [call]) for laid in _in_order(its)]


def _in_order(call: Call) -> list[Call]:
    """The call; a pooling's gradient reads what a copy has laid out as the places lie, where it does not lie so."""
    if call.name != BACK:
        return [call]
    copy, gradient = _laid_out(call.args[0], call.args[-1])
    return [*copy, replace(call, args=(gradient, *call.args[1:]))]


def _laid_out(tensor: torch.Tensor, like: torch.Tensor) -> tuple[list[Call], torch.Tensor]:
    """``tensor`` laid out as another of its shape, and the call for it, if it needs one."""
    if tensor.stride() == like.stride():
        return [], tensor
    laid = torch.empty_strided(like.shape, like.stride(), dtype=tensor.dtype)
    return [Call("clone", torch.Tensor.copy_, (laid, tensor), {}, (laid,), ())], laid


def _rectified(calls: Sequence[Call], kept: Sequence[torch.Tensor]) -> list[Rectified]:
    """Every ReLU whose result nothing but one pooling looks at, and which both are differentiated."""
    users: dict[int, list[Call]] = {}
    for call in calls:
        for storage in {storage_of(tensor) for tensor in call.touched}:
            users.setdefault(storage, []).append(call)
    results = {storage_of(tensor) for tensor in kept}
    changed = {storage_of(tensor) for call in calls for tensor in call.changed}
    found = []
    for relu in calls:
        if relu.name != "relu" or relu.changed:
            continue
        rectified = relu.fresh[0]
        own = users[storage_of(rectified)]
        if [call.name for call in own] != ["relu", POOL, BACK, "threshold_backward"]:
            continue
        its = Rectified(*own)
        wide, into = relu.args[0], its.relu_back.fresh[0]
        held = {storage_of(tensor) for tensor in (wide, rectified, its.pool.fresh[0])}
        if (
            not held & changed
            and storage_of(rectified) not in results
            and same_view(its.pool.args[0], rectified)
            and same_view(its.back.args[1], rectified)
            and same_view(its.relu_back.args[0], its.back.fresh[0])
            and users[storage_of(its.pool.fresh[1])] == [its.pool, its.back]
            and users[storage_of(its.back.fresh[0])] == [its.back, its.relu_back]
            and not {storage_of(tensor) for tensor in (its.pool.fresh[1], its.back.fresh[0])} & results
            and its.relu_back.args[2] == 0
            and wide.stride() == rectified.stride() == into.stride() == its.back.fresh[0].stride()
        ):
            found.append(its)
    return found
