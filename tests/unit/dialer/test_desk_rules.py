"""What the pages' pure parts promise: passwords, limits, masks, scripts, tabulations, alerts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from dialer.desk import Said
from dialer.handlers import NotFound
from dialer.live import Campaign
from dialer.rules import CallingHours
from dialer.script import filled, parse_script
from dialer.web import charts, masking, passwords, tabulating, words
from dialer.web.accounts import Role
from dialer.web.alerts import Short, alerts
from dialer.web.limits import MOST_OF_LOGIN, MOST_OF_PAIR, WINDOW_SECONDS, LoginLimits
from dialer.web.pages import _told, own_file, safe_way, templates
from dialer.web.people import Background, Contact
from dialer.web.sessions import Session, Sessions, TooManyLogins
from dialer.web.view import Person
from zanc_pipeline.common.errors import DataError, UnavailableError
from zanc_pipeline.common.outcomes import Outcome, Tabulation

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)  # 12:00 in São Paulo, a Monday
HOURS = CallingHours(
    start=time(8), end=time(20), weekdays=frozenset(range(5)), zone=ZoneInfo("America/Sao_Paulo")
)


def test_a_password_is_stored_salted_and_recognised() -> None:
    stored = passwords.hashed("uma frase longa")
    assert "uma frase" not in stored
    assert stored != passwords.hashed("uma frase longa")
    assert passwords.matches("uma frase longa", stored)
    assert not passwords.matches("uma frase long", stored)
    assert not passwords.matches("\ud800", passwords.NOBODY)


def test_a_generated_password_is_long_enough_and_a_short_one_is_refused() -> None:
    assert len(passwords.generated()) >= passwords.SHORTEST
    assert passwords.generated() != passwords.generated()
    for wrong in ("curta", "x" * 201):
        with pytest.raises(DataError):
            passwords.hashed(wrong)


def test_failures_of_a_login_wait_and_those_of_others_do_not() -> None:
    limits = LoginLimits()
    for second in range(MOST_OF_PAIR):
        assert limits.wait("ana", "here", second) == 0
        limits.failed("ana", "here", second)
    assert limits.wait("ana", "here", 10) == WINDOW_SECONDS - 10
    assert limits.wait("ana", "there", 10) == 0
    assert limits.wait("bruno", "here", 10) == 0
    assert limits.wait("ana", "here", WINDOW_SECONDS) == 0
    limits.succeeded("ana", "here")
    assert limits.wait("ana", "here", 10) == 0


def test_one_login_from_many_addresses_waits_too() -> None:
    limits = LoginLimits()
    for number in range(MOST_OF_LOGIN):
        limits.failed("ana", f"10.0.0.{number}", 0.0)
    assert limits.wait("ana", "elsewhere", 1.0) > 0
    assert limits.wait("bruno", "elsewhere", 1.0) == 0


@pytest.mark.parametrize(
    ("asked", "gone"),
    [("/mesa?x=1", "/mesa?x=1"), ("//x", "/"), ("/\\x", "/"), ("http:/x", "/"), ("", "/"),
     ("/a\nb", "/"), ("mesa", "/"), ("//[", "/")],
)  # fmt: skip
def test_the_way_after_the_login_stays_with_us(asked: str, gone: str) -> None:
    assert safe_way(asked) == gone


async def test_logins_at_the_same_time_may_fail_no_oftener_than_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[str] = []

    def matches(given: str, _stored: str) -> bool:
        compared.append(given)
        return False

    monkeypatch.setattr(passwords, "matches", matches)
    sessions = Sessions(cast(Any, None))  # a login that can't be anybody's: no database is asked
    tries = [sessions.open("?", f"guess {n}", "10.0.0.1") for n in range(40)]
    found = await asyncio.gather(*tries, return_exceptions=True)
    assert len(compared) < MOST_OF_PAIR + 2
    assert sum(isinstance(one, TooManyLogins) for one in found) == 40 - len(compared)


def test_what_a_person_is_told_is_portuguese() -> None:
    away = _told(UnavailableError("PostgreSQL", "127.0.0.1:5432"))
    assert away == "O discador ou o banco de dados não responde. Tente de novo."
    assert _told(NotFound("there is no campaign 'x'")).startswith("Isto não existe")
    assert _told(DataError("escolha a data")) == "escolha a data"


def test_documents_are_masked_and_shown_by_role() -> None:
    assert masking.cpf_text("52998224725", full=False) == "***.982.247-**"
    assert masking.cpf_text("52998224725", full=True) == "529.982.247-25"
    assert masking.phone_text("11912345678", full=False) == "(11) *****-5678"
    assert masking.phone_text("1134567890", full=True) == "(11) 3456-7890"
    assert masking.phone_text("", full=True) == masking.cpf_text("1", full=True) == "—"


def test_a_script_is_filled_for_one_person_and_nothing_in_it_is_executed() -> None:
    steps = parse_script([{"Abertura": "Olá, {primeiro_nome}: {valor}"}])
    [step] = filled(steps, {"primeiro_nome": "{valor}", "valor": "R$ 1,00"})
    assert (step.title, step.text) == ("Abertura", "Olá, {valor}: R$ 1,00")
    assert parse_script(steps) == steps


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Bom dia", "uma lista"),
        ([{"A": "x", "B": "y"}], "um título só"),
        ([{"A": 7}], "entre aspas"),
        ([{"A": "{nome.__class__}"}], "não existe"),
        ([{"A": "x"}] * 21, "até 20"),
    ],
)
def test_a_wrong_script_is_told(value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_script(value)


def promise(**changed: str) -> dict[str, str]:
    fields = {"promise_date": "2026-11-23", "promise_amount": "R$ 1.234,56"}
    return {"tabulation": "promise", **fields, **changed}


def test_a_promise_is_read_in_brazilian_form() -> None:
    said = tabulating.read(promise(), NOW)
    assert said.promise_amount == Decimal("1234.56")
    tabulating.check(said, Decimal("1234.56"), None)
    with pytest.raises(DataError, match=r"R\$ 1\.234,55"):
        tabulating.check(said, Decimal("1234.55"), None)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"promise_date": "2026-11-22"}, "já passou"),
        ({"promise_date": "2028-01-01"}, "mais de um ano"),
        ({"promise_date": "31/12"}, "escolha a data"),
        ({"promise_amount": "0,00"}, "mais que zero"),
        ({"promise_amount": "-5"}, "mais que zero"),
        ({"promise_amount": "NaN"}, "como 1.234,56"),
        ({"tabulation": "x"}, "da lista"),
    ],
)
def test_a_wrong_promise_says_what_to_correct(changed: dict[str, str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        tabulating.read(promise(**changed), NOW)


def test_a_promise_of_today_is_still_good_late_in_the_evening() -> None:
    evening = datetime(2026, 11, 24, 2, 30, tzinfo=UTC)  # 23:30 of the 23rd in São Paulo
    assert tabulating.read(promise(), evening).promise_date is not None


def callback(day: str, hour: str) -> Said:
    fields = {"tabulation": "callback", "callback_date": day, "callback_time": hour}
    return tabulating.read(fields, NOW)


def test_a_callback_is_local_time_within_the_hours_of_the_campaign() -> None:
    said = callback("2026-11-24", "15:30")
    assert said.callback_at == datetime(2026, 11, 24, 18, 30, tzinfo=UTC)

    class Hours:
        hours = HOURS

    campaign = cast(Campaign, Hours())
    tabulating.check(said, Decimal(1), campaign)
    for day, hour in (("2026-11-24", "21:00"), ("2026-11-28", "10:00")):
        with pytest.raises(DataError, match="fora do horário"):
            tabulating.check(callback(day, hour), Decimal(1), campaign)
    for day, hour, message in (
        ("2026-11-23", "11:59", "já passou"),
        ("2027-11-23", "10:00", "60 dias"),
        ("2026-11-24", "25:00", "15:30"),
    ):
        with pytest.raises(DataError, match=message):
            callback(day, hour)


def test_every_tabulation_has_a_name_and_all_but_none_a_key_of_its_own() -> None:
    assert set(words.TABULATIONS) == set(Tabulation)
    assert set(words.OUTCOMES) == set(Outcome)
    assert {one.code for one in words.CHOICES} == set(Tabulation) - {Tabulation.NO_TABULATION}
    assert len({one.key for one in words.CHOICES}) == len(words.CHOICES)


def figures(**changed: Any) -> dict[str, Any]:
    campaign = {
        "id": "c1", "name": "geral", "status": "running", "answered": 100, "abandoned": 2,
        "abandoned_share": 0.02, "abandoned_limit": 0.03,
    }  # fmt: skip
    central = {
        "name": "central", "connected": True, "why": "", "trunks": [], "drained": False,
        "state": "ok", "lines": 0,
    }  # fmt: skip
    idle = {"operator": "op01", "state": "idle", "since": NOW - timedelta(seconds=10)}
    return {
        "centrais": [{**central, **changed.pop("central", {})}],
        "campaigns": [{**campaign, **changed.pop("campaign", {})}],
        "floor": [{**idle, **changed.pop("agent", {})}],
        **changed,
    }


@pytest.mark.parametrize(
    ("changed", "short", "said"),
    [
        ({}, None, []),
        ({"central": {"connected": False, "why": "sem resposta"}}, None, [("bad", "fora do ar")]),
        (
            {"central": {"drained": True, "state": "esvaziando", "lines": 3}},
            None,
            [("wait", "central esvaziando: ainda 3 em curso; nenhuma ligação nova")],
        ),
        ({"central": {"connected": False, "drained": True}}, None, [("wait", "fora do ar")]),
        ({"campaign": {"abandoned_share": 0.025}}, None, [("wait", "perto do limite de 3,0 %")]),
        ({"campaign": {"abandoned_share": 0.031}}, None, [("bad", "acima do limite")]),
        ({"campaign": {"abandoned_share": 0.5, "answered": 3}}, None, []),
        ({}, Short(conversations=20, short=4), [("wait", "4 de 20 conversas")]),
        ({}, Short(conversations=9, short=9), []),
        ({"agent": {"since": NOW - timedelta(minutes=5)}}, None, [("wait", "Livre há mais")]),
        ({"floor": []}, None, [("bad", "nenhum operador")]),
        ({"alarms": [{"rule": "x", "told": "freio", "brake": True}]}, None, [("bad", "freio")]),
        (
            {"central": {"trunks": [{"name": "a", "state": "aberto", "why": "só falha"}]}},
            None,
            [("wait", "Tronco central/a: só falha")],
        ),
    ],
)
def test_what_a_supervisor_must_look_at(
    changed: dict[str, Any], short: Short | None, said: list[tuple[str, str]]
) -> None:
    shorts = {} if short is None else {"c1": short}
    found = alerts(figures(**changed), shorts, {"op01": "Ana"}, NOW)
    assert [one.kind for one in found] == [kind for kind, _ in said]
    assert all(text in one.text for one, (_, text) in zip(found, said, strict=True))


def test_charts_escape_their_words_and_take_nothing_for_nothing() -> None:
    series = charts.Series(name="<b>", values=[None, 2.0, 0.0])
    drawn = str(charts.bars(["<i>", "b", "c"], [series], str))
    assert "<b>" not in drawn
    assert "&lt;i&gt;" in drawn
    assert drawn.count("<rect") == 1
    assert "<rect" not in charts.bars([], [replace(series, values=[])], str)
    line = charts.line(["a", "b", "c", "d"], replace(series, values=[1, 2, None, 3]), str, limit=2)
    assert str(line).count("<polyline") == 1  # a point alone has no line
    assert str(line).count('class="bar bad"') == 1


def test_a_card_shows_html_as_text_and_tells_nothing_of_other_creditors() -> None:
    contacts = tuple(
        Contact(
            at=NOW, phone="11912345678", own=own, outcome="human",
            tabulation="refusal" if own else None, talk_seconds=60,
        )
        for own in (True, False)
    )  # fmt: skip
    session = Session(login="ana", name="Ana", role=Role.OPERATOR, phone="op01", csrf="x")
    person = Person(
        name="<script>alert(1)</script>", cpf="***", phone="***", creditor="Aurora & Filhos",
        contract="C1", amount=Decimal("1.00"), campaign="geral",
    )  # fmt: skip
    html = (
        templates()
        .get_template("desk_past.html.j2")
        .render(
            person=person,
            background=Background(contacts=contacts),
            session=session,
            masking=masking,
        )
    )
    assert html.count("Recusa pagar") == 1
    assert html.count("(por outro credor)") == 1
    assert "Aurora &amp; Filhos" in html
    card = (
        templates()
        .get_template("desk_card.html.j2")
        .render(person=person, attempt=None, preview=True, session=session)
    )
    assert "<script>" not in card
    assert "&lt;script&gt;" in card


def test_our_scripts_load_nothing_from_outside() -> None:
    for name in ("floor.css", "floor.js", "desk.js", "wall.js"):
        body = (own_file(name) or b"").decode()
        assert body
        assert "http://" not in body
        assert "https://" not in body
    assert own_file("../pages.py") is None
