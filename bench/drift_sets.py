"""Files of a set for ``bench_drift``: what is loaded of a mutated one, joined with the others.

The portfolio comes in three files: contracts, their people (by CPF) and phones (several a CPF, no
contract). One of them is mutated; the others come as they should.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from bench_drift import HASHER, Creditor, Outcome
from drift_files import (
    DAY,
    Column,
    Contract,
    LineFile,
    Part,
    TableFile,
    next_day,
    portfolio,
    shaped,
)
from drift_mutations import Case

from zanc_pipeline.reception.accepted import column_of
from zanc_pipeline.reception.drift.content import content_of
from zanc_pipeline.reception.drift.diagnose import Trial, remembered
from zanc_pipeline.reception.drift.facts import file_facts
from zanc_pipeline.reception.drift.fingerprint import ARRIVED, Fingerprint, Witness
from zanc_pipeline.reception.drift.members import Within, with_member
from zanc_pipeline.reception.layout import Layout, SetLayout, load_any_layout, parse_layout
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.readers import read_file
from zanc_pipeline.reception.sets import join_members
from zanc_pipeline.reception.validate import judge_file, validate

LAYOUT = """\
versao: "1"
vigencia: 2026-01-01
formato: conjunto
membros:
  - nome: contratos
    principal: sim
    layout:
      arquivos: "contratos*"
      formato: delimitado
      codificacao: latin-1
      separador: ";"
      campos:
        - {nome: contrato, coluna: CONTRATO}
        - {nome: cpf, coluna: CPF, tipo: cpf}
        - {nome: produto, coluna: PRODUTO}
        - {nome: valor, coluna: VALOR, tipo: dinheiro, minimo: 0.01}
        - {nome: valor_original, coluna: VALOR_ORIGINAL, tipo: dinheiro}
        - {nome: vencimento, coluna: VENCIMENTO, tipo: data}
        - {nome: emissao, coluna: EMISSAO, tipo: data}
  - nome: clientes
    chave: cpf
    layout:
      arquivos: "clientes*"
      formato: largura_fixa
      codificacao: latin-1
      tamanho_da_linha: 126
      campos:
        - {nome: cpf, tipo: cpf, inicio: 1, tamanho: 11}
        - {nome: nome, inicio: 12, tamanho: 40}
        - nome: nascimento
          tipo: data
          formato: aaaammdd
          inicio: 52
          tamanho: 8
          vazios: ["00000000"]
        - {nome: email, inicio: 60, tamanho: 40, tipo: email}
        - {nome: cidade, inicio: 100, tamanho: 25}
        - {nome: uf, inicio: 125, tamanho: 2, tipo: uf}
  - nome: telefones
    chave: cpf
    varios: sim
    layout:
      arquivos: "telefones*"
      formato: delimitado
      codificacao: utf-8
      separador: "|"
      cabecalho: não
      campos:
        - {nome: cpf, tipo: cpf, posicao: 1}
        - {nome: telefone, tipo: telefone, posicao: 2}
        - {nome: visto, tipo: data, formato: aaaa-mm-dd, posicao: 3}
"""


def _seen(one: Contract) -> date:
    """A day that belongs to a phone."""
    return date(2025, 1, 1 + int(one.phone(0)[-2:]) % 28)


FILES: dict[str, TableFile | LineFile] = {
    "contratos": TableFile(
        columns=(
            Column(title="CONTRATO", name="contrato", text=lambda c: c.contract),
            Column(title="CPF", name="cpf", text=lambda c: c.cpf),
            Column(title="PRODUTO", name="produto", text=lambda c: c.product),
            Column(title="VALOR", name="valor", text=lambda c: c.amount),
            Column(title="VALOR_ORIGINAL", name="valor_original", text=lambda c: c.original),
            Column(title="VENCIMENTO", name="vencimento", text=lambda c: c.due),
            Column(title="EMISSAO", name="emissao", text=lambda c: c.issued),
        )
    ),
    "clientes": LineFile(
        parts=(
            Part(name="cpf", size=11, text=lambda c: c.cpf),
            Part(name="nome", size=40, text=lambda c: c.name),
            Part(name="nascimento", size=8, text=lambda c: c.birth),
            Part(name="email", size=40, text=lambda c: c.email),
            Part(name="cidade", size=25, text=lambda c: c.city),
            Part(name="uf", size=2, text=lambda c: c.state),
        ),
        size=126,
    ),
    "telefones": TableFile(
        columns=(
            Column(title="CPF", name="cpf", text=lambda c: c.cpf),
            Column(title="TELEFONE", name="telefone", text=lambda c: c.phone(0)),
            Column(title="VISTO", name="visto", text=_seen),
        ),
        delimiter="|",
        encoding="utf-8",
        newline="\n",
        header=False,
        day=shaped("%Y-%m-%d"),
    ),
}
"""Member → how its file is written."""


def rows_of(member: str, contracts: Sequence[Contract]) -> list[Contract]:
    """The rows of a member's file: of phones, one a phone."""
    if member != "telefones":
        return list(contracts)
    return [replace(one, phones=(phone,)) for one in contracts for phone in one.phones]


