"""``lrsearch worker``: train for a service somewhere."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from typing import Annotated

import typer

from .options import Server, Tasks, Token

PARTING_SECONDS = 30.0
"""How long a worker may take to store its states and hand back its work once it was told to end."""
EPOCH_SECONDS = 4.0
"""How much of that the epoch under way may take: its end can be stored, its middle cannot."""
LAST_SECONDS = 8.0
"""The same for a leashed one whose parent is gone."""


def worker(
    *,
    server: Server = None,
    token: Token = None,
    tasks: Tasks = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Its name among the workers; default: host and process.")
    ] = None,
    study: Annotated[str | None, typer.Option("--study", help="Work on this study only, and end with it.")] = None,
    hold: Annotated[
        int | None,
        typer.Option("--hold", min=1, max=10_000, help="The most trials to hold at once; default: what it can use."),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="cpu, cuda:1, mps; default: the best one here.")
    ] = None,
    leashed: Annotated[bool, typer.Option("--leashed", hidden=True)] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Say what is trained.")] = False,
) -> None:
    """Train for a service: ask for trials, report, until stopped; what it holds then is handed back.

    It may take 30 seconds to store its states; telling it twice to stop kills it at once.
    """
    from ..client import Client
    from ..in_process import load
    from ..launch import killable, patient
    from ..local_worker import import_ahead, on_this_machine

    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("lrsearch").setLevel(logging.INFO if verbose else logging.WARNING)
    with killable(PARTING_SECONDS), patient(EPOCH_SECONDS) as told:
        try:
            if leashed:
                threading.Thread(target=_end_with_parent, name="leash", daemon=True).start()
            with Client(server, token, patience=0.0) as client:
                working = on_this_machine(client, load(tasks or ()), name=name, hold=hold, study=study, device=device)
                import_ahead()
                if not leashed:
                    print(f"Worker {working.name} for {client.server}; Ctrl-C ends it.", flush=True)
                working.run(told)
        except KeyboardInterrupt:
            return


def _end_with_parent() -> None:
    """End this process when the other end of its standard input is gone: its parent died, however that was."""
    from ..launch import kill_all

    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LAST_SECONDS)
    kill_all()
