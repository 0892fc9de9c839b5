"""What all readers share: the batch, and the chunks of a text file cut at line ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from zanc_pipeline.reception.columns import EncodingWitness
from zanc_pipeline.reception.problems import FileRejected, RejectedRow, RowProblem

CHUNK_BYTES = 16 * 1024 * 1024
MAX_LINE_BYTES = 1024 * 1024

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some rows of a file as text columns, each traceable to its line and byte.

    ``line`` counts from 1 (a row of a spreadsheet); ``offset`` is the byte where the line starts,
    -1 in a spreadsheet; ``cells`` holds trimmed texts by field name, made when they are asked for;
    ``broken`` are the lines that could not be cut into fields, in their order.
    """

    line: Integers
    offset: Integers
    cells: Mapping[str, pa.Array]
    broken: Sequence[RejectedRow] = ()


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Whole lines of a file: ``data`` starts at byte ``offset``, with line number ``line``."""

    data: bytes
    offset: int
    line: int
    last: bool


def broken_row(line: int, offset: int, text: str, problem: str) -> RejectedRow:
    """A line that could not be cut: rejected whole, shown without its personal data."""
    trouble = RowProblem(line=line, field="linha", found=f"{len(text)} caracteres", problem=problem)
    return RejectedRow(line=line, offset=offset, cells=(text,), problems=(trouble,))


def chunks(path: Path, encoding: str, *, must_end_with_newline: bool) -> Iterator[Chunk]:
    """The file in pieces that end at a line end.

    Raises FileRejected for an empty file, an absurdly long line, a file cut in its last line and
    an encoding that is provably another.
    """
    witness = EncodingWitness()
    rest, offset, line, final = b"", 0, 1, b""
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            witness.see(piece)
            data = rest + piece
            end = data.rfind(b"\n") + 1
            if not end and len(data) > MAX_LINE_BYTES:
                raise FileRejected(
                    f"a linha {line} tem mais de {MAX_LINE_BYTES} bytes: isto não é um arquivo de "
                    "texto com uma linha por registro; confirme com o credor o que foi enviado"
                )
            if end:
                yield Chunk(data=data[:end], offset=offset, line=line, last=False)
                offset, line, final = offset + end, line + data.count(b"\n", 0, end), data[:end]
            rest = data[end:]
    witness.see(b"", last=True)
    if rest.strip(b"\x1a\x00\r\n \t"):
        if must_end_with_newline:
            raise FileRejected(
                f"o arquivo termina no meio da linha {line}: o envio parece ter sido cortado; peça "
                "ao credor que envie o arquivo de novo"
            )
        final = rest
        yield Chunk(data=rest, offset=offset, line=line, last=True)
    if not final.strip():
        raise FileRejected("o arquivo está vazio: peça ao credor que o envie de novo")
    if encoding in {"latin-1", "cp1252"} and witness.proves_utf8:
        raise FileRejected(
            f"o layout diz que os acentos estão em {encoding}, mas este arquivo está em utf-8: "
            "se o credor mudou, troque 'codificacao' no layout e reprocesse"
        )


def line_offsets(chunk: Chunk) -> tuple[Integers, Integers]:
    """Where each line of a chunk starts and ends (without its newline), from the chunk's start."""
    buffer = np.frombuffer(chunk.data, dtype=np.uint8)
    ends = np.flatnonzero(buffer == 10).astype(np.int64)
    starts = np.concatenate((np.zeros(1, dtype=np.int64), ends + 1))
    if not chunk.data.endswith(b"\n"):
        return starts, np.append(ends, np.int64(len(buffer)))
    return starts[:-1], ends
