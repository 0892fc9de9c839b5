"""From calls in the base to models, scores and a mailing, on real PostgreSQL and MLflow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tests.patience import wait_until
from tests.ports import free_ports
from zanc_pipeline.common.codecs import cpf_check_digits
from zanc_pipeline.common.database import copy_rows, transaction
from zanc_pipeline.common.errors import ConflictError, DataError, UnavailableError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.mailing import service as mailing
from zanc_pipeline.mailing.explain import explanation
from zanc_pipeline.mailing.reading import read_effect
from zanc_pipeline.mailing.strategy import load_strategy
from zanc_pipeline.scoring import history, monitoring, registry, serving
from zanc_pipeline.scoring import service as scoring
from zanc_pipeline.stack import parts

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = NOW.date()
PEOPLE = 400
CALLS = 6000
ANSWER = Path("models/answer/model.yaml")
PAYMENT = Path("models/payment/model.yaml")
CAMPAIGN = "cobranca_geral"


def cpf(number: int) -> str:
    base = f"{number + 100_000_000:09d}"
    return base + cpf_check_digits(base)


def phone(number: int, *, mobile: bool = True) -> str:
    return f"119{number:08d}" if mobile else f"112{number:07d}"


@pytest.fixture(scope="module")
def stack(settings: Settings) -> Iterator[Settings]:
    """PostgreSQL and an MLflow server with a password, both real."""
    [port] = free_ports(1)
    settings = settings.model_copy(
        update={"mlflow": settings.mlflow.model_copy(update={"port": port})}
    )
    process = next(
        process
        for wave in parts.processes(settings)
        for process in wave
        if process.name == "mlflow"
    )
    parts.write_mlflow_auth(settings)
    with (settings.var / "mlflow.log").open("wb") as log:
        server = subprocess.Popen(
            process.command,
            env={**os.environ, **process.environment},
            stdout=log,
            stderr=log,
            cwd=settings.var,
            start_new_session=True,
        )
        try:
            wait_until(lambda: server.poll() is not None or _healthy(settings))
            assert server.poll() is None, (settings.var / "mlflow.log").read_text()[-2000:]
            yield settings
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def _healthy(settings: Settings) -> bool:
    try:
        return httpx.get(f"{settings.web_url(settings.mlflow)}/health").status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def base(stack: Settings) -> Settings:
    """A small base: calls that even people answer more, contracts that even people pay more."""
    random, who = np.random.default_rng(7), np.random.default_rng(9)
    calls = []
    for number in range(CALLS):
        person = int(random.integers(PEOPLE))
        started = NOW - timedelta(days=60) + timedelta(seconds=int(60 * 86_400 * number / CALLS))
        answered = random.random() < (0.6 if person % 2 == 0 else 0.1)
        talk = float(random.integers(20, 200)) if answered else 0.0
        right = who.random() < (0.2 if person % 5 == 4 else 0.8)
        calls.append(
            ("norma", f"c{number:06d}", cpf(person), phone(person), started, 8.0, talk)
            + (
                ("human", "refusal" if right else "wrong_person")
                if answered
                else ("no_answer", None)
            )
        )
    with transaction(stack, "zanc") as cursor:
        copy_rows(
            cursor,
            "localization.call",
            [
                "crm",
                "call_id",
                "cpf",
                "phone",
                "started_at",
                "ring_seconds",
                "talk_seconds",
                "outcome",
                "tabulation",
            ],
            calls,
        )
        copy_rows(
            cursor,
            "crm.person",
            ["cpf", "name", "deceased"],
            [(cpf(n), f"Pessoa {n}", n == 3) for n in range(PEOPLE)],
        )
        copy_rows(
            cursor,
            "crm.contract",
            ["convenio", "contract", "crm", "cpf", "amount", "due_date", "delivery_id"],
            [
                ("banco_aurora", f"A{n}", "norma", cpf(n), f"{10 if n == 5 else 2000}.00", due, 1)
                for n in range(PEOPLE)
                for due in [DAY - timedelta(days=1 if n == 7 else 90)]
            ]
            + [("energia_sul", "E0", "larga", cpf(0), "9000.00", DAY - timedelta(days=30), 2)],
        )
        copy_rows(
            cursor,
            "localization.person_phone",
            ["cpf", "phone", "mobile", "source", "first_seen", "last_seen", "invalids"],
            [
                (cpf(n), number, True, "norma", DAY - timedelta(days=400), DAY, invalids)
                for n in range(PEOPLE)
                for number, invalids in [
                    (phone(n), 2 if n == 9 else 0),
                    (phone(n, mobile=False), 2 if n == 9 else 0),
                ]
            ],
        )
        cursor.execute(
            "INSERT INTO reception.delivery (convenio, file_name, sha256, size_bytes, status, "
            "reference_date) VALUES ('banco_aurora', 'a.csv', 'x', 1, 'loaded', %s)",
            (DAY,),
        )
        cursor.execute(
            "INSERT INTO crm.outcome (call_id, crm, convenio, cpf, phone, started_at, outcome, "
            "tabulation, promise_date) VALUES ('o1', 'norma', 'banco_aurora', %s, 'x', %s, "
            "'human', 'promise', %s)",
            (cpf(11), NOW - timedelta(days=20), DAY + timedelta(days=2)),
        )
    return stack


@pytest.fixture(scope="module")
def portfolio(base: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(8)
    rows = [
        (
            "banco_aurora",
            f"A{n}",
            cpf(n),
            DAY - timedelta(days=back),
            "500.00" if n % 2 == 0 else "2000.00",
            DAY - timedelta(days=back + 60),
            bool(random.random() < (0.5 if n % 2 == 0 else 0.1)),
        )
        for back in (33, 64, 95, 126, 157)
        for n in range(PEOPLE)
    ]
    path = tmp_path_factory.mktemp("history") / "portfolio.csv"
    pd.DataFrame(rows, columns=list(history.REQUIRED)).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def trained(base: Settings, portfolio: Path) -> tuple[scoring.TrainResult, scoring.TrainResult]:
    assert history.load(base, portfolio) == (5 * PEOPLE, 5 * PEOPLE)
    return scoring.train(base, ANSWER), scoring.train(base, PAYMENT)


@pytest.fixture(scope="module")
def scored(base: Settings, trained: object) -> Iterator[scoring.ScoreResult]:
    """Scores with which a conversation brings about every payment: this small past, in which
    nobody was called before a snapshot, teaches no effect of one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving, "gain_of_a_talk", lambda model, features, payment: payment)
        yield scoring.score(base, DAY)


