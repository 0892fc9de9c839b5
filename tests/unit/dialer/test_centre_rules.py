"""The centre's rules: hours of the phone's state, holidays, lists, short calls, volumes."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.attempt import Attempt, State
from dialer.days_off import DaysOff, read_own
from dialer.permission import Listed, Rules, judge, next_opening
from dialer.places import STATES_OF_DDD, place_of
from dialer.policy import Policy, load_policy, parse_policy
from dialer.rulebook import Rulebook
from dialer.rules import CallingHours
from dialer.volumes import Volumes, is_short
from zanc_pipeline.common.codecs import DDDS, STATES
from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.outcomes import Outcome

CONFIG = Path(__file__).parents[3] / "config"
ALL_DAY = CallingHours(
    start=time.min, end=time.max, weekdays=frozenset(range(7)), zone=ZoneInfo("America/Sao_Paulo")
)
CPF = "52998224725"
RULES = Rules()


def asked(phone: str, moment: str, rules: Rules = RULES, cpf: str = CPF) -> str:
    """Why the phone is not called at a UTC moment; empty when it is."""
    now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    _, refused = judge(rules, cpf=cpf, phone=phone, hours=ALL_DAY, now=now)
    return "" if refused is None else refused.reason


def test_every_ddd_in_service_has_its_state_and_every_state_a_ddd() -> None:
    assert STATES_OF_DDD.keys() == DDDS
    assert {state for states in STATES_OF_DDD.values() for state in states} == STATES
    zones = {zone.key for ddd in DDDS for zone in place_of(f"{ddd}32345678").zones}
    assert len(zones) == 8


@pytest.mark.parametrize(
    ("phone", "moment", "allowed"),
    [
        ("1132345678", "2026-11-24T11:00", True),  # 08:00 in São Paulo, a Tuesday
        ("1132345678", "2026-11-24T10:59", False),
        ("1132345678", "2026-11-24T22:59", True),
        ("1132345678", "2026-11-24T23:00", False),
        ("6532345678", "2026-11-24T11:59", False),  # Cuiabá: an hour behind
        ("6532345678", "2026-11-24T12:00", True),
        ("6832345678", "2026-11-24T12:59", False),  # Rio Branco: two hours behind
        ("6832345678", "2026-11-25T00:59", True),  # 19:59 of the Tuesday there
        ("9732345678", "2026-11-24T12:30", False),  # both zones of DDD 97 must be open
        ("9732345678", "2026-11-24T13:00", True),
        ("9732345678", "2026-11-24T22:00", False),  # 18:00 in Manaus
        ("2132345678", "2026-11-24T11:30", False),  # Rio: from nine
        ("2132345678", "2026-11-24T22:00", False),  # to seven
        ("8532345678", "2026-11-24T21:00", False),  # Ceará: to six
        ("1132345678", "2026-11-28T16:59", True),  # Saturday to 14:00
        ("1132345678", "2026-11-28T17:00", False),
        ("2132345678", "2026-11-28T14:00", False),  # no Saturday in Rio
        ("1132345678", "2026-11-29T15:00", False),  # Sunday
        ("1132345678", "2026-12-25T15:00", False),  # Christmas
        ("1132345678", "2026-11-20T15:00", False),  # the 20th of November is national since 2024
        ("1132345678", "2026-07-09T15:00", False),  # São Paulo's own
        ("4132345678", "2026-07-09T15:00", True),
        ("6132345678", "2026-11-30T15:00", False),  # the Federal District's: DDD 61 has two states
        ("6232345678", "2026-11-30T15:00", True),
    ],
)
def test_the_hours_and_days_off_are_those_of_the_phones_state(
    phone: str, moment: str, allowed: bool
) -> None:
    assert (asked(phone, moment) == "") is allowed


def test_noronha_keeps_its_own_clock() -> None:
    assert asked("8136191234", "2026-11-24T10:00") == ""
    assert asked("8132345678", "2026-11-24T10:30").startswith("fora do horário do estado")


def test_after_a_closed_day_the_next_opening_is_told() -> None:
    friday_night = datetime(2026, 12, 24, 23, 30, tzinfo=UTC)  # before Christmas, a Thursday
    opening = next_opening(RULES, place_of("2132345678"), friday_night)
    assert opening == datetime(2026, 12, 28, 12, 0, tzinfo=UTC)  # Monday, nine in Rio
    closed = Rules(policy=parse_policy({"horarios": {"estados": {"RJ": {
        "semana": "fechado", "sabado": "fechado"}}}}))  # fmt: skip
    assert next_opening(closed, place_of("2132345678"), friday_night) is None


DATES = st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2028, 1, 1))  # noqa: DTZ001


@given(st.sampled_from(sorted(DDDS)), DATES)
def test_what_is_refused_opens_at_the_time_that_is_told(ddd: str, moment: datetime) -> None:
    now, phone = moment.replace(tzinfo=UTC), f"{ddd}32345678"
    _, refused = judge(RULES, cpf=CPF, phone=phone, hours=ALL_DAY, now=now)
    if refused is not None:
        assert refused.until is not None
        assert refused.until > now
        _, again = judge(RULES, cpf=CPF, phone=phone, hours=ALL_DAY, now=refused.until)
        assert again is None


def test_each_rule_leaves_its_figures_and_can_be_switched_off() -> None:
    now = datetime(2026, 11, 24, 18, 4, tzinfo=UTC)
    checks, _ = judge(RULES, cpf=CPF, phone="6132345678", hours=ALL_DAY, now=now)
    told = {check.rule: check.told for check in checks}
    assert told["numero"] == "DDD 61, DF/GO, número nacional"
    assert told["horario_estado"] == (
        "DF ter 15:04 entre 08:00 e 20:00; GO ter 15:04 entre 08:00 e 20:00"
    )
    assert told["feriado"] == "dia comum em DF/GO e no DDD 61"
    off = Rules(policy=Policy().at_any_hour())
    assert asked("1132345678", "2026-12-25T03:00", off) == ""


def test_who_is_listed_or_asked_not_to_be_called_is_refused_for_good() -> None:
    noon = "2026-11-24T15:00"
    listed = Rules(listed=Listed(phones={"1132345678"}), opted_out=Listed(cpfs={CPF}))
    assert asked("1132345678", noon, listed, cpf="x") == "não ligar: o telefone está em lista"
    assert asked("1132345679", noon, listed).startswith("não ligar: a pessoa pediu")
    off = Rules(policy=parse_policy({"nao_ligar": {"ligado": False}}), listed=listed.listed)
    assert asked("1132345678", noon, off) == ""


def test_the_files_of_the_project_are_the_defaults_in_the_code() -> None:
    assert load_policy(CONFIG) == Policy()
    assert DaysOff(own=read_own(CONFIG)).name(place_of("1132345678"), date(2027, 1, 25))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"horario": {}}, "config/regras.yaml: horario: esta opção não existe"),
        ({"horarios": {"estados": {"XX": {}}}}, "XX não é a sigla de um estado"),
        ({"horarios": {"padrao": {"semana": ["20:00", "08:00"]}}}, "início deve vir antes"),
        ({"horarios": {"padrao": {"semana": [8, 20]}}}, 'escreva a hora entre aspas, como "08:00"'),
        ({"chamadas_curtas": {"freio": 2}}, "chamadas_curtas.freio: deve ser no máximo 1"),
        ({"volume": {"mes": {"freio": "muitas"}}}, "volume.mes.freio: deve ser um número"),
    ],
)
def test_a_wrong_rule_is_told_in_portuguese(content: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_policy(content)


@pytest.mark.parametrize(
    "line", ["32/01;11;x", "25/13;11;x", "25/01;10;x", "25/01;11;", "2026-01-25;11;x", "25/01;11"]
)
def test_a_day_off_that_cannot_be_read_is_told_by_its_line(line: str, tmp_path: Path) -> None:
    (tmp_path / "feriados.csv").write_text(f"data;onde;nome\n25/01;11;São Paulo\n{line}\n")
    with pytest.raises(ConfigError, match=r"config/feriados\.csv:3: "):
        read_own(tmp_path)


def touch(path: Path, content: str, second: int) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    os.utime(path, (second, second))


async def test_lists_are_read_again_while_running_and_a_wrong_one_stops_everything(
    tmp_path: Path,
) -> None:
    path = tmp_path / "nao_ligar" / "procon.csv"
    book = Rulebook(tmp_path, any_hour=True)
    await book.refresh()
    noon = datetime(2026, 11, 24, 15, tzinfo=UTC)
    assert (book.brake("1140028900", noon), book.rules.listed.whom(CPF, "")) == ("", None)
    touch(path, f"cpf;telefone\n{CPF};\n", 1)
    await book.refresh()
    assert book.rules.listed.whom(CPF, "") == "a pessoa"
    touch(path, f"cpf;telefone\n{CPF};\n123;\n", 2)
    await book.refresh()
    assert "procon.csv:3: o CPF não é válido" in book.brake("1140028900", noon)
    assert book.rules.listed.whom(CPF, "") == "a pessoa"
    own = tmp_path / "feriados.csv"
    touch(own, f"data;onde;nome\n25/01;11;{'x' * 140_000}\n", 3)
    await book.refresh()  # a cell longer than the csv module reads
    assert book.problem
    own.unlink()
    touch(path, "cpf;telefone\n;1132345678\n", 4)
    await book.refresh()
    assert (book.brake("1140028900", noon), book.rules.listed.whom(CPF, "")) == ("", None)
    book.opt_out(CPF, None)
    assert book.rules.opted_out.whom(CPF, "") == "a pessoa"


NOW = datetime(2026, 11, 24, 15, tzinfo=UTC)


def call(outcome: Outcome, seconds: float | None = None) -> Attempt:
    answered = None if seconds is None else NOW
    ended = NOW + timedelta(seconds=seconds or 0)
    return Attempt(id="a", created_at=NOW, state=State.ENDED, outcome=outcome,
                   answered_at=answered, ended_at=ended)  # fmt: skip


@pytest.mark.parametrize(
    ("attempt", "short"),
    [
        (call(Outcome.HUMAN, 6.0), True),
        (call(Outcome.HUMAN, 6.5), False),
        (call(Outcome.ABANDONED, 30), False),
        (call(Outcome.ABANDONED, 4), True),
        (call(Outcome.MACHINE, 30), True),
        (call(Outcome.NO_ANSWER), True),
        (call(Outcome.UNKNOWN), True),
    ],
)
def test_short_is_what_anatel_takes_for_short(attempt: Attempt, short: bool) -> None:
    assert is_short(attempt, 6) is short


def counted(calls: int, short: int, caller_id: str = "1140028900") -> Volumes:
    volumes = Volumes()
    volumes.load([(date(2026, 11, 24), caller_id, calls, short)], [])
    return volumes


@pytest.mark.parametrize(
    ("volumes", "expected"),
    [
        (counted(9_999, 9_999), []),
        (counted(10_000, 7_999), []),
        (counted(10_000, 8_000), [("chamadas_curtas", False)]),
        (counted(94_999, 94_999), [("volume_dia", False), ("chamadas_curtas", False)]),
        (counted(95_000, 79_799), [("volume_dia", True), ("chamadas_curtas", False)]),
        (counted(95_000, 79_800), [("volume_dia", True), ("chamadas_curtas", True)]),
    ],
    ids=["too few to tell", "below", "alarm", "before the brake", "volume", "brake"],
)
def test_alarm_and_brake(volumes: Volumes, expected: list[tuple[str, bool]]) -> None:
    assert [(one.rule, one.brake) for one in volumes.alarms(Policy(), NOW)] == expected


def test_a_month_counts_all_numbers_and_calls_under_way_count_too() -> None:
    volumes = Volumes()
    days = [(date(2026, 11, day), f"11400289{day:02}", 20_000, 0) for day in range(1, 25)]
    volumes.load([*days, (date(2026, 10, 31), "1140028900", 10**6, 0)], [("1140028924", NOW)] * 3)
    [month] = [one for one in volumes.alarms(Policy(), NOW) if one.rule == "volume_mes"]
    assert (month.brake, month.told) == (
        False,
        "480003 ligações no mês: o alarme é 400000",
    )
    volumes.not_placed("1140028924", NOW)
    told = {check.rule: check.told for check in volumes.checks(Policy(), "1140028924", NOW)}
    assert told["volume_dia"] == "20002 até agora, freio em 95000"
    assert told["chamadas_curtas"].startswith("0 de 20002 ligações de hoje foram curtas (0 %)")


def test_a_brake_holds_only_the_number_that_it_is_of() -> None:
    book = Rulebook()
    book.volumes = counted(95_000, 0)
    assert "o freio é 95000" in book.brake("1140028900", NOW)
    assert book.brake("1140028901", NOW) == ""
