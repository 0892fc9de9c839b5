"""Portfolios and the files that creditors make of them, for the bench and the test of drift.

Nothing here knows how drift is recognised. A ``TableFile`` is delimited text, a ``SheetFile`` an
xlsx, a ``LineFile`` lines of one size (with header and trailer records when it has codes); each
gives its bytes for a list of contracts and can be copied with changes.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

DAY = date(2026, 11, 20)
_DDDS = ("11", "21", "31", "41", "47", "51", "61", "71", "81", "85")
_FIRST = [
    "Ana",
    "José",
    "João",
    "Maria",
    "Antônio",
    "Luíza",
    "Conceição",
    "Caio",
    "Débora",
    "Elias",
    "Fátima",
    "Gilberto",
    "Helena",
    "Ígor",
    "Joana",
    "Kátia",
    "Lúcio",
    "Márcia",
    "Nélson",
    "Olívia",
    "Paulo",
    "Quitéria",
    "Rômulo",
    "Sônia",
    "Tadeu",
    "Úrsula",
    "Vânia",
    "Wagner",
]
_LAST = [
    "Silva",
    "Souza",
    "Araújo",
    "Brandão",
    "Conceição",
    "Dias",
    "Esteves",
    "Falcão",
    "Gonçalves",
    "Hermes",
    "Ibiapina",
    "Jordão",
    "Klein",
    "Leitão",
    "Magalhães",
    "Nóbrega",
    "Oliveira",
    "Peçanha",
    "Queirós",
    "Ramalho",
    "Simões",
    "Távora",
    "Uchôa",
    "Viana",
]
_CITIES = (
    ("São Paulo", "SP"), ("Campinas", "SP"), ("Rio de Janeiro", "RJ"), ("Niterói", "RJ"),
    ("Belo Horizonte", "MG"), ("Uberlândia", "MG"), ("Curitiba", "PR"), ("Maringá", "PR"),
    ("Florianópolis", "SC"), ("Itajaí", "SC"), ("Goiânia", "GO"), ("Maceió", "AL"),
)  # fmt: skip
_PRODUCTS = ("Cartão", "Crédito pessoal", "Consignado", "Cheque especial", "Veículo")


@dataclass(frozen=True, kw_only=True)
class Contract:
    """One debt as the creditor knows it; amounts in cents."""

    cpf: str
    name: str
    contract: str
    product: str
    amount: int
    original: int
    due: date
    issued: date
    birth: date | None
    email: str
    city: str
    state: str
    phones: tuple[str, ...]
    deceased: bool
    situation: str

    def phone(self, place: int) -> str:
        """The phone in a place (from 0), or nothing."""
        return self.phones[place] if place < len(self.phones) else ""


def portfolio(seed: int, size: int) -> list[Contract]:
    """The first day of a creditor."""
    rng = random.Random(f"portfolio {seed}")  # noqa: S311
    return [_contract(rng, seed, number) for number in range(size)]


def next_day(contracts: Sequence[Contract], seed: int, day: int) -> list[Contract]:
    """A day later: some paid, some new, some paid a part, some data corrected."""
    rng = random.Random(f"day {seed} {day}")  # noqa: S311
    interest = 1 + rng.choice((0.0, 0.0003, 0.001))
    kept = []
    for one in contracts:
        if rng.random() < 0.05:
            continue
        amount = round(one.amount * interest)
        if rng.random() < 0.04:
            amount = max(100, round(amount * rng.uniform(0.2, 0.9)))
        changes: dict[str, Any] = {"amount": amount}
        if rng.random() < 0.02:
            changes["phones"] = (_phone(rng), *one.phones[:2])
        if rng.random() < 0.01:
            changes["email"] = f"novo{rng.randrange(10**6)}@correio.example"
        if rng.random() < 0.03:
            changes["due"] = one.due + timedelta(days=30)
        if rng.random() < 0.01:
            changes["city"], changes["state"] = rng.choice(_CITIES)
        kept.append(replace(one, **changes))
    start = 10**5 * day + len(contracts)
    kept += [_contract(rng, seed, start + number) for number in range(len(contracts) // 20)]
    rng.shuffle(kept)
    return kept


def _contract(rng: random.Random, seed: int, number: int) -> Contract:
    city, state = rng.choice(_CITIES)
    name = " ".join([rng.choice(_FIRST), *rng.sample(_LAST, rng.choice((1, 2, 2, 3)))])
    original = int(10 ** rng.uniform(3.7, 6.2))
    due = DAY - timedelta(days=rng.randrange(20, 700))
    word = name.split()[0].lower().encode("ascii", "ignore").decode()
    return Contract(
        cpf=_cpf(rng),
        name=name,
        contract=f"{seed % 90 + 10}{number:07}{rng.randrange(10)}",
        product=rng.choice(_PRODUCTS),
        amount=round(original * rng.uniform(1.05, 1.9)),
        original=original,
        due=due,
        issued=due - timedelta(days=rng.choice((30, 60, 90, 365))),
        birth=date(1950, 1, 1) + timedelta(days=rng.randrange(19_000))
        if rng.random() < 0.9
        else None,
        email=f"{word}{rng.randrange(10**5)}@correio.example" if rng.random() < 0.6 else "",
        city=city,
        state=state,
        phones=tuple(_phone(rng) for _ in range(rng.choice((1, 1, 2, 2, 3)))),
        deceased=rng.random() < 0.03,
        situation=rng.choice("AAAABBC"),
    )


def _phone(rng: random.Random) -> str:
    if rng.random() < 0.8:
        return f"{rng.choice(_DDDS)}9{rng.randrange(6, 10)}{rng.randrange(10**7):07}"
    return f"{rng.choice(_DDDS)}{rng.randrange(2, 6)}{rng.randrange(10**7):07}"


def _cpf(rng: random.Random) -> str:
    digits = [rng.randrange(10) for _ in range(9)]
    for _ in range(2):
        total = sum(
            digit * weight
            for digit, weight in zip(digits, range(len(digits) + 1, 1, -1), strict=True)
        )
        digits.append(total * 10 % 11 % 10)
    return "".join(map(str, digits))


# How values are written --------------------------------------------------------------------------

Text = Callable[[Contract], Any]


def comma(cents: int) -> str:
    """``1.234,56``"""
    return f"{cents / 100:,.2f}".translate(str.maketrans(",.", ".,"))


def point(cents: int) -> str:
    """``1234.56``"""
    return f"{cents / 100:.2f}"


def shaped(shape: str) -> Callable[[date | None], str]:
    """A writer of dates: ``%d/%m/%Y`` and the like; nothing for no date."""
    return lambda day: day.strftime(shape) if day else ""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: its title, the field that it fills, and how a contract is written in it."""

    title: str
    name: str
    text: Text


