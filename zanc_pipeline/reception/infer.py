"""Drafts a layout from a sample: kind of file, fields, types, and a comment on each field.

A draft is a proposal for a person. What the sample proves (check digits, dates, titles, totals) is
written plainly; what it only suggests carries ``confirmar: sim``, and no file is accepted by the
layout while one of these is there.
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.reception.detect import detect
from zanc_pipeline.reception.infer_columns import columns_of
from zanc_pipeline.reception.infer_content import content_of, missing, names_in, required
from zanc_pipeline.reception.infer_fixed import Found, boundaries, fields_of
from zanc_pipeline.reception.infer_json import json_fields
from zanc_pipeline.reception.infer_lines import record_lines
from zanc_pipeline.reception.infer_records import Type, record_shape
from zanc_pipeline.reception.infer_types import SAMPLE_ROWS
from zanc_pipeline.reception.infer_write import field_lines, quoted
from zanc_pipeline.reception.layout_schema import SCHEMA_FILE
from zanc_pipeline.reception.names import NameFacts, NamePattern, day_of
from zanc_pipeline.reception.read import rows_of, titles_in
from zanc_pipeline.reception.readers.sheet_cells import cell_text
from zanc_pipeline.reception.readers.spreadsheet import first_sheets, is_sheet, sheet_rows
from zanc_pipeline.reception.readers.unzip import is_gzip, ungzipped, unzipped
from zanc_pipeline.reception.textlines import decode, to_lines

__all__ = ["boundaries", "draft", "file_pattern"]

SAMPLE_BYTES = 4 * 1024 * 1024
_SMALLEST_LINE = 20
_NEAR_DAYS = 1_000
_LETTERS = {byte: chr(0x180 + byte - 0x100) for byte in range(0x80, 0x100)}
_BYTES = {ord(letter): byte for byte, letter in _LETTERS.items()}
"""Bytes of UTF-8 beyond ASCII as letters (of which no other stands there), and back."""
_PLAIN = frozenset({";", "|", "\t", ","})


def draft(path: Path, *, today: date) -> str:
    """The text of a layout for files like ``path``. Raises DataError when nothing fits."""
    if not path.is_file():
        raise DataError(f"{path}: o arquivo não existe")
    pattern = file_pattern(path.name, today=today)
    facts = NamePattern.parse(pattern).match(path.name) or NameFacts()
    body = _body(path, facts, today)
    content = content_of(names_in(body))
    version = "1"
    if content != "carteira":
        body, version = [f"conteudo: {content}", *required(body, content)], f"{content}-1"
    head = [
        f"# yaml-language-server: $schema=../{SCHEMA_FILE}",
        f"# Rascunho feito a partir de {path.name}. Confira cada comentário antes de usar.",
        "# Campo com 'confirmar: sim' é palpite: acerte o nome e o tipo e apague 'confirmar: sim'.",
        f"versao: {quoted(version)}",
        f"vigencia: {facts.reference_date or today}",
        f"arquivos: {quoted(pattern)}",
    ]
    return "\n".join([*head, *body, *(missing(body) if content == "carteira" else [])]) + "\n"


def _body(path: Path, facts: NameFacts, today: date) -> list[str]:
    """Everything after the name of the files."""
    if is_sheet(path):
        return _sheet(path, today)
    if zipfile.is_zipfile(path):
        with unzipped(path) as inner:
            rest = _sheet(inner, today) if is_sheet(inner) else _text(inner, facts, today)
            return ["zip: sim", *rest]
    if is_gzip(path):
        with ungzipped(path) as inner:
            return ["gz: sim", *_text(inner, facts, today)]
    return _text(path, facts, today)


def file_pattern(name: str, *, today: date) -> str:
    """The file's name with its date as ``{aaaammdd}``, ``{ddmmaa}``, …, when it has one, and a
    running number of three digits or more after it as ``{sequencia}``.

    Of two ways to read a date with a year of two digits, the one nearer to ``today`` counts.
    """
    for shape in (r"\d{8}", r"\d{4}-\d\d-\d\d|\d\d-\d\d-\d{4}", r"\d{6}"):
        for digits in re.finditer(rf"(?<!\d)(?:{shape})(?!\d)", name):
            token = _date_token(digits.group(), today)
            if token:
                rest = re.sub(r"(?<!\d)\d{3,7}(?!\d)", "{sequencia}", name[digits.end() :], count=1)
                return name[: digits.start()] + token + rest
    return name


def _date_token(text: str, today: date) -> str:
    orders = {
        6: ("ddmmaa", "aammdd"),
        8: ("aaaammdd", "ddmmaaaa"),
        10: ("aaaa-mm-dd", "dd-mm-aaaa"),
    }
    days = {
        token: day
        for token in orders[len(text)]
        if (day := day_of(text, order="ymd" if token.startswith("a") else "dmy"))
    }
    if len(text) == 6:  # six digits are a date only where it is a day of these years
        days = {token: day for token, day in days.items() if abs((day - today).days) < _NEAR_DAYS}
        days = dict(sorted(days.items(), key=lambda one: abs((one[1] - today).days)))
    return f"{{{next(iter(days))}}}" if days else ""


def _text(path: Path, facts: NameFacts, today: date) -> list[str]:
    with path.open("rb") as file:
        data = file.read(SAMPLE_BYTES)
        if file.read(1):
            data = data[: data.rfind(b"\n") + 1] or data
    text, encoding = decode(data)
    lines = to_lines(text)
    if not any(line.strip() for line in lines):
        raise DataError(f"{path.name}: a amostra está vazia")
    if lines[0].lstrip().startswith("{"):
        return json_fields(path.name, lines, today)
    layout_encoding = {"utf-8-sig": "utf-8", "ascii": "latin-1"}.get(encoding, encoding)
    if layout_encoding not in {"utf-8", "latin-1", "cp1252"}:
        raise DataError(
            f"{path.name}: o arquivo está em {encoding}, que um layout não lê: peça ao credor que "
            "o envie em UTF-8 ou Latin-1"
        )
    ends = "sim" if data.endswith(b"\n") else "não"
    common = [f"codificacao: {layout_encoding}", f"termina_com_quebra_de_linha: {ends}"]
    raw = [line for line in data.replace(b"\r", b"").rstrip(b"\n\x1a").split(b"\n") if line]
    sizes = {len(line) for line in raw}
    even = len(raw) > 1 and len(sizes) == 1 and next(iter(sizes)) >= _SMALLEST_LINE
    letters = (
        {len(line.decode("utf-8", "replace")) for line in raw}
        if layout_encoding == "utf-8"
        else sizes
    )
    lettered = not even and len(raw) > 1 and len(letters) == 1 and min(letters) >= _SMALLEST_LINE
    records = record_lines(lines, facts, today) if not even else []
    if records:
        return ["formato: registros_delimitados", *common, *records]
    delimited = _delimited(lines[:SAMPLE_ROWS], today, even=even or lettered)
    if delimited:
        return ["formato: delimitado", *common, *delimited]
    if even:
        texts = [line.decode("latin-1") for line in raw]
        if layout_encoding == "utf-8":
            texts = [text.translate(_LETTERS) for text in texts]
        return _fixed(common, texts, facts, today)
    if lettered:
        raise DataError(
            f"{path.name}: as linhas têm o mesmo número de letras, mas não de bytes, porque em "
            "UTF-8 uma letra com acento ocupa dois: peça ao credor que envie em Latin-1"
        )
    raise DataError(
        f"{path.name}: nem texto delimitado, nem linhas de um tamanho só: escreva o layout à mão, "
        "a partir de um exemplo em config/convenios"
    )


def _delimited(lines: list[str], today: date, *, even: bool) -> list[str]:
    """The keys of a delimited layout; empty when the lines are no table.

    Lines of one size (``even``) are columns of bytes unless titles or a plain separator say no.
    """
    dialect = detect(lines)
    if not dialect.delimiter:
        return []
    rows = rows_of(lines, dialect)
    widths = Counter(len(row) for row in rows)
    width = widths.most_common(1)[0][0] if rows else 1
    if width < 2:
        return []
    before = next(place for place, row in enumerate(rows) if len(row) == width)
    after = next(place for place, row in enumerate(reversed(rows)) if len(row) == width)
    table = [row for row in rows if len(row) == width]
    titled = titles_in(table)
    if even and (dialect.delimiter not in _PLAIN or (not titled and len(widths) > 1)):
        return []
    out = [f"separador: {quoted(dialect.delimiter)}"]
    if before:
        out.append(f"linhas_antes: {_physical(lines, before)}")
    if after and len(lines) < SAMPLE_ROWS:
        out.append(f"linhas_depois: {after}")
    if not titled:
        out.append("cabecalho: não")
    titles = [cell.strip() for cell in table[0]] if titled else []
    return [*out, *columns_of(titles, table[1:] if titled else table, width, today)]


def _physical(lines: Sequence[str], records: int) -> int:
    """How many lines hold the first ``records`` rows that are not blank, blank lines counted."""
    seen = 0
    for number, line in enumerate(lines):
        if line.strip("\x1a\x00 \t"):
            if seen == records:
                return number
            seen += 1
    return len(lines)


def _sheet(path: Path, today: date) -> list[str]:
    """The keys of a spreadsheet's layout, from the first sheet that has a row of titles."""
    sheets = first_sheets(path)
    for place, sheet in enumerate(sheets):
        found = _table(path, sheet)
        if found is None:
            continue
        before, rows = found
        titles = [cell.strip() for cell in rows[before]]
        while titles and not titles[-1]:
            titles.pop()
        out = ["formato: planilha"]
        if place:
            out.append(f"aba: {quoted(sheet)}")
        if before:
            out.append(f"linhas_antes: {before}")
        return [*out, *columns_of(titles, rows[before + 1 :], len(titles), today)]
    raise DataError(
        f"{path.name}: a planilha não tem uma linha de títulos: peça ao credor que a ponha"
    )


