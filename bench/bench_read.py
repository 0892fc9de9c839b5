"""Share of cells lost by kind of pollution: ``zanc reception read`` beside other readers.

Every reader gets the same files in the same run and is told nothing. The files are generated
(``tests/unit/reception/pollutions.py``): clean tables without people, one pollution each.
Asked: at most 0.4 % of the cells lost over all files, what the best systems lose that are told the
dialect of a public corpus of polluted files, and fewer than each reader beside. Exit 1 when missed.

    python bench/bench_read.py [--seeds N] [--show KIND]
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "unit" / "reception")]

from pollutions import Clean, clean_tables, lost, pollutions  # noqa: E402

from zanc_pipeline.reception.read import table_of  # noqa: E402

MOST_LOST = 0.4
"""Percent of the cells, over all files."""

Rows = list[list[str]]


def ours(data: bytes) -> tuple[list[str], Rows]:
    table = table_of(data)
    return table.header, list(table.rows)


def sniffer(data: bytes) -> tuple[list[str], Rows]:
    text = data.decode("utf-8", "replace")
    try:
        dialect: type[csv.Dialect] | csv.Dialect = csv.Sniffer().sniff(text[:20_000])
    except csv.Error:
        dialect = csv.excel
    rows = list(csv.reader(io.StringIO(text, newline=""), dialect))
    return (rows[0], rows[1:]) if rows else ([], [])


def pandas_defaults(data: bytes) -> tuple[list[str], Rows]:
    import pandas as pd

    frame = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)
    return [str(name) for name in frame.columns], frame.astype(str).to_numpy().tolist()


def arrow_defaults(data: bytes) -> tuple[list[str], Rows]:
    from pyarrow import csv as arrow

    names = arrow.read_csv(io.BytesIO(data)).column_names
    options = arrow.ConvertOptions(column_types=dict.fromkeys(names, "string"))
    table = arrow.read_csv(io.BytesIO(data), convert_options=options)
    columns = [column.to_pylist() for column in table.columns]
    return names, [["" if c is None else c for c in row] for row in zip(*columns, strict=True)]


READERS: dict[str, Callable[[bytes], tuple[list[str], Rows]]] = {
    "zanc": ours,
    "Sniffer+csv": sniffer,
    "pandas": pandas_defaults,
    "pyarrow": arrow_defaults,
}


def judged(
    read: Callable[[bytes], tuple[list[str], Rows]], data: bytes, expected: Clean
) -> tuple[bool, float, float, float]:
    """A reader that refuses a file loses all of it."""
    try:
        header, rows = read(data)
    except Exception:  # whatever another library raises is its verdict
        empty = not expected.header
        return empty, float(not empty), float(not empty), 0.0
    return lost(expected, header, rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--show", default="", help="Print the losses of ours in this kind.")
    arguments = parser.parse_args()
    results: dict[str, dict[str, list[tuple[bool, float, float, float]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    began = time.perf_counter()
    spent = 0.0
    for seed in range(arguments.seeds):
        for name, table in clean_tables(seed).items():
            for kind, data, expected in pollutions(table, seed):
                for reader, read in READERS.items():
                    start = time.perf_counter()
                    verdict = judged(read, data, expected)
                    spent += (time.perf_counter() - start) * (reader == "zanc")
                    results[kind][reader].append(verdict)
                    if reader == "zanc" and kind == arguments.show and any(verdict[1:]):
                        show(name, seed, data, expected)
    lost_cells = print_table(results)
    files = sum(len(kind["zanc"]) for kind in results.values())
    print(f"{files} files; ours {spent / files * 1000:.0f} ms a file; all {elapsed(began)}")
    ours_lost = lost_cells.pop("zanc")
    best = min(lost_cells, key=lambda reader: lost_cells[reader])
    met = ours_lost <= min(MOST_LOST, lost_cells[best])
    print(
        f"cells lost: {ours_lost:.2f} %, asked at most {MOST_LOST} % and no more than the best "
        f"beside ({best} {lost_cells[best]:.2f} %): {'met' if met else 'MISSED'}"
    )
    return 0 if met else 1


def print_table(
    results: dict[str, dict[str, list[tuple[bool, float, float, float]]]],
) -> dict[str, float]:
    """Print a line for each kind; the percent of cells lost over all files, by reader."""
    print(f"{'% of cells lost':34}" + "".join(f"{reader:>13}" for reader in READERS), end="")
    print(f"{'ours: header':>14}{'records lost':>14}{'cells added':>13}")
    every: dict[str, list[tuple[bool, float, float, float]]] = defaultdict(list)
    for kind, readers in results.items():
        print_line(kind, readers)
        for reader, verdicts in readers.items():
            every[reader] += verdicts
    print_line("all files", every)
    return {
        reader: 100 * sum(verdict[2] for verdict in verdicts) / len(verdicts)
        for reader, verdicts in every.items()
    }


def print_line(kind: str, readers: dict[str, list[tuple[bool, float, float, float]]]) -> None:
    line = f"{kind[:33]:34}"
    for reader in READERS:
        verdicts = readers[reader]
        line += f"{100 * sum(v[2] for v in verdicts) / len(verdicts):13.2f}"
    mine = readers["zanc"]
    line += f"{100 * sum(v[0] for v in mine) / len(mine):14.1f}"
    line += f"{100 * sum(v[1] for v in mine) / len(mine):14.2f}"
    print(line + f"{100 * sum(v[3] for v in mine) / len(mine):13.2f}")


def show(name: str, seed: int, data: bytes, expected: Clean) -> None:
    table = table_of(data)
    rows = list(table.rows)
    print(f"--- {name} {seed}: {table.notes}")
    wanted, got = [expected.header, *expected.rows], [table.header, *rows]
    for row in [row for row in wanted if row not in got][:2]:
        print("   expected", row)
    for row in [row for row in got if row not in wanted][:2]:
        print("   got     ", row)


def elapsed(began: float) -> str:
    return f"{time.perf_counter() - began:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
