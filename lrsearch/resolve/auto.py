"""``initial_lr: auto``: a range test says between which rates a study searches."""

from __future__ import annotations

from ..study import Range, RangeTestSpec, SpaceSpec, StudySpec, SweepSpec, TaskOffer
from .completion import complete_train
from .options import complete_options

AUTO = "auto"
SOMEWHERE = Range(low=SweepSpec().low, high=SweepSpec().high, log=True)
"""Stands for the range as long as it is not known, so that all else can be checked."""


def asks_for_range(spec: StudySpec) -> bool:
    """Whether a study's ``initial_lr`` is to come of a range test that has not been made."""
    return spec.space.declarations.get("initial_lr") == AUTO


def with_range(spec: StudySpec, initial_lr: Range = SOMEWHERE) -> StudySpec:
    """``spec`` with the range in the place of ``auto``; any other spec as it is."""
    if not asks_for_range(spec):
        return spec
    declared = {**spec.space.declarations, "initial_lr": initial_lr.model_dump(exclude_none=True)}
    return spec.model_copy(update={"space": SpaceSpec.read({"family": spec.space.family, **declared})})


def range_test_of(spec: StudySpec, name: str) -> RangeTestSpec:
    """The range test of a study's recipe, with its first training seed."""
    fields = {"name": name, "task": spec.task, "options": spec.options}
    return RangeTestSpec.model_validate(fields if spec.train is None else fields | {"train": spec.train})


def complete_range_test(spec: RangeTestSpec, offer: TaskOffer) -> RangeTestSpec:
    """``spec`` with the task's default options, optimiser and batch size written out.

    Raises:
        InvalidInput: options or recipe break a law.
    """
    train, _ = complete_train(spec.train, offer)
    return spec.model_copy(update={"train": train, "options": complete_options(spec.options, offer)})
