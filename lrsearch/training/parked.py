"""Assignments that wait at a rung: what it takes to go on, and no more, as there may be many thousands of them."""

from __future__ import annotations

from typing import NamedTuple, Self

from pydantic_core import from_json

from ..study import Assignment
from .group import Group
from .held import Held
from .prefixes import PrefixStore


class Parked(NamedTuple):
    """An assignment that stands where it has to stop before its schedule's end, with everything told.

    Attributes:
        text: the assignment as it travels, which takes a sixth of the memory of the assignment itself.
        epoch: epochs that all of its seeds have behind them.
        groups: the group of each of its seeds; they stand for the recipe.
        keys: under which the state of each is stored.
    """

    text: bytes
    epoch: int
    groups: tuple[Group, ...]
    keys: tuple[str, ...]

    @classmethod
    def of(cls, held: Held) -> Self:
        """What is left of an assignment that waits."""
        text = held.assignment.model_dump_json(exclude={"recipe", "params"}).encode()
        groups, keys = zip(*((run.group, run.keys[run.epoch]) for run in held.runs), strict=True)
        return cls(text, held.runs[0].epoch, groups, keys)

    def extended(self, until_epoch: int, prefixes: PrefixStore) -> Held:
        """The assignment goes on to ``until_epoch``: from the longest prefix there is, and tells nothing twice."""
        written = from_json(self.text)
        stands = {"until_epoch": until_epoch, "reported": max(self.epoch, written["reported"]), "recipe": {}}
        assignment = Assignment.model_validate({**written, **stands})
        held = Held(assignment, dict(zip(assignment.seeds, self.groups, strict=True)))
        for run, key in zip(held.runs, self.keys, strict=True):
            run.recall(key, prefixes)
        return held
