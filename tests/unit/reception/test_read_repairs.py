"""One damaged row among regular ones: what its columns prove is put back, the rest is told."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zanc_pipeline.reception.read import table_of

TITLES = "day;hour;qty;code;price;item;remark;link;extra"
THINGS = ["oak", "iron", "glass", "paper", "steel", "wool"] * 4
ROWS = [
    [
        f"{day:02}/03/2024",
        f"{day % 24:02}:15",
        str(day % 9),
        f"AB-{7000 + day * 31}",
        f"R$ {day},{day + 10}",
        f"{thing} stand",
        f'"made of {thing}; painted by hand, twice"',
        f'"https://shop.example/{day}"',
        "",
    ]
    for day, thing in enumerate(THINGS, 1)
]
CLEAN = [[cell.strip('"') for cell in row] for row in ROWS]


def read_with(place: int, line: str) -> list[list[str]]:
    lines = [";".join(row) for row in ROWS]
    lines[place] = line
    table = table_of("\r\n".join([TITLES, *lines, ""]).encode())
    assert table.header[: len(ROWS[0])] == TITLES.split(";")
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


def test_a_second_table_of_another_width_is_no_evidence_against_the_separator() -> None:
    first = "".join(";".join(row) + "\n" for row in [TITLES.split(";"), *ROWS])
    second = "".join(f"{place}/03/2024;a/b/{place};x;y;http://z/{place}\n" for place in range(20))
    table = table_of((first + second).encode())
    assert table.header == TITLES.split(";")
    assert list(table.rows)[: len(CLEAN)] == CLEAN
    assert any("outra tabela" in note for note in table.notes)


def test_words_parted_by_blanks_are_gathered_into_the_texts_they_were() -> None:
    things = ["lamp", "wool hat", "blue garden chair", "lamp of old glass", "Stand, iron"]
    rows = [
        [f"{day:02}/05/2023", str(day * 7), things[day % 5], f"R$ {day},50".replace(" ", "")]
        for day in range(1, 29)
    ]
    text = "day qty item price\n" + "".join(
        " ".join(f'"{cell}"' if "," in cell and " " in cell else cell for cell in row) + "\n"
        for row in rows
    )
    table = table_of(text.encode())
    assert (table.header, list(table.rows)) == (["day", "qty", "item", "price"], rows)


def test_doubled_quotes_tell_that_a_text_is_quoted() -> None:
    rows = [[str(n), f"item {n}", "now" if n % 4 else 'say "now"'] for n in range(40)]
    lines = ["\t".join(row).replace('say "now"', '"say ""now"""') for row in rows]
    lines[7] = lines[7].replace("item", '"item')
    rows[7][1] = '"item 7'
    table = table_of("\n".join(["n\ttext\tnote", *lines, ""]).encode())
    assert list(table.rows) == rows


@given(
    place=st.integers(0, len(ROWS) - 1),
    where=st.integers(0, 120),
    sign=st.sampled_from([";", '"', '""', ";;", " ", "'", "", "\\", "\x00"]),
    gone=st.integers(0, 4),
)
@settings(max_examples=30, deadline=None)
def test_damage_to_one_row_leaves_the_others_as_they_were(
    place: int, where: int, sign: str, gone: int
) -> None:
    line = ";".join(ROWS[place])
    at = where % (len(line) + 1)
    rows = read_with(place, line[:at] + sign + line[at + gone :])
    others = [row for turn, row in enumerate(CLEAN) if turn != place]
    assert [row for row in others if row not in [found[: len(row)] for found in rows]] == []


def test_a_row_after_a_gap_that_is_no_header_does_not_displace_the_titles() -> None:
    rows = ["0|Rui|-3|31/01/2026|10,5", "", "1|Ivo|abc|abc|31/01/2026", "7|Paulo|-3|abc|10,5"]
    text = "\n".join(["id|a|b|c|d", *rows, '8|"Ana| x"|1.234,56|2024|abc', "", "Total||||99", ""])
    assert table_of(text.encode()).header == ["id", "a", "b", "c", "d"]


@pytest.mark.parametrize("rows", [1, 3])
def test_a_filled_column_without_a_title_is_numbered(rows: int) -> None:
    table = table_of(("cpf,nome,valor\n" + "0,Ivo,10,5\n" * rows).encode())
    assert table.header == ["cpf", "nome", "valor", "coluna_4"]
    assert list(table.rows) == [["0", "Ivo", "10", "5"]] * rows
