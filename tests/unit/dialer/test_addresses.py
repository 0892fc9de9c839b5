"""Whom a login is counted for: the browser's address, not the proxy's and not an invented one."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from dialer.web.addresses import address_of
from zanc_pipeline.common.settings import DialerSettings

PROXIES = [ip_network("10.0.0.0/24"), ip_network("::1/128")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.7", "", "192.0.2.7"),
        ("192.0.2.7", "198.51.100.1", "192.0.2.7"),
        ("10.0.0.5", "198.51.100.1", "198.51.100.1"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.5", "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.5", "198.51.100.1, 10.0.0.9", "198.51.100.1"),
        ("10.0.0.5", "10.0.0.8,10.0.0.9", "10.0.0.8"),
        ("10.0.0.5", "198.51.100.1, not an address", "10.0.0.5"),
        ("10.0.0.5", "", "10.0.0.5"),
        ("", "198.51.100.1", ""),
    ],
)
def test_only_our_proxies_are_believed_and_only_what_they_wrote(
    peer: str, forwarded: str, address: str
) -> None:
    assert address_of(peer, forwarded, PROXIES) == address


def test_without_proxies_nobody_is_believed() -> None:
    assert address_of("127.0.0.1", "198.51.100.1", []) == "127.0.0.1"


def test_proxies_are_addresses_or_networks() -> None:
    made = DialerSettings.model_validate(
        {"port": 1, "trusted_proxies": ["127.0.0.1", "10.0.0.0/24"]}
    )
    assert address_of("10.0.0.7", "198.51.100.1", made.trusted_proxies) == "198.51.100.1"
