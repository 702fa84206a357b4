"""A request's head is bounded, whichever parser reads it."""

from __future__ import annotations

import socket

import pytest

from lrsearch.launch import Listener
from lrsearch.service import Service
from lrsearch.store import Store

CHUNKED = b"POST /v1/leases HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "line": (b"GET /", b"a" * 1000),
    "header": (b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ", b"a" * 1000),
    "headers": (b"GET /livez HTTP/1.1\r\nHost: localhost\r\n", b"X: aaaaaaaa\r\n" * 80),
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: aaaaaaaa\r\n" * 80),
    "chunk": (CHUNKED + b"2;x=", b"a" * 1000),
}


@pytest.mark.parametrize(("begun", "more"), ENDLESS.values(), ids=ENDLESS)
def test_a_head_without_an_end_is_refused(begun: bytes, more: bytes) -> None:
    store = Store("sqlite://")
    store.migrate()
    with (
        Listener(Service(store), port=0) as listener,
        socket.create_connection(("127.0.0.1", listener.port), 10) as wire,
    ):
        wire.sendall(begun)
        sent, answer = 0, b""
        wire.settimeout(0.05)
        while not answer and sent < 2**19:
            try:
                wire.sendall(more)
                sent += len(more)
                if sent > 2**17:
                    answer = wire.recv(4096)
            except TimeoutError:
                continue
            except ConnectionError:
                break  # it had hung up before we read why
        assert sent < 2**19
        assert not answer or answer.startswith(b"HTTP/1.1 400 ")


def test_a_long_head_with_an_end_is_answered() -> None:
    store = Store("sqlite://")
    store.migrate()
    with (
        Listener(Service(store), port=0) as listener,
        socket.create_connection(("127.0.0.1", listener.port), 10) as wire,
    ):
        wire.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 30_000 + b"\r\n\r\n")
        assert wire.recv(4096).startswith(b"HTTP/1.1 200 ")
