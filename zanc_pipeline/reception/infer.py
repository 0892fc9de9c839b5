"""Drafts a layout from a sample: separators or positions, types, and a comment on each field.

A draft is a proposal for a person: every field says how sure it is and why.
"""

from __future__ import annotations

import json
import re
import unicodedata
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from zanc_pipeline.common.codecs import (
    STATES,
    parse_cnpj,
    parse_cpf,
    parse_date,
    parse_money,
    parse_phone,
)
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.reception.detect import detect
from zanc_pipeline.reception.layout import CANONICAL, REQUIRED
from zanc_pipeline.reception.read import read_detected, rows_of, titles_in
from zanc_pipeline.reception.readers.unzip import is_workbook, unzipped
from zanc_pipeline.reception.textlines import decode, to_lines

SAMPLE_ROWS = 2_000
SURE = 0.9

_SYNONYMS = {
    "cpf": ("cpf", "cpfcliente", "documento", "cpfcgc", "nrcpf"),
    "nome": ("nome", "cliente", "nomecliente", "devedor", "nomedevedor", "razaosocial"),
    "contrato": ("contrato", "nrcontrato", "numerocontrato", "numcontrato", "titulo", "instalacao"),
    "produto": ("produto", "plano", "servico", "carteira", "modalidade"),
    "valor": ("valor", "saldo", "valordivida", "vlr", "vlrdivida", "valoraberto", "saldodevedor"),
    "vencimento": ("vencimento", "datavencimento", "dtvenc", "dtvencimento", "venc"),
    "nascimento": ("nascimento", "datanascimento", "dtnasc", "dtnascimento"),
    "email": ("email", "enderecoeletronico", "correio"),
    "cidade": ("cidade", "municipio"),
    "uf": ("uf", "estado"),
    "telefone_1": ("telefone", "telefone1", "fone", "fone1", "celular", "celular1", "tel1"),
    "telefone_2": ("telefone2", "fone2", "celular2", "tel2"),
    "telefone_3": ("telefone3", "fone3", "celular3", "tel3"),
    "telefones": ("telefones", "fones", "contatos"),
    "obito": ("obito", "falecido"),
}
_DATE_SHAPES = ("dd/mm/aaaa", "aaaa-mm-dd", "aaaammdd", "ddmmaaaa", "dd-mm-aaaa", "dd.mm.aaaa")
_YAML_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Names that YAML would not read as text."""
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Guess:
    """A field's type with its options as YAML text, and the share of values that prove it."""

    type: str
    options: str = ""
    share: float = 1.0


def draft(path: Path, *, today: date) -> str:
    """The text of a layout for files like ``path``. Raises DataError when nothing fits."""
    if not path.is_file():
        raise DataError(f"{path}: o arquivo não existe")
    head = [
        f"# Rascunho feito a partir de {path.name}. Confira cada campo antes de usar.",
        'versao: "1"',
        f"vigencia: {today}",
        f"arquivos: {_quoted(file_pattern(path.name))}",
    ]
    if zipfile.is_zipfile(path):
        if is_workbook(path):
            return _join([*head, *_sheet(path)])
        with unzipped(path) as inner:
            body = _sheet(inner) if is_workbook(inner) else _text(inner)
        return _join([*head, "zip: sim", *body])
    return _join([*head, *_text(path)])


def file_pattern(name: str) -> str:
    """The file's name with its date, when it has one, as ``{aaaammdd}`` or ``{ddmmaaaa}``."""
    for digits in re.finditer(r"(?<!\d)\d{8}(?!\d)", name):
        for order, token in (("ymd", "{aaaammdd}"), ("dmy", "{ddmmaaaa}")):
            if parse_date(digits.group(), order=order):
                return name[: digits.start()] + token + name[digits.end() :]
    return name