def test_a_repeated_history_changes_nothing(
    base: Settings, portfolio: Path, trained: object
) -> None:
    assert history.load(base, portfolio) == (5 * PEOPLE, 0)


def test_a_history_with_punctuated_cpfs_is_of_the_same_people(
    base: Settings, portfolio: Path, trained: object, tmp_path: Path
) -> None:
    rows = pd.read_csv(portfolio, dtype=str)
    rows["cpf"] = rows["cpf"].str.replace(r"(...)(...)(...)(..)", r"\1.\2.\3-\4", regex=True)
    path = tmp_path / "punctuated.csv"
    rows.to_csv(path, index=False)
    assert history.load(base, path) == (5 * PEOPLE, 0)


@pytest.mark.parametrize("amount", ["inf", "1e13", "-1", "nan", "12,50"])
def test_a_history_with_an_impossible_amount_is_refused(
    base: Settings, portfolio: Path, tmp_path: Path, amount: str
) -> None:
    rows = pd.read_csv(portfolio, dtype=str)
    rows.loc[1, "amount"] = amount
    path = tmp_path / "wrong.csv"
    rows.to_csv(path, index=False, sep=";")
    with pytest.raises(DataError, match="amount is"):
        history.load(base, path)


def test_the_first_good_model_becomes_champion(
    trained: tuple[scoring.TrainResult, scoring.TrainResult],
) -> None:
    answer, payment = trained
    assert answer.auc > 0.7
    assert answer.promoted
    assert payment.promoted
    assert answer.rows_train + answer.rows_test == CALLS


def test_the_holdout_holds_the_calls_with_their_label_and_score(
    trained: tuple[scoring.TrainResult, scoring.TrainResult],
) -> None:
    rows = pd.read_parquet(trained[0].holdout)
    assert list(rows.columns) == ["crm", "call_id", "label", "score"]
    assert len(rows) == trained[0].rows_test
    assert rows["call_id"].min() > f"c{int(CALLS * 0.75):06d}"
    payments = pd.read_parquet(trained[1].holdout)
    assert list(payments.columns) == ["convenio", "contract", "snapshot_on", "label", "score"]


