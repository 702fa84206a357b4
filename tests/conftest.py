"""What tests of several rooms share: databases, how to draw a schedule, and how Hypothesis runs."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args, get_origin

import annotated_types
import hypothesis
import pytest
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from lrsearch.schedules import CLOSED_FORMS, WARMUPS, WIDER, Schedule
from lrsearch.store import Store
from lrsearch.training import mkl

from .databases import Databases
from .postgres import Missing

hypothesis.settings.register_profile("default", deadline=None, max_examples=40, derandomize="CI" in os.environ)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# What is measured while tests run is nobody's to remember; the processes that tests start share it.
SCRATCH = tempfile.TemporaryDirectory(prefix="lrsearch-tests-", ignore_cleanup_errors=True)
for name in ("LRSEARCH_CALIBRATION", "LRSEARCH_SPOOL"):
    os.environ.setdefault(name, f"{SCRATCH.name}/{name.lower()}")

mkl.repeat()  # as in the processes that lrsearch starts

# A shell's background job ignores Ctrl-C, and so would the processes that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

SLOW_SECONDS = 1800
"""How long a long form may take, where it does not say itself."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS))


Drawn = tuple[Schedule, int | None]


def numbers(field: Any) -> st.SearchStrategy[float]:
    """Numbers that a parameter's declared bounds allow."""
    bounds: dict[str, Any] = {}
    for mark in field.metadata:
        match mark:
            case annotated_types.Gt(gt):
                bounds |= {"min_value": gt, "exclude_min": True}
            case annotated_types.Ge(ge):
                bounds |= {"min_value": ge}
            case annotated_types.Lt(lt):
                bounds |= {"max_value": lt, "exclude_max": True}
            case annotated_types.Le(le):
                bounds |= {"max_value": le}
    return st.floats(**{"min_value": -1e3, "max_value": 1e3} | bounds, allow_subnormal=False)


def lengths(units: int, per_unit: int, shortest: int, longest: int) -> st.SearchStrategy[float]:
    """Lengths of ``shortest`` to ``longest`` updates: whole units, parts of them, and exact numbers of updates."""
    exact = st.integers(shortest, longest).map(lambda updates: updates / per_unit)
    whole = st.integers(-(-shortest // per_unit), max(longest // per_unit, -(-shortest // per_unit)))
    return exact | whole.filter(lambda length: length * per_unit <= longest) if longest >= per_unit else exact


def one_value(kind: type[Schedule], name: str, length: st.SearchStrategy[float]) -> st.SearchStrategy[Any]:
    """Values of a parameter that is no list: a choice, a length, or a number within its bounds."""
    field = kind.model_fields[name]
    if get_origin(field.annotation) is Literal:
        return st.sampled_from(get_args(field.annotation))
    return length if name in kind.lengths() else numbers(field)


def several(kind: type[Schedule], name: str, length: st.SearchStrategy[float], n: int) -> st.SearchStrategy[Any]:
    """Lists of ``n`` for a parameter that is one: rising lengths, or numbers within the bounds of its items."""
    if name in kind.lengths():
        return st.lists(length, min_size=n, max_size=n, unique=True).map(sorted)
    item = FieldInfo.from_annotation(get_args(kind.model_fields[name].annotation)[0])
    return st.lists(numbers(item), min_size=n, max_size=n)


@st.composite
def drawn_schedules(
    draw: st.DrawFn, family: str | None = None, shape: str | None = None, max_updates: int = 300
) -> Drawn:
    family = family or draw(st.sampled_from(sorted(CLOSED_FORMS)))
    shape = shape or draw(st.sampled_from(sorted(WARMUPS)))
    kind = CLOSED_FORMS[family]
    in_epochs = draw(st.booleans())
    units = draw(st.integers(1, 30 if in_epochs else max_updates))
    per_unit = draw(st.integers(1, max(1, max_updates // units))) if in_epochs else 1
    horizon = units * per_unit
    lowest = 0.0 if WARMUPS[shape].starts_at_zero else 1e-6
    data: dict[str, Any] = {
        "family": family,
        "initial_lr": draw(st.floats(1e-8, 1e3)),
        "final_factor": draw(st.just(0.0) | st.floats(0, 1, allow_subnormal=False)),
        "warmup": draw(st.just(0) | lengths(units, per_unit, 0, horizon - 1)),
        "warmup_shape": shape,
        "warmup_start": draw(st.sampled_from([lowest, 0.01, 1.0]) | st.floats(lowest, 1, allow_subnormal=False)),
    }
    data |= {"epochs": units} if in_epochs else {"updates": units, "eval_every": draw(st.integers(1, units))}
    n_items = draw(st.integers(1, min(3, 2 * horizon)))
    for name in kind.parameters():
        if name in data or name in WIDER:
            continue
        length = lengths(units, per_unit, 1, 2 * horizon)
        if get_origin(kind.model_fields[name].annotation) is tuple:
            data[name] = draw(several(kind, name, length, n_items))
        else:
            data[name] = draw(one_value(kind, name, length))
    return kind.model_validate(data), per_unit if in_epochs else None


@pytest.fixture(scope="session")
def schedules() -> Callable[..., st.SearchStrategy[Drawn]]:
    """``schedules(family, shape, max_updates)``: a strategy of (schedule, updates an epoch or None), H <= max_updates.

    Every parameter is drawn from its declared bounds, so a new family needs nothing here. Of all families but the
    metric-driven ones, whose rates are no function of the update alone; and nothing is controlled but the rate.
    """
    return drawn_schedules


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """Makes databases that last one test; the Postgres server starts with the first that needs it."""
    with Databases() as made:
        yield made


def fresh_database(kind: str, request: pytest.FixtureRequest) -> Iterator[str]:
    databases: Databases = request.getfixturevalue("databases")
    try:
        yield from databases.fresh(kind, migrated="store" in request.fixturenames)
    except Missing as reason:
        if os.environ.get("CI"):
            pytest.fail(f"{reason}; this must not be skipped here")
        pytest.skip(str(reason))


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A Postgres database of this test's own, empty."""
    yield from fresh_database("postgres", request)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of this test's own, on SQLite and on Postgres; empty unless the test also asks for ``store``."""
    yield from fresh_database(request.param, request)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A migrated store on ``database_url``."""
    store = Store(database_url)
    store.migrate()
    yield store
    store.close()
