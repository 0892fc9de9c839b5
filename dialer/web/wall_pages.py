"""The supervisors' wall: everything live, orders, listening in, the past, the audit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dialer import monitor
from dialer.attempt import State
from dialer.draining import drain
from dialer.handlers import WHOLE, NotFound, known_campaign
from dialer.live import utc_now
from dialer.web import charts, history, words
from dialer.web.accounts import Role
from dialer.web.alerts import Short, alerts
from dialer.web.pages import Page, templates
from zanc_pipeline.common.codecs import parse_money
from zanc_pipeline.common.errors import ConflictError, DataError, UnavailableError
from zanc_pipeline.common.web import number, percent, reais

SUPERVISORS = frozenset({Role.SUPERVISOR})
FRESH_SECONDS = 1.0
SLOW_SECONDS = 15.0
"""Names and short calls are read from the database no oftener."""
PAST_SECONDS, MOST_PASTS = 60.0, 50
PERIODS = (7, 14, 30, 90)
AUDIT_PAGE = 100
_ORDERS = {"pause": "pausada", "resume": "retomada", "stop": "em encerramento"}
_CENTRAL_ORDERS = {
    "drain": "nenhuma ligação nova; as que estão nela terminam por si",
    "use": "reativada",
}


class Wall:
    """What every supervisor sees at one moment: made once a second at most, however many look."""

    def __init__(self, dialer: Any) -> None:
        self._dialer = dialer
        self._html, self._at = Markup(), 0.0
        self._names: dict[str, str] = {}
        self._short: dict[str, Short] = {}
        self._slow_at = float("-inf")
        self._pasts: dict[tuple[int, str | None], tuple[float, history.Past]] = {}

    async def past(self, days: int, name: str | None) -> history.Past:
        """The last days, read anew once a minute: it aggregates every call of them."""
        at, known = self._pasts.get((days, name), (float("-inf"), None))
        if known is None or time.monotonic() - at > PAST_SECONDS:
            known = await history.past(self._dialer.store, days, name)
            if len(self._pasts) > MOST_PASTS:
                self._pasts.clear()
            self._pasts[days, name] = time.monotonic(), known
        return known

    async def html(self) -> Markup:
        """The live part of the page; raises UnavailableError while the dialer starts."""
        self._dialer.engine.require_ready()
        await self._look_slowly()
        if time.monotonic() - self._at >= FRESH_SECONDS:
            self._html, self._at = self._made(), time.monotonic()
        return self._html

    async def _look_slowly(self) -> None:
        if time.monotonic() - self._slow_at < SLOW_SECONDS:
            return
        self._slow_at = time.monotonic()
        self._names = await self._dialer.sessions.names()
        self._short = await history.short_calls(self._dialer.store)

    def _made(self) -> Markup:
        engine, now = self._dialer.engine, utc_now()
        figures = monitor.figures(engine)
        talking = {
            call.operator
            for call in engine.floor.calls.values()
            if call.attempt.state is State.TALKING
        }
        campaigns = {one.id: one.row.name for one in engine.campaigns.values()}
        text = (
            templates()
            .get_template("wall_live.html.j2")
            .render(
                figures=figures,
                alerts=alerts(figures, self._short, self._names, now),
                names=self._names,
                talking=talking,
                campaigns=campaigns,
            )
        )
        return Markup(text)  # noqa: S704 (rendered with everything escaped)


class WallPage(Page):
    """The live page."""

    roles = SUPERVISORS

    async def get(self) -> None:
        """Send it."""
        self.page("wall.html.j2", live=await self.dialer.wall.html())


class WallOrder(Page):
    """Pause, resume or stop a campaign; change its limit of abandoned calls."""

    roles = SUPERVISORS

    async def post(self) -> None:
        """Do it; who did is recorded with it."""
        campaign = self.get_body_argument("campaign", "")
        row = await known_campaign(self.dialer, campaign)
        order = self.get_body_argument("order", "")
        who = self.session.login
        try:
            if order == "limit":
                share = _share(self.get_body_argument("limit", ""))
                await self.dialer.orders.change(campaign, {"abandono_maximo": share}, who)
                self.told(f"{row.name}: limite de abandono em {percent(share)}.")
                return
            if order not in _ORDERS:
                raise DataError("esta ordem não existe")
            await self.dialer.orders.control(campaign, order, who)
        except ConflictError:
            raise ConflictError(f"{row.name} já não está em curso.") from None
        self.told(f"{row.name}: {_ORDERS[order]}.")


class WallCentral(Page):
    """Empty a PBX before work on it, or use it again."""

    roles = SUPERVISORS

    async def post(self) -> None:
        """Do it; who did is recorded with it."""
        name, order = (self.get_body_argument(key, "") for key in ("central", "order"))
        engine = self.dialer.engine
        if name not in engine.pbxs:
            raise NotFound("there is no such PBX")
        if order not in _CENTRAL_ORDERS:
            raise DataError("esta ordem não existe")
        await drain(engine, name, self.session.login, wanted=order == "drain")
        self.told(f"Central {name}: {_CENTRAL_ORDERS[order]}.")


class WallListen(Page):
    """Hear an operator's conversation on the supervisor's own phone."""

    roles = SUPERVISORS

    async def post(self) -> None:
        """Ring the phone; recorded before it rings."""
        operator = self.get_body_argument("operator", "")
        phone = self.session.phone
        if phone is None:
            raise DataError("sua conta não tem ramal: peça um à equipe de operação")
        engine = self.dialer.engine
        engine.require_ready()
        agent = engine.floor.agents.get(operator)
        call = engine.floor.calls.get((agent.attempt_id if agent else None) or "")
        pbx = None if call is None else engine.pbxs.get(call.pbx)
        if call is None or pbx is None or call.attempt.state is not State.TALKING:
            raise ConflictError("este operador já não está em conversa")
        await self.dialer.store.note(
            self.session.login, "listen", operator, {"attempt": call.attempt.id, "phone": phone}
        )
        try:
            pbx.listen(call.attempt.id, phone)
        except UnavailableError:
            raise UnavailableError("central", call.pbx) from None
        self.told(f"Seu ramal {phone} está tocando: atenda para ouvir. A escuta fica registrada.")


class WallPast(Page):
    """The last days, with charts."""

    roles = SUPERVISORS

    async def get(self) -> None:
        """Send it."""
        asked = self.get_query_argument("dias", "14")
        days = int(asked) if WHOLE.fullmatch(asked) and int(asked) in PERIODS else 14
        name = self.get_query_argument("campanha", "")[:100] or None
        past = await self.dialer.wall.past(days, name)
        self.page(
            "wall_past.html.j2",
            past=past,
            chosen=name or "",
            days=days,
            periods=PERIODS,
            charts=_charts(past),
            empty=not any(day.lines or day.talks for day in past.days),
        )


class WallAudit(Page):
    """Who changed what."""

    roles = SUPERVISORS

    async def get(self) -> None:
        """Send a page of it, newest first."""
        before = self.get_query_argument("antes", "")
        start = int(before) if WHOLE.fullmatch(before) else 2**62
        rows = await history.audit(self.dialer.store, start, AUDIT_PAGE)
        self.page(
            "wall_audit.html.j2",
            rows=[{**row, "said": _said(row["detail"])} for row in rows],
            older=rows[-1]["id"] if len(rows) == AUDIT_PAGE else None,
        )


def _share(text: str) -> float:
    percentage = parse_money(text.strip().removesuffix("%"))
    if percentage is None or not 0 < percentage <= 20:
        raise DataError("escreva o limite em por cento, de 0,1 a 20, como 3,0")
    return float(percentage / 100)


def _said(detail: dict[str, Any]) -> str:
    """The detail of an entry of the audit, for a person."""
    if set(detail) == {"before", "after"}:
        before, after = detail["before"], detail["after"]
        return "; ".join(f"{key}: {before.get(key)} → {after[key]}" for key in after)
    return "; ".join(
        f"{words.DETAILS.get(key, key)}: {words.ROLES.get(str(value), value)}"
        for key, value in detail.items()
        if value is not None
    )


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart of the history; ``names``: its series and their colours, of several."""

    title: str
    svg: Markup
    names: tuple[tuple[str, str], ...] = ()


