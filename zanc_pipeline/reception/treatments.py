"""Treatments: a clerk's ``tratamento.py``, run on the text of a file before it is typed and proved.

The treatment gets a pandas table of text, one column a field of the layout, indexed by the line of
the file, and gives it back. It runs before the typing on purpose: whatever it does, the validation
still has to accept the result. It runs in a process of its own (``treatment_runner``) in pieces of
``PIECE_ROWS``; a file of more than one piece is also proved not to depend on where it was cut.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from zanc_pipeline.common.masking import mask_text
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception.fields import DDD_MARK, masked
from zanc_pipeline.reception.findings import thousands
from zanc_pipeline.reception.layout import Layout
from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.readers.base import Batch

FILE_NAME = "tratamento.py"
PIECE_ROWS = 200_000
SEAM_ROWS = 1_000
CPU_SECONDS = 120
TIMEOUT_SECONDS = 300.0
MEMORY_BYTES = 3 * 1024**3
MAX_EXAMPLES = 3
MAX_REMOVED_KEPT = 10_000

_LINE = "linha"
_RUNNER = Path(__file__).with_name("treatment_runner.py")
Integers = npt.NDArray[np.int64]


@dataclass(kw_only=True)
class Change:
    """What a treatment did to one column: how many values, and a few of them, masked."""

    rows: int = 0
    examples: list[tuple[int, str, str]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class RemovedRow:
    """A row that a treatment took out, with its cells as they were."""

    line: int
    cells: tuple[str, ...]


@dataclass(kw_only=True)
class Differences:
    """Before and after a treatment: nothing that it did goes unsaid."""

    rows_before: int = 0
    rows_after: int = 0
    pieces: int = 0
    changes: dict[str, Change] = field(default_factory=dict)
    removed_rows: int = 0
    removed: list[RemovedRow] = field(default_factory=list)


@dataclass(kw_only=True)
class Treatment:
    """A convênio's treatment, ready to be applied to the batches of a file."""

    source: Path
    layout: Layout
    piece_rows: int = PIECE_ROWS
    cpu_seconds: int = CPU_SECONDS
    timeout_seconds: float = TIMEOUT_SECONDS
    memory_bytes: int = MEMORY_BYTES
    differences: Differences = field(default_factory=Differences)

    def batches(self, read: Iterable[Batch]) -> Iterator[Batch]:
        """The file's batches, treated; called again it begins afresh.

        Raises FileRejected, with the treatment's line, when it fails or can not be believed.
        """
        self.differences = Differences()
        before: _Piece | None = None
        for piece in self._pieces(read):
            treated, seam = self._run(piece, before)
            if before is not None and seam is not None:
                self._require_no_seam(before, piece, treated, seam)
            self._compare(piece, treated)
            piece.treated = treated
            before = piece
            yield piece.batch(treated)

    def _pieces(self, batches: Iterable[Batch]) -> Iterator[_Piece]:
        waiting: list[Batch] = []
        rows = 0
        for batch in batches:
            if waiting and rows + len(batch.line) > self.piece_rows:
                yield _Piece.of(waiting)
                waiting, rows = [], 0
            waiting.append(batch)
            rows += len(batch.line)
        if waiting:
            yield _Piece.of(waiting)

    def _run(self, piece: _Piece, before: _Piece | None) -> tuple[pa.Table, pa.Table | None]:
        """Treat a piece, and the seam between it and the one before, in one process."""
        tables = [piece.table]
        if before is not None:
            tables.append(pa.concat_tables([before.tail, piece.head]).combine_chunks())
        results = run(
            self.source,
            tables,
            cpu_seconds=self.cpu_seconds,
            timeout_seconds=self.timeout_seconds,
            memory_bytes=self.memory_bytes,
        )
        return _sorted(results[0]), results[1] if before is not None else None

    def _require_no_seam(
        self, before: _Piece, piece: _Piece, treated: pa.Table, seam: pa.Table
    ) -> None:
        assert before.treated is not None
        alone = pa.concat_tables(
            [
                _of_lines(before.treated, before.tail[_LINE]),
                _of_lines(treated, piece.head[_LINE]),
            ]
        )
        if not _sorted(alone).equals(_sorted(seam)):
            raise FileRejected(
                f"o tratamento usa outras linhas do arquivo (como ffill, drop_duplicates ou "
                f"totais), mas este arquivo tem mais de {self.piece_rows} linhas e é tratado em "
                f"partes: o resultado dependeria de onde ele é cortado (perto da linha "
                f"{piece.head[_LINE][0].as_py()}); escreva {FILE_NAME} de modo que cada linha "
                "dependa só dela mesma"
            )

    def _compare(self, piece: _Piece, treated: pa.Table) -> None:
        found = self.differences
        lines = treated[_LINE].to_numpy()
        origin = piece.places(lines)
        found.pieces += 1
        found.rows_before += piece.table.num_rows
        found.rows_after += treated.num_rows
        for spec in self.layout.fields:
            old, new = piece.table[spec.name].take(pa.array(origin)), treated[spec.name]
            places = np.flatnonzero(pc.not_equal(old, new).to_numpy())
            if not len(places):
                continue
            change = found.changes.setdefault(spec.name, Change())
            change.rows += len(places)
            for place in places[: MAX_EXAMPLES - len(change.examples)]:
                change.examples.append(
                    (
                        int(lines[place]),
                        masked(spec, old[int(place)].as_py()),
                        masked(spec, new[int(place)].as_py()),
                    )
                )
        gone = np.setdiff1d(np.arange(piece.table.num_rows), origin)
        found.removed_rows += len(gone)
        for place in gone[: MAX_REMOVED_KEPT - len(found.removed)]:
            found.removed.append(
                RemovedRow(
                    line=int(piece.table[_LINE][int(place)].as_py()),
                    cells=tuple(
                        piece.table[spec.name][int(place)].as_py() for spec in self.layout.fields
                    ),
                )
            )


