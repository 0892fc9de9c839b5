"""Verdicts: each row on its own, then the file as a whole. No clock, no database, no I/O.

A row that fails is rejected alone. A file is quarantined whole when it can not be believed: what
the reader found (totals, header, truncation), no row left, too many rejected, or a volume far from
what this convênio sends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from zanc_pipeline.reception.fields import (
    DDD_MARK,
    MAX_PHONES,
    MONEY,
    Column,
    convert,
    expected,
    masked,
)
from zanc_pipeline.reception.layout import CANONICAL, ColumnField, FieldSpec, Layout
from zanc_pipeline.reception.problems import FileRejected, RejectedRow, RowProblem
from zanc_pipeline.reception.readers.base import Batch

ACCEPTED_SCHEMA = pa.schema(
    [
        pa.field("line", pa.int64(), nullable=False),
        pa.field("cpf", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("contract", pa.string(), nullable=False),
        pa.field("product", pa.string()),
        pa.field("amount", MONEY, nullable=False),
        pa.field("due_date", pa.date32(), nullable=False),
        pa.field("birth_date", pa.date32()),
        pa.field("email", pa.string()),
        pa.field("city", pa.string()),
        pa.field("state", pa.string()),
        pa.field("phone_1", pa.string()),
        pa.field("phone_2", pa.string()),
        pa.field("phone_3", pa.string()),
        pa.field("deceased", pa.bool_(), nullable=False),
    ]
)
"""The canonical columns of an accepted delivery: one row a contract."""

VOLUME_MATTERS_FROM = 100
"""Below so many rows a file's volume says nothing."""


@dataclass(kw_only=True)
class Validation:
    """What became of the rows of one file."""

    accepted: pa.Table
    rejected: list[RejectedRow] = field(default_factory=list)
    warnings: Counter[str] = field(default_factory=Counter)
    """Field → how many invalid values were emptied in rows that were accepted."""

    @property
    def rows_total(self) -> int:
        """Rows of the file, header and trailer not counted."""
        return int(self.accepted.num_rows) + len(self.rejected)


def validate(layout: Layout, batches: Iterable[Batch]) -> Validation:
    """Sort the rows of a file into accepted and rejected. Passes FileRejected on."""
    tables: list[pa.Table] = []
    result = Validation(accepted=ACCEPTED_SCHEMA.empty_table())
    unique = [spec for spec in layout.fields if spec.unique or spec.name == "contrato"]
    seen = {spec.name: _Seen() for spec in unique}
    for batch in batches:
        columns = {spec.name: _convert(spec, batch) for spec in layout.fields}
        problems = _row_problems(layout, batch, columns)
        for spec in unique:
            for index, line in seen[spec.name].repeated(batch, spec.name, problems):
                trouble = RowProblem(
                    line=int(batch.line[index]),
                    field=spec.name,
                    found=masked(spec, batch.cells[spec.name][index].as_py()),
                    problem=f"repete o valor da linha {line}, a única aceita: confirme com o "
                    "credor qual das duas vale",
                )
                problems.setdefault(index, []).append(trouble)
        keep = np.ones(len(batch.line), dtype=np.bool_)
        keep[list(problems)] = False
        result.rejected += batch.broken
        result.rejected += [
            RejectedRow(
                line=int(batch.line[index]),
                offset=int(batch.offset[index]),
                cells=tuple(
                    batch.cells[spec.name][index].as_py().replace(DDD_MARK, " ")
                    for spec in layout.fields
                ),
                problems=tuple(found),
            )
            for index, found in sorted(problems.items())
        ]
        for spec in layout.fields:
            if spec.blanked_when_invalid:
                emptied = int((columns[spec.name].invalid & keep).sum())
                if emptied:
                    result.warnings[spec.name] += emptied
        tables.append(_canonical(batch, columns).filter(pa.array(keep)))
    if tables:
        result.accepted = pa.concat_tables(tables).combine_chunks()
    result.rejected.sort(key=lambda row: row.line)
    return result


