"""A schedule's closed form printed in a language, from the formulas that numpy evaluates."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..errors import InvalidInput
from ..schedules import WARMUPS, Schedule
from .dialect import PYTHON, Dialect
from .spelling import LETTERS, Spelling

PEAK = "INITIAL_LR"
"""What the highest rate is called."""
HEADER = ("def lr(update):", '    """The learning rate of optimiser update `update`; 0 is the first."""')


class ClosedForm(NamedTuple):
    """Source of ``lr(update)``: the ``imports`` and assignments of ``constants`` it needs, and the ``function``."""

    imports: str
    constants: str
    function: str


def closed_form(schedule: Schedule, updates_per_epoch: int | None, dialect: Dialect = PYTHON) -> ClosedForm:
    """``schedule`` as source: what ``Schedule.lr`` computes, for one update at a time.

    Raises:
        InvalidInput: a length is beyond the whole numbers of the dialect; as ``Schedule.clock``.
    """
    clock = schedule.clock(updates_per_epoch)
    variables = schedule.variables(clock)
    spelling = Spelling(dialect, variables)
    minimum, maximum = dialect.names["minimum"], dialect.names["maximum"]
    parts, decay = spelling.spelled(schedule.decay)
    if schedule.final_factor > 0:
        decay = f"{maximum}(FINAL_FACTOR, {decay})"
        spelling.met.add("FINAL_FACTOR")
    body = [f"update = {minimum}(update, HORIZON)  # beyond the horizon the rate stays"]
    ramp_parts, ramp = spelling.spelled(WARMUPS[schedule.warmup_shape].formula) if clock.warmup else ([], "")
    since = "update - WARMUP_UPDATES" if ramp else "update"
    if ramp:
        spelling.met.add("WARMUP_UPDATES")
    if ramp and dialect.choose is not None:
        since = f"{maximum}({since}, 0)"
        body += [*ramp_parts, f"ramp = {ramp}"]
    elif ramp:
        body.append("if update < WARMUP_UPDATES:")
        body += [f"    {line}" for line in (*ramp_parts, f"share = {ramp}", f"return {PEAK} * share")]
    if "since_warmup" in spelling.met:
        body.append(f"since_warmup = {since}")
    body += [*parts, f"share = {decay}"]
    share = dialect.choose.format(ramp="ramp", decay="share") if ramp and dialect.choose is not None else "share"
    body.append(f"return {PEAK} * {share}")

    values = {
        PEAK: schedule.initial_lr,
        "HORIZON": clock.horizon,
        "WARMUP_UPDATES": clock.warmup,
        "DECAY_UPDATES": clock.horizon - clock.warmup,
        **{name.upper(): value for name, value in variables.items() if name not in LETTERS},
    }
    spelling.met |= {PEAK, "HORIZON"}
    lengths = {name.upper() for name in schedule.lengths()} | {"HORIZON"}
    constants = []
    for name in (name for name in values if name in spelling.met):
        _check_countable(name, values[name], dialect)
        constants.append(f"{assigned(name, values[name])}{'  # updates' if name in lengths else ''}")
    return in_full(constants, body, dialect)


def in_full(constants: Iterable[str], body: Iterable[str], dialect: Dialect) -> ClosedForm:
    """The source of a function with this ``body``, with the imports that it needs."""
    function = "\n".join([*HEADER, *(f"    {line}" for line in body)])
    imports = [line for name, line in dialect.modules.items() if re.search(rf"\b{name}\.", function)]
    return ClosedForm("\n".join(imports), "\n".join(constants), function)


def assigned(name: str, value: Any) -> str:
    """``name = value``, a long list in several lines."""
    written = f"{name} = {list(value) if isinstance(value, tuple | list) else value!r}"
    if len(written) <= 110:
        return written
    lines = textwrap.wrap(", ".join(map(repr, value)) + ",", 110, break_on_hyphens=False)
    return "\n".join([f"{name} = [", *(f"    {line}" for line in lines), "]"])


def _check_countable(name: str, value: Any, dialect: Dialect) -> None:
    whole = [item for item in (value if isinstance(value, tuple) else [value]) if isinstance(item, int)]
    if dialect.largest is not None and max(whole, default=0) >= dialect.largest:
        raise InvalidInput(
            f"this framework counts updates in 32 bits: {name.lower()} must be below {dialect.largest:,} "
            f"(got {max(whole):,})",
            field="target",
        )
