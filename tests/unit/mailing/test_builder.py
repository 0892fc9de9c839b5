"""The mailing: one row a person, phones by profit, a waterfall that adds up."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from zanc_pipeline.mailing.builder import Built, Inputs, build
from zanc_pipeline.mailing.economics import (
    expected_profit,
    right_party_probability,
    talk_cost,
)
from zanc_pipeline.mailing.exploration import Effect
from zanc_pipeline.mailing.strategy import Economy, Strategy

DAY = date(2026, 11, 23)
HOURS = (9, 10, 18)
WHOLE = Effect(share=1.0, low=None, high=None, measured=False, texto="")
ECONOMY = {
    "comissao": 0.1,
    "custo_por_tentativa": 0.06,
    "custo_por_minuto": 0.12,
    "custo_hora_operador": 28.8,
}


def strategy(*, people: int = 10, phones: int = 2, **parts: dict[str, Any]) -> Strategy:
    return Strategy.model_validate(
        {
            "nome": "Teste",
            "convenios": "todos",
            "publico": {"valor_minimo": "50.00", "atraso_minimo_dias": 5},
            "capacidade": {"pessoas": people, "telefones_por_pessoa": phones},
            "economia": ECONOMY,
            "discador": {},
        }
        | parts
    )


def contract(cpf: str, **changes: Any) -> dict[str, Any]:
    row = {
        "convenio": "banco",
        "contract": f"C{cpf}",
        "crm": "norma",
        "cpf": cpf,
        "name": f"Pessoa {cpf}",
        "amount": "1000.00",
        "due_date": pd.Timestamp("2026-09-01"),
        "product": "cartão",
        "city": "Santos",
        "state": "SP",
        "payment": 0.2,
    } | changes
    return {"gain": row["payment"]} | row


def phone(
    cpf: str, number: str, answer: float | list[float] = 0.3, **changes: Any
) -> dict[str, Any]:
    return {
        "cpf": cpf,
        "phone": number,
        "answers": 0.0,
        "right_parties": 0.0,
        "right_party": np.nan,
        "answer": answer,
    } | changes


def make(
    contracts: list[dict[str, Any]],
    phones: list[dict[str, Any]],
    plan: Strategy | None = None,
    effect: Effect = WHOLE,
    **sets: frozenset[str],
) -> Built:
    slots = [np.broadcast_to(np.array(one["answer"], float), len(HOURS)) for one in phones]
    return build(
        plan or strategy(),
        DAY,
        Inputs(
            contracts=pd.DataFrame(contracts),
            phones=pd.DataFrame(phones, columns=list(phone("", ""))),
            slots=np.array(slots).reshape(-1, len(HOURS)),
            hours=HOURS,
            talk_seconds=150.0,
            effect=effect,
            salt="teste",
            **sets,
        ),
    )


def left_out(built: Built) -> dict[str, str | None]:
    rows = built.candidates
    return {
        cpf: None if pd.isna(why) else why
        for cpf, why in zip(rows["cpf"], rows["left_out"], strict=True)
    }


def test_each_rule_removes_and_the_first_is_the_reason() -> None:
    people = "abcdefghijk"
    contracts = [contract(cpf) for cpf in people]
    contracts[0]["amount"] = "49.99"
    contracts[1]["due_date"] = pd.Timestamp("2026-11-19")
    contracts[7]["gain"] = np.nan
    contracts[8]["gain"] = 0.0001
    phones = [phone(cpf, f"1{cpf}") for cpf in people if cpf != "g"]
    built = make(
        contracts,
        phones,
        strategy(people=1),
        deceased=frozenset("ac"),
        promised=frozenset("d"),
        talked=frozenset("e"),
        in_other_mailing=frozenset("f"),
    )
    assert left_out(built) == {
        "a": "valor_minimo",
        "b": "atraso",
        "c": "falecido",
        "d": "promessa",
        "e": "conversou",
        "f": "outro_mailing",
        "g": "sem_telefone",
        "h": "sem_nota",
        "i": "sem_lucro",
        "j": None,
        "k": "capacidade",
    }
    assert [step["people"] for step in built.waterfall if step["people"]] == [11, *[1] * 10, 1]


def test_a_person_who_owes_twice_is_called_once_for_the_contract_of_most_value() -> None:
    built = make(
        [
            contract("a", amount="5000.00", payment=0.01),
            contract("a", convenio="loja", contract="L", payment=0.4),
            contract("a", convenio="luz", contract="S", amount="40.00", payment=0.9),
        ],
        [phone("a", "1")],
    )
    assert built.leads["contract"].tolist() == ["L"]


def test_phones_are_in_order_of_profit_and_those_that_lose_are_left_out() -> None:
    built = make(
        [contract("a")],
        [
            phone("a", "wrong", 0.9, answers=30.0),
            phone("a", "good", 0.5),
            phone("a", "best", 0.5, answers=4.0, right_parties=4.0),
            phone("a", "unscored", np.nan),
            phone("a", "third", 0.4),
        ],
    )
    assert built.leads["phones"].tolist() == [["best", "good"]]


def test_ties_are_broken_the_same_way_whatever_the_order_of_the_rows() -> None:
    contracts = [contract(cpf) for cpf in "dcba"]
    phones = [phone(cpf, f"{n}{cpf}") for cpf in "bdac" for n in (2, 1)]
    first = make(contracts, phones, strategy(people=3))
    second = make(contracts[::-1], phones[::-1], strategy(people=3))
    pd.testing.assert_frame_equal(first.leads, second.leads)
    assert first.leads["cpf"].tolist() == ["a", "b", "c"]


def test_expectations_are_those_of_the_first_call_to_each_person() -> None:
    built = make([contract("a"), contract("b")], [phone("a", "1"), phone("b", "2")])
    assert built.expected["answers"] == pytest.approx(0.6)
    assert built.expected["payments"] == pytest.approx(2 * 0.3 * 0.6 * 0.2, abs=0.01)
    income = 2 * 0.3 * 0.6 * 0.2 * 1000 * 0.1
    assert built.expected["profit"] == pytest.approx(income - built.expected["cost"], abs=0.02)


def test_a_mailing_of_nobody_is_an_empty_table() -> None:
    built = make([contract("a")], [])
    assert built.leads.empty
    assert built.expected == {"answers": 0, "payments": 0, "cost": 0, "profit": 0}


def test_profit_is_income_less_the_attempt_and_the_talk() -> None:
    economy = Economy.model_validate(ECONOMY)
    assert talk_cost(economy, 150) == pytest.approx(0.3 + 1.2)
    one = np.ones(1)
    profit = expected_profit(
        answer=0.5 * one,
        right_party=0.6 * one,
        payment=0.1 * one,
        amount=1000 * one,
        economy=economy,
        talk_seconds=150,
    )
    assert profit[0] == pytest.approx(0.5 * 0.6 * 0.1 * 1000 * 0.1 - 0.06 - 0.5 * 1.5)


def test_a_pair_without_history_has_the_usual_chance_of_the_right_party() -> None:
    shares = right_party_probability(np.array([0.0, 0.0, 20.0]), np.array([0.0, 20.0, 20.0]))
    assert shares[0] == pytest.approx(0.6)
    assert shares[1] < 0.1 < 0.9 < shares[2] < 1


@hypothesis_settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_waterfall_always_adds_up(data: st.DataObject) -> None:
    people = [f"p{number}" for number in range(data.draw(st.integers(1, 12)))]
    some = st.sets(st.sampled_from(people)).map(frozenset)
    contracts = [
        contract(
            cpf,
            amount=data.draw(st.sampled_from(["10.00", "60.00", "9000.00"])),
            payment=data.draw(st.sampled_from([np.nan, 0.0, 0.3])),
        )
        for cpf in people
    ]
    phones = [phone(cpf, f"{cpf}-1", data.draw(st.floats(0, 1))) for cpf in data.draw(some)]
    built = make(
        contracts,
        phones,
        strategy(people=data.draw(st.integers(1, 6))),
        deceased=data.draw(some),
        promised=data.draw(some),
        talked=data.draw(some),
        in_other_mailing=data.draw(some),
    )
    counts = [int(step["people"]) for step in built.waterfall]
    assert counts[0] - sum(counts[1:-1]) == counts[-1] == len(built.leads)
    assert counts[0] == len(people) == len(built.candidates)
    assert (built.leads["profit"] > 0).all()
    assert built.leads["phones"].map(len).ge(1).all()


def test_the_best_hour_decides_and_each_phone_keeps_its_own() -> None:
    built = make(
        [contract("a")],
        [phone("a", "evening", [0.1, 0.2, 0.6]), phone("a", "steady", [0.4, 0.3, 0.2])],
    )
    lead = built.leads.iloc[0]
    assert lead["phones"] == ["evening", "steady"]
    assert lead["hours"] == [[18, 10, 9], [9, 10, 18]]
    assert lead["answer"] == pytest.approx(0.3)  # at no hour in particular
    assert built.expected["answers"] == pytest.approx(0.6)
    assert built.details["any_hour"]["answers"] == pytest.approx(0.3)
    assert built.candidates["hour"].tolist() == [18]


def test_the_models_right_party_comes_before_the_history() -> None:
    built = make(
        [contract("a")],
        [phone("a", "known", right_party=0.9), phone("a", "old", answers=9.0, right_parties=8.0)],
    )
    assert built.leads["phones"].tolist() == [["known", "old"]]


def test_filters_of_the_portfolio_and_lists_remove_by_their_own_rule() -> None:
    contracts = [
        contract("a"),
        contract("b", product="boleto"),
        contract("c", state="RJ", city="Niterói"),
        contract("d", amount="9000.00"),
        contract("e", due_date=pd.Timestamp("2020-01-01")),
        contract("f"),
        contract("g"),
        contract("h"),
        contract("i"),
        contract("j"),
    ]
    audience = {
        "produtos": ["CARTÃO"],
        "cidades": ["santos"],
        "valor_maximo": 5000,
        "atraso_maximo_dias": 360,
        "ddds": [11],
    }
    built = make(
        contracts,
        [phone(cpf, "1199" if cpf != "g" else "2199") for cpf in "abcdefgij"]
        + [phone("h", "1188")],
        strategy(publico=audience),
        listed=frozenset("f"),
        listed_phones=frozenset({"1188"}),
        said_paid=frozenset("i"),
        opted_out=frozenset("j"),
    )
    assert left_out(built) == {
        "a": None,
        "b": "produto",
        "c": "regiao",
        "d": "valor_maximo",
        "e": "atraso_maximo",
        "f": "nao_ligar",
        "g": "ddd",
        "h": "sem_telefone",
        "i": "disse_que_pagou",
        "j": "pediu",
    }
    reasons = dict(zip(built.candidates["cpf"], built.candidates["reasons"], strict=True))
    assert reasons["h"] == "sem_telefone,ddd,sem_nota"


def crowd(count: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    people = [f"{number:05d}" for number in range(count)]
    random = np.random.default_rng(3)
    answers = random.random(count).round(3).tolist()
    return (
        [contract(cpf) for cpf in people],
        [phone(cpf, f"1{cpf}", p) for cpf, p in zip(people, answers, strict=True)],
    )


def test_operators_and_hours_end_the_mailing() -> None:
    contracts, phones = crowd(400)
    capacity = {"operadores": 2, "horas": 1.5, "ocupacao": 0.5, "telefones_por_pessoa": 1}
    built = make(contracts, phones, strategy(capacidade=capacity))
    spoken = built.expected["answers"] * 150
    assert 5400 - 150 < spoken <= 5400
    lines = make(contracts, phones, strategy(capacidade=capacity | {"linhas": 1}))
    assert len(lines.leads) < len(built.leads)
    assert "2 operadores e 1 linhas por 1,5 horas" in str(lines.waterfall)


def test_the_groups_are_permanent_of_the_asked_size_and_their_cost_is_told() -> None:
    contracts, phones = crowd(4000)
    chance = {"nunca_ligar": 0.1, "ligar_mesmo_assim": 0.05, "hora_ao_acaso": 0.2}
    plan = strategy(people=1000, exploracao=chance)
    first = make(contracts, phones, plan)
    again = make(contracts[::-1], phones[::-1], plan)
    pd.testing.assert_frame_equal(first.leads, again.leads)
    arms = first.candidates["arm"].value_counts()
    assert arms["escolhido"] == 950
    assert arms["sorteado"] == 50
    assert 60 < arms["controle"] < 160
    held = first.candidates["left_out"] == "controle"
    assert 320 < held.sum() < 480
    fewer = make(contracts[:2000], phones[:2000], plan).candidates.set_index("cpf")["left_out"]
    known = set(fewer.index[fewer == "controle"])
    assert known == {cpf for cpf in first.candidates["cpf"][held] if cpf in fewer.index}
    likely = first.candidates.set_index("arm")["propensity"]
    assert likely["escolhido"].unique().tolist() == [0.9]
    assert 0 < likely["sorteado"].iloc[0] < 0.05
    # Inverse propensity: the people drawn stand for all who had the chance.
    drawn = first.candidates["propensity"].sum()
    assert drawn == pytest.approx(1000 * 0.9 + 0.9 * arms["controle"] - 5, rel=0.1)
    cost = first.details["exploration"]
    assert cost["control_cost"] > 0
    assert cost["drawn_cost"] > 0
    assert cost["hours_cost"] == pytest.approx(0, abs=0.01)  # here every hour is as good


def test_nothing_is_drawn_unless_the_analyst_asks() -> None:
    contracts, phones = crowd(100)
    built = make(contracts, phones)
    assert set(built.candidates["arm"].dropna()) == {"escolhido"}
    assert built.details["exploration"] == {
        "control_people": 0,
        "control_cost": 0,
        "drawn_people": 0,
        "drawn_cost": 0,
        "hours_people": 0,
        "hours_cost": 0,
    }


def test_a_smaller_effect_of_a_call_makes_fewer_calls_worth_it() -> None:
    contracts, phones = crowd(100)
    tenth = Effect(share=0.1, low=0.05, high=0.15, measured=True, texto="")
    plan = strategy(people=100)
    assert len(make(contracts, phones, plan, tenth).leads) < len(
        make(contracts, phones, plan).leads
    )
