"""How fast a recipe trains here, alone and in company, and whether company changes a lane's bits."""

from __future__ import annotations

import math
import os
import sys
import time
import timeit
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch

from ..schedules import FloatArray
from . import mkl
from .failures import memory_errors
from .program import LIVE_PROGRAMS, OutOfMemory, Program
from .repetition import check_repeats
from .tape.taped import LONGEST_SECONDS, ORDINARY
from .torch_lane import POSITION
from .torch_program import TorchProgram

LANE_COUNTS = (32, 128)
"""How many lanes are tried: whole blocks of rows."""
FEW, SLOW_SECONDS = 4, 0.008
"""On a processor, an update that takes so long alone is arithmetic, which company makes no less: so few lanes tell
that, and many would take long to."""
SECONDS = 0.05
"""Measuring one number of lanes ends after so long."""
COLD_SECONDS = 2.0
"""A first update that takes so long is slow; a shorter one may only have imported something and found its memory."""
REPEATS = 4
"""How often updates are timed at most; the fastest counts, as a busy machine only ever slows one down."""
AT_ONCE = 4
"""Updates that are timed together: entering torch's settings costs about half an update of a small model."""
LONG_SECONDS = 0.003
"""Updates that take so long together are timed well enough."""
WORTH = 0.9
"""A lane in company must cost at most this share of a lane alone, and a lane among more of one among fewer."""
SAME = 1.1
"""Where calls take short, more lanes are taken even if a lane costs up to so much of what it costs among fewer: they
leave fewer cohorts side by side, each of which pays for its own calls."""
ARITHMETIC = 0.5
"""Where calls take long and a lane still costs this share of one alone, a call is arithmetic for all but a small part,
so that among more lanes a lane cannot cost so much less that it counts."""
MEMORY_SHARE = 0.5
"""Of the free memory, what programs may be planned to use."""
PROBED = ((2, 1), (5, 4))
"""Numbers of lanes, and the place among them, whose bits are compared with those of a lane among many."""
TURNS = 64
"""The most lanes that take turns."""
TURN_STATES = 3
"""States that such a lane holds in memory: its own, its model's, and one to go back to."""
TURNS_WORTH = 0.95
"""The same as ``WORTH`` for lanes that take turns: that costs nothing, and validation gains, too."""
UPDATES = 3
"""After so many their bits are compared: the optimiser has gone on from its own moments twice."""
IN_TURN = "in turn"
"""The kind of program whose lanes take turns."""
NO_MEMORY = "many lanes do not fit the memory"
OTHER_BITS = "a lane's last bits depend on how many others there are"
"""Refused on a processor, where other ways cost little. A GPU's libraries choose kernels by the number of lanes."""
ADVICE = f"with {mkl.VARIABLE}={mkl.WANTED} set before Python starts they may be the same"
RATE = 1e-3
TOLERANCE = 1e-2
"""Relative: how far loss and validation loss of the same few updates may lie apart in the two kinds of program."""


Found = TypeVar("Found")
Making = Callable[[], Program]
Train = Callable[[FloatArray], None]


class Timed(Protocol):
    """A program that can be timed without its records."""

    def train_only(self, rates: FloatArray) -> None:
        """Train every lane for some updates."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found.

    Attributes:
        plain_seconds: one update of a plain loop, in which nothing is measured.
        lanes: the most lanes of a program of that kind; 1 where each is trained by the task's own.
        note: why lanes are trained one after the other, or in turn; where they are fused, what is not exact about that.
        kind: which of the fused programs is the fastest, or ``IN_TURN``.
        lasting: whether that is so whatever else runs here; False where memory decided that others may have held.
    """

    plain_seconds: float
    lanes: int = 1
    note: str | None = None
    kind: str = ""
    lasting: bool = True


class Pace(NamedTuple):
    """How fast lanes are in company.

    Attributes:
        lanes: the number that is fastest a lane; 1 where that is alone.
        share: what a lane takes then, of its seconds alone.
        lasting: as ``Measured.lasting``.
    """

    lanes: int
    share: float
    lasting: bool


