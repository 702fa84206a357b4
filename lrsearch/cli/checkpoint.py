"""``lrsearch checkpoint``: a trial's weights as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InvalidInput
from .connection import connected
from .diagnose import TrialNumber
from .options import Database, Server, StudyName, Token


def checkpoint(
    study: StudyName,
    trial: TrialNumber = None,
    *,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The safetensors file to write.")],
    server: Server = None,
    token: Token = None,
    database: Database = None,
) -> None:
    """Write the weights that a trial ended with to a safetensors file."""
    with connected(server, token, database) as verbs:
        content = verbs.checkpoint(study, trial)
    try:
        to.write_bytes(content)
    except OSError as error:
        raise InvalidInput(f"{to} cannot be written: {error.strerror}", field="--to") from None
    print(f"{to}: {len(content):,} bytes; task.model().load_state_dict(safetensors.torch.load_file({str(to)!r}))")
