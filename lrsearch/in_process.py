"""A study in this process: no server, the same service, the same worker.

The module is not called ``run``: importing it would put itself where the function ``lrsearch.run`` is found.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InvalidInput, NotFound
from .schedules import Schedule
from .spec_file import read_study
from .study import (
    ENDED,
    Best,
    Lease,
    LeaseRequest,
    Report,
    ReportAnswer,
    ReportRequest,
    Study,
    StudySpec,
    Trial,
)

if TYPE_CHECKING:
    from .external import LiveTrial
    from .service import Service
    from .tasks.task import Task

log = logging.getLogger("lrsearch.run")

LEASE_SECONDS = 20.0
"""How soon another process takes over what a killed one held."""

TaskNames = Sequence["str | type[Task]"]
OnEvent = Callable[[Report], None]
Train = Callable[["LiveTrial"], Any]


@dataclass(frozen=True)
class RunResult:
    """What came of a study.

    Attributes:
        study: the study where it stands.
        best: its best trial; None where none completed.
    """

    study: Study
    best: Best | None
    _trials: tuple[Trial, ...] = field(repr=False, default=())

    @property
    def schedule(self) -> Schedule:
        """The best schedule.

        Raises:
            NotFound: no trial completed.
        """
        if self.best is None:
            why = f": {self.study.error}" if self.study.error else ""
            raise NotFound(f"no trial of `{self.study.name}` completed{why}")
        return self.best.schedule

    def trials(self) -> list[Trial]:
        """Every trial by number."""
        return list(self._trials)


def run(
    spec: str | Path | Mapping[str, Any] | StudySpec,
    train: Train | None = None,
    *,
    database: str | None = None,
    name: str | None = None,
    tasks: TaskNames = (),
    on_event: OnEvent | None = None,
) -> RunResult:
    """Run a study in this process until it is over.

    The same spec under the same name goes on where it was stopped, and answers at once where it is finished. Ctrl-C
    hands back what was begun. An exception in ``train`` fails its trial; the study goes on until too many in a row
    failed, and then the last exception is raised.

    Args:
        spec: a path, a shipped study's name, a mapping, or a spec.
        train: your own loop, called with every trial (``lrsearch.external.LiveTrial``); for ``task: external``.
        database: where it is kept; default ``LRSEARCH_DATABASE_URL``, else SQLite in the user's data folder.
        name: the study's name, instead of the written one; without any it is made of the task and a number.
        tasks: your own tasks, classes or ``"my.py:MyTask"``.
        on_event: called with every report that was stored, from another thread.

    Raises:
        InvalidInput: the spec breaks a law, or ``train`` does not go with its task.
        Conflict: a study of this name has another spec.
    """
    written = read_study(spec, name=name)
    require_loop(written, train)
    with opened(database) as service:
        known = load(tasks) if train is None else {}
        require_task(written, known)
        introduce(service, known, written.task)
        study, _ = service.create(written)
        return finish(service, study.name, train=train, tasks=known, on_event=on_event)


def require_loop(spec: StudySpec, train: Train | None) -> None:
    """A loop goes with ``task: external``, and only with it. Raises InvalidInput."""
    if spec.external and train is None:
        raise InvalidInput(
            "nobody trains task external but your own loop: give `train` to lrsearch.run(spec, train), "
            "or name a registered task",
            field="task",
        )
    if train is not None and not spec.external:
        raise InvalidInput(f"`train` goes with `task: external` (the spec's task is {spec.task})", field="task")


def require_task(spec: StudySpec, tasks: Mapping[str, type[Task]]) -> None:
    """Somebody here must train it: nobody else will come. Raises InvalidInput that names the nearest task."""
    if not spec.external:
        require_known(spec.task, tasks)


def require_known(task: str, tasks: Mapping[str, type[Task]]) -> None:
    """As ``require_task``, for a task's name."""
    if task in tasks:
        return
    near = difflib.get_close_matches(task, tasks, n=1)
    advice = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(sorted(tasks))}; add yours with --task"
    raise InvalidInput(f"there is no task `{task}` here; {advice}", field="task")


