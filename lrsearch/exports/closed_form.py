"""A schedule's closed form printed as Python source that needs nothing but ``math``."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..errors import InvalidInput
from ..schedules import WARMUPS, Formula, History, Schedule

MATH_NAMES: Mapping[str, str] = {
    "pi": "math.pi",
    "sin": "math.sin",
    "cos": "math.cos",
    "exp": "math.exp",
    "sqrt": "math.sqrt",
    "floor": "math.floor",
    "minimum": "min",
    "maximum": "max",
}
"""The formulas' vocabulary as plain Python spells it; ``where`` becomes a conditional expression."""
LETTERS: Mapping[str, str] = {
    "u": "update",
    "v": "since_warmup",
    "D": "DECAY_UPDATES",
    "W": "WARMUP_UPDATES",
    "s": "WARMUP_START",
}
"""The formulas' letters in words; every other name is a parameter of the schedule, a constant here."""

PEAK = "INITIAL_LR"
"""What the highest rate is called."""
MAX_CHANGES = 20_000
"""The most lines of a curve that is written into code."""


class ClosedForm(NamedTuple):
    """Source of ``lr(update)``: assignments of the ``constants`` it names, and the ``function``."""

    constants: str
    function: str


class _Spelling(ast.NodeTransformer):
    """Spells formulas in plain Python and remembers the names it met."""

    def __init__(self) -> None:
        self.met: set[str] = set()

    def spelled(self, formula: Formula) -> str:
        return ast.unparse(self.visit(ast.parse(formula.text, mode="eval")))

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if isinstance(node.func, ast.Name) and node.func.id == "where":
            return ast.IfExp(*(self.visit(argument) for argument in node.args))
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in MATH_NAMES:
            return ast.parse(MATH_NAMES[node.id], mode="eval").body
        name = LETTERS.get(node.id, node.id.upper())
        self.met.add(name)
        return ast.Name(name)


TAKEN = """\
def lr(update):
    \"\"\"The learning rate of optimiser update `update`; 0 is the first. The curve that this training took.\"\"\"
    low, high = 0, len(CURVE)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if CURVE[middle][0] <= update else (low, middle)
    return CURVE[low][1]"""


def taken(schedule: Schedule, updates_per_epoch: int | None, history: History) -> ClosedForm:
    """The curve that a metric-driven ``schedule`` took, as source: a list of updates from which on a rate holds.

    Raises:
        InvalidInput: ``history`` is too short; as ``Schedule.clock``.
    """
    horizon = schedule.clock(updates_per_epoch).horizon
    rates = schedule.lr(np.arange(horizon + 1), updates_per_epoch, history=history)
    changes = [0, *(np.flatnonzero(np.diff(rates)) + 1).tolist()]
    if len(changes) > MAX_CHANGES:
        raise InvalidInput(
            f"code holds at most {MAX_CHANGES:,} changes of the rate (got {len(changes):,}): export `table`",
            field="target",
        )
    pairs = "".join(f"    ({update}, {rates[update].item()!r}),\n" for update in changes)
    name = f"{PEAK} = {schedule.initial_lr!r}"
    return ClosedForm(f"{name}\nCURVE = [  # the first update of each rate, and the rate\n{pairs}]", TAKEN)


def closed_form(schedule: Schedule, updates_per_epoch: int | None, history: History = ()) -> ClosedForm:
    """``schedule`` as source: what ``Schedule.lr`` computes, for one update at a time.

    Raises:
        InvalidInput: as ``Schedule.clock``, and ``taken``.
    """
    if schedule.METRIC_DRIVEN:
        return taken(schedule, updates_per_epoch, history)
    clock = schedule.clock(updates_per_epoch)
    spelling = _Spelling()
    decay = spelling.spelled(type(schedule).DECAY)
    if schedule.final_factor > 0:
        decay = f"max(FINAL_FACTOR, {decay})"
        spelling.met.add("FINAL_FACTOR")
    body = ["update = min(update, HORIZON)  # beyond the horizon the rate stays"]
    if clock.warmup:
        ramp = spelling.spelled(WARMUPS[schedule.warmup_shape].formula)
        body += ["if update < WARMUP_UPDATES:", f"    share = {ramp}", f"    return {PEAK} * share"]
        spelling.met.add("WARMUP_UPDATES")
    if "since_warmup" in spelling.met:
        body.append(f"since_warmup = update{' - WARMUP_UPDATES' if clock.warmup else ''}")
    body += [f"share = {decay}", f"return {PEAK} * share"]

    values = {
        PEAK: schedule.initial_lr,
        "HORIZON": clock.horizon,
        "WARMUP_UPDATES": clock.warmup,
        "DECAY_UPDATES": clock.horizon - clock.warmup,
        **{name.upper(): value for name, value in schedule.variables(clock).items() if name not in LETTERS},
    }
    spelling.met |= {PEAK, "HORIZON"}
    lengths = {name.upper() for name in schedule.lengths()} | {"HORIZON"}
    constants = [
        f"{name} = {value!r}{'  # updates' if name in lengths else ''}"
        for name, value in values.items()
        if name in spelling.met
    ]
    header = ["def lr(update):", '    """The learning rate of optimiser update `update`; 0 is the first."""']
    return ClosedForm("\n".join(constants), "\n".join(header + [f"    {line}" for line in body]))
