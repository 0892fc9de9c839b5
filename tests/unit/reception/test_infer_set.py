"""Several samples become the layout of one set; odd columns of a sample are not in the way."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import openpyxl
import pytest
import yaml
from reception_files import CPFS

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.reception.infer import draft
from zanc_pipeline.reception.infer_set import draft_set
from zanc_pipeline.reception.infer_types import named_type
from zanc_pipeline.reception.layout import Layout, SetLayout, parse_layout
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.readers import read_file
from zanc_pipeline.reception.sets import join_members
from zanc_pipeline.reception.validate import validate

TODAY = dt.date(2026, 11, 24)


def sample(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def the_set(folder: Path) -> list[Path]:
    names = dict(zip(CPFS[:3], ("Ana", "Bia", "Caio"), strict=True))
    people = [f"{cpf};{name};São Paulo" for cpf, name in names.items()]
    phones = [f"{cpf};1198765432{place}" for place, cpf in enumerate([*CPFS[:3], CPFS[0]])]
    debts = [
        f"A{place};{cpf};1.0{place}0,50;{place + 10}/11/2026;Ouro"
        for place, cpf in enumerate(CPFS[:3])
    ]
    return [
        sample(folder / "fones_20261123.csv", ["cpf;celular", *phones]),
        sample(folder / "clientes_20261123.csv", ["cpf;nome;produto", *people]),
        sample(folder / "dividas_20261123.csv", ["contrato;cpf;valor;vencimento;produto", *debts]),
    ]


def test_samples_of_a_set_become_a_layout_by_which_they_join(tmp_path: Path) -> None:
    paths = the_set(tmp_path)
    layout = parse_layout(yaml.safe_load(draft_set(paths, today=TODAY)), "rascunho")
    assert isinstance(layout, SetLayout)
    assert [(one.name, one.main, one.key, one.many) for one in layout.members] == [
        ("dividas", True, (), False),
        ("fones", False, ("cpf",), True),
        ("clientes", False, ("cpf",), False),
    ]
    tables = {}
    for one in layout.members:
        path = next(path for path in paths if path.name.startswith(one.name))
        tables[one.name] = validate(one.layout, read_file(one.layout, path, NameFacts())).accepted
    rows = join_members(layout, tables).accepted.to_pylist()
    assert [(row["contract"], row["name"], row["phone_1"], row["phone_2"]) for row in rows] == [
        ("A0", "Ana", "11987654320", "11987654323"),
        ("A1", "Bia", "11987654321", None),
        ("A2", "Caio", "11987654322", None),
    ]
    # Both have a 'produto', of which one would be lost: it is told apart.
    assert rows[0]["product"] == "Ouro" and rows[0]["campo_produto_clientes"] == "São Paulo"


def test_a_file_that_joins_no_other_is_named(tmp_path: Path) -> None:
    paths = the_set(tmp_path)
    lost = sample(tmp_path / "agenda.csv", ["dia;cidade", "x;Natal", "y;Recife"])
    with pytest.raises(DataError, match="nenhum campo de 'agenda'"):
        draft_set([*paths, lost], today=TODAY)
    again = sample(tmp_path / "fones_20261124.csv", ["cpf;celular"])
    with pytest.raises(DataError, match="uma só de cada arquivo"):
        draft_set([*paths, again], today=TODAY)


def test_a_column_without_title_and_values_is_not_in_the_way(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.append([None, "Posição de 23/11"])
    page.append([None, "Nome", "CPF", "Contrato", "Valor", "Vencimento", "Telefone 2", "Parcela"])
    for place, cpf in enumerate(CPFS[:3]):
        page.append([None, "Ana", cpf, f"A{place}", 10.5, TODAY, None, 9 + place])
    path = tmp_path / "posicao.xlsx"
    book.save(path)
    layout = parse_layout(yaml.safe_load(draft(path, today=TODAY)), "rascunho")
    assert (
        isinstance(layout, Layout)
        and validate(layout, read_file(layout, path, NameFacts())).rows_accepted == 3
    )
    types = {field.name: field.type for field in layout.fields}
    assert (types["telefone_2"], types["parcela"]) == ("telefone", "inteiro")


@pytest.mark.parametrize(
    ("title", "values", "type_"),
    [
        ("DIAS_ATRASO", ["5", "12", "340"], "inteiro"),
        ("Dias em atraso", ["120", "340"], "inteiro"),
        ("Cód. Loja", ["5", "12", "340"], "texto"),
        ("CONTRATO", ["5", "12", "340"], "texto"),
        ("FAIXA", ["10", "20", "30"], "texto"),
        ("PARCELA", ["01", "02", "10"], "texto"),
        ("DT_VENC", ["46053", "45998"], "data"),
        ("LOTE", ["46053", "45998"], "texto"),
    ],
)
def test_numbers_that_count_are_no_codes(title: str, values: list[str], type_: str) -> None:
    assert named_type(title, values).type == type_


def test_a_running_number_is_not_taken_for_the_contract(tmp_path: Path) -> None:
    lines = [
        f"{place + 1},00{place}77{place},{cpf},Ana Maria" for place, cpf in enumerate(CPFS[:4])
    ]
    found = yaml.safe_load(draft(sample(tmp_path / "x.csv", lines * 1), today=TODAY))
    assert [one["nome"] for one in found["campos"]][:2] == ["coluna_1", "contrato"]
