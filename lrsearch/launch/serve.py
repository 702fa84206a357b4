"""The service and its workers on this machine, until somebody ends them."""

from __future__ import annotations

import dataclasses
import gc
import logging
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ..errors import LrsearchError, Unavailable
from .crew import Crew
from .listener import Listener
from .machine import default_workers

if TYPE_CHECKING:
    from ..service import Access, Service

log = logging.getLogger("lrsearch.launch")

TEND_SECONDS = 0.2
COLLECT_AFTER = (5_000, 20, 20)
"""A report of many epochs makes and drops thousands of objects, hardly any of them in circles."""

OPEN_HERE = (
    "No token is set: anyone with an account on this machine can use the service. "
    "`lrsearch token create`, LRSEARCH_TOKEN or LRSEARCH_TOKEN_FILE changes that."
)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), interrupt) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Within the block a second Ctrl-C or SIGTERM does not cut the end short."""
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), signal.SIG_IGN) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def serve(
    service: Service,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    n_workers: int | None = None,
    access: Access | None = None,
    tasks: Sequence[str] = (),
    say: Callable[[str], None] = print,
) -> None:
    """Answer on a port with workers beside it, until SIGINT or SIGTERM; then end all of it cleanly.

    Workers are ended first, while the service still takes what they hand back.

    Args:
        service: what answers.
        host: the address to listen on.
        port: 0 = a free one, which is printed.
        n_workers: worker processes on this machine; None = one a GPU, else one a processor.
        access: whom it lets in; by default whoever is on this machine, until there is a token. The workers get a token
            of their own, which lives as long as this call.
        tasks: the user's own tasks, ``"my.py:MyTask"``.
        say: where lines for people go.

    Raises:
        NotAllowed: it can be reached from elsewhere, and there is no token.
        Unavailable: the address or port cannot be had.
    """
    from ..service import Access

    n_workers = default_workers() if n_workers is None else n_workers
    access = dataclasses.replace(access or Access(), crew_token=secrets.token_urlsafe(32))
    listener = Listener(service, host=host, port=port, access=access)
    crew = Crew(listener.url, n_workers, token=access.crew_token, tasks=tasks)
    with interruptible():
        try:
            listener.start()
            gc.collect()
            gc.freeze()  # what was imported stays: to look through it again takes longer than most requests
            gc.set_threshold(*COLLECT_AFTER)
            say(f"Listening on {listener.url} with {n_workers} worker{'s' if n_workers != 1 else ''} on this machine.")
            if not access.has_token:
                with suppress(Unavailable):  # Postgres may be away, or not migrated yet
                    if not service.needs_token():
                        say(OPEN_HERE)
            _keep(service, listener, crew)
        except KeyboardInterrupt:
            say("Stopping.")
        finally:
            with undisturbed():
                crew.stop()
                listener.stop()


def _keep(service: Service, listener: Listener, crew: Crew) -> None:
    """Tend the workers, and take back what silent ones hold, until interrupted."""
    reap_seconds = service.settings.lease_seconds / 4
    reaped_at = time.monotonic()
    while listener.alive:
        crew.tend()
        if time.monotonic() - reaped_at > reap_seconds:
            reaped_at = time.monotonic()
            try:
                service.reap()
            except LrsearchError as error:
                log.warning("the database is away: %s", error)
            except Exception:  # whatever it is, it is no reason to serve nobody
                log.exception("what silent workers hold could not be taken back; it is tried again")
        time.sleep(TEND_SECONDS)
    raise Unavailable("the web server ended by itself; its reason is in the lines above")
