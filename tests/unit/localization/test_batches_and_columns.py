"""Many questions in one statement, much waiting refused, many calls as columns."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from zanc_pipeline.common.codecs import parse_cpf, parse_phone
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.errors import DataError, UnavailableError
from zanc_pipeline.common.outcomes import Outcome
from zanc_pipeline.common.settings import load_settings
from zanc_pipeline.localization import store as service_store
from zanc_pipeline.localization.audit import Audit
from zanc_pipeline.localization.batching import Batcher
from zanc_pipeline.localization.calls import Call
from zanc_pipeline.localization.files import are_cpfs, are_phones
from zanc_pipeline.localization.folding import hours_of_week
from zanc_pipeline.localization.rules import load_rules
from zanc_pipeline.localization.store import Overloaded, Store


class Echo:
    """Answers what it is asked when it is let go; ``bad`` items fail."""

    def __init__(self, error: type[Exception] = DataError) -> None:
        self.batches: list[list[int]] = []
        self.began, self.go = asyncio.Event(), asyncio.Event()
        self.error = error

    async def run(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.began.set()
        await self.go.wait()
        if any(item < 0 for item in items):
            raise (
                DataError("bad")
                if self.error is DataError
                else UnavailableError("PostgreSQL", "here")
            )
        return [item * 10 for item in items]


async def test_what_is_asked_while_a_batch_flies_goes_together() -> None:
    echo = Echo()
    batcher = Batcher(echo.run, most=3, flights=1)
    first = asyncio.create_task(batcher.ask(1))
    await echo.began.wait()
    others = [asyncio.create_task(batcher.ask(number)) for number in (2, 3, 4, 5)]
    await asyncio.sleep(0)
    echo.go.set()
    assert await asyncio.gather(first, *others) == [10, 20, 30, 40, 50]
    assert echo.batches == [[1], [2, 3, 4], [5]]


async def test_one_bad_item_fails_alone() -> None:
    echo = Echo()
    echo.go.set()
    batcher = Batcher(echo.run, most=9, flights=1, linger=0.01)
    found = await asyncio.gather(*map(batcher.ask, (1, -1, 2)), return_exceptions=True)
    assert [one if isinstance(one, int) else type(one) for one in found] == [10, DataError, 20]


async def test_a_database_that_is_away_fails_all_at_once() -> None:
    echo = Echo(error=UnavailableError)
    echo.go.set()
    batcher = Batcher(echo.run, most=9, flights=1, linger=0.01)
    found = await asyncio.gather(*map(batcher.ask, (1, -1, 2)), return_exceptions=True)
    assert {type(one) for one in found} == {UnavailableError}
    assert len(echo.batches) == 1


async def test_too_much_waiting_is_refused_first_to_whom_it_belongs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_store, "MOST_WAITING_CALLS", 10)
    settings = load_settings(var=tmp_path)
    store = Store(settings, load_rules(settings))
    blocked = asyncio.Event()

    async def never(batch: object) -> list[list[int]]:
        await blocked.wait()
        return []

    monkeypatch.setattr(store._writes, "_run", never)
    call = Call(
        call_id="1",
        cpf="52998224725",
        phone="11987654321",
        started_at=datetime.now(UTC),
        talk_seconds=0.0,
        outcome=Outcome.BUSY,
    )
    waiting = [asyncio.create_task(store.record("norma", [call] * 5))]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as refused:
        await store.record("norma", [call])
    assert refused.value.by_caller
    waiting.append(asyncio.create_task(store.record("larga", [call] * 5)))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as refused:
        await store.record("leve", [call])
    assert not refused.value.by_caller
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert store.waiting.total() == 0


async def test_notes_wait_for_the_database_and_hold_answers_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zanc_pipeline.localization.audit.MOST_WAITING", 2)
    written: list[object] = []
    away = True

    async def write(rows: Sequence[object]) -> None:
        if away:
            raise UnavailableError("PostgreSQL", "here")
        written.extend(rows)

    audit = Audit(load_settings(var=tmp_path), write)
    audit.note("norma", "phones", "52998224725", 1)
    with pytest.raises(UnavailableError):
        await audit.flush()
    audit.require_room()
    audit.note("norma", "phones", "52998224725", 1)
    with pytest.raises(UnavailableError):
        audit.require_room()
    away = False
    await audit.flush()
    assert (len(written), audit.waiting) == (2, 0)
    assert "52998224725" not in str(written)


def test_columns_hold_to_the_same_rules_as_single_values() -> None:
    chosen = random.Random(3)
    good = ["52998224725", "11144477735", "11111111111", "00000000191"]
    texts = [
        *good,
        *("".join(chosen.choices("0123456789", k=11)) for _ in range(3000)),
        *("".join(chosen.choices("0123456789-x", k=chosen.randrange(14))) for _ in range(500)),
        "",
        "é2998224725",
        "11987654321",
        "1133334444",
        "1163334444",
        "20987654321",
        "+5511987654321",
    ]
    texts += [
        one + parse_digits for one in ("529982247", "111444777") for parse_digits in ("25", "35")
    ]
    column = pa.array(texts)
    assert are_cpfs(column).tolist() == [parse_cpf(one) == one for one in texts]
    phones = [parse_phone(one) for one in texts]
    expected = [
        phone is not None and phone.number == one for phone, one in zip(phones, texts, strict=True)
    ]
    assert are_phones(column).tolist() == expected
    assert sum(expected) > 100


def test_hours_of_the_week_are_local_also_in_summers_past() -> None:
    moments = [
        datetime(2018, 11, 4, 2, 30, tzinfo=UTC) + timedelta(hours=hour, minutes=17 * hour)
        for hour in range(60)
    ]
    found = hours_of_week(np.array([int(one.timestamp() * 1e6) for one in moments]))
    local = [one.astimezone(LOCAL) for one in moments]
    assert found.tolist() == [(one.weekday() + 1) % 7 * 24 + one.hour for one in local]
