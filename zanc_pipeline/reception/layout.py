"""Layouts: what a convênio's file looks like, as the clerk writes it in ``layout*.yaml``.

Keys and values are Portuguese because a reception clerk edits them; attributes are English. Every
version of a layout is a file of its own (``layout.yaml``, ``layout-2.yaml``, …) with the first day
on which it counts (``vigencia``). An error names the file, the line, the exact key and the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.yaml_text import YamlText, parse_yaml_text, read_yaml_text
from zanc_pipeline.reception.layout_checks import contradictions
from zanc_pipeline.reception.layout_fields import (
    CANONICAL,
    REQUIRED,
    ColumnField,
    FieldSpec,
    FieldType,
    JsonField,
    NumberedField,
    PositionField,
)
from zanc_pipeline.reception.layout_models import (
    KINDS,
    AnyLayout,
    DelimitedLayout,
    DelimitedRecordsLayout,
    FixedLayout,
    JsonLayout,
    Layout,
    Limits,
    Member,
    RecordsLayout,
    SetLayout,
    SheetLayout,
)
from zanc_pipeline.reception.layout_yaml import located, translated
from zanc_pipeline.reception.names import NameFacts

__all__ = [
    "CANONICAL",
    "REQUIRED",
    "AnyLayout",
    "ColumnField",
    "DelimitedLayout",
    "DelimitedRecordsLayout",
    "FieldSpec",
    "FieldType",
    "FixedLayout",
    "JsonField",
    "JsonLayout",
    "Layout",
    "Limits",
    "Member",
    "NumberedField",
    "PositionField",
    "RecordsLayout",
    "SetLayout",
    "SheetLayout",
    "is_partial",
    "load_any_layout",
    "load_layout",
    "load_layouts",
    "member_of",
    "parse_layout",
    "require_portfolio_fields",
    "unconfirmed",
]


def load_layout(path: Path) -> Layout:
    """Read the layout of one file.

    Raises ConfigError, in Portuguese, with the line and the exact key that is wrong, or when the
    layout is of a set of files.
    """
    layout = load_any_layout(path)
    if isinstance(layout, SetLayout):
        raise ConfigError(f"{path}: é o layout de um conjunto de arquivos, e aqui só serve o de um")
    return layout


def load_any_layout(path: Path) -> AnyLayout:
    """Read a layout, of one file or of a set. Raises ConfigError like ``load_layout``."""
    return _understood(read_yaml_text(path))


def parse_layout(content: Mapping[str, Any], origin: str) -> AnyLayout:
    """The layout in a mapping of its keys; ``origin`` names it in errors (ConfigError)."""
    written = yaml.safe_dump(dict(content), allow_unicode=True, sort_keys=False)
    return _understood(parse_yaml_text(written, Path(origin)))


def _understood(text: YamlText) -> AnyLayout:
    kind = text.content.get("formato")
    if not isinstance(kind, str) or kind not in KINDS:
        found = "falta esta chave" if kind is None else f"'{kind}' não é aceito"
        raise text.error(("formato",), f"{found}; use um destes: {', '.join(KINDS)}")
    for key in ("versao", "vigencia"):
        if key not in text.content:
            raise text.error((key,), "falta esta chave")
    try:
        layout = KINDS[kind].model_validate(text.content)
    except ValidationError as error:
        raise ConfigError(translated(text, error.errors())) from None
    problem = next(contradictions(layout), None)
    if problem:
        raise ConfigError(located(text, problem))
    return layout


def load_layouts(*folders: Path) -> list[AnyLayout]:
    """Every version in a convênio's folders, the oldest first; empty when there is none.

    Of two that take effect on one day, the one of the later folder and the later number counts.
    """
    paths = [
        path for folder in folders for path in sorted(folder.glob("layout*.yaml"), key=_number)
    ]
    layouts = [load_any_layout(path) for path in paths]
    versions = [layout.version for layout in layouts]
    for version in versions:
        if versions.count(version) > 1:
            raise ConfigError(
                f"{folders[0]}: duas versões de layout se chamam '{version}': mude 'versao' em uma"
            )
    return sorted(layouts, key=lambda layout: layout.effective)


def _number(path: Path) -> tuple[int, str]:
    digits = path.stem.rpartition("-")[2]
    return (int(digits) if digits.isdigit() else 0, path.name)


def member_of(layout: SetLayout, file_name: str) -> tuple[Member, NameFacts] | None:
    """Which member of a set a file is, by its name, and what the name says."""
    for member in layout.members:
        for pattern in member.layout.patterns:
            facts = pattern.match(file_name)
            if facts is not None:
                return member, facts
    return None


def require_portfolio_fields(layout: AnyLayout, origin: str) -> None:
    """Raise ConfigError unless the layout has all that a portfolio needs, if it is of one."""
    if layout.content != "carteira":
        return
    names = {field.name for field in layout.fields}
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise ConfigError(
            f"{origin}: layout '{layout.version}': falta em 'campos': {', '.join(missing)}"
        )


def is_partial(layout: AnyLayout) -> bool:
    """Whether the layout alone is no portfolio: of payments, of phones, or a member of a set."""
    names = {field.name for field in layout.fields}
    return layout.content != "carteira" or not names.issuperset(REQUIRED)


def unconfirmed(layout: AnyLayout) -> list[str]:
    """Names of the fields that a draft proposed and nobody has confirmed yet."""
    return [field.name for field in layout.fields if field.confirm]