def _charts(past: history.Past) -> list[Chart]:
    days = [f"{one.day:%d/%m}" for one in past.days]
    hours = [f"{one.hour} h" for one in past.hours]

    def of(name: str, field: str, kind: str = "") -> charts.Series:
        values = [getattr(one, field) for one in past.days]
        return charts.Series(name=name, values=values, kind=kind)

    opened = [of("linhas", "lines", "none"), of("atenderam", "answered")]
    right = [of("pessoa certa", "right_party"), of("promessas", "promises", "ok")]
    abandoned, busy = of("abandono", "abandoned_share"), of("ocupação", "occupancy")
    found = [
        _bars("Linhas abertas e pessoas que atenderam", days, opened, number),
        _line("Abandono, das pessoas que atenderam", days, abandoned, past.limit),
        _bars("Conversas com a pessoa certa e promessas", days, right, number),
        _bars("Valor prometido", days, [of("prometido", "promised", "ok")], _money),
        _line("Ocupação dos operadores", days, busy, None),
    ]
    if hours:
        by_hour = charts.Series(name="atendem", values=[one.share for one in past.hours])
        found.append(
            _bars("Linhas que uma pessoa atende, por hora do dia", hours, [by_hour], _part)
        )
    return found


def _bars(
    title: str,
    labels: Sequence[str],
    series: Sequence[charts.Series],
    told: Callable[[float], str],
) -> Chart:
    names = tuple((one.name, one.kind) for one in series) if len(series) > 1 else ()
    return Chart(title=title, svg=charts.svg(charts.bars(labels, series, told), title), names=names)


def _line(title: str, labels: Sequence[str], one: charts.Series, limit: float | None) -> Chart:
    return Chart(title=title, svg=charts.svg(charts.line(labels, one, _part, limit), title))


def _part(share: float) -> str:
    return percent(share, 0 if share >= 0.1 or share == 0 else 1)


def _money(amount: float) -> str:
    return reais(amount).removesuffix(",00")
