"""A treatment tried on the beginning of a file: nothing is received, nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception.findings import thousands
from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.process import choose_layout, unreceived
from zanc_pipeline.reception.readers import Batch, read_file
from zanc_pipeline.reception.treatments import FILE_NAME, describe, treatment_of
from zanc_pipeline.reception.validate import validate


def try_treatment(settings: Settings, path: Path, convenio: str, *, rows: int) -> list[str]:
    """What the treatment of ``convenio`` does to the first ``rows`` of a file, in lines to print.

    Raises DataError, in Portuguese, when there is no treatment, when the file can not be read or
    when the treatment fails.
    """
    delivery = unreceived(path, convenio, datetime.now(tz=UTC))
    try:
        layout, facts = choose_layout(settings, delivery)
        treatment = treatment_of(settings, convenio, layout)
        if treatment is None:
            raise DataError(
                f"config/convenios/{convenio}/{FILE_NAME} não existe: crie-o (docs/recepcao.md)"
            )
        sample = list(_first(read_file(layout, path, facts), rows))
        if not sample:
            raise DataError(f"{path}: não há linhas para provar o tratamento")
        before = validate(layout, sample)
        after = validate(layout, treatment.batches(sample))
    except FileRejected as refusal:
        raise DataError(str(refusal)) from None
    return [
        f"{path.name}: provado com as primeiras {thousands(before.rows_total)} linhas; nada foi "
        "recebido nem carregado",
        *describe(treatment.differences),
        f"linhas válidas: {thousands(before.rows_accepted)} sem o tratamento, "
        f"{thousands(after.rows_accepted)} com ele",
        *(
            f"  ainda rejeitada: linha {problem.line}, {problem.field}: encontrado "
            f'"{problem.found}"; {problem.problem}'
            for problem in after.examples[:5]
        ),
    ]


def _first(batches: Iterator[Batch], rows: int) -> Iterator[Batch]:
    for batch in batches:
        yield Batch(
            line=batch.line[:rows],
            offset=batch.offset[:rows],
            cells={name: batch.cells[name].slice(0, rows) for name in batch.cells},
            broken=batch.broken,
        )
        rows -= len(batch.line)
        if rows <= 0:
            return
