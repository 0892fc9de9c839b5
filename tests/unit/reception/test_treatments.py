"""A clerk's treatment: the guide's examples, what is refused, pieces and their seams, its cage."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from zanc_pipeline.reception import treatment_runner, treatments
from zanc_pipeline.reception.fields import DDD_MARK
from zanc_pipeline.reception.layout import load_layout
from zanc_pipeline.reception.problems import FileRejected, RejectedRow
from zanc_pipeline.reception.readers.base import Batch
from zanc_pipeline.reception.treatments import Treatment

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "recepcao.md").read_text(encoding="utf-8")
EXAMPLES = GUIDE.split("<!-- exemplo -->")[1:]
LAYOUT = load_layout(ROOT / "config" / "convenios" / "banco_aurora" / "layout.yaml")
NAMES = [spec.name for spec in LAYOUT.fields]


def treated(code: str, columns: dict[str, list[str]]) -> dict[str, list[str]]:
    """Runs a treatment as the runner does, in this process."""
    table = pa.table({"linha": list(range(2, 2 + len(next(iter(columns.values()))))), **columns})
    return here(Path("tratamento.py"), code, [table])[0].to_pydict()


def here(source: Path, code: str, tables: list[pa.Table]) -> list[pa.Table]:
    treat = treatment_runner._load(code, str(source))
    results = []
    for table in tables:
        frame = table.to_pandas()
        frame.index = pd.Index(frame.pop("linha"), name="linha")
        known = frozenset(frame.index)
        result = treat(frame)
        lines = treatment_runner._lines(result, known)
        names = [name for name in table.column_names if name != "linha"]
        cells = {name: treatment_runner._texts(result, name) for name in names}
        results.append(pa.table({"linha": pa.array(lines, pa.int64()), **cells}))
    return results


@pytest.mark.parametrize("example", EXAMPLES, ids=range(1, len(EXAMPLES) + 1))
def test_the_guide_shows_what_its_examples_do(example: str) -> None:
    code = re.search(r"```python\n(.*?)```", example, re.DOTALL)
    assert code is not None
    lines = [line for line in example.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    titles, body = rows[0], rows[2:]
    before = {
        title.removeprefix("antes: "): [row[at] for row in body]
        for at, title in enumerate(titles)
        if title.startswith("antes")
    }
    kept = [number for number, row in enumerate(body) if "(retirada)" not in row]
    after = {
        title.removeprefix("depois: "): [body[number][at] for number in kept]
        for at, title in enumerate(titles)
        if title.startswith("depois")
    }
    assert treated(code[1], before) == {"linha": [2 + number for number in kept], **after}


def test_the_guide_has_its_six_examples() -> None:
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("pass", "não devolveu nada"),
        ("return df['nome']", "devolveu Series"),
        ("return df.drop(columns='nome')", "a coluna 'nome' sumiu"),
        ("df['nome'] = 1\n    return df", "deixou de ser texto"),
        ("df['nome'] = df['nome'].str.len()\n    return df", "deixou de ser texto"),
        ("return df.reset_index(drop=True)", "perdeu o número das linhas"),
        ("import pandas as pd\n    return pd.concat([df, df])", "a linha 2 virou mais de uma"),
        ("df.index = df.index + 1\n    return df", "que não estavam no arquivo (4)"),
        (
            "import pandas as pd\n    return pd.concat([df, df[['nome']]], axis=1)",
            "duas colunas 'nome'",
        ),
    ],
)
def test_what_cannot_be_believed_is_refused(body: str, words: str) -> None:
    with pytest.raises(treatment_runner._Refused, match=re.escape(words)):
        treated(f"def tratar(df):\n    {body}\n", {"nome": ["a", "b"]})


def test_a_line_number_in_a_column_is_as_good() -> None:
    code = (
        "import pandas as pd\n"
        "def tratar(df):\n"
        "    tabela = pd.DataFrame({'nome': ['a'], 'outro': ['A']})\n"
        "    df = df.reset_index().merge(tabela, on='nome', how='left')\n"
        "    df['nome'] = df['outro']\n"
        "    return df\n"
    )
    assert treated(code, {"nome": ["a", "b"]}) == {"linha": [2, 3], "nome": ["A", ""]}


def batch(first: int, rows: int, **cells: list[str]) -> Batch:
    columns = {name: [f"{name}{line}" for line in range(first, first + rows)] for name in NAMES}
    return Batch(
        line=np.arange(first, first + rows),
        offset=np.arange(first, first + rows) * 100,
        cells={name: pa.array(texts) for name, texts in (columns | cells).items()},
        broken=[RejectedRow(line=first, offset=0, cells=("?",), problems=())],
    )


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Treatment]:
    """A treatment in pieces of 10 rows, with seams of 2, without its process."""

    def prepare(code: str) -> Treatment:
        monkeypatch.setattr(
            treatments, "run", lambda source, tables, **_limits: here(source, code, tables)
        )
        monkeypatch.setattr(treatments, "SEAM_ROWS", 2)
        return Treatment(source=tmp_path / "tratamento.py", layout=LAYOUT, piece_rows=10)

    return prepare


def test_what_a_treatment_does_is_kept_row_by_row(
    in_this_process: Callable[[str], Treatment],
) -> None:
    treatment = in_this_process(
        "def tratar(df):\n"
        "    df['nome'] = df['nome'].str.upper() + ' '\n"
        "    return df[df['contrato'] != 'contrato7'].sort_values('contrato', ascending=False)\n"
    )
    phones = [f"84{DDD_MARK}98765432{digit}" for digit in range(6)]
    found = list(treatment.batches([batch(2, 6, telefone_1=phones), batch(20, 6)]))
    assert [one.line.tolist() for one in found] == [[2, 3, 4, 5, 6], list(range(20, 26))]
    assert found[0].offset.tolist() == [200, 300, 400, 500, 600]
    assert found[0].cells["nome"].to_pylist()[:2] == ["NOME2", "NOME3"]
    assert found[0].cells["telefone_1"].to_pylist() == phones[:5]
    assert [len(one.broken) for one in found] == [1, 1]
    differences = treatment.differences
    assert (differences.rows_before, differences.rows_after, differences.pieces) == (12, 11, 2)
    assert [(row.line, row.cells[2]) for row in differences.removed] == [(7, "contrato7")]
    assert differences.changes["nome"].rows == 11
    assert list(differences.changes) == ["nome"]
    assert differences.changes["nome"].examples[0][0] == 2
    assert "nome2" not in str(differences.changes["nome"].examples)


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ("df['cidade'] = df['cidade'].replace('', None).ffill().fillna('')", True),
        ("df['nome'] = df['nome'] + str(len(df))", True),
        ("df['nome'] = df['nome'].str.upper()", False),
    ],
)
def test_a_result_that_hangs_on_where_the_file_was_cut_is_refused(
    in_this_process: Callable[[str], Treatment], body: str, refused: bool
) -> None:
    treatment = in_this_process(f"def tratar(df):\n    {body}\n    return df\n")
    towns = ["Natal", *[""] * 5]
    batches = [batch(2, 6, cidade=towns), batch(20, 6, cidade=[""] * 6)]
    if refused:
        with pytest.raises(FileRejected, match="perto da linha 20"):
            list(treatment.batches(batches))
    else:
        assert len(list(treatment.batches(batches))) == 2


CAGE = """
import os
import socket
import subprocess

