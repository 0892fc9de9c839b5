"""The check digit of contract numbers: found in those of a file, held against those of the next.

Whatever weights a creditor uses, its last digit is a sum of something that each other digit gives,
modulo 10 or 11. With two unknowns a digit (its weight, and what is added from five on, as Luhn's
rule does) that is a system of linear equations; where far more contracts than unknowns agree with
one solution, it is the creditor's rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_BEYOND = 9
"""Contracts that agree though nothing forces them to: one chance in a thousand million."""
_MOST_ROWS = 400
_MOST_DIGITS = 20
_HALF = 5
_LAST_DIGITS = 3

Rule = Mapping[str, Any]
"""``size`` of the contracts; ``systems``: modulus (as text) → the equations that are known, each
with its own first unknown, the last digit at its end."""


def check_digit(contracts: Sequence[str]) -> Rule | None:
    """The rule that the last digits follow; None where there is none, or too few contracts."""
    texts = sorted({_plain(text) for text in contracts})[:: 1 + len(contracts) // _MOST_ROWS]
    size = len(texts[0]) if texts else 0
    rows = [one for one in map(_unknowns, texts) if one is not None]
    if size < 2 or len(rows) < len(texts) or any(len(text) != size for text in texts):
        return None
    if len({row[-1] for row in rows}) < _LAST_DIGITS:
        return None
    for moduli in ((11,), (2, 5)):
        told = [row for row in rows if row[-1] or moduli != (11,)]
        systems = {str(modulus): _solved(told, modulus) for modulus in moduli}
        if all(systems.values()):
            return {"size": size, "systems": systems}
    return None


def follows(rule: Rule, contract: str) -> bool:
    """Whether a contract's last digit is what the rule makes of its others, as far as is known."""
    text = _plain(contract)
    row = _unknowns(text)
    if row is None or len(text) != rule["size"]:
        return False
    for modulus, system in rule["systems"].items():
        left = _reduced(row, {_first(one): one for one in system}, int(modulus))
        ten = int(modulus) == 11 and row[-1] < 2 and (left[-1] - row[-1]) % 11 == 1
        if left[-1] and not any(left[:-1]) and not ten:
            return False
    return True


def _plain(text: str) -> str:
    return "".join(char for char in text if char.isalnum())


def _unknowns(text: str) -> list[int] | None:
    """What may count of each sign before the last digit, and that digit."""
    if not (text.isascii() and text.isalnum() and text[-1].isdigit()) or len(text) > _MOST_DIGITS:
        return None
    *others, last = (int(char, 36) for char in text)
    return [1, *others, *(int(digit >= _HALF) for digit in others), last]


def _solved(rows: Iterable[list[int]], modulus: int) -> list[list[int]] | None:
    """The equations by which every row gives its last digit; None when none do, or all would."""
    system: dict[int, list[int]] = {}
    beyond = 0
    for values in rows:
        row = _reduced(values, system, modulus)
        if not any(row[:-1]):
            if row[-1]:
                return None
            beyond += 1
            continue
        first = _first(row)
        inverse = pow(row[first], -1, modulus)
        row = [value * inverse % modulus for value in row]
        for other, known in system.items():
            system[other] = _less(known, row, known[first], modulus)
        system[first] = row
    return list(system.values()) if beyond >= _BEYOND else None


def _first(row: Sequence[int]) -> int:
    return next(at for at, value in enumerate(row) if value)


def _reduced(row: Sequence[int], system: Mapping[int, Sequence[int]], modulus: int) -> list[int]:
    """What of a row does not follow from the equations."""
    left = [value % modulus for value in row]
    for first, known in system.items():
        left = _less(left, known, left[first], modulus)
    return left


def _less(row: Sequence[int], other: Sequence[int], times: int, modulus: int) -> list[int]:
    return [(a - times * b) % modulus for a, b in zip(row, other, strict=True)] if times else [*row]
