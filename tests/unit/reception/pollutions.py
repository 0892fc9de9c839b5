"""Clean tables without people and one pollution at a time: what a file becomes, what it must give.

``pollutions(table, seed)`` yields ``(kind, bytes, expected table)``; everything follows from the
seed. The kinds are those of public open-data files: dialects, encodings, what surrounds a table,
and damage to one row or one cell.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Rows = list[list[str]]

DELIMITERS = (";", "\t", "|", " ", ", ", "::", "^", "\x1f", "~", "||", "~|~", "#", "¦")
ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252", "cp850")


@dataclass(frozen=True)
class Clean:
    """A table of texts."""

    header: list[str]
    rows: Rows


def clean_tables(seed: int) -> dict[str, Clean]:
    """Tables of several natures: orders, measures by town, words only, numbers only."""
    rng = random.Random(seed)
    return {
        "orders": _orders(rng),
        "towns": _towns(rng),
        "words": _words(rng),
        "numbers": _numbers(rng),
    }


def _orders(rng: random.Random) -> Clean:
    header = ["Date", "Time", "Qty", "Product_ID", "Price", "Type", "Description", "Link", "Notes"]
    nouns = ["lamp", "cable, 2 m", 'monitor 24"', "chair", "desk (oak)", "pen; blue", "paper A4"]
    notes = ["", "", "call before delivery", 'said "urgent"', "fragile,\nthis side up", "ok"]
    rows = [
        [
            f"{rng.randint(2015, 2024)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
            f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}",
            str(rng.randint(1, 40)),
            f"{rng.choice('ABCD')}{rng.choice('XYZ')}-{rng.randint(100, 999)}",
            f"{rng.uniform(1, 900):.2f}",
            rng.choice(["office", "home", "spare part"]),
            f"{rng.choice(['small', 'large', 'used'])} {rng.choice(nouns)}",
            f"http://shop.example/{rng.choice('abc')}/{rng.randint(1, 99)}",
            rng.choice(notes),
        ]
        for _ in range(rng.randint(25, 80))
    ]
    return Clean(header, rows)


def _towns(rng: random.Random) -> Clean:
    header = ["Município", "UF", "Código", "População", "Área (km²)", "Observação"]
    names = ["São João", "Água Boa", "Três Rios", "Ibiúna", "Nova Olinda", "Pé de Serra", "Itaúna"]
    rows = [
        [
            f"{rng.choice(names)} {rng.choice(['do Sul', 'do Norte', 'de Cima', 'Velho'])}",
            rng.choice(["SP", "MG", "BA", "RS"]),
            str(rng.randint(1_100_000, 5_300_000)),
            f"{rng.randint(800, 90_000):,}".replace(",", "."),
            f"{rng.uniform(10, 9000):.1f}".replace(".", ","),
            rng.choice(["", "", "estimada", "censo de 2010; revista", "não há dado"]),
        ]
        for _ in range(rng.randint(20, 60))
    ]
    return Clean(header, rows)


def _words(rng: random.Random) -> Clean:
    header = ["species", "habitat", "colour", "status", "remark"]
    rows = [
        [
            f"{rng.choice(['Turdus', 'Amazona', 'Ara'])} {rng.choice(['rufiventris', 'vinacea'])}",
            rng.choice(["forest", "open field", "river bank"]),
            rng.choice(["brown", "green", "blue and yellow"]),
            rng.choice(["common", "rare", "vulnerable"]),
            rng.choice(["", "seen at dawn", "in pairs, noisy", "nest on the ground"]),
        ]
        for _ in range(rng.randint(15, 50))
    ]
    return Clean(header, rows)


def _numbers(rng: random.Random) -> Clean:
    header = ["n", "x", "y", "z", "w"]
    rows = [
        [str(place), *(f"{rng.gauss(0, 50):.3f}" for _ in range(3)), str(rng.randint(0, 9999))]
        for place in range(1, rng.randint(40, 90))
    ]
    return Clean(header, rows)


def cell_text(cell: str, delimiter: str = ",", quote: str = '"', escape: str | None = None) -> str:
    """A cell as a file holds it; without quotes there is nothing to protect it."""
    if not quote:
        return cell
    risky = delimiter.strip() or delimiter
    if not any(mark in cell for mark in (risky, quote, "\n", "\r")):
        return cell
    inner = cell if escape == "" else cell.replace(quote, (escape or quote) + quote)
    return f"{quote}{inner}{quote}"


def row_text(row: list[str], delimiter: str = ",", quote: str = '"', end: str = "\r\n") -> str:
    return delimiter.join(cell_text(cell, delimiter, quote) for cell in row) + end


def text_of(
    table: Clean,
    delimiter: str = ",",
    quote: str = '"',
    end: str = "\r\n",
    escape: str | None = None,
) -> str:
    return "".join(
        delimiter.join(cell_text(cell, delimiter, quote, escape) for cell in row) + end
        for row in (table.header, *table.rows)
    )


def pollutions(table: Clean, seed: int) -> Iterator[tuple[str, bytes, Clean]]:
    """Each kind once or a few times, with the table that must come out."""
    rng = random.Random(seed)
    yield "none", text_of(table).encode(), table
    for kind, text, expected in (
        *_dialects(table),
        *_surroundings(table),
        *_rows_damaged(table, rng),
        *_cells_damaged(table, rng),
        *_paddings(table),
    ):
        yield kind, text.encode(), expected
    for encoding in ENCODINGS:
        if _fits(text_of(table), encoding):
            yield f"encoding {encoding}", text_of(table).encode(encoding), table
    yield "mark 0x1A", text_of(table).encode() + b"\x1a", table
    yield "empty file", b"", Clean([], [])


def _fits(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return encoding.startswith("utf") or not text.isascii()


def _dialects(table: Clean) -> Iterator[tuple[str, str, Clean]]:
    for delimiter in DELIMITERS:
        yield f"delimiter {delimiter!a}", text_of(table, delimiter), table
    yield "quote '", text_of(table, quote="'"), table
    yield "quote all", _all_quoted(table, '"'), table
    yield "escape backslash", text_of(table, escape="\\"), table
    yield "escape none", text_of(table, escape=""), table
    flat = Clean(
        table.header,
        [[cell.translate({10: " ", 59: ",", 34: "'"}) for cell in row] for row in table.rows],
    )
    yield "quote none", text_of(flat, ";", quote=""), flat
    yield "newline LF", text_of(table, end="\n"), table
    plain = _without_breaks(table)
    yield "newline CR", text_of(plain, end="\r"), plain
    lines = text_of(plain, end="\n").split("\n")[:-1]
    ends = ["\n", "\r\n", "\r"]
    mixed = "".join(line + ends[place % 3] for place, line in enumerate(lines))
    yield "newline mixed", mixed, plain
    yield "no final newline", text_of(table)[:-2], table
    yield "two final newlines", text_of(table) + "\r\n", table


def _all_quoted(table: Clean, quote: str) -> str:
    return "".join(
        ",".join(f"{quote}{cell.replace(quote, quote * 2)}{quote}" for cell in row) + "\r\n"
        for row in (table.header, *table.rows)
    )


def _without_breaks(table: Clean) -> Clean:
    return Clean(table.header, [[cell.replace("\n", " ") for cell in row] for row in table.rows])


def _surroundings(table: Clean) -> Iterator[tuple[str, str, Clean]]:
    text, width = text_of(table), len(table.header)
    title, empty = "Annual report of the agency", "," * (width - 1)
    numbered = [f"coluna_{place}" for place in range(1, width + 1)]
    yield "preamble", f"{title}\r\nProduced in 2024\r\n\r\n{text}", table
    yield "preamble close", f"{title}\r\nProduced in 2024, by hand\r\n{text}", table
    yield "preamble delimited", f"{title}{empty}\r\nVersion 2{empty}\r\n{empty}\r\n{text}", table
    yield "blank lines first", f"\r\n\r\n{text}", table
    yield "no header", text.split("\r\n", 1)[1], Clean(numbered, table.rows)
    units = [f"({'abcdefghij'[place]})" for place in range(width)]
    joined = [f"{one} {two}" for one, two in zip(table.header, units, strict=True)]
    body = text.split("\r\n", 1)[1]
    two_rows = row_text(table.header) + row_text(units) + body
    yield "header of two rows", two_rows, Clean(joined, table.rows)
    yield "header only", row_text(table.header), Clean(table.header, [])
    one = Clean(table.header, table.rows[:1])
    yield "one row", text_of(one), one
    yield "footer", f"{text}\r\nSource: national survey\r\n", table
    yield "footer delimited", f"{text}Source: national survey{empty}\r\n", table
    yield "footer close", f"{text}Notes: figures are estimates.\r\n", table
    for kind, size in (("less", width - 2), ("same", width), ("more", width + 2)):
        names = [f"item {place}" for place in range(size)]
        extra = [names, *([f"v{row}{place}" for place in range(size)] for row in range(6))]
        wide = max(width, size)
        header = table.header + [f"coluna_{place}" for place in range(width + 1, wide + 1)]
        rows = [row + [""] * (wide - len(row)) for row in [*table.rows, *extra]]
        second = "".join(map(row_text, extra))
        yield f"second table {kind}", f"{text}\r\n{second}", Clean(header, rows)
    blank = [[""] * width]
    middle = len(table.rows) // 2
    rows = [*table.rows[:middle], *blank, *table.rows[middle:]]
    yield "empty row", text_of(Clean(table.header, rows)), Clean(table.header, rows)
    yield "separator at line ends", text.replace("\r\n", ",\r\n"), table
    shifted = Clean(["", *table.header], [["", *row] for row in table.rows])
    yield "empty first column", text_of(shifted), table
    column = Clean(table.header[:1], [row[:1] for row in table.rows])
    yield "single column", text_of(column), column
    yield "sep= line", f"sep=;\r\n{text_of(table, ';')}", table


def _rows_damaged(table: Clean, rng: random.Random) -> Iterator[tuple[str, str, Clean]]:
    width = len(table.header)
    for _ in range(12):
        place, column = rng.randrange(len(table.rows)), rng.randrange(width)
        cells = [cell_text(cell) for cell in table.rows[place]]
        more = ",".join([*cells[:column], "", *cells[column:]])
        yield "separator too many", _replaced(table, place, more), table
        gone = max(1, column)
        less = ",".join(cells[:gone]) + ",".join(cells[gone:])
        yield "separator too few", _replaced(table, place, less), table
        yield (
            "row of blanks",
            _replaced(table, place, row_text(table.rows[place], " ", end="")),
            table,
        )
    yield "header separator too many", _replaced(table, -1, "," + ",".join(table.header)), table
    spaced = row_text(table.header, ";", end="")
    yield "header with another separator", _replaced(table, -1, spaced), table


def _cells_damaged(table: Clean, rng: random.Random) -> Iterator[tuple[str, str, Clean]]:
    for turn in range(18):
        place, column = rng.randrange(len(table.rows)), rng.randrange(len(table.header))
        cells = [cell_text(cell) for cell in table.rows[place]]
        cell, quoted = table.rows[place][column], cells[column].startswith('"')
        where = (0, len(cell), len(cell) // 2)[turn % 3]
        dirty = cell[:where] + '"' + cell[where:]
        inner = where + cell[:where].count('"') if quoted else where
        raw = cells[column][1:-1] if quoted else cell
        raw = raw[:inner] + '"' + raw[inner:]
        cells[column] = f'"{raw}"' if quoted else raw
        rows = [list(row) for row in table.rows]
        rows[place][column] = dirty
        text = _replaced(table, place, ",".join(cells))
        yield "quote too many", text, Clean(table.header, rows)


def _replaced(table: Clean, place: int, text: str) -> str:
    lines = [row_text(row) for row in (table.header, *table.rows)]
    lines[place + 1] = f"{text}\r\n"
    return "".join(lines)


def _paddings(table: Clean) -> Iterator[tuple[str, str, Clean]]:
    plain = _without_breaks(table)
    flat = Clean(plain.header, [[c.replace(";", ",") for c in row] for row in plain.rows])
    rows = [flat.header, *flat.rows]
    sizes = [max(len(row[place]) for row in rows) for place in range(len(flat.header))]
    padded = [[cell.ljust(size) for cell, size in zip(row, sizes, strict=True)] for row in rows]
    quoteless = Clean(flat.header, [[c.replace('"', "'") for c in row] for row in flat.rows])
    clean = [[cell.replace('"', "'") for cell in row] for row in padded]
    yield "padding", "".join(";".join(row) + "\r\n" for row in clean), quoteless
    yield "fixed width", "".join("  ".join(row) + "\r\n" for row in clean), quoteless


def lost(expected: Clean, header: list[str], rows: Rows) -> tuple[bool, float, float, float]:
    """Header right; shares of records and of cells lost; share of cells too many."""
    wanted = Counter(cell for row in [expected.header, *expected.rows] for cell in row)
    got = Counter(cell for row in [header, *rows] for cell in row)
    wanted_rows, got_rows = Counter(map(tuple, expected.rows)), Counter(map(tuple, rows))
    return (
        header == expected.header,
        _missing(wanted_rows, got_rows),
        _missing(wanted, got),
        _missing(got, wanted),
    )


def _missing(wanted: Counter[Any], got: Counter[Any]) -> float:
    total = wanted.total()
    return (wanted - got).total() / total if total else 0.0
