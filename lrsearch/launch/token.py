"""The one shared token, and where a service may listen without it."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path

from ..errors import InvalidInput, NotAllowed


def read_token(environment: Mapping[str, str] | None = None) -> str | None:
    """The token in ``LRSEARCH_TOKEN``, or in the file that ``LRSEARCH_TOKEN_FILE`` names; None where neither is set.

    Raises:
        InvalidInput: the file cannot be read, or there is no token in it.
    """
    environment = os.environ if environment is None else environment
    token = environment.get("LRSEARCH_TOKEN", "").strip()
    path = environment.get("LRSEARCH_TOKEN_FILE", "")
    if token or not path:
        return token or None
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise InvalidInput(f"LRSEARCH_TOKEN_FILE must name a readable text file ({path}: {error})") from None
    if not token:
        raise InvalidInput(f"LRSEARCH_TOKEN_FILE names an empty file ({path}): write a token into it")
    return token


def is_loopback(host: str) -> bool:
    """Whether ``host`` can be reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_token(host: str, token: str | None) -> None:
    """Let nobody listen beyond this machine without a token.

    Raises:
        NotAllowed: ``host`` can be reached from elsewhere, and there is no token.
    """
    if token is None and not is_loopback(host):
        raise NotAllowed(
            f"listening beyond this machine (on {host}) needs a token: set LRSEARCH_TOKEN or LRSEARCH_TOKEN_FILE, "
            'for example LRSEARCH_TOKEN=$(python -c "import secrets; print(secrets.token_urlsafe(32))"), '
            "and give the same to clients and workers; or listen on 127.0.0.1"
        )
