"""The world's past: calls of 120 days and what was paid, drawn by the law call after call.

Everything is vectorised over phones: round ``k`` plays the k-th call of every phone, so the result
and the misses that a call sees are those of the calls before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from zanc_pipeline.world import law
from zanc_pipeline.world.law import Bools, Floats, Ints
from zanc_pipeline.world.people import MOST_CONTRACTS, Contracts, People, Phones, ease_of, reais

PAST_DAYS = 120
PAYMENT_DAYS = 30
_SNAPSHOTS = (-91, -61, -31)
_COHORT_DAYS, _COHORTS = 7, 4
_FIRST_CALL_AFTER_DUE = 3
_MOST_CALLS_TO_DEAD = 3
_GIVEN_UP = 1.27
"""Calls drawn for each that stays."""
_NEVER = 10**6
_STAFF = np.array([5, 8, 10, 10, 8, 7, 9, 10, 10, 10, 8, 5])
"""How many calls a call centre makes in each hour from 8 to 19."""


@dataclass(frozen=True, kw_only=True)
class Calls:
    """One row a past call, in order of time. Seconds count from the day of generation, local."""

    phone: Ints
    contract: Ints
    second: Ints
    ring: Floats
    talk: Floats
    result: Ints
    tabulation: Ints
    p_answer: Floats
    misses: Ints
    """Calls in a row without a person before this one."""

    def __len__(self) -> int:
        return len(self.phone)


@dataclass(frozen=True, kw_only=True)
class Portfolio:
    """One row a contract and snapshot; ``paid`` within the 30 days after it."""

    contract: Ints
    snapshot: Ints
    paid: Bools
    p_payment: Floats


def make_past(
    seed: int, calls: int, day: date, people: People, phones: Phones, contracts: Contracts
) -> tuple[Calls, Portfolio, Ints]:
    """About ``calls`` past calls, the payments, and the day each contract was paid.

    A contract still open has a day of payment far in the future.
    """
    played = _play(
        seed, _schedule(seed, calls, day, people, phones, contracts), day, people, phones, contracts
    )
    portfolio, paid_on = _pay(seed, day, played, people, phones, contracts)
    return _without_settled(played, paid_on, phones, contracts), portfolio, paid_on


def open_contracts(paid_on: Ints) -> Bools:
    """Which contracts are still open on the day of generation."""
    return paid_on >= _NEVER


def _by_person(values: Ints, contracts: Contracts, people: int, missing: int) -> Ints:
    """``values`` of contracts as a row for each person, in order of due date."""
    count = np.bincount(contracts.person, minlength=people)
    place = np.arange(len(contracts)) - (np.cumsum(count) - count)[contracts.person]
    table = np.full((people, MOST_CONTRACTS), missing, dtype=np.int64)
    table[contracts.person, place] = values
    return table


def _schedule(
    seed: int, calls: int, day: date, people: People, phones: Phones, contracts: Contracts
) -> tuple[Ints, Ints, Ints]:
    """Who is called when about which contract, ordered by phone and time."""
    random = law.random_stream(seed, "schedule")
    due = _by_person(contracts.due, contracts, len(people), _NEVER)
    start = np.maximum(-PAST_DAYS, due[:, 0] + _FIRST_CALL_AFTER_DUE + 1)[phones.person]
    start = np.maximum(start, phones.first_seen)
    window = np.maximum(0 - start, 0)
    weight = random.gamma(1.5, 1.0, len(phones)) * window
    # Calls to dead numbers and to people who have paid are given up: draw some more.
    phone = random.choice(len(phones), int(calls * _GIVEN_UP), p=weight / weight.sum())
    days = start[phone] + (random.random(len(phone)) * window[phone]).astype(np.int64)
    # Nobody is called on Sundays: half of those calls are a day earlier, half a day later.
    sunday = (days + day.weekday()) % 7 == 6
    later = (random.random(len(phone)) < 0.5) | (days <= start[phone])
    days += np.where(sunday, np.where(later, 1, -1), 0)
    saturday = (days + day.weekday()) % 7 == 5
    hour = random.choice(12, len(phone), p=_STAFF / _STAFF.sum())
    hour = law.FIRST_HOUR + np.where(saturday, hour // 2, hour)
    second = days * 86_400 + hour * 3_600 + random.integers(0, 3_600, len(phone))
    order = np.lexsort((second, phone))
    phone, second, days = phone[order], second[order], days[order]
    rank = np.arange(len(phone)) - np.searchsorted(phone, phone)
    keep = (days < 0) & (~phones.dead[phone] | (rank < _MOST_CALLS_TO_DEAD))
    phone, second, days = phone[keep], second[keep], days[keep]
    owed = (due[phones.person[phone]] + _FIRST_CALL_AFTER_DUE < days[:, None]).sum(axis=1)
    pick = (random.random(len(phone)) * owed).astype(np.int64)
    first = np.searchsorted(contracts.person, np.arange(len(people)))
    return phone, second, first[phones.person[phone]] + pick


def _play(
    seed: int,
    schedule: tuple[Ints, Ints, Ints],
    day: date,
    people: People,
    phones: Phones,
    contracts: Contracts,
) -> Calls:
    """Draw the outcome of each call by the law, the k-th calls of all phones at once."""
    phone, second, contract = schedule
    random = law.random_stream(seed, "calls")
    count = len(phone)
    days = second // 86_400
    hour = (second % 86_400) // 3_600
    weekday = (days + day.weekday()) % 7
    rank = np.arange(count) - np.searchsorted(phone, phone)
    uniform = random.random(count)
    result = np.zeros(count, dtype=np.int64)
    misses_before = np.zeros(count, dtype=np.int64)
    p_answer = np.zeros(count)
    last = np.zeros(len(phones), dtype=np.int64)
    misses = np.zeros(len(phones), dtype=np.int64)
    abandoned = random.random(count) < law.ABANDONED_SHARE
    by_rank = np.argsort(rank, kind="stable")
    for calls in np.split(by_rank, np.cumsum(np.bincount(rank))[:-1]):
        line = phone[calls]
        mobile, quality, dead = phones.mobile[line], phones.quality[line], phones.dead[line]
        p = law.answer_probability(
            hour=hour[calls],
            weekday=weekday[calls],
            mobile=mobile,
            age_days=days[calls] - phones.first_seen[line],
            misses=misses[line],
            last=last[line],
            quality=quality,
            dead=dead,
        )
        ended = law.draw_result(uniform[calls], p, mobile, quality, dead)
        ended = np.where((ended == law.HUMAN) & abandoned[calls], law.ABANDONED, ended)
        p_answer[calls], result[calls], misses_before[calls] = p, ended, misses[line]
        misses[line], last[line] = law.misses_after(misses[line], ended), ended
    deceased = people.deceased[phones.person[phone]] & phones.owner[phone]
    right = random.random(count) < law.right_party_probability(
        mobile=phones.mobile[phone], owner=phones.owner[phone], deceased=deceased
    )
    talked = result == law.HUMAN
    tabulation = law.draw_tabulation(
        random.random(count),
        right_party=right,
        deceased=deceased,
        amount=reais(contracts.cents[contract]),
        delay_days=days - contracts.due[contract],
    )
    order = np.argsort(second, kind="stable")
    return Calls(
        phone=phone[order],
        contract=contract[order],
        second=second[order],
        ring=law.ring_seconds(random, result)[order].round(1),
        talk=np.where(talked, law.talk_seconds(random, right), 0.0)[order].round(1),
        result=result[order],
        tabulation=np.where(talked, tabulation, 0)[order],
        p_answer=p_answer[order],
        misses=misses_before[order],
    )


def _pay(
    seed: int, day: date, calls: Calls, people: People, phones: Phones, contracts: Contracts
) -> tuple[Portfolio, Ints]:
    """Snapshots of what was open and whether it was paid, each from what was known by then.

    People are snapped in four weekly cohorts, three times each, in windows that do not overlap.
    """
    random = law.random_stream(seed, "payments")
    cohort = np.arange(len(people)) % _COHORTS
    person = contracts.person
    age = np.array([(day - birth).days / 365.25 for birth in people.birth])
    ease = ease_of(contracts.convenio, contracts.product)
    speaker, day_of_call = phones.person[calls.phone], calls.second // 86_400
    right = np.isin(calls.tabulation, law.right_party_codes())
    promise = calls.tabulation == law.promise_code()
    paid_on = np.full(len(contracts), _NEVER)
    parts = []
    for base in _SNAPSHOTS:
        for group in range(_COHORTS):
            snapshot = base - _COHORT_DAYS * group
            is_open = (contracts.due < snapshot) & (paid_on > snapshot)
            rows = np.flatnonzero(is_open & (cohort[person] == group))
            recent = (day_of_call < snapshot) & (day_of_call >= snapshot - PAYMENT_DAYS)
            talked = np.bincount(speaker[recent & right], minlength=len(people)) > 0
            promised = np.bincount(speaker[recent & promise], minlength=len(people)) > 0
            owed = np.bincount(person[rows], minlength=len(people))
            p = law.payment_probability(
                amount=reais(amount_at(contracts.cents[rows], snapshot)),
                delay_days=snapshot - contracts.due[rows],
                ease=ease[rows],
                debtor_age=age[person[rows]],
                contracts=owed[person[rows]],
                talked=talked[person[rows]],
                promised=promised[person[rows]],
            )
            paid = random.random(len(rows)) < p
            paid_on[rows[paid]] = snapshot + random.integers(1, PAYMENT_DAYS + 1, int(paid.sum()))
            parts.append((rows, np.full(len(rows), snapshot), paid, p))
    rows, snapshots, paid, p = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((rows, snapshots))
    return (
        Portfolio(
            contract=rows[order],
            snapshot=snapshots[order],
            paid=paid[order],
            p_payment=p[order],
        ),
        paid_on,
    )


def amount_at(cents: Ints, snapshot: int) -> Ints:
    """What a contract amounted to ``-snapshot`` days ago: interest of 1 % a month came since."""
    amount: Ints = np.round(cents * 1.01 ** (snapshot / 30)).astype(np.int64)
    return amount


def _without_settled(calls: Calls, paid_on: Ints, phones: Phones, contracts: Contracts) -> Calls:
    """Nobody calls a person who has paid everything.

    Only the last calls of a phone go, so the states that the earlier ones saw stay true.
    """
    last = np.full(int(contracts.person.max()) + 1, -_NEVER)
    np.maximum.at(last, contracts.person, paid_on)
    keep = calls.second // 86_400 <= last[phones.person[calls.phone]]
    return Calls(**{name: values[keep] for name, values in vars(calls).items()})


def day_of(day: date, offset: int) -> date:
    """The date ``offset`` days from ``day``."""
    return day + timedelta(days=offset)
