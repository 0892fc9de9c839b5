"""Simulated operators: robots that sit at the dialer's HTTP API as people with headsets would.

Each looks at the state it is told, not at what it remembers, so that a restart of the dialer or of
the robots loses nothing: in wrap-up it tabulates, offline it logs in again, else it waits. Whoever
pauses a robot finds it paused: it never ends a pause by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from zanc_pipeline.common.outcomes import Tabulation
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.world import law, truth

log = logging.getLogger(__name__)

POLL_SECONDS = 20
LOGOUT_SECONDS = 5
_RETRY_SECONDS = 1.0
_LONGEST_PROMISE_DAYS = 7


@dataclass(frozen=True, kw_only=True)
class Said:
    """What an operator records after a conversation; ``promise_amount`` in reais."""

    tabulation: str
    promise_date: date | None = None
    promise_amount: str | None = None


def tabulate(path: Path, seed: int, card: Mapping[str, Any], today: date) -> Said:
    """What was said in the call of ``card`` (``attempt``, ``cpf``, ``phone``, …), by the law.

    The same attempt always has the same tabulation. A person whom the truth at ``path`` does not
    know is a wrong one.
    """
    random = law.random_stream(seed, "tabulation", card["attempt"])
    with truth.reading(path) as connection:
        phone = connection.execute(
            "SELECT mobile, owner, deceased FROM phone JOIN person USING (cpf)"
            " WHERE number = ? AND cpf = ?",
            (card["phone"], card["cpf"]),
        ).fetchone()
        contract = connection.execute(
            "SELECT cents, due_date FROM contract WHERE convenio = ? AND contract = ?",
            (card.get("convenio"), card.get("contract")),
        ).fetchone()
    if phone is None:
        return Said(tabulation=Tabulation.WRONG_PERSON)
    amount = contract["cents"] / 100 if contract else float(card.get("amount") or 0)
    delay = (today - date.fromisoformat(contract["due_date"])).days if contract else 0
    deceased = bool(phone["deceased"] and phone["owner"])
    right = random.random() < law.right_party_probability(
        mobile=phone["mobile"], owner=phone["owner"], deceased=deceased
    )
    code = law.draw_tabulation(
        random.random(), right_party=right, deceased=deceased, amount=amount, delay_days=delay
    )
    tabulation = law.TABULATIONS[int(code[0])]
    if tabulation != Tabulation.PROMISE:
        return Said(tabulation=tabulation)
    days = int(random.integers(1, _LONGEST_PROMISE_DAYS + 1))
    return Said(
        tabulation=tabulation,
        promise_date=today + timedelta(days=days),
        promise_amount=f"{amount:.2f}",
    )


class Robot:
    """One operator. ``run`` never returns by itself; cancel it, then ``leave``."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        name: str,
        *,
        token: str,
        path: Path,
        seed: int,
        time_scale: float,
    ) -> None:
        self._client, self.name, self._path, self._seed = client, name, path, seed
        self._scale = time_scale
        self._headers = {"Authorization": f"Bearer {token}"}
        self._tabulated: str | None = None
        self._complained = False

    async def run(self) -> None:
        """Log in and work."""
        while True:
            try:
                await self._post("login")
                await self._work()
            except (httpx.HTTPError, ValueError, KeyError, OSError, sqlite3.Error) as error:
                if not self._complained:
                    log.warning(
                        "operator %s: the dialer at %s does not serve: %s; trying again",
                        self.name,
                        self._client.base_url,
                        error or type(error).__name__,
                    )
                    self._complained = True
                await asyncio.sleep(_RETRY_SECONDS)

    async def leave(self) -> None:
        """Log out, if the dialer still answers."""
        try:
            await self._post("logout")
        except httpx.HTTPError as error:
            log.warning("operator %s: could not log out: %s", self.name, error)

    async def _work(self) -> None:
        """Answer what the dialer says, until it says that we are not logged in."""
        after: int | None = None
        while True:
            answer = await self._client.get(
                f"/v1/operators/{self.name}/events",
                params={"timeout": POLL_SECONDS} | ({} if after is None else {"after": after}),
                headers=self._headers,
            )
            if answer.status_code == httpx.codes.CONFLICT:
                return
            answer.raise_for_status()
            news = answer.json()
            self._complained = False
            if news["state"] == "offline":
                return
            after = int(news["sequence"])
            card = news["call"]
            if news["state"] == "wrapup" and card and card["attempt"] != self._tabulated:
                await self._wrap_up(card)

    async def _wrap_up(self, card: Mapping[str, Any]) -> None:
        attempt = str(card["attempt"])
        pause = law.wrapup_seconds(law.random_stream(self._seed, "wrap-up", attempt))
        await asyncio.sleep(pause / self._scale)
        said = tabulate(self._path, self._seed, card, datetime.now(law.LOCAL).date())
        await self._post(
            "tabulate",
            {
                "attempt": attempt,
                "tabulation": said.tabulation,
                "promise_date": said.promise_date and said.promise_date.isoformat(),
                "promise_amount": said.promise_amount,
            },
        )
        self._tabulated = attempt

    async def _post(self, action: str, body: Mapping[str, Any] | None = None) -> None:
        answer = await self._client.post(
            f"/v1/operators/{self.name}/{action}", json=body or {}, headers=self._headers
        )
        if answer.status_code == httpx.codes.CONFLICT:
            # The time to tabulate was over: the dialer has closed the call without us.
            log.info("operator %s: %s: %s", self.name, action, answer.text.strip()[:200])
            return
        answer.raise_for_status()


def robots(settings: Settings, client: httpx.AsyncClient) -> list[Robot]:
    """The operators of the world of ``settings``: ``op01`` and so on."""
    path = truth.world_folder(settings) / "truth.sqlite3"
    return [
        Robot(
            client,
            name,
            token=settings.secret(f"operator_token_{name}"),
            path=path,
            seed=settings.world.seed,
            time_scale=settings.world.time_scale,
        )
        for name in (f"op{number:02d}" for number in range(1, settings.world.operators + 1))
    ]


async def serve(settings: Settings) -> None:
    """Run the robots until SIGTERM or SIGINT, then log them out."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with httpx.AsyncClient(
        base_url=settings.web_url(settings.dialer), timeout=POLL_SECONDS + 10, trust_env=False
    ) as client:
        crew = robots(settings, client)
        tasks = [asyncio.create_task(robot.run(), name=robot.name) for robot in crew]
        log.info("%d operators at %s", len(crew), client.base_url)
        await stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOGOUT_SECONDS):
                await asyncio.gather(*(robot.leave() for robot in crew))
