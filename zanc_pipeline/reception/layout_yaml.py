"""What is wrong with a layout, by line and key, in Portuguese."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from zanc_pipeline.common.yaml_text import YamlText


def translated(text: YamlText, problems: Sequence[Any]) -> str:
    """The errors of the model, each as ``file:line: key: what is wrong and what is right``."""
    said = list[str]()
    renamed = {_renamed(text, problem) for problem in problems}
    seen = set[tuple[Any, ...]]()
    for problem in problems:
        place = problem["loc"]
        written = tuple(_written(text.content, place))
        if written in seen or (problem["type"] == "missing" and written in renamed):
            continue  # another reading of the same value; or the key is there, misspelt
        seen.add(written)
        follows = problem["type"] == "too_short" and any(
            other["loc"][: len(place)] == place and len(other["loc"]) > len(place)
            for other in problems
        )
        if not follows:  # a list is short only of the items that are wrong themselves
            said.append(_translated(text, problem))
    return "; ".join(said)


def _written(content: Any, place: Sequence[str | int]) -> list[str | int]:
    """A path of the model without its names of variants, which the file does not write."""
    path: list[str | int] = []
    for number, step in enumerate(place):
        try:
            content = content[step]
        except (KeyError, IndexError, TypeError):
            if number + 1 < len(place) or not isinstance(content, dict | list):
                continue
        if step != "[key]":
            path.append(step)
    return path


def _near_key(text: YamlText, place: Sequence[str | int]) -> list[str]:
    return difflib.get_close_matches(str(place[-1]), _keys_at(text, place[:-1]), n=1)


def _renamed(text: YamlText, problem: Any) -> tuple[Any, ...]:
    """The key that an unknown one was meant to be, with its place; nothing for other problems."""
    if problem["type"] != "extra_forbidden":
        return ()
    place = _written(text.content, problem["loc"])
    return (*place[:-1], *_near_key(text, place))


def located(text: YamlText, problem: str) -> str:
    """A contradiction with the line of the field that it names, or of its key."""
    key = problem.partition(":")[0]
    names = [name.partition(" (")[0] for name in re.findall(r"'([^']+)'", problem)]
    lines = [line for line, name in _named(text.root) if names and name == names[0]]
    again = "mais de uma vez" in problem
    line = lines[-again] if lines else text.line(re.split(r"\.|\[", key))
    return f"{text.path}:{line}: {problem}"


def _named(node: yaml.Node) -> Iterator[tuple[int, str]]:
    """The line of everything that has a name, and the name."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "nome" and isinstance(value, yaml.ScalarNode):
                yield key.start_mark.line + 1, value.value
            yield from _named(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _named(item)


def _of_unknown_key(text: YamlText, place: Sequence[str | int]) -> str:
    if ":" in str(place[-1]):
        return "falta um espaço depois do ':'"
    near = _near_key(text, place)
    if near:
        return f"chave desconhecida; você quis dizer '{near[0]}'?"
    if len(place) > 1 and place[-1] in _keys_at(text, []):
        return f"esta chave vem fora de '{place[0]}', sem recuo"
    return f"chave desconhecida; aqui cabem: {', '.join(_keys_at(text, place[:-1]))}"


def _translated(text: YamlText, problem: Any) -> str:
    place = _written(text.content, problem["loc"])
    kind, context, value = problem["type"], problem.get("ctx", {}), problem.get("input")
    if kind == "missing":
        said = "falta esta chave"
    elif kind == "extra_forbidden":
        said = _of_unknown_key(text, place)
    elif kind == "literal_error":
        options = re.findall(r"'([^']*)'", context["expected"])
        near = difflib.get_close_matches(str(value), options, n=1)
        said = f"'{value}' não é aceito; use um destes: {', '.join(options)}"
        said += f" (você quis dizer '{near[0]}'?)" if near else ""
    elif kind.startswith("union_tag"):
        said = f"'formato' falta ou não é aceito; use um destes: {context.get('expected_tags', '')}"
    elif kind == "invalid_key":
        said = f"'{value}' sobra: as decimais vêm com ponto (0.1); um texto com vírgula, com aspas"
    elif kind == "string_type" and value is None:
        said = "está vazio: escreva o valor depois do ':' (um sinal como # precisa de aspas)"
    elif kind == "string_type":
        said = f"'{value}' precisa ser um texto: escreva-o entre aspas"
    elif kind.startswith("int_"):
        said = f"'{value}' precisa ser um número inteiro"
    elif kind.startswith("bool_"):
        said = f"'{value}' precisa ser sim ou não"
    elif kind.startswith("date_"):
        said = f"'{value}' precisa ser uma data como 2026-01-31"
    elif kind.startswith(("decimal_", "float_")):
        said = f"'{value}' precisa ser um número (com ponto: 0.01) ou uma data como 2026-01-31"
    elif kind == "value_error":
        said = str(context["error"])
    elif kind == "string_pattern_mismatch":
        said = f"'{value}': use só letras minúsculas sem acento, números e _"
    elif kind in {"greater_than_equal", "less_than_equal"}:
        limit = context.get("ge", context.get("le"))
        word = "mínimo" if kind == "greater_than_equal" else "máximo"
        said = f"'{value}' não é aceito: o {word} é {limit}"
    elif kind in {"too_short", "string_too_short"}:
        said = f"está vazio ou curto demais: o mínimo é {context.get('min_length')}"
        said += " (um sinal como | precisa de aspas)" if kind == "string_too_short" else ""
    elif kind in {"too_long", "string_too_long"}:
        said = f"'{value}' é longo demais: o máximo é {context.get('max_length')}"
    elif kind in {"tuple_type", "list_type"}:
        said = "precisa ser uma lista: um item por linha, com '- ' antes"
    elif kind in {"model_type", "model_attributes_type", "dict_type"}:
        said = "precisa ter chaves dentro: 'chave: valor', recuadas"
    else:
        said = f"'{value}' não é aceito ({problem['msg']})"
    return text.message(place, said)


def _keys_at(text: YamlText, place: Sequence[str | int]) -> list[str]:
    from zanc_pipeline.reception.layout_schema import keys_at

    return keys_at(text.content, place)
