"""What stands before a service, and whose address is believed."""

from __future__ import annotations

from typing import Any

import pytest

from lrsearch.errors import InvalidInput
from lrsearch.service import Access


@pytest.mark.parametrize(
    "given",
    [
        {"public_url": "lr.example"},
        {"public_url": "ftp://lr.example"},
        {"public_url": "https://"},
        {"public_url": "https://lr.example/?a=b"},
        {"public_url": "https://user:secret@lr.example/"},
        {"public_url": "https://lr.example/#top"},
        {"trusted_proxies": ("proxy.example",)},
        {"trusted_proxies": ("10.0.0.0/40",)},
        {"requests_per_second": 0.0},
        {"requests_per_second": float("nan")},
        {"admin_token": "two words"},
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        Access(**given)
    assert "secret" not in str(refused.value) or "lr.example" in str(refused.value)


@pytest.mark.parametrize(
    ("url", "prefix", "hosts"),
    [
        ("https://lr.example", "", {"lr.example"}),
        ("https://LR.example:8443/", "", {"lr.example"}),
        ("http://lr.example/lab/", "/lab", {"lr.example"}),
        ("https://[2001:db8::1]/a/b", "/a/b", {"[2001:db8::1]"}),
    ],
)
def test_a_public_url_names_host_and_prefix(url: str, prefix: str, hosts: set[str]) -> None:
    access = Access(public_url=url, allowed_hosts=("Other.example",))
    assert access.prefix == prefix
    assert access.hosts == hosts | {"other.example"}
    assert access.proxied
    assert not Access(token="t").proxied


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("::ffff:127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("127.0.0.1", "1.1.1.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"),  # what a client wrote itself is not believed
        ("127.0.0.1", "10.9.9.9, 10.1.2.3", "10.9.9.9"),
        ("127.0.0.1", "nonsense, 10.1.2.3", "10.1.2.3"),
        ("127.0.0.1", "203.0.113.9, nonsense", "127.0.0.1"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),  # no trusted proxy said so
        ("testclient", "203.0.113.9", "testclient"),
    ],
)
def test_who_is_forwarded_for_is_believed_of_trusted_proxies(peer: str, forwarded: str, address: str) -> None:
    assert Access(trusted_proxies=("127.0.0.1", "10.0.0.0/8")).caller_address(peer, forwarded) == address
    assert Access().caller_address(peer, forwarded) == peer
