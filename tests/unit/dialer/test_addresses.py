"""Whom a login is counted for: the browser's address, not the proxy's and not an invented one."""

from __future__ import annotations

from ipaddress import ip_network
from types import SimpleNamespace

import httpx
import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from dialer.web.addresses import address_of
from dialer.web.entrance import Login
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


async def test_a_login_behind_our_proxy_is_counted_for_the_browser() -> None:
    counted: list[str] = []

    async def open_session(_login: str, _password: str, address: str) -> None:
        counted.append(address)

    dialer = SimpleNamespace(
        sessions=SimpleNamespace(open=open_session),
        settings=SimpleNamespace(
            dialer=DialerSettings.model_validate({"port": 1, "trusted_proxies": ["127.0.0.1"]})
        ),
    )
    server = HTTPServer(Application([("/entrar", Login, {"dialer": dialer})]))
    [socket] = bind_sockets(0, "127.0.0.1")
    server.add_socket(socket)
    site = f"http://127.0.0.1:{socket.getsockname()[1]}"
    headers = [("X-Zanc-Page", "1"), ("Origin", site), ("X-Forwarded-For", "203.0.113.9")]
    async with httpx.AsyncClient(trust_env=False, verify=False) as browser:
        for told in ("198.51.100.1", "198.51.100.1, 127.0.0.1"):
            answer = await browser.post(
                f"{site}/entrar",
                data={"login": "ana", "password": "x"},
                headers=[*headers, ("X-Forwarded-For", told)],
            )
            assert answer.status_code == 400
    server.stop()
    assert counted == ["198.51.100.1"] * 2
