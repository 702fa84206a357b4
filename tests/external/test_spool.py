"""The service goes away: training goes on, and nothing that was measured is lost."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import lrsearch
from lrsearch.errors import Unavailable
from lrsearch.external import Spool
from lrsearch.external.left import send_left
from lrsearch.external.outbox import Outbox
from lrsearch.external.patience import Patience
from lrsearch.external.spool import read
from lrsearch.service import Service
from lrsearch.study import Assignment, LeaseRequest, Point, Result, StudySpec

from .conftest import Comes

Make = Callable[..., StudySpec]
SCRIPT = Path(__file__).with_name("worker.py")


def files(spool: Path) -> list[Path]:
    return sorted(spool.rglob("*.jsonl"))


@contextmanager
def process(comes: Comes, worker: str, *pauses: int) -> Iterator[subprocess.Popen[str]]:
    """A loop over `own`, killed at the end."""
    command = [sys.executable, str(SCRIPT), comes.url, "own", worker, *map(str, pauses)]
    it = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield it
    finally:
        it.kill()
        it.communicate()


def until(it: subprocess.Popen[str], said: str) -> None:
    assert it.stdout is not None
    assert it.stdout.readline().strip() == said


def go_on(it: subprocess.Popen[str]) -> None:
    assert it.stdin is not None
    it.stdin.write("\n")
    it.stdin.flush()


def wait_for(what: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_training_goes_on_without_the_service(
    comes: Comes,
    client: lrsearch.Client,
    service: Service,
    external: Make,
    spool: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service.create(external(budget={"trials": 2}))
    for trial in client.trials("own"):
        with trial:
            for epoch in range(trial.epochs):
                if (trial.number, epoch) == (0, 1):
                    comes.go()
                trial.report(val_loss=float(epoch))
            if trial.number == 0:
                (file,) = files(spool)
                kept = read(file)
                assert kept is not None
                assert (kept.holder.trial, [point.epoch for point in kept.points]) == (0, [2, 3, 4, 5])
                assert file.stat().st_mode & 0o77 == 0
                comes.back_after(0.2)
    assert [row.state for row in service.trials("own").items] == ["completed"] * 2
    assert [row.attempts for row in service.trials("own").items] == [1, 1]
    assert [point.metrics["val_loss"] for point in service.curve("own", 0)] == [0, 1, 2, 3, 4]
    assert files(spool) == []
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len([text for text in said if "training goes on" in text]) == 1
    assert len([text for text in said if "its result is kept in" in text]) == 1


def test_a_stop_is_heard_once_the_service_is_back(
    comes: Comes, client: lrsearch.Client, service: Service, external: Make, spool: Path
) -> None:
    service.create(external(budget={"trials": 1}))
    for trial in client.trials("own"):
        with trial:
            trial.report(val_loss=1.0)
            comes.go()
            service.cancel_trial("own", 0)
            trial.report(val_loss=0.5)
            assert not trial.should_stop
            comes.back()
            wait_for(lambda trial=trial: trial.should_stop)
    assert service.trial("own", 0).state == "cancelled"
    assert files(spool) == []


@pytest.mark.parametrize("worker", ["the-same", ""])
def test_the_next_process_sends_what_a_killed_one_left(
    comes: Comes, client: lrsearch.Client, service: Service, external: Make, spool: Path, worker: str
) -> None:
    service.create(external(budget={"trials": 1}))
    with process(comes, worker, 1) as it:
        until(it, "before 1")
        comes.go()
        go_on(it)
        wait_for(lambda: files(spool) and (kept := read(files(spool)[0])) and kept.result)
    comes.back()
    assert list(client.trials("own", worker=worker or None)) == []
    row = service.trial("own", 0)
    assert (row.state, row.value, row.attempts) == ("completed", 0.2, 1)
    assert [point.epoch for point in service.curve("own", 0)] == [1, 2, 3, 4, 5]
    assert files(spool) == []


def test_a_killed_training_resumes_where_its_reports_ended(
    comes: Comes, client: lrsearch.Client, service: Service, external: Make, spool: Path
) -> None:
    service.create(external(budget={"trials": 1}))
    with process(comes, "me", 1, 3) as it:
        until(it, "before 1")
        comes.go()
        go_on(it)
        until(it, "before 3")
    comes.back()
    again = next(loop := client.trials("own", worker="me"))
    assert (again.attempt, again.reported) == (2, 3)
    again.resume(3)
    for _ in range(2):
        again.report(val_loss=0.0)
    assert next(loop, None) is None
    assert service.trial("own", 0).epochs.trained == 5
    assert files(spool) == []


def test_a_process_stays_alone_with_what_it_measures(
    comes: Comes, client: lrsearch.Client, service: Service, external: Make, spool: Path
) -> None:
    """Another one on this machine leaves it alone while it lives."""
    service.create(external(budget={"trials": 2}))
    mine = next(loop := client.trials("own", worker="mine"))
    comes.go()
    mine.report(val_loss=1.0)
    comes.back()
    (file,) = files(spool)
    send_left(client, Spool(None, comes.url, "own"), "another", Patience(5))
    assert file.exists() or service.curve("own", 0)  # or it has sent it itself by now
    for _ in range(4):
        mine.report(val_loss=1.0)
    next(loop)
    assert len(service.curve("own", 0)) == 5


def test_what_comes_too_late_is_thrown_away(
    comes: Comes,
    client: lrsearch.Client,
    service: Service,
    external: Make,
    spool: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service.create(external(budget={"trials": 1}))
    with process(comes, "me", 1) as it:
        until(it, "before 1")
        comes.go()
        go_on(it)
        wait_for(lambda: files(spool) and (kept := read(files(spool)[0])) and kept.result)
    comes.back()
    taken = service.lease(LeaseRequest(worker="me", hold=1, study="own", tasks=()))
    assert taken.assignments[0].attempt == 2
    service.release(taken.lease)
    again = next(loop := client.trials("own", worker="me"))
    assert again.attempt == 3
    assert [point.epoch for point in service.curve("own", 0)] == [1]
    assert "came too late" in caplog.text
    assert files(spool) == []
    loop.close()  # type: ignore[attr-defined]


def leave_during_an_outage(
    comes: Comes, client: lrsearch.Client, n_reports: int = 0, error: Exception | None = None
) -> None:
    for trial in client.trials("own", worker="me", patience=0.1):
        with trial:
            comes.go()
            for _ in range(n_reports):
                trial.report(val_loss=0.5)
            if error is not None:
                raise error


def test_patience_ends_with_words_and_the_result_on_disk(
    comes: Comes, client: lrsearch.Client, service: Service, external: Make, spool: Path
) -> None:
    service.create(external(budget={"trials": 1}))
    with pytest.raises(Unavailable, match=r"trial 0 is over.*its result is kept in .*jsonl"):
        leave_during_an_outage(comes, client, n_reports=5)
    comes.back()
    assert list(client.trials("own", worker="me")) == []
    assert (service.trial("own", 0).value, service.trial("own", 0).attempts) == (0.5, 1)


def test_an_exception_is_not_hidden_by_an_outage(
    comes: Comes, client: lrsearch.Client, service: Service, external: Make, spool: Path
) -> None:
    service.create(external(budget={"trials": 1}))
    with pytest.raises(RuntimeError, match="out of memory") as caught:
        leave_during_an_outage(comes, client, error=RuntimeError("out of memory"))
    assert "its result is kept" in caught.value.__notes__[0]
    comes.back()
    assert list(client.trials("own", worker="me")) == []
    assert service.trial("own", 0).error == "RuntimeError: out of memory"


def test_a_disk_that_refuses_costs_a_warning(
    comes: Comes,
    client: lrsearch.Client,
    service: Service,
    external: Make,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service.create(external(budget={"trials": 1}))
    (tmp_path / "full").write_text("no folder")
    for trial in client.trials("own", spool=tmp_path / "full"):
        with trial:
            comes.go()
            for _ in range(5):
                trial.report(val_loss=0.5)
            comes.back_after(0.2)
    assert service.trial("own", 0).value == 0.5
    assert caplog.text.count("it is kept in memory") == 1


def test_a_file_that_is_written_piece_by_piece_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is nearly full takes a part of a line, and has room again for the next."""
    whole = os.write
    monkeypatch.setattr(os, "write", lambda file, content: whole(file, content[:7]))
    file = Spool(tmp_path, "http://there", "own").file("me", 0, 1, "lease")
    for point in points(3):
        file.keep([point], None)
    file.keep([], Result(state="completed"))
    file.close(delete=False)
    kept = read(file.path)
    assert kept is not None
    assert (kept.points, kept.result) == (tuple(points(3)), Result(state="completed"))


