"""History, order, content, the CRM, decisions, corrections: a file judged beyond its rows."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from zanc_pipeline.cli import cli
from zanc_pipeline.common.codecs import cpf_check_digits
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import ConflictError, DataError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import outputs, service

pytestmark = pytest.mark.integration

HEADER = (
    "CPF;NOME;CONTRATO;PRODUTO;VALOR;VENCIMENTO;NASCIMENTO;EMAIL;CIDADE;UF;"
    "DDD1;FONE1;DDD2;FONE2;DDD3;FONE3;OBITO"
)
Send = Callable[..., service.Delivery]


def cpf(number: int) -> str:
    base = f"{number + 1:09}"
    return base + cpf_check_digits(base)


def row(number: int, **cells: str) -> dict[str, str]:
    return {
        "CPF": cpf(number),
        "NOME": f"Ana {number}",
        "CONTRATO": f"00{number:06}",
        "PRODUTO": "X",
        "VALOR": "1.000,00",
        "VENCIMENTO": "31/01/2026",
        "DDD1": "84",
        "FONE1": "987654321",
        "OBITO": "N",
    } | cells


def aurora(rows: list[dict[str, str]]) -> bytes:
    titles = HEADER.split(";")
    lines = [HEADER, *(";".join(one.get(title, "") for title in titles) for one in rows)]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


def loja(sequence: int, day: str = "23112026", rows: int = 3) -> bytes:
    def line(*parts: tuple[str, int]) -> str:
        return "".join(f"{text:<{size}}" for text, size in parts).ljust(200)

    lines = [line(("0HORIZONTE ", 11), (day, 8), (f"{sequence:06}", 6))]
    lines += [
        line(
            ("1", 1),
            (cpf(1000 * sequence + number), 11),
            ("Ana", 40),
            (f"LH{sequence}-{number}", 15),
            ("X", 15),
            ("000000010000", 12),
            ("31012026", 8),
            ("", 33),
            ("Natal", 25),
            ("RN", 2),
            ("N", 1),
        )
        for number in range(rows)
    ]
    lines.append(line(("9", 1), (f"{rows:08}", 8), (f"{rows * 10000:016}", 16)))
    return "".join(f"{one}\n" for one in lines).encode("ascii")


@pytest.fixture(scope="module")
def stack(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The stack with its own copy of the convênios, so that treatments can be added."""
    config = tmp_path_factory.mktemp("config")
    shutil.copytree(settings.config, config, dirs_exist_ok=True)
    return settings.model_copy(update={"config": config})


@pytest.fixture(autouse=True)
def nothing_received(settings: Settings) -> None:
    with transaction(settings, "zanc") as cursor:
        cursor.execute("TRUNCATE reception.delivery, crm.contract, crm.person, crm.load CASCADE")


@pytest.fixture
def send(stack: Settings, tmp_path: Path) -> Send:
    def run(name: str, content: bytes, convenio: str = "banco_aurora") -> service.Delivery:
        path = tmp_path / name
        path.write_bytes(content)
        return service.receive(stack, path, convenio)

    return run


@pytest.fixture
def in_crm(stack: Settings) -> Callable[..., None]:
    """Puts contracts as they were sent into the CRM's mirror."""

    def run(rows: list[dict[str, str]], convenio: str = "banco_aurora") -> None:
        with transaction(stack, "zanc") as cursor:
            for one in rows:
                cursor.execute(
                    "INSERT INTO crm.person (cpf, name) VALUES (%s, 'Ana') ON CONFLICT DO NOTHING",
                    (one["CPF"],),
                )
                cursor.execute(
                    "INSERT INTO crm.contract (convenio, contract, crm, cpf, amount, due_date,"
                    " delivery_id) VALUES (%s, %s, 'norma', %s, 1000, '2026-01-31', 1)",
                    (convenio, one["CONTRATO"], one["CPF"]),
                )

    return run


@pytest.fixture
def patient(stack: Settings) -> Iterator[None]:
    """A layout under which rejected rows alone hold no file."""
    path = stack.config / "convenios" / "banco_aurora" / "layout.yaml"
    usual = path.read_text(encoding="utf-8")
    path.write_text(usual.replace("rejeicao_maxima: 0.05", "rejeicao_maxima: 0.99"), "utf-8")
    yield
    path.write_text(usual, encoding="utf-8")


def report(stack: Settings, delivery: service.Delivery) -> str:
    path = service.report_path(stack, delivery, "text")
    assert path is not None
    return path.read_text(encoding="utf-8")


