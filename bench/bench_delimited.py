"""Delimited, the rows of bench_fixed between separators: reception beside pyarrow.csv, on one core.

Ours parses, types, validates, proves uniqueness and writes Parquet; pyarrow.csv reads strings in
one thread. Fails below 0.4 of it. Quoted: every cell in quotes, told beside pyarrow.csv as well.

    python bench/bench_delimited.py [--rows N]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bench_fixed import ours, rate
from portfolio_files import FIELDS, delimited_layout, one_core, write_delimited

LEAST = 0.4


def arrow_strings(path: Path) -> int:
    """Every cell as a string, in one thread."""
    from pyarrow import csv

    table = csv.read_csv(
        path,
        read_options=csv.ReadOptions(use_threads=False),
        parse_options=csv.ParseOptions(delimiter=";"),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys((field["nome"] for field in FIELDS), "string")
        ),
    )
    return int(table.num_rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=250_000)
    rows: int = parser.parse_args().rows
    one_core()
    missed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for quoted in (False, True):
            path = folder / "carteira.csv"
            write_delimited(path, rows, quoted=quoted)
            mine = arrow = 0.0
            for _ in range(4):  # turn about, so that a busy moment meets both
                arrow = rate(lambda path=path: arrow_strings(path), arrow)  # type: ignore[misc]
                mine = rate(lambda path=path: ours(delimited_layout(), path, folder), mine)  # type: ignore[misc]
            ratio = mine / arrow
            missed |= not quoted and ratio < LEAST
            size = path.stat().st_size / rows
            print(
                f"{'every cell quoted' if quoted else 'no quotes'}: {rows:,} rows of {size:.0f}"
                f" bytes, {len(FIELDS)} fields, one core; best of 4"
            )
            print(f"{'pyarrow.csv, strings, one thread':42}{arrow:12,.0f} rows/s")
            print(f"{'ours, typed, validated, Parquet':42}{mine:12,.0f} rows/s")
            asked = "told only" if quoted else f"asked {LEAST:g}"
            print(f"{ratio:7.2f} of pyarrow.csv ({asked}) {'ok' if ratio >= LEAST else 'MISSED'}")
    sys.exit(missed)


if __name__ == "__main__":
    main()
