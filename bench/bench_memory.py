"""Peak memory of receiving a large file, in a process of its own, beside the size of the file.

From the bytes to Parquet, with the rows that repeat a contract found and rejected. Fails when the
larger file needs 1 GB or more, or much more than the smaller one: then it would not be streaming.

    python bench/bench_memory.py [--full]      2 GB instead of 300 MB
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from portfolio_files import (
    FIELDS,
    SIZE,
    delimited_layout,
    fixed_layout,
    write_delimited,
    write_fixed,
)

LIMIT_MB, GROWTH_MB = 1024, 250
MB = 1_000_000


def receive(kind: str, path: Path, folder: Path) -> None:
    """In the child: read, judge and write; print the peak in MB and the rows."""
    import resource

    from zanc_pipeline.reception.aside import AsideFiles
    from zanc_pipeline.reception.names import NameFacts
    from zanc_pipeline.reception.readers import read_file
    from zanc_pipeline.reception.validate import stream

    layout = fixed_layout() if kind == "fixed" else delimited_layout()
    files = AsideFiles(folder)
    began = time.perf_counter()
    result = stream(layout, lambda: read_file(layout, path, NameFacts()), files, scratch=folder)
    files.finish()
    print(
        json.dumps(
            {
                "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
                "accepted": result.rows_accepted,
                "rejected": result.rows_rejected,
                "seconds": time.perf_counter() - began,
            }
        )
    )


def measured(kind: str, size: int, *, broken: bool = False) -> float:
    """The child's peak in MB for a file of ``size`` bytes; ``broken``: half of its rows are bad."""
    rows = size // (SIZE + 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "carteira"
        (write_fixed if kind == "fixed" else write_delimited)(path, rows)
        if broken:
            _break(path, rows)
        child = subprocess.run(
            [sys.executable, __file__, "--child", kind, str(path), str(folder)],
            check=True,
            stdout=subprocess.PIPE,
        )
        found = json.loads(child.stdout)
        actual = path.stat().st_size
    what = f"{kind}{', bad rows' if broken else ''}"
    print(
        f"{what:20}{actual / MB:8,.0f} MB{found['accepted']:12,} accepted"
        f"{found['rejected']:11,} rejected{found['seconds']:8.1f} s   peak {found['peak']:6.0f} MB"
    )
    return float(found["peak"])


def _break(path: Path, rows: int) -> None:
    """Repeat contracts and spoil CPFs in place: every second row is rejected."""
    at = sum(field["tamanho"] for field in FIELDS[:2])
    with path.open("r+b") as file:
        for row in range(1, rows, 2):
            file.seek(row * (SIZE + 1) + (0 if row % 4 == 1 else at))
            file.write(b"x" if row % 4 == 1 else b"100000000000000")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--child", nargs=3, metavar=("KIND", "FILE", "FOLDER"))
    arguments = parser.parse_args()
    if arguments.child:
        kind, path, folder = arguments.child
        receive(kind, Path(path), Path(folder))
        return
    large = 2_000 * MB if arguments.full else 300 * MB
    missed = False
    for kind in ("fixed", "delimited"):
        small, big = measured(kind, 100 * MB), measured(kind, large)
        missed |= big >= LIMIT_MB or big - small > GROWTH_MB
    missed |= measured("fixed", 100 * MB, broken=True) >= LIMIT_MB
    print(f"asked: below {LIMIT_MB} MB, whatever the file: {'MISSED' if missed else 'ok'}")
    sys.exit(missed)


if __name__ == "__main__":
    main()
