"""Lists of who must not be called, and what the control group says of a call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zanc_pipeline.common.do_not_call import read_lists
from zanc_pipeline.common.errors import ConfigError
from zanc_pipeline.mailing.exploration import Trial, draws, effect_of_a_call
from zanc_pipeline.mailing.hours import best_hours


def test_lists_hold_people_and_phones_as_spreadsheets_write_them(tmp_path: Path) -> None:
    (tmp_path / "procon.csv").write_bytes(
        "CPF;Telefone;Motivo\n529.982.247-25;;pediu\n;(11) 98765-4321;não\n;;\n".encode("cp1252")
    )
    (tmp_path / "juridico.csv").write_text("telefone,cpf\n,1234567890\n", encoding="utf-8-sig")
    both = read_lists(tmp_path, "todas")
    assert both.cpfs == {"52998224725", "01234567890"}
    assert both.phones == {"11987654321"}
    assert read_lists(tmp_path, ["juridico"]).phones == frozenset()
    assert read_lists(tmp_path / "nothing", "todas").cpfs == frozenset()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("nome;motivo\nx;y\n", "x.csv:1: a primeira linha precisa ter as colunas cpf e telefone"),
        ("", "x.csv:1: a primeira linha"),
        ("cpf;telefone\n52998224726;\n", "x.csv:2: o CPF não é válido"),
        ("cpf;telefone\n\n;12\n", "x.csv:3: o telefone não é válido"),
        ("cpf;telefone;motivo\n;;pediu\n", "x.csv:2: sem CPF e sem telefone"),
        ("cpf\n" + "1\n" * 30, "e mais 20 linhas"),
    ],
)
def test_a_line_that_cannot_be_understood_stops_the_mailing(
    tmp_path: Path, content: str, problem: str
) -> None:
    (tmp_path / "x.csv").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_lists(tmp_path, "todas")
    assert problem in str(caught.value)
    assert "52998224726" not in str(caught.value)


def test_a_list_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"não há config/nao_ligar/procon\.csv; existem: nenhuma"):
        read_lists(tmp_path, ["procon"])


def test_draws_are_uniform_of_their_own_and_the_same_for_ever() -> None:
    people = [f"{number:011d}" for number in range(5000)]
    first, second = draws(people, "a")
    assert first[:10].tolist() == draws(people[:10], "a")[0].tolist()
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05
    assert abs(np.corrcoef(first, draws(people, "b")[0])[0, 1]) < 0.05
    assert first.mean() == pytest.approx(0.5, abs=0.02)
    assert 0 <= first.min() < first.max() < 1


def test_a_drawn_hour_comes_first_and_every_hour_may_be_it() -> None:
    slots = np.tile([0.1, 0.5, 0.3, 0.2], (4, 1))
    told = best_hours(slots, (8, 9, 10, 11), drawn=np.array([np.nan, 0.0, 0.3, 0.99]))
    assert told.hours == [[9, 10, 11], [8, 9, 10], [9, 10, 11], [11, 9, 10]]
    assert told.answer.tolist() == [0.5, 0.1, 0.5, 0.2]
    assert told.best.tolist() == [9, 9, 9, 9]


def trial(**changes: float) -> Trial:
    usual = {
        "called": 9000,
        "called_paid": 1800,
        "talked": 3000,
        "control": 1000,
        "control_paid": 150,
        "predicted": 0.2,
    }
    return Trial(**(usual | changes))  # type: ignore[arg-type]


def test_the_effect_is_that_of_the_conversation_with_its_interval() -> None:
    effect = effect_of_a_call(trial(), 1.0)
    assert effect.measured
    assert effect.share == pytest.approx((0.20 - 0.15) / (1 / 3 * 0.2))
    assert effect.low is not None
    assert effect.high is not None
    assert 0 < effect.low < effect.share < effect.high
    assert "medido em 9000 pessoas chamadas e 1000 do grupo" in effect.texto


@pytest.mark.parametrize(
    ("small", "why"),
    [
        (trial(control=499), "são precisos 500 e 30"),
        (trial(control_paid=29), "são precisos 500 e 30"),
        (trial(talked=0), "não se conversou"),
        (trial(control_paid=195), "não se distingue"),
        (trial(called=0, called_paid=0, talked=0), "não se conversou"),
    ],
)
def test_what_says_nothing_sure_is_not_used(small: Trial, why: str) -> None:
    effect = effect_of_a_call(small, 0.7)
    assert (effect.measured, effect.share) == (False, 0.7)
    assert why in effect.texto
    assert "70 %" in effect.texto
