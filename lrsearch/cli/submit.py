"""``lrsearch submit``: give a study to a service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from .answers import print_json
from .connection import client
from .exits import INTERRUPTED, complain
from .options import File, Follow, Json, Name, Server, Settings, Token

if TYPE_CHECKING:
    from ..study import Study


def submit(
    file: File,
    *,
    settings: Settings = None,
    name: Name = None,
    follow: Follow = False,
    server: Server = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Give a study to a service; its workers train it. The same spec and name again is the same study."""
    from ..spec_file import read_study
    from .progress import follow_study
    from .studies import end, print_study

    spec = read_study(file, settings or (), name=name)
    with client(server, token) as verbs:
        study, created = verbs.create(spec)
        there = "created" if created else f"it is there already, `{study.owner}`'s,"
        complain([f"{study.name}: {asked(study)}; {there} at {verbs.server}"])
        if any(value != getattr(study.spec.budget, name) for name, value in spec.budget if value is not None):
            complain([f"its budget stays as it was; PATCH /v1/studies/{study.name} or `Client.patch` changes it"])
        complain(study.warnings)
        if follow:
            try:
                study = follow_study(verbs, study.name)
            except KeyboardInterrupt:
                complain([f"the study goes on; look again with: lrsearch status {study.name} --follow"])
                raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json(study)
    else:
        print_study(study)
    if follow:
        end(study)


def asked(study: Study) -> str:
    """What a stored study will ask for, as far as it is known: ``64 trials, 640 epochs asked``."""
    spec = study.spec
    trials = spec.budget.trials
    if trials is None:
        limits = spec.budget.model_dump(exclude_none=True)
        return " and ".join(f"at most {value:g} {what}" for what, value in limits.items()) or "as many trials as it has"
    epochs = spec.epochs or -(-(spec.updates or 0) // (spec.eval_every or 1))
    return f"{trials} trials, {trials * epochs * spec.n_seeds} epochs asked"
