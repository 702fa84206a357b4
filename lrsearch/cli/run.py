"""``lrsearch run``: a study in this process."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import typer

from .answers import print_best, print_json
from .exits import INTERRUPTED, complain
from .options import Database, File, Json, Name, Settings, Tasks

if TYPE_CHECKING:
    from ..study import Cost


def run(
    file: File,
    *,
    settings: Settings = None,
    name: Name = None,
    tasks: Tasks = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Run a study in this process, without a server. After Ctrl-C, the same command continues."""
    from ..in_process import finish, introduce, load, opened, require_loop, require_task
    from ..launch import interruptible
    from ..spec_file import read_study
    from .progress import Display, beside, study_words
    from .studies import end, saved

    logging.basicConfig(format="%(name)s: %(message)s", level=logging.WARNING)
    spec = read_study(file, settings or (), name=name)
    require_loop(spec, None)
    with interruptible(), opened(database) as service:
        known = load(tasks or ())
        require_task(spec, known)
        introduce(service, known, spec.task)
        study, _ = service.create(spec)
        complain([f"{study.name}: {cost_words(service.cost(study.spec))}"])
        try:
            with beside(Display(study.name), lambda: study_words(service.study(study.name))):
                result = finish(service, study.name, tasks=known)
        except KeyboardInterrupt:
            again = (
                "the same command continues" if spec.name else f"go on with the same command and --name {study.name}"
            )
            complain([f"stopped; {again}"])
            raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json(result.study)
    elif result.best is not None:
        print_best(result.best, result.study)
        print(f"  {saved(result.study)}")
        where = f" --database {database}" if database else ""
        complain([f"as code: lrsearch best {result.study.name} --as torch{where}"])
    end(result.study)


def cost_words(cost: Cost) -> str:
    """``64 trials, 640 epochs asked, 412 distinct``, as far as it is known."""
    if cost.trials is None:
        return "as many trials as its budget of epochs or hours allows"
    parts = [f"{cost.trials} trials"]
    if cost.epochs_asked is not None:
        parts.append(f"{cost.epochs_asked} epochs asked")
    if cost.epochs_distinct is not None:
        parts.append(f"{cost.epochs_distinct} distinct")
    if cost.epochs_expected is not None:
        parts.append(f"about {cost.epochs_expected} as its rungs stop trials")
    return ", ".join(parts)