@dataclass(frozen=True, kw_only=True)
class TableFile:
    """Delimited text."""

    columns: tuple[Column, ...]
    delimiter: str = ";"
    encoding: str = "latin-1"
    newline: str = "\r\n"
    header: bool = True
    quote: str = '"'
    quote_all: bool = False
    bom: bool = False
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    row_end: str = ""
    money: Callable[[int], str] = comma
    day: Callable[[date | None], str] = field(default=shaped("%d/%m/%Y"))
    yes: str = "S"
    no: str = "N"

    def content(self, rows: Sequence[Contract]) -> bytes:
        """The bytes of a day."""
        lines = list(self.before)
        if self.header:
            lines.append(self.line([column.title for column in self.columns]))
        lines += [
            self.line([self.write(column.text(row)) for column in self.columns]) for row in rows
        ]
        lines += self.after
        text = "".join(line + self.newline for line in lines)
        return (b"\xef\xbb\xbf" if self.bom else b"") + text.encode(self.encoding, "replace")

    def line(self, cells: Sequence[str]) -> str:
        """One line of cells."""
        return self.delimiter.join(map(self.quoted, cells)) + self.row_end

    def quoted(self, cell: str) -> str:
        """A cell between quotes where it needs them."""
        if self.quote_all or self.delimiter in cell or self.quote in cell:
            return self.quote + cell.replace(self.quote, self.quote * 2) + self.quote
        return cell

    def write(self, value: Any) -> str:
        """A value in this file's notation; an int is an amount in cents."""
        if isinstance(value, bool):
            return self.yes if value else self.no
        if isinstance(value, int):
            return self.money(value)
        if value is None or isinstance(value, date):
            return self.day(value)
        return str(value)


