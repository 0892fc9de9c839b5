"""What every page of ours shares: look, headers, the guard of changes, Brazilian forms.

The Airflow pages and the dialer's own pages serve the same files of ``static/``, send the same
headers, and refuse a change that did not come from one of their own pages. Knows no web framework.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.masking import mask_text

if TYPE_CHECKING:
    from jinja2 import Environment

PAGE_HEADER = "X-Zanc-Page"
"""The header that ``zanc.js`` sends with every change; another site's page can't set it."""

_TYPES = {"zanc.css": "text/css", "zanc.js": "text/javascript", "theme.js": "text/javascript"}


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One of our static files, as it is served."""

    body: bytes
    content_type: str
    version: str
    """The start of its SHA-256: part of its address, so that it may be kept for ever."""


@cache
def asset(name: str) -> Asset | None:
    """A file of ``static/`` by its name, or None."""
    if name not in _TYPES:
        return None
    body = resources.files(__name__).joinpath("static", name).read_bytes()
    version = hashlib.sha256(body).hexdigest()[:12]
    return Asset(body=body, content_type=f"{_TYPES[name]}; charset=utf-8", version=version)


def asset_headers() -> dict[str, str]:
    """Headers of an asset that was asked for with its version."""
    return {
        "Cache-Control": "private, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
    }


def page_headers(
    *, connect: str = "'self'", frame: str = "'self'", extra: str = ""
) -> dict[str, str]:
    """Headers of a page: nothing but our own files runs in it, and nobody keeps it.

    ``connect`` are the sources that its script may call (``'self' ws://host:port``), ``frame``
    who may frame it, ``extra`` further directives of the Content-Security-Policy.
    """
    policy = [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        f"connect-src {connect}",
        "base-uri 'none'",
        "form-action 'self'",
        f"frame-ancestors {frame}",
        *([extra] if extra else []),
    ]
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "; ".join(policy),
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }


def is_own_page(headers: Mapping[str, str]) -> bool:
    """Whether a request that changes something comes from one of our own pages.

    ``headers`` must find names whatever their case. Three signs, all of which another site would
    have to forge: the header of our script, ``Sec-Fetch-Site`` where the browser sends it, and an
    ``Origin`` that is the address asked.
    """
    if headers.get(PAGE_HEADER) != "1":
        return False
    if headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return False
    _scheme, mark, site = headers.get("Origin", "").partition("://")
    return mark != "" and site == headers.get("Host")


def etag(page: str) -> str:
    """The ETag of a page: the same text, the same tag."""
    return f'"{hashlib.sha256(page.encode()).hexdigest()[:24]}"'


def environment(package: str, *, assets: str) -> Environment:
    """The templates of ``package``: escaped, with our filters and the macros of ``zanc.html.j2``.

    ``assets`` is the path under which the package serves ``static/``: ``asset('zanc.css')`` in a
    template is the address of a file with its version.
    """
    from jinja2 import (
        ChoiceLoader,
        Environment,
        PackageLoader,
        StrictUndefined,
        select_autoescape,
    )

    found = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("zanc_pipeline.common.web")]),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def address(name: str) -> str:
        known = asset(name)
        return f"{assets}/{name}" + ("" if known is None else f"?v={known.version}")

    found.globals["asset"] = address
    found.filters |= {
        "number": number,
        "decimal": decimal,
        "percent": percent,
        "reais": reais,
        "moment": moment,
        "day": day,
        "clock": clock,
        "seconds": seconds,
        "masked": mask_text,
    }
    return found


def number(count: float | None) -> str:
    """1.234; nothing for None."""
    return "" if count is None else f"{round(count):,}".replace(",", ".")


def decimal(value: float | None, places: int = 1) -> str:
    """1.234,5; nothing for None."""
    return "" if value is None else f"{value:,.{places}f}".translate(_SWAP)


def percent(share: float | None, places: int = 1) -> str:
    """12,5 %; nothing for None."""
    return "" if share is None else f"{decimal(100 * share, places)} %"


def reais(amount: Decimal | float | None) -> str:
    """R$ 1.234,50; nothing for None."""
    return "" if amount is None else "R$ " + f"{amount:,.2f}".translate(_SWAP)


def moment(when: datetime | str | None) -> str:
    """31/12/2026 15:30 in São Paulo; nothing for None. A text is read as ISO 8601."""
    return "" if when is None else f"{_local(when):%d/%m/%Y %H:%M}"


def clock(when: datetime | str | None) -> str:
    """15:30 in São Paulo; nothing for None."""
    return "" if when is None else f"{_local(when):%H:%M}"


def day(when: date | str | None) -> str:
    """31/12/2026; nothing for None."""
    if when is None:
        return ""
    return f"{date.fromisoformat(when) if isinstance(when, str) else when:%d/%m/%Y}"


def seconds(count: float | None) -> str:
    """45 s, 2 min 05 s, 1 h 02 min; nothing for None."""
    if count is None:
        return ""
    whole = round(count)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def _local(when: datetime | str) -> Any:
    return (datetime.fromisoformat(when) if isinstance(when, str) else when).astimezone(LOCAL)


_SWAP = str.maketrans(",.", ".,")