@contextmanager
def opened(database: str | None = None) -> Iterator[Service]:
    """The service on a database: SQLite is brought to the newest version, Postgres must be at it."""
    from .service import Service, Settings
    from .store import Store

    store = Store(database or Store.default_url())
    try:
        store.prepare()
        yield Service(store, Settings(lease_seconds=LEASE_SECONDS))
    finally:
        store.close()


def load(tasks: TaskNames = ()) -> dict[str, type[Task]]:
    """Every registered task by name, with the user's own: classes, or ``"my.py:MyTask"``."""
    from .tasks.registry import checked, load_tasks
    from .training import mkl

    mkl.repeat()  # before tasks are loaded, which may multiply
    classes = [task for task in tasks if not isinstance(task, str)]
    known = dict(load_tasks([task for task in tasks if isinstance(task, str)]))
    for task in classes:
        checked(task, task.__qualname__)
        known[task.name] = task
    return known


def introduce(service: Service, tasks: Mapping[str, type[Task]], needed: str) -> None:
    """Tell the service what the tasks are, so that specs are completed and counted before anything is trained.

    Raises:
        InvalidInput: the ``needed`` one cannot be announced, as its data cannot be loaded: nobody would train it.
    """
    from .leasing import worker_name
    from .tasks.registry import offers

    if tasks:
        service.release(service.lease(LeaseRequest(worker=worker_name(), hold=0, tasks=offers(tasks, needed))).lease)


def finish(
    service: Service,
    name: str,
    *,
    train: Train | None = None,
    tasks: Mapping[str, type[Task]] | None = None,
    on_event: OnEvent | None = None,
) -> RunResult:
    """Train a stored study until it is over; a paused one is resumed.

    Args:
        service: where it is stored.
        name: the study's name.
        train: your own loop, for ``task: external``.
        tasks: the tasks by name; None = every registered one.
        on_event: called with every report that was stored.
    """
    if service.study(name).state == "paused":
        service.resume(name)
    verbs = service if on_event is None else _Watched(service, on_event)
    if train is not None:
        _drive(service, verbs, name, train)
    elif service.study(name).state not in ENDED:
        from .local_worker import on_this_machine

        on_this_machine(verbs, load() if tasks is None else tasks, study=name).run()
    study = service.study(name)
    return RunResult(study, study.best, tuple(every_trial(service, name)))


def _drive(service: Service, verbs: Service | _Watched, name: str, train: Train) -> None:
    from .external import trials

    last: Exception | None = None
    for trial in trials(verbs, name):
        try:
            with trial:
                train(trial)
        except Exception as error:
            log.exception("trial %d failed", trial.number)
            last = error
    if last is not None and service.study(name).state == "failed":
        raise last


class _Watched:
    """The lease verbs of a service, and somebody who is told of every report once it is stored."""

    def __init__(self, service: Service, on_event: OnEvent) -> None:
        self._service = service
        self._on_event = on_event
        self.lease: Callable[[LeaseRequest], Lease] = service.lease
        self.release = service.release
        self.study = service.study

    def report(self, lease: str, request: ReportRequest) -> ReportAnswer:
        """Store, then tell."""
        answer = self._service.report(lease, request)
        rejected = {(item.study, item.trial, item.attempt) for item in answer.rejected}
        for report in request.reports:
            if (report.study, report.trial, report.attempt) not in rejected:
                self._on_event(report)
        return answer


def every_trial(service: Service, name: str) -> Iterator[Trial]:
    """Every trial of a study by number, page by page."""
    cursor: str | None = None
    while True:
        page = service.trials(name, limit=1000, cursor=cursor)
        yield from page.items
        cursor = page.next
        if cursor is None:
            return
