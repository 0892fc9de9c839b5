"""Which phone first, and which not at all."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import load_settings
from zanc_pipeline.localization.limits import (
    REASONS,
    DialQuestion,
    DialVerdict,
    decide,
    held_lease,
    only,
    start_of_days,
)
from zanc_pipeline.localization.metrics import Board, Metrics
from zanc_pipeline.localization.queries import DIAL_FACTS, positional
from zanc_pipeline.localization.ranking import RankedPhone, Viewer, rank_phones
from zanc_pipeline.localization.rules import Limits, Rules, load_rules

NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
RULES = Rules(
    limites=Limits(
        tentativas_por_telefone_dia=3,
        tentativas_por_telefone_semana=10,
        tentativas_por_pessoa_dia=6,
        tentativas_por_pessoa_semana=20,
        dias_sem_ligar_apos_conversa=2,
    ),
    titular_confirmado_vale_dias=180,
    auditoria_guardada_dias=365,
)
CRMS = frozenset({"norma", "larga"})
HOUSE = Viewer(crms=CRMS)


def phone(number: str = "11987654321", **changed: Any) -> dict[str, Any]:
    return {
        "phone": number,
        "mobile": len(number) == 11,
        "source": "banco_aurora",
        "first_seen": date(2026, 1, 2),
        "last_seen": date(2026, 11, 20),
        "attempts": 0,
        "answers": 0,
        "right_parties": 0,
        "misses_in_a_row": 0,
        "attempts_1": 0,
        "attempts_7": 0,
        "attempts_30": 0,
        "elsewhere_30": 0,
        "elsewhere_answers_30": 0,
        "phone_attempts": None,
        "phone_answers": None,
        "phone_last_attempt_at": None,
        "answer_hours": None,
        "last_answer_at": None,
        "last_outcome": None,
        "last_attempt_at": None,
        "last_right_party_at": None,
        "last_wrong_person_at": None,
        "suppressed": None,
        "people": 1,
        "out_of_service": None,
        **changed,
    }


def called(attempts: int, answers: int, **changed: Any) -> dict[str, Any]:
    return {
        "attempts": attempts,
        "answers": answers,
        "last_outcome": "human" if answers else "no_answer",
        "last_attempt_at": NOW - timedelta(days=3),
        **changed,
    }


def ranked(*phones: dict[str, Any], viewer: Viewer = HOUSE) -> list[RankedPhone]:
    return rank_phones(phones, now=NOW, rules=RULES, viewer=viewer)


def order(*phones: dict[str, Any]) -> list[str]:
    return [one.phone for one in ranked(*phones)]


def hour_of_week(weekday: int, hour: int) -> int:
    return 24 * weekday + hour


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (called(4, 3), called(4, 1)),
        (called(0, 0), called(5, 0, misses_in_a_row=5)),
        (called(4, 1, misses_in_a_row=1), called(4, 1, misses_in_a_row=3)),
        (called(4, 1, last_right_party_at=NOW - timedelta(days=5)), called(4, 2)),
        (
            called(4, 1, last_right_party_at=NOW - timedelta(days=5)),
            called(4, 1, last_right_party_at=NOW - timedelta(days=100)),
        ),
        (called(4, 2), called(4, 2, people=4)),
        (called(40, 0, misses_in_a_row=40), {"suppressed": "wrong_person", **called(4, 4)}),
        (called(40, 0, misses_in_a_row=40), {"out_of_service": True}),
        # NOW is a Monday, 15h in São Paulo
        (
            called(8, 4, answer_hours=bytes([hour_of_week(2, 15)] * 4)),
            called(8, 4, answer_hours=bytes([hour_of_week(2, 9)] * 4)),
        ),
        (
            called(8, 4, answer_hours=bytes([hour_of_week(5, 14)] * 4)),
            called(8, 4, answer_hours=bytes([hour_of_week(0, 14)] * 4)),
        ),
        (called(4, 1), called(4, 1, attempts_1=2, attempts_7=2, attempts_30=2)),
        (called(4, 1, attempts_30=2), called(4, 1, attempts_7=2, attempts_30=2)),
        (
            called(4, 2, last_answer_at=NOW - timedelta(days=9)),
            called(4, 2, last_answer_at=NOW - timedelta(days=900)),
        ),
        (called(0, 0), {"source": "larga"}),
        (called(0, 0), {"last_seen": date(2023, 1, 1)}),
        (called(4, 2), called(4, 2, last_outcome="invalid_number")),
        (
            called(2, 1, phone_attempts=12, phone_answers=8),
            called(2, 1, phone_attempts=12, phone_answers=1),
        ),
    ],
)
def test_a_phone_is_better_when(better: dict[str, Any], worse: dict[str, Any]) -> None:
    one, other = phone("11980000002", **better), phone("11980000001", **worse)
    assert order(one, other) == order(other, one) == ["11980000002", "11980000001"]


def test_a_mobile_comes_before_a_landline_and_ties_are_stable() -> None:
    assert order(phone("1133334444"), phone("11980000002"), phone("11980000001")) == [
        "11980000001",
        "11980000002",
        "1133334444",
    ]


def test_a_right_party_mark_expires_and_a_wrong_person_undoes_it() -> None:
    old = phone(**called(4, 1, last_right_party_at=NOW - timedelta(days=181)))
    undone = phone(
        **called(
            4,
            1,
            last_right_party_at=NOW - timedelta(days=9),
            last_wrong_person_at=NOW - timedelta(days=8),
        )
    )
    plain = phone(**called(4, 1))
    scores = [ranked(row)[0].score for row in (old, undone, plain)]
    assert len(set(scores)) == 1


def test_the_evidence_says_what_is_known() -> None:
    row = phone(
        people=3,
        attempts_1=1,
        attempts_7=2,
        attempts_30=4,
        elsewhere_30=2,
        elsewhere_answers_30=1,
        answer_hours=bytes([hour_of_week(1, 10), hour_of_week(1, 10), hour_of_week(3, 18)]),
        **called(4, 1, misses_in_a_row=2, last_right_party_at=NOW - timedelta(days=1)),
    )
    [found] = ranked(row)
    assert found.evidence == (
        "o titular falou neste número há 1 dia",
        "4 chamadas, 1 atendida",
        "última há 3 dias: uma pessoa atendeu",
        "2 seguidas sem ninguém atender",
        "tentativas para o número: 1 hoje, 2 em 7 dias, 4 em 30",
        "em outros CRMs, 30 dias: 2 chamadas, 1 atendida",
        "costuma atender às segundas por volta das 10h",
        "o mesmo número consta de 3 pessoas",
        "informado por banco_aurora desde 02/01/2026",
    )
    assert found.facts["attempts_7"] == 2
    assert found.facts["last_right_party_at"] == "2026-11-22T18:00:00+00:00"
    assert "nunca foi chamado" in ranked(phone())[0].evidence


def test_who_may_not_know_another_creditor_is_not_told_its_name() -> None:
    viewer = Viewer(crms=CRMS, sources={"norma", "telecom_brisa"})

    def source(of: str) -> str:
        [found] = ranked(phone(source=of), viewer=viewer)
        return found.evidence[-1].partition(" desde")[0]

    assert source("telecom_brisa") == "informado por telecom_brisa"
    assert source("banco_aurora") == "informado por outro credor"
    assert source("larga") == "informado por outro CRM"


def facts(**changed: Any) -> dict[str, Any]:
    return {
        "cpf": "52998224725",
        "phone": "11987654321",
        "phone_day": 0,
        "phone_week": 0,
        "person_day": 0,
        "person_week": 0,
        "suppressed": None,
        "out_of_service": False,
        "deceased": False,
        "talked_at": None,
        "lease_ids": None,
        "lease_crms": None,
        "lease_phones": None,
        "lease_references": None,
        "lease_ends": None,
        **changed,
    }


def leased(crm: str, reference: str | None) -> dict[str, Any]:
    return {
        "lease_ids": ["L1"],
        "lease_crms": [crm],
        "lease_phones": ["11987654321"],
        "lease_references": [reference],
        "lease_ends": [NOW],
    }


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, None),
        ({"phone_day": 2, "person_day": 5, "phone_week": 9, "person_week": 19}, None),
        ({"phone_day": 3}, "phone_limit"),
        ({"person_day": 6}, "person_limit"),
        ({"phone_week": 10}, "phone_week_limit"),
        ({"person_week": 20}, "person_week_limit"),
        ({"talked_at": NOW - timedelta(hours=47)}, "talked_recently"),
        ({"talked_at": NOW - timedelta(hours=48)}, None),
        ({"suppressed": "wrong_person"}, "wrong_person"),
        ({"suppressed": "invalid_number"}, "invalid_number"),
        ({"out_of_service": True}, "invalid_number"),
        ({"deceased": True, "out_of_service": True}, "deceased"),
        (leased("larga", None), "reserved"),
        ({"phone_day": 3, **leased("larga", None)}, "phone_limit"),
    ],
)
def test_a_phone_may_be_dialled_unless(changed: dict[str, Any], reason: str | None) -> None:
    [verdict] = decide([facts(**changed)], now=NOW, limits=RULES.limits)
    assert (verdict.dial, verdict.reason) == (reason is None, reason)
    assert ("última conversa" in str(verdict.texto)) == (reason is None)


def test_an_agreed_call_ends_only_the_pause_after_a_talk() -> None:
    talked = facts(talked_at=NOW - timedelta(hours=1))
    wrong = facts(talked_at=NOW - timedelta(hours=1), suppressed="wrong_person")
    found = decide([talked, wrong], now=NOW, limits=RULES.limits, agreed=True)
    assert [verdict.reason for verdict in found] == [None, "wrong_person"]


def test_only_the_same_question_of_the_same_crm_finds_its_lease_again() -> None:
    rows = [facts(**leased("norma", "a1"))]

    def held(crm: str, reference: str | None) -> bool:
        question = DialQuestion(
            cpf="52998224725", phones=("11987654321",), lease_seconds=9, reference=reference
        )
        return held_lease(crm, question, rows) is not None

    assert held("norma", "a1")
    assert not held("larga", "a1")
    assert not held("norma", "a2")
    assert not held("norma", None)


def test_beside_the_reserved_phone_no_other_may_be_dialled() -> None:
    verdicts = [
        DialVerdict(phone="1", dial=True),
        DialVerdict(phone="2", dial=True),
        DialVerdict(phone="3", dial=False, reason="phone_limit", texto="x"),
    ]
    assert [one.reason for one in only(verdicts, "2")] == [
        "other_phone_reserved",
        None,
        "phone_limit",
    ]
    assert only(verdicts, "2")[0].texto == REASONS["other_phone_reserved"]


def test_days_begin_at_midnight_in_sao_paulo() -> None:
    moment = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
    assert start_of_days(moment, 1) == datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
    assert start_of_days(moment, 7) == datetime(2026, 11, 17, 3, 0, tzinfo=UTC)
    # until 2019 the clocks were put forward in October: that midnight was an hour earlier in UTC
    summer = datetime(2018, 11, 10, 15, 0, tzinfo=UTC)
    assert start_of_days(summer, 1) == datetime(2018, 11, 10, 2, 0, tzinfo=UTC)


def test_the_shipped_rules_are_valid(tmp_path: Path) -> None:
    assert load_rules(load_settings(var=tmp_path)) == RULES


def test_a_wrong_rule_is_named(tmp_path: Path) -> None:
    (tmp_path / "localization.yaml").write_text("limites: {tentativas_por_telefone_dia: 0}\n")
    with pytest.raises(ConfigError, match=r"limites\.tentativas_por_telefone_dia"):
        load_rules(load_settings(config=tmp_path, var=tmp_path / "var"))


def test_a_query_is_rewritten_for_asyncpg() -> None:
    query, names = positional(DIAL_FACTS)
    assert sorted(names) == ["cpfs", "phones", "today", "week"]
    assert "%(" not in query
    assert f"${names.index('phones') + 1}::text[]" in query


def test_all_processes_count_on_one_board() -> None:
    board = Board(processes=2, routes=["/healthz", "other"], crms=CRMS)
    first, second = Metrics(board, 0), Metrics(board, 1)
    for metrics, seconds in ((first, 0.001), (second, 0.02), (second, 9.0)):
        metrics.request("/healthz", 200, seconds)
    second.request("other", 418, 0.1)
    second.calls("norma", accepted=5, duplicates=1)
    page = first.render()
    assert 'localization_request_seconds_bucket{route="/healthz",le="0.005"} 1\n' in page
    assert 'localization_request_seconds_bucket{route="/healthz",le="0.025"} 2\n' in page
    assert 'localization_request_seconds_bucket{route="/healthz",le="+Inf"} 3\n' in page
    assert 'localization_requests_total{route="/healthz",status="200"} 3\n' in page
    assert 'localization_requests_total{route="other",status="other"} 1\n' in page
    assert 'localization_calls_total{crm="norma",result="accepted"} 5\n' in page


def test_a_process_that_is_started_again_counts_on_with_nothing_in_flight() -> None:
    board = Board(processes=1, routes=["/healthz"], crms=CRMS)
    died = Metrics(board)
    died.request("/healthz", 200, 0.1)
    with died.serving():
        assert not died.idle.is_set()
        again = Metrics(board)
        assert again.in_flight == 0
    again.request("/healthz", 200, 0.1)
    assert 'localization_requests_total{route="/healthz",status="200"} 2\n' in again.render()
