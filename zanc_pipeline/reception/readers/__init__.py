"""Readers: one module a kind of file, all giving ``Batch``es of text columns.

A reader yields what it can cut into fields, says which lines it can not (``Batch.broken``) and
raises ``FileRejected`` for what condemns the whole file, at the latest after the last batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from zanc_pipeline.reception.layout import (
    DelimitedLayout,
    DelimitedRecordsLayout,
    FixedLayout,
    JsonLayout,
    Layout,
    RecordsLayout,
)
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.readers.base import Batch
from zanc_pipeline.reception.readers.delimited import read_delimited
from zanc_pipeline.reception.readers.fixed import read_fixed
from zanc_pipeline.reception.readers.jsonl import read_json_lines
from zanc_pipeline.reception.readers.records import read_records
from zanc_pipeline.reception.readers.spreadsheet import read_sheet
from zanc_pipeline.reception.readers.unzip import ungzipped, unzipped

__all__ = ["Batch", "read_file"]


def read_file(layout: Layout, path: Path, facts: NameFacts) -> Iterator[Batch]:
    """Read ``path`` by ``layout``; ``facts`` come from the file's name.

    Raises FileRejected, in Portuguese, when the file as a whole can not be believed.
    """
    if layout.zipped:
        with unzipped(path) as inner:
            yield from _read(layout, inner, facts)
    elif layout.gzipped:
        with ungzipped(path) as inner:
            yield from _read(layout, inner, facts)
    else:
        yield from _read(layout, path, facts)


def _read(layout: Layout, path: Path, facts: NameFacts) -> Iterator[Batch]:
    if isinstance(layout, DelimitedLayout):
        return read_delimited(layout, path)
    if isinstance(layout, FixedLayout):
        return read_fixed(layout, path)
    if isinstance(layout, RecordsLayout | DelimitedRecordsLayout):
        return read_records(layout, path, facts)
    if isinstance(layout, JsonLayout):
        return read_json_lines(layout, path)
    return read_sheet(layout, path)
