"""Calls of a service over kept-alive connections, each timed; the client costs as little as a client can."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self
from urllib.parse import urlsplit


class Caller:
    """One connection."""

    def __init__(self, address: str) -> None:
        self._http = http.client.HTTPConnection(urlsplit(address).netloc, timeout=120)
        self.milliseconds: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer as JSON; its time is added to ``milliseconds``. SystemExit where it is no success."""
        sent = None if body is None else json.dumps(body).encode()
        begun = time.perf_counter()
        self._http.request(method, path, sent, {"content-type": "application/json"} if sent else {})
        answer = self._http.getresponse()
        content = answer.read()
        self.milliseconds.append(1e3 * (time.perf_counter() - begun))
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {content[:500]!r}")
        return json.loads(content) if content else None

    def last(self, n: int) -> list[float]:
        """The newest times, and forgets all."""
        times, self.milliseconds = self.milliseconds[-n:], []
        return times


def read(address: str, paths: Sequence[str], n: int, connections: int = 4) -> tuple[list[float], float]:
    """Read ``paths`` in turn, ``n`` times in all, from several connections; milliseconds each, and answers a second."""

    def some(share: int) -> list[float]:
        with Caller(address) as caller:
            for index in range(share):
                caller.call("GET", paths[index % len(paths)])
            return caller.milliseconds

    begun = time.perf_counter()
    with ThreadPoolExecutor(connections) as pool:
        times = [time for of_one in pool.map(some, [n // connections] * connections) for time in of_one]
    return times, len(times) / (time.perf_counter() - begun)
