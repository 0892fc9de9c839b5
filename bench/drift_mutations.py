"""What creditors do to their files from one day to the next, kind by kind.

Each kind says what is right to do with it: ``harmless`` (the layout reads it all the same),
``lossless`` (every value can be had back: it should adapt by itself), ``decide`` (a person has to
decide, on the right proposal), ``refuse`` (values are damaged or missing: nothing may be loaded).
Nothing here knows how drift is recognised.
"""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Literal

from drift_files import (
    AnyFile,
    Column,
    Contract,
    LineFile,
    Part,
    SheetFile,
    TableFile,
    comma,
    point,
    portfolio,
    shaped,
)

Right = Literal["harmless", "lossless", "decide", "refuse"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A mutated file: its bytes, the truth that it should give, the fields that it lost."""

    content: bytes
    truth: Sequence[Contract]
    lost: frozenset[str] = frozenset()
    right: Right


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of mutation; ``make`` gives None for files that it does not concern."""

    name: str
    family: str
    right: Right
    make: Callable[[AnyFile, Sequence[Contract], random.Random], AnyFile | bytes | None]
    lost: frozenset[str] = frozenset()
    held_out: bool = False


KINDS: list[Kind] = []
Make = Callable[[Any, Sequence[Contract], random.Random], Any]


def kind(
    name: str, family: str, right: Right, *, lost: str = "", held_out: bool = False
) -> Callable[[Make], Make]:
    """Add a kind to the list."""

    def add(make: Make) -> Make:
        KINDS.append(
            Kind(
                name=name,
                family=family,
                right=right,
                make=make,
                lost=frozenset(lost.split()),
                held_out=held_out,
            )
        )
        return make

    return add


def cases(
    file: AnyFile, rows: Sequence[Contract], seed: int, kinds: Sequence[Kind]
) -> Iterator[tuple[Kind, Case]]:
    """Every mutation that this file can have."""
    for one in kinds:
        rng = random.Random(f"{one.name} {seed}")  # noqa: S311
        made = one.make(file, rows, rng)
        if made is None:
            continue
        content = made if isinstance(made, bytes) else made.content(rows)
        right = one.right
        titled = not isinstance(file, LineFile) and file.header
        if right == "lossless" and titled and one.name in _READ_BY_TITLE:
            right = "harmless"
        yield one, Case(content=content, truth=rows, lost=one.lost, right=right)


_READ_BY_TITLE = {"columns reordered"}


def tables(make: Callable[[Any, Any], Any]) -> Make:
    """A mutation of the columns of any table."""
    return lambda file, rows, rng: None if isinstance(file, LineFile) else make(file, rng)


def texts(make: Callable[[Any, Any], Any]) -> Make:
    """A mutation of delimited text."""
    return lambda file, rows, rng: make(file, rng) if isinstance(file, TableFile) else None


def sheets(make: Callable[[Any, Any], Any]) -> Make:
    """A mutation of spreadsheets."""
    return lambda file, rows, rng: make(file, rng) if isinstance(file, SheetFile) else None


def lines(make: Callable[[Any, Any], Any]) -> Make:
    """A mutation of lines of one size."""
    return lambda file, rows, rng: make(file, rng) if isinstance(file, LineFile) else None


def values(make: Callable[[Sequence[Contract], random.Random], Sequence[Contract]]) -> Make:
    """Damage to the values themselves, in any file."""
    return lambda file, rows, rng: file.content(make(rows, rng))


def _titled(file: Any, titles: Callable[[str], str]) -> Any:
    if not file.header:
        return None
    return replace(
        file, columns=tuple(replace(one, title=titles(one.title)) for one in file.columns)
    )


def _swapped(file: Any, one: str, other: str) -> Any:
    """The contents of two fields change places; the titles stay."""
    items = file.parts if isinstance(file, LineFile) else file.columns
    texts = {item.name: item.text for item in items}
    if one not in texts or other not in texts:
        return None
    swap = {one: texts[other], other: texts[one]}
    new = tuple(replace(item, text=swap.get(item.name, item.text)) for item in items)
    return replace(file, **{"parts" if isinstance(file, LineFile) else "columns": new})


def _without(file: Any, *names: str) -> Any:
    if isinstance(file, LineFile):
        kept = tuple(part for part in file.parts if part.name not in names)
        gone = sum(part.size for part in file.parts) - sum(part.size for part in kept)
        return replace(file, parts=kept, size=file.size - gone) if gone else None
    kept = tuple(one for one in file.columns if one.name not in names)
    return replace(file, columns=kept) if len(kept) < len(file.columns) else None


# Columns -----------------------------------------------------------------------------------------


@kind("columns reordered", "columns", "lossless")
@tables
def _(file: Any, rng: random.Random) -> Any:
    columns = list(file.columns)
    rng.shuffle(columns)
    return replace(file, columns=tuple(columns))


@kind("one column renamed", "columns", "lossless")
@tables
def _(file: Any, rng: random.Random) -> Any:
    name = rng.choice([one.title for one in file.columns])
    return _titled(file, lambda title: f"{title}_ATUAL" if title == name else title)


@kind("all columns renamed", "columns", "lossless")
@tables
def _(file: Any, rng: random.Random) -> Any:
    return _titled(file, lambda title: f"CAMPO {sum(map(ord, title)) % 997}{title[0]}")


@kind("titles in other case and with accents", "columns", "lossless")
@tables
def _(file: Any, rng: random.Random) -> Any:
    return _titled(file, lambda title: title.capitalize().replace("ao", "ão").replace("_", " "))


@kind("column added at the end", "columns", "lossless")
@tables
def _(file: Any, rng: random.Random) -> Any:
    new = Column(title="FILIAL", name="filial", text=lambda c: f"{c.contract[-2:]}01")
    return replace(file, columns=(*file.columns, new))


@kind("column added in the middle", "columns", "lossless")
@tables
def _(file: Any, rng: random.Random) -> Any:
    new = Column(
        title="ATRASO", name="atraso", text=lambda c: str((date(2026, 11, 20) - c.due).days)
    )
    at = rng.randrange(1, len(file.columns) - 1)
    return replace(file, columns=(*file.columns[:at], new, *file.columns[at:]))


@kind("another date and amounts added", "columns", "lossless")
@tables
def _(file: Any, rng: random.Random) -> Any:
    new = (
        Column(title="ULT_PAGAMENTO", name="u", text=lambda c: c.due - timedelta(days=29)),
        Column(title="VALOR_COM_DESCONTO", name="d", text=lambda c: round(c.amount * 0.7)),
        Column(title="JUROS", name="j", text=lambda c: c.amount - c.original),
    )
    at = rng.randrange(2, 7)
    return replace(file, columns=(*file.columns[:at], *new, *file.columns[at:]))


@kind("amounts swapped under their titles", "columns", "lossless")
def _(file: Any, rows: Any, rng: random.Random) -> Any:
    return _swapped(file, "valor", "valor_original")


@kind("dates swapped under their titles", "columns", "lossless")
def _(file: Any, rows: Any, rng: random.Random) -> Any:
    return _swapped(file, "vencimento", "emissao")


@kind("name and city swapped", "columns", "lossless")
@tables
def _(file: Any, rng: random.Random) -> Any:
    return _swapped(file, "nome", "cidade")


@kind("first and second phone swapped", "columns", "lossless", held_out=True)
@tables
def _(file: Any, rng: random.Random) -> Any:
    if any(one.name.startswith("ddd") for one in file.columns):
        file = _swapped(file, "ddd_1", "ddd_2")
    return _swapped(file, "telefone_1", "telefone_2")


@kind("CPF and contract swapped", "columns", "lossless", held_out=True)
@tables
def _(file: Any, rng: random.Random) -> Any:
    return _swapped(file, "cpf", "contrato")


@kind("header vanished", "columns", "lossless")
@texts
def _(file: Any, rng: random.Random) -> Any:
    return replace(file, header=False) if file.header else None


@kind("header appeared", "columns", "lossless")
@texts
def _(file: Any, rng: random.Random) -> Any:
    return None if file.header else replace(file, header=True)


@kind("header vanished and columns reordered", "columns", "lossless")
@texts
def _(file: Any, rng: random.Random) -> Any:
    if not file.header:
        return None
    at = rng.randrange(3, 9)
    return replace(file, header=False, columns=(*file.columns[at:], *file.columns[:at]))


@kind("DDD joined to its phone", "columns", "lossless")
@texts
def _(file: Any, rng: random.Random) -> Any:
    kept = tuple(one for one in file.columns if not one.name.startswith("ddd"))
    if len(kept) == len(file.columns):
        return None
    new = []
    for one in kept:
        if one.name.startswith("telefone"):
            place = int(one.name[-1]) - 1
            one = replace(one, text=lambda c, place=place: c.phone(place))
        new.append(one)
    return replace(file, columns=tuple(new))


@kind("phone split into DDD and number", "columns", "lossless")
@texts
def _(file: Any, rng: random.Random) -> Any:
    if any(one.name.startswith("ddd") for one in file.columns):
        return None
    new = []
    for one in file.columns:
        if one.name.startswith("telefone"):
            at = int(one.name[-1]) - 1
            new.append(Column(title=f"DDD{at}", name="", text=lambda c, at=at: c.phone(at)[:2]))
            one = replace(one, text=lambda c, at=at: c.phone(at)[2:])
        new.append(one)
    return replace(file, columns=tuple(new))


@kind("two columns with one title", "columns", "lossless")
@tables
def _(file: Any, rng: random.Random) -> Any:
    if not file.header:
        return None
    new = Column(title=file.columns[4].title, name="", text=lambda c: round(c.amount * 0.9))
    return replace(file, columns=(*file.columns, new))


@kind("an empty column at the end of each row", "columns", "lossless")
@texts
def _(file: Any, rng: random.Random) -> Any:
    return replace(file, row_end=file.delimiter)


@kind("optional column removed", "columns", "decide", lost="email")
@tables
def _(file: Any, rng: random.Random) -> Any:
    return _without(file, "email")


@kind("several optional columns removed", "columns", "decide", lost="nascimento produto emissao")
@tables
def _(file: Any, rng: random.Random) -> Any:
    return _without(file, "nascimento", "produto", "emissao")


@kind("removed, added and renamed at once", "columns", "decide", lost="cidade")
@tables
def _(file: Any, rng: random.Random) -> Any:
    new = Column(title="LOJA", name="", text=lambda c: f"Loja {c.contract[-1]}")
    file = _without(file, "cidade")
    file = replace(file, columns=(*file.columns[:3], new, *file.columns[3:]))
    return _titled(file, lambda title: title.replace("NOME", "CLIENTE")) or file


@kind("city and state joined in one column", "columns", "decide", lost="cidade uf")
@tables
def _(file: Any, rng: random.Random) -> Any:
    new = Column(title="CIDADE_UF", name="", text=lambda c: f"{c.city}/{c.state}")
    file = _without(file, "cidade", "uf")
    return replace(file, columns=(*file.columns[:10], new, *file.columns[10:]))


@kind("contract column removed", "columns", "refuse")
@tables
def _(file: Any, rng: random.Random) -> Any:
    return _without(file, "contrato")


@kind("amount column removed", "columns", "refuse")
@tables
def _(file: Any, rng: random.Random) -> Any:
    return _without(file, "valor")


@kind("only part of the rows moved one column", "columns", "refuse")
@texts
def _(file: Any, rng: random.Random) -> Any:
    data = file.content(portfolio(0, 0))
    return None if data is None else _Moved(file=file)


@dataclass(frozen=True, kw_only=True)
class _Moved:
    """A third of the rows have one more, empty, cell after the third."""

    file: TableFile

    def content(self, rows: Sequence[Contract]) -> bytes:
        out = self.file.content(rows).decode(self.file.encoding).split(self.file.newline)
        mark = self.file.delimiter
        for at in range(3, len(out) - 1, 3):
            cells = out[at].split(mark)
            out[at] = mark.join([*cells[:3], "", *cells[3:]])
        return self.file.newline.join(out).encode(self.file.encoding)


# Files -------------------------------------------------------------------------------------------


@kind("lines before the header", "file", "lossless")
@texts
def _(file: Any, rng: random.Random) -> Any:
    return replace(file, before=("Banco Exemplo S.A.", "Carteira de cobrança de 20/11/2026", ""))


@kind("a line of totals at the end", "file", "lossless", held_out=True)
@texts
def _(file: Any, rng: random.Random) -> Any:
    return replace(file, after=("TOTAL DE REGISTROS: 400",))


@kind("other encoding", "file", "lossless")
@texts
def _(file: Any, rng: random.Random) -> Any:
    return replace(file, encoding="latin-1" if file.encoding == "utf-8" else "utf-8")


@kind("UTF-8 with a byte order mark", "file", "lossless")
@texts
def _(file: Any, rng: random.Random) -> Any:
    return replace(file, encoding="utf-8", bom=True)


@kind("other separator", "file", "lossless")
@texts
def _(file: Any, rng: random.Random) -> Any:
    return replace(file, delimiter="|" if file.delimiter != "|" else ";")


@kind("tabs between cells", "file", "lossless")
@texts
def _(file: Any, rng: random.Random) -> Any:
    return replace(file, delimiter="\t")


@kind("other separator and encoding", "file", "lossless")
@texts
def _(file: Any, rng: random.Random) -> Any:
    return replace(
        file,
        delimiter="#" if file.delimiter != "#" else ";",
        encoding="latin-1" if file.encoding == "utf-8" else "utf-8",
    )


@kind("quotes around every cell", "file", "harmless")
@texts
def _(file: Any, rng: random.Random) -> Any:
    return replace(file, quote_all=True)


@kind("single quotes around every cell", "file", "lossless")
@texts
def _(file: Any, rng: random.Random) -> Any:
    return replace(file, quote_all=True, quote="'")


@kind("other line ends", "file", "harmless")
def _(file: Any, rows: Any, rng: random.Random) -> Any:
    if isinstance(file, SheetFile):
        return None
    return replace(file, newline="\n" if file.newline == "\r\n" else "\r\n")


@kind("sheet renamed", "file", "lossless")
@sheets
def _(file: Any, rng: random.Random) -> Any:
    return replace(file, sheet="Plan1")


@kind("lines above the titles of the sheet", "file", "lossless", held_out=True)
@sheets
def _(file: Any, rng: random.Random) -> Any:
    return replace(file, before=("Credor Exemplo", "Relatório de carteira"))


@kind("put into a zip", "file", "lossless")
def _(file: Any, rows: Any, rng: random.Random) -> Any:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        suffix = ".xlsx" if isinstance(file, SheetFile) else ".txt"
        archive.writestr("carteira" + suffix, file.content(rows))
    return out.getvalue()


@kind("spreadsheet becomes CSV", "file", "lossless")
@sheets
def _(file: Any, rng: random.Random) -> Any:
    return TableFile(columns=file.columns, yes="sim", no="não", encoding="utf-8")


@kind("most of the file is missing", "file", "refuse")
def _(file: Any, rows: Any, rng: random.Random) -> Any:
    if isinstance(file, LineFile) and file.codes:
        return file.content(rows)[: len(file.content(rows)) // 3]
    return file.content(rows[: len(rows) // 3])


@kind("another creditor's portfolio", "file", "refuse")
def _(file: Any, rows: Any, rng: random.Random) -> Any:
    return file.content(portfolio(rng.randrange(10**6), len(rows)))


# Values ------------------------------------------------------------------------------------------


@kind("other decimal mark", "values", "lossless")
@texts
def _(file: Any, rng: random.Random) -> Any:
    return replace(
        file,
        money=point if file.money is comma else lambda c: f"{c / 100:.2f}".replace(".", ","),
        quote_all=file.delimiter == ",",
    )


@kind("dots between thousands", "values", "harmless", held_out=True)
@texts
def _(file: Any, rng: random.Random) -> Any:
    if file.money is comma:
        return None
    return replace(file, money=lambda c: f"{c / 100:,.2f}", quote_all=True)


@kind("amounts in cents", "values", "lossless")
@tables
def _(file: Any, rng: random.Random) -> Any:
    return replace(file, scale=1) if isinstance(file, SheetFile) else replace(file, money=str)


@kind("amounts a thousand times smaller", "values", "refuse")
@texts
def _(file: Any, rng: random.Random) -> Any:
    return replace(file, money=lambda c: (comma if file.money is comma else point)(c // 1000))


@kind("month before day", "values", "lossless")
@texts
def _(file: Any, rng: random.Random) -> Any:
    return replace(file, day=shaped("%m/%d/%Y"))


@kind("ISO dates", "values", "lossless")
@texts
def _(file: Any, rng: random.Random) -> Any:
    return replace(
        file, day=shaped("%d/%m/%Y" if file.money is point and file.header else "%Y-%m-%d")
    )


@kind("dates without marks", "values", "lossless")
@texts
def _(file: Any, rng: random.Random) -> Any:
    return replace(file, day=shaped(rng.choice(("%Y%m%d", "%d%m%Y"))))


@kind("years of two digits", "values", "decide", held_out=True)
@texts
def _(file: Any, rng: random.Random) -> Any:
    return replace(file, day=shaped("%d/%m/%y"))


@kind("dates as text in the sheet", "values", "harmless")
@sheets
def _(file: Any, rng: random.Random) -> Any:
    return replace(file, day=shaped("%d/%m/%Y"))


@kind("month before day in the sheet", "values", "lossless")
@sheets
def _(file: Any, rng: random.Random) -> Any:
    return replace(file, day=shaped("%m/%d/%Y"))


@kind("month before day in part of the rows", "values", "refuse")
@tables
def _(file: Any, rng: random.Random) -> Any:
    american = shaped("%m/%d/%Y")
    usual = shaped("%d/%m/%Y")
    return replace(file, day=lambda d: (american if d and d.day <= 12 else usual)(d))


@kind("CPF with dots", "values", "harmless")
@tables
def _(file: Any, rng: random.Random) -> Any:
    def dotted(c: Contract) -> str:
        return f"{c.cpf[:3]}.{c.cpf[3:6]}.{c.cpf[6:9]}-{c.cpf[9:]}"

    return replace(
        file,
        columns=tuple(replace(o, text=dotted) if o.name == "cpf" else o for o in file.columns),
    )


@kind("CPF without leading zeros", "values", "harmless")
@tables
def _(file: Any, rng: random.Random) -> Any:
    return replace(
        file,
        columns=tuple(
            replace(o, text=lambda c: c.cpf.lstrip("0")) if o.name == "cpf" else o
            for o in file.columns
        ),
    )


@kind("phones with +55 and marks", "values", "harmless")
@tables
def _(file: Any, rng: random.Random) -> Any:
    if any(one.name.startswith("ddd") for one in file.columns):
        return None

    def marked(place: int) -> Callable[[Contract], str]:
        return lambda c: f"+55 ({p[:2]}) {p[2:-4]}-{p[-4:]}" if (p := c.phone(place)) else ""

    return replace(
        file,
        columns=tuple(
            replace(o, text=marked(int(o.name[-1]) - 1)) if o.name.startswith("telefone") else o
            for o in file.columns
        ),
    )


@kind("names in capitals", "values", "harmless")
def _(file: Any, rows: Any, rng: random.Random) -> Any:
    return file.content([replace(one, name=one.name.upper()) for one in rows])


@kind("other words for yes and no", "values", "decide")
def _(file: Any, rows: Any, rng: random.Random) -> Any:
    words = ("V", "F") if file.yes not in {"V"} else ("X", "Y")
    return replace(file, yes=words[0], no=words[1])


@kind("yes and no inverted", "values", "decide")
def _(file: Any, rows: Any, rng: random.Random) -> Any:
    return replace(file, yes=file.no, no=file.yes)


@kind("other code table", "values", "decide")
@tables
def _(file: Any, rng: random.Random) -> Any:
    codes = {"A": "10", "B": "20", "C": "30"}
    return replace(
        file,
        columns=tuple(
            replace(o, text=lambda c: codes[c.situation]) if o.name == "situacao" else o
            for o in file.columns
        ),
    )


@kind("codes that changed their meaning", "values", "decide")
@tables
def _(file: Any, rng: random.Random) -> Any:
    codes = {"A": "B", "B": "C", "C": "A"}
    return replace(
        file,
        columns=tuple(
            replace(o, text=lambda c: codes[c.situation]) if o.name == "situacao" else o
            for o in file.columns
        ),
    )


@kind("amounts in cents in half of the rows", "values", "refuse")
@values
def _(rows: Sequence[Contract], rng: random.Random) -> Sequence[Contract]:
    return [replace(c, amount=c.amount * 100) if rng.random() < 0.5 else c for c in rows]


@kind("amounts in cents in a few rows", "values", "refuse")
@values
def _(rows: Sequence[Contract], rng: random.Random) -> Sequence[Contract]:
    return [replace(c, amount=c.amount * 100) if rng.random() < 0.03 else c for c in rows]


@kind("amounts rounded to whole reais", "values", "refuse")
@values
def _(rows: Sequence[Contract], rng: random.Random) -> Sequence[Contract]:
    return [replace(c, amount=max(c.amount // 100, 1) * 100) for c in rows]


@kind("one column shifted by a row", "values", "refuse", held_out=True)
@values
def _(rows: Sequence[Contract], rng: random.Random) -> Sequence[Contract]:
    return [replace(c, amount=rows[at - 1].amount) for at, c in enumerate(rows)]


@kind("amounts swapped in part of the rows", "values", "refuse")
@values
def _(rows: Sequence[Contract], rng: random.Random) -> Sequence[Contract]:
    return [
        replace(c, amount=c.original, original=c.amount) if rng.random() < 0.3 else c for c in rows
    ]


@kind("last digit of the amounts lost", "values", "refuse")
@values
def _(rows: Sequence[Contract], rng: random.Random) -> Sequence[Contract]:
    return [replace(c, amount=c.amount // 10 * 10) for c in rows]


@kind("a tenth of the rows from another creditor", "values", "refuse")
@values
def _(rows: Sequence[Contract], rng: random.Random) -> Sequence[Contract]:
    own = rows[: len(rows) * 9 // 10]
    others = portfolio(rng.randrange(10**6), len(rows) - len(own))
    return [*own, *(replace(c, contract=f"{c.contract[2:]}77") for c in others)]


@kind("half of the contracts rounded by a spreadsheet", "values", "refuse")
@values
def _(rows: Sequence[Contract], rng: random.Random) -> Sequence[Contract]:
    return [replace(c, contract=f"{c.contract[:-2]}00") if rng.random() < 0.5 else c for c in rows]


@kind("NULL in place of some names", "values", "refuse")
@values
def _(rows: Sequence[Contract], rng: random.Random) -> Sequence[Contract]:
    return [replace(c, name="NULL") if rng.random() < 0.05 else c for c in rows]


@kind("some due dates a century early", "values", "refuse")
@values
def _(rows: Sequence[Contract], rng: random.Random) -> Sequence[Contract]:
    return [
        replace(c, due=c.due.replace(year=c.due.year - 100, day=1)) if rng.random() < 0.05 else c
        for c in rows
    ]


@kind("names cut", "values", "refuse")
@values
def _(rows: Sequence[Contract], rng: random.Random) -> Sequence[Contract]:
    return [replace(c, name=c.name[:9].strip()) for c in rows]


@kind("accents lost", "values", "refuse")
@values
def _(rows: Sequence[Contract], rng: random.Random) -> Sequence[Contract]:
    def broken(text: str) -> str:
        return text.encode("ascii", "replace").decode()

    return [replace(c, name=broken(c.name), city=broken(c.city)) for c in rows]


@kind("accents encoded twice", "values", "refuse")
@values
def _(rows: Sequence[Contract], rng: random.Random) -> Sequence[Contract]:
    def twice(text: str) -> str:
        return text.encode().decode("cp1252", "replace")

    return [replace(c, name=twice(c.name), city=twice(c.city)) for c in rows]


@kind("every due date the same", "values", "refuse")
@values
def _(rows: Sequence[Contract], rng: random.Random) -> Sequence[Contract]:
    return [replace(c, due=date(2026, 11, 20)) for c in rows]


@kind("e-mails gone", "values", "refuse")
def _(file: Any, rows: Any, rng: random.Random) -> Any:
    if isinstance(file, LineFile) and file.codes:
        return None
    return file.content([replace(c, email="") for c in rows])


@kind("CPFs hidden by asterisks", "values", "refuse")
@values
def _(rows: Sequence[Contract], rng: random.Random) -> Sequence[Contract]:
    return [replace(c, cpf="*" * 8 + c.cpf[8:]) for c in rows]


@kind("CPFs of other people", "values", "refuse", held_out=True)
@values
def _(rows: Sequence[Contract], rng: random.Random) -> Sequence[Contract]:
    return [replace(c, cpf=rows[at - 1].cpf) for at, c in enumerate(rows)]


@kind("contracts with a new prefix", "values", "refuse")
@values
def _(rows: Sequence[Contract], rng: random.Random) -> Sequence[Contract]:
    return [replace(c, contract=f"9{c.contract}") for c in rows]


@kind("contracts without their last digit", "values", "refuse")
@values
def _(rows: Sequence[Contract], rng: random.Random) -> Sequence[Contract]:
    return [replace(c, contract=c.contract[:-1]) for c in rows]


# Fixed width -------------------------------------------------------------------------------------


def _resized(file: LineFile, name: str, by: int) -> LineFile | None:
    if not any(part.name == name for part in file.parts):
        return None
    parts = tuple(
        replace(part, size=part.size + by) if part.name == name else part for part in file.parts
    )
    return replace(file, parts=parts, size=file.size + by)


def _inserted(file: LineFile, at: int, part: Part) -> LineFile:
    return replace(
        file, parts=(*file.parts[:at], part, *file.parts[at:]), size=file.size + part.size
    )


@kind("text field widened", "fixed width", "lossless")
@lines
def _(file: Any, rng: random.Random) -> Any:
    return _resized(file, rng.choice(("nome", "produto", "cidade")), rng.choice((5, 10)))


@kind("number field widened", "fixed width", "lossless")
@lines
def _(file: Any, rng: random.Random) -> Any:
    return _resized(file, rng.choice(("valor", "valor_original")), 3)


@kind("contract field widened", "fixed width", "lossless")
@lines
def _(file: Any, rng: random.Random) -> Any:
    return _resized(file, "contrato", 5)


@kind("field narrowed, nothing cut", "fixed width", "lossless")
@lines
def _(file: Any, rng: random.Random) -> Any:
    name, by = rng.choice((("cidade", -5), ("contrato", -3), ("valor", -2)))
    return _resized(file, name, by)


@kind("field narrowed, values cut", "fixed width", "refuse")
@lines
def _(file: Any, rng: random.Random) -> Any:
    return _resized(file, "nome", -31)


@kind("field narrowed, line size kept", "fixed width", "lossless", held_out=True)
@lines
def _(file: Any, rng: random.Random) -> Any:
    made = _resized(file, "cidade", -4)
    return replace(made, size=file.size)


@kind("field inserted", "fixed width", "lossless")
@lines
def _(file: Any, rng: random.Random) -> Any:
    part = Part(name="filial", size=6, text=lambda c: f"F{c.contract[-3:]}")
    return _inserted(file, rng.randrange(2, len(file.parts) - 1), part)


@kind("date inserted before another", "fixed width", "lossless")
@lines
def _(file: Any, rng: random.Random) -> Any:
    at = next(at for at, part in enumerate(file.parts) if part.name == "vencimento")
    part = Part(name="pago", size=8, text=lambda c: c.due - timedelta(days=45))
    return _inserted(file, at, part)


@kind("amount inserted before another", "fixed width", "lossless")
@lines
def _(file: Any, rng: random.Random) -> Any:
    at = next(at for at, part in enumerate(file.parts) if part.name == "valor")
    part = Part(name="juros", size=12, text=lambda c: c.amount - c.original, zeros=True)
    return _inserted(file, at, part)


@kind("field added at the end", "fixed width", "lossless")
@lines
def _(file: Any, rng: random.Random) -> Any:
    used = sum(part.size for part in file.parts) + (1 if file.codes else 0)
    pad = Part(name="", size=file.size - used, text=lambda c: "")
    part = Part(name="lote", size=8, text=lambda c: f"LT{c.contract[-4:]}")
    return replace(file, parts=(*file.parts, pad, part), size=file.size + part.size)


@kind("something new in the filler", "fixed width", "harmless", held_out=True)
@lines
def _(file: Any, rng: random.Random) -> Any:
    part = Part(name="", size=4, text=lambda c: c.contract[-4:])
    return replace(file, parts=(*file.parts, part))


@kind("shifted by some bytes", "fixed width", "lossless")
@lines
def _(file: Any, rng: random.Random) -> Any:
    prefix = "".join(rng.choice("XZ") for _ in range(rng.choice((1, 2, 3, 5))))
    return replace(file, prefix=prefix, size=file.size + len(prefix))


@kind("number of the record put in front", "fixed width", "lossless", held_out=True)
@lines
def _(file: Any, rng: random.Random) -> Any:
    if file.codes:
        return None
    numbers = iter(range(1, 10**6))
    return _inserted(file, 0, Part(name="", size=7, text=lambda c: f"{next(numbers):07}"))


@kind("fields reordered", "fixed width", "lossless")
@lines
def _(file: Any, rng: random.Random) -> Any:
    parts = list(file.parts)
    one, other = rng.sample(range(2, len(parts)), 2)
    parts[one], parts[other] = parts[other], parts[one]
    return replace(file, parts=tuple(parts))


@kind("all fields shuffled", "fixed width", "lossless")
@lines
def _(file: Any, rng: random.Random) -> Any:
    parts = list(file.parts)
    rng.shuffle(parts)
    return replace(file, parts=tuple(parts))


@kind("other order of dates", "fixed width", "lossless")
@lines
def _(file: Any, rng: random.Random) -> Any:
    usual = "%Y%m%d" if file.no_day and not file.codes else "%d%m%Y"
    other = rng.choice([s for s in ("%Y%m%d", "%d%m%Y", "%m%d%Y") if s != usual])
    return replace(file, day=shaped(other))


@kind("dates with marks, wider", "fixed width", "lossless")
@lines
def _(file: Any, rng: random.Random) -> Any:
    dates = {"vencimento", "emissao", "nascimento"}
    parts = tuple(replace(p, size=10) if p.name in dates else p for p in file.parts)
    return replace(
        file, parts=parts, size=file.size + 6, day=shaped("%d/%m/%Y"), no_day="0000000000"
    )


@kind("four implied decimals", "fixed width", "lossless")
@lines
def _(file: Any, rng: random.Random) -> Any:
    if file.codes:
        return None
    return replace(file, cents=lambda c: str(c * 100))


@kind("three implied decimals", "fixed width", "lossless", held_out=True)
@lines
def _(file: Any, rng: random.Random) -> Any:
    if file.codes:
        return None
    return replace(file, cents=lambda c: str(c * 10))


@kind("amounts with a decimal comma", "fixed width", "lossless")
@lines
def _(file: Any, rng: random.Random) -> Any:
    if file.codes:
        return None
    return replace(file, cents=lambda c: f"{c / 100:.2f}".replace(".", ","))


@kind("optional field removed", "fixed width", "decide", lost="cidade")
@lines
def _(file: Any, rng: random.Random) -> Any:
    return _without(file, "cidade")


@kind("amount field removed", "fixed width", "refuse")
@lines
def _(file: Any, rng: random.Random) -> Any:
    return _without(file, "valor")


@kind("UTF-8 in fixed width", "fixed width", "refuse")
@lines
def _(file: Any, rng: random.Random) -> Any:
    return replace(file, encoding="utf-8")


@kind("lines without their trailing blanks", "fixed width", "lossless", held_out=True)
@lines
def _(file: Any, rng: random.Random) -> Any:
    return replace(file, trimmed=True)


@kind("part of the lines shifted", "fixed width", "refuse")
def _(file: Any, rows: Any, rng: random.Random) -> Any:
    if not isinstance(file, LineFile):
        return None
    found = file.content(rows).split(b"\n")
    for at in range(2, len(found) - 2, 3):
        found[at] = b" " + found[at][:-1]
    return b"\n".join(found)


@kind("trailer that does not add up", "fixed width", "refuse")
def _(file: Any, rows: Any, rng: random.Random) -> Any:
    if not isinstance(file, LineFile) or not file.codes:
        return None
    body = file.content(rows).split(b"\n")
    return b"\n".join([*body[:5], *body[6:]])
