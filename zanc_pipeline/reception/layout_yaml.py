"""The YAML of a layout with its line numbers, and what is wrong with it in Portuguese."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from zanc_pipeline.common.errors import ConfigError

_SYNTAX = (
    (r"found character '\\t'", "há uma tabulação (tecla Tab): troque-a por espaços"),
    (r"could not find expected ':'", "falta o ':' depois de uma chave, ou aspas ficaram abertas"),
    (
        r"mapping values are not allowed",
        "há um ':' onde não cabe: o recuo está errado, ou um texto com ':' precisa de aspas",
    ),
    (r"expected ',' or '\}'", "falta ',' entre duas chaves, ou o '}' que fecha o campo"),
    (r"expected ',' or '\]'", "falta ',' entre dois valores, ou o ']' que fecha a lista"),
    (
        r"found unexpected end of stream|while scanning a quoted",
        "aspas foram abertas e não fechadas",
    ),
    (
        r"found character|found undefined|expected alphabetic|found unknown",
        "um texto que começa com sinal (como %, @, *, &, !, `) precisa de aspas",
    ),
    (
        r"expected <block end>|did not find expected|expected the node content",
        "o recuo não combina com o das linhas de cima (ou falta '- ' antes de um item)",
    ),
    (
        r"expected a single document",
        "há uma linha '---' no meio do arquivo: um layout por arquivo",
    ),
)
_TOO_DEEP = 100


@dataclass(frozen=True, kw_only=True)
class LayoutText:
    """A layout's file: what it says, and the nodes that know in which line they stand."""

    path: Path
    content: dict[str, Any]
    root: yaml.Node

    def line(self, place: Sequence[str | int]) -> int:
        """The line (from 1) of a key, or of the nearest part around it that exists."""
        node, line = self.root, self.root.start_mark.line
        for step in place:
            found = _step(node, step)
            if found is None:
                continue  # a name of a variant, which the file does not write
            key, node = found
            line = key.start_mark.line
        return line + 1

    def error(self, place: Sequence[str | int], problem: str) -> ConfigError:
        """``file:line: key: problem`` as an error."""
        return ConfigError(self.message(place, problem))

    def message(self, place: Sequence[str | int], problem: str) -> str:
        """``file:line: key: problem``."""
        key = ""
        for step in place:
            key += f"[{step + 1}º]" if isinstance(step, int) else f"{'.' if key else ''}{step}"
        where = f"{self.path}:{self.line(place)}"
        return f"{where}: {key}: {problem}" if key else f"{where}: {problem}"


def read_layout_text(path: Path) -> LayoutText:
    """Read a layout's YAML. Raises ConfigError, in Portuguese, with the line that is wrong."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: o arquivo não existe") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}:{line}: os acentos não estão em UTF-8: salve o arquivo como UTF-8"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: não pode ser lido: {error.strerror}") from None
    return parse_layout_text(text, path)


def parse_layout_text(text: str, path: Path) -> LayoutText:
    """Understand YAML that came from ``path``. Raises ConfigError like ``read_layout_text``."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            _refuse_repeated(path, root, 0)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(_syntax_error(path, text, error)) from None
    except ValueError as error:  # a value that YAML takes for a date or a number and is none
        raise ConfigError(f"{path}: um valor não é o que parece ({error}): use aspas") from None
    if root is None or not isinstance(content, dict):
        raise ConfigError(f"{path}:1: escreva linhas como 'chave: valor'")
    return LayoutText(path=path, content=content, root=root)


def translated(text: LayoutText, problems: Sequence[Any]) -> str:
    """The errors of the model, each as ``file:line: key: what is wrong and what is right``."""
    said = []
    for problem in problems:
        place = problem["loc"]
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
            if number + 1 < len(place):
                continue
        if step != "[key]":
            path.append(step)
    return path


def _translated(text: LayoutText, problem: Any) -> str:
    place = _written(text.content, problem["loc"])
    kind, context, value = problem["type"], problem.get("ctx", {}), problem.get("input")
    if kind == "missing":
        said = "falta esta chave"
    elif kind == "extra_forbidden":
        known = _keys_at(text, place[:-1])
        near = difflib.get_close_matches(str(place[-1]), known, n=1)
        said = "chave desconhecida"
        said += f"; você quis dizer '{near[0]}'?" if near else f"; aqui cabem: {', '.join(known)}"
    elif kind == "literal_error":
        options = re.findall(r"'([^']*)'", context["expected"])
        near = difflib.get_close_matches(str(value), options, n=1)
        said = f"'{value}' não é aceito; use um destes: {', '.join(options)}"
        said += f" (você quis dizer '{near[0]}'?)" if near else ""
    elif kind.startswith("union_tag"):
        said = f"'formato' falta ou não é aceito; use um destes: {context.get('expected_tags', '')}"
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
    elif kind in {"too_long", "string_too_long"}:
        said = f"'{value}' é longo demais: o máximo é {context.get('max_length')}"
    elif kind in {"tuple_type", "list_type"}:
        said = "precisa ser uma lista: um item por linha, com '- ' antes"
    elif kind in {"model_type", "model_attributes_type", "dict_type"}:
        said = "precisa ter chaves dentro: 'chave: valor', recuadas"
    else:
        said = f"'{value}' não é aceito ({problem['msg']})"
    return text.message(place, said)


def _keys_at(text: LayoutText, place: Sequence[str | int]) -> list[str]:
    from zanc_pipeline.reception.layout_schema import keys_at

    return keys_at(text.content, place)


def _step(node: yaml.Node, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return key, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


def _refuse_repeated(path: Path, node: yaml.Node, depth: int) -> None:
    """YAML keeps the last of two equal keys and says nothing: here the second is an error."""
    if depth > _TOO_DEEP:
        raise ConfigError(f"{path}:{node.start_mark.line + 1}: há níveis demais de recuo")
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in seen:
                raise ConfigError(
                    f"{path}:{line}: a chave '{key.value}' já está na linha {seen[key.value]}: "
                    "apague uma das duas"
                )
            seen[key.value] = line
            _refuse_repeated(path, value, depth + 1)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated(path, item, depth + 1)


def _syntax_error(path: Path, text: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    described = f"{getattr(error, 'context', '')} {getattr(error, 'problem', '') or error}"
    line = min(mark.line + 1, text.count("\n") + 1) if mark else 1
    lines = text.splitlines()
    if any("\t" in one[: len(one) - len(one.lstrip())] for one in lines[line - 1 : line]):
        said = _SYNTAX[0][1]
    else:
        said = next(
            (words for pattern, words in _SYNTAX if re.search(pattern, described)),
            "o texto não segue as regras do YAML",
        )
    context = getattr(error, "context_mark", None)
    if context is not None and context.line + 1 < line:
        said += f" (o trecho começa na linha {context.line + 1})"
    return f"{path}:{line}: {said}"
