"""What all readers share: the batch, and the chunks of a text file cut at line ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from zanc_pipeline.common.byte_cells import PAD, ByteCells, Bytes, Words, as_bits, padded
from zanc_pipeline.reception.columns import EncodingWitness
from zanc_pipeline.reception.problems import FileRejected, RejectedRow, RowProblem

CHUNK_BYTES = 8 * 1024 * 1024
"""What is read at once: more leaves the caches, less costs more calls than it saves."""

_FIXED_TIMES = 1.5
"""Fixed width is read in larger pieces: nothing but the bytes themselves is held of them."""

MAX_LINE_BYTES = 1024 * 1024

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some rows of a file as text columns, each traceable to its line and byte.

    ``line`` counts from 1 (a row of a spreadsheet); ``offset`` is the byte where the line starts,
    -1 in a spreadsheet; ``cells`` holds trimmed texts by field name, made when they are asked for;
    ``broken`` are the lines that could not be cut into fields, in their order. ``raw`` holds the
    bytes of cells, blanks and all, in ``encoding``, where the reader has them at hand.
    """

    line: Integers
    offset: Integers
    cells: Mapping[str, pa.Array]
    broken: Sequence[RejectedRow] = ()
    raw: Mapping[str, ByteCells] = field(default_factory=dict)
    encoding: str = "utf-8"
    notes: Mapping[str, int] = field(default_factory=dict)


Made = TypeVar("Made")


class Lazy(Mapping[str, Made]):
    """Columns that are made when they are asked for, once."""

    def __init__(self, make: Mapping[str, Callable[[], Made]]) -> None:
        self._make = make
        self._made: dict[str, Made] = {}

    def __getitem__(self, name: str) -> Made:
        if name not in self._made:
            self._made[name] = self._make[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._make)

    def __len__(self) -> int:
        return len(self._make)


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Whole lines of a file: they start at byte ``offset``, with line number ``line``.

    ``buffer`` holds them between ``PAD`` bytes before and after. ``line_ends`` is how many lines
    end, ``newlines`` has a bit for each byte, the first in the lowest of each word; ``ascii`` tells
    whether all bytes are. With ``record_size``, the file has no line ends and its records follow
    each other.
    """

    buffer: Bytes
    offset: int
    line: int
    line_ends: int
    newlines: Words
    ascii: bool
    record_size: int = 0

    @classmethod
    def of(cls, data: bytes, *, offset: int, line: int, record_size: int = 0) -> Chunk:
        """The chunk of some bytes."""
        buffer = padded(data)
        ends, newlines, plain = _looked_at(buffer[PAD:-PAD])
        return cls(
            buffer=buffer,
            offset=offset,
            line=line,
            line_ends=0 if record_size else ends,
            newlines=newlines,
            ascii=plain,
            record_size=record_size,
        )

    @property
    def body(self) -> Bytes:
        """The lines' own bytes, where they are in ``buffer``."""
        return self.buffer[PAD:-PAD]

    @cached_property
    def data(self) -> bytes:
        """The lines' own bytes, copied out when they are asked for."""
        return self.body.tobytes()


def broken_row(line: int, offset: int, text: str, problem: str) -> RejectedRow:
    """A line that could not be cut: rejected whole, shown without its personal data."""
    trouble = RowProblem(line=line, field="linha", found=f"{len(text)} caracteres", problem=problem)
    return RejectedRow(line=line, offset=offset, cells=(text,), problems=(trouble,))


def chunks(
    path: Path,
    encoding: str,
    *,
    must_end_with_newline: bool,
    record_size: int = 0,
    unbroken: bool = False,
) -> Iterator[Chunk]:
    """The file in pieces that end at a line end; with ``record_size``, at the end of a record when
    it is whole records and has no line ends (``unbroken``: the layout says so).

    Raises FileRejected for an empty file, an absurdly long line, a file cut in its last line and
    an encoding that is provably another.
    """
    if record_size and (unbroken or _has_no_lines(path, record_size)):
        yield from _record_chunks(path, record_size)
        return
    single_byte = encoding in {"latin-1", "cp1252"}
    witness = EncodingWitness()
    rest, offset, line, blank = b"", 0, 1, True
    with path.open("rb", buffering=0) as file:
        size = _whole_lines(file.read(record_size + 2), record_size)
        file.seek(0)
        while True:
            buffer, filled = _read(file, rest, size)
            if filled == PAD + len(rest):
                break
            end = _after_last_newline(buffer, filled)
            if not end and filled - PAD > MAX_LINE_BYTES:
                raise FileRejected(
                    f"a linha {line} tem mais de {MAX_LINE_BYTES} bytes: isto não é um arquivo de "
                    "texto com uma linha por registro; confirme com o credor o que foi enviado"
                )
            rest = buffer[PAD + end : filled].tobytes()
            if end:
                buffer = buffer[: end + 2 * PAD]
                buffer[-PAD:] = 0
                whole = buffer[PAD:-PAD]
                lines, newlines, plain = _looked_at(whole)
                if single_byte:
                    witness.see(whole.data, ascii_only=plain)
                blank = blank and whole.tobytes().isspace()
                yield Chunk(
                    buffer=buffer,
                    offset=offset,
                    line=line,
                    line_ends=lines,
                    newlines=newlines,
                    ascii=plain,
                )
                offset, line = offset + end, line + lines
    if single_byte:
        witness.see(rest, ascii_only=rest.isascii(), last=True)
    if rest.strip(b"\x1a\x00\r\n \t"):
        if must_end_with_newline:
            raise FileRejected(
                f"o arquivo termina no meio da linha {line}: o envio parece ter sido cortado; peça "
                "ao credor que envie o arquivo de novo"
            )
        blank = False
        yield Chunk.of(rest, offset=offset, line=line)
    if blank:
        raise FileRejected("o arquivo está vazio: peça ao credor que o envie de novo")
    if single_byte and witness.proves_utf8:
        raise FileRejected(
            f"o layout diz que os acentos estão em {encoding}, mas este arquivo está em utf-8: "
            "se o credor mudou, troque 'codificacao' no layout e reprocesse"
        )


