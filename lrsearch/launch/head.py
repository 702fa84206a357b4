"""The listener's HTTP protocol: uvicorn's, on the parser in C where that is installed, with a bound on heads."""

from __future__ import annotations

from asyncio import Protocol
from typing import Literal

MAX_HEAD_BYTES = 64 * 1024
"""A request's line and headers are no longer, nor are its trailers; a whole read of the socket is let pass."""


def http_protocol() -> type[Protocol] | Literal["h11"]:
    """What ``uvicorn.Config`` takes as ``http``; h11 has this bound of its own, and costs a millisecond a request."""
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        return "h11"

    class Bounded(HttpToolsProtocol):
        """Refuses a head that does not end, and so whatever else is neither a body nor comes to an end."""

        _n_open = 0
        """Bytes read since a head or a request ended, or a part of a body came."""
        _got_on = False

        def on_headers_complete(self) -> None:
            self._got_on = True
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self._got_on = True
            super().on_body(body)

        def on_message_complete(self) -> None:
            self._got_on = True
            super().on_message_complete()

        def data_received(self, data: bytes) -> None:
            self._got_on = False
            super().data_received(data)
            self._n_open = 0 if self._got_on else self._n_open + len(data)
            if self._n_open > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response(f"a request's line and headers are at most {MAX_HEAD_BYTES} bytes")

    return Bounded
