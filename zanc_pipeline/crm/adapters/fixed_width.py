"""A CRM that takes fixed-width import files, one row a client, and return files of outcomes.

    <folder>/entrada/ZANC_<delivery id>.txt    the import file; its existence is the mark
    <folder>/processados/                      where the CRM moves an import file it has taken
    <folder>/estornados/                       import files taken back by a rollback
    <folder>/retorno/ZANC_RET_<batch>.txt      outcomes of calls

Every file is written aside, synced and linked into place: it is there whole or not at all.
A file has a header (type 0: convênio, reference date, delivery), a detail a row (type 1) and a
trailer (type 9: number of details).
"""

from __future__ import annotations

import os
import secrets
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Literal

from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.errors import ConfigError, ConflictError, DataError, UnavailableError
from zanc_pipeline.crm.entities import PORTFOLIO_COLUMNS, CallOutcome, Loaded, Portfolio

KINDS = ("code", "text", "money", "date", "time")

_CONVENIO_WIDTH = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One field of a row: ``size`` characters, left-justified; money in cents, right-justified."""

    name: str
    size: int
    kind: str

    def render(self, value: object) -> str:
        """The field's text; DataError when a code or an amount does not fit.

        Only ``text`` may be cut: a shortened contract number would be another contract.
        """
        if value is None:
            return " " * self.size
        text = _TEXTS[self.kind](value)
        if self.kind == "text":
            text = text[: self.size]
        if len(text) > self.size:
            raise DataError(
                f"{self.name}: a value of {len(text)} characters does not fit in the {self.size} "
                "of the CRM's layout; widen the field in config/crms"
            )
        return text.rjust(self.size, "0") if self.kind == "money" else text.ljust(self.size)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The fields of a detail row, in order."""

    fields: tuple[Field, ...]

    @classmethod
    def parse(cls, entries: object, *, where: str) -> Layout:
        """Read ``[{field, size, kind}…]``; ConfigError names ``where`` and the entry."""
        if not isinstance(entries, list) or not entries:
            raise ConfigError(f"{where}: expected a list of 'field, size, kind'")
        fields = []
        for number, entry in enumerate(entries, 1):
            try:
                name, size, kind = str(entry["field"]), int(entry["size"]), str(entry["kind"])
            except (KeyError, TypeError, ValueError):
                raise ConfigError(
                    f"{where}, entry {number}: expected field, size and kind"
                ) from None
            if kind not in KINDS or size < 1:
                raise ConfigError(
                    f"{where}, entry {number}: size must be positive and kind one of "
                    f"{', '.join(KINDS)}"
                )
            fields.append(Field(name=name, size=size, kind=kind))
        return cls(fields=tuple(fields))

    def render(self, row: Mapping[str, object]) -> str:
        """The row's text; a field that the row does not have is a ConfigError."""
        try:
            return "".join(field.render(row[field.name]) for field in self.fields)
        except KeyError as error:
            raise ConfigError(f"config/crms: there is no field {error} to write") from None


