"""Formulas spelled in a dialect."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from ..schedules import Formula
from .dialect import Dialect

LETTERS: Mapping[str, str] = {
    "u": "update",
    "v": "since_warmup",
    "D": "DECAY_UPDATES",
    "W": "WARMUP_UPDATES",
    "s": "WARMUP_START",
}
"""The formulas' letters in words; what they name themselves keeps its name, all else is a constant of the schedule."""


class Spelling(ast.NodeTransformer):
    """Spells formulas in a dialect and remembers the names it ``met``.

    Counts of updates stay whole numbers wherever a formula keeps them whole, and ``floor(a / b)`` of two of them is
    their whole quotient: in float32 a quotient may be rounded over the step, and updates beyond 2^24 have no number.
    """

    def __init__(self, dialect: Dialect, variables: Mapping[str, Any]) -> None:
        self.met: set[str] = set()
        self._dialect = dialect
        self._parts: set[str] = set()
        self._moving = {"u", "v"}
        self._whole = {"u", "v", "D", "W"} | {name for name, value in variables.items() if _all_whole(value)}

    def spelled(self, formula: Formula) -> tuple[list[str], str]:
        """The lines that give names to a formula's parts, and its value."""
        lines = []
        parts, value = formula.parsed()
        for name, part in parts.items():
            whole, moves = self._is_whole(part), self._moves(part)
            lines.append(f"{name} = {ast.unparse(self.visit(part))}")
            self._parts.add(name)
            self._whole |= {name} if whole else set()
            self._moving |= {name} if moves else set()
        return lines, ast.unparse(self._real(value))

    def _moves(self, node: ast.expr) -> bool:
        """Whether its value changes with the update."""
        return any(isinstance(part, ast.Name) and part.id in self._moving for part in ast.walk(node))

    def _is_whole(self, node: ast.AST) -> bool:
        parts: list[ast.expr] = []
        match node:
            case ast.Call(func=ast.Name(id="passed")):
                return True
            case ast.Constant(value=value):
                return isinstance(value, int)
            case ast.Name(id=name):
                return name in self._whole
            case ast.Call(func=ast.Name(id="at"), args=[numbers, _]):
                parts = [numbers]
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult(), right=right):
                parts = [left, right]
            case ast.Call(func=ast.Name(id="floor"), args=[ast.BinOp(left=left, op=ast.Div(), right=right)]):
                parts = [left, right]
            case ast.Call(func=ast.Name(id="minimum" | "maximum"), args=arguments):
                parts = arguments
            case ast.Call(func=ast.Name(id="where"), args=[_, *choices]):
                parts = choices
        return bool(parts) and all(self._is_whole(part) for part in parts)

    def _real(self, node: ast.expr) -> ast.expr:
        """The node, as a float where it is a whole number that changes with the update."""
        needed = self._is_whole(node) and self._moves(node)
        spelled: ast.expr = self.visit(node)
        return _written(self._dialect.real.format(ast.unparse(spelled))) if needed else spelled

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Arithmetic: of whole numbers as it is, else of floats."""
        if self._is_whole(node):
            return ast.BinOp(self.visit(node.left), node.op, self.visit(node.right))
        match node:
            case ast.BinOp(
                left=ast.BinOp(
                    left=ast.BinOp(left=ast.Name(id=all_of_it) as whole, op=ast.Sub(), right=ast.Name() as done),
                    op=ast.Div(),
                    right=ast.Name(id=same),
                ),
                op=ast.Pow(),
                right=ast.Name() as exponent,
            ) if self._dialect.share_left is not None and all_of_it == same:
                parts = {"done": done, "whole": whole, "exponent": exponent}
                spelled = {name: ast.unparse(self._real(part)) for name, part in parts.items()}
                return _written(self._dialect.share_left.format(**spelled))
        left, right = self._real(node.left), self._real(node.right)
        if self._dialect.power is not None and isinstance(node.op, ast.Pow) and self._moves(node.right):
            return _written(self._dialect.power.format(constant=ast.unparse(left), exponent=ast.unparse(right)))
        return ast.BinOp(left, node.op, right)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        """A comparison: of whole numbers as it is, else of floats; TensorFlow compares no others."""
        sides = [node.left, *node.comparators]
        spell = self.visit if all(map(self._is_whole, sides)) else self._real
        left, *right = (spell(side) for side in sides)
        return ast.Compare(left, node.ops, right)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """A function of the vocabulary."""
        whole = self._is_whole(node)
        spell = self.visit if whole else self._real
        match node:
            case ast.Call(func=ast.Name(id="passed"), args=arguments):
                numbers, now = (ast.unparse(self.visit(argument)) for argument in arguments)
                return _written(self._dialect.passed.format(numbers=numbers, now=now))
            case ast.Call(func=ast.Name(id="at"), args=arguments):
                numbers, index = (ast.unparse(self.visit(argument)) for argument in arguments)
                return _written(self._dialect.at.format(numbers=numbers, index=index))
            case ast.Call(func=ast.Name(id="floor"), args=[ast.BinOp(left=left, right=right)]) if whole:
                return ast.BinOp(self.visit(left), ast.FloorDiv(), self.visit(right))
            case ast.Call(func=ast.Name(id="where"), args=[condition, *choices]):
                arguments = [self.visit(condition), *(spell(choice) for choice in choices)]
                if "where" not in self._dialect.names:
                    return ast.IfExp(*arguments)
                return ast.Call(self.visit(node.func), arguments, [])
        return ast.Call(self.visit(node.func), [spell(argument) for argument in node.args], [])

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """A name of the vocabulary, of a part, or of a variable."""
        if node.id in self._parts:
            return node
        if node.id in self._dialect.names:
            return _written(self._dialect.names[node.id])
        name = LETTERS.get(node.id, node.id.upper())
        self.met.add(name)
        return ast.Name(name)


def _written(source: str) -> ast.expr:
    return ast.parse(source, mode="eval").body


def _all_whole(value: Any) -> bool:
    return all(isinstance(item, int) for item in value) if isinstance(value, tuple) else isinstance(value, int)
