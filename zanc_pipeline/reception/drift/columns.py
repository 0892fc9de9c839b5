"""Aligns the columns of a table with the fields of the last accepted delivery.

Every column is read as every field of which it could hold the values, and compared row by row
with what the same contracts held last time; titles and order decide only where values can not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from zanc_pipeline.reception.drift.doubts import ENOUGH, distance
from zanc_pipeline.reception.drift.fingerprint import Fingerprint
from zanc_pipeline.reception.drift.notation import Reading, read_as, settled
from zanc_pipeline.reception.drift.raw import RawTable
from zanc_pipeline.reception.drift.sample import Hasher, Token
from zanc_pipeline.reception.drift.traits import Traits, traits
from zanc_pipeline.reception.fields import DDD_MARK
from zanc_pipeline.reception.layout import ColumnField, FieldSpec

LINKED_ROWS = 400
FEW_ROWS = 40
PROVED = 0.2
"""How much better than in any other column a field must agree where it is put."""

_SAME_TITLE, _LIKE_TITLE, _SAME_PLACE = 0.30, 0.20, 0.10
_LOOK_WEIGHT = 0.45
_ROWS_OF_KEY = 100_000


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Where a field was found: column (from 0), the column of its DDD, and how it is written."""

    name: str
    column: int
    ddd: int | None
    reading: Reading
    sure: bool
    why: str
    """How it is known, in Portuguese."""


@dataclass(kw_only=True)
class Alignment:
    """The fields found in a table, the fields that are not there, the columns nobody knows."""

    placed: dict[str, Placed] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    linked: int = 0
    overlap: float = 0.0

    @property
    def sure(self) -> bool:
        """Whether each field is where it is without a doubt."""
        return all(one.sure for one in self.placed.values())


def align(
    specs: Sequence[ColumnField], table: RawTable, before: Fingerprint, hasher: Hasher
) -> Alignment | None:
    """Put each field on a column; None when not even the contracts are found."""
    keys = _linked_rows(table, before, hasher)
    own = _own_columns(specs, table, before)
    alignment = Alignment()
    linked: list[int] = []
    hashes: list[int] = []
    if keys is not None:
        linked, hashes = keys
        alignment.linked = len(linked)
    texts = _Texts(table, linked or list(range(min(len(table.rows), LINKED_ROWS))))
    candidates: dict[tuple[str, int], tuple[float, Placed]] = {}
    for spec in specs:
        if spec.name not in before.fields:
            continue
        known: list[Token] = [None] * len(texts.rows)
        if linked:
            tokens = before.column(spec.name)
            known = [tokens[key] for key in hashes]
        first = own.get(spec.name, (0, 0.0))[0]
        for at in [first, *(at for at in range(table.width) if at != first)]:
            one = _candidate(spec, at, texts, known, before, hasher, own)
            if one is None:
                continue
            candidates[spec.name, at] = one
            if at == first and spec.name in own and settled(one[1].reading):
                break
    _assign(specs, table.width, candidates, before, alignment, texts)
    if table.titles is None or any(spec.position for spec in specs):
        _doubt_places(alignment, own)
    return alignment


def _doubt_places(alignment: Alignment, own: dict[str, tuple[int, float]]) -> None:
    """Once a proved field is elsewhere, the place of the others proves nothing."""
    placed = alignment.placed
    if all(own.get(name, (one.column, 0.0))[0] == one.column for name, one in placed.items()):
        return
    for name, one in placed.items():
        if not settled(one.reading) and one.reading.beyond_chance < PROVED:
            placed[name] = replace(one, sure=False)


class _Texts:
    """The columns' texts in the rows that are compared, each made once."""

    def __init__(self, table: RawTable, rows: list[int]) -> None:
        self.table, self.rows = table, rows
        self._part = RawTable(
            titles=table.titles, rows=[table.rows[at] for at in rows], changes=table.changes
        )
        self._made: dict[tuple[int, str], list[str]] = {}
        self._traits: dict[int, Traits] = {}

    def of(self, column: int, spec: FieldSpec | None = None) -> list[str]:
        shape = f"{spec.type} {spec.date_format}{spec.decimal_mark}" if spec else ""
        if (column, shape) not in self._made:
            view = spec if isinstance(spec, ColumnField) else None
            self._made[column, shape] = self._part.texts(column, view)
        return self._made[column, shape]

    def traits(self, column: int) -> Traits:
        if column not in self._traits:
            self._traits[column] = traits(self.of(column))
        return self._traits[column]


