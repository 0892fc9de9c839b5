"""The routes of operators: log in and out, pause, decide on a card, tabulate, the long poll."""

from __future__ import annotations

import re

from dialer.desk import Said
from dialer.handlers import WHOLE, Handler, amount_of, date_of, moment_of, text
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.outcomes import Tabulation

MAX_POLL_SECONDS = 60.0


class OperatorOrder(Handler):
    """What an operator wants to be."""

    async def post(self, operator: str, order: str) -> None:
        self.authorize(operator)
        desk, who = self.dialer.desk, self.who(operator)
        match order:
            case "login":
                await desk.login(operator)
            case "logout":
                await desk.leave(operator, "offline")
            case "pause":
                body = self.body() if self.request.body else {}
                reason = text(body, "reason") if "reason" in body else None
                await desk.leave(operator, "paused", reason)
            case "ready":
                await desk.make_ready(operator)
            case "call" | "skip":
                await desk.decide(operator, call=order == "call")
        if who != operator:  # somebody else did it for the operator
            await self.dialer.store.note(who, order, operator)
        agent = self.dialer.engine.floor.agents.get(operator)
        self.answer(
            {
                "operator": operator,
                "state": agent.state if agent else "offline",
                "leaving": agent.leaving if agent else None,
            }
        )


class PauseReasons(Handler):
    """The list that an operator chooses from."""

    async def get(self, operator: str) -> None:
        self.authorize(operator)
        self.dialer.engine.require_ready()
        self.answer({"reasons": list(self.dialer.desk.pause_reasons())})


class Tabulate(Handler):
    """What was said."""

    async def post(self, operator: str) -> None:
        self.authorize(operator)
        body = self.body()
        tabulation = text(body, "tabulation")
        if tabulation not in {one.value for one in Tabulation}:
            raise DataError(f"tabulation must be one of {', '.join(Tabulation)}")
        await self.dialer.desk.tabulate(
            operator,
            text(body, "attempt"),
            Said(
                tabulation=Tabulation(tabulation),
                promise_date=date_of(body.get("promise_date")),
                promise_amount=amount_of(body.get("promise_amount")),
                callback_at=moment_of(body.get("callback_at")),
            ),
        )
        self.answer(self.dialer.engine.floor.card(operator))


class OperatorNews(Handler):
    """The operator's card, as soon as it changes."""

    async def get(self, operator: str) -> None:
        self.authorize(operator)
        after = self.get_query_argument("after", "")
        seconds = self.get_query_argument("timeout", "25")
        if after and WHOLE.fullmatch(after) is None:
            raise DataError("after must be the sequence of the last answer")
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", seconds, re.ASCII) is None:
            raise DataError("timeout must be a number of seconds")
        self.dialer.engine.require_ready()
        card = await self.dialer.engine.floor.news(
            operator, int(after) if after else None, min(float(seconds), MAX_POLL_SECONDS)
        )
        self.answer(card)
