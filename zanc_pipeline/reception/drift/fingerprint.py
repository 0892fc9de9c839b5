"""The fingerprint of a delivery: what its fields look like and a sample of its rows, hashed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from zanc_pipeline.reception.drift.sample import (
    Hasher,
    Sample,
    Sampler,
    Token,
    tokens,
    typed,
)
from zanc_pipeline.reception.drift.traits import Traits, traits
from zanc_pipeline.reception.fields import masked
from zanc_pipeline.reception.layout import Layout
from zanc_pipeline.reception.readers.base import Batch

FORMAT = 1
_PERSONAL_TYPES = frozenset({"cpf", "cnpj", "cpf_cnpj", "telefone", "telefones", "email"})
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
    examples: tuple[str, ...] = ()
    """Some texts, masked."""


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

    @property
    def names(self) -> list[str]:
        """The fields, in the order of the tokens."""
        return list(self.fields)

    def column(self, name: str) -> dict[int, Token]:
        """Contract hash → token of one field."""
        place = self.names.index(name)
        return {key: row[place] for key, row in self.links.items()}

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
                    "examples": list(one.examples),
                    **one.traits.to_json(),
                }
                for name, one in self.fields.items()
            },
            "links": {f"{key:016x}": row for key, row in self.links.items()},
            "file": self.file,
            "agreement": {name: round(share, 4) for name, share in self.agreement.items()},
            "overlap": self.overlap,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Fingerprint | None:
        """What ``to_json`` gave; None for one of another format, which proves nothing now."""
        if content.get("format") != FORMAT:
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
                    examples=tuple(one["examples"]),
                    traits=Traits.from_json(one),
                )
                for name, one in ((name, content["fields"][name]) for name in content["names"])
            },
            links={int(key, 16): row for key, row in content["links"].items()},
            file=content["file"],
            agreement=content["agreement"],
            overlap=content["overlap"],
        )


class Witness:
    """Looks at a delivery while it is read; then its fingerprint can be asked."""

    def __init__(self, hasher: Hasher) -> None:
        self._hasher = hasher
        self._sampler = Sampler(hasher)

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches, looked at in passing."""
        return self._sampler.watch(batches)

    def sample(self) -> Sample:
        """The rows that were kept."""
        return self._sampler.sample()

    def fingerprint(self, layout: Layout, file: dict[str, Any] | None = None) -> Fingerprint:
        """The fingerprint of all that passed, read by ``layout``; ``file``: facts of the whole."""
        return fingerprint(layout, self.sample(), self._hasher, file=file)


def fingerprint(
    layout: Layout, sample: Sample, hasher: Hasher, *, file: dict[str, Any] | None = None
) -> Fingerprint:
    """The fingerprint of sampled rows that ``layout`` reads."""
    fields: dict[str, FieldPrint] = {}
    columns: list[list[Token]] = []
    for spec in layout.fields:
        texts = sample.cells.get(spec.name, [])
        values, invalid = typed(spec, texts)
        personal = spec.type in _PERSONAL_TYPES or spec.name in _PERSONAL_NAMES
        fields[spec.name] = FieldPrint(
            type=spec.type,
            traits=traits(texts, personal=personal),
            invalid=sum(invalid) / (len(texts) or 1),
            days=_days(values) if spec.type == "data" else {},
            whole=_whole(values) if spec.type == "dinheiro" else 0.0,
            examples=tuple(masked(spec, text)[:20] for text in _some(texts)),
        )
        columns.append(tokens(spec, values, hasher))
    links = {key: [column[place] for column in columns] for place, key in enumerate(sample.keys)}
    return Fingerprint(
        rows=sample.rows_total,
        layout_version=layout.version,
        fields=fields,
        links=links,
        file=file or {},
    )


def _some(texts: list[str]) -> list[str]:
    return [text for text in texts[:40] if text.strip()][:2]


def _whole(values: list[Any]) -> float:
    found = [bool(value == int(value)) for value in values if value is not None]
    return sum(found) / (len(found) or 1) if found else 0.0


def _days(values: list[Any]) -> dict[str, float]:
    found = [value.day for value in values if value is not None]
    return {str(day): found.count(day) / len(found) for day in sorted(set(found))}