def _linked_rows(
    table: RawTable, before: Fingerprint, hasher: Hasher
) -> tuple[list[int], list[int]] | None:
    """The rows whose contract is known, by whatever column holds the contracts; their hashes."""
    if before.key.name not in before.fields or len(before.links) < ENOUGH:
        return None
    best: tuple[list[int], list[int]] = ([], [])
    wide = RawTable(titles=None, rows=table.rows[:_ROWS_OF_KEY], changes={})
    for at in range(table.width):
        texts = wide.texts(at)
        if len(set(texts[:500])) < before.key.different * len(texts[:500]):
            continue
        hashes = before.key.hashes(pa.array(texts, pa.string()), hasher).tolist()
        rows = [row for row, key in enumerate(hashes) if key in before.links and texts[row]]
        if len(rows) > len(best[0]):
            best = (rows, [hashes[row] for row in rows])
    step = max(1, len(best[0]) // LINKED_ROWS)
    rows, chosen = best[0][::step][:LINKED_ROWS], best[1][::step][:LINKED_ROWS]
    return (rows, chosen) if len(best[0]) >= ENOUGH else None


def _own_columns(
    specs: Sequence[ColumnField], table: RawTable, before: Fingerprint
) -> dict[str, tuple[int, float]]:
    """Field → (column, bonus) by its title, or by its place in the last file."""
    found: dict[str, tuple[int, float]] = {}
    titles = [plain_title(title) for title in table.titles or []]
    old: list[str] = before.file.get("titles") or []
    by_place = _LIKE_TITLE if table.width == before.file.get("columns") else _SAME_PLACE
    for spec in specs:
        position = getattr(spec, "position", None)
        if table.titles and spec.title in table.titles and not position:
            found[spec.name] = (table.titles.index(spec.title), _SAME_TITLE)
        elif titles and plain_title(spec.title) in titles:
            found[spec.name] = (titles.index(plain_title(spec.title)), _LIKE_TITLE)
        elif position and position <= table.width:
            found[spec.name] = (position - 1, by_place)
        elif not titles and spec.title in old and old.index(spec.title) < table.width:
            found[spec.name] = (old.index(spec.title), by_place)
    return found


def plain_title(title: str) -> str:
    """A title without accents, case and marks."""
    text = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]", "", text)


def _candidate(
    spec: ColumnField,
    at: int,
    texts: _Texts,
    known: list[Token],
    before: Fingerprint,
    hasher: Hasher,
    own: dict[str, tuple[int, float]],
) -> tuple[float, Placed] | None:
    wanted = 0.5
    own_place = own.get(spec.name, (-1, 0.0))[0] == at
    cells = texts.of(at, spec)
    if not own_place and spec.type != "telefone":
        few = read_as(spec, cells[:FEW_ROWS], known[:FEW_ROWS], hasher, wanted)
        if few.agreement < 0.2 and (few.linked >= 12 or few.invalid > 0.5):
            return None
    reading = read_as(spec, cells, known, hasher, wanted)
    ddd: int | None = None
    if spec.type == "telefone" and reading.agreement < 0.9:
        if reading.invalid > 0.5 and not _are_numbers(cells):
            return None
        reading, ddd = _with_ddd(spec, at, texts, known, hasher, reading)
    filled = texts.traits(at).filled
    usual = before.fields[spec.name]
    if reading.invalid > max(0.25, 2 * usual.invalid) and filled:
        return None
    bonus = own[spec.name][1] if own_place else 0.0
    if reading.linked >= ENOUGH:
        score, why = reading.agreement, f"{reading.agreement * 100:.0f} % dos valores conferem"
    else:
        score = _LOOK_WEIGHT * _likeness(usual.traits, texts.traits(at))
        why = "pelo aspecto dos valores"
    placed = Placed(name=spec.name, column=at, ddd=ddd, reading=reading, sure=False, why=why)
    return score + bonus, placed


def _with_ddd(
    spec: ColumnField,
    at: int,
    texts: _Texts,
    known: list[Token],
    hasher: Hasher,
    alone: Reading,
) -> tuple[Reading, int | None]:
    """A phone with its DDD in a column of its own, the nearest to its left, when that agrees."""
    best: tuple[Reading, int | None] = (alone, None)
    for other in range(at - 1, -1, -1):
        if not _are_ddds(texts.of(other)):
            continue
        pairs = [
            f"{ddd}{DDD_MARK}{phone}"
            for ddd, phone in zip(texts.of(other), texts.of(at), strict=True)
        ]
        reading = read_as(spec, pairs, known, hasher, 0.5)
        if reading.rank > best[0].rank:
            best = (reading, other)
        if at - other > 3:
            break
    return best


def _are_numbers(texts: Sequence[str]) -> bool:
    filled = [text for text in texts[:FEW_ROWS] if text]
    return bool(filled) and sum(text[-4:].isdigit() for text in filled) > 0.8 * len(filled)


