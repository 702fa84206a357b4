"""Where a study stands: its progress, its best trials, and whether it has come to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import NotFound
from ..search import expected_share
from ..store import Transaction
from ..study import ENDED, Best, Confirmed, Point, Progress, Seconds, Study, Trial, mean_metrics, mean_of, spread_of
from .rungs import Climbing

BUDGET_SPENT = "the study's budget was spent before this trial began"
TOO_MANY_FAILURES = "{count} trials in a row failed, the last one with: {error}"


class Standing(Climbing):
    """Progress, best and the steps of a study towards its end."""

    def _standing(self, tx: Transaction, study: Study) -> Study:
        """``study`` with its progress and best trial computed."""
        states, epochs = self._tallies.of(tx, study)
        end = study.finished_at or tx.now()
        elapsed = (end - study.started_at).total_seconds() if study.started_at else 0.0
        progress = Progress(
            trials=states,
            epochs=epochs,
            seconds=Seconds(elapsed=elapsed, left=seconds_left(study, states, epochs.asked, elapsed)),
            cost_in_trainings=cost_in_trainings(study, elapsed),
        )
        leaders = self._leaders(tx, study, top=1)
        return study.model_copy(update={"progress": progress, "best": leaders[0] if leaders else None})

    def _leaders(self, tx: Transaction, study: Study, top: int) -> list[Best]:
        """Completed trials: the confirmed first, by confirmed mean, then the others by value, then by number."""
        minimize = study.spec.minimize
        leaders = tx.trials.leaders(study.name, minimize=minimize, top=top)
        if not leaders:
            return []
        baseline = None
        if study.spec.baselines:
            first = tx.trials.some(study.name, range(len(study.spec.baselines))).values()
            values = [trial.value for trial in first if trial.value is not None]
            baseline = (min if minimize else max)(values, default=None)
        return [best_of(study, trial, baseline) for trial in leaders]

    def _chosen(self, tx: Transaction, study: Study, trial: int | None) -> int:
        """A trial's number; None = the best one's. Raises NotFound while none has completed."""
        if trial is not None:
            return trial
        leaders = tx.trials.leaders(study.name, minimize=study.spec.minimize, top=1)
        if not leaders:
            raise NotFound(f"no trial of `{study.name}` has completed yet")
        return leaders[0].number

    def _advance(self, tx: Transaction, study: Study) -> None:
        """Take a running study as far as it goes without new training: confirm, test, end."""
        if study.state != "running" or not study.resolved:
            return
        if self._spent(tx, study):
            self._drop_queued(tx, study)
        self._decide(tx, study)
        if tx.trials.open_work(study.name) or self._more_to_suggest(tx, study):
            return
        if not tx.trials.leaders(study.name, minimize=study.spec.minimize, top=1):
            self._end(tx, study, "failed", "no trial completed")
        elif not (self._ask_to_confirm(tx, study) or self._ask_to_test(tx, study)):
            self._end(tx, study, "completed", None)

    def _give_up_after_failures(self, tx: Transaction, study: Study) -> bool:
        """End the study if too many trials in a row failed."""
        limit = study.spec.limits.failures_in_a_row
        if limit is None or tx.trials.failed_in_a_row(study.name) < limit:
            return False
        last = tx.trials.last_error(study.name) or "no reason given"
        self._end(tx, study, "failed", TOO_MANY_FAILURES.format(count=limit, error=last)[:2000])
        return True

    def _drop_queued(self, tx: Transaction, study: Study) -> None:
        for trial in tx.trials.to_hand_out(study.name, limit=10_000):
            if trial.state == "queued" and trial.attempts == 0:
                cancelled = {"state": "cancelled", "purpose": None, "finished_at": tx.now(), "error": BUDGET_SPENT}
                tx.trials.change(study.name, trial.number, **cancelled)

    def _ask_to_confirm(self, tx: Transaction, study: Study) -> bool:
        """Queue the best trials for fresh seeds; False where that is done or not wanted."""
        confirm = study.spec.confirm
        if confirm is None:
            return False
        best = tx.trials.page(
            study.name, state="completed", order="value", minimize=study.spec.minimize, limit=confirm.top
        )
        unconfirmed = [trial for trial in best.items if trial.confirmed is None and trial.value is not None]
        for trial in unconfirmed:
            tx.trials.change(study.name, trial.number, purpose="confirm")
        return bool(unconfirmed)

    def _ask_to_test(self, tx: Transaction, study: Study) -> bool:
        """Queue the winner for its test metrics; False where that is done or the task holds no test data."""
        if study.spec.external or study.comparison is not None:
            return False
        offer = self._offer(tx, study.spec.task)
        if offer is None or not offer.has_test:
            return False
        winner = tx.trials.leaders(study.name, minimize=study.spec.minimize, top=1)[0]
        if winner.test is not None:
            return False
        tx.trials.change(study.name, winner.number, purpose="test")
        return True

    def _end(self, tx: Transaction, study: Study, state: str, error: str | None) -> None:
        """End a study: what was still to be trained is cancelled, what is held is told so at its next report."""
        study = self._drop_unbegun(tx, study)
        tx.trials.cancel_open(study.name, tx.now())
        tx.studies.change(study.name, state=state, error=error, finished_at=tx.now())
        self._forget(study.name)
        if study.comparison is not None:
            self._advance_comparison(tx, study.comparison)

    def _advance_comparison(self, tx: Transaction, name: str) -> None:
        """End a comparison whose studies have all ended."""
        states = tx.studies.states_of_comparison(name)
        if states <= ENDED:
            state = "cancelled" if states == {"cancelled"} else "completed" if "completed" in states else "failed"
            tx.comparisons.change(name, state=state)

    def _end_trial(self, tx: Transaction, study: Study, trial: Trial, *, state: str, **fields: object) -> None:
        """Set a trial's terminal state: nothing is to be done on it, nobody holds it. ``trial`` as it is stored."""
        tx.trials.change(study.name, trial, **ended(tx), state=state, **fields)
        self._after_endings(tx, study, [state])

    def _after_endings(self, tx: Transaction, study: Study, states: Sequence[str]) -> None:
        """What follows for a study from trials that have just ended in these states."""
        if states and not ("failed" in states and self._give_up_after_failures(tx, study)):
            self._advance(tx, study)

    def _close_extra(self, tx: Transaction, study: Study, trial: Trial, last: Mapping[int, Point]) -> None:
        """Record what confirming or testing a trial measured; ``last`` is each seed's last point."""
        changes: dict[str, object] = {"purpose": None, "lease": None}
        if trial.purpose == "confirm":
            metric = study.spec.objective.metric or ""
            values = [last[seed].metrics.get(metric) if seed in last else None for seed in seeds_for(study, trial)]
            mean = mean_of(values)
            spread = spread_of(values) if mean is not None else None
            changes["confirmed"] = Confirmed(mean=mean, std=spread, seeds=tuple(seeds_for(study, trial)))
        else:
            metrics = mean_metrics(list(last.values()))
            changes["test"] = {name: value for name, value in metrics.items() if name.startswith("test_")}
        tx.trials.change(study.name, trial.number, **changes)
        self._advance(tx, study)


