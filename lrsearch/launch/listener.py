"""The service on a port: its application in a web server that runs in a thread."""

from __future__ import annotations

import importlib
import socket
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..errors import Unavailable
from .head import http_protocol
from .token import require_token

if TYPE_CHECKING:
    from ..service import Access, Service

START_SECONDS = 30.0
FINISH_SECONDS = 5
"""How long requests in flight may take once the service is told to stop."""


def load_app(service: Service, access: Access) -> Any:
    """The application; it is above this room, so it is looked up by name, here alone."""
    return importlib.import_module("lrsearch.api").create_app(service, access)


class Listener:
    """A service that answers on a port, from ``start`` to ``stop``; also a context manager.

    Args:
        service: what answers.
        host: the address to listen on.
        port: 0 = a free one.
        access: whom it lets in; by default whoever is on this machine, until there is a token.

    Raises:
        NotAllowed: it can be reached from elsewhere, and there is no token.
        Unavailable: the address or port cannot be had.
    """

    def __init__(
        self, service: Service, *, host: str = "127.0.0.1", port: int = 8000, access: Access | None = None
    ) -> None:
        import uvicorn

        from ..service import Access

        access = access or Access()
        require_token(host, access, service)
        self._socket = bind(host, port)
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            load_app(service, access),
            http=http_protocol(),
            log_level="warning",
            access_log=False,
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=FINISH_SECONDS,
        )
        self._server = uvicorn.Server(config)
        self._bell = service.bell
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="listener", daemon=True)

    @property
    def url(self) -> str:
        """Where it is reached from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether it answers, or is about to."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to answer; returns once it does."""
        self._bell.open()
        self._thread.start()
        end = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self.alive or time.monotonic() > end:
                raise Unavailable(f"the service did not start on port {self.port}; its reason is in the lines above")
            time.sleep(0.01)

    def stop(self) -> None:
        """Finish what is in flight, then end; whoever waits for work or follows a study is answered at once."""
        self._server.should_exit = True
        self._bell.close()
        if self._thread.is_alive():
            self._thread.join(FINISH_SECONDS + 5)
        self._socket.close()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to an address; ``port`` 0 = a free one.

    Raises:
        Unavailable: somebody else has it, or the host is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError, OverflowError) as error:
        raise Unavailable(f"cannot listen on {host}:{port}: {error}") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise Unavailable(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another port with --port, 0 = a free one"
        ) from None
    return bound
