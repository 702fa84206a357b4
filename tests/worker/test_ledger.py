"""The ledger: what is still to be sent, and when that fills a request."""

from __future__ import annotations

import pytest

from lrsearch.ledger import MAX_BATCH_BYTES, Ledger, size_of
from lrsearch.study import Assignment, Diagnostics, Point

ASSIGNMENT = Assignment.model_validate(
    {
        "study": "s",
        "trial": 0,
        "attempt": 1,
        "recipe": {},
        "schedule": {"family": "constant", "initial_lr": 0.1, "epochs": 100_000},
        "until_epoch": 100_000,
    }
)
LAYERS = {f"layers.{i}": (0.1, 0.1, 0.0, 1.0) for i in range(12)}


def point(epoch: int, n_layers: int) -> Point:
    layers = dict(list(LAYERS.items())[:n_layers])
    looked = {"updates": [10], "loss": [0.1], "loss_max": [0.1], "grad_norm": [1.0], "lr": [0.1], "layers": layers}
    return Point(epoch=epoch, seed=0, metrics={"val_loss": 0.5}, diagnostics=Diagnostics.model_validate(looked))


@pytest.mark.parametrize("before", [None, 0, 12])
@pytest.mark.parametrize("n_layers", [0, 3, 12])
def test_a_request_is_called_for_as_soon_as_it_would_be_full(n_layers: int, before: int | None) -> None:
    ledger = Ledger()
    ledger.accept([ASSIGNMENT])
    if before is not None:
        ledger.add([(ASSIGNMENT.key, point(epoch, before)) for epoch in range(1, 6)])
        ledger.strike_out(ledger.batch())
    unsent = 0
    while not ledger.has_batch:
        ledger.add([(ASSIGNMENT.key, one := point(6 + ledger.n_unsent, n_layers))])
        unsent += size_of(one)
    assert unsent == pytest.approx(MAX_BATCH_BYTES, rel=0.01)
    [report] = ledger.batch()
    assert len(report.points) >= 0.99 * ledger.n_unsent


def test_what_is_unsent_is_counted_whoever_takes_it() -> None:
    ledger = Ledger()
    other = ASSIGNMENT.model_copy(update={"trial": 1})
    ledger.accept([ASSIGNMENT, other])
    while not ledger.has_batch:
        news = [(its.key, point(1 + ledger.n_unsent // 2, 3)) for its in (ASSIGNMENT, other)]
        ledger.add(news)
    full = ledger.n_unsent
    ledger.drop(other.key)
    assert (ledger.n_unsent, ledger.has_batch) == (full // 2, False)
    while not ledger.has_batch:
        ledger.add([(ASSIGNMENT.key, point(full + ledger.n_unsent, 3))])
    assert ledger.n_unsent == pytest.approx(full, rel=0.01)
    [report] = ledger.batch()
    ledger.add([(ASSIGNMENT.key, point(99_999, 3))])  # while the batch is on its way
    ledger.strike_out([report])
    assert not ledger.has_batch
    assert ledger.batch()[0].points[-1].epoch == 99_999


def test_who_waits_longest_comes_first() -> None:
    ledger = Ledger()
    other = ASSIGNMENT.model_copy(update={"trial": 1})
    ledger.accept([ASSIGNMENT, other])
    ledger.add([(ASSIGNMENT.key, point(1 + ledger.n_unsent, 12)) for _ in range(5_000)])
    ledger.add([(other.key, point(1, 12))])
    first = ledger.batch()
    assert [report.trial for report in first] == [0]
    ledger.strike_out(first)
    assert ledger.batch()[0].trial == 1