def _table(path: Path, sheet: str | None) -> tuple[int, list[list[str]]] | None:
    """How many rows stand before the titles, and all rows of the sample; None without titles."""
    rows = [
        [cell_text(value, None) for value in values]
        for _, values in islice(sheet_rows(path, sheet), SAMPLE_ROWS)
    ]
    width = max((len(row) for row in rows), default=0)
    rows = [[*row, *[""] * (width - len(row))] for row in rows]
    for place in range(min(20, len(rows))):
        if sum(bool(cell) for cell in rows[place]) > 1 and titles_in(rows[place:]):
            return place, rows
    return None


def _fixed(common: list[str], lines: list[str], facts: NameFacts, today: date) -> list[str]:
    size = [f"tamanho_da_linha: {len(lines[0])}"]
    shape = record_shape(lines, facts, today=today)
    if shape is None:
        fields = fields_of(lines[:SAMPLE_ROWS], today=today)
        placed = [line for found in fields for line in _placed(found, {})]
        return ["formato: largura_fixa", *common, *size, "campos:", *placed]
    out = ["formato: registros", *common, *size, "registros:", f"  inicio: {shape.start + 1}"]
    by_key = {one.key: one for one in shape.types}
    if "cabecalho" in by_key:
        out += _record(by_key["cabecalho"], "  cabecalho:", "    ")
    if "lote.cabecalho" in by_key:
        out.append("  lote:")
        out += _record(by_key["lote.cabecalho"], "    cabecalho:", "      ")
        out += _record(by_key["lote.rodape"], "    rodape:", "      ")
    out += _record(by_key["detalhe"], "  detalhe:", "    ")
    children = [one for one in shape.types if one.key == "filho"]
    if children:
        out.append("  filhos:")
    for child in children:
        out += _record(
            child, f"    - nome: registro_{(child.segment or child.code).lower()}", "      "
        )
    return [*out, *_record(by_key["rodape"], "  rodape:", "    ")]


def _record(one: Type, title: str, indent: str) -> list[str]:
    out = [title, f"{indent}codigo: {quoted(one.code)}"]
    if one.segment:
        out.append(f'{indent}quando: [{{onde: 14, igual: "{one.segment}"}}]')
    if one.required:
        out.append(f"{indent}obrigatorio: sim")
    if one.at_most > 1:
        out.append(f"{indent}ate: {one.at_most}")
    out.append(f"{indent}campos:")
    for found in one.fields:
        out += [indent + line for line in _placed(found, dict(one.checks.get(found.name, {})))]
    return out


def _placed(found: Found, more: dict[str, Any]) -> list[str]:
    keys = {"inicio": found.start + 1, "tamanho": found.size, **more}
    if "igual" in keys:
        keys["igual"] = _as_written(keys["igual"])
    return field_lines(
        found.name, found.guess, keys, [_as_written(value) for value in found.values]
    )


def _as_written(text: str) -> str:
    """A text of a fixed-width line again as it is, its letters of ``_LETTERS`` decoded."""
    if not any(ord(char) in _BYTES for char in text):
        return text
    return text.translate(_BYTES).encode("latin-1").decode("utf-8", "replace")
