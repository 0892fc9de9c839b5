"""What the texts of a column look like, whatever field they are: the evidence without a layout."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from zanc_pipeline.common.codecs import (
    STATES,
    parse_cnpj,
    parse_cpf,
    parse_date,
    parse_money,
    parse_phone,
)
from zanc_pipeline.reception.fields import DDD_MARK

DATE_SHAPES = (
    "dd/mm/aaaa",
    "mm/dd/aaaa",
    "aaaa-mm-dd",
    "aaaammdd",
    "ddmmaaaa",
    "mmddaaaa",
    "aaaa/mm/dd",
    "dd-mm-aaaa",
    "mm-dd-aaaa",
    "dd.mm.aaaa",
    "aaaa.mm.dd",
)
TOP_VALUES = 12
FEW_VALUES = 60
_EMAIL = re.compile(r"[^@\s,;]+@[^@\s,;]+\.[^@\s,;.]{2,}")
_CLASSES = ("digit", "upper", "lower", "accent", "blank", "mark")


@dataclass(frozen=True, kw_only=True, slots=True)
class Traits:
    """Shares are of the filled texts; ``lengths`` and ``tops`` are shares by length and by value.

    ``tops`` is empty for a column of many values: those are known by their hashes only.
    """

    filled: float
    distinct: float
    classes: dict[str, float]
    lengths: dict[str, float]
    passes: dict[str, float]
    quantiles: tuple[float, ...]
    decimals: dict[str, float]
    tops: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain values, shares rounded."""
        return {
            name: _rounded(value) for name, value in asdict(self).items() if value not in ({}, ())
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Traits:
        """What ``to_json`` gave."""
        return cls(
            filled=content["filled"],
            distinct=content["distinct"],
            classes=content.get("classes", {}),
            lengths=content.get("lengths", {}),
            passes=content.get("passes", {}),
            quantiles=tuple(content.get("quantiles", ())),
            decimals=content.get("decimals", {}),
            tops=content.get("tops", {}),
        )


def traits(texts: Sequence[str], *, personal: bool = False) -> Traits:
    """Look at the texts of a column; of a ``personal`` one no value is kept as it is."""
    filled = [text.replace(DDD_MARK, "") for text in texts if text.strip(f" {DDD_MARK}")]
    counts = Counter(filled)
    total = len(filled) or 1
    numbers = sorted(number for text in filled if (number := _number(text)) is not None)
    few = len(counts) <= FEW_VALUES and len(counts) * 3 <= max(len(filled), 3)
    return Traits(
        filled=len(filled) / (len(texts) or 1),
        distinct=len(counts) / total,
        classes=_classes(filled),
        lengths=_shares(Counter(str(len(text)) for text in filled), total, 10),
        passes={
            name: sum(count for text, count in counts.items() if test(text)) / total
            for name, test in TESTS.items()
        },
        quantiles=tuple(
            numbers[min(int(len(numbers) * share), len(numbers) - 1)]
            for share in (0.05, 0.25, 0.5, 0.75, 0.95)
        )
        if len(numbers) * 2 > len(filled) and not personal
        else (),
        decimals=_shares(Counter(str(_decimals(text)) for text in filled), total, 5),
        tops=_shares(counts, total, TOP_VALUES) if few and not personal else {},
    )


def _classes(texts: Sequence[str]) -> dict[str, float]:
    found: Counter[str] = Counter()
    for char, count in Counter("".join(texts)).items():
        found[_class(char)] += count
    total = found.total() or 1
    return {name: found[name] / total for name in _CLASSES if found[name]}


def _class(char: str) -> str:
    if char.isdigit():
        return "digit"
    if char.isalpha():
        return "accent" if not char.isascii() else "upper" if char.isupper() else "lower"
    return "blank" if char.isspace() else "mark"


def _shares(counts: Counter[str], total: int, most: int) -> dict[str, float]:
    return {text: count / total for text, count in counts.most_common(most)}


@lru_cache(maxsize=65_536)
def _number(text: str) -> float | None:
    for decimal in (",", "."):
        value = parse_money(text, decimal=decimal) if len(text) < 25 else None
        if value is not None:
            return float(value)
    return None


def _decimals(text: str) -> int:
    found = re.search(r"[.,](\d{1,2})$", text)
    return len(found.group(1)) if found else 0


def date_test(shape: str) -> Callable[[str], object]:
    """A test of texts written in one shape of date."""
    order = "".join(sorted("amd", key=shape.index)).replace("a", "y")
    marks = [(place, char) for place, char in enumerate(shape) if char not in "dma"]

    def test(text: str) -> object:
        fits = len(text) == len(shape) and all(text[place] == char for place, char in marks)
        return parse_date(text, order=order) if fits else None

    return test


def _remembered(test: Callable[[str], object]) -> Callable[[str], object]:
    return lru_cache(maxsize=65_536)(test)


def _tests() -> dict[str, Callable[[str], object]]:
    return {
        "cpf": lambda text: len(text) <= 14 and parse_cpf(text) is not None,
        "cnpj": lambda text: 14 <= len(text) <= 18 and parse_cnpj(text) is not None,
        "phone": lambda text: len(text) <= 20 and parse_phone(text) is not None,
        "email": _EMAIL.fullmatch,
        "uf": lambda text: text.upper() in STATES,
        "money ,": lambda text: "," in text and parse_money(text) is not None,
        "money .": lambda text: "." in text and parse_money(text, decimal=".") is not None,
        "integer": lambda text: text.isascii() and text.isdigit(),
        **{f"date {shape}": date_test(shape) for shape in DATE_SHAPES},
    }


TESTS = {name: _remembered(test) for name, test in _tests().items()}
"""Tests that a text passes or not: check digits, dates in each order, phones, amounts."""


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [_rounded(inner) for inner in value]
    return value
