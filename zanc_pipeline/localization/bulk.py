"""Writes many calls at once: the log by COPY, the summaries folded beside it and merged."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any

from psycopg2.errors import UniqueViolation

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import ConflictError, DataError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.localization import queries
from zanc_pipeline.localization.binary_copy import arrow, copy_columns, uuids
from zanc_pipeline.localization.folding import fold

if TYPE_CHECKING:
    import numpy as np

CHUNK_ROWS = 100_000
"""Rows of one transaction: so long do others wait who report calls to the same phones."""


def load(
    settings: Settings,
    tables: Iterable[Any],
    *,
    progress: Callable[[int], None] | None = None,
    workers: int | None = None,
) -> int:
    """Append the calls in checked ``pyarrow.Table``s of CALL_COLUMNS; how many were new.

    Each worker has its own phones, so that they never wait for each other. ``progress`` is told
    the rows of each transaction that is through. Raises DataError when new calls lie in an archived
    month; what came before them stays loaded, and loading again goes on from there.
    """
    count = workers or 2 * min(os.cpu_count() or 1, 4)  # one waits for the disk, one works
    accepted, lock = 0, Lock()

    def write(chunk: Any) -> None:
        nonlocal accepted
        added = _load_chunk(settings, chunk)
        with lock:
            accepted += added
            if progress is not None:
                progress(chunk.num_rows)

    with ThreadPoolExecutor(count, thread_name_prefix="load") as pool:
        for table in tables:
            _ensure_months(settings, table)
            shares = _shares(table, count)
            for done in [pool.submit(_each, write, share) for share in shares]:
                done.result()
    return accepted


def _each(write: Callable[[Any], None], table: Any) -> None:
    for chunk in chunks(table):
        write(chunk)


def chunks(table: Any) -> Iterator[Any]:
    """Slices of CHUNK_ROWS."""
    for start in range(0, table.num_rows, CHUNK_ROWS):
        yield table.slice(start, CHUNK_ROWS)


def _shares(table: Any, count: int) -> list[Any]:
    """The rows by phone, so that a phone and its pairs are one worker's."""
    import numpy as np

    if count == 1 or table.num_rows < 1000:
        return [table]
    codes = table["phone"].combine_chunks().dictionary_encode().indices.to_numpy()
    return [table.take(np.flatnonzero(codes % count == share)) for share in range(count)]


def _ensure_months(settings: Settings, table: Any) -> None:
    import pyarrow.compute as pc

    if table.num_rows == 0:
        return
    local = pc.subtract(table["started_at"], timedelta(hours=3))
    months = pc.unique(pc.floor_temporal(local, unit="month").cast("date32"))
    with transaction(settings, "zanc", application="zanc localization load") as cursor:
        cursor.execute(queries.ENSURE_MONTHS, {"days": months.to_pylist()})


def _load_chunk(settings: Settings, chunk: Any) -> int:
    with transaction(settings, "zanc", application="zanc localization load") as cursor:
        # Before the archived months are looked at: archiving one waits for us from here on.
        cursor.execute("LOCK TABLE ONLY localization.call IN ROW EXCLUSIVE MODE")
        accepted = _new_calls(cursor, chunk)
        if accepted.num_rows:
            columns = [arrow(name, accepted[name]) for name in accepted.column_names]
            copy_columns(cursor, "localization.call", columns)
            merge(cursor, accepted)
    return int(accepted.num_rows)


def merge(cursor: Any, calls: Any) -> None:
    """Add the summaries of calls that are in the log, in the caller's transaction."""
    summaries = fold(calls)
    cursor.execute(queries.STAGE_SUMMARIES)
    copy_columns(cursor, "incoming_pair", summaries.pairs)
    copy_columns(cursor, "incoming_phone", summaries.phones)
    cursor.execute(queries.MERGE_STAGED)
    row = cursor.fetchone()
    if row["recount_cpfs"]:
        cursor.execute(
            queries.RECOUNT_MISSES, {"cpfs": row["recount_cpfs"], "phones": row["recount_phones"]}
        )


def _new_calls(cursor: Any, chunk: Any) -> Any:
    """The calls that were not known, with their keys taken; the first of a repeated one."""
    import numpy as np

    keys = _keys(chunk)
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    ordered = keys[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    order, ordered = order[first], ordered[first]
    cursor.execute(queries.HAS_ARCHIVE)
    if cursor.fetchone()["found"]:
        unknown = ~_known(cursor, ordered)
        order, ordered = order[unknown], ordered[unknown]
    cursor.execute("SAVEPOINT keys")
    for _ in range(5):
        try:
            copy_columns(cursor, "localization.call_key", [uuids("key", ordered)])
        except UniqueViolation:
            # Some are known, or another process takes them at this moment: leave those out.
            cursor.execute("ROLLBACK TO SAVEPOINT keys")
            unknown = ~_known(cursor, ordered)
            order, ordered = order[unknown], ordered[unknown]
        else:
            accepted = chunk if len(order) == chunk.num_rows else chunk.take(np.sort(order))
            _refuse_archived(cursor, accepted)
            return accepted
    raise ConflictError("others load the same calls at this moment: load the file again")


def _known(cursor: Any, ordered: np.ndarray) -> np.ndarray:
    import numpy as np

    cursor.execute("CREATE TEMP TABLE incoming_key (key uuid, position serial) ON COMMIT DROP")
    copy_columns(cursor, "incoming_key", [uuids("key", ordered)])
    cursor.execute("ANALYZE incoming_key")
    cursor.execute(queries.KNOWN_KEYS)
    known = np.zeros(len(ordered), dtype=bool)
    known[np.array([row["position"] - 1 for row in cursor.fetchall()], dtype=int)] = True
    cursor.execute("DROP TABLE incoming_key")
    return known


def _refuse_archived(cursor: Any, accepted: Any) -> None:
    import pyarrow.compute as pc

    cursor.execute(queries.HORIZON)
    horizon = cursor.fetchone()["horizon"]
    if horizon is None or accepted.num_rows == 0:
        return
    if pc.min(accepted["started_at"]).as_py() < horizon:
        raise DataError(
            f"new calls from before {horizon:%Y-%m-%d}, which are archived: the base takes no "
            "more of them; leave them out of the file"
        )


def _keys(chunk: Any) -> np.ndarray:
    """The identities of the calls, as in ``call_key``: each the two halves of a uuid."""
    import numpy as np

    digests = [
        hashlib.md5(f"{crm}\t{call_id}".encode(), usedforsecurity=False).digest()
        for crm, call_id in zip(chunk["crm"].to_pylist(), chunk["call_id"].to_pylist(), strict=True)
    ]
    return np.frombuffer(b"".join(digests), dtype=">u8").astype("u8").reshape(-1, 2)
