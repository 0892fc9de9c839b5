"""``zanc curso``: the exercises of ``docs/curso``. All that it says is for people in Portuguese."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zanc_pipeline.common.settings import settings

if TYPE_CHECKING:
    from zanc_pipeline.course.lessons import Lesson

_SHOWN = 12
_NUMBER = click.argument("numero", type=click.IntRange(1, 5))


@click.group(invoke_without_command=True)
@click.pass_context
def curso(context: click.Context) -> None:
    """O curso para quem nunca programou: cinco lições com exercícios corrigidos na hora."""
    if context.invoked_subcommand is None:
        _list()


@curso.command()
@_NUMBER
@click.option("--de-novo", is_flag=True, help="Recomeçar: apaga o que você fez nesta lição.")
def abrir(numero: int, de_novo: bool) -> None:
    """Preparar a pasta da lição NUMERO; o que você já fez nela fica como está."""
    from zanc_pipeline.course import lessons

    lesson = _lesson(numero)
    folder = lessons.open_lesson(settings(), lesson, again=de_novo)
    click.echo(f"Lição {numero}: {lesson.title}")
    click.echo(f"  leia:     {_short(lessons.guide(settings(), lesson))}")
    click.echo(f"  trabalhe: {_short(folder)}")
    click.echo(f"  confira:  zanc curso conferir {numero}")


@curso.command()
@_NUMBER
def conferir(numero: int) -> None:
    """Corrigir a lição NUMERO: diz o que ainda falta. Código de saída 1 enquanto faltar algo."""
    from zanc_pipeline.course import lessons

    wrong = lessons.mark(settings(), _lesson(numero))
    if not wrong:
        click.echo(f"Lição {numero}: certo!")
        if numero < len(lessons.LESSONS):
            click.echo(f"A próxima: zanc curso abrir {numero + 1}")
        return
    click.echo(f"Lição {numero}: ainda falta ({len(wrong)}):")
    for line in wrong[:_SHOWN]:
        click.echo(f"  - {line}")
    if len(wrong) > _SHOWN:
        click.echo(f"  … e mais {len(wrong) - _SHOWN}")
    sys.exit(1)


@curso.command()
@_NUMBER
@click.option("--usar", is_flag=True, help="Pôr a resposta na pasta; o que era seu vira *.meu.")
def resposta(numero: int, usar: bool) -> None:
    """Mostrar um jeito certo de fazer a lição NUMERO."""
    from zanc_pipeline.course import lessons

    lesson = _lesson(numero)
    if usar:
        lessons.use_answer(settings(), lesson)
        click.echo(f"A resposta está em {_short(lessons.folder_of(settings(), lesson))}")
        return
    for name, content in lessons.answers(settings(), lesson).items():
        click.echo(f"--- {name}")
        click.echo(content.decode("latin-1" if name.endswith(".csv") else "utf-8"))


def _list() -> None:
    from zanc_pipeline.common.errors import DataError
    from zanc_pipeline.course import lessons

    for lesson in lessons.LESSONS:
        try:
            state = "feita" if not lessons.mark(settings(), lesson) else "começada"
        except DataError:
            state = "por fazer"
        click.echo(f"{lesson.number}. {lesson.title} · {state}")
    click.echo("\nPara começar: zanc curso abrir 1. O texto de cada lição está em docs/curso/.")


def _lesson(number: int) -> Lesson:
    from zanc_pipeline.course.lessons import LESSONS

    return LESSONS[number - 1]


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
