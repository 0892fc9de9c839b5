"""The mailing as the dialer reads it."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dialer.mailing import locate, read_mailing
from zanc_pipeline.common.errors import DataError

CPF, OTHER = "12345678909", "11144477735"


def written(folder: Path, *rows: dict[str, Any]) -> tuple[Path, str]:
    complete = [
        {
            "rank": 1, "cpf": CPF, "name": "Ana", "crm": "norma", "convenio": "banco_aurora",
            "contract": "C1", "amount": Decimal("10.50"), "phones": ["11912345678"], **row,
        }
        for row in rows
    ]  # fmt: skip
    path = folder / "x.parquet"
    pq.write_table(pa.Table.from_pylist(complete), path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_leads_come_in_the_order_of_their_rank(tmp_path: Path) -> None:
    leads = read_mailing(*written(tmp_path, {"rank": 2}, {"rank": 1, "cpf": OTHER}))
    assert [(lead.rank, lead.cpf) for lead in leads] == [(1, OTHER), (2, CPF)]
    assert leads[0].amount == Decimal("10.50")


def test_a_phone_that_may_not_be_dialled_is_kept_with_the_reason(tmp_path: Path) -> None:
    phones = ["190", "11912345678", "11912345678", "1191234\r\nAction: Logoff\x00"]
    [lead] = read_mailing(*written(tmp_path, {"phones": phones}))
    assert lead.phones == ("190", "11912345678", "1191234  Action: Logoff ")
    assert set(lead.refused) == {"190", "1191234  Action: Logoff "}


def test_control_characters_leave_the_name(tmp_path: Path) -> None:
    [lead] = read_mailing(*written(tmp_path, {"name": "Ana\r\nSilva"}))
    assert lead.name == "Ana  Silva"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"cpf": "12345678900"}], "row of rank 1 is not valid"),
        ([{}, {"rank": 2}], "rank 2 is in it twice"),
        ([{"phones": None}], "row of rank 1 is not valid"),
        ([{"contract": "C\x001"}], "row of rank 1 is not valid"),
    ],
)
def test_a_wrong_row_refuses_the_mailing(
    tmp_path: Path, rows: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_mailing(*written(tmp_path, *rows))


def test_another_file_under_the_name_is_refused(tmp_path: Path) -> None:
    path, _ = written(tmp_path, {})
    with pytest.raises(DataError, match="changed since it was built"):
        read_mailing(path, "0" * 64)
    path.write_text("not parquet")
    with pytest.raises(DataError, match="not a mailing in Parquet"):
        read_mailing(path, hashlib.sha256(b"not parquet").hexdigest())


@pytest.mark.parametrize("relative", ["../x.parquet", "/etc/passwd", "", "mailings/none.parquet"])
def test_only_files_below_var_are_read(tmp_path: Path, relative: str) -> None:
    (tmp_path / "x.parquet").touch()
    var = tmp_path / "var"
    var.mkdir()
    with pytest.raises(DataError):
        locate(var, relative)