def judge_file(
    layout: Layout, result: Validation, *, previous_rows: int | None, accept_volume: bool = False
) -> None:
    """Raise FileRejected when the file as a whole can not be accepted.

    ``previous_rows`` is what the last accepted delivery of this convênio held; ``accept_volume``
    says that a person looked at a volume out of the usual and accepts it.
    """
    total, rejected, limits = result.rows_total, len(result.rejected), layout.limits
    if not total:
        raise FileRejected(
            "o arquivo não traz nenhuma linha de dados: peça ao credor que o envie de novo"
        )
    if not result.accepted.num_rows:
        raise FileRejected(
            f"nenhuma das {total} linhas é válida: {_most_common(result)}; confira se o layout "
            "mudou"
        )
    if rejected > total * limits.rejected_share:
        raise FileRejected(
            f"{rejected} de {total} linhas foram rejeitadas, mais que o limite de "
            f"{_percent(limits.rejected_share)}: {_most_common(result)}; confira se o layout mudou"
        )
    if previous_rows is None or previous_rows < VOLUME_MATTERS_FROM or accept_volume:
        return
    if total < previous_rows * (1 - limits.shrink_share):
        raise FileRejected(
            f"o arquivo traz {total} linhas e o anterior trazia {previous_rows}: a carteira teria "
            f"encolhido mais de {_percent(limits.shrink_share)}; confirme com o credor se veio "
            "inteiro e, se sim, reprocesse aceitando o volume"
        )
    if total > previous_rows * limits.growth_factor:
        raise FileRejected(
            f"o arquivo traz {total} linhas e o anterior trazia {previous_rows}: confirme com o "
            "credor se está certo e, se sim, reprocesse aceitando o volume"
        )


class _Seen:
    """First line of every value of a column that must not repeat."""

    def __init__(self) -> None:
        self._first: dict[str, int] = {}

    def repeated(
        self, batch: Batch, name: str, rejected: Mapping[int, object]
    ) -> Iterator[tuple[int, int]]:
        """Rows of the batch whose value came before, with the line where it came first.

        A rejected row does not count: it takes no other row with it.
        """
        lines = batch.line.tolist()
        for index, text in enumerate(batch.cells[name].to_pylist()):
            if text and index not in rejected:
                first = self._first.setdefault(text, lines[index])
                if first != lines[index]:
                    yield index, first


def _convert(spec: FieldSpec, batch: Batch) -> Column:
    between = spec.between if isinstance(spec, ColumnField) else "/"
    return convert(spec, batch.cells[spec.name], between=between)


def _row_problems(
    layout: Layout, batch: Batch, columns: dict[str, Column]
) -> dict[int, list[RowProblem]]:
    problems: dict[int, list[RowProblem]] = {}
    for spec in layout.fields:
        column = columns[spec.name]
        wrong: list[tuple[int, str]] = []
        if not spec.blanked_when_invalid and column.invalid.any():
            wrong += [(int(index), expected(spec)) for index in np.flatnonzero(column.invalid)]
        if spec.must_be_filled and column.values.null_count:
            empty = _mask(pc.is_null(column.values)) & ~column.invalid
            wrong += [
                (int(index), "o campo está vazio e é obrigatório: peça o valor ao credor")
                for index in np.flatnonzero(empty)
            ]
        for index, problem in wrong:
            found = masked(spec, batch.cells[spec.name][index].as_py())
            trouble = RowProblem(
                line=int(batch.line[index]), field=spec.name, found=found, problem=problem
            )
            problems.setdefault(index, []).append(trouble)
    return problems


def _mask(values: pa.Array) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = values.to_numpy(zero_copy_only=False)
    return mask


def _canonical(batch: Batch, columns: dict[str, Column]) -> pa.Table:
    rows = len(batch.line)
    values: dict[str, pa.Array] = {"line": pa.array(batch.line)}
    for name, column in columns.items():
        if name == "telefones":
            for place in range(MAX_PHONES):
                values[f"phone_{place + 1}"] = pc.list_element(_padded(column.values), place)
        elif name in CANONICAL:
            values[CANONICAL[name][0]] = column.values
    if "deceased" in values:
        values["deceased"] = pc.fill_null(values["deceased"], False)
    else:
        values["deceased"] = pa.array(np.zeros(rows, dtype=np.bool_))
    arrays = [values.get(column.name, pa.nulls(rows, column.type)) for column in ACCEPTED_SCHEMA]
    # Rows about to be left out still hold nulls in required columns: nullability comes after.
    nullable = pa.schema([column.with_nullable(True) for column in ACCEPTED_SCHEMA])
    return pa.Table.from_arrays(arrays, schema=nullable)


def _padded(lists: pa.Array) -> pa.Array:
    return pa.array(
        [
            [*(phones or ()), *[None] * (MAX_PHONES - len(phones or ()))]
            for phones in lists.to_pylist()
        ],
        type=lists.type,
    )


def _most_common(result: Validation) -> str:
    counted = Counter(
        problem.field for row in result.rejected for problem in row.problems
    ).most_common(3)
    return "o problema está em " + ", ".join(f"'{name}' ({count})" for name, count in counted)


def _percent(share: float) -> str:
    return f"{share * 100:g} %".replace(".", ",")
