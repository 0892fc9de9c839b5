"""Chunks that follow a pattern have the cells that a search for every separator finds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zanc_pipeline.reception.readers.base import Chunk
from zanc_pipeline.reception.readers.pattern import Finder, PatternCells, RowPattern
from zanc_pipeline.reception.readers.tokens import Tokens, find_tokens

WIDTH = 12
SEVERAL = st.sets(st.integers(0, WIDTH - 1), max_size=3)


def rows_of(count: int, several: set[int], quoted: set[int], *, newline: str = "\n") -> str:
    """Lines whose cells have one size, but for those of ``several``: 0 to 69 bytes."""
    lines = []
    for row in range(count):
        cells = [
            "x" * ((row * 7 + column) % 70) if column in several else f"{row % 10}" * (column % 4)
            for column in range(WIDTH)
        ]
        cells = [f'"{cell}"' if at in quoted else cell for at, cell in enumerate(cells)]
        lines.append(";".join(cells) + newline)
    return "".join(lines)


def chunk(text: str) -> Chunk:
    return Chunk.of(text.encode(), offset=0, line=1)


def searched(text: str) -> Tokens:
    return find_tokens(chunk(text), WIDTH, ord(";"), ord('"'))


def same(found: PatternCells, text: str) -> None:
    """Assert that all lines are clean by the search too, with the same cells."""
    tokens = searched(text)
    assert tokens.clean.tolist() == found.clean.tolist()
    assert tokens.line_starts.tolist() == found.line_starts.tolist()
    assert tokens.line_ends.tolist() == found.line_ends.tolist()
    for column in range(WIDTH):
        texts = tokens.texts(column).to_pylist()
        assert found.texts(column).to_pylist() == texts
        assert found.cells(column).texts().cast("string").to_pylist() == texts


def pattern(text: str) -> RowPattern:
    found = RowPattern.of(searched(text), ord(";"), ord('"'))
    assert found is not None
    return found


@given(
    several=SEVERAL,
    quoted=st.sampled_from([set(), {0, 3, WIDTH - 1}, set(range(WIDTH))]),
    rows=st.integers(1, 30),
    newline=st.sampled_from(["\n", "\r\n"]),
)
@settings(deadline=None, max_examples=25)
def test_lines_that_follow_are_cut_as_by_the_search(
    several: set[int], quoted: set[int], rows: int, newline: str
) -> None:
    learnt = pattern(rows_of(80, several, quoted, newline=newline))
    text = rows_of(rows, several, quoted, newline=newline)
    if max(len(cell) for line in text.split(newline) for cell in line.split(";")) < 64:
        found = learnt.cells(chunk(text))
        assert found is not None
        same(found, text)


@given(
    several=SEVERAL,
    quoted=st.sampled_from([set(), set(range(WIDTH))]),
    changes=st.lists(
        st.tuples(
            st.integers(0, 2_000),
            st.integers(0, 3),
            st.text(alphabet=';"\n\r x1{', max_size=3),
        ),
        min_size=1,
        max_size=3,
    ),
)
@settings(deadline=None)
def test_lines_that_do_not_follow_are_left_to_the_search(
    several: set[int], quoted: set[int], changes: list[tuple[int, int, str]]
) -> None:
    learnt = pattern(rows_of(80, several, quoted))
    text = rows_of(9, several, quoted)
    for place, gone, new in changes:
        at = place % len(text)
        text = text[:at] + new + text[at + gone :]
    found = learnt.cells(chunk(text)) if text else None
    if found is not None:
        same(found, text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (";22;", ";2{2"),
        (";22;333;", ";2;2333;"),
        (";22;333;;5;66;777;;9;", ";22;333;;5;667;77;;9;"),
        ("\n", "\r\n"),
        ("333", '3"3'),
    ],
)
def test_one_line_of_another_shape_is_seen(old: str, new: str) -> None:
    text = "".join(f";1;22;333;;5;66;777;;9;00;111{end}" for end in "\n" * 9)
    learnt = pattern(text)
    assert learnt.cells(chunk(text)) is not None
    assert learnt.cells(chunk(text[:60] + text[60:].replace(old, new, 1))) is None


def test_a_finder_learns_from_what_was_cut_and_gives_up_what_does_not_repeat() -> None:
    finder = Finder(WIDTH, ord(";"), ord('"'))
    one, other = rows_of(20, set(), set()), (";".join(["ab"] * WIDTH) + "\n") * 20
    for turn in range(5):
        assert isinstance(finder.find(chunk(one)), Tokens)
        finder.learn(searched(one))
        assert isinstance(finder.find(chunk(one)), PatternCells if turn < 2 else Tokens)
        assert isinstance(finder.find(chunk(other)), Tokens)
        finder.learn(searched(other))


@pytest.mark.parametrize("several", [{0, 1, 2, 3}, set(range(WIDTH))])
def test_a_file_of_many_sizes_has_no_pattern(several: set[int]) -> None:
    assert RowPattern.of(searched(rows_of(80, several, set())), ord(";"), None) is None
