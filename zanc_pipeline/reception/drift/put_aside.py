"""What a clerk reads of a row that is put aside alone: what came, what came before, what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception.accepted import EXTRA
from zanc_pipeline.reception.aside import ACCEPTED
from zanc_pipeline.reception.drift.diagnose import Diagnosis
from zanc_pipeline.reception.drift.doubts import Doubt
from zanc_pipeline.reception.drift.sample import KEY
from zanc_pipeline.reception.fields import masked
from zanc_pipeline.reception.findings import reais
from zanc_pipeline.reception.layout import CANONICAL, FieldSpec
from zanc_pipeline.reception.problems import RowProblem

_REMEDY = "confirme com o credor; se está certo, devolva a linha como veio"


def problems(
    settings: Settings, found: Diagnosis, past: Sequence[int]
) -> dict[int, list[RowProblem]]:
    """Line → what speaks against its row. ``past``: deliveries accepted before, newest first."""
    at_hand = found.trial.seen.at_hand if found.trial.seen is not None else None
    if not found.aside or at_hand is None:
        return {}
    specs = {spec.name: spec for spec in found.layout.fields}
    places = {line: place for place, line in enumerate(at_hand.sample.lines)}
    contracts = {
        line: at_hand.values[KEY][at_hand.sample.keys[places[line]]] for line in found.aside
    }
    before = _before(settings, past, [one for one in contracts.values() if one], specs)
    return {
        line: [
            _problem(
                line,
                specs[doubt.field],
                at_hand.sample.cells[doubt.field][places[line]],
                before.get(contracts[line], {}).get(doubt.field),
                doubt,
            )
            for doubt in doubts
        ]
        for line, doubts in found.aside.items()
    }


def _problem(line: int, spec: FieldSpec, text: str, before: str | None, doubt: Doubt) -> RowProblem:
    was = f"antes era '{masked(spec, before)}'; " if before else ""
    return RowProblem(
        line=line,
        field=spec.name,
        found=masked(spec, text),
        problem=f"{doubt.text}: {was}{_REMEDY}",
    )


def _before(
    settings: Settings,
    past: Sequence[int],
    contracts: Sequence[str],
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
        names = {name: CANONICAL.get(name, (EXTRA + name,))[0] for name in specs}
        there = set(pq.read_schema(path).names)
        names = {name: column for name, column in names.items() if column in there}
        table = pq.read_table(
            path, columns=[*names.values()], filters=[("contract", "in", left)]
        ).to_pylist()
        for row in table:
            found[row["contract"]] = {
                name: _written(row[column])
                for name, column in names.items()
                if row[column] is not None
            }
    return found


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "sim" if value else "não"
    if isinstance(value, date):
        return f"{value:%d/%m/%Y}"
    return reais(value) if isinstance(value, Decimal) else str(value)
