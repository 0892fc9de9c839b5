"""The course: each command of a lesson does what its text says, and the marking is right."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from zanc_pipeline.cli import cli
from zanc_pipeline.common.settings import Settings, load_settings
from zanc_pipeline.course import cli as course_cli
from zanc_pipeline.course import lessons
from zanc_pipeline.course.lessons import LESSONS, Lesson

_COMMAND = re.compile(r"^ {4,}(zanc .*)$")
_SEEN = re.compile(r"^\s*> aparece: (.*)$")
DEMO_ONLY = "zanc mailing"


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    settings = load_settings(var=tmp_path)
    monkeypatch.setattr(course_cli, "settings", lambda: settings)
    return settings


def opened(stack: Settings, lesson: Lesson) -> Path:
    return lessons.open_lesson(stack, lesson)


def replaced(path: Path, old: str, new: str, encoding: str = "utf-8") -> None:
    text = path.read_text(encoding=encoding)
    assert old in text
    path.write_text(text.replace(old, new), encoding=encoding)


def _steps(text: str) -> list[tuple[str, str | None]]:
    """The commands of a lesson, each with the words that the text says will appear."""
    steps: list[tuple[str, str | None]] = []
    for line in text.splitlines():
        if command := _COMMAND.match(line):
            if not command[1].startswith(DEMO_ONLY):
                steps.append((command[1].partition("#")[0].strip(), None))
        elif seen := _SEEN.match(line):
            steps[-1] = (steps[-1][0], seen[1])
    return steps


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_the_commands_of_a_lesson_do_what_its_text_says(stack: Settings, lesson: Lesson) -> None:
    steps = _steps(lessons.guide(stack, lesson).read_text(encoding="utf-8"))
    assert steps[0][0] == f"zanc curso abrir {lesson.number}"
    assert steps[-1] == (f"zanc curso conferir {lesson.number}", "certo!")
    for command, seen in steps:
        if seen == "certo!":
            lessons.use_answer(stack, lesson)  # what the student writes between the commands
        words = shlex.split(command.replace("var/curso", str(stack.var / "curso")))[1:]
        result = CliRunner().invoke(cli, words)
        assert seen is None or seen in result.output, result.output
        assert result.exit_code == (1 if seen and "ainda falta" in seen else 0), result.output


def test_the_index_names_every_lesson(stack: Settings) -> None:
    index = (stack.root / "docs" / "curso" / "README.md").read_text(encoding="utf-8")
    for lesson in LESSONS:
        assert f"({lesson.name}/licao.md)" in index
    listed = CliRunner().invoke(course_cli.curso).output
    assert listed.count("por fazer") == len(LESSONS)


def test_a_value_that_is_possible_and_not_the_creditors_is_noticed(stack: Settings) -> None:
    folder = opened(stack, lessons.CORRECT)
    lessons.use_answer(stack, lessons.CORRECT)
    file = folder / "ESTRELA_20261120.csv"
    first = file.read_text(encoding="latin-1").splitlines()[1].split(";")[4]
    replaced(file, first, "01/03/2020", "latin-1")
    assert "não é o deste contrato" in lessons.mark(stack, lessons.CORRECT)[0]


def test_a_row_that_was_lost_is_noticed(stack: Settings) -> None:
    folder = opened(stack, lessons.TREAT)
    lessons.use_answer(stack, lessons.TREAT)
    treatment = folder / "convenios" / "moveis_estrela" / "tratamento.py"
    replaced(treatment, 'startswith("SUBTOTAL")', 'startswith(("SUBTOTAL", "A"))')
    assert (
        "contratos: nenhuma linha do credor pode se perder"
        in lessons.mark(stack, lessons.TREAT)[-1]
    )


def test_names_given_to_the_wrong_fields_are_noticed(stack: Settings) -> None:
    folder = opened(stack, lessons.LAYOUT)
    lessons.use_answer(stack, lessons.LAYOUT)
    layout = folder / "convenios" / "moveis_estrela" / "layout.yaml"
    replaced(layout, "nome: valor_da_compra", "nome: x")
    replaced(layout, "nome: valor,", "nome: valor_da_compra,")
    replaced(layout, "nome: x", "nome: valor")
    wrong = lessons.mark(stack, lessons.LAYOUT)
    assert len(wrong) == 60
    assert "valor: é um valor possível" in wrong[0]


def test_an_error_in_a_students_file_is_told_by_its_line(stack: Settings) -> None:
    folder = opened(stack, lessons.STRATEGY)
    campaign = folder / "campaigns" / "minha_campanha.yaml"
    replaced(campaign, "  valor_minimo:", "  valor_minino:")
    (said,) = lessons.mark(stack, lessons.STRATEGY)
    assert re.search(r"minha_campanha\.yaml:\d+: publico\.valor_minino: .*valor_minimo", said)


def test_what_a_student_did_is_kept(stack: Settings) -> None:
    folder = opened(stack, lessons.OPEN)
    mine = folder / "respostas.yaml"
    mine.write_text("linhas: 59\n", encoding="utf-8")
    opened(stack, lessons.OPEN)
    assert mine.read_text(encoding="utf-8") == "linhas: 59\n"
    lessons.use_answer(stack, lessons.OPEN)
    assert (folder / "respostas.yaml.meu").read_text(encoding="utf-8") == "linhas: 59\n"
    assert lessons.mark(stack, lessons.OPEN) == []
    lessons.open_lesson(stack, lessons.OPEN, again=True)
    assert len(lessons.mark(stack, lessons.OPEN)) == 4