def test_a_retraining_is_compared_on_the_same_holdout(base: Settings, trained: object) -> None:
    again = scoring.train(base, ANSWER)
    assert again.model_version == 2
    assert not again.promoted  # the same data make the same model
    assert "not better" in again.why
    assert "version 1 on the same holdout" in again.why
    with registry.connected(base) as known:
        second, first = known.versions("zanc_answer")
        assert (second.aliases, first.aliases) == (("challenger",), ("champion",))
        assert second.run_name.endswith("#2")
        assert first.data == second.data
        files = {one.path for one in known.client.list_artifacts(second.run_id)}
        assert {"model_card.md", "segments.json", "spec.json", "plots"} <= files
        images = {one.path for one in known.client.list_artifacts(second.run_id, "plots")}
        names = ("reliability", "gain", "lift", "profit", "importance", "shap")
        assert images == {f"plots/{name}.png" for name in names}
        known.promote("zanc_answer", 2)
        assert known.rollback("zanc_answer") == 1
        assert known.champion("zanc_answer")[1] == 1  # type: ignore[index]
        with pytest.raises(ConflictError, match="had no champion before"):
            known.rollback("zanc_answer")
        with pytest.raises(ConflictError, match="no version 99"):
            known.promote("zanc_answer", 99)


def test_the_watch_finds_no_breach_in_the_data_it_was_trained_on_and_one_in_others(
    base: Settings, trained: object
) -> None:
    quiet = monitoring.check_all(base, [ANSWER])[0]
    assert quiet.rows >= 500
    assert quiet.auc is not None
    assert quiet.expected_auc == pytest.approx(quiet.auc, abs=0.1)
    with transaction(base, "zanc") as cursor:
        cursor.execute("SELECT outcome, call_id FROM localization.call")
        before = [(row["outcome"], row["call_id"]) for row in cursor.fetchall()]
        # Suddenly nobody who used to answer does, and everybody else does.
        cursor.execute(
            "UPDATE localization.call SET outcome = CASE outcome WHEN 'human' THEN 'no_answer' "
            "ELSE 'human' END WHERE started_at > now() - interval '7 days'"
        )
    try:
        loud = monitoring.check_all(base, [ANSWER])[0]
    finally:
        with transaction(base, "zanc") as cursor:
            cursor.executemany(
                "UPDATE localization.call SET outcome = %s WHERE call_id = %s", before
            )
    assert loud.breach
    assert "its AUC fell by" in loud.why
    with transaction(base, "zanc") as cursor:
        cursor.execute("SELECT breach, why FROM scoring.monitor ORDER BY id DESC LIMIT 1")
        assert cursor.fetchone() == {"breach": True, "why": loud.why}
        cursor.execute("SELECT count(*) AS n FROM scoring.monitor_feature WHERE feature = 'hour'")
        assert cursor.fetchone()["n"] == 2


def test_scores_cover_every_dialable_phone_and_hour(
    base: Settings, scored: scoring.ScoreResult
) -> None:
    assert scored.phones == 2 * (PEOPLE - 1)
    with transaction(base, "zanc") as cursor:
        cursor.execute(
            "SELECT count(*) AS rows, count(DISTINCT hour) AS hours, min(answer) AS low, "
            "max(answer) AS high FROM scoring.phone_score"
        )
        row = cursor.fetchone()
        cursor.execute("SELECT count(*) AS rows FROM scoring.contract_score")
        contracts = cursor.fetchone()["rows"]
    assert (row["rows"], row["hours"]) == (scored.phones * 12, 12)
    assert 0 <= row["low"] < 0.3 < row["high"] <= 1
    assert contracts == PEOPLE + 1


def test_scoring_twice_leaves_one_set(base: Settings, scored: scoring.ScoreResult) -> None:
    assert scoring.score(base, DAY) == scored
    assert scoring.score(base, DAY) == scored


def test_the_waterfall_adds_up_and_names_each_rule(
    base: Settings, scored: scoring.ScoreResult
) -> None:
    made = mailing.build(base, CAMPAIGN, DAY)
    steps = {step["step"]: step["people"] for step in made.waterfall}
    assert steps["entraram"] == PEOPLE
    assert (steps["valor_minimo"], steps["atraso"]) == (1, 1)
    assert (steps["falecido"], steps["promessa"]) == (1, 1)
    assert steps["ficaram"] == made.leads == 60
    removed = [step["people"] for step in made.waterfall[1:-1]]
    assert steps["entraram"] - sum(removed) == steps["ficaram"]
    assert made.expected["profit"] > 0
    assert "já estão em outro mailing do dia" in explanation(made)


