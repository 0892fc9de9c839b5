"""The JSON Schema of a layout, made from its model, so that editors complete and explain keys."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from zanc_pipeline.reception.layout_models import KINDS, AnyLayout

SCHEMA_FILE = "layout.schema.json"


@cache
def layout_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of every kind of layout, keys as the clerk writes them."""
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[AnyLayout, Field(discriminator="kind")])
    schema = adapter.json_schema(by_alias=True)
    definitions = {_plain(name): body for name, body in _renamed(schema["$defs"]).items()}
    for body in definitions.values():
        _tidy(body)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Layout de um convênio",
        "type": "object",
        "required": ["versao", "vigencia", "formato"],
        "properties": {
            "formato": {"enum": list(KINDS), "description": "De que jeito o arquivo é por dentro."}
        },
        "oneOf": [{"$ref": f"#/$defs/{model.__name__}"} for model in KINDS.values()],
        "$defs": definitions,
    }


def keys_at(content: Any, place: Sequence[str | int]) -> list[str]:
    """The keys that a layout may hold at ``place`` (a path of keys and positions from 0)."""
    schema = layout_schema()
    node = _kind_of(schema, content)
    for step in place:
        node = _resolved(schema, node)
        content = _below(content, step)
        if isinstance(step, int):
            node = node.get("items", {})
        elif step in node.get("properties", {}):
            node = node["properties"][step]
        else:
            continue  # a name of a variant, which is no key
        node = _resolved(schema, node)
        if "oneOf" in node:
            node = _kind_of(schema, content)
    return sorted(_resolved(schema, node).get("properties", {}))


def _kind_of(schema: dict[str, Any], content: Any) -> dict[str, Any]:
    kind = content.get("formato") if isinstance(content, dict) else None
    model = KINDS.get(kind) if isinstance(kind, str) else None
    return {"$ref": f"#/$defs/{model.__name__}"} if model else schema


def _below(content: Any, step: str | int) -> Any:
    try:
        return content[step]
    except (KeyError, IndexError, TypeError):
        return None


def _resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        return _resolved(schema, schema["$defs"][node["$ref"].rsplit("/", 1)[1]])
    for option in node.get("anyOf", ()):
        if "$ref" in option:
            return _resolved(schema, option)
    return node


def _plain(name: str) -> str:
    return re.sub(r"_+", "_", re.sub(r"\W", "_", name)).strip("_")


def _renamed(node: Any) -> Any:
    """References follow the plain names of the definitions."""
    if isinstance(node, dict):
        return {
            key: f"#/$defs/{_plain(value.rsplit('/', 1)[1])}" if key == "$ref" else _renamed(value)
            for key, value in node.items()
            if key != "discriminator"
        }
    return [_renamed(item) for item in node] if isinstance(node, list) else node


def _tidy(node: Any) -> None:
    """Leave out what is English or says nothing to an editor: titles, docstrings, nulls."""
    if isinstance(node, list):
        for item in node:
            _tidy(item)
    if not isinstance(node, dict):
        return
    if "properties" in node:
        node.pop("description", None)
        node.pop("title", None)
        for name, body in node["properties"].items():
            body.pop("title", None)
            if name in {"versao", "vigencia"}:
                body.pop("default", None)
            if body.get("type", "") is None:
                body.pop("type")
                body.pop("items", None)
    for value in node.values():
        _tidy(value)
