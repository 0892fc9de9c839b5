"""A layout as the keys that a clerk writes, and those keys as the text of a layout's file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import yaml

from zanc_pipeline.reception.layout import AnyLayout

_FIRST = ("versao", "vigencia", "arquivos", "zip", "gz", "formato")
_LAST = ("campos", "registros", "limites", "membros")


def content_of(layout: AnyLayout) -> dict[str, Any]:
    """The keys of a layout, as they would be read from its file."""
    plain: dict[str, Any] = _plain(layout.model_dump(by_alias=True, exclude_unset=True))
    return plain


def written(content: Mapping[str, Any], notes: Sequence[str]) -> str:
    """The text of a layout's file; ``notes`` are comments at its top."""
    lines = [f"# {' '.join(note.split())}" for note in notes]
    middle = [key for key in content if key not in {*_FIRST, *_LAST}]
    for key in (*_FIRST, *middle, *_LAST):
        if key in content:
            lines += _entry(key, content[key], "")
    return "\n".join(lines) + "\n"


def _entry(key: str, value: Any, indent: str) -> list[str]:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        lines = [f"{indent}{key}:"]
        for one in value:
            if any(isinstance(inner, dict) for inner in one.values()):
                items = [line for name in one for line in _entry(name, one[name], indent + "    ")]
                lines += [f"{indent}  - {items[0].lstrip()}", *items[1:]]
            else:
                lines.append(f"{indent}  - {_flow(one)}")
        return lines
    if isinstance(value, dict):
        lines = [f"{indent}{key}:"]
        for name, inner in value.items():
            lines += _entry(name, inner, indent + "  ")
        return lines
    return [f"{indent}{key}: {_flow(value)}"]


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, width=10_000, sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return "sim" if value else "não"
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, date):
        return value
    return value
