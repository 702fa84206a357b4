"""``lrsearch serve``: the service and its workers on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import Unavailable
from .exits import complain
from .options import Database, Tasks

if TYPE_CHECKING:
    from ..store import Store

LogStyle = Literal["text", "json", "quiet"]


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
    public_url: Annotated[
        str | None,
        typer.Option(
            "--public-url",
            envvar="LRSEARCH_PUBLIC_URL",
            help="How it is reached through a proxy: https://lr.example/lab. Its path comes before that of every link.",
        ),
    ] = None,
    allowed_hosts: Annotated[
        list[str] | None,
        typer.Option("--allowed-host", envvar="LRSEARCH_ALLOWED_HOSTS", help="Serve this Host name too; repeatable."),
    ] = None,
    trusted_proxies: Annotated[
        list[str] | None,
        typer.Option(
            "--trusted-proxy",
            envvar="LRSEARCH_TRUSTED_PROXIES",
            help="Believe X-Forwarded-For from this address or network, for the log and the audit; repeatable.",
        ),
    ] = None,
    rate: Annotated[
        float,
        typer.Option(
            "--rate",
            min=0,
            envvar="LRSEARCH_RATE",
            help="Requests a second that a token may make, ten seconds' worth at once; 0 = as many as it likes. "
            "Reports and heartbeats are not counted.",
        ),
    ] = 100.0,
    audit_days: Annotated[
        float, typer.Option("--audit-days", min=1, help="How long it is known who changed what.")
    ] = 90.0,
    log: Annotated[
        LogStyle,
        typer.Option(
            "--log",
            envvar="LRSEARCH_LOG",
            help="text: a line a request, but for the routine of workers; json: a line of JSON for every request; "
            "quiet: warnings alone.",
        ),
    ] = "text",
) -> None:
    """Answer over HTTP, with workers on this machine, until Ctrl-C or SIGTERM.

    Without any token it serves this machine alone. Tokens are made by `lrsearch token create`; LRSEARCH_TOKEN, or the
    file LRSEARCH_TOKEN_FILE, is one with every right, and the file LRSEARCH_ADMIN_TOKEN_FILE a first one to make
    others with. To listen beyond this machine, or behind a proxy, needs one.
    """
    from .. import launch
    from ..service import Access, Service, Settings
    from ..store import Store

    launch.write_log(log)
    access = Access(
        token=launch.read_token(),
        admin_token=launch.read_admin_token(),
        public_url=public_url,
        allowed_hosts=tuple(allowed_hosts or ()),
        trusted_proxies=tuple(trusted_proxies or ()),
        requests_per_second=rate or None,
    )
    store = Store(database or Store.default_url())
    try:
        _prepare(store)
        launch.serve(
            Service(store, Settings(lease_seconds=lease_seconds, audit_days=audit_days)),
            host=host,
            port=port,
            n_workers=workers,
            access=access,
            tasks=tasks or (),
            say=lambda line: print(line, flush=True),
        )
    finally:
        store.close()


def _prepare(store: Store) -> None:
    """Make the database ready; one that others look after may be away or old for a while."""
    try:
        store.prepare()
    except Unavailable as missing:
        if store.embedded:
            raise
        complain([f"{missing}; until then every call is answered with 503"])