def test_the_same_rows_in_another_order_are_a_duplicate_and_one_cent_is_not(
    stack: Settings, send: Send
) -> None:
    rows = [row(number) for number in range(60)]
    first = send("AURORA_20261123.csv", aurora(rows))
    again = send("AURORA_20261124.csv", aurora(rows[::-1]))
    assert (again.status, again.duplicate_of) == ("duplicate", first.id)
    assert "mesmas linhas" in (again.reason or "")
    rows[5]["VALOR"] = "1.000,01"
    assert send("AURORA_20261125.csv", aurora(rows[::-1])).status == "accepted"


def test_a_file_far_from_the_usual_volume_waits_for_a_decision_that_is_recorded(
    stack: Settings, send: Send
) -> None:
    rows = [row(number) for number in range(130)]
    with transaction(stack, "zanc") as cursor:
        for day, count in enumerate((120, 121, 120, 122, 120, 119, 120, 121), start=10):
            cursor.execute(
                "INSERT INTO reception.delivery (convenio, file_name, sha256, size_bytes, status,"
                " reference_date, rows_total, content_digest)"
                " VALUES ('banco_aurora', 'x', %s, 1, 'loaded', %s, %s, %s)",
                (str(day), f"2026-11-{day}", count, str(day)),
            )
    held = send("AURORA_20261118.csv", aurora(rows[:80]))
    assert (held.status, held.rules) == ("quarantined", ["volume"])
    assert "esperado: de 84 a 156 linhas" in (held.reason or "")
    assert "zanc reception accept" in report(stack, held)
    with pytest.raises(DataError, match="de quem decidiu"):
        service.accept(stack, held.id, ["volume"], by=" ", reason="x")
    done = service.accept(stack, held.id, ["volume"], by="Ana", reason="venderam a carteira")
    assert done.status == "accepted"
    assert "aceito por Ana" in report(stack, done)
    assert [one.rule for one in service.decisions(stack, held.id)] == ["volume"]
    # What a person accepted is the new measure.
    assert send("AURORA_20261119.csv", aurora(rows[:79])).status == "accepted"


def test_all_rules_that_hold_a_file_are_said_at_once_and_accepted_by_one_command(
    stack: Settings, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row(number) for number in range(120)]
    assert send("AURORA_20261117.csv", aurora(rows)).status == "accepted"
    # Few came again, of those a third is invalid, and the names are those of other people.
    few = [one | {"NOME": rows[-place]["NOME"]} for place, one in enumerate(rows[:40], start=1)]
    for one in few[:13]:
        one["CPF"] = "11111111111"
    held = send("AURORA_20261118.csv", aurora(few))
    assert held.status == "quarantined" and {"rejeicao", "volume", "aspecto"} <= {*held.rules}
    for words in ("13 de 40 linhas foram rejeitadas", "40 linhas", "não se parece"):
        assert words in (held.reason or "")
    monkeypatch.setattr("zanc_pipeline.reception.cli.settings", lambda: stack)
    options = " ".join(f"--rule {rule}" for rule in held.rules)
    command = f"zanc reception accept {held.id} {options} --by NOME --reason MOTIVO"
    assert command in report(stack, held)
    run: Any = CliRunner().invoke
    assert command in run(cli, ["reception", "replay", str(held.id)]).output
    words = command.replace("NOME", "Ana").replace("MOTIVO", "confirmado").split()[1:]
    assert "27 de 40 linhas aceitas" in run(cli, words).output
    assert service.get_delivery(stack, held.id).status == "accepted"


def test_an_older_file_does_not_follow_a_newer_one(stack: Settings, send: Send) -> None:
    newer = send("AURORA_20261123.csv", aurora([row(1), row(2)]))
    older = send("AURORA_20261120.csv", aurora([row(1), row(3)]))
    assert (older.status, older.rules) == ("quarantined", [])
    assert f"zanc crm rollback {newer.id}" in (older.reason or "")
    with transaction(stack, "zanc") as cursor:
        cursor.execute(
            "INSERT INTO crm.load (delivery_id, convenio, crm, status)"
            " VALUES (%s, 'banco_aurora', 'norma', 'rolled_back')",
            (newer.id,),
        )
    assert service.replay(stack, older.id).status == "accepted"


