"""What of a delivery must be looked at when the one before it is in the CRM already.

Creditors send their whole portfolio every day, and most of it is as it was. The rows of every
person about whom anything changed are compared with the CRM; of the others nothing can change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from zanc_pipeline.crm.entities import PORTFOLIO_COLUMNS, Changes, Portfolio

if TYPE_CHECKING:
    import numpy as np

MOST = 0.3
"""When more of the rows would be looked at, all of them are: it costs no more."""


def changes_since(before: Portfolio, after: Portfolio) -> Changes | None:
    """How ``after`` differs from ``before``; None when all of it must be looked at.

    A person's rows count as changed, too, when they come in another order: of two names the last
    one is taken. One column of both files is in memory at a time.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if dict(before.extras) != dict(after.extras):
        return None
    old, new = _columns(before), _columns(after)
    was, now = old("contract"), new("contract")
    if len(pc.unique(was)) < len(was) or len(pc.unique(now)) < len(now):
        return None
    found = pc.index_in(now, value_set=was)
    known = found.is_valid().to_numpy(zero_copy_only=False)
    place = found.fill_null(0).to_numpy()
    changed = ~known
    for name in (*PORTFOLIO_COLUMNS, *after.extras):
        if name not in ("line", "contract"):
            left, right = old(name), new(name)
            if not (known.all() and left.equals(right) and (place == np.arange(len(was))).all()):
                changed |= _differ(left.take(pa.array(place)), right)
    gone = np.ones(len(was), dtype=bool)
    gone[place[known]] = False
    gone[place[known & changed]] = True  # what they were counts as well
    was_cpf, cpf = old("cpf"), new("cpf")
    kept = np.flatnonzero(known)
    order = _out_of_order(
        cpf.dictionary_encode().indices.to_numpy()[kept],
        new("line").to_numpy()[kept],
        old("line").to_numpy()[place[kept]],
    )
    changed[kept[order]] = True
    people = pc.unique(
        pa.concat_arrays([cpf.filter(pa.array(changed)), was_cpf.filter(pa.array(gone))])
    )
    concerned = pc.is_in(cpf, value_set=people)
    if pc.sum(concerned).as_py() > MOST * len(now):
        return None
    contracts = pc.unique(
        pa.concat_arrays([now.filter(concerned), was.filter(pc.is_in(was_cpf, value_set=people))])
    )
    return Changes(since=before.digest, people=people, contracts=contracts)


def _columns(portfolio: Portfolio) -> Callable[[str], Any]:
    """What reads one column of the delivery's file."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(portfolio.path, memory_map=True)
    return lambda name: file.read([name], use_threads=False).column(0).combine_chunks()


def _differ(left: Any, right: Any) -> np.ndarray:
    """Where two arrays are not equal; two nulls are."""
    import numpy as np
    import pyarrow.compute as pc

    if left.type != right.type:
        return np.ones(len(right), dtype=bool)
    unequal = pc.fill_null(pc.not_equal(left, right), True)
    both = pc.and_(left.is_null(), right.is_null())
    differ: np.ndarray = pc.and_not(unequal, both).to_numpy(zero_copy_only=False)
    return differ


def _out_of_order(person: np.ndarray, line: np.ndarray, was: np.ndarray) -> np.ndarray:
    """The rows that came before another row of their person and now come after it."""
    import numpy as np

    order = np.lexsort((line, person))
    same = person[order][1:] == person[order][:-1]
    found: np.ndarray = order[1:][same & (was[order][1:] < was[order][:-1])]
    return found
