"""The system's Chromium for tests of pages, through Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.patience import PATIENCE

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MS = int(PATIENCE * 1000)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that is closed at the end; skips where none is installed."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no browser is installed ({', '.join(NAMES)}): apt-get install chromium")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, url: str, *, width: int = 1280, height: int = 800) -> Iterator[Page]:
    """A page of a person of its own, in Portuguese; nothing may go wrong in its scripts."""
    context = browser.new_context(viewport={"width": width, "height": height}, locale="pt-BR")
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda said: problems.append(said.text) if "Content Security Policy" in said.text else None,
    )
    page.goto(url)
    try:
        yield page
    finally:
        context.close()
    assert problems == []
