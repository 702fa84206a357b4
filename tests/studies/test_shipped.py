"""Every study that ships with lrsearch is read, completed by its task, and says what it teaches."""

from __future__ import annotations

from pathlib import Path

import pytest

from lrsearch.resolve import resolve, updates_per_epoch, with_range
from lrsearch.schedules import FAMILIES
from lrsearch.space import Space
from lrsearch.spec_file import read_comparison, read_study
from lrsearch.study import StudySpec
from lrsearch.tasks.catalog import CATALOG
from lrsearch.trajectory import count_epochs

FOLDER = Path(__file__).parent.parent.parent / "studies"
COMPARISONS = sorted(path.stem for path in FOLDER.glob("compare-*.yaml"))
STUDIES = sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem not in COMPARISONS)


@pytest.mark.parametrize("name", STUDIES)
def test_a_shipped_study_is_complete(name):
    spec = read_study(name)
    assert spec.name == name
    assert read_study(FOLDER / f"{name}.yaml") == spec
    offer = CATALOG.get(spec.task)
    assert spec.external or offer is not None
    resolved = resolve(with_range(spec), offer)
    assert resolve(resolved, offer) == resolved
    assert StudySpec.read(resolved.model_dump(mode="json")) == resolved
    assert resolved.budget.trials
    space = Space(resolved, updates_per_epoch(resolved, offer))
    for baseline in resolved.baselines:
        assert space.baseline(baseline).epochs == spec.epochs


@pytest.mark.parametrize("name", COMPARISONS)
def test_a_shipped_comparison_is_complete(name):
    comparison = read_comparison(name)
    assert comparison.name == name
    for arm in comparison.arms:
        spec = comparison.spec.model_copy(update={"sampler": arm.sampler})
        assert resolve(spec, CATALOG[spec.task]).budget.trials == comparison.spec.budget.trials


@pytest.mark.parametrize("name", STUDIES + COMPARISONS)
def test_a_shipped_file_opens_with_what_it_teaches(name):
    lines = (FOLDER / f"{name}.yaml").read_text().splitlines()
    comment = [line for line in lines if line.startswith("#")]
    assert lines[: len(comment)] == comment
    assert len(" ".join(comment)) > 100
    assert all(len(line) <= 120 for line in lines)


def test_every_family_and_every_sampler_is_shown():
    specs = [read_study(name) for name in STUDIES]
    assert {family for spec in specs for family in spec.space.family} == set(FAMILIES)
    assert {spec.sampler.name for spec in specs} == {"grid", "random", "tpe"}


def test_the_grid_shares_what_its_comment_says():
    offer = CATALOG["mnist1d-cnn"]
    spec = resolve(read_study("mnist1d-grid"), offer)
    space = Space(spec, updates_per_epoch(spec, offer))
    schedules = [space.schedule(space.cell(index)) for index in range(space.n_cells)]
    assert count_epochs(schedules, updates_per_epoch(spec, offer)) == (5760, 3180)
