"""Delimited lines of several types: header, details with their children, trailer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from zanc_pipeline.common.codecs import parse_date, parse_money
from zanc_pipeline.reception.infer_columns import columns_of
from zanc_pipeline.reception.infer_types import SAMPLE_ROWS
from zanc_pipeline.reception.infer_write import quoted
from zanc_pipeline.reception.names import NameFacts

SEPARATORS = ("|", ";", "\t", ",")
_FEWEST_LINES = 6
_MOST_TYPES = 8
_VALUE = re.compile(r"\{nome: valor, tipo: dinheiro, posicao: (\d+), decimal: (\"[,.]\")")
_CODE = re.compile(r"[A-Za-z0-9]{1,4}")

Row = Sequence[str]


@dataclass(frozen=True, kw_only=True)
class _Child:
    code: str
    rows: list[Row]
    at_most: int
    required: bool


def record_lines(lines: Sequence[str], facts: NameFacts, today: date) -> list[str]:
    """The keys of a layout of delimited records; empty when the lines are none.

    The first column of each line is a short code, lines of one code have one number of columns,
    and the codes differ in that number, or what comes only first and only last does.
    """
    lines = [line for line in lines[:SAMPLE_ROWS] if line.strip("\x1a\x00 \t")]
    separator = _separator(lines)
    if not separator:
        return []
    rows = [line.split(separator) for line in lines]
    codes = [row[0] for row in rows]
    header = codes[0] if codes.count(codes[0]) == 1 else ""
    trailer = codes[-1] if codes.count(codes[-1]) == 1 and len(rows) < SAMPLE_ROWS else ""
    body = [row for row in rows if row[0] not in {header, trailer}]
    kinds = list(dict.fromkeys(row[0] for row in body))
    detail, children = kinds[0], [_child(body, kinds[0], code) for code in kinds[1:]]
    out = [f"separador: {quoted(separator)}", "registros:"]
    if header:
        out += _frame("cabecalho", rows[0], [*_of_header(rows[0], facts)])
    out += ["  detalhe:", f"    codigo: {quoted(detail)}", "    campos:"]
    taken: set[str] = set()
    details = [row for row in body if row[0] == detail]
    out += ["    " + line for line in _fields(details, taken, today)]
    if children:
        out.append("  filhos:")
    whole = next((one for one in children if _is_debt(one)), None)
    for child in children:
        out += _written(child, taken, today, whole=child is whole)
    if trailer:
        debts = whole.rows if whole is not None else details
        proved = [*_of_trailer(rows[-1], debts, len(details), len(rows), out)]
        out += _frame("rodape", rows[-1], proved)
    return out


def _separator(lines: Sequence[str]) -> str:
    """The separator by which the lines are records of several types; empty when none is."""
    for separator in SEPARATORS:
        rows = [line.split(separator) for line in lines]
        if len(rows) < _FEWEST_LINES or any(len(row) < 2 for row in rows):
            continue
        codes = Counter(row[0] for row in rows)
        shapes = {(row[0], len(row)) for row in rows}
        ends = {rows[0][0], rows[-1][0]}
        body = set(codes) - {code for code in ends if codes[code] == 1}
        widths = {width for code, width in shapes if code in body}
        several = len(body) > 1 and len(widths) > 1
        framed = bool(body) and all(codes[code] == 1 for code in ends) and len(ends) == 2
        framed = framed and not widths & {width for code, width in shapes if code in ends}
        short = all(_CODE.fullmatch(code) for code in codes) and len(codes) <= _MOST_TYPES
        if short and len(shapes) == len(codes) and len(codes) > 1 and (several or framed):
            return separator
    return ""


def _child(body: Sequence[Row], detail: str, code: str) -> _Child:
    counts: list[int] = []
    for row in body:
        if row[0] == detail:
            counts.append(0)
        elif row[0] == code and counts:
            counts[-1] += 1
    return _Child(
        code=code,
        rows=[row for row in body if row[0] == code],
        at_most=max(counts, default=1),
        required=min(counts, default=0) > 0,
    )


def _is_debt(child: _Child) -> bool:
    """Whether each of these records is a row: several of a parent, with an amount and a date."""
    sample = child.rows[:50]
    money = any(all(_amount(row[place]) for row in sample) for place in _places(sample))
    dated = any(all(_is_date(row[place]) for row in sample) for place in _places(sample))
    return child.at_most > 1 and money and dated


def _places(rows: Sequence[Row]) -> range:
    return range(1, min(len(row) for row in rows))


def _amount(text: str) -> bool:
    return bool(re.fullmatch(r"-?[\d.,]*[.,]\d\d", text.strip()))


def _is_date(text: str) -> bool:
    return any(parse_date(text.strip(), order=order) for order in ("dmy", "ymd"))


def _fields(rows: Sequence[Row], taken: set[str], today: date) -> list[str]:
    """The fields of records of one type, positions counted with the code's column."""
    width = len(rows[0])
    cut = [row[1:] for row in rows]
    lines = columns_of([], cut, width - 1, today, taken=taken, before=1)
    return lines[1:]


