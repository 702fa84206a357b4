"""Services killed between a commit and its answer, under load, and two at once: one effect, and nothing lost."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from lrsearch.client import Client
from lrsearch.study import LeaseRequest

from .conftest import everything_held, first_report, until
from .line import Line

SPACE = {"family": "step", "initial_lr": {"low": 1e-4, "high": 1e-1, "log": True}}
TRAINED = {"task": "least-squares", "updates": 100, "eval_every": 50, "space": SPACE}
ARMS = [{"name": "a", "sampler": "random"}, {"name": "b", "sampler": "tpe"}]


def held(client: Client):
    return client.lease(LeaseRequest(worker="w", hold=1, study="s", tasks=()))


ROUTES = {
    "POST /v1/studies": lambda there, _: there.create({"name": None, **TRAINED}),
    "POST /v1/comparisons": lambda there, _: there.compare({"spec": TRAINED, "arms": ARMS, "repeats": 2}),
    "POST /v1/range-tests": lambda there, _: there.range_test({"task": "least-squares", "updates": 50}),
    "POST /v1/studies/s/trials": lambda there, _: there.add_trial("s", {"params": {"initial_lr": 0.05}}),
    "POST /v1/leases": lambda there, _: held(there),
    r"POST /v1/leases/\w+/reports": first_report,
    r"DELETE /v1/leases/\w+": lambda there, lease: there.release(lease.lease),
    "PATCH /v1/studies/s": lambda there, _: there.patch("s", {"labels": {"a": "b"}}),
    "POST /v1/studies/s/pause": lambda there, _: there.pause("s"),
    "POST /v1/studies/s/resume": lambda there, _: there.resume("s"),
    "POST /v1/studies/s/trials/1/cancel": lambda there, _: there.cancel_trial("s", 1),
    "POST /v1/studies/s/cancel": lambda there, _: there.cancel("s"),
    "DELETE /v1/studies/s": lambda there, _: there.delete("s"),
}
"""Every call that writes, in an order in which each finds something to do."""
COUNTED = ("studies", "comparisons", "range_tests", "trials", "points")


def effects(watch) -> dict[str, int]:
    """How many rows there are of what calls create: not of events and the like."""
    return {table: watch.query(f"SELECT count(*) FROM {table}")[0][0] for table in COUNTED}


def lose_answers(hosts, clients, watch, external, *, killed) -> None:
    """Each route's answer is lost once, the service killed with it where ``killed`` says so; one effect each."""
    host = hosts()
    direct = clients(host.url)
    direct.create(external(4, budget={"trials": 3}))
    with Line(host.port) as line:
        there = clients(line.url)
        lease = None
        for route, call in ROUTES.items():
            if route.startswith(("POST /v1/leases/", "DELETE /v1/leases/")):
                lease = held(direct)
            before = effects(watch)
            line.cut(route, host.restart if killed(route) else lambda: None)
            call(there, lease)
            assert not line.is_cut, route
            watch.check()
            after = effects(watch)
            grown = {table: after[table] - before[table] for table in COUNTED if after[table] != before[table]}
            assert grown == GROWN.get(route, {}), route
    assert line.lost == len(ROUTES)
    assert host.kills == sum(map(killed, ROUTES))


GROWN = {
    "POST /v1/studies": {"studies": 1},
    "POST /v1/comparisons": {"comparisons": 1, "studies": 4},
    "POST /v1/range-tests": {"range_tests": 1},
    "POST /v1/studies/s/trials": {"trials": 1},
    r"POST /v1/leases/\w+/reports": {"points": 5},
    "DELETE /v1/studies/s": {"studies": -1, "trials": -2, "points": -5},
}


def test_a_lost_answer_has_one_effect_on_every_route(hosts, clients, watch, external):
    lose_answers(hosts, clients, watch, external, killed=lambda route: route.endswith("reports"))


@pytest.mark.slow
@pytest.mark.parametrize("time", [1, 2])
def test_a_service_killed_before_its_answer_has_one_effect(hosts, clients, watch, external, time):
    lose_answers(hosts, clients, watch, external, killed=lambda route: True)


def told(client: Client) -> list[tuple[int, str]]:
    """All that is told of the study until it ends, but for its progress: that is worked out for each who follows."""
    return [(event.id, event.KIND) for event in client.events("s") if event.KIND != "progress"]


def under_load(n: int, hosts, askers, clients, watch, external, number: int) -> None:
    """Askers, and one who follows, ride out ``n`` ends of the service; every attempt goes on where it was."""
    host = hosts()
    there = clients(host.url)
    there.create(external(5 * n))
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(told, clients(host.url, patience=60))
        ends(n, host, there, askers, watch, number)
        everything_held(watch, there, askers, 5 * n)
        assert heard.result(60) == told(there), "the stream goes on with no gap"


def ends(n: int, host, there: Client, askers, watch, number: int) -> None:
    """End the service ``n`` times in the middle of work, and start it again."""
    for _ in range(2):
        askers.start(host.url, seconds=0.02)
    for _ in range(n):
        n_told = len(askers.log())
        until(lambda n_told=n_told: len(askers.log()) > n_told + 6)
        assert host.end(number) == (0 if number == signal.SIGTERM else -number)
        host.start()
        until(lambda: there.study("s").state == "running")
        assert sum(psutil.Process(host.process.pid).cpu_times()[:2]) < 10, "back within 10 s of a processor's time"
        watch.check()


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_a_service_that_ends_under_load_loses_nothing(hosts, askers, clients, watch, external, number):
    under_load(1, hosts, askers, clients, watch, external, number)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_service_that_ends_again_and_again_under_load_loses_nothing(hosts, askers, clients, watch, external, number):
    under_load(20, hosts, askers, clients, watch, external, number)
