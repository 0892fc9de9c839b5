"""The five lessons: what a student finds in the folder, and whether what the student did is right.

A lesson's text is ``docs/curso/<name>/licao.md``; ``inicio/`` beside it holds the files that a
student begins with, ``resposta/`` one right way to do it. The rest is made by ``portfolio``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from zanc_pipeline.common.errors import ConfigError, DataError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.course import portfolio
from zanc_pipeline.course.portfolio import Debt

CONVENIO = "moveis_estrela"
_TRUTH = ".gabarito.json"


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """One lesson; ``files`` are made from the portfolio, by their names in the folder."""

    number: int
    name: str
    title: str
    files: dict[str, Callable[[Sequence[Debt]], bytes]]
    check: Callable[[Settings, Path, Sequence[Debt]], Iterable[str]]
    """What is still wrong, in sentences of Portuguese; none when it is right."""
    solved: dict[str, Callable[[Sequence[Debt]], bytes]] = field(default_factory=dict)
    """The part of the answer that depends on the portfolio, by the name of the file."""


def guide(settings: Settings, lesson: Lesson) -> Path:
    """The text of a lesson."""
    return _source(settings, lesson) / "licao.md"


def folder_of(settings: Settings, lesson: Lesson) -> Path:
    """Where a student works: ``var/curso/<name>``."""
    return settings.var / "curso" / lesson.name


def open_lesson(settings: Settings, lesson: Lesson, *, again: bool = False) -> Path:
    """Lay out the files of a lesson and return their folder.

    What a student changed is kept, unless the lesson begins ``again``.
    """
    folder = folder_of(settings, lesson)
    if again:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / _TRUTH).exists():
        debts = portfolio.debts(settings)
        for name, write in lesson.files.items():
            (folder / name).write_bytes(write(debts))
        if (begin := _source(settings, lesson) / "inicio").is_dir():
            shutil.copytree(begin, folder, dirs_exist_ok=True)
        truth = json.dumps([asdict(debt) for debt in debts], default=str, ensure_ascii=False)
        (folder / _TRUTH).write_text(truth, encoding="utf-8")
    return folder


def mark(settings: Settings, lesson: Lesson) -> list[str]:
    """What is still wrong in a student's folder; empty when the lesson is done.

    Raises DataError when the lesson was not opened.
    """
    debts = _truth(settings, lesson)
    try:
        return list(lesson.check(settings, folder_of(settings, lesson), debts))
    except (ConfigError, DataError) as error:
        return [str(error)]


def answers(settings: Settings, lesson: Lesson) -> dict[str, bytes]:
    """One right way to do an opened lesson: files by their names in the student's folder."""
    source = _source(settings, lesson) / "resposta"
    written = {
        str(path.relative_to(source)): path.read_bytes()
        for path in sorted(source.rglob("*"))
        if path.is_file()
    }
    debts = _truth(settings, lesson)
    return written | {name: write(debts) for name, write in lesson.solved.items()}


def use_answer(settings: Settings, lesson: Lesson) -> None:
    """Put the answer in place of what the student has; the student's files become ``*.meu``."""
    for name, content in answers(settings, lesson).items():
        target = folder_of(settings, lesson) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and target.read_bytes() != content:
            target.replace(target.with_name(f"{target.name}.meu"))
        target.write_bytes(content)


def _truth(settings: Settings, lesson: Lesson) -> list[Debt]:
    try:
        text = (folder_of(settings, lesson) / _TRUTH).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(
            f"a lição {lesson.number} ainda não foi aberta: zanc curso abrir {lesson.number}"
        ) from None
    return [Debt(**one | {"due": date.fromisoformat(one["due"])}) for one in json.loads(text)]


def _source(settings: Settings, lesson: Lesson) -> Path:
    return settings.root / "docs" / "curso" / lesson.name


_HINTS = {
    "linhas": "conte as linhas de LIMPO.csv sem a dos títulos",
    "separador": "é o sinal que fica entre uma coluna e outra",
    "linhas_antes_dos_titulos": "o comando diz quantas ficaram fora da tabela",
    "contrato_da_maior_divida": "ordene LIMPO.csv pela coluna VALOR na planilha",
}

# --- the marking ----------------------------------------------------------------------------------


def _check_opening(settings: Settings, folder: Path, debts: Sequence[Debt]) -> Iterable[str]:
    from zanc_pipeline.common.yaml_text import read_yaml_text

    path = folder / "respostas.yaml"
    given = read_yaml_text(path, shown=Path(path.name)).content
    for key, right in portfolio.facts(debts).items():
        answer, hint = given.get(key), _HINTS[key]
        if answer is None:
            yield f"{path.name}: falta responder '{key}'"
        elif str(answer).strip().casefold() != str(right).casefold():
            yield f"{path.name}: '{key}' ainda não está certo: {hint}"


def _check_rows(settings: Settings, folder: Path, debts: Sequence[Debt]) -> Iterable[str]:
    return _judged(settings, folder, "ESTRELA_20261120.csv", debts)


def _check_layout(settings: Settings, folder: Path, debts: Sequence[Debt]) -> Iterable[str]:
    if not (folder / "convenios" / CONVENIO / "layout.yaml").exists():
        return ["falta o layout.yaml: faça o rascunho com o comando do passo 2 da lição"]
    return _judged(settings, folder, "ESTRELAFIX_20261120.txt", debts)