def test_a_loop_that_goes_on_after_a_lost_result_is_given_the_trial_again(
    comes: Comes, client: lrsearch.Client, service: Service, external: Make, tmp_path: Path
) -> None:
    """Neither the service nor a disk would take it: the trial must not stay held by whoever has given it up."""
    service.create(external(budget={"trials": 1}))
    (tmp_path / "full").write_text("no folder")
    attempts = []
    for trial in client.trials("own", spool=tmp_path / "full", patience=0.3):
        attempts.append(service.trial("own", 0).attempts)
        if len(attempts) == 1:
            with pytest.raises(Unavailable, match="kept in memory"), trial:
                comes.go()
            comes.back()
        else:
            with trial:
                trial.report(val_loss=0.5)
    assert attempts == [1, 2]
    assert service.trial("own", 0).value == 0.5


def points(n: int, **metrics: float) -> list[Point]:
    return [Point(epoch=epoch, seed=0, metrics={"val_loss": 1.0 / epoch, **metrics}) for epoch in range(1, n + 1)]


def test_a_file_cut_anywhere_holds_the_first_of_its_points(tmp_path: Path) -> None:
    file = Spool(tmp_path, "http://here", "own").file("me", 3, 1, "a" * 32)
    file.keep(points(3), None)
    file.keep([], Result(state="completed"))
    file.close(delete=False)
    whole = file.path.read_bytes()
    seen = []
    for cut in range(len(whole) + 1):
        file.path.write_bytes(whole[:cut])
        kept = read(file.path)
        if kept is not None:
            assert kept.points == tuple(points(3)[: len(kept.points)])
            assert (kept.result is not None) == (cut == len(whole))
            seen.append(len(kept.points))
    assert seen == sorted(seen)
    assert set(seen) == {0, 1, 2, 3}


def test_a_long_outage_is_sent_in_reports_that_a_service_takes(external: Make, service: Service) -> None:
    service.create(external(epochs=5000, budget={"trials": 1}))
    lease = service.lease(LeaseRequest(worker="me", hold=1, study="own", tasks=()))
    (assignment,) = lease.assignments
    assert isinstance(assignment, Assignment)
    outbox = Outbox(assignment, None)
    wanted = points(5000, **{f"metric_{n}": 0.123456789 for n in range(10)})
    outbox.add(wanted)
    outbox.add(result=Result(state="completed"))
    sent: list[Point] = []
    while (report := outbox.next_report()) is not None:
        assert len(report.model_dump_json(exclude_unset=True)) < 600_000
        assert (report.result is not None) == (len(sent) + len(report.points) == 5000)
        sent += report.points
        outbox.taken(report)
    assert sent == wanted
    assert outbox.acknowledged
