"""Whom a service on a port lets in, and how it is reached."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from ..errors import InvalidInput

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Access:
    """Tokens that are in no database, and what stands before the service.

    Attributes:
        token: the shared token: every scope, named ``local``.
        admin_token: a first token with the scope ``admin``, named ``admin``.
        crew_token: what this process's own workers bear: scope ``worker``, named ``local``.
        public_url: how it is reached through a proxy, ``https://lr.example/lab``; its path is a prefix of every link.
        allowed_hosts: the ``Host`` names (no port) served besides those of this machine and of ``public_url``; with
            none of either, a service that needs a token serves every name.
        trusted_proxies: addresses or networks whose ``X-Forwarded-For`` is believed.
        requests_per_second: how many a token may make on average, ten seconds' worth at once; reports and the ends of
            leases are not counted. None = as many as it likes.

    Raises:
        InvalidInput: a token is no plain word, the URL no http(s) address, a proxy no address, or the rate not > 0.
    """

    token: str | None = None
    admin_token: str | None = None
    crew_token: str | None = None
    public_url: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    requests_per_second: float | None = None

    def __post_init__(self) -> None:
        for token in (self.token, self.admin_token, self.crew_token):
            if token is not None and not (token.isascii() and token.isprintable() and token and " " not in token):
                raise InvalidInput("a token is one word of printable ASCII characters", field="token")
        if self.requests_per_second is not None and not self.requests_per_second > 0:
            raise InvalidInput(f"a rate is > 0 (got {self.requests_per_second})", field="rate")
        _ = self.prefix, self.networks, self.hosts

    @property
    def has_token(self) -> bool:
        """Whether a token was given that people bear."""
        return self.token is not None or self.admin_token is not None

    @property
    def proxied(self) -> bool:
        """Whether something stands before the service: then this machine's own callers cannot be told from others."""
        return bool(self.public_url or self.allowed_hosts or self.trusted_proxies)

    @cached_property
    def prefix(self) -> str:
        """The path before every path, ``/lab``; mostly empty."""
        if self.public_url is None:
            return ""
        url = urlsplit(self.public_url)
        if url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment or url.username:
            raise InvalidInput(
                f"a public URL is like https://lr.example or https://lr.example/lab (got {self.public_url!r:.200})",
                field="public_url",
            )
        return url.path.rstrip("/")

    @cached_property
    def hosts(self) -> frozenset[str]:
        """The names served besides this machine's own, in lower case; IPv6 addresses in brackets."""
        named = {host.lower() for host in self.allowed_hosts}
        if self.public_url is not None and (name := urlsplit(self.public_url).hostname) is not None:
            named.add(f"[{name}]" if ":" in name else name)
        return frozenset(named)

    @cached_property
    def networks(self) -> tuple[Network, ...]:
        """The trusted proxies."""
        try:
            return tuple(ipaddress.ip_network(proxy, strict=False) for proxy in self.trusted_proxies)
        except ValueError as error:
            raise InvalidInput(
                f"a trusted proxy is an address or a network like 10.0.0.0/8 ({error})", field="trusted_proxy"
            ) from None

    def caller_address(self, peer: str, forwarded: str) -> str:
        """Where a request came from: ``peer``; or, where that is a trusted proxy, the last hop that is none.

        Args:
            peer: who is connected.
            forwarded: the ``X-Forwarded-For`` that it sent.
        """
        address = peer
        for hop in reversed([hop.strip() for hop in forwarded.split(",")] if forwarded else []):
            if not self._trusts(address) or not _is_address(hop):
                break
            address = hop
        return address

    def _trusts(self, address: str) -> bool:
        if not self.networks or not _is_address(address):
            return False
        its = ipaddress.ip_address(address)
        its = its.ipv4_mapped or its if isinstance(its, ipaddress.IPv6Address) else its
        return any(its in network for network in self.networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
