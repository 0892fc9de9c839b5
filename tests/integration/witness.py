"""What the carrier recorded, held against what the dialer says of its attempts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tests.integration import pbx
from zanc_pipeline.stack import asterisk

LATEST_RECORD_SECONDS = 240.0
"""A call whose PBX died is recorded when its audio has been silent for a minute; a machine that is
slow takes longer."""


def carried(world: pbx.World, numbers: Collection[str]) -> Counter[str]:
    """How often the carrier was asked for each of ``numbers``, by its own records so far."""
    return Counter(
        row.destination
        for row in asterisk.read_cdr(world.carrier.cdr_path)
        if row.destination in numbers
    )


def check(
    world: pbx.World,
    attempts: Sequence[Mapping[str, Any]],
    truth: Mapping[str, str] | None = None,
) -> None:
    """Every call that the carrier had is one attempt, and the other way round.

    Of an attempt that ended ``unknown`` nobody knows whether its call reached the carrier. With
    ``truth``, the last digit of a number → what became of it there, outcomes are compared too.
    """
    numbers = {one["phone"] for one in attempts}
    sure = Counter(
        one["phone"] for one in attempts if one["placed"] and one["outcome"] != "unknown"
    )
    perhaps = Counter(one["phone"] for one in attempts if one["placed"])
    deadline = time.monotonic() + LATEST_RECORD_SECONDS
    while True:
        found = carried(world, numbers)
        missing = sure - found
        if not missing or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    told = {number: (found[number], sure[number], perhaps[number]) for number in numbers}
    wrong = {number: one for number, one in told.items() if not one[1] <= one[0] <= one[2]}
    assert not wrong, f"number: (calls at the carrier, attempts sure, with unknown): {wrong}"
    assert len({one["id"] for one in attempts}) == len(attempts)
    for one in attempts:
        if truth is None or one["outcome"] in ("unknown", "cancelled"):
            continue
        happened = truth[one["phone"][-1]]
        # A person for whom no operator came in time was abandoned, and that is said.
        assert one["outcome"] in (happened, *(["abandoned"] if happened == "human" else [])), one
