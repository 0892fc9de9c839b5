"""What our pages share: the guard of changes, headers, Brazilian forms, escaping."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from zanc_pipeline.common import web

OWN = {
    "X-Zanc-Page": "1",
    "Sec-Fetch-Site": "same-origin",
    "Origin": "http://127.0.0.1:8080",
    "Host": "127.0.0.1:8080",
}


def test_a_change_from_our_own_page_is_let_in() -> None:
    assert web.is_own_page(OWN)
    assert web.is_own_page({name: OWN[name] for name in OWN if name != "Sec-Fetch-Site"})


@pytest.mark.parametrize(
    "strange",
    [
        {"X-Zanc-Page": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:8081"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "https://evil.example/127.0.0.1:8080"},
    ],
)
def test_a_change_from_elsewhere_is_refused(strange: dict[str, str]) -> None:
    assert not web.is_own_page(OWN | strange)


@pytest.mark.parametrize("missing", ["X-Zanc-Page", "Origin"])
def test_a_change_without_its_signs_is_refused(missing: str) -> None:
    assert not web.is_own_page({name: OWN[name] for name in OWN if name != missing})


def test_a_page_runs_and_asks_nothing_but_our_own() -> None:
    policy = web.page_headers()["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for name in ("zanc.css", "zanc.js", "theme.js"):
        found = web.asset(name)
        assert found is not None
        assert b"http://" not in found.body
        assert b"https://" not in found.body
    assert web.asset("../__init__.py") is None


def test_figures_are_written_as_in_brazil() -> None:
    assert web.number(1234567) == "1.234.567"
    assert web.percent(0.0312) == "3,1 %"
    assert web.reais(Decimal("1234.5")) == "R$ 1.234,50"
    assert web.moment(datetime(2026, 11, 23, 15, 4, tzinfo=UTC)) == "23/11/2026 12:04"
    assert web.clock("2026-11-23T15:04:00+00:00") == "12:04"
    assert web.seconds(125.4) == "2 min 05 s"
    assert [web.number(None), web.percent(None), web.reais(None), web.moment(None)] == [""] * 4


def test_templates_escape_and_name_assets_by_their_content() -> None:
    templates = web.environment("zanc_pipeline.common.web", assets="/x")
    page = templates.from_string(
        "{% import 'zanc.html.j2' as z with context %}{{ z.head(name) }}{{ z.empty(name, name) }}"
    ).render(name="<b>&")
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;" in page
    found = web.asset("zanc.css")
    assert found is not None
    assert f"/x/zanc.css?v={found.version}" in page
