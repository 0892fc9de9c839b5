"""Whose file it is, by what names a creditor: for a file that its own convênio's layout refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception.layout import Layout, RecordsLayout, SetLayout, load_layouts
from zanc_pipeline.reception.process import layout_folders

_HEAD_BYTES = 4096


def whose(settings: Settings, convenio: str, file_name: str, content: Path) -> str | None:
    """A sentence that names another convênio whose file this seems to be, or None.

    Its header names that creditor (``igual`` in its layout), or its name is one of that creditor's
    and none of this one's.
    """
    with content.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    own = list(_layouts(settings, convenio))
    named = any(_names(layout, file_name) for layout in own)
    for other in settings.convenios:
        if other == convenio:
            continue
        for layout in _layouts(settings, other):
            if _heads(layout, head):
                return f"o cabeçalho dele é o dos arquivos de '{other}'"
            if not named and _names(layout, file_name):
                return f"o nome dele é o dos arquivos de '{other}'"
    return None


def _layouts(settings: Settings, convenio: str) -> Iterator[Layout]:
    try:
        found = load_layouts(*layout_folders(settings, convenio))
    except ConfigError:
        return  # another convênio's broken layout is not this file's trouble
    for layout in found:
        if isinstance(layout, SetLayout):
            yield from (member.layout for member in layout.members)
        else:
            yield layout


def _names(layout: Layout, file_name: str) -> bool:
    return any(pattern.match(file_name) for pattern in layout.patterns)


def _heads(layout: Layout, head: bytes) -> bool:
    if not isinstance(layout, RecordsLayout) or layout.records.header is None:
        return False
    literals = [spec for spec in layout.records.header.fields if spec.equals]
    return bool(literals) and all(
        head[spec.start - 1 : spec.start - 1 + spec.size].strip()
        == (spec.equals or "").encode(layout.encoding, "replace")
        for spec in literals
    )
