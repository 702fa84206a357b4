"""``lrsearch serve``: the service and its workers on this machine."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from .options import Database, Tasks


def serve(
    *,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 = a free one, printed.")] = 8000,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Worker processes; default: one a GPU, else one a processor.")
    ] = None,
    tasks: Tasks = None,
    database: Database = None,
    lease_seconds: Annotated[
        float, typer.Option("--lease-seconds", min=0.5, help="How long a worker may be silent.")
    ] = 60.0,
) -> None:
    """Answer over HTTP, with workers on this machine, until Ctrl-C or SIGTERM.

    The token is read from LRSEARCH_TOKEN or the file LRSEARCH_TOKEN_FILE; listening beyond this machine needs one.
    """
    from .. import launch
    from ..service import Service, Settings
    from ..store import Store

    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", level=logging.WARNING)
    token = launch.read_token()
    launch.require_token(host, token)
    store = Store(database or Store.default_url())
    try:
        store.migrate()
        launch.serve(
            Service(store, Settings(lease_seconds=lease_seconds)),
            host=host,
            port=port,
            n_workers=workers,
            token=token,
            tasks=tasks or (),
            say=lambda line: print(line, flush=True),
        )
    finally:
        store.close()