@dataclass(kw_only=True)
class _Piece:
    """Consecutive batches as one table, with what the treatment must not touch kept aside."""

    table: pa.Table
    marked: dict[str, pa.Array]
    """Phones whose DDD came in a column of its own, with the mark that a person does not see."""
    offset: Integers
    rest: list[Batch]
    treated: pa.Table | None = None

    @classmethod
    def of(cls, batches: list[Batch]) -> _Piece:
        columns: dict[str, pa.Array] = {
            _LINE: pa.array(np.concatenate([batch.line for batch in batches]))
        }
        marked: dict[str, pa.Array] = {}
        for name in batches[0].cells:
            cells = pa.concat_arrays([batch.cells[name] for batch in batches])
            columns[name] = pc.replace_substring(cells, DDD_MARK, " ")
            if pc.any(pc.match_substring(cells, DDD_MARK)).as_py():
                marked[name] = cells
        return cls(
            table=pa.table(columns),
            marked=marked,
            offset=np.concatenate([batch.offset for batch in batches]),
            rest=batches,
        )

    @property
    def head(self) -> pa.Table:
        """The first rows, as they came."""
        return self.table.slice(0, SEAM_ROWS)

    @property
    def tail(self) -> pa.Table:
        """The last rows, as they came."""
        return self.table.slice(max(self.table.num_rows - SEAM_ROWS, 0))

    def places(self, lines: Integers) -> Integers:
        """Where in ``table`` each line stands."""
        own = self.table[_LINE].to_numpy()
        order = np.argsort(own, kind="stable")
        places: Integers = order[np.searchsorted(own, lines, sorter=order)]
        return places

    def batch(self, treated: pa.Table) -> Batch:
        """The treated rows, which stand in order of line, each with its own line and offset."""
        lines = treated[_LINE].to_numpy()
        origin = self.places(lines)
        return Batch(
            line=lines,
            offset=self.offset[origin],
            cells={
                name: self._cells(name, _array(treated[name]), pa.array(origin))
                for name in treated.column_names
                if name != _LINE
            },
            broken=[row for batch in self.rest for row in batch.broken],
            notes=sum((Counter(batch.notes) for batch in self.rest), Counter()),
        )

    def _cells(self, name: str, cells: pa.Array, origin: pa.Array) -> pa.Array:
        # A treatment's blanks at the ends are no part of the value, as in every reader.
        trimmed = pc.utf8_trim(cells, characters=" \t")
        if name not in self.marked:
            return trimmed
        untouched = pc.equal(cells, _array(self.table[name].take(origin)))
        return pc.if_else(untouched, self.marked[name].take(origin), trimmed)


def treatment_of(settings: Settings, convenio: str, layout: Layout) -> Treatment | None:
    """The convênio's treatment, or None when it has none."""
    source = settings.config / "convenios" / convenio / FILE_NAME
    return Treatment(source=source, layout=layout) if source.is_file() else None


def describe(differences: Differences) -> Iterator[str]:
    """What a treatment did, in lines of Portuguese; values are masked already."""
    yield (
        f"linhas antes: {thousands(differences.rows_before)}; depois: "
        f"{thousands(differences.rows_after)}"
    )
    if differences.removed_rows:
        some = ", ".join(str(row.line) for row in differences.removed[:10])
        more = ", …" if differences.removed_rows > 10 else ""
        yield (
            f"retiradas pelo tratamento: {thousands(differences.removed_rows)} (linhas do arquivo: "
            f"{some}{more})"
        )
    if not differences.changes and not differences.removed_rows:
        yield "o tratamento não mudou nada"
    for name, change in differences.changes.items():
        yield f"{name}: mudou em {thousands(change.rows)} linhas"
        for line, old, new in change.examples:
            yield f'    linha {line}: "{old}" → "{new}"'


