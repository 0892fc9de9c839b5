"""The fingerprint of a file of generated rows, for tests of what drift makes of them."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa

from zanc_pipeline.reception.drift.compare import Comparison
from zanc_pipeline.reception.drift.doubts import Doubt
from zanc_pipeline.reception.drift.fingerprint import Fingerprint, fingerprint
from zanc_pipeline.reception.drift.sample import Hasher, Sampler
from zanc_pipeline.reception.layout import SetLayout, parse_layout

HASHER = Hasher("a secret of the tests")
Row = dict[str, str]


def told(found: Comparison) -> list[Doubt]:
    """All that is doubted: the file, and its rows that go alone."""
    return [*found.doubts, *(one for why in found.aside.values() for one in why)]


def print_of(rows: list[Row], types: dict[str, str], facts: dict[str, str]) -> Fingerprint:
    """The fingerprint of a file of ``rows``; ``types`` says the type of each field in order."""
    more = {"data": {"formato": "aaaa-mm-dd"}, "dinheiro": {"decimal": ","}}
    fields = [{"nome": name, "tipo": kind, **more.get(kind, {})} for name, kind in types.items()]
    layout = parse_layout(
        {
            "versao": "1",
            "vigencia": date(2026, 1, 1),
            "arquivos": "*",
            "formato": "delimitado",
            "codificacao": "utf-8",
            "separador": ";",
            "campos": fields,
        },
        "x",
    )
    assert not isinstance(layout, SetLayout)
    sampler = Sampler(HASHER)
    cells = {name: pa.array([one[name] for one in rows]) for name in types}
    sampler.see(cells, np.arange(2, len(rows) + 2))
    return fingerprint(layout, sampler.sample(), HASHER, file=facts)
