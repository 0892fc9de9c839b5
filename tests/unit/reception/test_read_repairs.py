"""One damaged row among regular ones: what its columns prove is put back, the rest is told."""

import pytest

from zanc_pipeline.reception.read import table_of

TITLES = "day;hour;qty;code;price;item;remark;link;extra"
ROWS = [
    [f"{day:02}/03/2024", f"{day % 24:02}:15", str(day % 9), f"AB-{7000 + day * 31}"]
    + [f"R$ {day},{day + 10}", f"{thing} stand", f'"made of {thing}; painted by hand, twice"']
    + [f'"https://shop.example/{day}"', ""]
    for day, thing in enumerate(["oak", "iron", "glass", "paper", "steel", "wool"] * 4, 1)
]
CLEAN = [[cell.strip('"') for cell in row] for row in ROWS]


def read_with(place: int, line: str) -> list[list[str]]:
    lines = [";".join(row) for row in ROWS]
    lines[place] = line
    table = table_of("\r\n".join([TITLES, *lines, ""]).encode())
    assert table.header == TITLES.split(";")
    return list(table.rows)


@pytest.mark.parametrize("place", [0, 11, 20])
@pytest.mark.parametrize("column", range(1, 9))
def test_a_separator_that_is_gone_is_found_again(place: int, column: int) -> None:
    row = ROWS[place]
    assert read_with(place, ";".join(row[:column]) + ";".join(row[column:])) == CLEAN


@pytest.mark.parametrize("separator", [" ", ",", "\t", "|"])
def test_a_row_with_another_separator_keeps_its_quoted_texts(separator: str) -> None:
    assert read_with(11, separator.join(ROWS[11])) == CLEAN


def test_a_quote_too_many_moves_no_cell() -> None:
    row = list(ROWS[11])
    row[5] = '"' + row[5]
    wanted = [list(cells) for cells in CLEAN]
    wanted[11][5] = row[5]
    assert read_with(11, ";".join(row)) == wanted


def test_an_empty_column_without_a_header_stays() -> None:
    text = "".join(f"{place};x{place};\n" for place in range(9))
    assert [row[2] for row in table_of(text.encode()).rows] == [""] * 9
