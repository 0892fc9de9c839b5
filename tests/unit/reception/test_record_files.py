"""Files of records: CNAB, parents with children, batches, numbered and delimited records."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reception_files import CPFS

from zanc_pipeline.reception.layout import Layout, SetLayout, parse_layout
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.readers import base, read_file
from zanc_pipeline.reception.validate import Collected, validate
from zanc_pipeline.reception.vectors import convert_all


def layout_of(**keys: Any) -> Layout:
    common = {"versao": "1", "vigencia": date(2026, 1, 1), "arquivos": "x*", "codificacao": "ascii"}
    found = parse_layout({**common, "formato": "registros", **keys}, "layout.yaml")
    assert not isinstance(found, SetLayout)
    return found


CNAB_240 = layout_of(
    tamanho_da_linha=240,
    registros={
        "inicio": 8,
        "cabecalho": {
            "codigo": "0",
            "campos": [
                {"nome": "banco", "inicio": 1, "tamanho": 3, "igual": "341"},
                {
                    "nome": "gerado",
                    "tipo": "data",
                    "inicio": 144,
                    "tamanho": 8,
                    "formato": "ddmmaaaa",
                    "confere": "data_do_nome",
                },
            ],
        },
        "lote": {
            "cabecalho": {"codigo": "1", "campos": [{"nome": "lote", "inicio": 4, "tamanho": 4}]},
            "rodape": {
                "codigo": "5",
                "campos": [
                    {
                        "nome": "registros",
                        "tipo": "inteiro",
                        "inicio": 18,
                        "tamanho": 6,
                        "confere": "quantidade_de_registros",
                    },
                    {
                        "nome": "titulos",
                        "tipo": "inteiro",
                        "inicio": 24,
                        "tamanho": 6,
                        "confere": "quantidade",
                    },
                    {"nome": "total", "inicio": 30, "picture": "9(15)V99", "confere": "soma"},
                ],
            },
        },
        "detalhe": {
            "codigo": "3",
            "quando": [{"onde": 14, "igual": "P"}],
            "campos": [
                {"nome": "numero_p", "inicio": 9, "picture": "9(5)", "confere": "numero_no_lote"},
                {"nome": "contrato", "inicio": 63, "tamanho": 15},
                {
                    "nome": "vencimento",
                    "tipo": "data",
                    "inicio": 78,
                    "tamanho": 8,
                    "formato": "ddmmaaaa",
                },
                {"nome": "valor", "inicio": 86, "picture": "9(13)V99"},
            ],
        },
        "filhos": [
            {
                "nome": "sacado",
                "codigo": "3",
                "quando": [{"onde": 14, "igual": "Q"}],
                "obrigatorio": "sim",
                "campos": [
                    {
                        "nome": "numero_q",
                        "inicio": 9,
                        "picture": "9(5)",
                        "confere": "numero_no_lote",
                    },
                    {"nome": "cpf", "inicio": 19, "tamanho": 15},
                    {"nome": "nome", "inicio": 34, "tamanho": 40},
                ],
            }
        ],
        "ignorar": [{"codigo": "3", "quando": [{"onde": 14, "igual": "R"}]}],
        "rodape": {
            "codigo": "9",
            "campos": [
                {
                    "nome": "lotes",
                    "tipo": "inteiro",
                    "inicio": 18,
                    "tamanho": 6,
                    "confere": "quantidade_de_lotes",
                },
                {
                    "nome": "linhas",
                    "tipo": "inteiro",
                    "inicio": 24,
                    "tamanho": 6,
                    "confere": "quantidade_de_registros",
                },
            ],
        },
    },
)


def place(size: int, *parts: tuple[int, str]) -> str:
    """A line of ``size`` characters with texts at positions from 1."""
    line = " " * size
    for start, text in parts:
        line = line[: start - 1] + text + line[start - 1 + len(text) :]
    assert len(line) == size
    return line


def batch(number: int, cents: list[int], names: tuple[str, ...] = ("ANA",)) -> list[str]:
    lot = f"341{number:04}"
    lines = [place(240, (1, f"{lot}1"))]
    for turn, value in enumerate(cents):
        lines += [
            place(
                240,
                (1, f"{lot}3{turn * 3 + 1:05}P"),
                (63, f"C{number}{turn}"),
                (78, "31012026"),
                (86, f"{value:015}"),
            ),
            place(
                240,
                (1, f"{lot}3{turn * 3 + 2:05}Q"),
                (19, f"0000{CPFS[turn % len(CPFS)]}"),
                (34, names[turn % len(names)]),
            ),
            place(240, (1, f"{lot}3{turn * 3 + 3:05}R")),
        ]
    trailer = f"{len(lines) + 1:06}{len(cents):06}{sum(cents):017}"
    return [*lines, place(240, (1, f"{lot}5"), (18, trailer))]


def cnab_240(*batches: list[str]) -> list[str]:
    body = [line for one in batches for line in one]
    trailer = place(240, (1, "34199999"), (18, f"{len(batches):06}{len(body) + 2:06}"))
    return [place(240, (1, "34100000"), (144, "23112026")), *body, trailer]


GOOD = cnab_240(batch(1, [1000, 2050]), batch(2, [5]))


def read(
    folder: Path, layout: Layout, lines: list[str], *, facts: NameFacts | None = None
) -> Collected:
    path = folder / "x.txt"
    path.write_bytes("".join(f"{line}\r\n" for line in lines).encode("ascii"))
    return validate(layout, read_file(layout, path, facts or NameFacts()))


def test_the_segments_of_a_title_are_one_row(tmp_path: Path) -> None:
    facts = NameFacts(reference_date=date(2026, 11, 23))
    result = read(tmp_path, CNAB_240, GOOD, facts=facts)
    assert result.rows_rejected == 0
    rows = result.accepted.to_pylist()
    assert [(row["line"], row["contract"], row["cpf"], row["name"]) for row in rows] == [
        (3, "C10", CPFS[0], "ANA"),
        (6, "C11", CPFS[1], "ANA"),
        (11, "C20", CPFS[0], "ANA"),
    ]
    assert [row["amount"] for row in rows] == [Decimal("10.00"), Decimal("20.50"), Decimal("0.05")]


def test_a_group_cut_by_the_end_of_a_chunk_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read(tmp_path, CNAB_240, GOOD).accepted
    for size in (242, 500, 1000):
        monkeypatch.setattr(base, "CHUNK_BYTES", size)
        assert read(tmp_path, CNAB_240, GOOD).accepted.equals(whole)


def changed(number: int, at: int, text: str) -> list[str]:
    lines = list(GOOD)
    lines[number - 1] = place(240, (1, lines[number - 1]), (at, text))
    return lines


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (changed(1, 1, "237"), "devia trazer '341'"),
        (changed(9, 18, "000009"), "rodapé do lote diz que há 9 registros, e o lote tem 8"),
        (changed(9, 24, "000003"), "há 3 registros de detalhe, e o lote tem 2"),
        (changed(9, 30, f"{3051:017}"), "a soma de 'valor' é 30,51, e a soma das linhas é 30,50"),
        (changed(len(GOOD), 18, "000003"), "há 3 lotes, e o arquivo tem 2"),
        (changed(len(GOOD), 24, "000001"), "há 1 registros, e o arquivo tem 15"),
        (changed(3, 14, "Z"), "linha 3: o tipo de registro '3' não está no layout"),
        ([*GOOD[:5], *GOOD[6:]], "'numero_q' diz que este é o registro '00005', e é o 4"),
        ([*GOOD[:8], *GOOD[9:]], "linha 9: falta o rodapé do lote anterior"),
        ([GOOD[0], *GOOD[2:]], "linha 2: falta o cabeçalho do lote"),
        (GOOD[:9], "falta o registro de rodapé"),
        (GOOD[:7], "falta o rodapé do lote"),
        ([*GOOD, GOOD[1]], "depois do rodapé"),
        (GOOD[1:], "falta o registro de cabeçalho"),
        ([*GOOD[:2], *GOOD[3:]], "filho veio antes do detalhe"),
        ([*GOOD[:3], GOOD[3][:-1], *GOOD[4:]], "239 bytes"),
    ],
)
def test_a_file_that_does_not_prove_itself_is_rejected_whole(
    tmp_path: Path, lines: list[str], words: str
) -> None:
    with pytest.raises(FileRejected, match=words):
        read(tmp_path, CNAB_240, lines)


def test_a_title_without_its_person_is_rejected_alone(tmp_path: Path) -> None:
    lines = batch(1, [1000, 2050])
    del lines[2]
    lines = [place(240, (1, line), (9, f"{turn:05}")) for turn, line in enumerate(lines)]
    lines[-1] = place(240, (1, "34100015"), (18, f"{7:06}{2:06}{3050:017}"))
    lines[0] = place(240, (1, "34100011"))
    result = read(tmp_path, CNAB_240, cnab_240(lines))
    assert [row.line for row in result.rejected] == [3]
    assert "falta o registro 'sacado'" in result.rejected[0].problems[0].problem
    assert result.accepted["contract"].to_pylist() == ["C11"]


CNAB_400 = layout_of(
    tamanho_da_linha=400,
    registros={
        "cabecalho": {"codigo": "0", "campos": [{"nome": "n0", "inicio": 395, "picture": "9(6)"}]},
        "detalhe": {
            "codigo": "1",
            "campos": [
                {"nome": "contrato", "inicio": 38, "tamanho": 25},
                {
                    "nome": "vencimento",
                    "inicio": 121,
                    "tamanho": 6,
                    "formato": "ddmmaa",
                    "seculo": 70,
                },
                {"nome": "valor", "inicio": 127, "picture": "9(11)V99"},
                {"nome": "cpf", "inicio": 221, "tamanho": 14},
                {"nome": "nome", "inicio": 235, "tamanho": 40},
                {"nome": "n1", "inicio": 395, "picture": "9(6)", "confere": "numero_do_registro"},
            ],
        },
        "rodape": {
            "codigo": "9",
            "campos": [
                {"nome": "n9", "inicio": 395, "picture": "9(6)", "confere": "numero_do_registro"}
            ],
        },
    },
)


def cnab_400() -> list[str]:
    details = [
        place(
            400,
            (1, "1"),
            (38, f"C{turn}"),
            (121, "310126"),
            (127, f"{1000 + turn:013}"),
            (221, f"000{CPFS[turn]}"),
            (235, "BIA"),
            (395, f"{turn + 2:06}"),
        )
        for turn in range(3)
    ]
    return [place(400, (1, "0"), (395, "000001")), *details, place(400, (1, "9"), (395, "000005"))]


def test_cnab_400_is_proved_by_the_numbers_of_its_records(tmp_path: Path) -> None:
    rows = read(tmp_path, CNAB_400, cnab_400()).accepted.to_pylist()
    assert [(row["cpf"], row["due_date"], row["amount"]) for row in rows] == [
        (CPFS[turn], date(2026, 1, 31), Decimal(1000 + turn) / 100) for turn in range(3)
    ]
    lines = cnab_400()
    with pytest.raises(FileRejected, match="linha 3: 'n1' diz que este é o registro '000004'"):
        read(tmp_path, CNAB_400, [*lines[:2], *lines[3:]])


FAMILY = layout_of(
    formato="registros_delimitados",
    separador="|",
    registros={
        "detalhe": {
            "codigo": "CLI",
            "campos": [{"nome": "cpf", "posicao": 2}, {"nome": "nome", "posicao": 3}],
        },
        "filhos": [
            {
                "nome": "contrato",
                "codigo": "CON",
                "linhas": "sim",
                "campos": [
                    {"nome": "contrato", "posicao": 2},
                    {"nome": "valor", "posicao": 3},
                    {"nome": "vencimento", "posicao": 4},
                ],
            },
            {
                "nome": "fone",
                "codigo": "TEL",
                "ate": 2,
                "campos": [
                    {"nome": "telefone", "tipo": "telefone", "posicao": 3, "posicao_ddd": 2}
                ],
            },
        ],
        "rodape": {
            "codigo": "FIM",
            "campos": [
                {"nome": "clientes", "tipo": "inteiro", "posicao": 2, "confere": "quantidade"},
                {"nome": "soma", "tipo": "dinheiro", "posicao": 3, "confere": "soma"},
            ],
        },
    },
)
CLIENTS = [
    f"CLI|{CPFS[0]}|ANA",
    "CON|A1|10,00|31/01/2026",
    "CON|A2|20,00|31/01/2026",
    "TEL|11|987654321",
    "TEL|11|33334444",
    f"CLI|{CPFS[1]}|BIA",
    "CON|A3|30,00|31/01/2026",
    f"CLI|{CPFS[2]}|CAIO",
    f"CLI|{CPFS[3]}|DUDA",
    "CON|A4|40,00|31/01/2026",
    "TEL|11|987654321",
    "TEL|11|987654322",
    "TEL|11|987654323",
    "FIM|4|100,00",
]


@pytest.mark.parametrize("size", [60, 1 << 20])
def test_children_become_rows_or_columns(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "CHUNK_BYTES", size)
    result = read(tmp_path, FAMILY, CLIENTS)
    assert [
        (row["line"], row["name"], row["contract"], row["phone_1"], row["phone_2"])
        for row in result.accepted.to_pylist()
    ] == [
        (2, "ANA", "A1", "11987654321", "1133334444"),
        (3, "ANA", "A2", "11987654321", "1133334444"),
        (7, "BIA", "A3", None, None),
    ]
    assert [(row.line, row.problems[0].problem.partition(":")[0]) for row in result.rejected] == [
        (8, "falta o registro 'contrato' deste detalhe"),
        (9, "há 3 registros 'fone' neste detalhe, e o layout aceita 2"),
    ]


def test_a_separator_inside_a_text_shifts_nothing_unseen(tmp_path: Path) -> None:
    lines = [*CLIENTS[:5], f"CLI|{CPFS[1]}|BIA|SILVA", *CLIENTS[6:]]
    with pytest.raises(FileRejected, match="tem 4 colunas e os anteriores do mesmo tipo têm 3"):
        read(tmp_path, FAMILY, lines)


def test_packed_records_without_line_ends(tmp_path: Path) -> None:
    layout = layout_of(
        formato="largura_fixa",
        tamanho_da_linha=30,
        quebra_de_linha="não",
        campos=[
            {"nome": "cpf", "inicio": 1, "tamanho": 11},
            {"nome": "valor", "inicio": 12, "picture": "S9(7)V99 COMP-3"},
            {"nome": "telefone_1", "inicio": 19, "tamanho": 9, "inicio_ddd": 17},
        ],
    )
    path = tmp_path / "x"
    packed = b"\x00\x00\x0a\x0d\x0a"  # looks like line ends, and is no number either
    good = CPFS[0].encode() + b"\x00\x00\x12\x34\x5d" + b" 11987654321".ljust(14)
    path.write_bytes(good + CPFS[1].encode() + packed + b" " * 14)
    (batch_,) = read_file(layout, path, NameFacts())
    assert batch_.cells["valor"].to_pylist() == ["-000012345", "\ufffd"]
    assert batch_.cells["telefone_1"].to_pylist() == ["1\x1f198765432", "\x1f"]
    assert batch_.offset.tolist() == [0, 30]
    assert sorted(batch_.raw) == ["cpf"]  # the others' text is not their own bytes
    path.write_bytes(good[:-1])
    with pytest.raises(FileRejected, match="registros de 30 bytes: sobram 29"):
        list(read_file(layout, path, NameFacts()))


def test_a_phone_with_its_ddd_elsewhere_is_a_phone(tmp_path: Path) -> None:
    layout = layout_of(
        formato="largura_fixa",
        tamanho_da_linha=22,
        campos=[
            {"nome": "cpf", "inicio": 1, "tamanho": 11, "tipo": "cpf"},
            {
                "nome": "telefone_1",
                "inicio": 14,
                "tamanho": 9,
                "inicio_ddd": 12,
                "tipo": "telefone",
            },
        ],
    )
    path = tmp_path / "x"
    path.write_bytes(b"".join(f"{cpf}84987654321\n".encode() for cpf in CPFS))
    (found,) = read_file(layout, path, NameFacts())
    columns = convert_all(layout.fields, found)
    assert set(columns["telefone_1"].values.to_pylist()) == {"84987654321"}


@pytest.mark.parametrize(
    ("layout", "lines"), [(CNAB_240, GOOD), (CNAB_400, cnab_400()), (FAMILY, CLIENTS)]
)
@given(place=st.integers(0, 4000), noise=st.binary(max_size=30), keep=st.integers(0, 500))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_records_never_crash_nor_load_what_was_not_sent(
    tmp_path: Path, layout: Layout, lines: list[str], place: int, noise: bytes, keep: int
) -> None:
    sample = "".join(f"{line}\r\n" for line in lines).encode()
    path = tmp_path / "x"
    path.write_bytes(sample[:place] + noise + sample[place + keep :])
    try:
        found = validate(layout, read_file(layout, path, NameFacts()))
    except FileRejected:
        return
    assert set(found.accepted["cpf"].to_pylist()) <= set(CPFS)
