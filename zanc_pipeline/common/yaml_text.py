"""YAML that clerks and analysts write: its line numbers, what is wrong with it in Portuguese."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from zanc_pipeline.common.errors import ConfigError

_SYNTAX = (
    (r"found character '\\t'", "há uma tabulação (tecla Tab): troque-a por espaços"),
    (
        r"could not find expected ':'",
        "falta o ':' depois de uma chave (e um espaço depois dele), ou aspas ficaram abertas",
    ),
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
        "há uma linha '---' no meio do arquivo: apague-a",
    ),
)
_TOO_DEEP = 100
_ODD_BLANKS = re.compile("[\u00a0\u200b\u2007\u202f\ufeff]")
_BRACE_FIRST = re.compile(r"\s*(- )?[\w-]+:\s*\{[^{}]*\}[^\s,}#]")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}")
_CURLY = ("\u201c", "\u201d", "\u2018", "\u2019")


@dataclass(frozen=True, kw_only=True)
class YamlText:
    """A YAML file: what it says, and the nodes that know in which line they stand."""

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


def read_yaml_text(path: Path, *, shown: Path | None = None) -> YamlText:
    """Read a YAML file that a person wrote; errors call it ``shown``, its path by default.

    Raises ConfigError, in Portuguese, with the line that is wrong.
    """
    shown = shown or path
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{shown}: o arquivo não existe") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{shown}:{line}: os acentos não estão em UTF-8: salve o arquivo como UTF-8"
        ) from None
    except OSError as error:
        raise ConfigError(f"{shown}: não pode ser lido: {error.strerror}") from None
    return parse_yaml_text(text, shown)


def parse_yaml_text(text: str, path: Path) -> YamlText:
    """Understand YAML that came from ``path``. Raises ConfigError like ``read_yaml_text``."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            _refuse_repeated(path, root, 0)
            _refuse_curly(path, root)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(_syntax_error(path, text, error)) from None
    except ValueError as error:  # a value that YAML takes for a date or a number and is none
        raise ConfigError(_value_error(path, text, error)) from None
    if root is None or not isinstance(content, dict):
        raise ConfigError(f"{path}:1: escreva linhas como 'chave: valor'")
    return YamlText(path=path, content=content, root=root)


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


def _refuse_curly(path: Path, node: yaml.Node) -> None:
    """Quotes of a word processor are no quotes: they would be part of the value."""
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            for part in pair:
                _refuse_curly(path, part)
    elif isinstance(node, yaml.SequenceNode):
        for part in node.value:
            _refuse_curly(path, part)
    elif isinstance(node, yaml.ScalarNode) and not node.style and node.value.startswith(_CURLY):
        raise ConfigError(
            f"{path}:{node.start_mark.line + 1}: {node.value}: estas aspas são de editor de "
            'textos: troque-as pelas retas (")'
        )


def _value_error(path: Path, text: str, error: ValueError) -> str:
    for number, line in enumerate(text.splitlines(), start=1):
        for found in _DATE.findall(line.partition("#")[0]):
            try:
                date(*map(int, found.split("-")))
            except ValueError:
                said = "não é uma data que existe: escreva ano-mês-dia, como 2026-01-31"
                return f"{path}:{number}: '{found}' {said}"
    return f"{path}: um valor não é o que parece ({error}): use aspas"


def _from_text(lines: Sequence[str], line: int) -> str:
    """What the text itself tells better than the parser; nothing when it does not."""
    near = lines[max(0, line - 2) : line]
    if any("\t" in one[: len(one) - len(one.lstrip())] for one in lines[line - 1 : line]):
        return _SYNTAX[0][1]
    if any(map(_ODD_BLANKS.search, near)):
        return "há um espaço que não é comum (colado de outro programa): apague-o e digite outro"
    if any(map(_BRACE_FIRST.match, near)):
        return "um texto que começa com { precisa de aspas"
    for number, one in enumerate(lines[:line], start=1):
        if one.partition(" #")[0].count('"') % 2:
            return f"as aspas abertas na linha {number} não fecham"
    return ""


def _syntax_error(path: Path, text: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    described = f"{getattr(error, 'context', '')} {getattr(error, 'problem', '') or error}"
    line = min(mark.line + 1, text.count("\n") + 1) if mark else 1
    told = _from_text(text.splitlines(), line)
    if told:
        return f"{path}:{line}: {told}"
    said = next(
        (words for pattern, words in _SYNTAX if re.search(pattern, described)),
        "o texto não segue as regras do YAML: salve-o como texto simples",
    )
    context = getattr(error, "context_mark", None)
    if context is not None and context.line + 1 < line:
        said += f" (o trecho começa na linha {context.line + 1})"
    return f"{path}:{line}: {said}"