def measured(
    alone: Callable[[], TorchProgram],
    companies: Mapping[str, Making],
    where: torch.device,
    turns: Making | None = None,
) -> Measured:
    """Train a few updates in every kind of program; leaves no trace but the time it took.

    Args:
        alone: makes the task's own program.
        companies: make the fused ones, by their names; a later one must be worth leaving the earlier ones.
        where: their device.
        turns: makes the one whose lanes take turns, for devices where that may pay; tried where company is not worth
            it, or changes no more than last bits.

    Raises:
        InvalidInput: as ``check_repeats``.
        Exception: whatever the lone program raises: then the recipe cannot be trained at all.
    """
    lone = alone()
    seconds = _update_seconds(lone.train_only, lone, where)
    plain, notes = Measured(_update_seconds(lone.train_plainly, lone, where)), []
    if where.type == "cpu":  # some kernels of GPUs give other bits each time
        check_repeats(alone, lone)
    if (why := lone.why_alone()) is not None:
        return replace(plain, note=why)
    faster, share, fit = [], 1.0, False
    for kind, company in companies.items():
        found = _tried(partial(_lanes, company, seconds * share, where))
        lasting = found != NO_MEMORY if isinstance(found, str) else found.lasting
        plain = replace(plain, lasting=plain.lasting and lasting)
        if isinstance(found, str):
            notes.append(found)
        elif found.lanes == 1:
            fit = True
            notes.append(f"in company a lane's update takes {found.share:.2f} times as long as alone")
        else:
            faster.append((kind, found.lanes))
            share *= found.share
    for kind, lanes in reversed(faster):
        why = _tried(partial(_difference, alone, companies[kind]))
        plain = replace(plain, lasting=plain.lasting and why != NO_MEMORY)
        if why is None or (why == OTHER_BITS and where.type != "cpu"):
            return replace(plain, lanes=lanes, kind=kind, note=why and f"is fused though {why}")
        fit |= why == OTHER_BITS
        asks = why == OTHER_BITS and mkl.mode() != "none" and not mkl.strict()
        notes.insert(0, f"{why} ({ADVICE})" if asks else why)
    plain = replace(plain, note=notes[0])
    if fit and turns is not None:
        pace = _tried(partial(_turns, alone, turns, seconds, where))
        if isinstance(pace, str):
            return replace(plain, lasting=plain.lasting and pace != NO_MEMORY)
        if pace.lanes > 1:
            return replace(plain, lanes=pace.lanes, kind=IN_TURN, lasting=plain.lasting and pace.lasting)
    return plain


def _turns(alone: Making, turns: Making, alone_seconds: float, where: torch.device) -> Pace:
    """How fast lanes are that take turns, as many as fit the memory; alone where they are no faster, or differ."""
    if alone_seconds > LONGEST_SECONDS:  # without tapes nothing is gained
        return Pace(1, 1.0, lasting=True)
    before = _peak_bytes(where)
    program = turns()
    program.fork([0] * FEW)
    train, update = _timed(program).train_only, np.zeros((FEW, 1))
    train(update.repeat(ORDINARY + 2, axis=1))
    share = min(timeit.repeat(partial(train, update), number=1, repeat=REPEATS)) / FEW / alone_seconds
    if share > TURNS_WORTH or _difference(alone, turns, FEW, ((1, 0),), every=True) is not None:
        return Pace(1, share, lasting=True)
    state = sum(array.nbytes for array in program.save(0).values())
    held, lanes = max((_peak_bytes(where) - before) / FEW, TURN_STATES * state), TURNS
    while lanes > FEW and not _fits(turns, lanes, held, _free_bytes(where)):
        lanes //= 2
    return Pace(lanes, share, lasting=lanes == TURNS or not _fits(turns, 2 * lanes, held, _all_bytes(where)))


def _tried(attempt: Callable[[], Found]) -> Found | str:
    """What an attempt at training in company finds, or why that cannot be."""
    try:
        with memory_errors():
            return attempt()
    except OutOfMemory:
        return NO_MEMORY
    except Exception as error:
        # vmap raises all sorts for code that it cannot vectorise; the lone program has just trained it
        return f"its lanes cannot share a program ({' '.join(str(error).split())[:200]})"


def _update_seconds(train: Train, program: Program, where: torch.device) -> float:
    """The fastest of some updates of all lanes by ``train``, at rate 0, after some that are not counted."""

    def seconds(n_updates: int) -> float:
        start = time.perf_counter()
        train(np.zeros((program.n_lanes, n_updates)))
        if where.type == "cuda":
            torch.cuda.synchronize(where)
        return time.perf_counter() - start

    first = seconds(1)
    if SECONDS < first < COLD_SECONDS:
        first = min(first, seconds(1))
    if first > SECONDS:
        return first
    if first < LONGEST_SECONDS:
        seconds(ORDINARY + 1)  # from here on tapes are played
    began, best, n_updates = time.perf_counter(), math.inf, AT_ONCE
    for _ in range(REPEATS):
        best = min(best, seconds(n_updates) / n_updates)
        if time.perf_counter() - began > SECONDS:
            break
        n_updates = min(AT_ONCE, math.ceil(LONG_SECONDS / best))
    return best


