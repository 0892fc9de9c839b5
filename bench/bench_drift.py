"""What becomes of files that changed: adapted, proposed, quarantined, or silently wrong.

Two days of generated portfolios are accepted; the third day's file is mutated, kind by kind, and
judged as reception judges it. Whatever would be loaded is compared with the portfolio that the
creditor meant. The generator (``drift_files.py``, ``drift_mutations.py``) shares no code with the
aligner; the kinds and the layout marked * were kept out while the aligner was made.

    python bench/bench_drift.py [--full] [--seeds N] [--rows N] [--show KIND] [--layout NAME]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.absolute()
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import pyarrow as pa  # noqa: E402
from drift_files import FILES, Contract, SheetFile, next_day, portfolio  # noqa: E402
from drift_mutations import KINDS, Case, Kind, cases  # noqa: E402

from zanc_pipeline.reception.drift.diagnose import (  # noqa: E402
    Diagnosis,
    Trial,
    diagnose,
    remembered,
)
from zanc_pipeline.reception.drift.facts import file_facts  # noqa: E402
from zanc_pipeline.reception.drift.fingerprint import Fingerprint, Witness  # noqa: E402
from zanc_pipeline.reception.drift.sample import Hasher  # noqa: E402
from zanc_pipeline.reception.layout import Layout, load_layout  # noqa: E402
from zanc_pipeline.reception.names import NameFacts  # noqa: E402
from zanc_pipeline.reception.problems import FileRejected  # noqa: E402
from zanc_pipeline.reception.readers import read_file  # noqa: E402
from zanc_pipeline.reception.validate import judge_file, validate  # noqa: E402

HELD_OUT_LAYOUT = "delimited, held out"
ADAPTED, PROPOSED = 0.95, 0.80
MAX_FALSE_ALARMS = 0.01
MAX_HELD, MAX_ROWS = 0.02, 0.003
HONEST_DAYS, SMALL_FILE = 6, 24
UNCHANGED = Kind(name="(nothing changed)", family="file", right="harmless", make=lambda *_: None)
HASHER = Hasher("a secret of the bench")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one file. ``said``: fits, adapt, propose…; ``wrong``: silent corruption."""

    right: str
    said: str
    wrong: str = ""
    proposal_wrong: str = ""
    why: str = ""
    aside: int = 0
    """Rows that were put aside alone."""

    @property
    def good(self) -> bool:
        """Whether it is what should become of such a file."""
        if self.right == "harmless":
            return self.said in {"fits", "adapt"}
        if self.right == "lossless":
            return self.said in {"fits", "adapt"} and not self.wrong
        if self.right == "decide":
            return self.said == "propose" and not self.proposal_wrong
        return self.said not in {"fits", "adapt"} or bool(self.aside and not self.wrong)


class Creditor:
    """A layout, two accepted days of one portfolio, and the third day."""

    def __init__(self, name: str, seed: int, size: int, folder: Path) -> None:
        self.file, text = FILES[name]
        self.folder = folder
        path = folder / "layout.yaml"
        path.write_text(text, encoding="utf-8")
        self.layout = load_layout(path)
        days = [portfolio(seed, size)]
        days += [next_day(days[0], seed, 1)]
        self.rows = next_day(days[1], seed, 2)
        self.before: Fingerprint | None = None
        for rows in days:
            found = self.judge(self.file.content(rows))
            if found.kind != "fits" or found.trial.seen is None:
                raise SystemExit(f"{name}: the unchanged file of a first day is {found.kind}")
            self.before = remembered(found)

    def judge(self, content: bytes, confirmed: Collection[int] = ()) -> Diagnosis:
        """Judge a file as reception does; a person sent the rows of lines ``confirmed`` back."""
        workbook = isinstance(self.file, SheetFile) and content[:2] == b"PK"
        path = self.folder / ("arquivo.xlsx" if workbook else "arquivo")
        path.write_bytes(content)
        self.path = path
        return diagnose(
            self.attempt(self.layout),
            path,
            self.before,
            HASHER,
            self.attempt,
            confirmed=frozenset(confirmed),
        )

    def attempt(self, layout: Layout) -> Trial:
        """Read, validate and judge by one layout; ``loaded`` keeps what would be loaded."""
        witness = Witness(HASHER)
        self.loaded: Any = None
        try:
            result = validate(layout, witness.watch(read_file(layout, self.path, NameFacts())))
            judge_file(layout, result)
        except FileRejected as refusal:
            return Trial(layout=layout, refusal=str(refusal))
        self.loaded = result
        return Trial(
            layout=layout,
            refusal=None,
            rows=result.rows_total,
            rejected=result.rows_rejected,
            emptied=sum(result.warnings.values()),
            seen=witness.fingerprint(layout, file_facts(layout, self.path)),
        )