def test_a_lead_is_one_person_with_the_contract_of_most_value_and_the_phones_in_order(
    base: Settings, scored: scoring.ScoreResult
) -> None:
    made = mailing.build(base, CAMPAIGN, DAY)
    leads = pq.read_table(base.var / made.path).to_pylist()
    assert [lead["rank"] for lead in leads] == list(range(1, 61))
    assert len({lead["cpf"] for lead in leads}) == 60
    profits = [lead["profit"] for lead in leads]
    assert profits == sorted(profits, reverse=True)
    first = next((lead for lead in leads if lead["cpf"] == cpf(0)), None)
    if first is not None:  # unless the simulated calls talked to them in the last days
        assert (first["contract"], first["crm"]) == ("E0", "larga")
    assert all(1 <= len(lead["phones"]) <= 2 for lead in leads)


def test_the_same_inputs_give_the_same_mailing_even_when_the_scores_changed(
    base: Settings, scored: scoring.ScoreResult
) -> None:
    made = mailing.build(base, CAMPAIGN, DAY)
    with transaction(base, "zanc") as cursor:
        cursor.execute("UPDATE scoring.phone_score SET answer = answer / 2")
    again = mailing.build(base, CAMPAIGN, DAY)
    assert (again.id, again.sha256, again.created) == (made.id, made.sha256, False)


def test_a_changed_portfolio_makes_another_mailing_without_the_people_of_the_first(
    base: Settings, scored: scoring.ScoreResult
) -> None:
    first = mailing.build(base, CAMPAIGN, DAY)
    with transaction(base, "zanc") as cursor:
        cursor.execute("UPDATE crm.contract SET amount = amount + 1 WHERE contract = 'A20'")
    second = mailing.build(base, CAMPAIGN, DAY)
    assert second.created
    assert second.id != first.id
    called = {lead["cpf"] for lead in pq.read_table(base.var / first.path).to_pylist()}
    also = {lead["cpf"] for lead in pq.read_table(base.var / second.path).to_pylist()}
    assert not called & also


def test_why_tells_the_rule_or_the_rank(base: Settings, scored: scoring.ScoreResult) -> None:
    made = mailing.build(base, CAMPAIGN, DAY)
    top = pq.read_table(base.var / made.path).to_pylist()[0]["cpf"]
    assert mailing.why(base, CAMPAIGN, top).rank == 1
    assert mailing.why(base, CAMPAIGN, cpf(3)).left_out == "falecido"
    assert "promessa" in mailing.why(base, CAMPAIGN, cpf(11)).texto
    with pytest.raises(DataError, match="não tinha contrato"):
        mailing.why(base, CAMPAIGN, cpf(PEOPLE + 1))


def test_why_names_every_rule_and_what_was_planned(
    base: Settings, scored: scoring.ScoreResult
) -> None:
    made = mailing.build(base, CAMPAIGN, DAY)
    with transaction(base, "zanc") as cursor:
        cursor.execute(
            "SELECT cpf, arm, propensity, hour, hour_propensity, payment FROM mailing.candidate "
            "WHERE mailing_id = %s AND rank = 1",
            (made.id,),
        )
        first = cursor.fetchone()
    assert first["arm"] == "escolhido"
    assert first["propensity"] == pytest.approx(0.99)
    lead = pq.read_table(base.var / made.path).to_pylist()[0]
    assert lead["hours"][0][0] == first["hour"]
    assert len(lead["hours"]) == len(lead["phones"])
    assert first["hour_propensity"] > 0.004
    page = (base.var / "mailings" / f"{made.id}.html").read_text(encoding="utf-8")
    assert "tantas pessoas ao acaso" in page
    assert first["cpf"] not in page
    assert "http" not in page
    why = mailing.why(base, CAMPAIGN, cpf(9))  # no phone of theirs works
    assert why.left_out == "sem_telefone"
    assert why.also


