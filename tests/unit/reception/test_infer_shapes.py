"""Samples in the shapes of Brazilian creditors, from the draft to rows without a rejected one."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from zanc_pipeline.common.codecs import cpf_check_digits
from zanc_pipeline.reception.infer import draft
from zanc_pipeline.reception.layout import Layout, SetLayout, parse_layout, unconfirmed
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.readers import read_file
from zanc_pipeline.reception.validate import validate

TODAY = dt.date(2026, 11, 24)
ROWS = 30


class Creditor:
    """Debtors and debts, the same for a seed."""

    def __init__(self) -> None:
        self._random = random.Random(411)

    def number(self, digits: int) -> str:
        return f"{self._random.randrange(10**digits):0{digits}}"

    def cpf(self) -> str:
        base = self.number(9)
        return base + cpf_check_digits(base)

    def name(self) -> str:
        first, last = ("ANA", "BRUNO", "CARLA", "DAVI"), ("LIMA", "SOUZA", "ALVES", "COSTA")
        return " ".join([self._random.choice(first), *self._random.sample(last, 2)])

    def day(self) -> dt.date:
        return dt.date(2024, 1, 1) + dt.timedelta(self._random.randrange(900))

    def cents(self) -> int:
        return self._random.randrange(1_000, 900_000)

    def mobile(self) -> str:
        return "9" + str(self._random.randrange(60_000_000, 99_999_999))

    def town(self) -> tuple[str, str]:
        return self._random.choice([("NATAL", "RN"), ("RECIFE", "PE"), ("BELEM", "PA")])


@pytest.fixture
def creditor() -> Creditor:
    return Creditor()


def drafted(folder: Path, name: str, lines: list[str]) -> tuple[str, Layout, pa.Table]:
    """The draft's text, its layout, and the rows; none of them is rejected."""
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="latin-1")
    text = draft(path, today=TODAY)
    layout = parse_layout(yaml.safe_load(text), name)
    assert not isinstance(layout, SetLayout)
    facts = next((found for one in layout.patterns if (found := one.match(name))), NameFacts())
    judged = validate(layout, read_file(layout, path, facts))
    assert not judged.examples
    return text, layout, judged.accepted


def test_a_remittance_of_cnab_400_is_cut_as_the_standard_has_it(
    creditor: Creditor, tmp_path: Path
) -> None:
    lines = ["01REMESSA01COBRANCA".ljust(46) + "CREDORA BOA SA".ljust(48) + "231126"]
    contracts = [f"CT{creditor.number(8)}" for _ in range(ROWS)]
    for contract in contracts:
        town, state = creditor.town()
        line = "10211222333000181441200055123    0000" + contract.ljust(25) + creditor.number(8)
        line += "0" * 13 + "109" + " " * 21 + "I01" + creditor.number(10)
        line += f"{creditor.day():%d%m%y}{creditor.cents():013d}341" + "0000001N" + "230524"
        line += "0" * 62 + "01" + "000" + creditor.cpf() + creditor.name().ljust(40)
        line += "RUA DO SOL 5".ljust(40) + "CENTRO".ljust(12) + creditor.number(8)
        lines.append(line + town.ljust(15) + state)
    lines.append("9")
    whole = [f"{line:<394}{place:06d}" for place, line in enumerate(lines, 1)]
    text, layout, rows = drafted(tmp_path, "CB231126.REM", whole)
    assert 'igual: "CREDORA BOA SA"' in text
    assert rows["contract"].to_pylist() == contracts
    assert {"cpf", "nome", "vencimento", "valor", "cidade", "uf", "cep"} <= {
        field.name for field in layout.fields
    }
    assert unconfirmed(layout) == ["contrato"]


def test_a_remittance_of_cnab_240_is_cut_as_the_standard_has_it(
    creditor: Creditor, tmp_path: Path
) -> None:
    lines = ["34100000".ljust(72) + "CREDORA BOA SA".ljust(71) + "23112026", "34100011R01"]
    contracts = [f"K{creditor.number(9)}" for _ in range(ROWS)]
    for place, contract in enumerate(contracts):
        town, state = creditor.town()
        line = f"34100013{2 * place + 1:05d}P 01".ljust(37) + creditor.number(20) + "11222"
        line += contract.ljust(15) + f"{creditor.day():%d%m%Y}{creditor.cents():015d}"
        lines.append(line + "00000002N23052024")
        line = f"34100013{2 * place + 2:05d}Q 0110000{creditor.cpf()}{creditor.name():<40}"
        line += "RUA DO SOL 5".ljust(40) + "CENTRO".ljust(15) + creditor.number(8)
        lines.append(line + town.ljust(15) + state)
    lines += ["34100015", "34199999"]
    _, layout, rows = drafted(tmp_path, "COB_23112026.rem", [f"{line:<240}" for line in lines])
    assert rows["contract"].to_pylist() == contracts
    assert unconfirmed(layout) == ["contrato"]


