"""Bulk load of calls with their summaries, beside the bare COPY of the same rows.

Both write the same rows into the same empty log table of a PostgreSQL of their own, by turns, its
monthly partitions made before; the best of each counts. The COPY is the limit: nobody can load
faster. The file is read, every value checked, identities taken and two summaries kept beside it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
from own_postgres import calls, server

from zanc_pipeline.common.database import copy_table, transaction
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.localization import base
from zanc_pipeline.localization.files import check_calls

ROWS, PHONES, ROUNDS, ASKED = 200_000, 90_000, 4, 0.5


def main() -> None:
    """Print both rates and their ratio; exit 1 when it is below what is asked."""
    with TemporaryDirectory(prefix="zanc-bench-") as folder, server(Path(folder)) as settings:
        path = Path(folder) / "calls.parquet"
        pq.write_table(calls(next(iter(settings.crms)), ROWS, PHONES, seed=7), path)
        file = check_calls(path, now=datetime.now(UTC), crms=frozenset(settings.crms))
        base.load_file(settings, path)  # makes the months

        def bare() -> None:
            with transaction(settings, "zanc") as cursor:
                for table in file.tables():
                    copy_table(cursor, "localization.call", table)

        def ours() -> None:
            counts = base.load_file(settings, path)
            assert counts.accepted == ROWS, counts

        limit, measured = float("inf"), float("inf")
        for _ in range(ROUNDS):
            limit = min(limit, _seconds(settings, bare))
            measured = min(measured, _seconds(settings, ours))
    print(f"bare COPY into the log        {ROWS / limit:>9,.0f} calls/s")
    print(f"load, checked, with summaries {ROWS / measured:>9,.0f} calls/s")
    print(f"of the limit                  {limit / measured:>9.2f}  ({ASKED} asked)")
    if limit / measured < ASKED:
        sys.exit(1)


def _seconds(settings: Settings, work: Callable[[], None]) -> float:
    with transaction(settings, "zanc") as cursor:
        cursor.execute("TRUNCATE localization.call, localization.person_phone")
        cursor.execute("CHECKPOINT")
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
