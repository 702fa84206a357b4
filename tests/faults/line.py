"""A line to a service that loses answers: what was asked has happened, and nobody hears of it."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable

REQUEST = re.compile(rb"(GET|POST|PATCH|DELETE) (\S+) HTTP/1\.1\r\n")


class Line:
    """Forwards one port to another until closed; a context manager.

    Attributes:
        lost: how many answers were lost.
    """

    def __init__(self, port: int) -> None:
        self.lost = 0
        self._port = port
        self._guard = threading.Lock()
        self._cut: tuple[str, Callable[[], object]] | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, pattern: str, then: Callable[[], object] = lambda: None) -> None:
        """Lose the next answer to a request like ``POST /v1/leases``; call ``then`` when it was to come."""
        with self._guard:
            self._cut = (pattern, then)

    @property
    def is_cut(self) -> bool:
        """Whether an answer is still to be lost."""
        return self._cut is not None

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                asker, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(asker,), daemon=True).start()

    def _serve(self, asker: socket.socket) -> None:
        with asker, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port)) as service:
            asked: list[str] = [""]
            threading.Thread(target=self._questions, args=(asker, service, asked), daemon=True).start()
            while data := service.recv(65536):
                if (then := self._to_lose(asked[0])) is not None:
                    then()
                    break
                asker.sendall(data)
            asker.shutdown(socket.SHUT_RDWR)  # closing alone does not end what another thread waits for

    @staticmethod
    def _questions(asker: socket.socket, service: socket.socket, asked: list[str]) -> None:
        with contextlib.suppress(OSError):
            while data := asker.recv(65536):
                if (found := REQUEST.match(data)) is not None:
                    asked[0] = f"{found[1].decode()} {found[2].decode()}"
                service.sendall(data)
        with contextlib.suppress(OSError):
            service.shutdown(socket.SHUT_RDWR)

    def _to_lose(self, asked: str) -> Callable[[], object] | None:
        with self._guard:
            if self._cut is None or re.fullmatch(self._cut[0], asked) is None:
                return None
            then, self._cut = self._cut[1], None
            self.lost += 1
            return then