def _check_strategy(settings: Settings, folder: Path, debts: Sequence[Debt]) -> Iterable[str]:
    from zanc_pipeline.mailing.strategy import load_strategy

    strategy = load_strategy(_within(settings, folder), "minha_campanha")
    wanted: tuple[tuple[str, object, object], ...] = (
        ("publico.estados", sorted(strategy.publico.estados), ["ES", "RJ"]),
        ("publico.valor_minimo", strategy.publico.valor_minimo, 200),
        ("publico.atraso_minimo_dias", strategy.publico.atraso_minimo_dias, 30),
        (
            "nunca_chamar.conversou_nos_ultimos_dias",
            strategy.nunca_chamar.conversou_nos_ultimos_dias,
            7,
        ),
        ("nunca_chamar.listas", strategy.nunca_chamar.listas, "todas"),
        ("capacidade.operadores", strategy.capacidade.operadores, 10),
        ("capacidade.horas", strategy.capacidade.horas, 6),
        ("capacidade.telefones_por_pessoa", strategy.capacidade.telefones_por_pessoa, 2),
        ("exploracao.nunca_ligar", strategy.exploracao.nunca_ligar, 0.02),
    )
    for key, found, asked in wanted:
        if found != asked:
            yield f"{key}: está {_shown(found)}, e o pedido foi {_shown(asked)}"
    if strategy.capacidade.pessoas is not None:
        yield "capacidade.pessoas: apague esta linha: quem limita agora são os operadores"


def _shown(value: object) -> str:
    if isinstance(value, list) and value:
        return f"[{', '.join(map(str, value))}]"
    return str(value) if value else "em branco"


def _judged(settings: Settings, folder: Path, name: str, debts: Sequence[Debt]) -> Iterable[str]:
    """What reception has against a file, and values that are not the creditor's."""
    import pyarrow as pa

    from zanc_pipeline.reception.process import process, unreceived
    from zanc_pipeline.reception.validate import Discard

    class Kept(Discard):
        def __init__(self) -> None:
            self.rows: list[dict[str, Any]] = []

        def start(self, layout: object) -> None:
            self.rows = []

        def accept(self, rows: pa.Table) -> None:
            self.rows.extend(rows.to_pylist())

    kept = Kept()
    delivery = unreceived(folder / name, CONVENIO, datetime.now(tz=UTC))
    result = process(_within(settings, folder), delivery, folder / name, sink=kept)
    for rejected in result.rejected:
        for problem in rejected.problems:
            found = f' encontrado "{problem.found}";' if problem.found else ""
            yield f"{name}, linha {rejected.line}, {problem.field}:{found} {problem.problem}"
    if result.rejected:
        return
    if result.verdict.status != "accepted":
        yield f"{name}: {result.verdict.reason}"
        return
    right = {debt.contract: debt for debt in debts}
    for row in kept.rows:
        debt = right.pop(row["contract"], None)
        if debt is None:
            yield f"{name}, linha {row['line']}: o contrato {row['contract']} não é deste credor"
            continue
        for what, same in (
            ("cpf", row["cpf"] == debt.cpf),
            ("valor", int(row["amount"].scaleb(2)) == debt.cents),
            ("vencimento", row["due_date"] == debt.due),
        ):
            if not same:
                yield (
                    f"{name}, linha {row['line']}, {what}: é um valor possível, mas não é o deste "
                    "contrato: confira o que o credor disse"
                )
    if right:
        yield f"{name}: faltam {len(right)} contratos: nenhuma linha do credor pode se perder"


def _within(settings: Settings, folder: Path) -> Settings:
    """The settings of a call centre whose configuration is the student's folder."""
    within = settings.model_copy(update={"config": folder})
    for cached in ("convenios", "crms", "campaigns"):
        within.__dict__.pop(cached, None)
    return within


OPEN = Lesson(
    number=1,
    name="1-abrir",
    title="Abrir um arquivo de texto",
    files={"ESTRELA_20261120.txt": portfolio.opened},
    check=_check_opening,
    solved={"respostas.yaml": portfolio.answered},
)
CORRECT = Lesson(
    number=2,
    name="2-conferir",
    title="Conferir um arquivo e corrigir o que está errado",
    files={"ESTRELA_20261120.csv": portfolio.with_mistakes, "email.txt": portfolio.email},
    check=_check_rows,
    solved={"ESTRELA_20261120.csv": portfolio.corrected},
)
LAYOUT = Lesson(
    number=3,
    name="3-layout",
    title="Escrever um layout",
    files={"ESTRELAFIX_20261120.txt": portfolio.fixed},
    check=_check_layout,
)
TREAT = Lesson(
    number=4,
    name="4-tratamento",
    title="Escrever um tratamento",
    files={"ESTRELA_20261120.csv": portfolio.untidy},
    check=_check_rows,
)
STRATEGY = Lesson(
    number=5,
    name="5-estrategia",
    title="Montar uma estratégia",
    files={},
    check=_check_strategy,
)
LESSONS = (OPEN, CORRECT, LAYOUT, TREAT, STRATEGY)