def guess_type(values: Sequence[str]) -> Guess:
    """The most demanding type that nearly all filled values satisfy."""
    filled = [value.strip() for value in values if value.strip().strip("0")]
    if not filled:
        return Guess(type="texto", share=0.0)
    tests: list[tuple[Guess, Callable[[str], object]]] = [
        (Guess(type="cpf"), parse_cpf),
        (Guess(type="cnpj"), parse_cnpj),
        *(
            (Guess(type="data", options=f"formato: {shape}"), _date_test(shape))
            for shape in _DATE_SHAPES
        ),
        (Guess(type="telefone"), parse_phone),
        (Guess(type="email"), _EMAIL.fullmatch),
        (Guess(type="uf"), lambda text: text in STATES),
        (Guess(type="dinheiro", options='decimal: ","'), _money_test(",")),
        (Guess(type="dinheiro", options='decimal: "."'), _money_test(".")),
    ]
    for guess, test in tests:
        share = sum(1 for value in filled if test(value)) / len(filled)
        if share >= SURE:
            return Guess(type=guess.type, options=guess.options, share=share)
    marks = {value.upper() for value in filled}
    if marks <= {"S", "N"} or marks <= {"SIM", "NAO", "NÃO"}:
        return Guess(type="sim_nao")
    return Guess(type="texto")


def field_name(title: str, kind: str, taken: set[str]) -> str:
    """Our name for a column: a canonical one when title and type agree, else the title itself."""
    plain = _plain(title)
    for name, synonyms in _SYNONYMS.items():
        if plain in synonyms and kind in CANONICAL[name][1] and name not in taken:
            return name
    base = re.sub(r"[^a-z0-9]+", "_", _unaccented(title).lower()).strip("_")
    base = base if base[:1].isalpha() else f"campo_{base}".rstrip("_")
    if base in CANONICAL and (kind not in CANONICAL[base][1] or base in taken):
        base = f"{base}_original"
    name, number = base, 2
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    return name


def _text(path: Path) -> list[str]:
    data = path.read_bytes()
    text, encoding = decode(data)
    lines = to_lines(text)
    if not any(line.strip() for line in lines):
        raise DataError(f"{path.name}: a amostra está vazia")
    sizes = {len(line) for line in data.replace(b"\r", b"").rstrip(b"\n\x1a").split(b"\n")}
    layout_encoding = {"utf-8-sig": "utf-8", "ascii": "latin-1"}.get(encoding, encoding)
    if layout_encoding.startswith(("utf-16", "utf-32")):
        raise DataError(
            f"{path.name}: o arquivo está em {encoding}, que um layout não lê: peça ao credor que "
            "o envie em UTF-8 ou Latin-1"
        )
    dialect = detect(lines)
    ends = "sim" if data.endswith(b"\n") else "não"
    common = [f"codificacao: {layout_encoding}", f"termina_com_quebra_de_linha: {ends}"]
    rows = rows_of(lines[:SAMPLE_ROWS], dialect) if dialect.delimiter else []
    if rows and titles_in(rows):
        titles, sample = [cell.strip() for cell in rows[0]], rows[1:]
        return [
            "formato: delimitado",
            *common,
            f"separador: {_quoted(dialect.delimiter)}",
            *_column_fields(titles, [row for row in sample if len(row) == len(titles)]),
        ]
    if len(sizes) == 1 and next(iter(sizes)) >= 20:
        size = next(iter(sizes))
        return ["formato: largura_fixa", *common, f"tamanho_da_linha: {size}", *_positions(data)]
    raise DataError(
        f"{path.name}: nem texto delimitado com cabeçalho, nem linhas de um tamanho só: escreva "
        "o layout à mão, a partir de um exemplo em config/convenios"
    )


def _sheet(path: Path) -> list[str]:
    table = read_detected(path)
    return ["formato: planilha", *_column_fields(table.header, list(table.rows))]


