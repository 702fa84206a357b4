"""Studies: ``list``, ``status``, ``pause``, ``resume``, ``cancel``, ``delete``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .answers import cell, print_json, print_table
from .connection import connected
from .exits import INTERRUPTED, STUDY_FAILED, complain
from .options import Database, Follow, Json, Server, StudyName, Token

if TYPE_CHECKING:
    from ..study import Study


def list_(
    *,
    server: Server = None,
    token: Token = None,
    database: Database = None,
    state: Annotated[str | None, typer.Option("--state", help="Only studies in this state.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="Only with this label: key or key=value.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List studies, newest first."""
    with connected(server, token, database) as verbs:
        page = verbs.studies(state=state, label=label, limit=limit)
    if as_json:
        print_json(page)
        return
    rows = [
        (s.name, s.state, s.spec.task, s.spec.sampler.name, _ended(s), s.best.value if s.best else None)
        for s in page.items
    ]
    print_table(("study", "state", "task", "sampler", "trials", "best"), rows, nothing="There are no studies yet.")


def _ended(study: Study) -> str:
    from ..study import TERMINAL

    done = sum(count for state, count in study.progress.trials.items() if state in TERMINAL)
    return f"{done}/{study.spec.budget.trials or '?'}"


def print_study(study: Study) -> None:
    """A study where it stands, in lines."""
    print(f"{study.name}: {study.state}, task {study.spec.task}, sampler {study.spec.sampler.name}")
    states = ", ".join(f"{count} {state}" for state, count in study.progress.trials.items() if count) or "none yet"
    print(f"  trials: {states}; planned {study.spec.budget.trials or 'by epochs or hours'}")
    left = study.progress.seconds.left
    print(f"  seconds: {study.progress.seconds.elapsed:.1f} elapsed{f', about {left:.0f} left' if left else ''}")
    if study.best is not None:
        print(f"  best: trial {study.best.trial}, {study.spec.objective.metric} {cell(study.best.value)}")
    for warning in study.warnings:
        print(f"  warning: {warning}")
    print(f"  {saved(study)}")


def saved(study: Study) -> str:
    """What a study saved, in a sentence: ``1,920 epochs asked, 1,480 trained, 440 shared; it cost 8.3 trainings.``"""
    epochs = study.progress.epochs
    parts = [f"{epochs.asked:,} epochs asked", f"{epochs.trained:,} trained", f"{epochs.shared:,} shared"]
    if epochs.repeated:
        parts.append(f"{epochs.repeated:,} repeated")
    cost = study.progress.cost_in_trainings
    return ", ".join(parts) + (f"; it cost as long as {cost:.3g} plain trainings." if cost is not None else ".")


def end(study: Study) -> None:
    """End the command as the study ended: exit code 1 where it failed or was cancelled."""
    if study.state in ("failed", "cancelled"):
        complain([f"study `{study.name}` {'was ' if study.state == 'cancelled' else ''}{study.state}"
                  + (f": {study.error}" if study.error else "")])  # fmt: skip
        if study.state == "failed":
            complain(["it stays so: to try again, delete it or take another name"])
        raise typer.Exit(STUDY_FAILED)


def status(
    study: StudyName,
    *,
    server: Server = None,
    token: Token = None,
    database: Database = None,
    follow: Follow = False,
    as_json: Json = False,
) -> None:
    """Show where a study stands; exit code 1 if it failed or was cancelled."""
    from .progress import follow_study

    with connected(server, token, database) as verbs:
        try:
            found = follow_study(verbs, study) if follow else verbs.study(study)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json(found)
    else:
        print_study(found)
    end(found)


def pause(
    study: StudyName, server: Server = None, token: Token = None, database: Database = None, as_json: Json = False
) -> None:
    """Pause a study: running trials stop at their next epoch, and go on after ``resume``."""
    _moved((server, token, database), "pause", study, as_json)


def resume(
    study: StudyName, server: Server = None, token: Token = None, database: Database = None, as_json: Json = False
) -> None:
    """Go on with a paused study."""
    _moved((server, token, database), "resume", study, as_json)


def cancel(
    study: StudyName, server: Server = None, token: Token = None, database: Database = None, as_json: Json = False
) -> None:
    """Stop a study now; its results stay."""
    _moved((server, token, database), "cancel", study, as_json)


def _moved(where: tuple[str | None, str | None, str | None], verb: str, study: str, as_json: bool) -> None:
    with connected(*where) as verbs:
        moved: Study = getattr(verbs, verb)(study)
    if as_json:
        print_json(moved)
    else:
        print(f"{moved.name}: {moved.state}")


def delete(study: StudyName, server: Server = None, token: Token = None, database: Database = None) -> None:
    """Erase a study that is not running, with its trials and curves."""
    with connected(server, token, database) as verbs:
        verbs.delete(study)
    print(f"{study}: deleted")
