"""The pages' application, made when the first request comes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Channel = Callable[..., Awaitable[Any]]


class LazyPages:
    """An ASGI application.

    Airflow loads plugins in every worker too, where nobody asks for a page.
    """

    def __init__(self) -> None:
        self._pages: Any = None

    async def __call__(self, scope: Scope, receive: Channel, send: Channel) -> None:
        """Serve one request."""
        if self._pages is None:
            from zanc_pipeline.airflow.pages.app import pages

            self._pages = pages()
        await self._pages(scope, receive, send)
