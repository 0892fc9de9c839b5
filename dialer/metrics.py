"""What the dialer tells Prometheus; docs/monitoring.md lists the names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime

from dialer import monitor
from dialer.engine import Engine
from dialer.live import open_calls
from zanc_pipeline.common.exposition import Family, one


def families(engine: Engine, outbox: Mapping[str, int], now: datetime) -> Iterator[Family]:
    """Every figure; ``outbox`` counts the calls not yet, and never, taken by localization."""
    yield one("zanc_dialer_open_calls", "Calls under way.", open_calls(engine.floor.calls.values()))
    yield one("zanc_dialer_campaigns", "Campaigns that are not finished.", len(engine.campaigns))
    yield Family(
        name="zanc_dialer_operators",
        about="Operators by state.",
        samples=[({"state": state}, n) for state, n in sorted(engine.floor.by_state().items())],
    )
    yield Family(
        name="zanc_dialer_attempts_total",
        about="Attempts that ended since the dialer started, by outcome.",
        kind="counter",
        samples=[({"outcome": outcome}, n) for outcome, n in sorted(engine.ended.items())],
    )
    yield Family(
        name="zanc_dialer_outbox",
        about="Calls not yet (pending) and never (refused) taken by localization.",
        samples=[({"state": state}, n) for state, n in outbox.items()],
    )
    calls, short = engine.book.volumes.of_day(now)
    yield one("zanc_dialer_calls_today", "Calls of today (local day).", calls)
    yield one("zanc_dialer_short_calls_today", "Short calls of today, as Anatel counts.", short)
    alarms = Counter((one.rule, one.brake) for one in engine.book.alarms(now))
    yield Family(
        name="zanc_dialer_alarms",
        about="Figures near their limit (brake 0) or so high that no call leaves (brake 1).",
        samples=[
            ({"rule": rule, "brake": str(int(brake))}, n)
            for (rule, brake), n in sorted(alarms.items())
        ],
    )
    yield one(
        "zanc_dialer_rules_unreadable",
        "1 while config/regras.yaml or a list of it can't be read: no call leaves.",
        int(bool(engine.book.problem)),
    )
    yield from _centrais(engine, now)
    yield from _campaigns(engine)


def _centrais(engine: Engine, now: datetime) -> Iterator[Family]:
    centrais = engine.pbxs.figures(now)
    trunks = [
        ({"pbx": central["name"], "trunk": trunk["name"]}, trunk)
        for central in centrais
        for trunk in central["trunks"]
    ]
    yield Family(
        name="zanc_dialer_pbx_up",
        about="1 while the PBX is connected.",
        samples=[({"pbx": name}, int(pbx.connected)) for name, pbx in engine.pbxs.items()],
    )
    yield Family(
        name="zanc_dialer_pbx_draining",
        about="1 while the PBX is emptied: it gets no new calls until somebody says otherwise.",
        samples=[({"pbx": central["name"]}, int(central["drained"])) for central in centrais],
    )
    yield Family(
        name="zanc_dialer_pbx_lines",
        about="Lines in use on the PBX.",
        samples=[({"pbx": central["name"]}, central["lines"]) for central in centrais],
    )
    yield Family(
        name="zanc_dialer_trunk_lines",
        about="Lines in use on the trunk.",
        samples=[(labels, trunk["lines"]) for labels, trunk in trunks],
    )
    yield Family(
        name="zanc_dialer_trunk_blocked",
        about="1 while the trunk is left alone after failures.",
        samples=[(labels, int(trunk["state"] != "ok")) for labels, trunk in trunks],
    )


_OF_CAMPAIGN = (
    ("zanc_dialer_lines", "lines", "Lines that the pacer holds open."),
    ("zanc_dialer_waiting", "waiting", "Persons who wait for an operator."),
    ("zanc_dialer_talking", "talking", "Conversations."),
    ("zanc_dialer_answered_today", "answered", "Persons who answered today."),
    ("zanc_dialer_abandoned_share", "abandoned_share", "Abandoned of answered, today, 0 to 1."),
    (
        "zanc_dialer_abandoned_share_30_days",
        "abandoned_share_30_days",
        "Abandoned of answered over 30 days, 0 to 1.",
    ),
    ("zanc_dialer_abandoned_limit", "abandoned_limit", "The most that it may be, 0 to 1."),
)


def _campaigns(engine: Engine) -> Iterator[Family]:
    shown = [monitor.campaign(engine, campaign) for campaign in engine.campaigns.values()]
    for name, key, about in _OF_CAMPAIGN:
        yield Family(
            name=name,
            about=about,
            samples=[
                ({"campaign": campaign["id"]}, campaign[key])
                for campaign in shown
                if campaign[key] is not None
            ],
        )
    yield Family(
        name="zanc_dialer_campaign_operators",
        about="Operators who serve the campaign, by state.",
        samples=[
            ({"campaign": campaign["id"], "state": state}, n)
            for campaign in shown
            for state, n in sorted(campaign["operators"].items())
        ],
    )