def seconds_left(study: Study, states: Mapping[str, int], epochs: int, elapsed: float) -> float | None:
    """About how long a study will take from now on; None where nobody can know.

    As the trials, or the epochs, so far took: the less of both. Trials side by side all end late, and trials that are
    stopped early leave epochs out.

    Args:
        study: a study that is resolved, or not yet.
        states: how many trials are in which state.
        epochs: told so far.
        elapsed: seconds since it began.
    """
    planned = study.spec.budget.trials
    if planned is None or study.state in ENDED or not study.resolved:
        return None
    ended = sum(n for state, n in states.items() if state not in ("queued", "running", "waiting"))
    share = 1.0 if study.spec.rungs is None else expected_share(study.spec.rungs, study.spec.intervals)
    whole = planned * study.spec.intervals * study.spec.n_seeds * share
    counts = ((ended, planned), (epochs, whole))
    guesses = [elapsed / done * max(all_of_them - done, 0) for done, all_of_them in counts if done]
    return min(guesses, default=None)


def cost_in_trainings(study: Study, elapsed: float) -> float | None:
    """How many plain trainings, one after the other, take as long as the study has taken; None until measured."""
    updates = study.spec.updates
    if study.spec.epochs is not None and study.updates_per_epoch is not None:
        updates = study.spec.epochs * study.updates_per_epoch
    if updates is None or study.update_seconds is None:
        return None
    return elapsed / (updates * study.update_seconds)


def ended(tx: Transaction) -> dict[str, object]:
    """The fields of every trial that has just ended, its state aside: nothing is to be done on it, nobody holds it."""
    return {"purpose": None, "lease": None, "finished_at": tx.now()}


def seeds_for(study: Study, trial: Trial) -> list[int]:
    """The training seeds of a trial's open work: the study's, or fresh ones where it is to be confirmed."""
    seeds = study.spec.seeds()
    if trial.purpose == "confirm" and study.spec.confirm is not None:
        return [seeds[-1] + 1 + extra for extra in range(study.spec.confirm.seeds)]
    return seeds


def best_of(study: Study, trial: Trial, baseline_value: float | None) -> Best:
    """A completed trial with all it takes to train it again."""
    assert trial.value is not None
    return Best(
        study=study.name,
        trial=trial.number,
        value=trial.value,
        params=trial.params,
        schedule=trial.schedule,
        recipe=study.spec.recipe(),
        updates_per_epoch=study.updates_per_epoch,
        confirmed=trial.confirmed,
        test=trial.test,
        baseline_value=baseline_value,
    )