class FixedWidthFiles:
    """The CRM's exchange ``folder`` and the layouts of its detail rows."""

    unit: ClassVar[Literal["contracts", "clients"]] = "clients"

    def __init__(self, *, folder: str, client: Layout, outcome: Layout) -> None:
        self._folder = Path(folder)
        self._client = client
        self._outcome = outcome

    def ensure(self) -> None:
        try:
            for name in ("entrada", "processados", "estornados", "retorno"):
                (self._folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError("CRM folder", str(self._folder), error.strerror) from None

    def load(self, portfolio: Portfolio) -> Loaded:
        mark = self.loaded(portfolio.delivery_id)
        if mark is not None:
            return mark
        batches = portfolio.batches(PORTFOLIO_COLUMNS)
        clients = one_row_a_client(row for batch in batches for row in batch.to_pylist())
        header = (
            f"0{portfolio.convenio:<{_CONVENIO_WIDTH}}{portfolio.reference_date:%d%m%Y}"
            f"{portfolio.delivery_id:010d}{portfolio.rows:010d}"
        )
        self._write(
            self._import_file(portfolio.delivery_id),
            header,
            (self._client.render(row) for row in clients),
        )
        return Loaded(rows=portfolio.rows, changed=len(clients))

    def loaded(self, delivery_id: int) -> Loaded | None:
        for path in (self._import_file(delivery_id), self._processed_file(delivery_id)):
            if path.is_file():
                content = path.read_text(encoding="ascii").splitlines()
                return Loaded(rows=int(content[0][-10:]), changed=len(content) - 2)
        return None

    def rollback(self, delivery_id: int) -> bool:
        if self._processed_file(delivery_id).is_file():
            raise ConflictError(
                f"the CRM has already taken {self._import_file(delivery_id).name}: undo the import "
                "in the CRM, move the file from processados to estornados and roll back again"
            )
        path = self._import_file(delivery_id)
        if not path.is_file():
            return False
        path.replace(self._folder / "estornados" / path.name)
        _sync_folder(path.parent)
        return True

    def record_outcomes(self, batch: int, outcomes: Sequence[CallOutcome]) -> None:
        path = self._folder / "retorno" / f"ZANC_RET_{batch:010d}.txt"
        if path.is_file():
            return
        rows = (
            self._outcome.render({name: getattr(outcome, name) for name in outcome.__slots__})
            for outcome in outcomes
        )
        self._write(path, f"0{batch:010d}", rows)

    def count(self) -> dict[str, int]:
        newest: dict[str, tuple[str, int]] = {}
        for name in ("processados", "entrada"):
            for path in (self._folder / name).glob("ZANC_*.txt"):
                lines = path.read_text(encoding="ascii").splitlines()
                convenio, rest = lines[0][1 : 1 + _CONVENIO_WIDTH].strip(), lines[0][41:]
                order = rest[4:8] + rest[2:4] + rest[:2] + rest[8:18]
                if convenio not in newest or newest[convenio][0] < order:
                    newest[convenio] = (order, len(lines) - 2)
        return {convenio: rows for convenio, (_, rows) in newest.items()}

    def _import_file(self, delivery_id: int) -> Path:
        return self._folder / "entrada" / f"ZANC_{delivery_id}.txt"

    def _processed_file(self, delivery_id: int) -> Path:
        return self._folder / "processados" / f"ZANC_{delivery_id}.txt"

    def _write(self, path: Path, header: str, details: Iterable[str]) -> None:
        lines = [header, *(f"1{detail}" for detail in details)]
        lines.append(f"9{len(lines) - 1:010d}")
        aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
        try:
            with aside.open("x", encoding="ascii", newline="") as file:
                file.write("\r\n".join(lines) + "\r\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(aside, path)
            except FileExistsError:
                pass  # another process wrote the same file first
            finally:
                aside.unlink()
            _sync_folder(path.parent)
        except OSError as error:
            raise UnavailableError("CRM folder", str(path.parent), error.strerror) from None


def one_row_a_client(contracts: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a CPF: its contract of greatest amount (then the oldest due), its first phone.

    ``contracts_count`` and ``total`` say what the other contracts of the client add up to.
    """
    by_client: dict[str, list[Mapping[str, Any]]] = {}
    for contract in contracts:
        by_client.setdefault(contract["cpf"], []).append(contract)
    clients = []
    for cpf in sorted(by_client):
        owned = by_client[cpf]
        chosen = min(owned, key=lambda row: (-row["amount"], row["due_date"], row["contract"]))
        phones = [row[f"phone_{n}"] for row in (chosen, *owned) for n in (1, 2, 3)]
        clients.append(
            {
                **chosen,
                "phone": next((phone for phone in phones if phone), None),
                "contracts_count": len(owned),
                "total": sum((row["amount"] for row in owned), Decimal(0)),
            }
        )
    return clients


def _plain(value: object) -> str:
    """ASCII without control characters: the layout counts bytes, and accents would shift them."""
    ascii_only = unicodedata.normalize("NFKD", str(value)).encode("ascii", "ignore").decode("ascii")
    return "".join(character if character.isprintable() else " " for character in ascii_only)


def _cents(value: object) -> str:
    if not isinstance(value, Decimal) or value < 0:
        raise DataError("an amount must be a non-negative decimal to be written in cents")
    return str(int(value * 100))


def _day(value: object) -> str:
    assert isinstance(value, date)
    return f"{value:%d%m%Y}"


def _time(value: object) -> str:
    assert isinstance(value, datetime)
    return f"{value.astimezone(LOCAL):%d%m%Y%H%M%S}"


_TEXTS = {"code": _plain, "text": _plain, "money": _cents, "date": _day, "time": _time}


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
