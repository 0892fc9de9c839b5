"""What a clerk and a supervisor do on our pages in the Airflow UI, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import FrameLocator, Page, expect

from tests.browser import chromium, opened
from zanc_pipeline.airflow.pages import places
from zanc_pipeline.common.settings import Settings


@contextmanager
def airflow(settings: Settings, *, width: int = 1280) -> Iterator[Page]:
    """A page of the Airflow UI, logged in."""
    address = settings.web_url(settings.airflow)
    with chromium() as browser, opened(browser, address, width=width) as page:
        page.fill("input[name=username]", settings.airflow.username)
        page.fill("input[name=password]", settings.airflow.password)
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: "/login" not in url)
        yield page


def framed(page: Page, settings: Settings, address: str) -> FrameLocator:
    """One of our pages, in its frame inside the Airflow UI."""
    page.goto(settings.web_url(settings.airflow) + places.framed(address))
    return page.frame_locator("iframe")


def resume_pause_and_resume(page: Page, settings: Settings, name: str, campaign_id: str) -> None:
    """Resume a paused campaign, pause it while its calls run, and resume it for good."""
    shown = framed(page, settings, places.campaign(name, campaign_id))
    state = shown.locator("#situacao")
    expect(state).to_have_text("em pausa")
    shown.get_by_role("button", name="Retomar").click()
    expect(state).to_have_text("em curso")
    shown.get_by_role("button", name="Pausar").click()
    shown.get_by_role("dialog").get_by_role("button", name="Pausar").click()
    expect(state).to_have_text("em pausa")
    expect(shown.locator("#partes")).to_contain_text(f"{settings.airflow.username} pausa")
    shown.get_by_role("button", name="Retomar").click()
    expect(state).to_have_text("em curso")


def approve(page: Page, settings: Settings, delivery_id: int) -> None:
    """Find a quarantined delivery in the list, look at its proposed layout and approve it."""
    shown = framed(page, settings, places.inbox(situacao="quarantined"))
    shown.locator(f'[data-row="{delivery_id}"] a').click()
    expect(shown.locator("#proposta")).to_contain_text("espera uma decisão")
    shown.get_by_label("Motivo").fill("o credor avisou")
    shown.get_by_role("button", name="Aprovar o layout").click()
    shown.get_by_role("dialog").get_by_role("button", name="Aprovar o layout").click()
    expect(shown.locator("#situacao")).to_have_text(re.compile("aceito|carregado"))
    expect(shown.locator("#proposta")).to_contain_text(f"por {settings.airflow.username}")
    expect(shown.locator("#dados")).to_contain_text("o credor avisou")
