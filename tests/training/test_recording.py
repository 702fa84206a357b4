"""What a recording calls in an operator's place."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from lrsearch.training.tape.recording import FUNCTIONS, IN_PLACE, Recording

X, Y = torch.rand(3, 4) + 0.5, torch.rand(3, 4)
MASK, INDEX = X > Y, torch.tensor([0, 2])
FORMS = [
    *(X.sum, lambda: X.sum(1), lambda: X.sum((0, 1), keepdim=True), lambda: X.sum(1, dtype=torch.float64)),
    *(lambda: MASK.sum(1), X.mean, lambda: X.mean(0, keepdim=True), lambda: X.mean(1, dtype=torch.float64)),
    *(lambda: torch.linalg.vector_norm(X), lambda: torch.linalg.vector_norm(X, 1.0, (0,), True, dtype=torch.float64)),
    *(lambda: torch.where(MASK, X, Y), lambda: torch.where(MASK, X, 0.0), lambda: torch.where(MASK, 1.0, 0.0)),
    *(lambda: torch.add(X, Y, alpha=2), lambda: X + 1, lambda: torch.add(X, 1, alpha=3), lambda: 1 - X),
    *(lambda: torch.sub(X, Y, alpha=2), lambda: X / Y, lambda: torch.div(X, Y, rounding_mode="floor"), lambda: X / 2),
    *(lambda: torch.div(X, 2, rounding_mode="trunc"), lambda: MASK * X, lambda: INDEX + 0.5, INDEX.exp),
    *(
        lambda: X.clamp_min(0.7),
        lambda: torch.clamp_min(X, Y),
        lambda: torch.maximum(X, Y),
        lambda: torch.minimum(X, Y),
    ),
    *(lambda: X == Y, lambda: X == 1, lambda: X != Y, lambda: X > 0.6, lambda: X >= Y, lambda: X < Y, lambda: X <= 1),
    *(lambda: torch.bmm(X[None], Y.T[None]), lambda: X @ Y.T, lambda: X.index_select(0, INDEX)),
    *(lambda: -X, X.exp, X.log, X.sqrt, X.tanh, X.sigmoid),
]
CHANGES = [
    *(lambda x: x.add_(Y, alpha=2), lambda x: x.add_(1), lambda x: x.sub_(Y), lambda x: x.mul_(Y), lambda x: x.neg_()),
    *(lambda x: x.div_(2, rounding_mode="floor"), lambda x: x.exp_(), lambda x: x.log_(), lambda x: x.sqrt_()),
    *(lambda x: x.fill_(3), lambda x: x.fill_(torch.tensor(2.0)), lambda x: x.zero_(), lambda x: x.copy_(Y[0])),
]


@pytest.mark.parametrize("form", FORMS)
def test_a_function_called_in_an_operators_place_does_the_same_in_every_form(form):
    with Recording() as recording:
        result = form()
    expected = result.clone()
    result.zero_()
    for call in recording.calls:
        call.run(*call.args, **call.kwargs)
    assert torch.equal(result, expected)


@pytest.mark.parametrize("change", CHANGES)
def test_a_method_called_in_an_operators_place_does_the_same_in_every_form(change):
    x = X.clone()
    with Recording() as recording:
        change(x)
    expected = x.clone()
    x.copy_(X)
    for call in recording.calls:
        call.run(*call.args, **call.kwargs)
    assert torch.equal(x, expected)


def test_every_function_is_tried():
    tried = set()
    for form in [*FORMS, *(partial(change, X.clone()) for change in CHANGES)]:
        with Recording() as recording:
            form()
        tried |= {call.name for call in recording.calls}
    assert tried >= FUNCTIONS.keys() | IN_PLACE.keys()
