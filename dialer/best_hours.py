"""The best hours of each phone that a campaign can keep: those in which it may be called. Pure.

The mailing tells for each phone its best local hours, the planned one first. In each hour the
dialer first calls those planned for it, then those who have nothing to wait for (no hours told,
the planned one is over, or this hour is among their best), and only when nobody else is left those
whose hour is still to come: an operator never waits for an hour. An hour in which the phone may not
be called, by the campaign or by the rules of its state, is no hour to wait for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, time, timedelta

from dialer.mailing import MailingLead
from dialer.permission import Listed, Rules, judge
from dialer.rules import CallingHours
from zanc_pipeline.common.days import LOCAL


def usable(
    leads: Iterable[MailingLead], *, rules: Rules, hours: CallingHours, now: datetime
) -> list[MailingLead]:
    """The leads with those of their best hours in which the phone may be called on this day."""
    midnight = datetime.combine(now.astimezone(LOCAL).date(), time(), LOCAL)
    # Who is on a list is refused when it is dialled; here only the place and the hour count.
    rules = replace(rules, listed=Listed(), opted_out=Listed())
    open_: dict[tuple[str, int], bool] = {}

    def may(phone: str, hour: int) -> bool:
        place = phone[:6], hour  # DDD and prefix say where the phone is
        if place not in open_:
            moment = midnight + timedelta(hours=hour)
            _, refused = judge(rules, cpf="", phone=phone, hours=hours, now=moment)
            open_[place] = refused is None
        return open_[place]

    return [
        replace(
            lead,
            hours=tuple(
                () if phone in lead.refused else tuple(hour for hour in best if may(phone, hour))
                for phone, best in zip(lead.phones, lead.hours, strict=True)
            ),
        )
        if any(lead.hours)
        else lead
        for lead in leads
    ]
