"""What a report does not list it counts, and names the file that holds all of it."""

from collections import Counter

import pytest

from zanc_pipeline.reception import report
from zanc_pipeline.reception.problems import RowProblem
from zanc_pipeline.reception.validate import Validation

EXAMPLE = RowProblem(line=2, field="cpf", found="x", problem="esperado um CPF")


def seen(problems: int, kinds: int = 1) -> Validation:
    validation = Validation()
    validation.examples = [EXAMPLE] * min(problems, 20)
    validation.problems = validation.rows_rejected = problems
    validation.kinds = Counter({("cpf", f"tipo {place}"): 100 for place in range(kinds)})
    return validation


@pytest.mark.parametrize(
    ("problems", "said"),
    [
        (20, ""),
        (
            12_345,
            "Mostrando 20 de 12.345 problemas; linhas rejeitadas em rejeitadas.csv: 12.345.",
        ),
    ],
)
def test_examples_say_of_how_many_they_are(problems: int, said: str) -> None:
    assert report.shown(seen(problems), "rejeitadas.csv") == said


def test_kinds_that_are_not_listed_are_counted() -> None:
    assert report.more_kinds(seen(20, kinds=15)) == ""
    assert (
        report.more_kinds(seen(20, kinds=17)) == "Mostrando 15 de 17 tipos; os outros, 200 vezes."
    )
