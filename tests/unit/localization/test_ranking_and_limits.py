"""Which phone first, and which not at all."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import load_settings
from zanc_pipeline.localization.limits import decide, start_of_day
from zanc_pipeline.localization.metrics import Metrics
from zanc_pipeline.localization.queries import DIAL_FACTS, positional
from zanc_pipeline.localization.ranking import rank_phones
from zanc_pipeline.localization.rules import Limits, Rules, load_rules

NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
RULES = Rules(
    limites=Limits(
        tentativas_por_telefone_dia=3,
        tentativas_por_pessoa_dia=6,
        dias_sem_ligar_apos_conversa=2,
    ),
    titular_confirmado_vale_dias=180,
)


def phone(number: str = "11987654321", **changed: Any) -> dict[str, Any]:
    return {
        "phone": number,
        "mobile": len(number) == 11,
        "source": "banco_aurora",
        "first_seen": date(2026, 1, 2),
        "attempts": 0,
        "answers": 0,
        "misses_in_a_row": 0,
        "last_outcome": None,
        "last_attempt_at": None,
        "last_right_party_at": None,
        "last_wrong_person_at": None,
        "suppressed": None,
        "people": 1,
        "invalid": False,
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


def order(*phones: dict[str, Any]) -> list[str]:
    return [ranked.phone for ranked in rank_phones(phones, now=NOW, rules=RULES)]


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
        (called(40, 0, misses_in_a_row=40), {"invalid": True}),
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
    scores = [rank_phones([row], now=NOW, rules=RULES)[0].score for row in (old, undone, plain)]
    assert len(set(scores)) == 1


def test_the_evidence_says_what_is_known() -> None:
    row = phone(
        people=3, **called(4, 1, misses_in_a_row=2, last_right_party_at=NOW - timedelta(days=1))
    )
    assert rank_phones([row], now=NOW, rules=RULES)[0].evidence == (
        "o titular falou neste número há 1 dia",
        "4 chamadas, 1 atendida",
        "última há 3 dias: uma pessoa atendeu",
        "2 seguidas sem ninguém atender",
        "o mesmo número consta de 3 pessoas",
        "informado por banco_aurora desde 02/01/2026",
    )
    assert "nunca foi chamado" in rank_phones([phone()], now=NOW, rules=RULES)[0].evidence


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, None),
        ({"phone_attempts": 2, "person_attempts": 5}, None),
        ({"phone_attempts": 3}, "phone_limit"),
        ({"person_attempts": 6}, "person_limit"),
        ({"talked_at": NOW - timedelta(hours=47)}, "talked_recently"),
        ({"talked_at": NOW - timedelta(hours=48)}, None),
        ({"suppressed": "wrong_person"}, "wrong_person"),
        ({"suppressed": "invalid_number"}, "invalid_number"),
        ({"invalid": True}, "invalid_number"),
        ({"deceased": True, "invalid": True}, "deceased"),
    ],
)
def test_a_phone_may_be_dialled_unless(changed: dict[str, Any], reason: str | None) -> None:
    facts = {
        "phone": "11987654321",
        "phone_attempts": 0,
        "person_attempts": 0,
        "suppressed": None,
        "invalid": False,
        "deceased": False,
        "talked_at": None,
        **changed,
    }
    [verdict] = decide([facts], now=NOW, limits=RULES.limits)
    assert (verdict.dial, verdict.reason) == (reason is None, reason)
    assert (verdict.texto is None) == (reason is None)


def test_the_day_begins_at_midnight_in_sao_paulo() -> None:
    assert start_of_day(datetime(2026, 11, 24, 1, 0, tzinfo=UTC)) == datetime(
        2026, 11, 23, 3, 0, tzinfo=UTC
    )


def test_the_shipped_rules_are_valid(tmp_path: Path) -> None:
    assert load_rules(load_settings(var=tmp_path)) == RULES


def test_a_wrong_rule_is_named(tmp_path: Path) -> None:
    (tmp_path / "localization.yaml").write_text("limites: {tentativas_por_telefone_dia: 0}\n")
    with pytest.raises(ConfigError, match=r"limites\.tentativas_por_telefone_dia"):
        load_rules(load_settings(config=tmp_path, var=tmp_path / "var"))


def test_a_query_is_rewritten_for_asyncpg() -> None:
    query, names = positional(DIAL_FACTS)
    assert sorted(names) == ["cpf", "phones", "today"]
    assert "%(" not in query
    assert f"${names.index('phones') + 1}::text[]" in query


def test_the_histogram_is_cumulative() -> None:
    metrics = Metrics()
    for seconds in (0.001, 0.02, 9.0):
        metrics.request("GET", "/healthz", 200, seconds)
    with metrics.serving():
        assert not metrics.idle.is_set()
    page = metrics.render()
    assert 'localization_request_seconds_bucket{route="/healthz",le="0.005"} 1\n' in page
    assert 'localization_request_seconds_bucket{route="/healthz",le="0.025"} 2\n' in page
    assert 'localization_request_seconds_bucket{route="/healthz",le="+Inf"} 3\n' in page
    assert 'localization_requests_total{method="GET",route="/healthz",status="200"} 3\n' in page
    assert metrics.idle.is_set()