def _column_fields(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    taken: set[str] = set()
    out = ["campos:"]
    for place, title in enumerate(titles):
        values = [row[place] for row in rows[:SAMPLE_ROWS]]
        guess = guess_type(values)
        name = field_name(title, guess.type, taken)
        taken.add(name)
        coluna = "" if title == name else f", coluna: {_quoted(title)}"
        out += _field(name, guess, coluna, values)
    return [*out, *_missing(taken)]


def _positions(data: bytes) -> list[str]:
    lines = data.replace(b"\r", b"").rstrip(b"\n\x1a").split(b"\n")[:SAMPLE_ROWS]
    texts = [line.decode("latin-1") for line in lines]
    taken: set[str] = set()
    out = ["campos:"]
    for start, size in boundaries(texts):
        values = [text[start : start + size] for text in texts]
        if not any(value.strip() for value in values):
            continue
        guess = guess_type(values)
        name = guess.type if guess.type in {"cpf", "uf", "email"} else f"campo_{start + 1}"
        name = name if name not in taken else f"campo_{start + 1}"
        taken.add(name)
        out += _field(name, guess, f", inicio: {start + 1}, tamanho: {size}", values)
    return [*out, *_missing(taken)]


def boundaries(texts: Sequence[str]) -> list[tuple[int, int]]:
    """(start from 0, size) of the fields of lines of one size.

    A field ends where a column of digits meets a column of letters, or where blank columns end;
    runs of digits are cut again where a CPF or a date proves itself.
    """
    width, rows = len(texts[0]), len(texts)
    digit = [sum(text[place].isdigit() for text in texts) / rows for place in range(width)]
    blank = [sum(text[place] == " " for text in texts) / rows for place in range(width)]
    starts = [0]
    for place in range(1, width):
        jump = abs(digit[place] - digit[place - 1]) > 0.9
        after_blank = blank[place - 1] > 0.95 and blank[place] < blank[place - 1] - 0.5
        if jump or after_blank:
            starts.append(place)
    fields: list[tuple[int, int]] = []
    for start, end in zip(starts, [*starts[1:], width], strict=True):
        fields += _cut_digits(texts, start, end) if digit[start] > 0.99 else [(start, end - start)]
    return fields


def _cut_digits(texts: Sequence[str], start: int, end: int) -> list[tuple[int, int]]:
    proofs: list[tuple[int, Callable[[str], object]]] = [
        (11, parse_cpf),
        (8, _date_test("aaaammdd")),
        (8, _date_test("ddmmaaaa")),
    ]
    fields: list[tuple[int, int]] = []
    place = begun = start
    while place < end:
        size = next(
            (
                size
                for size, test in proofs
                if place + size <= end
                and sum(1 for text in texts if test(text[place : place + size]))
                >= len(texts) * SURE
            ),
            0,
        )
        if not size:
            place += 1
            continue
        if place > begun:
            fields.append((begun, place - begun))
        fields.append((place, size))
        place = begun = place + size
    if begun < end:
        fields.append((begun, end - begun))
    return fields


def _field(name: str, guess: Guess, where: str, values: Sequence[str]) -> list[str]:
    filled = sum(1 for value in values if value.strip())
    share = f"{filled / len(values) * 100:.0f} % preenchido" if values else "sem exemplos"
    sure = f"{guess.share * 100:.0f} % dos valores são {guess.type}" if guess.share else "vazio"
    options = f", {guess.options}" if guess.options else ""
    name = _quoted(name) if name in _YAML_WORDS else name
    return [f"  # {share}; {sure}", f"  - {{nome: {name}, tipo: {guess.type}{where}{options}}}"]


def _missing(taken: set[str]) -> list[str]:
    missing = [name for name in REQUIRED if name not in taken]
    if not missing:
        return []
    return [
        f"# FALTA dizer qual campo é: {', '.join(missing)}",
        "# (troque o 'nome' do campo certo por um destes)",
    ]


def _date_test(shape: str) -> Callable[[str], object]:
    order = "".join(sorted("amd", key=shape.index)).replace("a", "y")
    marks = [(place, char) for place, char in enumerate(shape) if char not in "dma"]

    def test(text: str) -> object:
        fits = len(text) == len(shape) and all(text[place] == char for place, char in marks)
        return parse_date(text, order=order) if fits else None

    return test


def _money_test(decimal: str) -> Callable[[str], object]:
    return lambda text: decimal in text and parse_money(text, decimal=decimal) is not None


def _plain(title: str) -> str:
    return re.sub(r"[^a-z0-9]", "", _unaccented(title).lower())


def _unaccented(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _join(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
