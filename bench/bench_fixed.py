"""Fixed width, 400 bytes x 40 fields: reception beside bare numpy and pandas, on one core.

Ours parses, types (check digits, dates, implied decimals, codes), validates, proves uniqueness and
writes Parquet. numpy only cuts the same bytes into its own strings and trims them; pandas reads
strings. Fails below 0.35 of numpy or 10 times pandas.

    python bench/bench_fixed.py [--rows N]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from portfolio_files import FIELDS, SIZE, fixed_layout, one_core, spans, write_fixed

from zanc_pipeline.reception.aside import AsideFiles
from zanc_pipeline.reception.layout import Layout
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.readers import read_file
from zanc_pipeline.reception.validate import stream

LEAST_OF_NUMPY, LEAST_OF_PANDAS = 0.35, 10.0
PIECE = 10_000 * (SIZE + 1)
PANDAS_ROWS = 10_000


def ours(layout: Layout, path: Path, folder: Path) -> int:
    """Bytes to Parquet; the rows accepted."""
    files = AsideFiles(folder)
    result = stream(layout, lambda: read_file(layout, path, NameFacts()), files, scratch=folder)
    files.finish()
    if result.rows_rejected:
        raise SystemExit(f"{result.rows_rejected} rows rejected: {result.examples[:3]}")
    return result.rows_accepted


def bare_numpy(path: Path) -> int:
    """Every field of every line as a trimmed numpy string."""
    rows = 0
    with path.open("rb") as file:
        while data := file.read(PIECE):
            lines = np.frombuffer(data, dtype=np.uint8).reshape(-1, SIZE + 1)
            for start, size in spans():
                cells = np.ascontiguousarray(lines[:, start : start + size]).view(f"S{size}")
                np.strings.strip(cells)
            rows += len(lines)
    return rows


def arrow_strings(path: Path) -> int:
    """The same into Arrow strings, trimmed by Arrow."""
    rows = 0
    with path.open("rb") as file:
        while data := file.read(PIECE):
            lines = np.frombuffer(data, dtype=np.uint8).reshape(-1, SIZE + 1)
            for start, size in spans():
                cells = np.ascontiguousarray(lines[:, start : start + size])
                ends = pa.py_buffer(np.arange(len(lines) + 1, dtype=np.int32) * size)
                texts = pa.StringArray.from_buffers(len(lines), ends, pa.py_buffer(cells))
                pc.utf8_trim(texts, characters=" \t")
            rows += len(lines)
    return rows


def pandas_strings(path: Path) -> int:
    """``read_fwf`` without types, of the first rows."""
    import pandas as pd

    edges = [(start, start + size) for start, size in spans()]
    frame = pd.read_fwf(
        path, colspecs=edges, header=None, dtype=str, nrows=PANDAS_ROWS, keep_default_na=False
    )
    return len(frame)


def rate(work: Callable[[], int], best: float = 0.0) -> float:
    """Rows a second of this process's own time on its core, or what was better before."""
    began = time.process_time()
    rows = work()
    return max(best, rows / (time.process_time() - began))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=250_000)
    rows: int = parser.parse_args().rows
    one_core()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "carteira.txt"
        write_fixed(path, rows)
        mine = numpy = arrow = pandas = 0.0
        for _ in range(4):  # turn about, so that a busy moment meets all of them
            numpy = rate(lambda: bare_numpy(path), numpy)
            mine = rate(lambda: ours(fixed_layout(), path, folder), mine)
            arrow = rate(lambda: arrow_strings(path), arrow)
        pandas = rate(lambda: pandas_strings(path), pandas)
        written = (folder / "accepted.parquet").stat().st_size
    print(f"{rows:,} rows of {SIZE} bytes, {len(FIELDS)} fields, one core; best of 4")
    print(f"{'bare numpy, cut and trimmed':42}{numpy:12,.0f} rows/s")
    print(f"{'Arrow strings, cut and trimmed':42}{arrow:12,.0f} rows/s")
    print(f"{'pandas.read_fwf, strings':42}{pandas:12,.0f} rows/s")
    print(f"{'ours, typed, validated, Parquet':42}{mine:12,.0f} rows/s  {written / rows:.0f} B/row")
    missed = False
    for limit, least, what in (
        (numpy, LEAST_OF_NUMPY, "bare numpy"),
        (pandas, LEAST_OF_PANDAS, "pandas.read_fwf"),
    ):
        ratio = mine / limit
        missed |= ratio < least
        print(f"{ratio:7.2f} of {what} (asked {least:g}) {'ok' if ratio >= least else 'MISSED'}")
    print(f"{mine / arrow:7.2f} of the Arrow strings")
    sys.exit(missed)


if __name__ == "__main__":
    main()
