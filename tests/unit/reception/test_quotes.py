"""Rows that go on over lines: what line by line joining gives, with every line looked at twice."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zanc_pipeline.reception.readers import quotes
from zanc_pipeline.reception.readers.quotes import QuotedRows, split_line


class Counted(Sequence[str]):
    """Lines that know how often one was asked for."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines, self.asked = lines, 0

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, index: int) -> str:  # type: ignore[override]
        self.asked += 1
        return self.lines[index]


def joined(lines: Sequence[str], index: int, most: int) -> tuple[list[str] | None, int]:
    """The row that starts at a line, by joining one line after the other."""
    for count in range(2, min(most, len(lines) - index) + 1):
        cells = split_line("\n".join(lines[index : index + count]), ";", '"')
        if cells is not None:
            return cells, count
    return None, 0


@given(
    lines=st.lists(st.text(alphabet='ab;"', max_size=7), min_size=1, max_size=25),
    width=st.integers(1, 5),
    most=st.integers(1, 6),
)
@settings(deadline=None)
def test_rows_over_lines_are_those_of_the_joined_lines(
    lines: list[str], width: int, most: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quotes, "MAX_JOINED_LINES", most)
        rows = QuotedRows(lines, len(lines), ";", '"')
        for index, line in enumerate(lines):
            if split_line(line, ";", '"') is None:
                cells, count = joined(lines, index, most)
                fits = cells is not None and len(cells) == width
                assert rows.row(index, width) == (cells if fits else None, count)


@pytest.mark.parametrize("line", ['a;"b', '"a";"b', 'x;"y";"'])
def test_quotes_that_do_not_close_are_looked_at_twice_however_many_there_are(line: str) -> None:
    lines = Counted([line] * 2_000)
    rows = QuotedRows(lines, len(lines), ";", '"')
    for index in range(len(lines)):
        assert rows.row(index, 9)[0] is None
    assert lines.asked < 2.1 * len(lines)
