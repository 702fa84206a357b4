"""The tokens that ``serve`` is given, and where it may listen without any."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidInput, NotAllowed, Unavailable

if TYPE_CHECKING:
    from ..service import Access, Service


def read_token(environment: Mapping[str, str] | None = None) -> str | None:
    """The token in ``LRSEARCH_TOKEN``, or in the file that ``LRSEARCH_TOKEN_FILE`` names; None where neither is set.

    Raises:
        InvalidInput: the file cannot be read, or there is no token in it.
    """
    environment = os.environ if environment is None else environment
    return environment.get("LRSEARCH_TOKEN", "").strip() or _in_file(environment, "LRSEARCH_TOKEN_FILE")


def read_admin_token(environment: Mapping[str, str] | None = None) -> str | None:
    """The token in the file that ``LRSEARCH_ADMIN_TOKEN_FILE`` names; None where it is not set.

    Raises:
        InvalidInput: the file cannot be read, or there is no token in it.
    """
    return _in_file(os.environ if environment is None else environment, "LRSEARCH_ADMIN_TOKEN_FILE")


def _in_file(environment: Mapping[str, str], name: str) -> str | None:
    path = environment.get(name, "")
    if not path:
        return None
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{name} must name a readable text file ({path}: {error})") from None
    if not token:
        raise InvalidInput(f"{name} names an empty file ({path}): write a token into it")
    return token


def is_loopback(host: str) -> bool:
    """Whether ``host`` can be reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_token(host: str, access: Access, service: Service) -> None:
    """Let nobody listen where others may come from, beyond this machine or behind a proxy, without a token.

    Raises:
        NotAllowed: others may come, and there is no token: none was given, and none that is good and has the scope
            ``admin`` is in the database.
    """
    if access.has_token or (is_loopback(host) and not access.proxied):
        return
    try:
        if service.has_admin_token():
            return
    except Unavailable:
        pass  # whoever cannot look lets nobody in
    where = "behind a proxy" if is_loopback(host) else f"beyond this machine (on {host})"
    raise NotAllowed(
        f"listening {where} needs a token: make a first one with `lrsearch token create --name NAME --scope admin`, "
        "or set LRSEARCH_TOKEN or LRSEARCH_TOKEN_FILE, and give one to clients and workers; "
        "or listen on 127.0.0.1, with nothing before it"
    )