def test_files_wait_for_the_one_that_is_missing_and_follow_in_order(
    stack: Settings, send: Send
) -> None:
    shop = "loja_horizonte"
    assert send("LHZ_20261123_0001.rem", loja(1), shop).status == "accepted"
    fourth = send("LHZ_20261123_0004.rem", loja(4), shop)
    third = send("LHZ_20261123_0003.rem", loja(3), shop)
    assert (fourth.status, third.status) == ("held", "held")
    assert "aguardando os arquivos 2 a 3" in (fourth.reason or "")
    assert "À ESPERA" in report(stack, fourth)
    assert send("AURORA_20261123.csv", aurora([row(1)])).status == "accepted"
    assert send("LHZ_20261123_0002.rem", loja(2), shop).status == "accepted"
    done = [service.get_delivery(stack, one.id) for one in (third, fourth)]
    assert [one.status for one in done] == ["accepted", "accepted"]
    assert (done[0].finished_at or 0) < (done[1].finished_at or 0)
    late = send("LHZ_20261123_0001.rem", loja(1, rows=4), shop)
    assert (late.status, late.rules) == ("quarantined", ["sequencia"])


def test_a_person_lets_a_waiting_file_go_on(
    stack: Settings, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = "loja_horizonte"
    send("LHZ_20261123_0001.rem", loja(1), shop)
    waiting = send("LHZ_20261123_0003.rem", loja(3), shop)
    monkeypatch.setattr("zanc_pipeline.reception.cli.settings", lambda: stack)
    released = CliRunner().invoke(
        cli,
        ["reception", "release", str(waiting.id), "--by", "Ana", "--reason", "o 2 não existe"],
    )
    assert released.exit_code == 0, released.output
    assert service.get_delivery(stack, waiting.id).status == "accepted"
    with pytest.raises(ConflictError, match="só uma à espera"):
        service.release(stack, waiting.id, by="Ana", reason="x")


def test_a_file_in_another_convenios_folder_is_named(stack: Settings, send: Send) -> None:
    by_name = send("LHZ_20261123_0001.rem", loja(1))
    assert "o cabeçalho dele é o dos arquivos de 'loja_horizonte'" in (by_name.reason or "")
    by_name = send("ESUL20261123.txt", b"x\n")
    assert "o nome dele é o dos arquivos de 'energia_sul'" in (by_name.reason or "")


@pytest.mark.parametrize(
    ("change", "rules", "words"),
    [
        (lambda n: {"VALOR": "10,00"}, ["valores", "divida"], "R$ 60.000,00 a R$ 600,00"),
        (lambda n: {"VENCIMENTO": "28/02/2026"}, ["vencimentos"], "60 de 60 (100 %)"),
        (lambda n: {"CPF": cpf(n + 1)}, ["cpf"], "vieram com outro CPF"),
        (lambda n: {"CONTRATO": f"9{n}"}, ["carteira"], "sairiam da carteira"),
    ],
)
@pytest.mark.usefixtures("patient")
def test_a_file_that_contradicts_the_crm_is_held(
    stack: Settings,
    send: Send,
    in_crm: Callable[..., None],
    change: Callable[[int], dict[str, str]],
    rules: list[str],
    words: str,
) -> None:
    rows = [row(number) for number in range(60)]
    in_crm(rows)
    changed = [one | change(number) for number, one in enumerate(rows)]
    changed[0] = rows[0]
    if rules != ["cpf"]:
        changed = [one | change(number) for number, one in enumerate(rows)]
    held = send("AURORA_20261123.csv", aurora(changed))
    assert (held.status, held.rules) == ("quarantined", rules)
    assert words in (held.reason or "")
    assert cpf(1) not in report(stack, held)
    assert service.accept(stack, held.id, rules, by="Ana", reason="sim").status == "accepted"


def test_a_portfolio_of_another_convenio_is_told_by_its_contracts(
    send: Send, in_crm: Callable[..., None]
) -> None:
    rows = [row(number) for number in range(60)]
    in_crm(rows, "energia_sul")
    strange = send("AURORA_20261123.csv", aurora(rows))
    assert (strange.status, strange.rules) == ("quarantined", ["remetente"])
    assert "contratos de 'energia_sul'" in (strange.reason or "")


def test_a_contract_with_another_cpf_costs_its_row_only(
    stack: Settings, send: Send, in_crm: Callable[..., None]
) -> None:
    rows = [row(number) for number in range(120)]
    in_crm(rows)
    rows[7]["CPF"] = cpf(500)
    done = send("AURORA_20261123.csv", aurora(rows))
    assert (done.status, done.rows_accepted, done.rows_rejected) == ("accepted", 119, 1)
    assert "com outro CPF (*********" in report(stack, done)
    fixed = corrected(stack, done, lambda cells: cells)
    again = service.resubmit(stack, done.id, fixed)
    assert (again.status, again.rules) == ("quarantined", ["cpf"])
    last = service.accept(stack, again.id, ["cpf"], by="Ana", reason="cessão da dívida")
    assert (last.status, last.rows_accepted) == ("accepted", 120)


def test_a_contract_of_another_convenio_costs_its_row_only(
    stack: Settings, send: Send, in_crm: Callable[..., None]
) -> None:
    rows = [row(number) for number in range(120)]
    in_crm(rows[:100])
    in_crm(rows[110:112], "energia_sul")
    in_crm(rows[112:114], "telecom_brisa")
    with transaction(stack, "zanc") as cursor:  # sold: that creditor does not send it any more
        cursor.execute("UPDATE crm.contract SET status = 'removed' WHERE convenio LIKE 'tele%'")
    done = send("AURORA_20261123.csv", aurora(rows))
    assert (done.status, done.rows_accepted, done.rows_rejected) == ("accepted", 118, 2)
    assert "como do convênio 'energia_sul': confirme" in report(stack, done)
    again = service.resubmit(stack, done.id, corrected(stack, done, lambda cells: cells))
    assert (again.status, again.rules) == ("quarantined", ["remetente"])
    last = service.accept(stack, again.id, ["remetente"], by="Ana", reason="cessão da dívida")
    assert (last.status, last.rows_accepted) == ("accepted", 120)


def corrected(
    stack: Settings,
    delivery: service.Delivery,
    change: Callable[[dict[str, str]], dict[str, str] | None],
    *,
    encoding: str = "cp1252",
    delimiter: str = ";",
) -> Path:
    """The rejeitadas.csv of a delivery as a clerk saves it from a Brazilian Excel."""
    source = stack.var / "deliveries" / str(delivery.id) / outputs.REJECTED
    rows = list(csv.DictReader(io.StringIO(source.read_text("utf-8-sig")), delimiter=";"))
    kept = [cells for cells in map(change, rows) if cells is not None]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(kept)
    target = stack.var / f"corrigidas-{delivery.id}.csv"
    target.write_bytes(text.getvalue().encode(encoding))
    return target


def test_corrected_rows_come_back_into_their_portfolio_once(stack: Settings, send: Send) -> None:
    rows = [row(number) for number in range(100)]
    rows[3] |= {"CPF": "123", "NOME": "=HYPERLINK(1)"}
    rows[4] |= {"VALOR": "mil", "NOME": "José"}
    rows[5] |= {"VENCIMENTO": "31/02/2026"}
    content = aurora(rows).replace(f"{cpf(6)};Ana 6".encode(), f"{cpf(6)};;Ana 6".encode())
    original = send("AURORA_20261123.csv", content)
    assert (original.status, original.rows_accepted, original.rows_rejected) == ("accepted", 96, 4)

    def change(cells: dict[str, str]) -> dict[str, str] | None:
        match cells["linha"]:
            case "5":
                assert cells["nome"] == "'=HYPERLINK(1)"
                assert cells["contrato"] == "'00000003"
                return cells | {"cpf": cpf(3)}
            case "6":
                return cells | {"valor": "1000,00"}
            case "8":
                assert cells["linha_original"].startswith(cpf(6) + ";;Ana")
                good = {"cpf": cpf(6), "nome": "Ana 6", "contrato": "'00000006"}
                return cells | good | {"valor": "5,00", "vencimento": "31/01/2026", "obito": "N"}
            case _:
                return None

    path = corrected(stack, original, change)
    child = service.resubmit(stack, original.id, path)
    assert (child.status, child.corrects) == ("accepted", original.id)
    assert (child.rows_total, child.rows_accepted, child.rows_rejected) == (100, 99, 1)
    assert f"Corrige a entrega    {original.id}" in report(stack, child)
    assert service.resubmit(stack, original.id, path) == child

    table = pq.read_table(stack.var / "deliveries" / str(child.id) / outputs.ACCEPTED)
    found = {line: at for at, line in enumerate(table["line"].to_pylist())}
    assert len(found) == 99
    assert sorted(found) == table["line"].to_pylist()
    assert table["name"][found[5]].as_py() == "=HYPERLINK(1)"
    assert table["contract"][found[5]].as_py() == "00000003"
    assert table["phone_1"][found[5]].as_py() == "84987654321"
    assert table["name"][found[6]].as_py() == "José"
    assert str(table["amount"][found[8]].as_py()) == "5.00"

    last = corrected(stack, child, lambda cells: cells | {"vencimento": "28/02/2026"})
    with pytest.raises(ConflictError, match=f"já foi corrigida pela entrega {child.id}"):
        service.resubmit(stack, original.id, last)
    grandchild = service.resubmit(stack, child.id, last)
    assert (grandchild.status, grandchild.rows_accepted) == ("accepted", 100)
    # A newer portfolio came: nothing older replaces it.
    newer = send("AURORA_20261124.csv", aurora([row(number) for number in range(100)]))
    assert newer.status == "accepted"


def test_a_correction_of_a_file_that_was_held_for_its_rejected_rows(
    stack: Settings, send: Send
) -> None:
    rows = [row(number) for number in range(20)]
    for one in rows[:5]:
        one["VALOR"] = "?"
    held = send("AURORA_20261123.csv", aurora(rows))
    assert (held.status, held.rules) == ("quarantined", ["rejeicao"])
    path = corrected(stack, held, lambda cells: cells | {"valor": "1,00"}, encoding="utf-8-sig")
    assert service.resubmit(stack, held.id, path).rows_accepted == 20
    with pytest.raises(ConflictError, match="já foi corrigida"):
        service.replay(stack, held.id)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda cells: cells | {"linha": "3"}, "a linha 3 do original não foi rejeitada"),
        (lambda cells: cells | {"linha": "x"}, "não a mude"),
        (lambda cells: cells | {"contrato": "1,23E+11"}, "perdeu algarismos"),
        (lambda cells: None, "nenhuma linha corrigida"),
    ],
)
def test_a_file_that_is_no_correction_is_refused_with_its_line(
    stack: Settings,
    send: Send,
    change: Callable[[dict[str, str]], dict[str, str] | None],
    words: str,
) -> None:
    rows = [row(number) for number in range(40)]
    rows[0]["CPF"] = "1"
    original = send("AURORA_20261123.csv", aurora(rows))
    with pytest.raises(DataError, match=words):
        service.resubmit(stack, original.id, corrected(stack, original, change))
    assert len(service.list_deliveries(stack)) == 1


