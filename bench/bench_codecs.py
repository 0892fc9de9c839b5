"""The codecs of whole columns, values a second on one core. Fails when one is below a million.

Each column mixes the usual writings (bare, with marks, short of leading zeros), one wrong value in
fifty and one empty in fifty. Beside it, the one-value codec that is the rule.

    python bench/bench_codecs.py [--values N]
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from portfolio_files import one_core

from zanc_pipeline.common.byte_cells import ByteCells
from zanc_pipeline.common.codecs import cnpj_check_digits, cpf_check_digits
from zanc_pipeline.reception.fields import convert as one_by_one
from zanc_pipeline.reception.layout import ColumnField
from zanc_pipeline.reception.readers.base import Batch
from zanc_pipeline.reception.vectors import convert, plain_values

LEAST = 1_000_000
BATCH = 20_000
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def cpf(rng: random.Random) -> str:
    base = f"{rng.randrange(10**9):09}"
    text = base + cpf_check_digits(base)
    dotted = f"{text[:3]}.{text[3:6]}.{text[6:9]}-{text[9:]}"
    return rng.choice((text, text, dotted, text.lstrip("0")))


def cnpj(rng: random.Random) -> str:
    base = f"{rng.randrange(10**8):08}0001"
    if rng.random() < 0.3:
        base = "".join(rng.choice(ALPHABET) for _ in range(12))
    text = base + cnpj_check_digits(base)
    marked = f"{text[:2]}.{text[2:5]}.{text[5:8]}/{text[8:12]}-{text[12:]}"
    return rng.choice((text, text, marked))


def phone(rng: random.Random) -> str:
    area, subscriber = rng.choice(("11", "21", "47", "85")), f"9{rng.randrange(10**8):08}"
    bare = f"{area}{subscriber}"
    return rng.choice(
        (bare, bare, f"({area}) {subscriber[:5]}-{subscriber[5:]}", f"+55{bare}", f"{area}33334444")
    )


def money(rng: random.Random) -> str:
    whole, cents = divmod(rng.randrange(10**8), 100)
    return rng.choice((f"{whole},{cents:02}", f"{whole:,}".replace(",", ".") + f",{cents:02}"))


def day(rng: random.Random) -> date:
    return date(1970, 1, 1) + timedelta(days=rng.randrange(25_000))


def field(**keys: Any) -> ColumnField:
    return ColumnField.model_validate({"nome": "x", **keys})


CODECS: dict[str, tuple[ColumnField, Callable[[random.Random], str]]] = {
    "CPF": (field(tipo="cpf"), cpf),
    "CNPJ, also with letters": (field(tipo="cnpj"), cnpj),
    "phone": (field(tipo="telefone"), phone),
    "money, 1.234,56": (field(tipo="dinheiro"), money),
    "money, implied decimals": (
        field(tipo="dinheiro", decimais=2),
        lambda rng: f"{rng.randrange(10**9):012}",
    ),
    "date, dd/mm/aaaa": (field(tipo="data"), lambda rng: f"{day(rng):%d/%m/%Y}"),
    "date, aaaammdd": (field(tipo="data", formato="aaaammdd"), lambda rng: f"{day(rng):%Y%m%d}"),
    "integer": (field(tipo="inteiro"), lambda rng: str(rng.randrange(10**7))),
    "code": (
        field(tipo="codigo", tabela={f"{code:02}": f"situação {code}" for code in range(30)}),
        lambda rng: f"{rng.randrange(30):02}",
    ),
    "state": (field(tipo="uf"), lambda rng: rng.choice(("SP", "RJ", "mg", "Ba"))),
    "e-mail": (field(tipo="email"), lambda rng: f"p{rng.randrange(10**8)}@exemplo.com.br"),
}


def column(make: Callable[[random.Random], str], count: int) -> list[str]:
    rng = random.Random(7)  # noqa: S311 (not for secrets)
    texts = [make(rng) for _ in range(count)]
    texts[::50] = [text[::-1] + "7" for text in texts[::50]]
    texts[25::50] = [""] * len(texts[25::50])
    return texts


def convert_each(spec: ColumnField, batches: Sequence[Batch]) -> None:
    for batch in batches:
        convert(spec, batch)


def seconds(work: Callable[[], object], times: int) -> float:
    best = float("inf")
    for _ in range(times):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--values", type=int, default=200_000)
    values: int = parser.parse_args().values
    one_core()
    missed = False
    print(f"{'values/s on one core':28}{'whole columns':>16}{'one by one':>14}{'ratio':>8}")
    for name, (spec, make) in CODECS.items():
        texts = column(make, values)
        batches = []
        for start in range(0, values, BATCH):
            cells = pa.array(texts[start : start + BATCH])
            places = np.arange(len(cells))
            raw = {} if spec.type in {"email", "texto"} else {"x": ByteCells.of(cells)}
            batches.append(Batch(line=places, offset=places, cells={"x": cells}, raw=raw))
        some = batches[0].cells["x"]
        if not plain_values(convert(spec, batches[0]).values).equals(one_by_one(spec, some).values):
            raise SystemExit(f"{name}: the two do not agree")
        whole = values / seconds(partial(convert_each, spec, batches), 3)
        single = len(some) / seconds(partial(one_by_one, spec, some), 1)
        missed |= whole < LEAST
        said = "ok" if whole >= LEAST else "MISSED"
        print(f"{name:28}{whole:16,.0f}{single:14,.0f}{whole / single:8.0f}  {said}")
    sys.exit(missed)


if __name__ == "__main__":
    main()
