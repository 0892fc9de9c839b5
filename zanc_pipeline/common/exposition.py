"""Figures in the text form that Prometheus reads (exposition format 0.0.4). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[Mapping[str, str], float]
"""Labels and the value."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """A metric: all its samples carry the same names of labels."""

    name: str
    about: str
    """One line of English: what is counted, in which unit."""
    samples: Iterable[Sample]
    kind: Literal["gauge", "counter"] = "gauge"


def one(name: str, about: str, value: float) -> Family:
    """A gauge without labels."""
    return Family(name=name, about=about, samples=[({}, value)])


def render(families: Iterable[Family]) -> str:
    """The page for Prometheus; values of labels are escaped."""
    lines: list[str] = []
    for family in families:
        lines.append(f"# HELP {family.name} {family.about}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        for labels, value in family.samples:
            told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
            lines.append(f"{family.name}{f'{{{told}}}' if told else ''} {_number(value)}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
