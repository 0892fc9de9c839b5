"""Rows of a fixed-width file, as ``config/crms`` lays them out: written and read."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from difflib import get_close_matches

from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.errors import ConfigError, DataError

KINDS = ("codigo", "texto", "dinheiro", "data", "hora")


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
        if self.kind == "texto":
            text = text[: self.size]
        if len(text) > self.size:
            raise DataError(
                f"{self.name}: um valor de {len(text)} caracteres não cabe nos {self.size} do "
                "layout do CRM: aumente o tamanho em config/crms"
            )
        return text.rjust(self.size, "0") if self.kind == "dinheiro" else text.ljust(self.size)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The fields of a detail row, in order."""

    fields: tuple[Field, ...]

    @classmethod
    def parse(cls, entries: object, *, known: Mapping[str, str], where: str) -> Layout:
        """Read ``[{campo, tamanho, tipo}…]``, whose fields must be ``known`` (name there → ours).

        ConfigError names ``where`` and the entry.
        """
        if not isinstance(entries, list) or not entries:
            raise ConfigError(f"{where}: esperava uma lista de 'campo, tamanho, tipo'")
        fields = []
        for number, entry in enumerate(entries, 1):
            try:
                name, size, kind = str(entry["campo"]), int(entry["tamanho"]), str(entry["tipo"])
            except (KeyError, TypeError, ValueError):
                raise ConfigError(
                    f"{where}, linha {number}: esperava campo, tamanho e tipo"
                ) from None
            if kind not in KINDS or size < 1:
                raise ConfigError(
                    f"{where}, linha {number}: tamanho deve ser positivo e tipo um de "
                    f"{', '.join(KINDS)}"
                )
            if name not in known:
                near = get_close_matches(name, known, 1)
                hint = f"; seria '{near[0]}'?" if near else ""
                raise ConfigError(
                    f"{where}, linha {number}: o campo '{name}' não existe{hint} Existem: "
                    f"{', '.join(known)}"
                )
            fields.append(Field(name=known[name], size=size, kind=kind))
        return cls(fields=tuple(fields))

    def render(self, row: Mapping[str, object]) -> str:
        """The row's text."""
        return "".join(field.render(row[field.name]) for field in self.fields)

    def read(self, text: str) -> dict[str, str]:
        """The trimmed cells of a row's text; DataError when it has another length."""
        size = sum(field.size for field in self.fields)
        if len(text.rstrip()) > size:
            raise DataError(f"a linha tem mais que os {size} caracteres do layout")
        cells, start = {}, 0
        for field in self.fields:
            cells[field.name] = text[start : start + field.size].strip()
            start += field.size
        return cells


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


_TEXTS = {"codigo": _plain, "texto": _plain, "dinheiro": _cents, "data": _day, "hora": _time}