@dataclass(frozen=True, kw_only=True)
class SheetFile:
    """An xlsx; amounts are numbers and dates are date cells unless ``day`` writes them."""

    columns: tuple[Column, ...]
    sheet: str = "Carteira"
    before: tuple[str, ...] = ()
    header: bool = True
    scale: int = 100
    day: Callable[[date | None], Any] = field(default=lambda day: day)
    yes: str = "sim"
    no: str = "não"

    def content(self, rows: Sequence[Contract]) -> bytes:
        """The bytes of a day."""
        from openpyxl import Workbook

        book = Workbook(write_only=True)
        page = book.create_sheet(self.sheet)
        for line in self.before:
            page.append([line])
        if self.header:
            page.append([column.title for column in self.columns])
        for row in rows:
            page.append([self.write(column.text(row)) for column in self.columns])
        out = io.BytesIO()
        book.save(out)
        return out.getvalue()

    def write(self, value: Any) -> Any:
        """A value as a cell."""
        if isinstance(value, bool):
            return self.yes if value else self.no
        if isinstance(value, int):
            return value / self.scale if self.scale > 1 else value
        if value is None or isinstance(value, date):
            return self.day(value)
        return value


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some bytes of a line: text to the left, or digits to the right with leading zeros."""

    name: str
    size: int
    text: Text
    zeros: bool = False


@dataclass(frozen=True, kw_only=True)
class LineFile:
    """Lines of one size; with ``codes``, a header and a trailer that counts and adds up."""

    parts: tuple[Part, ...]
    size: int
    encoding: str = "latin-1"
    newline: str = "\n"
    codes: bool = False
    prefix: str = ""
    cents: Callable[[int], str] = str
    day: Callable[[date | None], str] = field(default=shaped("%Y%m%d"))
    no_day: str = "00000000"
    yes: str = "1"
    no: str = "0"
    trimmed: bool = False

    def content(self, rows: Sequence[Contract]) -> bytes:
        """The bytes of a day."""
        lines = []
        if self.codes:
            lines.append(f"0HORIZONTE {DAY:%d%m%Y}000007")
        code = "1" if self.codes else ""
        lines += [code + "".join(self.cell(part, row) for part in self.parts) for row in rows]
        if self.codes:
            total = sum(row.amount for row in rows)
            lines.append(f"9{len(rows):08}{total:016}")
        out = []
        for line in lines:
            full = (self.prefix + line).ljust(self.size)
            out.append((full.rstrip() if self.trimmed else full).encode(self.encoding, "replace"))
        end = self.newline.encode()
        return end.join(out) + end

    def cell(self, part: Part, row: Contract) -> str:
        """The bytes of one part."""
        value = part.text(row)
        if isinstance(value, bool):
            text = self.yes if value else self.no
        elif isinstance(value, int):
            text = self.cents(value)
        elif value is None or isinstance(value, date):
            text = self.day(value) if value else self.no_day
        else:
            text = value
        return text.rjust(part.size, "0") if part.zeros else text.ljust(part.size)[: part.size]


AnyFile = TableFile | SheetFile | LineFile


# The six layouts ---------------------------------------------------------------------------------


def _columns(*items: tuple[str, str, Text]) -> tuple[Column, ...]:
    return tuple(Column(title=title, name=name, text=text) for title, name, text in items)


_PEOPLE: tuple[tuple[str, str, Text], ...] = (
    ("CPF", "cpf", lambda c: c.cpf),
    ("NOME", "nome", lambda c: c.name),
    ("CONTRATO", "contrato", lambda c: c.contract),
    ("PRODUTO", "produto", lambda c: c.product),
    ("VALOR", "valor", lambda c: c.amount),
    ("VALOR_ORIGINAL", "valor_original", lambda c: c.original),
    ("VENCIMENTO", "vencimento", lambda c: c.due),
    ("EMISSAO", "emissao", lambda c: c.issued),
    ("NASCIMENTO", "nascimento", lambda c: c.birth),
    ("EMAIL", "email", lambda c: c.email),
    ("CIDADE", "cidade", lambda c: c.city),
    ("UF", "uf", lambda c: c.state),
)
_WITH_DDD: tuple[tuple[str, str, Text], ...] = tuple(
    item
    for place in range(3)
    for item in (
        (f"DDD{place + 1}", f"ddd_{place + 1}", lambda c, place=place: c.phone(place)[:2]),
        (f"FONE{place + 1}", f"telefone_{place + 1}", lambda c, place=place: c.phone(place)[2:]),
    )
)
_PHONES: tuple[tuple[str, str, Text], ...] = tuple(
    (f"FONE{place + 1}", f"telefone_{place + 1}", lambda c, place=place: c.phone(place))
    for place in range(3)
)
_MARKS: tuple[tuple[str, str, Text], ...] = (
    ("OBITO", "obito", lambda c: c.deceased),
    ("SITUACAO", "situacao", lambda c: c.situation),
)

_HEAD = 'versao: "1"\nvigencia: 2026-01-01\narquivos: "arquivo*"\n'
_TABLE = "tabela: {A: ativo, B: acordo, C: judicial}"


def _fields(day: str, money: str, **extra: str) -> list[str]:
    types = {
        "cpf": "tipo: cpf", "nome": "tipo: texto", "contrato": "tipo: texto",
        "produto": "tipo: texto", "valor": f"tipo: dinheiro, {money}, minimo: 0.01",
        "valor_original": f"tipo: dinheiro, {money}", "vencimento": f"tipo: data, formato: {day}",
        "emissao": f"tipo: data, formato: {day}",
        "nascimento": f'tipo: data, formato: {day}, vazios: ["00000000"]',
        "email": "tipo: email", "cidade": "tipo: texto", "uf": "tipo: uf",
        "telefone_1": "tipo: telefone", "telefone_2": "tipo: telefone",
        "telefone_3": "tipo: telefone", "obito": "tipo: sim_nao",
        "situacao": f"tipo: codigo, {_TABLE}",
    }  # fmt: skip
    return [
        f"  - {{nome: {name}, {types[name]}, {where}}}"
        for name, where in extra.items()
        if name in types
    ]


def _by_title(file: TableFile | SheetFile) -> dict[str, str]:
    titles = {column.name: column.title for column in file.columns}
    out = {}
    for name, title in titles.items():
        ddd = titles.get(name.replace("telefone", "ddd")) if name.startswith("telefone") else None
        out[name] = f"coluna: {title}" + (f", coluna_ddd: {ddd}" if ddd else "")
    return out


def _by_number(file: TableFile) -> dict[str, str]:
    return {column.name: f"posicao: {at}" for at, column in enumerate(file.columns, start=1)}


def _by_byte(file: LineFile) -> dict[str, str]:
    at, out = 2 if file.codes else 1, {}
    for part in file.parts:
        out[part.name] = f"inicio: {at}, tamanho: {part.size}"
        at += part.size
    return out


_BANK = TableFile(columns=_columns(*_PEOPLE, *_WITH_DDD, *_MARKS))
_PIPE = TableFile(
    columns=_columns(*_PEOPLE, *_PHONES, *_MARKS),
    delimiter="|",
    encoding="utf-8",
    newline="\n",
    money=point,
    day=shaped("%Y-%m-%d"),
)
_BARE = TableFile(
    columns=_columns(*_PEOPLE, *_PHONES, *_MARKS), delimiter=",", header=False, money=point
)
_SHEET = SheetFile(columns=_columns(*_PEOPLE, *_PHONES, *_MARKS))


def _parts(*skipped: str) -> tuple[Part, ...]:
    sizes = {
        "cpf": 11, "nome": 40, "contrato": 15, "produto": 18, "valor": 12, "valor_original": 12,
        "vencimento": 8, "emissao": 8, "nascimento": 8, "telefone_1": 12, "telefone_2": 12,
        "telefone_3": 12, "email": 40, "cidade": 25, "uf": 2, "obito": 1, "situacao": 1,
    }  # fmt: skip
    texts = {name: text for _, name, text in (*_PEOPLE, *_PHONES, *_MARKS)}
    return tuple(
        Part(name=name, size=size, text=texts[name], zeros=name.startswith("valor"))
        for name, size in sizes.items()
        if name not in skipped
    )


_FIXED = LineFile(parts=_parts(), size=245)
_RECORDS = LineFile(
    parts=_parts("email", "situacao"),
    size=210,
    codes=True,
    day=shaped("%d%m%Y"),
    encoding="latin-1",
    yes="S",
    no="N",
)


def _layout(file: AnyFile) -> str:
    if isinstance(file, SheetFile):
        return (
            f"{_HEAD}formato: planilha\naba: Carteira\ncampos:\n"
            + "\n".join(_fields("dd/mm/aaaa", 'decimal: ","', **_by_title(file)))
            + "\n"
        )
    if isinstance(file, TableFile):
        day = "aaaa-mm-dd" if file is _PIPE else "dd/mm/aaaa"
        mark = "," if file is _BANK else "."
        places = _by_title(file) if file.header else _by_number(file)
        ignored = ""
        header = "" if file.header else "cabecalho: não\n"
        return (
            f"{_HEAD}formato: delimitado\ncodificacao: {file.encoding}\n"
            f'separador: "{file.delimiter}"\n{header}{ignored}campos:\n'
            + "\n".join(_fields(day, f'decimal: "{mark}"', **places))
            + "\n"
        )
    day = "ddmmaaaa" if file.codes else "aaaammdd"
    fields = _fields(day, "decimais: 2", **_by_byte(file))
    head = f"{_HEAD}codificacao: {file.encoding}\ntamanho_da_linha: {file.size}\n"
    if not file.codes:
        return head + "formato: largura_fixa\ncampos:\n" + "\n".join(fields) + "\n"
    inner = "\n".join("    " + line for line in fields)
    return head + (
        "formato: registros\nregistros:\n  inicio: 1\n"
        '  cabecalho:\n    codigo: "0"\n    campos:\n'
        "      - {nome: remetente, inicio: 2, tamanho: 10, igual: HORIZONTE}\n"
        f'  detalhe:\n    codigo: "1"\n    campos:\n{inner}\n'
        '  rodape:\n    codigo: "9"\n    campos:\n'
        "      - {nome: quantidade, tipo: inteiro, inicio: 2, tamanho: 8, confere: quantidade}\n"
        "      - {nome: total, tipo: dinheiro, inicio: 10, tamanho: 16, decimais: 2, "
        "confere: soma, de: valor}\n"
    )


FILES: dict[str, tuple[AnyFile, str]] = {
    name: (file, _layout(file))
    for name, file in {
        "delimited": _BANK,
        "delimited, held out": _PIPE,
        "delimited, no header": _BARE,
        "spreadsheet": _SHEET,
        "fixed width": _FIXED,
        "records": _RECORDS,
    }.items()
}
"""Name → (how the creditor writes, the layout that reads it)."""
