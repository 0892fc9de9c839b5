"""What the mailings' pages say, from what was stored with each. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from zanc_pipeline.airflow.pages import places
from zanc_pipeline.mailing.explain import comparison, notes

if TYPE_CHECKING:
    from zanc_pipeline.mailing.service import Mailing, Why


def all_of_them(
    found: Sequence[Mailing], campaigns: Sequence[str], *, chosen: str
) -> dict[str, Any]:
    """The page of the latest mailings."""
    return {
        "chosen": chosen,
        "campaigns": [(name, places.mailings(campanha=name), name == chosen) for name in campaigns],
        "rows": [
            {
                "id": one.id,
                "address": places.mailing(one.campaign, one.id),
                "campaign": one.campaign,
                "day": one.day,
                "built": one.built_at,
                "leads": one.leads,
                "candidates": _candidates(one),
                "profit": one.expected.get("profit"),
                "at_random": one.details.get("at_random", {}).get("profit"),
            }
            for one in found
        ],
    }


def one(made: Mailing, before: Mailing | None, *, has_report: bool) -> dict[str, Any]:
    """The page of one mailing."""
    lines = comparison(made, before)
    top = max((abs(line.profit) for line in lines), default=0.0)
    return {
        "id": made.id,
        "campaign": made.campaign,
        "day": made.day,
        "built": made.built_at,
        "leads": made.leads,
        "sha256": made.sha256,
        "inputs": made.inputs_hash,
        "expected": made.expected,
        "at_random": made.details.get("at_random", {}).get("profit"),
        "waterfall": waterfall(made.waterfall),
        "comparison": [(line, abs(line.profit) / top if top else 0.0) for line in lines],
        "notes": notes(made),
        "back": places.mailings(campanha=made.campaign),
        "report": places.mailing(made.campaign, made.id, "relatorio") if has_report else None,
        "why": places.mailing(made.campaign, made.id, "por-que"),
        "run": places.campaign(made.campaign, made.id),
        "dag": places.dag(f"{places.MAILING}__{made.campaign}"),
        "before": None
        if before is None
        else (before.day, places.mailing(before.campaign, before.id)),
    }


def waterfall(steps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each step as a bar: where it starts and how long it is, as shares of who came in.

    The first step is who came in, the last who stayed; those between take people away.
    """
    whole = int(steps[0]["people"]) if steps else 0
    left, bars = whole, []
    for place, step in enumerate(steps):
        people = int(step["people"])
        edge = place in {0, len(steps) - 1}
        if not edge:
            left -= people
        start = 0 if edge else left
        bars.append(
            {
                "text": str(step["texto"]),
                "people": people,
                "sign": "" if place == 0 else "=" if edge else "−",
                "kind": "" if place == 0 else "ok" if edge else "bad" if people else "none",
                "start": max(start, 0) / whole if whole else 0.0,
                "width": people / whole if whole else 0.0,
            }
        )
    return bars


def why(reason: Why) -> dict[str, Any]:
    """What the form answers."""
    return {
        "reason": reason,
        "text": reason.texto,
        "kind": "ok" if reason.rank is not None else "wait",
    }


def _candidates(made: Mailing) -> int:
    return int(made.waterfall[0]["people"]) if made.waterfall else 0
