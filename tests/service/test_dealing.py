"""Who is handed which trials: whole roots to one worker, a fair share to each, the same trials whoever works."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsearch.service.dealing import Rank, Share, deal
from lrsearch.store import Free
from lrsearch.study import StudyPatch, TrialRequest

GRID = {
    "space": {
        "family": "step",
        "initial_lr": [0.1, 0.03, 0.01, 0.003],
        "decay_rate": [0.1, 0.3, 0.5],
        "step_size": [1, 2],
        "warmup": [0, 1, 2],
    },
    "epochs": 4,
    "sampler": "grid",
    "budget": {"trials": 72},
}
N_ROOTS = 12
"""Of the 4 x 3 peaks and warm-ups; each is begun by 6 trials."""

ROOTS = st.none() | st.sampled_from("abcdef")
SHARES = st.builds(Share, st.integers(0, 12), st.integers(1, 40), st.integers(0, 30))


@st.composite
def tables(draw):
    """Free trials by number."""
    purposes = st.sampled_from(["trial", "trial", "trial", "confirm"])
    rows = draw(st.lists(st.tuples(ROOTS, purposes), max_size=40))
    return [Free(n, "queued", purpose, 0, None, root) for n, (root, purpose) in enumerate(rows)]


@given(tables(), st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(Rank)), SHARES, st.sets(st.integers(0, 40)))
def test_whatever_is_dealt_is_lawful(free, ranks, share, first):
    dealt = deal(free, ranks, share, first)
    by_number = {trial.number: trial for trial in free}
    assert len(set(dealt)) == len(dealt) <= share.wanted
    assert set(dealt) <= set(by_number)
    again = [number for number in by_number if number in first]
    assert dealt[: len(again)] == again[: share.wanted]
    if free and share.wanted and not share.holds:
        assert dealt, "a worker that holds nothing is never sent away"
    fresh = [by_number[number] for number in dealt if number not in first]
    total = share.holds + len(dealt)
    assert not fresh or total <= max(share.fair, int(1.25 * share.fair)) or len(again) + share.holds >= share.fair
    if any(trial.purpose == "trial" and ranks.get(trial.root) is Rank.OTHERS for trial in fresh):
        assert not share.holds
        assert all(ranks.get(trial.root) is Rank.OTHERS for trial in fresh)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(2, 5))
def test_equal_roots_are_dealt_out_evenly_and_whole(n_each, size, n_workers):
    roots = [f"root {n}" for n in range(n_each * n_workers)]
    free = {n: Free(n, "queued", "trial", 0, None, roots[n % len(roots)]) for n in range(size * len(roots))}
    n_open = len(free)
    held = {}
    for worker in range(n_workers):
        ranks = dict.fromkeys(held.values(), Rank.OTHERS)
        dealt = deal(list(free.values()), ranks, Share(0, -(-n_open // n_workers), 1000))
        mine = {free.pop(number).root for number in dealt}
        assert len(dealt) == n_each * size
        assert not mine & set(held.values())
        held |= {(worker, root): root for root in mine}
    assert not free


class Lot:
    """Some workers on one study; who began which root, and every handing out that split one."""

    def __init__(self, service, toy, n_workers, hold, seed=0):
        self.service = service
        self.rng = random.Random(seed)
        self.hold = hold
        self.workers = [toy(f"w{n}") for n in range(n_workers)]
        for worker in self.workers:
            worker.ask(hold)
        self.splits = []

    def root(self, assignment):
        with self.service.store.transaction(write=False) as tx:
            return tx.trials.get(assignment.study, assignment.trial).root

    def work(self):
        """Report at random moments until nothing is left."""
        busy = True
        while busy:
            for worker in self.rng.sample(self.workers, len(self.workers)):
                n_ended = self.rng.randint(0, len(worker.held))
                ended, worker.held = worker.held[:n_ended], worker.held[n_ended:]
                kept = list(worker.held)
                others = {self.root(held) for other in self.workers if other is not worker for held in other.held}
                worker.say(*map(worker.told, ended), hold=self.hold)
                given = worker.held[len(kept) :]
                others -= {self.root(held) for held in kept}
                if any(self.root(one) in others for one in given if one.purpose == "trial"):
                    self.splits.append(len(kept))
            busy = any(worker.held for worker in self.workers)


@pytest.mark.parametrize("hold", [2, 8, 100])
@pytest.mark.parametrize("n_workers", [2, 3])
def test_roots_are_split_only_for_workers_with_nothing_to_do(service, toy, spec, hold, n_workers):
    lot = Lot(service, toy, n_workers, hold)
    service.create(spec(**GRID))
    lot.work()
    assert set(lot.splits) <= {0}
    assert service.study("s").progress.trials == {"completed": 72}


def test_idle_workers_share_a_study_by_whole_roots(service, toy, spec):
    lot = Lot(service, toy, 2, 100)
    service.create(spec(**GRID))
    for worker in lot.workers:
        worker.say()
    held = [[lot.root(one) for one in worker.held] for worker in lot.workers]
    assert [len(roots) for roots in held] == [36, 36]
    assert [len(set(roots)) for roots in held] == [6, 6]
    assert not set(held[0]) & set(held[1])


def test_one_worker_is_given_all(service, toy, spec):
    service.create(spec(**GRID))
    worker = toy()
    roots = [Lot(service, toy, 0, 0).root(one) for one in worker.ask(hold=100)]
    assert len(roots) == 72
    assert len(set(roots)) == N_ROOTS
    changes = sum(one != other for one, other in itertools.pairwise(roots))
    assert changes == N_ROOTS - 1, "whole roots one after the other"


def test_a_worker_goes_on_with_the_root_that_it_began(service, toy, spec):
    service.create(spec(**GRID))
    lot = Lot(service, toy, 2, 1)
    begun = [lot.root(worker.held[0]) for worker in lot.workers]
    assert begun[0] != begun[1]
    for _ in range(5):
        for worker, root in zip(lot.workers, begun, strict=True):
            worker.finish(hold=1)
            assert lot.root(worker.held[0]) == root


def test_a_worker_that_holds_nothing_takes_what_others_began(service, toy, spec):
    one_root = GRID["space"] | {"initial_lr": 0.1, "warmup": 0}
    service.create(spec(**GRID | {"space": one_root, "budget": {"trials": 6}}))
    first, second = toy("w1"), toy("w2")
    assert len(first.ask(hold=2)) == 2
    assert len(second.ask(hold=2)) == 2


def test_a_worker_for_another_task_takes_no_share(service, toy, spec):
    service.create(spec(**GRID))
    toy("w2", offers=()).ask(hold=10)
    assert len(toy("w1").ask(hold=100)) == 72


@pytest.mark.parametrize("fields", [GRID, GRID | {"sampler": "random"}, GRID | {"sampler": {"name": "tpe", "seed": 1}}])
def test_the_trials_are_the_same_whoever_works(service, toy, spec, fields):
    told = []
    for n_workers, hold in ((1, 100), (1, 1), (2, 5), (3, 40)):
        name = f"s{n_workers}-{hold}"
        service.create(spec(name=name, **fields))
        Lot(service, toy, n_workers, hold, seed=hold).work()
        told.append([(trial.params, trial.value) for trial in service.trials(name, limit=100).items])
    if fields["sampler"] in ("grid", "random"):
        assert all(one == told[0] for one in told)
    assert all(len(one) == 72 for one in told)


def test_a_trial_may_be_added_though_many_were_drawn(service, toy, spec):
    service.create(spec(**GRID))
    worker = toy()
    worker.ask(hold=1)
    assert service.study("s").progress.trials["queued"] == 71
    added = service.add_trial("s", TrialRequest(params=service.trial("s", 71).params))
    assert added.origin == "enqueued"
    assert added.number < 72
    worker.work(hold=30)
    trials = service.trials("s", limit=100).items
    assert [trial.number for trial in trials] == list(range(72))
    assert {trial.state for trial in trials} == {"completed"}


def test_a_budget_may_shrink_though_many_were_drawn(service, toy, spec):
    service.create(spec(**GRID))
    worker = toy()
    worker.ask(hold=1)
    service.patch("s", StudyPatch.read({"budget": {"trials": 10}}))
    begun = worker.held[0].trial
    worker.work()
    assert service.study("s").state == "completed"
    assert service.study("s").progress.trials == {"completed": max(10, begun + 1)}


def test_a_cancelled_study_forgets_what_nobody_was_given(service, toy, spec):
    service.create(spec(**GRID))
    held = toy().ask(hold=3)
    service.cancel("s")
    states = service.study("s").progress.trials
    assert set(states) == {"cancelled"}
    assert states["cancelled"] <= max(one.trial for one in held) + 1


@pytest.mark.parametrize("budget", [{"epochs": 12}, {"trials": 72, "hours": 1}])
def test_a_budget_that_may_end_any_moment_draws_nothing_ahead(service, toy, spec, budget):
    service.create(spec(**GRID | {"budget": budget}))
    toy().ask(hold=2)
    assert service.study("s").progress.trials == {"running": 2}