def _are_ddds(texts: Sequence[str]) -> bool:
    filled = [text for text in texts if text]
    return bool(filled) and sum(len(text) in (2, 3) and text.isdigit() for text in filled) >= (
        0.95 * len(filled)
    )


def _likeness(one: Traits, other: Traits) -> float:
    """How much two columns look alike, from 0 to 1."""
    if not one.filled and not other.filled:
        return 1.0
    tests = {*one.passes, *other.passes}
    passes = sum(abs(one.passes.get(name, 0.0) - other.passes.get(name, 0.0)) for name in tests) / 3
    apart = (
        0.3 * abs(one.filled - other.filled)
        + 0.3 * distance(one.classes, other.classes)
        + 0.2 * distance(one.lengths, other.lengths)
        + 0.4 * min(passes, 1.0)
    )
    if one.tops and other.tops:
        apart += 0.3 * distance(one.tops, other.tops)
    return max(0.0, 1.0 - apart)


def _assign(
    specs: Sequence[ColumnField],
    width: int,
    candidates: dict[tuple[str, int], tuple[float, Placed]],
    before: Fingerprint,
    alignment: Alignment,
    texts: _Texts,
) -> None:
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    names = [spec.name for spec in specs if spec.name in before.fields]
    scores = np.full((len(names), width + len(names)), 0.0)
    for (name, at), (score, _) in candidates.items():
        scores[names.index(name), at] = score
    rows, columns = linear_sum_assignment(-scores)
    for row, at in zip(rows.tolist(), columns.tolist(), strict=True):
        name = names[row]
        usual = before.fields[name].traits.filled
        found = candidates.get((name, at))
        if found is None or (found[0] < 0.35 and usual > 0.01):
            alignment.missing.append(name)
            continue
        rivals = [
            _distinct(other)
            for (rival, place), other in candidates.items()
            if rival == name and place != at and texts.of(place) != texts.of(at)
        ]
        margin = _distinct(found) - max(rivals, default=0.0)
        one = found[1]
        titled = found[0] - (one.reading.agreement if one.reading.linked >= ENOUGH else 0) > 0.1
        sure = margin >= PROVED or (titled and margin > 0.05)
        alignment.placed[name] = Placed(
            name=name,
            column=at,
            ddd=one.ddd,
            reading=one.reading,
            sure=sure,
            why=one.why,
        )
    used = {one.column for one in alignment.placed.values()}
    used |= {one.ddd for one in alignment.placed.values() if one.ddd is not None}
    alignment.unknown = [at for at in range(width) if at not in used]


def _distinct(candidate: tuple[float, Placed]) -> float:
    """The score of a candidate, with the agreement that chance alone does not give."""
    score, placed = candidate
    if placed.reading.linked < ENOUGH:
        return score
    return score - placed.reading.agreement + max(0.0, placed.reading.beyond_chance)


def changes_of(content: dict[str, Any], table: RawTable, alignment: Alignment) -> dict[str, Any]:
    """The layout's content (keys as the clerk writes them) for this table and alignment."""
    out = {key: value for key, value in content.items() if key not in {"cabecalho", "linhas_antes"}}
    sheet = table.changes["formato"] == "planilha"
    if sheet:
        for key in ("codificacao", "separador", "aspas", "termina_com_quebra_de_linha"):
            out.pop(key, None)
    else:
        out.pop("aba", None)
    out |= table.changes
    titles = table.titles
    by_number = titles is None or len(set(titles)) < len(titles) or "" in titles
    if by_number and titles is not None:
        out["cabecalho"] = "não"
        out["linhas_antes"] = table.changes.get("linhas_antes", 0) + 1
    fields = []
    for one in content["campos"]:
        placed = alignment.placed.get(one["nome"])
        if placed is None:
            continue
        new = {
            key: value
            for key, value in one.items()
            if key not in {"coluna", "coluna_ddd", "posicao", "posicao_ddd"}
        }
        if by_number:
            new["posicao"] = placed.column + 1
            if placed.ddd is not None:
                new["posicao_ddd"] = placed.ddd + 1
        elif titles is not None:
            if titles[placed.column] != one["nome"]:
                new["coluna"] = titles[placed.column]
            if placed.ddd is not None:
                new["coluna_ddd"] = titles[placed.ddd]
        for key, value in placed.reading.changes.items():
            if value is None:
                new.pop(key, None)
            else:
                new[key] = list(value) if isinstance(value, tuple) else value
        fields.append(new)
    out["campos"] = fields
    out.pop("ignorar", None)
    if not by_number and titles is not None and alignment.unknown:
        out["ignorar"] = [titles[at] for at in alignment.unknown]
    return out
