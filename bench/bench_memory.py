"""Peak memory of receiving a large file, in a process of its own, beside the size of the file.

The whole way of a delivery: archive, both readings of uniqueness, types, verdicts, the comparison
with the CRM, the fingerprint for drift, the digest of its content, Parquet and report. Fails when a
file needs 1 GB or more, or the larger one much more than the smaller: it would not be streaming.

    python bench/bench_memory.py [--full]      5 GB instead of 2 GB
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from own_postgres import server
from portfolio_files import (
    FIELDS,
    SIZE,
    delimited_keys,
    fixed_keys,
    write_delimited,
    write_fixed,
)

from zanc_pipeline.common.settings import Settings, load_settings

LIMIT_MB, GROWTH_MB = 1024, 350
MB = 1_000_000
KINDS: dict[str, Any] = {
    "fixed": (fixed_keys, write_fixed),
    "delimited": (delimited_keys, write_delimited),
}


def receive(settings: Settings, convenio: str, path: Path) -> None:
    """In the child: receive the file as a delivery; print the peak in MB and what became of it."""
    import resource

    from zanc_pipeline.reception import service

    began = time.perf_counter()
    delivery = service.receive(settings, path, convenio)
    print(
        json.dumps(
            {
                "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
                "status": delivery.status,
                "accepted": delivery.rows_accepted or 0,
                "rejected": delivery.rows_rejected or 0,
                "seconds": time.perf_counter() - began,
            }
        )
    )


def convenio(settings: Settings, kind: str, name: str) -> None:
    """A creditor of its own that sends files of a kind; half of the rows may be rejected."""
    folder = settings.config / "convenios" / name
    folder.mkdir()
    keys = KINDS[kind][0]() | {"limites": {"rejeicao_maxima": 1.0}}
    (folder / "convenio.yaml").write_text(f"nome: {name}\ncrm: larga\n")
    (folder / "layout.yaml").write_text(yaml.safe_dump(keys, allow_unicode=True))


def measured(settings: Settings, kind: str, size: int, *, broken: bool = False) -> float:
    """The child's peak in MB for a file of ``size`` bytes; ``broken``: half of its rows are bad."""
    rows = size // (SIZE + 1)
    name = f"{kind}_{rows}"
    convenio(settings, kind, name)
    path = settings.var / "carteira"
    KINDS[kind][1](path, rows)
    if broken:
        _break(path, rows)
    actual = path.stat().st_size
    where = [str(settings.var), str(settings.config), str(settings.postgres.port)]
    child = subprocess.run(
        [sys.executable, __file__, "--child", *where, name, str(path)],
        check=True,
        stdout=subprocess.PIPE,
    )
    found = json.loads(child.stdout)
    shutil.rmtree(settings.var / "archive", ignore_errors=True)
    shutil.rmtree(settings.var / "deliveries")
    what = f"{kind}{', bad rows' if broken else ''}"
    print(
        f"{what:20}{actual / MB:8,.0f} MB{found['accepted']:12,} accepted"
        f"{found['rejected']:11,} rejected{found['seconds']:8.1f} s   peak {found['peak']:6.0f} MB"
        f"   {found['status']}",
        flush=True,
    )
    return float(found["peak"]) if found["status"] == "accepted" else float("inf")


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
    parser.add_argument("--child", nargs=5, metavar=("VAR", "CONFIG", "PORT", "CONVENIO", "FILE"))
    arguments = parser.parse_args()
    if arguments.child:
        var, config, port, name, file = arguments.child
        settings = load_settings(var=Path(var), config=Path(config))
        settings.postgres.port = int(port)
        receive(settings, name, Path(file))
        return
    large = 5_000 * MB if arguments.full else 2_000 * MB
    missed = False
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as settings:
        shutil.copytree(settings.config, Path(folder) / "config")
        settings.config = Path(folder) / "config"
        for kind in KINDS:
            small, big = (measured(settings, kind, size) for size in (100 * MB, large))
            missed |= big >= LIMIT_MB or big - small > GROWTH_MB
        missed |= measured(settings, "fixed", 101 * MB, broken=True) >= LIMIT_MB
    print(f"asked: below {LIMIT_MB} MB, whatever the file: {'MISSED' if missed else 'ok'}")
    sys.exit(missed)


if __name__ == "__main__":
    main()
