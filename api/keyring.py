"""Whose token that is: those given at the start, and the database's, remembered for a few seconds."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lrsearch.service import Access, Caller, Service

REMEMBERED_SECONDS = 5.0
"""How long what the database said of a token holds: so soon a revoked one is refused everywhere."""
MOST_REMEMBERED = 10_000


class KeyRing:
    """Tells callers by their tokens; most calls ask no database.

    Args:
        service: whose database it is.
        access: the tokens that are in no database.
    """

    def __init__(self, service: Service, access: Access) -> None:
        given: list[tuple[str | None, Caller]] = [
            (access.token, Caller()),
            (access.admin_token, Caller(name="admin", scopes=("admin",))),
            (access.crew_token, Caller(scopes=("worker",))),
        ]
        self._service = service
        self._given = [(_digest(text), caller) for text, caller in given if text is not None]
        self._closed = self._never_open = access.has_token or access.proxied
        self._known: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
        self._asking: dict[Hashable, asyncio.Future[Any]] = {}
        self._threads = ThreadPoolExecutor(2, "keyring")  # its own: looking at a token waits for no other request

    @property
    def closed(self) -> bool:
        """Whether nobody is let in without a token, as far as is known."""
        return self._closed

    async def is_closed(self) -> bool:
        """Whether nobody is let in without a token. Once closed, it stays so.

        Raises:
            Unavailable: the database, which would know, is away.
        """
        if not self._closed:
            self._closed = await self._remembered("closed", self._service.needs_token)
        return self._closed

    async def caller(self, text: str) -> Caller | None:
        """Whose token this is; None = nobody's, or one that has ended.

        Raises:
            Unavailable: the database, which would know, is away.
        """
        digest = _digest(text)
        for its, caller in self._given:
            if hmac.compare_digest(its, digest):
                return caller
        token = await self._remembered(digest, lambda: self._service.token_of(text))
        return None if token is None else Caller(name=token.name, scopes=token.scopes, token=token.id)

    async def lets_in(self, caller: Caller) -> bool:
        """Whether somebody who was let in would be let in again: the token is still good, or still none is needed.

        Tokens that were given at the start, which are in no database, hold as long as the service.

        Raises:
            Unavailable: the database, which would know, is away.
        """
        token = caller.token
        if token is None:
            return self._never_open or not await self.is_closed()
        return bool(await self._remembered(token, lambda: self._service.is_good(token)))

    def forget(self) -> None:
        """Ask the database again: a token was made or revoked here."""
        self._known.clear()

    async def _remembered(self, key: Hashable, ask: Callable[[], Any]) -> Any:
        """What ``ask`` said lately; it is asked once, however many wait."""
        at, answer = self._known.get(key, (-REMEMBERED_SECONDS, None))
        if time.monotonic() - at < REMEMBERED_SECONDS:
            return answer
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.get_running_loop().run_in_executor(self._threads, ask)
            asking.add_done_callback(lambda done: self._keep(key, done))
        return await asyncio.shield(asking)

    def _keep(self, key: Hashable, done: asyncio.Future[Any]) -> None:
        self._asking.pop(key, None)
        if done.cancelled() or done.exception() is not None:
            return
        self._known[key] = time.monotonic(), done.result()
        self._known.move_to_end(key)
        while len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