def outcome(creditor: Creditor, case: Case) -> Outcome:
    """Judge a mutated file and compare what would be loaded with the truth."""
    found = creditor.judge(case.content)
    if found.kind in {"fits", "adapt"}:
        creditor.attempt(found.layout)
        wrong = difference(creditor, case.truth, frozenset(), found.aside.keys())
        return Outcome(right=case.right, said=found.kind, wrong=wrong, aside=len(found.aside))
    why = found.why or found.trial.refusal or "; ".join(f"{d.field} {d.text}" for d in found.doubts)
    if found.kind != "propose":
        return Outcome(right=case.right, said=found.kind, why=why)
    creditor.attempt(found.layout)
    wrong = difference(creditor, case.truth, case.lost)
    return Outcome(right=case.right, said=found.kind, proposal_wrong=wrong, why=why)


def difference(
    creditor: Creditor,
    truth: Sequence[Contract],
    lost: frozenset[str],
    aside: Collection[int] = (),
) -> str:
    """The first difference between what was loaded and what was meant; empty when there is none.

    ``aside`` are lines whose rows were put aside alone.
    """
    loaded = creditor.loaded
    if loaded is None:
        return "nothing could be read"
    meant = {one.contract: _meant(one) for one in truth}
    kept = [line not in aside for line in loaded.accepted["line"].to_pylist()]
    table = loaded.accepted.filter(pa.array(kept))
    names = [spec.name for spec in creditor.layout.fields if spec.name not in lost]
    columns = {name: _column(table, name) for name in names}
    contracts = columns["contrato"]
    for name in names:
        values = columns[name]
        for contract, value in zip(contracts, values, strict=True):
            if contract not in meant:
                return f"contract {contract} is nobody's"
            if value != meant[contract][name]:
                return f"{name} of {contract}: {value!r}, meant {meant[contract][name]!r}"
    if len(contracts) + len(aside) + loaded.rows_rejected < 0.95 * len(truth):
        return f"{len(contracts)} of {len(truth)} contracts"
    return ""


_CANONICAL = {
    "cpf": "cpf", "nome": "name", "contrato": "contract", "produto": "product",
    "valor": "amount", "vencimento": "due_date", "nascimento": "birth_date", "email": "email",
    "cidade": "city", "uf": "state", "telefone_1": "phone_1", "telefone_2": "phone_2",
    "telefone_3": "phone_3", "obito": "deceased",
}  # fmt: skip


def _column(table: Any, name: str) -> list[Any]:
    column = _CANONICAL.get(name, f"campo_{name}")
    if column not in table.column_names:
        return [None] * table.num_rows
    values = table[column].to_pylist()
    return [value.casefold() if name == "nome" and value else value for value in values]


def _meant(one: Contract) -> dict[str, Any]:
    names = {"A": "ativo", "B": "acordo", "C": "judicial"}
    return {
        "contrato": one.contract,
        "cpf": one.cpf,
        "nome": one.name.casefold(),
        "produto": one.product,
        "valor": Decimal(one.amount).scaleb(-2),
        "valor_original": Decimal(one.original).scaleb(-2),
        "vencimento": one.due,
        "emissao": one.issued,
        "nascimento": one.birth,
        "email": one.email or None,
        "cidade": one.city,
        "uf": one.state,
        **{f"telefone_{at + 1}": one.phone(at) or None for at in range(3)},
        "obito": one.deceased,
        "situacao": names[one.situation],
    }


def run(
    layouts: Sequence[str], seeds: Sequence[int], kinds: Sequence[Kind], size: int, show: str = ""
) -> dict[tuple[str, str], list[Outcome]]:
    """(kind, layout) → outcomes."""
    results: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="bench-drift-") as folder:
        for name in layouts:
            for seed in seeds:
                creditor = Creditor(name, seed, size, Path(folder))
                plain = Case(
                    content=creditor.file.content(creditor.rows),
                    truth=creditor.rows,
                    right="harmless",
                )
                todo = [(UNCHANGED, plain), *cases(creditor.file, creditor.rows, seed, kinds)]
                for kind, case in todo:
                    found = outcome(creditor, case)
                    results[kind.name, name].append(found)
                    if show and (
                        (show == "all" and (not found.good or found.wrong)) or show == kind.name
                    ):
                        print(f"{kind.name} | {name} | {seed}: {found}")
    return results


@dataclass(kw_only=True)
class Honest:
    """What became of files in which nothing changed but the portfolio, day after day."""

    files: int = 0
    held: int = 0
    rows: int = 0
    aside: int = 0
    """Rows put aside alone; a person sends them back, and they are not put aside again."""