def _timed(program: Program) -> Timed:
    return program  # type: ignore[return-value]  # both programs of torch have it


def _lanes(company: Making, alone_seconds: float, where: torch.device) -> Pace:
    """How fast lanes are in company, as many as is fastest a lane."""
    best, share, least, held, lasting = 1, WORTH, math.inf, 0.0, True
    slow = where.type == "cpu" and alone_seconds > SLOW_SECONDS
    for n_lanes in (FEW, *LANE_COUNTS) if slow else LANE_COUNTS:
        if best > 1 and not _fits(company, n_lanes, held, _free_bytes(where)):
            lasting = not _fits(company, n_lanes, held, _all_bytes(where))
            break
        before = _peak_bytes(where)
        program = company()
        program.fork([0] * n_lanes)
        seconds = _update_seconds(_timed(program).train_only, program, where)
        held = max(held, (_peak_bytes(where) - before) / n_lanes)
        now = seconds / n_lanes / alone_seconds
        least = min(least, now)
        if now < share * (1 if best == 1 else SAME if seconds < LONGEST_SECONDS else WORTH):
            best, share = n_lanes, now
        elif now > (WORTH if n_lanes == FEW else 2 * WORTH):
            break
        if n_lanes > FEW and seconds > LONGEST_SECONDS and now > ARITHMETIC:
            break
    return Pace(best, least, lasting)


def _fits(company: Making, n_lanes: int, held: float, memory: float) -> bool:
    """Whether the states of so many lanes and what their updates compute leave some of ``memory`` bytes to others.

    ``held``: bytes a lane by which fewer lanes raised the peak, as far as that tells: it may have been higher before.
    """
    state = sum(array.nbytes for array in company().save(0).values())
    return LIVE_PROGRAMS * max(state, held) * n_lanes <= MEMORY_SHARE * memory


def _peak_bytes(where: torch.device) -> int:
    """The most memory that was ever in use, on a GPU by torch, else by this process."""
    if where.type == "cuda":
        return int(torch.cuda.max_memory_allocated(where))
    try:
        import resource  # not on Windows
    except ModuleNotFoundError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _free_bytes(where: torch.device) -> int:
    """The memory that nobody holds."""
    return int(torch.cuda.mem_get_info(where)[0]) if where.type == "cuda" else _pages_bytes("SC_AVPHYS_PAGES")


def _all_bytes(where: torch.device) -> int:
    """The memory that there is."""
    return int(torch.cuda.mem_get_info(where)[1]) if where.type == "cuda" else _pages_bytes("SC_PHYS_PAGES")


def _pages_bytes(pages: str) -> int:
    try:
        return os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 2**33


def _difference(
    alone: Making,
    company: Making,
    n_many: int = LANE_COUNTS[0],
    probed: Sequence[tuple[int, int]] = PROBED,
    *,
    every: bool = False,
) -> str | None:
    """Why a lane must not be trained in company: other numbers than alone, or other bits among others.

    Args:
        alone: makes the task's own program.
        company: makes the other one.
        n_many: lanes among which one is trained.
        probed: other numbers of lanes, and its place among them.
        every: whether all that is measured is compared, not the losses alone; for programs with the same kernels.
    """
    rates = np.full(UPDATES, RATE)
    many = company()
    many.fork([0] * n_many)
    place = n_many // 3
    crowd = np.outer(np.linspace(0.5, 2, n_many), rates)
    crowd[place] = rates
    _timed(many).train_only(crowd)
    reference = many.save(place)
    expected = alone().run_epoch(1, rates[None, :, None])[0]
    for n_lanes, at in probed:
        few = company()
        few.fork([0] * n_lanes)
        controls = np.outer(np.linspace(2, 0.5, n_lanes), rates)
        controls[at] = rates
        record = few.run_epoch(1, controls[:, :, None])[at]
        for name in expected.metrics if every else ("train_loss", "val_loss"):
            ours, theirs = record.metrics[name], expected.metrics[name]
            both = math.isnan(ours) and math.isnan(theirs)
            if not (both or math.isclose(ours, theirs, rel_tol=TOLERANCE, abs_tol=1e-6)):
                return f"in company its {name} differs ({ours:.6g}, alone {theirs:.6g})"
        state = few.save(at)
        # a position holds the first loss, which only an interval records
        weights = [name for name in reference if name != POSITION]
        if any(not np.array_equal(state[name], reference[name], equal_nan=True) for name in weights):
            return OTHER_BITS
    return None
