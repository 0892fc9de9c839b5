"""Where a browser is: behind a proxy of ours its address comes in ``X-Forwarded-For``. Pure."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network, ip_address


def address_of(peer: str, forwarded: str, proxies: Collection[IPv4Network | IPv6Network]) -> str:
    """The address of who asks: ``peer``, or when that is one of ``proxies`` whom it speaks for.

    ``forwarded`` is read from its end, where the nearest proxy writes: everything before the first
    address that is no proxy of ours may be invented by who asks, so it is never looked at.
    """
    address = peer
    for told in reversed(forwarded.split(",") if forwarded else ()):
        if not _among(address, proxies):
            return address
        try:
            address = str(ip_address(told.strip()))
        except ValueError:
            return address
    return address


def _among(address: str, proxies: Collection[IPv4Network | IPv6Network]) -> bool:
    try:
        there = ip_address(address)
    except ValueError:
        return False
    return any(there in proxy for proxy in proxies)