def test_delimited_records_with_children_are_told_apart(creditor: Creditor, tmp_path: Path) -> None:
    lines, total, contracts = ["H|CREDORA|23112026|000045"], 0, 0
    for person in range(ROWS):
        town, state = creditor.town()
        lines.append(f"C|{creditor.cpf()}|{creditor.name()}|{town}|{state}")
        for _ in range(1 + person % 2):
            cents = creditor.cents()
            total, contracts = total + cents, contracts + 1
            money = f"{cents // 100},{cents % 100:02}"
            lines.append(f"D|CTR{creditor.number(7)}|{money}|{creditor.day():%d/%m/%Y}")
        lines += [f"F|84|{creditor.mobile()}"] * (person % 3)
    lines.append(f"T|{contracts}|{total // 100},{total % 100:02}")
    text, layout, rows = drafted(tmp_path, "CREDORA_23112026_000045.txt", lines)
    assert layout.kind == "registros_delimitados"
    for proof in ("data_do_nome", "sequencia_do_nome", "confere: soma, de: valor", "linhas: sim"):
        assert proof in text
    assert (rows.num_rows, rows["phone_2"].null_count < rows.num_rows) == (contracts, True)


def test_a_table_whose_first_column_is_short_is_no_file_of_records(
    creditor: Creditor, tmp_path: Path
) -> None:
    lines = ["UF;CPF;NOME;CONTRATO;VALOR;VENCTO"]
    for place in range(ROWS):
        state = "AC" if place == ROWS - 1 else creditor.town()[1]
        debt = f"{creditor.number(6)};{creditor.cents() // 100},10;{creditor.day():%d/%m/%Y}"
        lines.append(f"{state};{creditor.cpf()};{creditor.name()};{debt}")
    assert drafted(tmp_path, "base_20261123.csv", lines)[1].kind == "delimitado"


def test_payments_and_phones_are_drafted_as_such(creditor: Creditor, tmp_path: Path) -> None:
    lines = ["NR_CONTRATO;DT_PAGTO;VLR_PAGO;QUITADO"]
    lines += [
        f"{creditor.number(7)};{creditor.day():%d/%m/%Y};{creditor.cents() // 100},50;{'SN'[n % 2]}"
        for n in range(ROWS)
    ]
    _, layout, _ = drafted(tmp_path, "baixas_20261124.csv", lines)
    assert (layout.content, layout.version, unconfirmed(layout)) == (
        "pagamentos", "pagamentos-1", [],
    )  # fmt: skip
    lines = [f"{creditor.cpf()}|84|{creditor.mobile()}" for _ in range(ROWS)]
    _, layout, rows = drafted(tmp_path, "FONES_20261124.txt", lines)
    assert (layout.content, layout.version, unconfirmed(layout)) == (
        "telefones", "telefones-1", [],
    )  # fmt: skip
    assert rows["phone_1"].null_count == 0


def test_a_number_too_great_for_a_debt_is_the_contract(creditor: Creditor, tmp_path: Path) -> None:
    lines = []
    for _ in range(ROWS):
        line = f"00{creditor.number(10)}{creditor.cpf()}{creditor.name():<40}"
        lines.append(f"{line}{creditor.day():%d%m%Y}{creditor.cents():011d}84{creditor.mobile()}")
    _, layout, _ = drafted(tmp_path, "VAREJO_20261123.txt", lines)
    names = {field.name: field for field in layout.fields}
    assert [getattr(names[one], "start", 0) for one in ("contrato", "valor")] == [1, 72]


@pytest.mark.parametrize(
    ("code", "number"),
    [("DDD_CEL", "NUM_CEL"), ("DDD COM", "FONE COM"), ("COD AREA", "CELULAR"), ("DDD", "NUMERO")],
)
def test_a_ddd_and_a_number_apart_are_one_phone(
    creditor: Creditor, tmp_path: Path, code: str, number: str
) -> None:
    lines = [f"CPF;NOME;CONTRATO;SALDO DEVEDOR (R$);VENCTO;{code};{number}"]
    for _ in range(ROWS):
        debt = f"{creditor.number(6)};{creditor.cents() // 100},10;{creditor.day():%d/%m/%Y}"
        lines.append(f"{creditor.cpf()};{creditor.name()};{debt};84;{creditor.mobile()}")
    _, layout, rows = drafted(tmp_path, "clientes_20261123.csv", lines)
    assert unconfirmed(layout) == []
    assert rows["phone_1"].null_count == 0
    assert [field.name for field in layout.fields][3] == "valor"
