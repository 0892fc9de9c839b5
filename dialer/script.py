"""What an operator says: the ``roteiro:`` of a campaign, checked and filled in (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

FIELDS = ("saudacao", "nome", "primeiro_nome", "credor", "contrato", "valor", "operador")
"""What may stand in braces in a script."""
_MOST_STEPS, _LONGEST_TITLE, _LONGEST_TEXT = 20, 60, 1500
_BRACES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a script: its title and what to say."""

    title: str
    text: str


def parse_script(value: object) -> tuple[Step, ...]:
    """The steps of a ``roteiro:``, a list of ``Título: texto``; ValueError says what to write."""
    if not isinstance(value, list | tuple) or len(value) > _MOST_STEPS:
        raise ValueError(
            f"escreva uma lista de até {_MOST_STEPS} passos, como '- Abertura: Bom dia'"
        )
    return tuple(_step(one) for one in value)


def filled(steps: Sequence[Step], facts: Mapping[str, str]) -> list[Step]:
    """The script for one person: each ``{campo}`` becomes its fact."""

    def fact(match: re.Match[str]) -> str:
        return facts.get(match[1].strip(), "")

    return [Step(title=one.title, text=_BRACES.sub(fact, one.text)) for one in steps]


def _step(value: object) -> Step:
    if isinstance(value, Step):
        return value
    if not isinstance(value, Mapping) or len(value) != 1:
        raise ValueError("cada passo é 'Título: texto', com um título só")
    [(title, text)] = value.items()
    if not isinstance(title, str) or not 0 < len(title) <= _LONGEST_TITLE:
        raise ValueError(f"o título de um passo é um texto de até {_LONGEST_TITLE} letras")
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST_TEXT:
        raise ValueError(f"{title}: escreva um texto de até {_LONGEST_TEXT} letras, entre aspas")
    for field in _BRACES.findall(text):
        if field.strip() not in FIELDS:
            raise ValueError(f"{title}: {{{field}}} não existe; use {', '.join(FIELDS)}")
    return Step(title=title, text=" ".join(text.split()))
