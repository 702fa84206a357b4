from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrsearch.errors import NotFound
from lrsearch.store import Arrival
from lrsearch.study import Point, Study, Trial

same_store = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
"""The examples of a test share a database: each removes what it stored."""

floats = st.floats(allow_nan=False, allow_infinity=False)
anything = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
"""Strings with NUL and control characters: what free JSON may hold."""
texts = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=50)
whole = st.integers(0, 2**53 - 1)
moments = st.datetimes(timezones=st.just(UTC), min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | floats | anything,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(anything, inner, max_size=4),
    max_leaves=12,
)
metrics = st.dictionaries(anything, st.none() | floats, max_size=5)
maybe = st.none()


def exactly_equal(read: Any, written: Any) -> bool:
    """Equal to the last bit, and in the same order."""
    return read == written and repr(read.model_dump(mode="json")) == repr(written.model_dump(mode="json"))


def forget(store, name):
    with store.transaction() as tx, suppress(NotFound):
        tx.studies.delete(name)


@same_store
@given(data=st.data())
def test_trials(store, study, trial, data):
    forget(store, "s")
    draw = data.draw
    written = Trial.model_validate(
        {
            **dict(trial(draw(whole))),
            "state": draw(st.sampled_from(["queued", "waiting", "completed", "failed"])),
            "value": draw(maybe | floats),
            "values": tuple(draw(st.lists(maybe | floats, max_size=5))),
            "metrics": draw(metrics),
            "params": draw(st.dictionaries(anything, json_values, max_size=4)),
            "epochs": {"trained": draw(whole), "shared": draw(whole), "repeated": draw(whole)},
            "error": draw(maybe | texts),
            "worker": draw(maybe | texts),
            "seconds": draw(floats),
            "diverged_at": draw(maybe | st.fixed_dictionaries({"update": whole, "lr": maybe | floats})),
            "confirmed": draw(
                maybe | st.fixed_dictionaries({"mean": maybe | floats, "std": maybe | floats, "seeds": st.lists(whole)})
            ),
            "test": draw(maybe | metrics),
            "started_at": draw(maybe | moments),
            "finished_at": draw(maybe | moments),
        }
    )
    with store.transaction() as tx:
        tx.studies.add(study("s"))
        tx.trials.add("s", [written])
    with store.transaction() as tx:
        read = tx.trials.get("s", written.number)
        assert read.model_dump() == written.model_dump()
        assert list(read.params) == list(written.params)
        tx.trials.change(
            "s", written.number, **{name: getattr(written, name) for name in ("values", "metrics", "value")}
        )
        assert tx.trials.get("s", written.number) == read


@same_store
@given(data=st.data())
def test_points(store, study, trial, data):
    forget(store, "s")
    drawn = st.fixed_dictionaries(
        {
            "epoch": st.integers(1, 2**53 - 1),
            "seed": whole,
            "update": maybe | st.integers(1, 2**53 - 1),
            "shared": st.booleans(),
            "lr_first": maybe | floats,
            "lr_last": maybe | floats,
            "seconds": maybe | st.floats(0, 1e9),
            "metrics": metrics,
        }
    ).map(Point.model_validate)
    points = data.draw(st.lists(drawn, max_size=6, unique_by=lambda point: (point.epoch, point.seed)))
    values = [data.draw(maybe | floats) for _ in points]
    with store.transaction() as tx:
        tx.studies.add(study("s"))
        tx.trials.add("s", [trial(0)])
        assert tx.points.add("s", [Arrival(0, "trial", 1, points, values)])[0] == (points, [])
    with store.transaction(write=False) as tx:
        read = tx.points.of("s", 0)
        objective = tx.points.objective("s", 0)
    ordered = sorted(points, key=lambda point: (point.seed, point.epoch))
    assert len(read) == len(ordered)
    assert all(map(exactly_equal, read, ordered))
    assert {(p.epoch, p.seed): objective[p.epoch][p.seed] for p in points} == {
        (p.epoch, p.seed): value for p, value in zip(points, values, strict=True)
    }


@same_store
@given(
    options=st.dictionaries(anything, json_values, max_size=4),
    labels=st.dictionaries(texts, texts, max_size=3),
    warnings=st.lists(texts, max_size=3),
    error=maybe | texts,
    created_at=moments,
)
def test_studies(store, study, spec, options, labels, warnings, error, created_at):
    forget(store, "s")
    its_spec = spec("s", options=options, labels=labels)
    written = study("s", spec=its_spec, warnings=warnings, error=error, created_at=created_at)
    with store.transaction() as tx:
        tx.studies.add(written)
    with store.transaction() as tx:
        read = tx.studies.get("s")
        assert isinstance(read, Study)
        assert exactly_equal(read, written)
        for key, value in its_spec.labels.items():
            for label in (key, f"{key}={value}"):
                found = [study.name for study in tx.studies.page(label=label).items]
                assert found == ["s"] or "=" in key
