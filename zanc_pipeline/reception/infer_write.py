"""The lines of a drafted layout: a field under its comment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from zanc_pipeline.reception.infer_types import Guess, described

_YAML_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Names that YAML would not read as text."""


def field_lines(name: str, guess: Guess, keys: dict[str, Any], values: Sequence[str]) -> list[str]:
    """A field of the layout under its comment; ``values`` are its examples."""
    every: dict[str, Any] = {"nome": name, "tipo": guess.type, **keys, **guess.keys}
    if guess.doubt:
        every["confirmar"] = True
    written = ", ".join(f"{key}: {_value(key, value)}" for key, value in every.items())
    return [f"  # {described(name, guess, values)}", f"  - {{{written}}}"]


def _value(key: str, value: Any) -> str:
    if value is True:
        return "sim"
    if isinstance(value, int):
        return str(value)
    if key in {"tipo", "formato", "confere", "de", "sinal"} or (
        key == "nome" and value not in _YAML_WORDS
    ):
        return str(value)
    return quoted(value)


def quoted(text: Any) -> str:
    """A text as YAML reads it back."""
    return json.dumps(text, ensure_ascii=False)
