"""COBOL pictures: what a mainframe's copybook says of a field, in bytes and digits.

Supported: ``X(10)``, ``A(5)``, ``9(9)``, ``9(9)V99``, ``S9(7)V99`` (sign overpunched on the last
digit), the same with ``SIGN TRAILING SEPARATE`` or ``SIGN LEADING SEPARATE``, and ``COMP-3``
(packed decimal). Anything else is refused by its name: a picture half understood would load wrong
amounts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Sign = Literal["antes", "depois", "cobol"]

MAX_DIGITS = 18
"""The most digits of a number in standard COBOL."""

OVERPUNCHED: dict[str, tuple[str, int]] = {
    **{char: (str(digit), 1) for digit, char in enumerate("{ABCDEFGHI")},
    **{char: (str(digit), -1) for digit, char in enumerate("}JKLMNOPQR")},
    **{char: (str(digit), -1) for digit, char in enumerate("pqrstuvwxy")},
}
"""Last character of a signed DISPLAY number → its digit and sign.

The first two rows are EBCDIC's zones as translated to ASCII, the third is how compilers on ASCII
machines write negative numbers.
"""

_REPEAT = re.compile(r"([XA9])\((\d{1,4})\)")
_USAGES = {
    "COMP-3": "COMP-3",
    "COMPUTATIONAL-3": "COMP-3",
    "PACKED-DECIMAL": "COMP-3",
    "DISPLAY": "",
}
_SIGNS: dict[str, Sign] = {"TRAILING SEPARATE": "depois", "LEADING SEPARATE": "antes"}
_EDITED = re.compile(r"[Z*$,.B0/P+\-]|CR|DB")


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A picture understood: ``size`` in bytes, ``decimals`` implied (None for text)."""

    size: int
    numeric: bool
    decimals: int | None = None
    sign: Sign = "antes"
    packed: bool = False


def parse_picture(text: str) -> Picture:
    """Understand a picture. Raises ValueError, in Portuguese, that names what is unsupported."""
    words = text.upper().removeprefix("PICTURE ").removeprefix("PIC ").rstrip(". ").split()
    if not words:
        raise ValueError("escreva uma picture como X(10), 9(9)V99 ou S9(7)V99 COMP-3")
    shape, clauses = words[0], " ".join(word for word in words[1:] if word not in {"IS", "USAGE"})
    sign, packed = _clauses(text, clauses)
    full = _REPEAT.sub(lambda found: found[1] * int(found[2]), shape)
    if re.fullmatch(r"[XA9]*[XA][XA9]*", full):
        if clauses:
            raise ValueError(f"'{text}': um texto não tem '{clauses}'")
        return Picture(size=len(full), numeric=False)
    number = re.fullmatch(r"(S?)(9*)(?:V(9*))?", full)
    if number is None or not (number[2] or number[3]):
        edited = _EDITED.search(full)
        what = f"'{edited[0]}' (número editado para impressão)" if edited else f"'{shape}'"
        raise ValueError(
            f"'{text}': a picture {what} não é aceita; use X(10), 9(9), 9(9)V99, S9(7)V99 ou "
            "COMP-3, ou troque-a por tipo e tamanho"
        )
    decimals = len(number[3] or "")
    digits = len(number[2]) + decimals
    if digits > MAX_DIGITS:
        raise ValueError(f"'{text}': um número tem no máximo {MAX_DIGITS} algarismos")
    if sign and not number[1]:
        raise ValueError(f"'{text}': 'SIGN' pede um S, como em S9(7)V99")
    if packed:
        return Picture(size=digits // 2 + 1, numeric=True, decimals=decimals, packed=True)
    if not number[1]:
        return Picture(size=digits, numeric=True, decimals=decimals)
    return Picture(
        size=digits + (sign is not None), numeric=True, decimals=decimals, sign=sign or "cobol"
    )


def _clauses(text: str, clauses: str) -> tuple[Sign | None, bool]:
    sign: Sign | None = None
    usage = clauses
    found = re.search(r"(?:SIGN )?((?:TRAILING|LEADING)(?: SEPARATE)?)(?: CHARACTER)?", clauses)
    if found:
        if found[1] == "LEADING":
            raise ValueError(f"'{text}': 'SIGN LEADING' sem SEPARATE não é aceito")
        sign = _SIGNS.get(found[1])
        usage = (clauses[: found.start()] + clauses[found.end() :]).strip()
    if usage and usage not in _USAGES:
        raise ValueError(
            f"'{text}': '{usage}' não é aceito: só DISPLAY e COMP-3; peça ao credor o arquivo com "
            "os números em texto"
        )
    return sign, bool(usage and _USAGES[usage])


def overpunched(text: str) -> str | None:
    """``0000123M`` as ``-00001234``: a signed DISPLAY number as digits, or None when it is none."""
    if not text:
        return None
    digit, sign = OVERPUNCHED.get(text[-1], (text[-1], 1))
    digits = text[:-1] + digit
    if not (digits.isascii() and digits.isdigit()):
        return None
    return f"-{digits}" if sign < 0 else digits


def unpack(block: npt.NDArray[np.uint8]) -> pa.Array:
    """Packed decimals, one a row of ``block``, as texts of digits with ``-`` before a negative one.

    A row whose nibbles are no packed decimal becomes U+FFFD, which no type accepts. All blanks or
    all zero bytes (a field that was never filled) are an empty text.
    """
    rows, width = block.shape
    nibbles = np.empty((rows, width * 2), dtype=np.uint8)
    nibbles[:, 0::2], nibbles[:, 1::2] = block >> 4, block & 15
    digits, sign = nibbles[:, :-1], nibbles[:, -1]
    good = (digits <= 9).all(axis=1) & (sign >= 10)
    unfilled = (block == 0x20).all(axis=1) | (block == 0x40).all(axis=1) | (block == 0).all(axis=1)
    texts = (digits + ord("0")).astype(np.uint8).tobytes().decode("latin-1")
    size = width * 2 - 1
    out = []
    for row in range(rows):
        if unfilled[row]:
            out.append("")
        elif not good[row]:
            out.append("\ufffd")
        else:
            text = texts[row * size : (row + 1) * size]
            out.append(f"-{text}" if sign[row] in (11, 13) else text)
    return pa.array(out, type=pa.string())