def test_the_control_group_measures_the_effect_of_a_call(
    base: Settings, scored: scoring.ScoreResult
) -> None:
    strategy = load_strategy(base, CAMPAIGN)
    before = DAY - timedelta(days=60)
    with transaction(base, "zanc") as cursor:
        cursor.execute("SAVEPOINT trial")
        cursor.execute(
            "INSERT INTO mailing.mailing (id, campaign, day, inputs_hash, leads, path, sha256, "
            "waterfall, expected) VALUES ('old', %s, %s, 'x', 0, '', '', '[]', '{}')",
            (CAMPAIGN, before),
        )
        # Of 3000 called a third was reached, and 600 paid; of 1000 left alone 100 did.
        cursor.execute(
            "INSERT INTO crm.person (cpf, name) SELECT 'T' || n, 'x' "
            "FROM generate_series(1, 4000) n"
        )
        cursor.execute(
            "INSERT INTO crm.contract (convenio, contract, crm, cpf, amount, due_date, status, "
            "delivery_id, updated_at) SELECT 'banco_aurora', 'T' || n, 'norma', 'T' || n, 1, %s, "
            "CASE WHEN n <= 600 OR n > 3900 THEN 'paid' ELSE 'open' END, 1, %s "
            "FROM generate_series(1, 4000) n",
            (before, before + timedelta(days=10)),
        )
        cursor.execute(
            "INSERT INTO mailing.candidate (mailing_id, cpf, convenio, contract, gain, arm, "
            "propensity) SELECT 'old', 'T' || n, 'banco_aurora', 'T' || n, 0.5, "
            "CASE WHEN n <= 3000 THEN 'escolhido' ELSE 'controle' END, 0.9 "
            "FROM generate_series(1, 4000) n"
        )
        cursor.execute(
            "INSERT INTO crm.outcome (call_id, crm, convenio, cpf, phone, started_at, outcome, "
            "tabulation) SELECT 'T' || n, 'norma', 'banco_aurora', 'T' || n, 'x', %s, 'human', "
            "'refusal' FROM generate_series(1, 1000) n",
            (before + timedelta(days=1),),
        )
        effect = read_effect(cursor, strategy, campaign=CAMPAIGN, day=DAY)
        early = read_effect(cursor, strategy, campaign=CAMPAIGN, day=DAY - timedelta(days=40))
        cursor.execute("ROLLBACK TO SAVEPOINT trial")
    assert effect.measured
    assert effect.share == pytest.approx((0.2 - 0.1) / (1 / 3 * 0.5))
    assert not early.measured
    assert early.share == 1.0


def test_scores_of_another_day_are_refused(base: Settings, scored: scoring.ScoreResult) -> None:
    with pytest.raises(ConflictError, match="rode 'zanc models score --day"):
        mailing.build(base, CAMPAIGN, DAY + timedelta(days=1))


def test_the_latest_day_is_that_of_the_loaded_deliveries(base: Settings) -> None:
    assert mailing.latest_day(base) == DAY


def test_commands_print_json(
    base: Settings, scored: scoring.ScoreResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zanc_pipeline.mailing import cli as mailing_cli
    from zanc_pipeline.scoring import cli as scoring_cli

    monkeypatch.setattr(mailing_cli, "settings", lambda: base)
    monkeypatch.setattr(scoring_cli, "settings", lambda: base)

    def run(command: Any, *arguments: str) -> Any:
        done = CliRunner().invoke(command, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    built = run(mailing_cli.mailing, "build", "--campaign", CAMPAIGN, "--json")
    assert built["waterfall"][0]["step"] == "entraram"
    assert run(scoring_cli.models, "score", "--json")["phones"] == scored.phones
    assert run(scoring_cli.models, "compare", "zanc_answer", "--json")[-1]["version"] == 1
    one = run(scoring_cli.models, "train", "--spec", str(PAYMENT))
    assert {"run_id", "rows_train", "rows_test", "auc", "average_precision", "brier"} <= set(one)


def test_right_party_is_learnt_and_scored_from_the_talks_alone(
    base: Settings, scored: scoring.ScoreResult
) -> None:
    result = scoring.train(base, Path("models/right_party/model.yaml"))
    assert result.promoted, result.why
    assert 0.6 < result.auc < 0.85
    assert pd.read_parquet(result.holdout)["label"].mean() == pytest.approx(0.68, abs=0.08)
    assert scored.right_party_version is None
    assert scoring.score(base, DAY).right_party_version == "zanc_right_party/1"
    with transaction(base, "zanc") as cursor:
        cursor.execute(
            "SELECT avg(right_party) FILTER (WHERE cpf = ANY (%s)) AS wrong, "
            "avg(right_party) AS mean "
            "FROM scoring.phone_score",
            ([cpf(n) for n in range(4, PEOPLE, 5)],),
        )
        said = cursor.fetchone()
    assert said["wrong"] < said["mean"] - 0.1


def test_mlflow_that_is_down_is_named_with_its_address(stack: Settings) -> None:
    away = stack.model_copy(update={"mlflow": stack.mlflow.model_copy(update={"port": 1})})
    with pytest.raises(UnavailableError, match=r"MLflow at http://127\.0\.0\.1:1 does not answer"):
        scoring.train(away, ANSWER)