def honest(layouts: Sequence[str], seeds: Sequence[int], sizes: Sequence[int]) -> dict[str, Honest]:
    """Layout → what became of its honest files."""
    told: dict[str, Honest] = defaultdict(Honest)
    with tempfile.TemporaryDirectory(prefix="bench-drift-") as folder:
        for name, seed, size in product(layouts, seeds, sizes):
            creditor, here = Creditor(name, seed, size, Path(folder)), told[name]
            rows = creditor.rows
            for day in range(3, 3 + HONEST_DAYS):
                found = creditor.judge(creditor.file.content(rows))
                here.files += 1
                here.rows += len(rows)
                if found.kind in {"fits", "adapt"}:
                    here.aside += len(found.aside)
                else:
                    here.held += 1  # a person accepts what is held
                if found.aside:
                    found = creditor.judge(creditor.file.content(rows), found.aside)
                creditor.before = remembered(found)
                rows = next_day(rows, seed, day)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="All layouts, 5 seeds, 1,500 rows.")
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--show", default="", help="Print each outcome of a kind (all: the bad).")
    parser.add_argument("--layout", default="")
    parser.add_argument("--kind", default="")
    arguments = parser.parse_args()
    began = time.perf_counter()
    seeds = range(1, 1 + (arguments.seeds or (5 if arguments.full else 1)))
    layouts = [name for name in FILES if arguments.layout in name]
    kinds = [kind for kind in KINDS if arguments.kind in kind.name]
    rows = arguments.rows or (1_500 if arguments.full else 250)
    results = run(layouts, seeds, kinds, rows, arguments.show)
    held = honest(layouts, range(11, 12 + len(seeds)), (SMALL_FILE, rows))
    sys.exit(report(results, held, kinds, time.perf_counter() - began))


def report(
    results: dict[tuple[str, str], list[Outcome]],
    honest_files: dict[str, Honest],
    kinds: Sequence[Kind],
    seconds: float,
) -> int:
    """Print the table by kind and the figures beside their limits; 1 when one is missed."""
    print(
        f"{'kind (* kept out while the aligner was made)':48}{'right':>10}{'files':>7}{'as is':>7}"
        f"{'adapted':>9}{'proposed':>10}{'right one':>11}{'quarant.':>10}{'rows aside':>12}"
        f"{'SILENTLY WRONG':>16}"
    )
    for kind in (UNCHANGED, *kinds):
        found = [one for (name, _), ones in results.items() if name == kind.name for one in ones]
        if found:
            _line(("* " if kind.held_out else "") + kind.name, kind.right, found)
    kept_out = {kind.name for kind in kinds if kind.held_out}
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for (name, layout), ones in results.items():
        groups["all"] += ones
        groups["kinds kept out"] += ones if name in kept_out else []
        groups["layout kept out"] += ones if layout == HELD_OUT_LAYOUT else []
    print()
    missed = 0
    for group, found in groups.items():
        missed += _figures(group, found) if group == "all" else 0 * _figures(group, found)
    print("\nhonest files of the next days, small and usual ones: held, rows put aside, by layout:")
    for name, one in honest_files.items():
        print(f"    {name:36}{one.held:>6} of {one.files:<6}{one.aside:>6} of {one.rows}")
    every = list(honest_files.values())
    for what, count, total, most in (
        ("honest files held", sum(o.held for o in every), sum(o.files for o in every), MAX_HELD),
        (
            "honest rows put aside",
            sum(o.aside for o in every),
            sum(o.rows for o in every),
            MAX_ROWS,
        ),
    ):
        missed += _figure(what, count, total, f"<= {most:.1%}", count <= most * total)
    total = sum(one.files for one in every)
    files = len(groups["all"]) + total
    print(f"{files} files in {seconds:.0f} s, {seconds / max(files, 1) * 1000:.0f} ms each")
    return 1 if missed else 0


def _line(name: str, right: str, found: Sequence[Outcome]) -> None:
    said = Counter(one.said for one in found)
    fit = sum(one.said == "propose" and not one.proposal_wrong for one in found)
    print(
        f"{name[:47]:48}{right:>10}{len(found):7}{said['fits']:7}{said['adapt']:9}"
        f"{said['propose']:10}{fit:11}{said['quarantine']:10}{sum(o.aside for o in found):12}"
        f"{sum(bool(o.wrong) for o in found):16}"
    )


def _figures(group: str, found: Sequence[Outcome]) -> int:
    wrong = sum(bool(one.wrong) for one in found)
    missed = _figure(f"{group}: silently wrong", wrong, len(found), "= 0 files", wrong == 0)
    for right, text, limit in (
        ("lossless", "lossless, adapted by themselves", ADAPTED),
        ("decide", "for a person to decide, right proposal", PROPOSED),
        ("harmless", "harmless or unchanged, loaded", 1 - MAX_FALSE_ALARMS),
        ("refuse", "damaged, nothing loaded", 1.0),
    ):
        ones = [one for one in found if one.right == right]
        if ones:
            good = sum(one.good for one in ones)
            share = good / len(ones)
            missed += _figure(
                f"{group}: {text}", good, len(ones), f">= {limit:.0%}", share >= limit
            )
    return missed


def _figure(name: str, count: int, total: int, limit: str, ok: bool) -> int:
    share = f"{count} of {total} ({count / max(total, 1):.1%})"
    print(f"{name:64}{share:>22}   {limit:>12}  {'' if ok else 'MISSED'}")
    return int(not ok)


if __name__ == "__main__":
    main()