@pytest.fixture
def treatment(stack: Settings) -> Iterator[Path]:
    path = stack.config / "convenios" / "banco_aurora" / "tratamento.py"
    yield path
    path.unlink(missing_ok=True)


def test_a_treatment_cleans_a_file_and_everything_it_did_is_said(
    stack: Settings, send: Send, treatment: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    treatment.write_text(
        "def tratar(df):\n"
        "    df['valor'] = df['valor'].str.replace('BRL', '').str.strip()\n"
        "    return df[df['nome'] != 'TOTAL']\n",
        encoding="utf-8",
    )
    rows = [row(number, VALOR="BRL 10,00") for number in range(30)]
    rows.append({"NOME": "TOTAL", "VALOR": "300,00"})
    path = tmp_path / "AURORA_20261123.csv"
    path.write_bytes(aurora(rows))

    monkeypatch.setattr("zanc_pipeline.reception.cli.settings", lambda: stack)
    run: Any = CliRunner().invoke
    tried = run(cli, ["reception", "treat", str(path), "--convenio", "banco_aurora"])
    assert tried.exit_code == 0, tried.output
    assert 'linha 2: "BRL 10,00" → "10,00"' in tried.output
    assert "retiradas pelo tratamento: 1 (linhas do arquivo: 32)" in tried.output
    assert "linhas válidas: 0 sem o tratamento, 30 com ele" in tried.output
    assert service.list_deliveries(stack) == []

    done = service.receive(stack, path, "banco_aurora")
    assert (done.status, done.rows_accepted, done.rows_removed) == ("accepted", 30, 1)
    assert "valor: mudou em 30 linhas" in report(stack, done)
    folder = stack.var / "deliveries" / str(done.id)
    assert "32;;TOTAL" in (folder / outputs.REMOVED).read_text("utf-8-sig")
    table = pq.read_table(folder / outputs.ACCEPTED)
    assert table["line"].to_pylist() == list(range(2, 32))
    assert table["phone_1"][0].as_py() == "84987654321"


SET = """
versao: "1"
vigencia: 2026-01-01
formato: conjunto
membros:
  - nome: contratos
    principal: sim
    layout:
      arquivos: contratos_{aaaammdd}.csv
      formato: delimitado
      codificacao: utf-8
      separador: ";"
      campos:
        - {nome: cpf, tipo: cpf}
        - {nome: contrato}
        - {nome: valor, tipo: dinheiro}
        - {nome: vencimento, tipo: data}
  - nome: clientes
    chave: cpf
    layout:
      arquivos: clientes_{aaaammdd}.csv
      formato: delimitado
      codificacao: utf-8
      separador: ";"
      campos:
        - {nome: cpf, tipo: cpf}
        - {nome: nome}
  - nome: telefones
    chave: contrato
    varios: sim
    layout:
      arquivos: telefones_{aaaammdd}.csv
      formato: delimitado
      codificacao: utf-8
      separador: ";"
      campos:
        - {nome: contrato}
        - {nome: telefone, tipo: telefone}
"""


@pytest.fixture
def grupo(stack: Settings) -> Iterator[dict[str, bytes]]:
    """A convênio that sends its portfolio in three files; the files of one day."""
    folder = stack.config / "convenios" / "grupo"
    folder.mkdir()
    (folder / "convenio.yaml").write_text("nome: Grupo\ncrm: norma\n", encoding="utf-8")
    (folder / "layout.yaml").write_text(SET, encoding="utf-8")
    stack.__dict__.pop("convenios", None)
    contracts = [f"{cpf(number)};A{number};10,00;31/01/2026" for number in range(40)]
    clients = [f"{cpf(number)};Ana {number}" for number in range(1, 40)]
    yield {
        "contratos_20261123.csv": "\n".join(
            ["cpf;contrato;valor;vencimento", *contracts, ""]
        ).encode(),
        "clientes_20261123.csv": "\n".join(["cpf;nome", *clients, ""]).encode(),
        "telefones_20261123.csv": b"contrato;telefone\nA1;84987654321\nA99;84987654321\n",
    }
    shutil.rmtree(folder)
    stack.__dict__.pop("convenios", None)


def test_the_files_of_a_set_wait_for_each_other_and_become_one_portfolio(
    stack: Settings, send: Send, grupo: dict[str, bytes]
) -> None:
    names = list(grupo)
    main = send(names[0], grupo[names[0]], "grupo")
    assert (main.status, main.rules) == ("held", ["conjunto"])
    assert "clientes (clientes_{aaaammdd}.csv), telefones" in (main.reason or "")
    old = send(names[2], b"contrato;telefone\n", "grupo")
    newer = send(names[2], grupo[names[2]], "grupo")
    assert {old.status, newer.status} == {"quarantined", "held"}
    clients = send(names[1], grupo[names[1]], "grupo")
    assert clients.status == "joined"
    done = service.get_delivery(stack, main.id)
    assert (done.status, done.rows_accepted, done.rows_rejected) == ("accepted", 39, 1)
    phones = service.get_delivery(stack, newer.id)
    assert (phones.status, phones.rows_rejected) == ("joined", 1)
    assert "JUNTADO" in report(stack, phones)
    table = pq.read_table(stack.var / "deliveries" / str(done.id) / outputs.ACCEPTED)
    first = table.slice(0, 1).to_pylist()[0]
    assert (first["contract"], first["name"]) == ("A1", "Ana 1")
    assert first["phone_1"] == "84987654321"
    rejected = stack.var / "deliveries" / str(done.id) / outputs.REJECTED
    assert "não há linha com esta chave em 'clientes'" in rejected.read_text("utf-8-sig")
    with pytest.raises(ConflictError, match="é de um conjunto"):
        service.resubmit(stack, done.id, rejected)
    # The remedy: the whole set again, with one file of it corrected, then once more as it was.
    grupo[names[2]] = grupo[names[2]].replace(b"A99", b"A9")
    again = [send(name, grupo[name], "grupo") for name in names]
    assert f"a entrega {done.id} já trouxe este mesmo arquivo" in (again[0].reason or "")
    assert service.get_delivery(stack, again[0].id).status == "accepted"
    assert [again[2].status, again[2].rows_rejected] == ["joined", 0]
    repeated = [send(name, grupo[name], "grupo") for name in names]
    assert service.get_delivery(stack, repeated[0].id).status == "duplicate"


def test_a_person_lets_a_set_go_on_without_the_phones(
    stack: Settings, send: Send, grupo: dict[str, bytes]
) -> None:
    names = list(grupo)
    main = send(names[0], grupo[names[0]], "grupo")
    assert service.release(stack, main.id, by="Ana", reason="sem fones").status == "held"
    assert send(names[1], grupo[names[1]], "grupo").status == "joined"
    assert service.get_delivery(stack, main.id).status == "accepted"
