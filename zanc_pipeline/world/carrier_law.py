"""What the simulated network does with a live call: the law applied to the world's truth.

A number's next call depends on its past, its live calls and the seed only, so the same calls have
the same outcomes whatever else is dialled. Live results come back from the carrier's journal when
the process starts again.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.outcomes import Outcome
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.world import law, truth
from zanc_pipeline.world.carrier import FAILURE, CallPlan
from zanc_pipeline.world.speech import GREETINGS, HELLOS

log = logging.getLogger(__name__)

JOURNAL = "carrier.jsonl"
SHORTEST_TALK = 8.0
"""Seconds, whatever the time scale: an operator must have the time to come to the line."""
_MACHINE_SECONDS = 30.0


@dataclass(kw_only=True)
class _Line:
    """What live calls made of a number."""

    calls: int = 0
    misses: int | None = None
    last: int | None = None


class CarrierLaw:
    """Decides calls for ``zanc_pipeline.world.carrier.serve``.

    ``path`` is ``truth.sqlite3``; ``journal`` the carrier's, read once. ``time_scale`` divides
    ring and talk.
    """

    def __init__(
        self, path: Path, *, seed: int, time_scale: float, journal: Path | None = None
    ) -> None:
        self._path, self._seed, self._scale = path, seed, time_scale
        self._journal = journal
        self._lines: dict[str, _Line] = {}
        self._world: int | None = None

    def decide(self, number: str, now: datetime) -> CallPlan:
        """What happens to a call to ``number`` (digits) at ``now`` (aware).

        A number of nobody is invalid. Without a world every call is a failure of the network.
        """
        try:
            self._follow_world()
            phone = self._look_up(number)
        except (FileNotFoundError, sqlite3.Error) as error:
            log.warning("carrier: %s cannot be read (%s): the call fails", self._path, error)
            return FAILURE
        line = self._lines.setdefault(number, _Line())
        random = law.random_stream(self._seed, "call", number, line.calls)
        if phone is None:
            line.calls += 1
            return self._plan(law.INVALID, number, random, owner=False, mobile=True, deceased=False)
        hour, weekday = law.calling_hour(now)
        misses = phone["misses"] if line.misses is None else line.misses
        last = phone["last"] if line.last is None else line.last
        seen = date.fromisoformat(phone["first_seen"])
        p = law.answer_probability(
            hour=hour,
            weekday=weekday,
            mobile=phone["mobile"],
            age_days=(now.astimezone(law.LOCAL).date() - seen).days,
            misses=misses,
            last=last,
            quality=phone["quality"],
            dead=phone["dead"],
        )
        result = int(
            law.draw_result(random.random(), p, phone["mobile"], phone["quality"], phone["dead"])
        )
        self._note(line, result, misses)
        return self._plan(
            result,
            number,
            random,
            owner=bool(phone["owner"]),
            mobile=bool(phone["mobile"]),
            deceased=bool(phone["deceased"]),
        )

    def _plan(
        self,
        result: int,
        number: str,
        random: law.Random,
        *,
        owner: bool,
        mobile: bool,
        deceased: bool,
    ) -> CallPlan:
        ring = float(law.ring_seconds(random, result)[0]) / self._scale
        outcome = Outcome(law.RESULTS[result])
        # A person's and a machine's voice stay the same from call to call.
        voice = int(number[-4:] or 0)
        if outcome is Outcome.HUMAN:
            right = random.random() < float(
                law.right_party_probability(mobile=mobile, owner=owner, deceased=deceased)
            )
            talk = float(law.talk_seconds(random, right)[0]) / self._scale
            return CallPlan(
                outcome=outcome,
                ring_seconds=ring,
                talk_seconds=max(talk, SHORTEST_TALK),
                voice=HELLOS[voice % len(HELLOS)],
            )
        if outcome is Outcome.MACHINE:
            return CallPlan(
                outcome=outcome,
                ring_seconds=ring,
                talk_seconds=_MACHINE_SECONDS,
                voice=GREETINGS[voice % len(GREETINGS)],
            )
        return CallPlan(outcome=outcome, ring_seconds=ring)

    def _look_up(self, number: str) -> sqlite3.Row | None:
        with truth.reading(self._path) as connection:
            row: sqlite3.Row | None = connection.execute(
                "SELECT phone.*, deceased FROM phone JOIN person USING (cpf) WHERE number = ?",
                (number,),
            ).fetchone()
        return row

    def _follow_world(self) -> None:
        """Forget the live calls when the world was generated anew; else know those before us."""
        world = self._path.stat().st_ino
        if world == self._world:
            return
        first = self._world is None
        self._world = world
        self._lines.clear()
        if first:
            for number, outcome in self._journalled():
                line = self._lines.setdefault(number, _Line())
                phone = self._look_up(number) if line.misses is None else None
                if outcome not in law.RESULTS:
                    continue
                misses = (
                    line.misses if line.misses is not None else (phone["misses"] if phone else 0)
                )
                self._note(line, law.RESULTS.index(outcome), misses)

    def _journalled(self) -> Iterator[tuple[str, str]]:
        if self._journal is None or not self._journal.is_file():
            return
        with self._journal.open(encoding="utf-8") as lines:
            for text in lines:
                try:
                    entry = json.loads(text)
                    yield str(entry["number"]), str(entry["outcome"])
                except (ValueError, KeyError, TypeError):
                    # The last line, cut by a kill: that call was never answered to the carrier.
                    log.warning("carrier: a line of %s cannot be read", self._journal)

    @staticmethod
    def _note(line: _Line, result: int, misses: int) -> None:
        line.calls += 1
        line.misses = int(law.misses_after(misses, result))
        line.last = result


def carrier_law(settings: Settings) -> CarrierLaw:
    """The law of the world of ``settings``."""
    if settings.world.time_scale <= 0:
        raise ConfigError("config/stack.yaml: world.time_scale must be greater than 0")
    folder = truth.world_folder(settings)
    return CarrierLaw(
        folder / "truth.sqlite3",
        seed=settings.world.seed,
        time_scale=settings.world.time_scale,
        journal=folder / JOURNAL,
    )
