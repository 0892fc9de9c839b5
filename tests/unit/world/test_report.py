"""What makes a demo fail: every count that does not agree with its counterpart."""

from __future__ import annotations

from typing import Any

import pytest

from zanc_pipeline.world import report

GOOD = {"fault": None, "rows_good": 95, "rows_bad": 5}


def delivery(**changes: Any) -> dict[str, Any]:
    return {
        "file_name": "A.csv",
        "convenio": "banco_aurora",
        "status": "loaded",
        "rows_total": 100,
        "rows_accepted": 95,
        "rows_rejected": 5,
        "rows_in_crm": 95,
        "reason": None,
        "rejections": [],
        "put_aside": 0,
        "sent": GOOD,
    } | changes


def facts(**changes: Any) -> dict[str, Any]:
    """The facts of a demo in which everything agrees."""
    return {
        "runs": [{"dag": "reception__banco_aurora", "run": "r1", "state": "success"}],
        "deliveries": [delivery()],
        "not_loaded": [],
        "crms": {"norma": {"rows": 95, "expected": 95}},
        "localization": {"calls_from_dialer": 7, "attempts_to_export": 7},
        "lines": {"differences": []},
        "campaign": {"status": "finished", "leads": 3, "leads_ended": 3},
        "mailing": {"unbalanced": []},
    } | changes


def test_nothing_is_wrong_when_all_agrees() -> None:
    assert report.problems(facts()) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"runs": [{"dag": "d", "run": "r", "state": "failed"}]}, "DAG run d r ended as failed"),
        ({"not_loaded": ["A.csv"]}, "A.csv: its creditor sent it and it is not loaded"),
        ({"crms": {"norma": {"rows": 94, "expected": 95}}}, "holds 94 rows, 95"),
        ({"localization": {"calls_from_dialer": 6, "attempts_to_export": 7}}, "6 of the dialer"),
        ({"lines": {"differences": ["number ***1: 2 and 1"]}}, "number ***1"),
        ({"campaign": None}, "does not know the campaign"),
        ({"campaign": {"status": "finished", "leads": 3, "leads_ended": 2}}, "2 of 3 ended"),
        ({"campaign": {"status": "failed", "leads": 3, "leads_ended": 3}}, "campaign failed"),
        ({"mailing": {"unbalanced": ["3 leads, but 2 candidates kept"]}}, "2 candidates"),
    ],
)
def test_each_disagreement_is_told(changes: dict[str, Any], told: str) -> None:
    (problem,) = report.problems(facts(**changes))
    assert told in problem


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rows_total": 101}, ["101 rows came, 100 accounted for"]),
        ({"rows_in_crm": 94}, ["95 rows accepted, the CRM took 94"]),
        ({"rows_in_crm": None}, ["the CRM took None"]),
        ({"sent": GOOD | {"rows_good": 96}}, ["rows_accepted is 95, the creditor sent 96"]),
        ({"sent": GOOD | {"rows_bad": 4}}, ["rows_rejected is 5, the creditor sent 4"]),
        ({"status": "quarantined"}, ["nothing is wrong with the file"]),
        ({"status": "accepted"}, ["nothing is wrong with the file"]),
        ({"sent": GOOD | {"fault": "control_total"}}, ["loaded, although its fault"]),
        ({"sent": None}, []),
        ({"status": "duplicate"}, []),
        ({"rows_accepted": 94, "rows_in_crm": 94, "rows_rejected": 6, "put_aside": 1}, []),
        (
            {"rows_accepted": 93, "rows_in_crm": 93, "rows_rejected": 7, "put_aside": 2},
            ["2 good rows were put aside"],
        ),
        ({"status": "quarantined", "sent": GOOD | {"fault": "empty"}}, []),
    ],
)
def test_a_file_is_held_against_what_its_creditor_sent(
    changes: dict[str, Any], told: list[str]
) -> None:
    found = report.problems(facts(deliveries=[delivery(**changes)]))
    assert len(found) == len(told)
    assert all(words in problem for words, problem in zip(told, found, strict=True))