class SetCreditor(Creditor):
    """A set of which one member is mutated: two accepted days, and the third day."""

    def __init__(self, member: str, seed: int, size: int, folder: Path) -> None:
        path = folder / "layout.yaml"
        path.write_text(LAYOUT, encoding="utf-8")
        whole = load_any_layout(path)
        assert isinstance(whole, SetLayout)
        self.whole, self.folder, self.file = whole, folder, FILES[member]
        self.member = next(one for one in whole.members if one.name == member)
        self.layout = self.member.layout
        self.key = Within(layout=whole, member=self.member).key
        self.before: Fingerprint | None = None
        day = portfolio(seed, size)
        for number in (1, 2):
            self.day = number
            found = self.judge(self.file.content(rows_of(member, day)))
            if found.kind != "fits" or found.trial.seen is None:
                raise SystemExit(f"{member}: the unchanged file of a first day is {found.kind}")
            self.before = remembered(found)
            day = next_day(day, seed, number)
        self.day, self.contracts, self.rows = 3, day, rows_of(member, day)
        self.others = {}
        for one in whole.members:
            if one.name != member:
                path = folder / one.name
                path.write_bytes(FILES[one.name].content(rows_of(one.name, day)))
                batches = read_file(one.layout, path, NameFacts())
                self.others[one.name] = validate(one.layout, batches).accepted

    def attempt(self, layout: Layout) -> Trial:
        """Read, validate and judge by one layout; ``loaded`` keeps its rows."""
        witness = Witness(HASHER, self.key)
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
            seen=witness.fingerprint(
                layout,
                file_facts(layout, self.path) | {ARRIVED: f"{DAY + timedelta(days=self.day)}"},
                self.before,
            ),
        )

    def outcome(self, case: Case) -> Outcome:
        """Judge a mutated file, and compare the portfolio that it makes with the truth."""
        found = self.judge(case.content)
        if found.kind in {"fits", "adapt"}:
            self.attempt(found.layout)
            wrong = self.wrong(found.layout, frozenset(), found.aside.keys())
            return Outcome(right=case.right, said=found.kind, wrong=wrong, aside=len(found.aside))
        if found.kind == "quarantine":
            return Outcome(right=case.right, said=found.kind)
        self.attempt(found.layout)
        wrong = self.wrong(found.layout, case.lost, ())
        return Outcome(right=case.right, said=found.kind, proposal_wrong=wrong, why=found.why)

    def wrong(self, layout: Layout, lost: Collection[str], aside: Collection[int]) -> str:
        """The first value of the joined portfolio that is not the contract's."""
        if self.loaded is None:
            return "nothing could be read"
        rows = self.loaded.accepted
        kept = [line not in aside for line in rows["line"].to_pylist()]
        name, content = self.member.name, content_of(layout)
        whole = parse_layout(with_member(self.whole, name, content), "proposta")
        assert isinstance(whole, SetLayout)
        joined = join_members(whole, {**self.others, name: rows.filter(pa.array(kept))})
        meant = {one.contract: one for one in self.contracts}
        for row in joined.accepted.to_pylist():
            one = meant.get(row["contract"])
            if one is None:
                return f"contract {row['contract']} is nobody's"
            gone = {column_of(name) for name in lost}
            for name, value in _meant(one).items():
                if name not in gone and _plain(row.get(name)) != _plain(value):
                    return f"{name} of {one.contract}: {row[name]!r}, meant {value!r}"
            for place in (1, 2, 3):
                phone, day = row.get(f"phone_{place}"), row.get(f"campo_visto_{place}")
                if phone is None and day is None:
                    continue
                own = {known: _seen(replace(one, phones=(known,))) for known in one.phones}
                if not {"telefone", "visto"} & {*lost} and own.get(phone) != day:
                    return f"phone of {one.contract}: {phone} {day}, meant {own}"
        rejected = sum(map(len, joined.rejected.values()))
        if joined.accepted.num_rows + len(aside) + rejected < 0.95 * len(meant):
            return f"{joined.accepted.num_rows} of {len(meant)} contracts"
        return ""


def _plain(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _meant(one: Contract) -> dict[str, Any]:
    return {
        "cpf": one.cpf,
        "name": one.name,
        "product": one.product,
        "amount": Decimal(one.amount).scaleb(-2),
        "due_date": one.due,
        "birth_date": one.birth,
        "email": one.email or None,
        "city": one.city,
        "state": one.state,
        "campo_valor_original": Decimal(one.original).scaleb(-2),
        "campo_emissao": one.issued,
    }
