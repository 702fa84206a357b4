"""A schedule's closed form printed in a language, from the formulas that numpy evaluates."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import NamedTuple

from ..schedules import WARMUPS, Formula, Schedule
from .dialect import PYTHON, Dialect

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
HEADER = ["def lr(update):", '    """The learning rate of optimiser update `update`; 0 is the first."""']


class ClosedForm(NamedTuple):
    """Source of ``lr(update)``: assignments of the ``constants`` it names, and the ``function``."""

    constants: str
    function: str


class _Spelling(ast.NodeTransformer):
    """Spells formulas in a dialect and remembers the names it met.

    Counts of updates stay whole numbers wherever a formula keeps them whole, and ``floor(a / b)`` of two of them is
    their whole quotient: in float32 a quotient may be rounded over the step, and updates beyond 2^24 have no number.
    """

    def __init__(self, dialect: Dialect, whole: set[str]) -> None:
        self.dialect = dialect
        self.whole = whole | {"u", "v", "D", "W"}
        self.met: set[str] = set()

    def spelled(self, formula: Formula) -> str:
        return ast.unparse(self._real(ast.parse(formula.text, mode="eval").body))

    def _is_whole(self, node: ast.AST) -> bool:
        parts: list[ast.AST] = []
        match node:
            case ast.Constant(value=value):
                return isinstance(value, int)
            case ast.Name(id=name):
                return name in self.whole
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult(), right=right):
                parts = [left, right]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                parts = [operand]
            case ast.Call(func=ast.Name(id="minimum" | "maximum"), args=arguments):
                parts = [*arguments]
            case ast.Call(func=ast.Name(id="where"), args=[_, *choices]):
                parts = [*choices]
            case ast.Call(func=ast.Name(id="floor"), args=[ast.BinOp(left=left, op=ast.Div(), right=right)]):
                parts = [left, right]
        return bool(parts) and all(self._is_whole(part) for part in parts)

    def _real(self, node: ast.expr) -> ast.expr:
        """The node, as a float where it is a whole number that changes with the update."""
        whole = self._is_whole(node) and _moves(node)
        spelled: ast.expr = self.visit(node)
        if not whole or self.dialect.real == "{}":
            return spelled
        return ast.parse(self.dialect.real.format(ast.unparse(spelled)), mode="eval").body

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        if self._is_whole(node):
            self.generic_visit(node)
            return node
        fixed = isinstance(node.op, ast.Pow) and isinstance(node.left, ast.Name) and not _moves(node.left)
        if fixed and self.dialect.power is not None and not self._is_whole(node.right):
            constant, exponent = ast.unparse(self.visit(node.left)), ast.unparse(self._real(node.right))
            return ast.parse(self.dialect.power.format(constant=constant, exponent=exponent), mode="eval").body
        return ast.BinOp(self._real(node.left), node.op, self._real(node.right))

    def visit_Call(self, node: ast.Call) -> ast.expr:
        match node:
            case ast.Call(func=ast.Name(id="floor"), args=[ast.BinOp(left=left, right=right)]) if self._is_whole(node):
                return ast.BinOp(self.visit(left), ast.FloorDiv(), self.visit(right))
            case ast.Call(func=ast.Name(id="where"), args=[condition, *choices]):
                spell = self.visit if self._is_whole(node) else self._real
                arguments = [self.visit(condition), *(spell(choice) for choice in choices)]
                if "where" not in self.dialect.names:
                    return ast.IfExp(*arguments)
                return ast.Call(self.visit(node.func), arguments, [])
        spell = self.visit if self._is_whole(node) else self._real
        return ast.Call(self.visit(node.func), [spell(argument) for argument in node.args], [])

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self.dialect.names:
            return ast.parse(self.dialect.names[node.id], mode="eval").body
        name = LETTERS.get(node.id, node.id.upper())
        self.met.add(name)
        return ast.Name(name)


def _moves(node: ast.expr) -> bool:
    """Whether its value changes with the update."""
    return any(isinstance(part, ast.Name) and part.id in ("u", "v") for part in ast.walk(node))


def closed_form(schedule: Schedule, updates_per_epoch: int | None, dialect: Dialect = PYTHON) -> ClosedForm:
    """``schedule`` as source: what ``Schedule.lr`` computes, for one update at a time.

    Raises:
        InvalidInput: as ``Schedule.clock``.
    """
    clock = schedule.clock(updates_per_epoch)
    variables = schedule.variables(clock)
    spelling = _Spelling(dialect, {name for name, value in variables.items() if isinstance(value, int)})
    minimum, maximum = dialect.names["minimum"], dialect.names["maximum"]
    decay = spelling.spelled(type(schedule).DECAY)
    if schedule.final_factor > 0:
        decay = f"{maximum}(FINAL_FACTOR, {decay})"
        spelling.met.add("FINAL_FACTOR")
    body = [f"update = {minimum}(update, HORIZON)  # beyond the horizon the rate stays"]
    ramp = None
    if clock.warmup:
        ramp = spelling.spelled(WARMUPS[schedule.warmup_shape].formula)
        spelling.met.add("WARMUP_UPDATES")
    if ramp and dialect.choose is None:
        body += ["if update < WARMUP_UPDATES:", f"    share = {ramp}", f"    return {PEAK} * share"]
    if "since_warmup" in spelling.met:
        since = f"update{' - WARMUP_UPDATES' if clock.warmup else ''}"
        body.append(f"since_warmup = {since if dialect.choose is None or not ramp else f'{maximum}({since}, 0)'}")
    if ramp and dialect.choose is not None:
        body += [
            f"ramp = {ramp}",
            f"decay = {decay}",
            f"return {PEAK} * " + dialect.choose.format(ramp="ramp", decay="decay"),
        ]
    else:
        body += [f"share = {decay}", f"return {PEAK} * share"]

    values = {
        PEAK: schedule.initial_lr,
        "HORIZON": clock.horizon,
        "WARMUP_UPDATES": clock.warmup,
        "DECAY_UPDATES": clock.horizon - clock.warmup,
        **{name.upper(): value for name, value in variables.items() if name not in LETTERS},
    }
    spelling.met |= {PEAK, "HORIZON"}
    lengths = {name.upper() for name in schedule.lengths()} | {"HORIZON"}
    constants = [
        f"{name} = {value!r}{'  # updates' if name in lengths else ''}"
        for name, value in values.items()
        if name in spelling.met
    ]
    return ClosedForm("\n".join(constants), "\n".join(HEADER + [f"    {line}" for line in body]))
