"""What is remembered of ended trials changes no count."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from lrsearch.schedules import Schedule
from lrsearch.service import Service
from lrsearch.service.tallies import SLACK, Tallies
from lrsearch.store import Store, Transaction
from lrsearch.study import EpochCounts, Study, StudySpec, Trial

SPEC = StudySpec.read(
    {
        "name": "s",
        "task": "external",
        "epochs": 2,
        "space": {"family": "constant", "initial_lr": {"low": 0.1, "high": 1.0}},
        "objective": {"metric": "loss", "direction": "minimize"},
    }
)
SCHEDULE = Schedule.model_validate({"family": "constant", "initial_lr": 0.1, "epochs": 2})

ADD = st.tuples(st.just("add"), st.integers(1, SLACK))
END = st.tuples(st.just("end"), st.integers(1, 2 * SLACK))
UNDONE = st.tuples(st.just("undone"), st.integers(1, 2 * SLACK))
STUDY_AGAIN = st.tuples(st.just("study again"), st.just(0))


def end_some(tx: Transaction, n: int) -> None:
    """End the first ``n`` trials that are open, but for every tenth; one that has ended stays as it is."""
    for trial in tx.trials.to_hand_out("s", limit=n):
        if trial.number % 10 != 3:
            counts = EpochCounts(trained=trial.number, shared=1)
            tx.trials.change("s", trial.number, state="completed", purpose=None, epochs=counts)


@given(st.lists(st.one_of(ADD, END, UNDONE, STUDY_AGAIN), max_size=12))
def test_a_tally_is_what_counting_all_trials_finds(moves: list[tuple[str, int]]) -> None:
    store, tallies = Store("sqlite://"), Tallies()
    store.migrate()
    service = Service(store)
    service.create(SPEC)

    def look() -> Study:
        with store.transaction(write=False) as tx:
            study = tx.studies.get("s")
            assert tallies.of(tx, study) == tx.trials.states("s")
            return study

    for move, n in [*moves, ("end", 3 * SLACK)]:
        with suppress(ZeroDivisionError), store.transaction() as tx:
            if move == "add":
                first = tx.trials.next_number("s")
                trials = [Trial(number=first + i, schedule=SCHEDULE, purpose="trial") for i in range(n)]
                tx.trials.add("s", trials)
            elif move in ("end", "undone"):
                end_some(tx, n)
                assert tallies.of(tx, tx.studies.get("s")) == tx.trials.states("s")
            if move == "undone":
                1 / 0  # noqa: B018
        if move == "study again":
            service.cancel("s")
            service.delete("s")
            service.create(SPEC)
        look()
    store.close()
