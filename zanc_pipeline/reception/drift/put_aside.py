"""What a clerk reads of a row that is put aside alone: what came, what came before, what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception.accepted import column_of
from zanc_pipeline.reception.aside import ACCEPTED
from zanc_pipeline.reception.drift.diagnose import Diagnosis
from zanc_pipeline.reception.drift.doubts import OddRow
from zanc_pipeline.reception.drift.sample import RowKey
from zanc_pipeline.reception.fields import masked
from zanc_pipeline.reception.findings import reais
from zanc_pipeline.reception.layout import FieldSpec, Layout
from zanc_pipeline.reception.problems import RowProblem

REMEDY = "confirme com o credor; se está certo, devolva a linha como veio"
OF_A_SET = "confirme com o credor; se está certo, entra quando vier igual no arquivo de outro dia"


def of_sample(found: Diagnosis) -> dict[int, OddRow]:
    """Line → the rows that the diagnosis itself puts aside."""
    seen = found.trial.seen
    if not found.aside or seen is None or seen.at_hand is None:
        return {}
    at_hand = seen.at_hand
    places = {line: place for place, line in enumerate(at_hand.sample.lines)}
    return {
        line: OddRow(
            contract=at_hand.values[seen.key.name][at_hand.sample.keys[places[line]]],
            cells={one.field: at_hand.sample.cells[one.field][places[line]] for one in doubts},
            doubts=tuple(doubts),
        )
        for line, doubts in found.aside.items()
    }


def problems(
    settings: Settings,
    layout: Layout,
    rows: Mapping[int, OddRow],
    past: Sequence[int],
    key: RowKey,
    remedy: str = REMEDY,
) -> dict[int, list[RowProblem]]:
    """Line → what speaks against its row. ``past``: deliveries accepted before, newest first."""
    specs = {spec.name: spec for spec in layout.fields}
    asked = [one.contract for one in rows.values() if one.contract and not key.many]
    before = _before(settings, past, asked, column_of(key.name), specs)
    return {
        line: [
            _problem(
                line,
                specs[doubt.field],
                written(row.cells[doubt.field]),
                before.get(row.contract, {}).get(doubt.field),
                f"{doubt.text}: ",
                remedy,
            )
            for doubt in row.doubts
        ]
        for line, row in rows.items()
    }


def _problem(
    line: int, spec: FieldSpec, text: str, before: str | None, said: str, remedy: str
) -> RowProblem:
    was = f"antes era '{masked(spec, before)}'; " if before else ""
    found = masked(spec, text)
    return RowProblem(line=line, field=spec.name, found=found, problem=f"{said}{was}{remedy}")


def _before(
    settings: Settings,
    past: Sequence[int],
    contracts: Sequence[str],
    key: str,
    specs: Mapping[str, FieldSpec],
) -> dict[str, dict[str, str]]:
    """Contract → field → what was loaded of it last, as a person writes it."""
    import pyarrow.parquet as pq

    found: dict[str, dict[str, str]] = {}
    for number in past:
        path: Path = settings.var / "deliveries" / str(number) / ACCEPTED
        left = [one for one in contracts if one not in found]
        if not left or not path.is_file():
            continue
        names = {name: column_of(name) for name in specs}
        there = set(pq.read_schema(path).names)
        names = {name: column for name, column in names.items() if column in there}
        table = pq.read_table(
            path, columns=[*names.values()], filters=[(key, "in", left)]
        ).to_pylist()
        for row in table:
            found[row[key]] = {
                name: written(row[column])
                for name, column in names.items()
                if row[column] is not None
            }
    return found


def written(value: Any) -> str:
    """A value as a person writes it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "sim" if value else "não"
    if isinstance(value, date):
        return f"{value:%d/%m/%Y}"
    return reais(value) if isinstance(value, Decimal) else str(value)
