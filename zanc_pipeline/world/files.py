"""The daily files of the four creditors, each in its own format, with a few bad rows.

The same rows and the same seed give the same bytes. Line numbers are those a clerk sees: the first
line of a file (or row of a sheet) is 1.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from zanc_pipeline.world.law import Random
from zanc_pipeline.world.people import plain

BAD_SHARE = 0.005


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One contract as its creditor knows it on the day of the file."""

    cpf: str
    name: str
    contract: str
    product: str
    cents: int
    due: date
    birth: date
    email: str
    city: str
    state: str
    phones: tuple[str, ...]
    deceased: bool


@dataclass(frozen=True, kw_only=True)
class DayFile:
    """A file ready to be sent; ``bad`` maps the line of each bad row to its wrong field."""

    convenio: str
    name: str
    content: bytes
    rows_good: int
    bad: dict[int, str]
    cents: int

    @property
    def sha256(self) -> str:
        """Of the content, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


Cells = dict[str, str]


def make_file(
    convenio: str, rows: Sequence[Row], day: date, sequence: int, random: Random
) -> DayFile:
    """The file of ``convenio`` for ``day``; ``sequence`` counts its files from 1.

    About 0.5 % of the rows are spoiled (at least one when there are ten or more).
    """
    form = _FORMS[convenio]
    wanted = round(len(rows) * BAD_SHARE) or int(len(rows) >= 10)
    chosen = sorted(random.choice(len(rows), wanted, replace=False).tolist())
    faults = [form.faults[int(pick)] for pick in random.integers(0, len(form.faults), wanted)]
    spoiled = dict(zip(chosen, faults, strict=True))
    content = form.write(rows, day, sequence, spoiled)
    return DayFile(
        convenio=convenio,
        name=form.name(day, sequence),
        content=content,
        rows_good=len(rows) - wanted,
        bad={form.first_line + place: field for place, field in spoiled.items()},
        cents=sum(row.cents for place, row in enumerate(rows) if place not in spoiled),
    )


def spoil_cpf(cpf: str) -> str:
    """``cpf`` with a wrong last check digit."""
    return cpf[:-1] + str((int(cpf[-1]) + 1) % 10)


# --- banco_aurora: delimited, Latin-1, decimal comma ---------------------------------------------

_AURORA = (
    "CPF", "NOME", "CONTRATO", "PRODUTO", "VALOR", "VENCIMENTO", "NASCIMENTO", "EMAIL", "CIDADE",
    "UF", "DDD1", "FONE1", "DDD2", "FONE2", "DDD3", "FONE3", "OBITO",
)  # fmt: skip


def _aurora(rows: Sequence[Row], day: date, sequence: int, spoiled: dict[int, str]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(_AURORA)
    for place, row in enumerate(rows):
        phones = [(phone[:2], phone[2:]) for phone in row.phones]
        phones += [("", "")] * (3 - len(phones))
        cells: Cells = {
            # A spreadsheet of the bank drops leading zeros now and then.
            "CPF": row.cpf if place % 2 else str(int(row.cpf)),
            "NOME": row.name,
            "CONTRATO": row.contract,
            "PRODUTO": row.product,
            "VALOR": _money(row.cents),
            "VENCIMENTO": f"{row.due:%d/%m/%Y}",
            "NASCIMENTO": f"{row.birth:%d/%m/%Y}",
            "EMAIL": row.email,
            "CIDADE": row.city,
            "UF": row.state,
            "OBITO": "S" if row.deceased else "N",
        }
        for slot, (ddd, number) in enumerate(phones, start=1):
            cells[f"DDD{slot}"], cells[f"FONE{slot}"] = ddd, number
        match spoiled.get(place):
            case "cpf":
                cells["CPF"] = spoil_cpf(row.cpf)
            case "due_date":
                cells["VENCIMENTO"] = f"31/02/{row.due:%Y}"
            case "contract":
                cells["CONTRATO"] = ""
            case "amount":
                cells["VALOR"] = "A CONFIRMAR"
        writer.writerow([cells[column] for column in _AURORA])
    return text.getvalue().encode("latin-1")


def _money(cents: int) -> str:
    return f"{cents // 100:,}".replace(",", ".") + f",{cents % 100:02d}"


# --- energia_sul: fixed width, Latin-1, 220 bytes -------------------------------------------------


_ENERGIA_LINE = 221


def _energia(rows: Sequence[Row], day: date, sequence: int, spoiled: dict[int, str]) -> bytes:
    lines = []
    for place, row in enumerate(rows):
        phones = (*row.phones, "", "", "")
        fault = spoiled.get(place)
        line = _fixed(
            (spoil_cpf(row.cpf) if fault == "cpf" else row.cpf, 11),
            (row.name, 40),
            ("" if fault == "contract" else row.contract, 15),
            (row.product, 15),
            ("0000000VALOR" if fault == "amount" else f"{row.cents:012d}", 12),
            (f"{row.due:%Y}0231" if fault == "due_date" else f"{row.due:%Y%m%d}", 8),
            (f"{row.birth:%Y%m%d}", 8),
            (phones[0], 12),
            (phones[1], 12),
            (phones[2], 12),
            (row.email, 40),
            (row.city, 25),
            (row.state, 2),
            ("1" if row.deceased else "0", 1),
            ("", 7),
        )
        lines.append(line)
    return "".join(f"{line}\n" for line in lines).encode("latin-1")


def _fixed(*fields: tuple[str, int]) -> str:
    return "".join(text[:width].ljust(width) for text, width in fields)


# --- loja_horizonte: header, details, trailer with count and control total, 200 bytes ------------


def _horizonte(rows: Sequence[Row], day: date, sequence: int, spoiled: dict[int, str]) -> bytes:
    lines = [_fixed(("0HORIZONTE ", 11), (f"{day:%d%m%Y}", 8), (f"{sequence:06d}", 6), ("", 175))]
    for place, row in enumerate(rows):
        phones = (*row.phones, "", "", "")
        fault = spoiled.get(place)
        line = _fixed(
            ("1", 1),
            (spoil_cpf(row.cpf) if fault == "cpf" else row.cpf, 11),
            (plain(row.name), 40),
            ("" if fault == "contract" else row.contract, 15),
            (plain(row.product), 15),
            (f"{row.cents:012d}", 12),
            (f"3102{row.due:%Y}" if fault == "due_date" else f"{row.due:%d%m%Y}", 8),
            (phones[0], 11),
            (phones[1], 11),
            (phones[2], 11),
            (plain(row.city), 25),
            (row.state, 2),
            ("S" if row.deceased else "N", 1),
            ("", 37),
        )
        lines.append(line)
    total = sum(row.cents for row in rows)
    lines.append(_fixed(("9", 1), (f"{len(rows):08d}", 8), (f"{total:016d}", 16), ("", 175)))
    return "".join(f"{line}\n" for line in lines).encode("ascii")


# --- telecom_brisa: a spreadsheet in a zip --------------------------------------------------------

_BRISA = (
    "cpf", "cliente", "contrato", "plano", "saldo", "vencimento", "nascimento", "email", "cidade",
    "uf", "telefones", "falecido",
)  # fmt: skip
_EPOCH = (1980, 1, 1, 0, 0, 0)


def _brisa(rows: Sequence[Row], day: date, sequence: int, spoiled: dict[int, str]) -> bytes:
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("Carteira")
    sheet.append(_BRISA)
    for place, row in enumerate(rows):
        fault = spoiled.get(place)
        cpf = spoil_cpf(row.cpf) if fault == "cpf" else row.cpf
        sheet.append(
            (
                f"{cpf[:3]}.{cpf[3:6]}.{cpf[6:9]}-{cpf[9:]}",
                row.name,
                "" if fault == "contract" else row.contract,
                row.product,
                "a confirmar" if fault == "amount" else row.cents / 100,
                f"31/02/{row.due:%Y}" if fault == "due_date" else row.due,
                row.birth,
                row.email or None,
                row.city,
                row.state,
                " / ".join(row.phones),
                "sim" if row.deceased else "não",
            )
        )
    workbook = io.BytesIO()
    book.save(workbook)
    inner = _timeless(workbook.getvalue(), day)
    return _zipped({f"brisa_{day:%Y%m%d}.xlsx": inner})


def _timeless(workbook: bytes, day: date) -> bytes:
    """The same workbook without the moment at which it was written."""
    with zipfile.ZipFile(io.BytesIO(workbook)) as parts:
        content = {name: parts.read(name) for name in parts.namelist()}
    properties = "docProps/core.xml"
    content[properties] = re.sub(
        rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", f"{day}T08:00:00Z".encode(), content[properties]
    )
    return _zipped(content)


def _zipped(parts: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return packed.getvalue()


# --- the formats by convênio ----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Form:
    name: Callable[[date, int], str]
    write: Callable[[Sequence[Row], date, int, dict[int, str]], bytes]
    first_line: int
    faults: tuple[str, ...] = ("cpf", "due_date", "contract", "amount")


_FORMS = {
    "banco_aurora": _Form(
        name=lambda day, _: f"AURORA_{day:%Y%m%d}.csv", write=_aurora, first_line=2
    ),
    "energia_sul": _Form(name=lambda day, _: f"ESUL{day:%Y%m%d}.txt", write=_energia, first_line=1),
    # A spoiled amount would break the control total, and with it the whole file.
    "loja_horizonte": _Form(
        name=lambda day, sequence: f"LHZ_{day:%Y%m%d}_{sequence:04d}.rem",
        write=_horizonte,
        first_line=2,
        faults=("cpf", "due_date", "contract"),
    ),
    "telecom_brisa": _Form(
        name=lambda day, _: f"brisa_{day:%Y%m%d}.zip", write=_brisa, first_line=2
    ),
}


# --- files that must be quarantined whole ---------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class FaultyFile:
    """A file that nobody may load; ``folder`` is where it is uploaded."""

    folder: str
    name: str
    content: bytes
    fault: str


def make_faults(day: date, good: dict[str, bytes]) -> list[FaultyFile]:
    """One file of an unknown convênio, an empty, a half and a wrongly totalled one.

    ``good`` holds the day's files by convênio. The faulty ones bear the next day's names, or a
    sequence of their own, so that none replaces a good file.
    """
    following = date.fromordinal(day.toordinal() + 1)
    energia, loja = good["energia_sul"], good["loja_horizonte"]
    # Cut inside a record, as a broken connection would.
    half = energia[: len(energia) // 2 // _ENERGIA_LINE * _ENERGIA_LINE + 100]
    return [
        FaultyFile(
            folder="credor_desconhecido",
            name=f"CARTEIRA_{day:%Y%m%d}.csv",
            content=good["banco_aurora"][:4096],
            fault="unknown_convenio",
        ),
        FaultyFile(
            folder="banco_aurora",
            name=f"AURORA_{following:%Y%m%d}.csv",
            content=b"",
            fault="empty",
        ),
        FaultyFile(
            folder="energia_sul", name=f"ESUL{following:%Y%m%d}.txt", content=half, fault="half"
        ),
        FaultyFile(
            folder="loja_horizonte",
            name=f"LHZ_{day:%Y%m%d}_9001.rem",
            content=_wrong_total(loja),
            fault="control_total",
        ),
    ]


def _wrong_total(content: bytes) -> bytes:
    lines = content.split(b"\n")
    trailer = lines[-2]
    total = int(trailer[9:25]) + 100
    lines[-2] = trailer[:9] + f"{total:016d}".encode("ascii") + trailer[25:]
    header = lines[0]
    lines[0] = header[:19] + b"009001" + header[25:]
    return b"\n".join(lines)