def _written(child: _Child, taken: set[str], today: date, *, whole: bool) -> list[str]:
    many = child.at_most > 1 and not whole
    name = f"registro_{child.code.lower()}"
    out = [f"    - nome: {name}", f"      codigo: {quoted(child.code)}"]
    if child.required:
        out.append("      obrigatorio: sim")
    if whole:
        out.append("      linhas: sim")
    elif many:
        out.append(f"      ate: {max(child.at_most, 3)}")
    out.append("      campos:")
    lines = _fields(child.rows, taken, today)
    if many:  # telefone of each of them: telefone_1, telefone_2, …
        lines = [re.sub(r"\{nome: telefone_1\b", "{nome: telefone", line) for line in lines]
    return [*out, *("      " + line for line in lines)]


def _frame(key: str, row: Row, fields: Sequence[dict[str, Any]]) -> list[str]:
    known = fields or [{"nome": f"{key}_2", "posicao": 2}]
    out = [f"  {key}:", f"    codigo: {quoted(row[0])}", "    campos:"]
    for field in known:
        plain = {"nome", "tipo", "formato", "confere", "de", "posicao"}
        text = ", ".join(
            f"{name}: {value if name in plain else quoted(value)}" for name, value in field.items()
        )
        out.append(f"      - {{{text}}}")
    return out


def _of_header(row: Row, facts: NameFacts) -> Iterator[dict[str, Any]]:
    """The sender, and the date and the number that the file's name has too."""
    sender = False
    for place, cell in enumerate(row[1:], start=2):
        text = cell.strip()
        for order, shape in (("dmy", "ddmmaaaa"), ("ymd", "aaaammdd")):
            plain = text.isdigit() and len(text) == 8 and facts.reference_date is not None
            if plain and parse_date(text, order=order) == facts.reference_date:
                yield {
                    "nome": "data", "tipo": "data", "posicao": place,
                    "formato": shape, "confere": "data_do_nome",
                }  # fmt: skip
                break
        else:
            if text.isdigit() and facts.sequence is not None and int(text) == facts.sequence:
                yield {
                    "nome": "sequencia", "tipo": "inteiro", "posicao": place,
                    "confere": "sequencia_do_nome",
                }  # fmt: skip
            elif len(text) >= 4 and not any(char.isdigit() for char in text) and not sender:
                sender = True
                yield {"nome": "remetente", "posicao": place, "igual": text}


def _of_trailer(
    row: Row, debts: Sequence[Row], details: int, records: int, written: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """The numbers of a trailer that agree with what was counted and summed."""
    value = _VALUE.search("\n".join(written))
    done: set[str] = set()
    for place, cell in enumerate(row[1:], start=2):
        text = cell.strip()
        if text.isdigit() and int(text) == details and "quantidade" not in done:
            done.add("quantidade")
            yield {
                "nome": "quantidade", "tipo": "inteiro", "posicao": place, "confere": "quantidade",
            }  # fmt: skip
        elif text.isdigit() and int(text) == records and "registros" not in done:
            done.add("registros")
            yield {
                "nome": "registros", "tipo": "inteiro", "posicao": place,
                "confere": "quantidade_de_registros",
            }  # fmt: skip
        elif value is not None and "soma" not in done:
            mark = value[2].strip('"')
            amounts = [parse_money(one[int(value[1]) - 1].strip(), decimal=mark) for one in debts]
            total = parse_money(text, decimal=mark)
            known = [amount for amount in amounts if amount is not None]
            if total is not None and known and sum(known) == total:
                done.add("soma")
                yield {
                    "nome": "total_valor", "tipo": "dinheiro", "posicao": place, "decimal": mark,
                    "confere": "soma", "de": "valor",
                }  # fmt: skip