def _read(file: FileIO, before: bytes, size: int) -> tuple[Bytes, int]:
    """``before`` and up to ``size`` bytes of the file, from ``PAD`` on, and where they end."""
    buffer: Bytes = np.empty(len(before) + size + 2 * PAD, dtype=np.uint8)
    buffer[:PAD] = 0
    start = PAD + len(before)
    buffer[PAD:start] = np.frombuffer(before, dtype=np.uint8)
    return buffer, start + file.readinto(buffer[start : start + size].data)


_LOOKED_AT_ONCE = 128 * 1024


def _looked_at(data: Bytes) -> tuple[int, Words, bool]:
    """How many line ends there are, a bit for each of them, and whether all bytes are ASCII."""
    ends, highest, words = 0, 0, []
    mask = np.empty(min(len(data), _LOOKED_AT_ONCE), dtype=np.bool_)
    for start in range(0, len(data), _LOOKED_AT_ONCE):
        piece = data[start : start + _LOOKED_AT_ONCE]
        words.append(as_bits(np.equal(piece, 10, out=mask[: len(piece)])))
        ends += int(np.bitwise_count(words[-1]).sum())
        highest = max(highest, int(piece.max()))
    bits = np.concatenate(words) if words else np.zeros(0, dtype=np.uint64)
    return ends, bits, highest < 128


_TAIL = 4096


def _after_last_newline(buffer: Bytes, end: int) -> int:
    """How many bytes from ``PAD`` on are whole lines, of those before ``end``."""
    while end > PAD:
        start = max(end - _TAIL, PAD)
        found = buffer[start:end].tobytes().rfind(b"\n")
        if found >= 0:
            return start + found + 1 - PAD
        end = start
    return 0


def _whole_lines(start: bytes, record_size: int) -> int:
    """How much to read at once: of lines of one size, whole ones, which need no joining."""
    if not record_size:
        return CHUNK_BYTES
    distance = record_size + (2 if start[record_size:] == b"\r\n" else 1)
    return max(int(_FIXED_TIMES * CHUNK_BYTES) // distance, 1) * distance


def _has_no_lines(path: Path, record_size: int) -> bool:
    """Whether a file is two or more records one after the other (0x1A may end it)."""
    with path.open("rb") as file:
        start = file.read(2 * record_size + 2)
        size = file.seek(0, 2)
        file.seek(max(size - 1, 0))
        size -= file.read(1) == b"\x1a"
    return size >= 2 * record_size and size % record_size == 0 and not {10, 13} & set(start)


def _record_chunks(path: Path, record_size: int) -> Iterator[Chunk]:
    records = max(int(_FIXED_TIMES * CHUNK_BYTES) // record_size, 1)
    offset, line = 0, 1
    with path.open("rb") as file:
        while data := file.read(records * record_size):
            whole, rest = divmod(len(data), record_size)
            if rest and data[-rest:].strip(b"\x1a\r\n"):
                raise FileRejected(
                    f"o arquivo não é feito de registros de {record_size} bytes: sobram {rest} no "
                    "fim; o envio parece ter sido cortado: peça ao credor que o envie de novo"
                )
            yield Chunk.of(
                data[: whole * record_size], offset=offset, line=line, record_size=record_size
            )
            offset, line = offset + len(data), line + whole


def line_offsets(chunk: Chunk) -> tuple[Integers, Integers]:
    """Where each line of a chunk starts and ends (without its newline), from the chunk's start."""
    buffer = chunk.body
    ends = np.flatnonzero(buffer == 10).astype(np.int64)
    starts = np.concatenate((np.zeros(1, dtype=np.int64), ends + 1))
    if not len(buffer) or buffer[-1] != 10:
        return starts, np.append(ends, np.int64(len(buffer)))
    return starts[:-1], ends
