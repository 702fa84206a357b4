"""The listener's HTTP protocol: uvicorn's, on the parser in C where that is installed, with a bound on heads."""

from __future__ import annotations

from asyncio import Protocol
from typing import Literal

MAX_HEAD_BYTES = 64 * 1024
"""A request's line and headers are no longer; a whole read of the socket is let pass."""


def http_protocol() -> type[Protocol] | Literal["h11"]:
    """What ``uvicorn.Config`` takes as ``http``; h11 has this bound of its own, and costs a millisecond a request."""
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        return "h11"

    class Bounded(HttpToolsProtocol):
        """Refuses a head that does not end."""

        _head: int | None = None
        """Bytes of the head that is being read, None between heads."""

        def on_message_begin(self) -> None:
            self._head = 0
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._head = None
            super().on_headers_complete()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._head is not None and not self.transport.is_closing():
                self._head += len(data)
                if self._head > MAX_HEAD_BYTES:
                    self.send_400_response(f"a request's line and headers are at most {MAX_HEAD_BYTES} bytes")

    return Bounded
