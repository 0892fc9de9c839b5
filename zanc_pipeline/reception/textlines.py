"""Bytes as lines of text: the encoding that nobody told, every kind of line end, bounded lines."""

from __future__ import annotations

import codecs
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.reception.code_pages import NOT_WINDOWS, Guess, likeliest
from zanc_pipeline.reception.problems import FileRejected

MAX_LINE_CHARS = 8 * 1024 * 1024
RECORD_SEPARATOR = "\x1e"
_CHUNK = 1024 * 1024
_BEFORE = "\ufeff\x0c"  # a byte order mark, a new page
_END_MARKS = "\x1a\x00"

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_KNOWN_BINARY = (
    (b"\xd0\xcf\x11\xe0", "uma planilha antiga (.xls): peça ao credor que a salve como .xlsx"),
    (b"PK\x03\x04", "um zip ou uma planilha que veio cortada: peça ao credor que envie de novo"),
    (b"%PDF", "um PDF: peça ao credor o arquivo de dados"),
    (b"\x1f\x8b", "um arquivo gzip: peça ao credor um zip ou o próprio arquivo"),
    (b"Rar!", "um arquivo rar: peça ao credor um zip ou o próprio arquivo"),
    (b"7z\xbc\xaf", "um arquivo 7z: peça ao credor um zip ou o próprio arquivo"),
)
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x19\x7f]")
_CONTROL_SHARE, _CONTROL_COUNT = 0.05, 20
_SEPARATING_CONTROLS = 3  # a text may use a few control characters as separators, never many
_FEW_ZEROS, _FEW_BYTES = 4, 64
_SAMPLE = 64 * 1024
_MAINFRAME = tuple(bytes([byte]) for byte in range(0x81, 0xFA))
"""The letters and the digits of EBCDIC; its blank is 0x40."""
_HIGH_WORDS = re.compile(rb"[^\x80-\xff]?[^\x80-\xff]?[\x80-\xff]+[^\x80-\xff]?")


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    """Bytes that are no UTF-8 (or no cp1252) are read as Windows reads them, one by one."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    if error.encoding.startswith(("utf-16", "utf-32")):
        return "\ufffd", error.end
    text = "".join(
        bytes([byte]).decode("cp1252" if byte not in NOT_WINDOWS else "latin-1") for byte in wrong
    )
    return text, error.end


codecs.register_error("zanc_windows", _as_windows)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A text that can be read again from its start; ``open`` gives its bytes."""

    open: Callable[[], BinaryIO]
    encoding: str
    separator: str = ""
    note: str = ""
    """What must be told of the encoding."""

    def lines(self) -> Iterator[str]:
        """Each line with its own end (CR, LF, CRLF or the record separator).

        Raises DataError for a line that no table has.
        """
        with self.open() as raw:
            text = io.TextIOWrapper(raw, encoding=self.encoding, errors="zanc_windows", newline="")
            if self.separator:
                yield from _split(text, self.separator)
                return
            number = 0
            while line := text.readline(MAX_LINE_CHARS):
                number += 1
                if len(line) >= MAX_LINE_CHARS:
                    raise DataError(
                        f"a linha {number} tem mais de {MAX_LINE_CHARS} caracteres: isto não é um "
                        "texto com um registro por linha"
                    )
                yield line.lstrip(_BEFORE) if line[0] in _BEFORE else line


def source_of(open_bytes: Callable[[], BinaryIO]) -> Source:
    """The source with its encoding, found by its mark, its zeros or its bytes.

    Raises FileRejected for what is no text.
    """
    with open_bytes() as file:
        head = file.read(64 * 1024)
    _require_ascii(head)
    encoding = next((name for mark, name in _BOMS if head.startswith(mark)), "")
    encoding = encoding or _by_zeros(head)
    guess = Guess(encoding=encoding) if encoding else _by_bytes(open_bytes)
    encoding = guess.encoding
    text = head.decode(encoding, "zanc_windows")
    _require_text(head, text.rstrip(_END_MARKS))
    only_separator = RECORD_SEPARATOR in text and "\n" not in text and "\r" not in text
    return Source(
        open=open_bytes,
        encoding=encoding,
        separator=RECORD_SEPARATOR if only_separator else "",
        note=guess.note,
    )


def _require_ascii(head: bytes) -> None:
    """Raise FileRejected for the letters and digits of a mainframe (EBCDIC)."""
    letters = sum(map(head.count, _MAINFRAME))
    many = letters + head.count(b"\x40") > 0.6 * len(head) < 2 * letters
    if len(head) >= _FEW_BYTES and many and head.count(b"\n") * 200 < len(head):
        text = head.decode("cp037")
        if sum(char.isascii() and char.isprintable() for char in text) > 0.95 * len(text):
            raise FileRejected(
                "isto é um texto de mainframe (EBCDIC), e não de texto comum: peça ao credor que o "
                "envie em ASCII ou UTF-8"
            )


