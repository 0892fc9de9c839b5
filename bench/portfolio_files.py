"""Generated portfolios of 40 fields for the benches: fixed width and delimited, the same rows.

400 bytes a row: CPF, CNPJ, three phones, nine amounts with implied decimals, eight dates, eight
codes, four integers, texts. Nobody in them exists; the same seed gives the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zanc_pipeline.reception.layout import DelimitedLayout, FixedLayout

Bytes = npt.NDArray[np.uint8]
BLOCK = 25_000

_CODES = {f"{code:02}": f"situacao {code}" for code in range(12)}
_FIRST = ["ANA", "MARIA", "JOSE", "JOAO", "ANTONIO", "FRANCISCA", "CARLOS", "PAULA", "RITA", "LUIZ"]
_LAST = ["SILVA", "SANTOS", "OLIVEIRA", "SOUZA", "PEREIRA", "LIMA", "COSTA", "ALVES", "RIBEIRO"]
_CITIES = [f"CIDADE {name} DO {end}" for name in _LAST for end in ("SUL", "NORTE", "OESTE")]
_STATES = ["SP", "RJ", "MG", "BA", "PR", "RS", "PE", "CE"]

FIELDS: list[dict[str, Any]] = [
    {"nome": "cpf", "tipo": "cpf", "tamanho": 11},
    {"nome": "nome", "tipo": "texto", "tamanho": 40},
    {"nome": "contrato", "tipo": "texto", "tamanho": 15},
    {"nome": "produto", "tipo": "codigo", "tabela": _CODES, "tamanho": 2},
    {"nome": "valor", "tipo": "dinheiro", "decimais": 2, "minimo": "0.01", "tamanho": 12},
    {"nome": "vencimento", "tipo": "data", "formato": "aaaammdd", "tamanho": 8},
    {"nome": "nascimento", "tipo": "data", "formato": "ddmmaaaa", "tamanho": 8},
    *({"nome": f"telefone_{n}", "tipo": "telefone", "tamanho": 11} for n in (1, 2, 3)),
    {"nome": "email", "tipo": "email", "tamanho": 40},
    {"nome": "cidade", "tipo": "texto", "tamanho": 25},
    {"nome": "uf", "tipo": "uf", "tamanho": 2},
    {"nome": "obito", "tipo": "sim_nao", "tamanho": 1},
    {"nome": "empresa", "tipo": "cnpj", "tamanho": 14},
    *(
        {"nome": f"parcela_{n}", "tipo": "dinheiro", "decimais": 2, "tamanho": 12}
        for n in range(1, 9)
    ),
    *({"nome": f"dia_{n}", "tipo": "data", "formato": "aaaammdd", "tamanho": 8} for n in range(6)),
    *({"nome": f"codigo_{n}", "tipo": "codigo", "tabela": _CODES, "tamanho": 2} for n in range(6)),
    *({"nome": f"dias_{n}", "tipo": "inteiro", "tamanho": 6} for n in range(4)),
    {"nome": "livre", "tipo": "texto", "tamanho": 9},
]
SIZE = sum(field["tamanho"] for field in FIELDS)
_COMMON = {"versao": "1", "vigencia": date(2026, 1, 1), "arquivos": "*", "codificacao": "latin-1"}


def spans() -> list[tuple[int, int]]:
    """Start (from 0) and size of every field in a fixed-width row."""
    found, start = [], 0
    for field in FIELDS:
        found.append((start, field["tamanho"]))
        start += field["tamanho"]
    return found


def fixed_keys() -> dict[str, Any]:
    """The keys of the layout of the fixed-width file."""
    fields = [
        {**field, "inicio": start + 1} for field, (start, _) in zip(FIELDS, spans(), strict=True)
    ]
    return {**_COMMON, "formato": "largura_fixa", "tamanho_da_linha": SIZE, "campos": fields}


def fixed_layout() -> FixedLayout:
    """Reads the fixed-width file."""
    return FixedLayout.model_validate(fixed_keys())


def delimited_keys() -> dict[str, Any]:
    """The keys of the layout of the delimited file."""
    fields = [{key: value for key, value in field.items() if key != "tamanho"} for field in FIELDS]
    return {**_COMMON, "formato": "delimitado", "separador": ";", "campos": fields}


def delimited_layout() -> DelimitedLayout:
    """Reads the delimited file."""
    return DelimitedLayout.model_validate(delimited_keys())


def write_fixed(path: Path, rows: int, *, seed: int = 1) -> None:
    """Write ``rows`` rows of 400 bytes and a line end."""
    with path.open("wb") as file:
        for block in _blocks(rows, seed):
            lines = np.full((len(block), SIZE + 1), 10, dtype=np.uint8)
            lines[:, :SIZE] = block
            file.write(lines.tobytes())


def write_delimited(path: Path, rows: int, *, seed: int = 1, quoted: bool = False) -> None:
    """Write the same rows between ``;``, without the blanks, under a header."""
    quote = np.full((BLOCK, int(quoted)), ord('"'), dtype=np.uint8)
    with path.open("wb") as file:
        file.write(";".join(field["nome"] for field in FIELDS).encode() + b"\n")
        for block in _blocks(rows, seed):
            parts = []
            mark = quote[: len(block)]
            for start, size in spans():
                cell = block[:, start : start + size]
                parts += [mark, cell, mark, np.full((len(block), 1), 59, np.uint8)]
            parts[-1][:] = 10
            flat = np.concatenate(parts, axis=1)
            file.write(flat[_kept(flat)].tobytes())


def _kept(flat: Bytes) -> npt.NDArray[np.bool_]:
    """All but the blanks at the end of a cell."""
    kept = flat != 32
    for place in range(flat.shape[1] - 2, -1, -1):
        after = flat[:, place + 1]
        within = (after != 59) & (after != 10) & (after != 34)
        kept[:, place] |= kept[:, place + 1] & within
    return kept


def _blocks(rows: int, seed: int) -> Iterator[Bytes]:
    rng = np.random.default_rng(seed)
    for start in range(0, rows, BLOCK):
        yield _block(rng, start, min(BLOCK, rows - start))


def _block(rng: np.random.Generator, first: int, rows: int) -> Bytes:
    block = np.full((rows, SIZE), 32, dtype=np.uint8)
    for field, (start, size) in zip(FIELDS, spans(), strict=True):
        block[:, start : start + size] = _column(rng, field, first, rows)
    return block


def _column(rng: np.random.Generator, field: dict[str, Any], first: int, rows: int) -> Bytes:
    size = field["tamanho"]
    match field["tipo"]:
        case "cpf":
            return _checked(rng.integers(0, 10, (rows, 9)), cpf=True)
        case "cnpj":
            return _checked(rng.integers(0, 10, (rows, 12)), cpf=False)
        case "dinheiro":
            return _digits(rng.integers(100, 10_000_000, rows), size)
        case "inteiro":
            return _digits(rng.integers(0, 3_000, rows), size)
        case "data":
            day = np.datetime64("1990-01-01") + rng.integers(0, 12_000, rows)
            year = day.astype("datetime64[Y]").astype(int) + 1970
            month = day.astype("datetime64[M]").astype(int) % 12 + 1
            number = (day - day.astype("datetime64[M]")).astype(int) + 1
            if field["formato"] == "aaaammdd":
                return _digits(year * 10_000 + month * 100 + number, 8)
            return _digits(number * 1_000_000 + month * 10_000 + year, 8)
        case "telefone":
            area = rng.choice([11, 21, 31, 41, 51, 71, 81], rows)
            return _digits(area * 10**9 + 9 * 10**8 + rng.integers(0, 10**8, rows), size)
        case "codigo":
            return _words(rng, list(_CODES), rows, size)
        case "uf":
            return _words(rng, _STATES, rows, size)
        case "sim_nao":
            return _words(rng, ["S", "N", "N", "N"], rows, size)
    match field["nome"]:
        case "contrato":
            return _digits(10**14 + np.arange(first, first + rows), size)
        case "email":
            mails = _digits(rng.integers(10**7, 10**8, rows), 8)
            rest = _words(rng, ["@exemplo.com.br", "@correio.exemplo.com"], rows, size - 8)
            return np.concatenate((mails, rest), axis=1)
        case "cidade":
            return _words(rng, _CITIES, rows, size)
        case "nome":
            names = [f"{a} {b} DE {c}" for a in _FIRST for b in _LAST for c in _LAST]
            return _words(rng, names, rows, size)
    return _words(rng, ["", "A", "LIVRE", "REF 12"], rows, size)


def _digits(values: npt.NDArray[Any], size: int) -> Bytes:
    powers = 10 ** np.arange(size - 1, -1, -1, dtype=np.int64)
    return (values[:, None] // powers % 10 + 48).astype(np.uint8)


def _words(rng: np.random.Generator, words: list[str], rows: int, size: int) -> Bytes:
    table = np.full((len(words), size), 32, dtype=np.uint8)
    for place, word in enumerate(words):
        table[place, : len(word)] = np.frombuffer(word.encode()[:size], dtype=np.uint8)
    return table[rng.integers(0, len(words), rows)]


def _checked(digits: npt.NDArray[Any], *, cpf: bool) -> Bytes:
    for _ in range(2):
        length = digits.shape[1]
        weights = np.arange(length, 0, -1) + 1 if cpf else 2 + np.arange(length)[::-1] % 8
        rest = (digits * weights).sum(axis=1) % 11
        digit = np.where(rest < 2, 0, 11 - rest)
        digits = np.concatenate((digits, digit[:, None]), axis=1)
    return (digits + 48).astype(np.uint8)


def one_core() -> None:
    """Bind this process to one core, so that no library takes more than its limit did."""
    import pyarrow as pa

    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
