"""The text of a field of a fixed-width record, whatever way its bytes write it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from zanc_pipeline.reception.columns import Bytes2D, cut, trimmed
from zanc_pipeline.reception.fields import DDD_MARK
from zanc_pipeline.reception.layout import PositionField
from zanc_pipeline.reception.pictures import unpack


def is_plain(field: PositionField) -> bool:
    """Whether the field's own bytes are its text: no packed decimal, no DDD elsewhere."""
    return not field.packed and field.ddd_start is None


def position_texts(data: Bytes2D, field: PositionField, encoding: str) -> pa.Array:
    """The trimmed texts of a field in every record of ``data`` (records × bytes)."""
    if field.packed:
        return unpack(data[:, field.start - 1 : field.start - 1 + field.size])
    texts = trimmed(cut(data, field.start - 1, field.size, encoding))
    if field.ddd_start is None:
        return texts
    return with_ddd(trimmed(cut(data, field.ddd_start - 1, field.ddd_size, encoding)), texts)


def with_ddd(ddds: pa.Array, phones: pa.Array) -> pa.Array:
    """Phones with the DDD that stands elsewhere before them."""
    return pc.binary_join_element_wise(ddds, phones, DDD_MARK)
