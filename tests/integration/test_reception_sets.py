"""A set of files one of which changes: adapted when proved, else proposed, approved and joined."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from zanc_pipeline.cli import cli
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import service
from zanc_pipeline.reception.drift import proposals
from zanc_pipeline.reception.layout import load_any_layout
from zanc_pipeline.reception.ledger import Delivery

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from drift_files import Contract, next_day, portfolio
from drift_sets import FILES, LAYOUT, rows_of

pytestmark = pytest.mark.integration

Send = Callable[..., dict[str, Delivery]]
DAYS = [portfolio(5, 60)]
DAYS += [next_day(DAYS[0], 5, 1)]


@pytest.fixture
def grupo(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Settings with a convênio that sends its portfolio in three files, and nothing received."""
    config = tmp_path / "config"
    shutil.copytree(settings.config, config)
    own = settings.model_copy(update={"config": config})
    own.__dict__.pop("convenios", None)
    folder = config / "convenios" / "grupo"
    folder.mkdir()
    (folder / "convenio.yaml").write_text("nome: Grupo\ncrm: norma\n", encoding="utf-8")
    text = LAYOUT
    for name in FILES:
        text = text.replace(f'"{name}*"', f'"{name}_{{aaaammdd}}.txt"')
    (folder / "layout.yaml").write_text(text, encoding="utf-8")
    with transaction(own, "zanc") as cursor:
        cursor.execute("TRUNCATE reception.delivery CASCADE")
    for module in ("reception.cli", "reception.drift.cli"):
        monkeypatch.setattr(f"zanc_pipeline.{module}.settings", lambda: own)
    yield own
    shutil.rmtree(own.var / "layouts", ignore_errors=True)


@pytest.fixture
def send(grupo: Settings, tmp_path: Path) -> Send:
    """Sends the files of a day, some of them written otherwise; the first day was accepted."""

    def sent(
        day: int, contracts: list[Contract], files: Mapping[str, object] = {}
    ) -> dict[str, Delivery]:
        done = {}
        for name, usual in FILES.items():
            path = tmp_path / f"{name}_202611{day:02}.txt"
            file = files.get(name, usual)
            path.write_bytes(file.content(rows_of(name, contracts)))  # type: ignore[attr-defined]
            done[name] = service.receive(grupo, path, "grupo")
        return {name: service.get_delivery(grupo, one.id) for name, one in done.items()}

    assert sent(18, DAYS[0])["contratos"].status == "accepted"
    return sent


def portfolio_of(settings: Settings, delivery: Delivery) -> dict[str, dict[str, object]]:
    table = pq.read_table(settings.var / "deliveries" / str(delivery.id) / "accepted.parquet")
    return {str(row["contract"]): row for row in table.to_pylist()}


def test_files_of_a_set_that_changed_are_proved_or_proposed_and_then_join(
    grupo: Settings, send: Send
) -> None:
    clients, phones = FILES["clientes"], FILES["telefones"]
    without_city = tuple(part for part in clients.parts if part.name != "cidade")
    done = send(
        19,
        DAYS[1],
        {
            "contratos": replace(
                FILES["contratos"],
                header=False,
                columns=tuple(reversed(FILES["contratos"].columns)),
            ),
            "clientes": replace(clients, parts=without_city, size=clients.size - 25),
            "telefones": replace(phones, header=True, columns=phones.columns[:2]),
        },
    )
    assert {name: one.status for name, one in done.items()} == {
        "contratos": "held",
        "clientes": "quarantined",
        "telefones": "quarantined",
    }
    adapted = proposals.get(grupo, done["contratos"].id)
    assert adapted is not None and adapted.status == "adapted"
    for name in ("telefones", "clientes"):
        said = CliRunner().invoke(cli, ["reception", "proposal", str(done[name].id)])
        assert f"zanc reception approve {done[name].id}" in said.output, said.output
        CliRunner().invoke(cli, ["reception", "approve", str(done[name].id), "--by", "Ana"])
    done = {name: service.get_delivery(grupo, one.id) for name, one in done.items()}
    assert {name: one.status for name, one in done.items()} == {
        "contratos": "accepted",
        "clientes": "joined",
        "telefones": "joined",
    }
    meant = {one.contract: one for one in DAYS[1]}
    rows = portfolio_of(grupo, done["contratos"])
    assert len(rows) > 0.9 * len(meant)
    for contract, row in rows.items():
        one = meant[contract]
        assert (row["cpf"], row["name"], row["due_date"]) == (one.cpf, one.name, one.due)
        assert {row[f"phone_{place}"] for place in (1, 2, 3)} <= {None, *one.phones}
        assert row["city"] is None
    # The second approval kept the first: both files have their new layout in the one version.
    newest = load_any_layout(grupo.var / "layouts" / "grupo" / "layout-3.yaml")
    assert not {"cidade", "visto_1"} & {field.name for field in newest.fields}


def test_a_file_of_a_set_that_looks_wrong_waits_until_a_person_accepts_it(
    grupo: Settings, send: Send
) -> None:
    rows = rows_of("telefones", DAYS[1])
    slid = [
        replace(one, phones=of.phones) for one, of in zip(rows, [*rows[1:], rows[0]], strict=True)
    ]

    class Slid:
        def content(self, _rows: object) -> bytes:
            return FILES["telefones"].content(slid)

    done = send(19, DAYS[1], {"telefones": Slid()})
    assert (done["telefones"].status, done["telefones"].rules) == ("quarantined", ["aspecto"])
    assert done["contratos"].status == "held"
    joined = service.accept(grupo, done["telefones"].id, ["aspecto"], by="Ana", reason="confirmado")
    assert joined.status == "joined"
    assert service.get_delivery(grupo, done["contratos"].id).status == "accepted"
