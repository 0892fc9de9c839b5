"""``config/nao_ligar/*.csv``: people and phones that must never be called, as analysts keep them.

A file has a header and the columns ``cpf`` and ``telefone``; either may be empty in a line, and
others (the reason, the date) are only for people to read. A line that cannot be understood stops
whoever reads it: somebody who asked not to be called would be.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zanc_pipeline.common.codecs import parse_cpf, parse_phone
from zanc_pipeline.common.errors import ConfigError

MOST_PROBLEMS = 10


@dataclass(frozen=True, kw_only=True)
class Listed:
    """Whom not to call and where not to call, whatever the person."""

    cpfs: frozenset[str]
    phones: frozenset[str]


def read_lists(folder: Path, names: Literal["todas"] | Sequence[str]) -> Listed:
    """The lists called ``names`` (file names without .csv), or all of them.

    Raises ConfigError, in Portuguese, by file and line.
    """
    known = {path.stem: path for path in sorted(folder.glob("*.csv"))}
    if names != "todas":
        for name in names:
            if name not in known:
                raise ConfigError(
                    f"nunca_chamar.listas: não há config/nao_ligar/{name[:60]}.csv; existem: "
                    f"{', '.join(known) or 'nenhuma'}"
                )
        known = {name: known[name] for name in names}
    cpfs: set[str] = set()
    phones: set[str] = set()
    for path in known.values():
        _read(path, cpfs, phones)
    return Listed(cpfs=frozenset(cpfs), phones=frozenset(phones))


def _read(path: Path, cpfs: set[str], phones: set[str]) -> None:
    file = f"config/nao_ligar/{path.name}"
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    head = text.split("\n", 1)[0]
    rows = csv.reader(io.StringIO(text), delimiter=";" if ";" in head else ",")
    header = [name.strip().casefold() for name in next(rows, [])]
    if not {"cpf", "telefone"} & set(header):
        raise ConfigError(f"{file}:1: a primeira linha precisa ter as colunas cpf e telefone")
    problems = []
    try:
        for cells in rows:
            line = rows.line_num
            row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
            cpf, phone = row.get("cpf", ""), row.get("telefone", "")
            if not cpf and not phone:
                if any(cells):
                    problems.append(f"{file}:{line}: sem CPF e sem telefone")
                continue
            if cpf:
                # Spreadsheets drop the zeros at the left.
                number = parse_cpf(cpf.zfill(11) if cpf.isdecimal() else cpf)
                if number is None:
                    problems.append(f"{file}:{line}: o CPF não é válido: confira os dígitos")
                else:
                    cpfs.add(number)
            if phone:
                called = parse_phone(phone)
                if called is None:
                    problems.append(f"{file}:{line}: o telefone não é válido: escreva DDD e número")
                else:
                    phones.add(called.number)
    except csv.Error as error:
        raise ConfigError(f"{file}:{rows.line_num}: a linha não pode ser lida ({error})") from None
    if problems:
        more = len(problems) - MOST_PROBLEMS
        said = "; ".join(problems[:MOST_PROBLEMS])
        raise ConfigError(f"{said}; e mais {more} linhas" if more > 0 else said)
