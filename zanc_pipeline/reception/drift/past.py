"""The remembered files as one: the contracts that any of them knew, the laws that all of them keep.

A file of twelve rows tells little; four of them tell what their laws are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from zanc_pipeline.reception.drift.exact import pooled_shares, pooled_sums
from zanc_pipeline.reception.drift.fingerprint import FieldPrint, Fingerprint


def with_rows(before: Fingerprint, earlier: Sequence[Fingerprint]) -> Fingerprint:
    """``before`` with the contracts that only files before it brought, as they were last."""
    links = dict(before.links)
    known = {name: dict(before.plain.get(name, {})) for name in before.names}
    for one in earlier:
        for name, values in known.items():
            for key, value in one.plain.get(name, {}).items():
                values.setdefault(key, value)
        places = [one.names.index(name) if name in one.fields else None for name in before.names]
        for key, row in one.links.items():
            if key not in links:
                links[key] = [None if place is None else row[place] for place in places]
    return replace(before, links=links, known=known, at_hand=None) if earlier else before


_FAR = 1 << 64


def unlinked(of: Fingerprint) -> Fingerprint:
    """A fingerprint of payments or of phones, none of whose rows is that of a contract now: each
    file brings new facts. Its columns stay, and what its rows have in common."""
    return replace(
        of,
        overlap=0.0,
        links={key + _FAR: row for key, row in of.links.items()},
        numbers={
            name: {key + _FAR: one for key, one in column.items()}
            for name, column in of.numbers.items()
        },
        phones={
            name: {key + _FAR: one for key, one in column.items()}
            for name, column in of.phones.items()
        },
        waiting={},
        at_hand=None,
    )


def with_laws(before: Fingerprint, earlier: Sequence[Fingerprint]) -> Fingerprint:
    """``before``, with what it and those ``earlier`` have in common as the laws of single rows."""
    if not earlier:
        return before
    files = [before, *earlier]
    relations = [one.relations for one in files]
    return replace(
        before,
        fields={name: _field([one.fields.get(name) for one in files]) for name in before.fields},
        relations={
            "pairs": _pairs([one.get("pairs", {}) for one in relations]),
            "sums": pooled_sums([one.get("sums", {}) for one in relations]),
            "shares": pooled_shares([one.get("shares", {}) for one in relations]),
            "belongs": _added([one.get("belongs", {}) for one in relations]),
        },
    )


def _field(prints: Sequence[FieldPrint | None]) -> FieldPrint:
    newest = prints[0]
    assert newest is not None
    every = [one for one in prints if one is not None and one.type == newest.type]
    signs: dict[str, float] = {}
    for one in every:
        signs |= one.looks.signs
    places: Counter[str] = Counter()
    for one in every:
        places.update(one.places)
    rows = sum(one.looks.rows for one in every)
    return replace(newest, looks=replace(newest.looks, rows=rows, signs=signs), places=places)


def _pairs(files: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = {}
    for names, law in files[0].items():
        every = [one[names] for one in files if names in one]
        rows = sum(one["rows"] for one in every)
        cells = {
            cell: sum(one["cells"].get(cell, 0.0) * one["rows"] for one in every) / rows
            for cell in law["cells"]
        }
        # The same contracts again, day after day: their dates prove nothing anew.
        found[names] = {"rows": max(one["rows"] for one in every), "cells": cells}
        ratios = [one for one in every if "ratios" in one]
        if ratios:
            found[names] |= {
                "ratios": (
                    min(one["ratios"][0] for one in ratios),
                    max(one["ratios"][1] for one in ratios),
                ),
                "ratio_rows": sum(one["ratio_rows"] for one in ratios),
            }
    return found


def _added(files: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, list[int]]:
    return {
        names: [sum(one[names][at] for one in files if names in one) for at in (0, 1)]
        for names in files[0]
    }
