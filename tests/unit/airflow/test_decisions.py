"""What a person is asked about a delivery, as Airflow shows it."""

from __future__ import annotations

from zanc_pipeline.airflow import decisions


def test_only_what_changed_is_shown_side_by_side_and_as_text() -> None:
    row = {
        "campo": "valor",
        "mudou": True,
        "antes": "coluna VALOR",
        "agora": "coluna [x](http://a)|b",
        "iguais": 0.95,
        "exemplo_antes": "1,00",
        "exemplo": None,
    }
    text = decisions._side_by_side({"campos": [row, {"campo": "cpf", "mudou": False}]})
    lines = text.splitlines()
    assert lines[2].startswith("| valor | coluna VALOR | coluna \\[x\\]\\(http://a\\)\\|b | 95% |")
    assert lines[-1] == "Campos que não mudaram: 1."


def test_a_run_is_asked_for_once_a_delivery() -> None:
    asked = decisions.request(7, "banco_aurora", "0a1b")
    assert asked["trigger_run_id"] == "entrega-7-0a1b"
    assert asked["conf"] == {"delivery": 7, "convenio": "banco_aurora", "question": "0a1b"}