def _require_text(head: bytes, text: str) -> None:
    what = next((name for magic, name in _KNOWN_BINARY if head.startswith(magic)), None)
    controls = Counter(_CONTROLS.findall(text))
    many = controls.total() > max(_CONTROL_COUNT, len(text) * _CONTROL_SHARE)
    if what is None and many and (len(controls) > _SEPARATING_CONTROLS or "\x00" in controls):
        what = "um arquivo binário: confirme com o credor o que foi enviado"
    if what is not None:
        raise FileRejected(f"isto não é um arquivo de texto, e sim {what}")


def decode(data: bytes) -> tuple[str, str]:
    """The text and the encoding that was found. Raises FileRejected for what is no text."""
    encoding = source_of(lambda: io.BytesIO(data)).encoding
    return data.decode(encoding, "zanc_windows"), encoding


def to_lines(text: str) -> list[str]:
    """The lines of a text without their ends; a final 0x1A is no content."""
    lines = text.rstrip(_END_MARKS).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if lines and not lines[-1] else lines


def is_blank(line: str) -> bool:
    """Whether a line holds nothing: blanks, its end, an end-of-file mark."""
    return not line.strip("\x1a\x00 \r\n\x1e\x0c")


def without_end(line: str) -> str:
    """A line without its end (and without an end-of-file mark)."""
    return line.rstrip(_END_MARKS).rstrip("\r\n\x1e")


def _split(text: io.TextIOWrapper, separator: str) -> Iterator[str]:
    rest = ""
    while piece := text.read(_CHUNK):
        *whole, rest = (rest + piece).split(separator)
        yield from (line + separator for line in whole)
        if len(rest) > MAX_LINE_CHARS:
            raise DataError(
                "há um registro longo demais: isto não é um texto com um registro por linha"
            )
    if rest:
        yield rest


def _by_zeros(head: bytes) -> str:
    """UTF-16 or UTF-32 without its mark, told by where the zeros of its ASCII characters stand."""
    whole = head[: len(head) - len(head) % 4]
    zeros = [whole[place::4].count(0) for place in range(4)]
    if sum(zeros) < _FEW_ZEROS:
        return ""
    for name, empty, filled in (
        ("utf-32-le", zeros[2:], zeros[0]),
        ("utf-32-be", zeros[:2], zeros[3]),
    ):
        if min(empty) * 4 > len(whole) * 0.95 and filled * 10 < min(empty):
            return name
    even, odd = zeros[0] + zeros[2], zeros[1] + zeros[3]
    for name, mine, other in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if other * 20 <= mine and mine * 40 > len(whole) and _is_lines(head, name):
            return name
    return ""


def _is_lines(head: bytes, encoding: str) -> bool:
    try:
        text = head[: len(head) - len(head) % 2].decode(encoding)
    except UnicodeDecodeError:
        return False
    return "\n" in text or "\r" in text or text.isprintable()


def _by_bytes(open_bytes: Callable[[], BinaryIO]) -> Guess:
    """UTF-8 unless its sequences are outnumbered by bytes that break them; else Windows or DOS."""
    good = bad = 0
    sample = bytearray()
    rest = b""
    with open_bytes() as file:
        while piece := file.read(_CHUNK):
            if piece.isascii() and not rest:
                continue
            data = rest + piece
            cut = _whole(data) if len(piece) == _CHUNK else len(data)
            text = data[:cut].decode("utf-8", "surrogateescape")
            rest = data[cut:]
            if not text.isascii():
                broken = sum(map(text.count, _surrogates(text)))
                bad += broken
                good += len(text) - len(text.encode("ascii", "ignore")) - broken
                if len(sample) < _SAMPLE:
                    sample += b"\n".join(_HIGH_WORDS.findall(data[:cut]))[:_SAMPLE]
    if not good and not bad:
        return Guess(encoding="ascii")
    if good >= bad:  # by chance no two bytes in a row are one character of UTF-8
        mixed = f"{bad} bytes que não são UTF-8 foram lidos como os do Windows: conferir"
        return Guess(encoding="utf-8", note=mixed if bad else "")
    return likeliest(bytes(sample))


def _whole(data: bytes) -> int:
    """Where to cut so that no UTF-8 sequence is divided."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            return len(data) - back
        if byte < 0x80:
            break
    return len(data)


def _surrogates(text: str) -> list[str]:
    return [char for char in set(text) if "\udc80" <= char <= "\udcff"]