def run(
    source: Path,
    tables: list[pa.Table],
    *,
    cpu_seconds: int = CPU_SECONDS,
    timeout_seconds: float = TIMEOUT_SECONDS,
    memory_bytes: int = MEMORY_BYTES,
) -> list[pa.Table]:
    """Treat tables of text (with their ``linha``) in one process of its own.

    Raises FileRejected, in Portuguese, with the line of the treatment that failed.
    """
    with TemporaryDirectory(prefix="tratamento-") as folder:
        work = Path(folder)
        names = [f"{number}.arrow" for number in range(len(tables))]
        for name, table in zip(names, tables, strict=True):
            _write(work / name, table)
        request = {
            "source": str(source.resolve()),
            "files": names,
            "cpu_seconds": cpu_seconds,
            "memory_bytes": memory_bytes,
        }
        (work / "request.json").write_text(json.dumps(request), encoding="utf-8")
        try:
            subprocess.run(
                [sys.executable, "-I", "-B", str(_RUNNER)],
                cwd=work,
                env=_environment(work),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=timeout_seconds,
                start_new_session=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise FileRejected(
                _too_slow(f"{timeout_seconds:g} segundos".replace(".", ","))
            ) from None
        answer = work / "answer.json"
        if not answer.is_file():
            raise FileRejected(_too_slow(f"{cpu_seconds} segundos de processador ou da memória"))
        error = json.loads(answer.read_text(encoding="utf-8")).get("error")
        if error is not None:
            raise FileRejected(explain(error, source, tables[0].column_names))
        return [_read(work / f"treated-{name}") for name in names]


def _environment(work: Path) -> dict[str, str]:
    """Nothing of ours: no address, no secret, no search path."""
    return {
        "PATH": os.defpath,
        "HOME": str(work),
        "TMPDIR": str(work),
        "LANG": "C.UTF-8",
        "TZ": "America/Sao_Paulo",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "MALLOC_ARENA_MAX": "2",
    }


def _too_slow(limit: str) -> str:
    return (
        f"o tratamento ({FILE_NAME}) foi interrompido: passou de {limit}; talvez haja um laço "
        "(for, while) que não acaba: prove-o com 'zanc reception treat'"
    )


_EXPLANATIONS = {
    "SyntaxError": "o texto não é Python válido: confira parênteses, aspas e dois-pontos",
    "IndentationError": "os espaços no começo da linha não estão alinhados",
    "NameError": "usa um nome que não existe: confira a grafia",
    "AttributeError": "usa uma função que não existe nesta coluna: confira a grafia; para textos, "
    "escreva .str antes",
    "TypeError": "mistura texto com número: as colunas são texto",
    "ValueError": "um valor não pôde ser transformado",
    "ModuleNotFoundError": "usa um módulo que não está instalado: só pandas, numpy e o próprio "
    "Python",
    "MemoryError": "precisou de memória demais",
    "PermissionError": "tentou algo que um tratamento não pode fazer",
    "SystemExit": "mandou encerrar o programa (exit): um tratamento devolve a tabela",
}


def explain(error: dict[str, object], source: Path, columns: list[str]) -> str:
    """What the runner says went wrong, for the clerk; ``columns`` are those of the table."""
    kind, text, line = str(error["kind"]), str(error["text"]), error["line"]
    where = f"{source.parent.name}/{source.name}" + (f", linha {line}" if line else "")
    if kind == "refused":
        what = text
    elif kind == "KeyError":
        names = ", ".join(name for name in columns if name != _LINE)
        what = f"não há coluna {mask_text(text)[:80]}; há: {names}"
    else:
        said = _EXPLANATIONS.get(kind, "parou com um erro")
        what = f"{said} ({kind}: {mask_text(text)[:200]})"
    return f"tratamento {where}: {what}; prove-o com 'zanc reception treat' e reprocesse"


def _write(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _read(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def _of_lines(table: pa.Table, lines: pa.ChunkedArray) -> pa.Table:
    return table.filter(pc.is_in(table[_LINE], value_set=lines.combine_chunks()))


def _sorted(table: pa.Table) -> pa.Table:
    order = np.argsort(table[_LINE].to_numpy(), kind="stable")
    return table.take(pa.array(order))


def _array(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], type=column.type)
