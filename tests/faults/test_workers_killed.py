"""Workers killed or stopped at four kinds of moments: their trials go on elsewhere, nothing acknowledged is lost."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from .conftest import until
from .line import Line

LEASES = "POST /v1/leases"
REPORTS = r"POST /v1/leases/\w+/reports"
MOMENTS = ("before the lease's answer", "after the report, before its answer", "in the middle of an epoch")


def kill_one(moment: str, line: Line, askers, dice: random.Random) -> None:
    """Start a worker and kill it at such a moment."""
    process = askers.start(line.url, seconds=0.05)
    if moment == MOMENTS[2]:
        n = len(askers.log())
        until(lambda: len(askers.log()) > n or process.poll() is not None)
        time.sleep(dice.uniform(0, 0.3))
    else:
        line.cut(LEASES if moment == MOMENTS[0] else REPORTS, lambda: askers.kill(process))
        until(lambda: not line.is_cut)
    if process.poll() is None:
        askers.kill(process)


def kills(n: int, hosts, askers, clients, watch, external) -> None:
    """``n`` kills at each kind of moment, then a worker that finishes what is left."""
    host = hosts()
    there = clients(host.url)
    there.create(external(6 + 3 * n))
    dice = random.Random(n)
    with Line(host.port) as line:
        for _ in range(n):
            for moment in MOMENTS:
                kill_one(moment, line, askers, dice)
                watch.check()
        askers.start(line.url, seconds=0)
        askers.finish()
    study = there.study("s")
    assert study.state == "completed"
    assert study.progress.trials == {"completed": 6 + 3 * n}
    watch.check()
    assert watch.acknowledged(askers.log()) > 0
    assert there.best("s").trial == watch.best("s")[0]
    assert askers.kills == 3 * n


def test_killed_workers_lose_nothing_acknowledged(hosts, askers, clients, watch, external):
    kills(1, hosts, askers, clients, watch, external)


@pytest.mark.slow
def test_killed_workers_lose_nothing_acknowledged_at_any_moment(hosts, askers, clients, watch, external):
    kills(20, hosts, askers, clients, watch, external)


def stops(n: int, hosts, askers, clients, watch, external) -> None:
    host = hosts()
    there = clients(host.url)
    for number in range(n):
        name = f"s{number}"
        there.create(external(3, name=name))
        stopped = askers.start(host.url, name, seconds=0.4)
        until(lambda name=name: any(entry["study"] == name for entry in askers.log()))
        os.kill(stopped.pid, signal.SIGSTOP)
        askers.start(host.url, name, seconds=0)
        until(lambda name=name: there.study(name).state == "completed")
        before = watch.check(), watch.epochs()
        os.kill(stopped.pid, signal.SIGCONT)
        askers.finish()
        assert (watch.check(), watch.epochs()) == before, "nothing of a lost attempt is adopted"
        assert "has ended" in askers.complaints()[-1]
    watch.acknowledged(askers.log())


def test_a_stopped_worker_drops_its_work(hosts, askers, clients, watch, external):
    stops(1, hosts, askers, clients, watch, external)


@pytest.mark.slow
def test_stopped_workers_drop_their_work_at_any_moment(hosts, askers, clients, watch, external):
    stops(20, hosts, askers, clients, watch, external)
