"""Other layouts by which a file could be read, made from the last accepted delivery's."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zanc_pipeline.common.errors import ConfigError, DataError
from zanc_pipeline.reception.drift import columns, keys, positions
from zanc_pipeline.reception.drift.content import content_of
from zanc_pipeline.reception.drift.fingerprint import Fingerprint
from zanc_pipeline.reception.drift.notation import SHORT_SHAPES, Reading
from zanc_pipeline.reception.drift.raw import excerpt, inner_file, raw_lines, raw_table
from zanc_pipeline.reception.drift.sample import Hasher
from zanc_pipeline.reception.layout import (
    DelimitedLayout,
    FixedLayout,
    Layout,
    RecordsLayout,
    SheetLayout,
    parse_layout,
)
from zanc_pipeline.reception.layout_models import SetLayout

_LOG = logging.getLogger(__name__)
_MEANING = frozenset({"verdadeiro", "falso", "tabela"})
"""Keys that say what a code means: nobody but a person changes them."""
_CENTS = 2


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A layout to try. ``sure``: each field is where it is without a doubt."""

    layout: Layout
    content: dict[str, Any]
    sure: bool
    missing: tuple[str, ...] = ()
    linked: int = 0
    moved: bool = True
    """Whether any field is elsewhere or written otherwise, not only the file around them."""
    meanings: tuple[str, ...] = ()
    """Fields whose codes (or years of two digits) would get a meaning."""


def candidates(
    layout: Layout, path: Path, before: Fingerprint, hasher: Hasher
) -> Iterator[Candidate]:
    """Layouts that could explain the file, the most likely first; none when nothing fits."""
    try:
        with inner_file(layout, path) as (inner, changes):
            if isinstance(layout, DelimitedLayout | SheetLayout):
                yield from _of_table(layout, inner, changes, before, hasher)
            elif isinstance(layout, FixedLayout | RecordsLayout):
                yield from _of_lines(layout, inner, changes, before, hasher)
            else:
                yield from _of_keys(layout, inner, before, hasher)
    except (DataError, OSError, EOFError):
        return
    except Exception:  # a proposal is help: failing to make one must not keep the verdict back
        _LOG.exception("no layout could be proposed for %s", path.name)


def _means(reading: Reading) -> bool:
    """Whether a reading gives a meaning to codes, or a century to years: a person's decision."""
    short = reading.changes.get("formato") in SHORT_SHAPES
    places = reading.changes.get("decimais")
    cut = places is not None and places < _CENTS  # whether cents were cut off can not be seen
    return short or cut or bool(_MEANING & reading.changes.keys())


def _of_table(
    layout: DelimitedLayout | SheetLayout,
    path: Path,
    changes: dict[str, Any],
    before: Fingerprint,
    hasher: Hasher,
) -> Iterator[Candidate]:
    table = raw_table(layout, path)
    if table is None or not table.rows:
        return
    alignment = columns.align(layout.fields, table, before, hasher)
    if alignment is None or not alignment.placed:
        return
    own = content_of(layout)
    content = _with(columns.changes_of(own, table, alignment), changes)
    meanings = [name for name, one in alignment.placed.items() if _means(one.reading)]
    candidate = _candidate(
        own,
        content,
        sure=alignment.sure,
        missing=tuple(alignment.missing),
        linked=alignment.linked,
        meanings=tuple(meanings),
    )
    if candidate is not None:
        yield candidate


def _of_keys(
    layout: keys.KeyedLayout, path: Path, before: Fingerprint, hasher: Hasher
) -> Iterator[Candidate]:
    table = keys.keyed_table(layout, path)
    if table is None:
        return
    alignment = columns.align(keys.as_columns(layout), table, before, hasher)
    if alignment is None or not alignment.placed:
        return
    own = content_of(layout)
    made = columns.changes_of(keys.as_table(own), table, alignment)
    candidate = _candidate(
        own,
        keys.written_back(own, made),
        sure=alignment.sure,
        missing=tuple(alignment.missing),
        linked=alignment.linked,
        meanings=tuple(name for name, one in alignment.placed.items() if _means(one.reading)),
    )
    if candidate is not None:
        yield candidate


def _of_lines(
    layout: FixedLayout | RecordsLayout,
    path: Path,
    changes: dict[str, Any],
    before: Fingerprint,
    hasher: Hasher,
) -> Iterator[Candidate]:
    data = excerpt(path)
    found = raw_lines(data)
    if found is None:
        return
    own = content_of(layout)
    extra = found.size - layout.record_size
    lines = found.lines
    shift = 0
    if isinstance(layout, RecordsLayout):
        code, start = layout.records.detail.code.encode(), layout.records.start - 1
        shift = next(
            (
                one
                for one in dict.fromkeys((0, extra, *range(-4, 13)))
                if start + one >= 0
                and sum(line.startswith(code, start + one) for line in lines) > 0.8 * len(lines) - 3
            ),
            0,
        )
        lines = [line for line in lines if line.startswith(code, start + shift)]
    if not lines:
        return
    specs = layout.fields
    aligned = positions.align(specs, positions.matrix_of(lines), layout.encoding, before, hasher)
    if aligned is None:
        return
    for tail in dict.fromkeys((shift, extra, 0)):
        content = deepcopy(own)
        content["tamanho_da_linha"] = found.size
        if not data.endswith((b"\n", b"\x1a")) and layout.newlines:
            content["termina_com_quebra_de_linha"] = "não"
        if isinstance(layout, RecordsLayout):
            records = content["registros"]
            if shift:
                records["inicio"] = layout.records.start + shift
            placed = positions.changes_of(records["detalhe"]["campos"], aligned)
            if placed is None:
                return
            records["detalhe"]["campos"] = placed
            for part in ("cabecalho", "rodape"):
                for one in records.get(part, {}).get("campos", []):
                    one["inicio"] += tail
        else:
            placed = positions.changes_of(content["campos"], aligned)
            if placed is None:
                return
            content["campos"] = placed
        meanings = [name for name, one in aligned.windows.items() if _means(one.reading)]
        candidate = _candidate(
            own,
            _with(content, changes),
            sure=aligned.sure,
            missing=tuple(aligned.missing),
            linked=aligned.linked,
            meanings=tuple(meanings),
        )
        if candidate is not None:
            yield candidate
        if not isinstance(layout, RecordsLayout):
            return


def _with(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    out = dict(content)
    for key, value in changes.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = value
    return out


def _candidate(
    own: dict[str, Any],
    content: dict[str, Any],
    *,
    sure: bool,
    missing: tuple[str, ...],
    linked: int,
    meanings: tuple[str, ...],
) -> Candidate | None:
    if content == own:
        return None
    try:
        layout = parse_layout(content, "proposta")
    except ConfigError:
        return None
    if isinstance(layout, SetLayout):
        return None
    moved = _fields(own) != _fields(content)
    return Candidate(
        layout=layout,
        content=content,
        sure=sure,
        missing=missing,
        linked=linked,
        moved=moved,
        meanings=meanings,
    )


def _fields(content: dict[str, Any]) -> Any:
    return content.get("campos") or content.get("registros")
