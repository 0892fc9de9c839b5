"""The fingerprint of a delivery: what its fields look like and a sample of its rows, hashed."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from zanc_pipeline.common.codecs import parse_phone
from zanc_pipeline.reception.drift.check_digit import check_digit
from zanc_pipeline.reception.drift.exact import Column, number_columns
from zanc_pipeline.reception.drift.looks import Looks, looks
from zanc_pipeline.reception.drift.relations import Relations, relations
from zanc_pipeline.reception.drift.sample import (
    KEY,
    Hasher,
    RowKey,
    Sample,
    Sampler,
    Token,
    tokens,
    typed,
)
from zanc_pipeline.reception.drift.traits import Traits, traits
from zanc_pipeline.reception.fields import masked
from zanc_pipeline.reception.layout import DelimitedLayout, FieldSpec, Layout
from zanc_pipeline.reception.readers.base import Batch

ARRIVED, RECEIVED = "arrived", "received"
"""The facts of a file that are the day in its name, or the day on which it came, ISO."""

Step = tuple[int, float, float]
"""How far a field moved, rows that moved so over all files, of how many."""

_AREA, _PIECE = 2, 6
_TAIL = re.compile(r"[.,](\d+)\D*$")
FORMAT = 3
_FORMATS = frozenset({2, FORMAT})
"""Formats that can be compared: the older one knows less."""
_PERSONAL_TYPES = frozenset({"cpf", "cnpj", "cpf_cnpj", "telefone", "telefones", "email"})
_COUNTED_DIGITS, _COUNTED_SHARE = 5, 0.95
_COUNTED = frozenset({"data", "inteiro"})
_PERSONAL_NAMES = frozenset({"nome", "email", "contrato", "nascimento"})


@dataclass(frozen=True, kw_only=True)
class FieldPrint:
    """One field: its texts as they look, the share that its type refuses, days of its dates."""

    type: str
    traits: Traits
    invalid: float
    days: dict[str, float] = field(default_factory=dict)
    """Share of each day of the month, of a date."""
    whole: float = 0.0
    """Share of the amounts without cents."""
    span: tuple[int, ...] = ()
    """Of a date: ordinals of the first two days, the one in the middle and the last two; of an
    amount: the same of the cents above nought."""
    turnable: int = 0
    """Dates that are none as the layout writes them, but are with day and month exchanged."""
    short: int = 0
    """Phones without their ninth digit."""
    places: dict[str, int] = field(default_factory=dict)
    """Of amounts: rows by the number of decimals with which they are written."""
    looks: Looks = field(default_factory=Looks)
    examples: tuple[str, ...] = ()
    """Some texts, masked."""


@dataclass(frozen=True, kw_only=True)
class AtHand:
    """The rows of which a fingerprint was made, while their file is read: never kept."""

    sample: Sample
    values: Mapping[str, Mapping[int, Any]]
    """Field → contract hash → typed value; None: empty, or of another type."""
    columns: Mapping[str, Column]
    """The same of the fields that count, as numbers in the order of the sample."""
    without: Callable[[Container[int]], Fingerprint]
    """The fingerprint as if the rows of these contracts had not come."""

    @property
    def lines(self) -> dict[int, int]:
        """Contract hash → line of the file."""
        return dict(zip(self.sample.keys, self.sample.lines, strict=True))


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What is remembered of a delivery. ``links``: contract hash → one token for each field."""

    rows: int
    layout_version: str
    fields: dict[str, FieldPrint]
    links: dict[int, list[Token]]
    file: dict[str, Any] = field(default_factory=dict)
    agreement: dict[str, float] = field(default_factory=dict)
    """How far each field agreed with the delivery before: what is usual for this convênio."""
    overlap: float | None = None
    """Share of the contracts of the delivery before that came again."""
    relations: Relations = field(default_factory=dict)
    """What always holds between fields of one row."""
    repeats: int = 0
    """Rows of the sample whose contract had come already, with other data."""
    history: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Field → rows that agreed with the delivery before, of how many, over all deliveries; of two
    fields ("one|other"): rows in which they changed places."""
    numbers: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """Field → contract hash → the number, or the ordinal of the date; none of a person's own."""
    steps: Mapping[str, Step] = field(default_factory=dict)
    """Field, or "date+number" of the day that the two make → its step since the file before."""
    phones: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """Field → contract hash → area code, then four digits that stand for each six in a row of the
    rest, and for all of them in order."""
    check: Mapping[str, Any] | None = None
    """How the last digit of a contract follows from the others, when it does."""
    waiting: Mapping[int, Mapping[str, Token]] = field(default_factory=dict)
    """Contract hash → field → what it brought, of rows that were put aside."""
    key: RowKey = field(default_factory=RowKey)
    """What tells the rows apart: where it is not the contract, read "contract" as that."""
    member: str = ""
    """Of which file of a set this is; empty for a file that is a portfolio alone."""
    at_hand: AtHand | None = field(default=None, repr=False, compare=False)
    _columns: dict[str, dict[int, Token]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    known: Mapping[str, Mapping[int, Any]] = field(default_factory=dict, repr=False, compare=False)
    """Of a past file: field → contract hash → typed value, as it was loaded; never kept here."""

    @property
    def plain(self) -> Mapping[str, Mapping[int, Any]]:
        """Field → contract hash → typed value, as far as they are at hand."""
        return self.at_hand.values if self.at_hand is not None else self.known

    def days_since(self, before: Fingerprint) -> int | None:
        """Days from the file ``before`` to this one, where both are known."""
        now, was = file_day(self.file), file_day(before.file)
        return (now - was).days if now and was else None

    @property
    def names(self) -> list[str]:
        """The fields, in the order of the tokens."""
        return list(self.fields)

    def column(self, name: str) -> dict[int, Token]:
        """Contract hash → token of one field."""
        if name not in self._columns:
            place = self.names.index(name)
            self._columns[name] = {key: row[place] for key, row in self.links.items()}
        return self._columns[name]

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``reception.fingerprint``."""
        return {
            "format": FORMAT,
            "rows": self.rows,
            "layout_version": self.layout_version,
            "names": self.names,  # jsonb keeps no order of keys
            "fields": {
                name: {
                    "type": one.type,
                    "invalid": round(one.invalid, 4),
                    "days": {day: round(share, 4) for day, share in one.days.items()},
                    "whole": round(one.whole, 4),
                    "span": list(one.span),
                    "turnable": one.turnable,
                    "short": one.short,
                    "places": one.places,
                    "looks": one.looks.to_json(),
                    "examples": list(one.examples),
                    **one.traits.to_json(),
                }
                for name, one in self.fields.items()
            },
            "links": {f"{key:016x}": row for key, row in self.links.items()},
            "file": self.file,
            "agreement": {name: round(share, 4) for name, share in self.agreement.items()},
            "overlap": self.overlap,
            "relations": self.relations,
            "repeats": self.repeats,
            "history": {
                name: [round(count, 2), round(rows, 2)]
                for name, (count, rows) in self.history.items()
                if rows
            },
            "numbers": {
                name: {f"{key:016x}": number for key, number in column.items()}
                for name, column in self.numbers.items()
            },
            "steps": {name: list(step) for name, step in self.steps.items()},
            "phones": {
                name: {f"{key:016x}": phone for key, phone in column.items()}
                for name, column in self.phones.items()
            },
            "check": self.check,
            "key": {"name": self.key.name, "many": self.key.many},
            "member": self.member,
            "waiting": {f"{key:016x}": dict(row) for key, row in self.waiting.items()},
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Fingerprint | None:
        """What ``to_json`` gave; None for one of another format, which proves nothing now."""
        if content.get("format") not in _FORMATS:
            return None
        return cls(
            rows=content["rows"],
            layout_version=content["layout_version"],
            fields={
                name: FieldPrint(
                    type=one["type"],
                    invalid=one["invalid"],
                    days=one["days"],
                    whole=one["whole"],
                    span=tuple(one["span"]),
                    turnable=one["turnable"],
                    short=one.get("short", 0),
                    places=one.get("places", {}),
                    looks=Looks(**one["looks"]),
                    examples=tuple(one["examples"]),
                    traits=Traits.from_json(one),
                )
                for name, one in ((name, content["fields"][name]) for name in content["names"])
            },
            links={int(key, 16): row for key, row in content["links"].items()},
            file=content["file"],
            agreement=content["agreement"],
            overlap=content["overlap"],
            relations=content["relations"],
            repeats=content.get("repeats", 0),
            history={
                name: (count, rows) for name, (count, rows) in content.get("history", {}).items()
            },
            numbers={
                name: {int(key, 16): number for key, number in column.items()}
                for name, column in content.get("numbers", {}).items()
            },
            steps={
                name: (step, alike, rows)
                for name, (step, alike, rows) in content.get("steps", {}).items()
            },
            phones={
                name: {int(key, 16): phone for key, phone in column.items()}
                for name, column in content.get("phones", {}).items()
            },
            check=content.get("check"),
            key=RowKey(**content.get("key", {})),
            member=content.get("member", ""),
            waiting={int(key, 16): row for key, row in content.get("waiting", {}).items()},
        )


def file_day(file: Mapping[str, Any]) -> date | None:
    """The day of a file, of what is known of it as a whole."""
    day = file.get(ARRIVED) or file.get(RECEIVED)
    return date.fromisoformat(day) if day else None


class Witness:
    """Looks at a delivery while it is read; then its fingerprint can be asked."""

    def __init__(self, hasher: Hasher, key: RowKey | None = None) -> None:
        self._hasher = hasher
        self._sampler = Sampler(hasher, key=key)

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches, looked at in passing."""
        return self._sampler.watch(batches)

    def sample(self) -> Sample:
        """The rows that were kept."""
        return self._sampler.sample()

    def fingerprint(
        self,
        layout: Layout,
        file: dict[str, Any] | None = None,
        like: Fingerprint | None = None,
    ) -> Fingerprint:
        """The fingerprint of all that passed, read by ``layout``; ``file``: facts of the whole.

        Rows with one key are numbered as those of the fingerprint ``like`` that they equal.
        """
        return fingerprint(layout, self.sample(), self._hasher, file=file, like=like)


def fingerprint(
    layout: Layout,
    sample: Sample,
    hasher: Hasher,
    *,
    file: dict[str, Any] | None = None,
    like: Fingerprint | None = None,
) -> Fingerprint:
    """The fingerprint of sampled rows that ``layout`` reads; see ``Witness.fingerprint``."""
    key = sample.key
    fields: dict[str, FieldPrint] = {}
    columns: list[list[Token]] = []
    found: dict[str, list[Any]] = {}
    for spec in layout.fields:
        if getattr(spec, "check", None) is not None:
            continue  # it counts or proves the records of its file: no other file's
        texts = sample.cells.get(spec.name, [])
        values, invalid = typed(spec, texts)
        personal = spec.type in _PERSONAL_TYPES or spec.name in _PERSONAL_NAMES
        fields[spec.name] = FieldPrint(
            type=spec.type,
            traits=traits(texts, personal=personal),
            invalid=sum(invalid) / (len(texts) or 1),
            days=_days(values) if spec.type == "data" else {},
            whole=_whole(values) if spec.type == "dinheiro" else 0.0,
            span=_span(spec.type, values),
            turnable=_turnable(spec, texts, invalid),
            short=_short(texts) if spec.type == "telefone" else 0,
            places=dict(Counter(str(places(text)) for text in texts if text.strip()))
            if spec.type == "dinheiro" and isinstance(layout, DelimitedLayout)
            else {},  # a spreadsheet's numbers have no nought at their end
            looks=looks(_as_meant(values), key=spec.name == key.name),
            examples=tuple(masked(spec, text)[:20] for text in _some(texts)),
        )
        found[spec.name] = values
        columns.append(tokens(spec, values, hasher))
    if key.many and like is not None:
        tokens_of = dict(zip(fields, columns, strict=True))
        sample = replace(sample, keys=in_order_of(like, sample.keys, tokens_of))
    links = {row: [column[place] for column in columns] for place, row in enumerate(sample.keys)}
    kinds = {name: one.type for name, one in fields.items()}
    numbers = number_columns(kinds, found, file_day(file or {}))
    return Fingerprint(
        rows=sample.rows_total,
        layout_version=layout.version,
        fields=fields,
        links=links,
        file=file or {},
        relations=relations(kinds, found, numbers),
        repeats=sample.repeats,
        numbers={
            name: numbers_of(sample.keys, found[name])
            for name, one in fields.items()
            if (one.type in _COUNTED or (one.type == "texto" and _may_count(found[name])))
            and name not in {key.name, *_PERSONAL_NAMES}
        },
        phones={
            name: phones_of(sample.keys, found[name], hasher)
            for name, one in fields.items()
            if one.type == "telefone"
        },
        check=check_digit(sample.cells.get(KEY, ())),
        key=key,
        at_hand=AtHand(
            sample=sample,
            values={
                name: dict(zip(sample.keys, column, strict=True)) for name, column in found.items()
            },
            columns=numbers,
            without=lambda keys: fingerprint(layout, sample.without(keys), hasher, file=file),
        ),
    )


def in_order_of(
    before: Fingerprint, keys: Sequence[int], columns: Mapping[str, Sequence[Token]]
) -> list[int]:
    """The hashes of rows whose key comes many times, numbered like those rows of ``before``.

    Of one key the rows that agree the most get one number, whatever their order in either file.
    """
    names = [name for name in columns if name in before.fields]
    old = {name: before.column(name) for name in names}
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for place, row in enumerate(keys):
        groups[RowKey.numbers_of(row)[0]].append(place)
    made = list(keys)
    for first, places_ in groups.items():
        numbers = RowKey.numbers_of(first)
        known = [row for row in numbers if row in before.links]
        alike = sorted(
            (-sum(columns[name][place] == old[name][row] for name in names), place, row)
            for place in places_
            for row in known
        )
        given: dict[int, int] = {}
        for _, place, row in alike:
            if place not in given and row not in given.values():
                given[place] = row
        free = (row for row in numbers if row not in known)
        for place in places_:
            made[place] = given[place] if place in given else next(free, numbers[-1])
    return made


def _may_count(values: Iterable[Any]) -> bool:
    """Whether texts are small whole numbers: days overdue, whatever the layout calls them."""
    filled = [value for value in values if value is not None]
    small = sum(value.isdecimal() and len(value) <= _COUNTED_DIGITS for value in filled)
    return bool(filled) and small >= _COUNTED_SHARE * len(filled)


def numbers_of(keys: list[int], values: list[Any]) -> dict[int, int]:
    """Contract hash → the number, or the ordinal of the date, where there is one."""
    return {
        key: value.toordinal() if isinstance(value, date) else int(value)
        for key, value in zip(keys, values, strict=True)
        if value is not None and (not isinstance(value, str) or value.isdecimal())
    }


def phones_of(keys: list[int], values: list[Any], hasher: Hasher) -> dict[int, str]:
    """Contract hash → a phone as it is kept (see ``Fingerprint.phones``), where there is one."""
    return {
        key: value[:_AREA] + "".join(hasher.token(part)[:4] for part in _parts(value[_AREA:]))
        for key, value in zip(keys, values, strict=True)
        if value
    }


def _parts(number: str) -> tuple[str, ...]:
    pieces = [number[at : at + _PIECE] for at in range(len(number) - _PIECE + 1)]
    return *pieces, "".join(sorted(number))


def places(text: str) -> int:
    """Digits behind the last mark of a number as it is written; 0 when it has none."""
    tail = _TAIL.search(text)
    return len(tail[1]) if tail else 0


def _some(texts: list[str]) -> list[str]:
    return [text for text in texts[:40] if text.strip()][:2]


def _whole(values: list[Any]) -> float:
    found = [bool(value == int(value)) for value in values if value is not None]
    return sum(found) / (len(found) or 1) if found else 0.0


def _days(values: list[Any]) -> dict[str, float]:
    found = [value.day for value in values if value is not None]
    return {str(day): found.count(day) / len(found) for day in sorted(set(found))}


def _span(kind: str, values: list[Any]) -> tuple[int, ...]:
    if kind == "data":
        days = sorted(value.toordinal() for value in values if value is not None)
    elif kind == "dinheiro":
        days = sorted(int(value.scaleb(2)) for value in values if value is not None and value > 0)
    else:
        return ()
    if len(days) < 2:
        return ()
    return (days[0], days[1], days[len(days) // 2], days[-2], days[-1])


def _short(texts: list[str]) -> int:
    phones = (parse_phone(text) for text in texts if text.strip())
    return sum(phone is not None and phone.ninth_digit_inferred for phone in phones)


def _turnable(spec: FieldSpec, texts: list[str], invalid: list[bool]) -> int:
    shape = spec.date_format
    wrong = [text for text, odd in zip(texts, invalid, strict=True) if odd]
    if spec.type != "data" or not wrong or shape is None:
        return 0
    other = shape.replace("dd", "??").replace("mm", "dd").replace("??", "mm")
    if other == shape:
        return 0
    values, _ = typed(spec.model_copy(update={"date_format": other}), wrong)
    return sum(value is not None for value in values)


def _as_meant(values: list[Any]) -> list[str]:
    """Typed values as texts: the same whatever the notation in which they came."""
    return [
        ""
        if value is None
        else str(int(value.scaleb(2)))
        if isinstance(value, Decimal)
        else " ".join(value)
        if isinstance(value, list)
        else str(value)
        for value in values
    ]
