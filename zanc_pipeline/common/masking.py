"""Masks CPFs, CNPJs and phones wherever text leaves for a log or a person without need of them."""

from __future__ import annotations

import re

_PERSONAL = re.compile(
    r"(?<![\w.-])(?:\d{3}\.\d{3}\.\d{3}-\d{2}"
    r"|[0-9A-Z]{2}\.[0-9A-Z]{3}\.[0-9A-Z]{3}/[0-9A-Z]{4}-\d{2}"
    r"|\(?\d{2}\)?[ -]?9?\d{4}-\d{4}|\d{10,14})(?![\w-])"
)


def mask(value: str) -> str:
    """Keep the last two characters of a CPF, CNPJ or phone: ``*********09``."""
    return "*" * max(len(value) - 2, 0) + value[-2:]


def mask_text(text: str) -> str:
    """Mask everything in ``text`` that looks like a CPF, CNPJ or phone (10 to 14 digits)."""
    return _PERSONAL.sub(lambda match: mask(match.group()), text)