def tentar(fazer):
    try:
        return str(fazer())
    except BaseException as erro:
        return type(erro).__name__

def tratar(df):
    print("nada disto aparece")
    df["nome"] = [
        tentar(lambda: socket.create_connection(("127.0.0.1", 1), 1)),
        tentar(lambda: subprocess.run(["id"])),
        tentar(lambda: open("/etc/passwd").read()),
        tentar(lambda: open("/tmp/fora", "w")),
        tentar(lambda: sorted(set(os.environ) - {"LC_CTYPE"})),
        tentar(lambda: open(__file__).read(5)),
        tentar(lambda: "a" * 10**11),
        tentar(lambda: open("dentro", "w").close()),
    ]
    return df
"""


def test_a_treatment_is_alone_in_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZANC_POSTGRES__PASSWORD", "segredo")
    source = tmp_path / "tratamento.py"
    source.write_text(CAGE, encoding="utf-8")
    table = pa.table({"linha": range(8), "nome": [""] * 8})
    (found,) = treatments.run(source, [table])
    said = found["nome"].to_pylist()
    assert said[:4] == ["PermissionError"] * 4
    assert said[4] == (
        "['ARROW_DEFAULT_MEMORY_POOL', 'HOME', 'LANG', 'MALLOC_ARENA_MAX', 'OMP_NUM_THREADS', "
        "'OPENBLAS_NUM_THREADS', 'PATH', 'TMPDIR', 'TZ']"
    )
    assert said[5:] == ["\nimpo", "MemoryError", "None"]


def test_a_treatment_that_does_not_end_is_stopped(tmp_path: Path) -> None:
    source = tmp_path / "tratamento.py"
    source.write_text("def tratar(df):\n    while True: pass\n", encoding="utf-8")
    table = pa.table({"linha": [2], "nome": ["a"]})
    with pytest.raises(FileRejected, match="passou de 1 segundos de processador"):
        treatments.run(source, [table], cpu_seconds=1)
    with pytest.raises(FileRejected, match="passou de 0,1 segundos"):
        treatments.run(source, [table], timeout_seconds=0.1)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def tratar(df):\n    return df['fone']\n", "linha 2: não há coluna 'fone'; há: nome"),
        ("def tratar(df)\n", "linha 1: o texto não é Python válido"),
        ("def tratar(df):\n\n    return dg\n", "linha 3: usa um nome que não existe"),
        ("import polars\n", "linha 1: usa um módulo que não está instalado"),
        ("x = 1\n", "falta a função 'def tratar(df):'"),
        ("def tratar(df):\n    exit()\n", "linha 2: mandou encerrar"),
    ],
)
def test_a_treatment_that_fails_says_its_line(code: str, words: str) -> None:
    source = Path("convenio/tratamento.py")
    try:
        here(source, code, [pa.table({"linha": [2], "nome": ["a"]})])
    except BaseException as error:
        described = treatment_runner.describe(error, str(source))
    said = treatments.explain(described, source, ["linha", "nome"])
    assert said.startswith("tratamento convenio/tratamento.py")
    assert words in said
