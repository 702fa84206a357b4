"""The lease is renewed whatever the training does, and a process that was not there drops its work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import torch

from lrsearch.errors import InvalidInput
from lrsearch.external import trials
from lrsearch.launch import Listener
from lrsearch.service import Service, Settings
from lrsearch.study import LeaseRequest, StudySpec

from .test_spool import SCRIPT, go_on, until

Make = Callable[..., StudySpec]


def busy(seconds: float) -> None:
    """Python that never pauses."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@pytest.mark.parametrize("occupied", [time.sleep, busy])
@pytest.mark.parametrize("leases", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_an_epoch_may_last_for_many_leases(
    service: Service, external: Make, leases: int, occupied: Callable[[float], None]
) -> None:
    service.create(external(budget={"trials": 1}))
    hasty = Service(service.store, Settings(lease_seconds=1))
    for trial in trials(hasty, "own"):
        with trial:
            trial.report(val_loss=1.0)
            occupied(leases)
            hasty.reap()
            assert service.trial("own", 0).state == "running"
    row = service.trial("own", 0)
    assert (row.attempts, row.state) == (1, "completed")


def test_a_forked_child_leaves_its_parents_trial_alone(service: Service, external: Make) -> None:
    service.create(external(budget={"trials": 1}))
    loop = trials(service, "own")
    trial = next(loop)
    trial.report(val_loss=1.0)
    if (child := os.fork()) == 0:
        code = 1
        try:
            with pytest.raises(InvalidInput, match="by the process that asked for it"):
                trial.report(val_loss=2.0)
            with pytest.raises(SystemExit), trial:
                raise SystemExit
            loop.close()  # type: ignore[attr-defined]
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert service.trial("own", 0).state == "running"
    for _ in range(4):
        trial.report(val_loss=0.5)
    assert next(loop, None) is None
    row = service.trial("own", 0)
    assert (row.state, row.value, row.attempts) == ("completed", 0.5, 1)


def test_loaders_with_processes_of_their_own(service: Service, external: Make) -> None:
    service.create(external(budget={"trials": 1}, epochs=2))
    loader = torch.utils.data.DataLoader(torch.arange(8.0), num_workers=2, multiprocessing_context="fork")
    for trial in trials(service, "own"):
        with trial:
            for _ in range(trial.epochs):
                trial.report(val_loss=sum(float(batch) for batch in loader))
    row = service.trial("own", 0)
    assert (row.state, row.value, row.attempts) == ("completed", 28.0, 1)


def test_a_process_that_was_stopped_for_two_leases_drops_its_work(service: Service, external: Make) -> None:
    service.create(external(budget={"trials": 1}))
    hasty = Service(service.store, Settings(lease_seconds=1))
    with Listener(hasty, port=0) as listener:
        command = [sys.executable, str(SCRIPT), listener.url, "own", "me", "1"]
        it = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            until(it, "before 1")
            os.kill(it.pid, signal.SIGSTOP)
            time.sleep(2)
            other = service.lease(LeaseRequest(worker="other", hold=1, study="own", tasks=()))
            assert [item.attempt for item in other.assignments] == [2]
            os.kill(it.pid, signal.SIGCONT)
            go_on(it)
            until(it, "stopped")
            assert [point.epoch for point in service.curve("own", 0)] == [1]
        finally:
            it.kill()
            it.communicate()
    assert service.trial("own", 0).worker == "other"
