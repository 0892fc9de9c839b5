"""The exact optimum of the memoryless floor."""

from __future__ import annotations

import pytest

from dialer.optimum import memoryless


@pytest.mark.parametrize(
    ("operators", "answer", "occupancy"),
    [
        (10, 0.10, 0.827),
        (25, 0.25, 0.904),
        (25, 0.10, 0.897),
        (50, 0.25, 0.937),
        (50, 0.10, 0.934),
        (100, 0.25, 0.960),
    ],
)
def test_it_meets_the_known_figures(operators: int, answer: float, occupancy: float) -> None:
    assert memoryless(operators=operators, answer=answer).occupancy == pytest.approx(
        occupancy, abs=0.003
    )


def test_without_abandoning_it_is_the_progressive_rule() -> None:
    found = memoryless(operators=10, answer=0.25, max_abandon=1e-9)
    assert found.occupancy == pytest.approx(180 / (180 + 15 / 0.25), abs=0.001)
    assert found.time.sum() == pytest.approx(1)
