"""Rules, audit, opt-outs, callbacks and recordings on a real Asterisk and PostgreSQL."""

from __future__ import annotations

import csv
import shutil
import stat
import wave
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from dialer.audit_export import RULES
from dialer.truth import read_causes, read_records
from tests.integration import dialing, fake_localization, pbx
from tests.integration.dialing import DialerProcess, write_mailing
from tests.integration.fake_localization import FakeLocalization
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.outcomes import Outcome
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.stack import asterisk
from zanc_pipeline.world.carrier import CallPlan

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

HUMAN = CallPlan(outcome=Outcome.HUMAN, ring_seconds=0.3, talk_seconds=4, voice="alo_01")


def decide(number: str, _now: datetime) -> CallPlan:
    return HUMAN


def phone(number: int) -> str:
    return f"119{number:08d}"


@pytest.fixture(scope="module")
def telephony(settings: Settings) -> Iterator[pbx.World]:
    folder = settings.var / "asterisk"
    folder.mkdir(exist_ok=True)
    with dialing.telephony(folder, decide, 22) as world:
        yield world


@pytest.fixture(scope="module")
def localization() -> Iterator[FakeLocalization]:
    with fake_localization.running() as fake:
        yield fake


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("rules") / "config"
    shutil.copytree(pbx.REPOSITORY / "config", copy)
    (copy / "nao_ligar").mkdir(exist_ok=True)
    return copy


@pytest.fixture(scope="module")
def dialer(
    settings: Settings,
    telephony: pbx.World,
    localization: FakeLocalization,
    config: Path,
) -> Iterator[DialerProcess]:
    real = dialing.environment
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            dialing, "environment", lambda *parts: real(*parts) | {"ZANC_CONFIG": str(config)}
        )
        log = config.parent / "dialer.log"
        with dialing.dialer(settings, telephony, localization.port, log) as made:
            yield made


def submit(dialer: DialerProcess, name: str, people: list[list[str]], **options: Any) -> None:
    body = write_mailing(dialer.settings, name, people)
    body["settings"] = {**body["settings"], **options}
    answer = dialer.call("PUT", f"/v1/campaigns/{name}", json=body)
    assert answer.status_code == 201, answer.text


def order(dialer: DialerProcess, path: str, **body: Any) -> httpx.Response:
    return dialer.call("POST", f"/v1/{path}", json=body, headers_more={"X-Zanc-User": "ana"})


def talks(dialer: DialerProcess, operator: str) -> str:
    """The attempt of the operator's next conversation, once it is going on."""
    found: list[str] = []

    def going_on() -> bool:
        answer = dialer.call("GET", f"/v1/operators/{operator}/events", params={"timeout": "0"})
        call = answer.json()["call"]
        if call is not None and answer.json()["state"] in ("talking", "wrapup"):
            found.append(call["attempt"])
        return bool(found)

    dialer.wait(going_on, "a conversation goes on")
    return found[0]


def tabulate(dialer: DialerProcess, attempt: str, tabulation: str, **more: Any) -> None:
    answer = order(
        dialer, "operators/op01/tabulate", attempt=attempt, tabulation=tabulation, **more
    )
    assert answer.status_code == 200, answer.text


def test_who_asks_not_to_be_called_is_not_called_again_and_every_call_shows_why_it_was_allowed(
    settings: Settings, telephony: pbx.World, dialer: DialerProcess, config: Path, tmp_path: Path
) -> None:
    order(dialer, "operators/op01/login")
    submit(dialer, "first", [[phone(1)], [phone(2)]], gravar=True)
    attempt = talks(dialer, "op01")
    asked = next(one for one in evidence(dialer, "first") if one["id"] == attempt)
    other = phone(1) if asked["phone"] == phone(2) else phone(2)
    submit(dialer, "second", [[phone(1)], [phone(2)]], prioridade=9)
    (config / "nao_ligar" / "procon.csv").write_text(f"cpf;telefone\n;{other}\n")
    dialer.wait(
        lambda: "were read again" in dialer.log.read_text() or refused(dialer, other),
        "the list is read again",
    )
    tabulate(dialer, attempt, "do_not_call")
    dialer.wait_finished("second")
    dialer.wait_finished("first")
    called = [one["phone"] for one in evidence(dialer, "second")]
    assert asked["phone"] not in called
    assert dialer.figures("second")["leads"]["ended"] == 2
    assert order(dialer, "opt-outs", phone=other, reason="Procon").json() == {
        "withdrawn": 0,
        "in_call": 0,
    }
    listed = dialer.call("GET", "/v1/opt-outs").json()["opt_outs"]
    assert {one["phone"] for one in listed} == {phone(1), phone(2)}

    output = tmp_path / "auditoria.csv"
    said = dialer.command("audit", "--campaign", "first", "--output", str(output))
    assert (said.returncode, said.stderr) == (0, "")
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    with output.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter=";"))
    row = next(one for one in rows if one["tentativa"] == attempt)
    assert all(row[rule] for rule in RULES)
    assert row["numero"] == "DDD 11, SP, número nacional"
    assert row["volume_dia"].endswith("até agora, freio em 95000")
    assert (row["tabulacao"], row["gravacao"]) == ("do_not_call", f"{attempt}.wav")

    sound = telephony.central.run_dir / "spool" / "monitor" / row["gravacao"]
    dialer.wait(sound.is_file, "the conversation is recorded")
    assert stat.S_IMODE(sound.stat().st_mode) == 0o600
    path = f"/v1/attempts/{attempt}/recording"
    assert dialer.call("GET", path).status_code == 401
    key = {"Authorization": f"Bearer {settings.secret('recordings_token')}", "X-Zanc-User": "ana"}
    heard = dialer.call("GET", path, headers_more=key)
    (tmp_path / "heard.wav").write_bytes(heard.content)
    with wave.open(str(tmp_path / "heard.wav")) as opened:
        assert (opened.getframerate(), opened.getnframes() > 8000) == (8000, True)
    entries = dialer.call("GET", "/v1/audit", params={"subject": attempt}).json()["entries"]
    assert [(one["who"], one["action"]) for one in entries] == [("ana", "recording")]
    order(dialer, "operators/op01/logout")


def evidence(dialer: DialerProcess, campaign: str) -> list[dict[str, Any]]:
    return list(dialer.call("GET", f"/v1/campaigns/{campaign}/evidence").json()["attempts"])


def refused(dialer: DialerProcess, number: str) -> bool:
    return any(number in str(one) for one in dialer.call("GET", "/v1/figures").json()["alarms"])


def test_a_callback_outlives_its_campaign_and_records_that_were_put_aside_are_still_read(
    settings: Settings, telephony: pbx.World, dialer: DialerProcess
) -> None:
    order(dialer, "operators/op01/login")
    submit(dialer, "agreed", [[phone(11)], [phone(12)], [phone(13)]])
    attempt = talks(dialer, "op01")
    agreed = datetime.now(UTC) + timedelta(seconds=8)
    tabulate(dialer, attempt, "callback", callback_at=agreed.isoformat())
    assert order(dialer, "campaigns/agreed/stop").status_code == 200
    dialer.wait_finished("agreed")
    records = asterisk.read_cdr(telephony.central.cdr_path)
    assert any(row.uniqueid == attempt for row in records)
    causes = telephony.central.run_dir / "log" / "cel-custom" / "hangups.csv"
    for path in (telephony.central.cdr_path, causes):
        path.rename(f"{path}.20260101T000000Z")
    queue = f"retornos-teste-{datetime.now(UTC).astimezone(LOCAL):%Y-%m-%d}"
    again = talks(dialer, "op01")
    [call] = [one for one in evidence(dialer, queue) if one["id"] == again]
    asked = next(one for one in evidence(dialer, "agreed") if one["id"] == attempt)
    assert (call["phone"], call["cpf"], call["operator"]) == (asked["phone"], asked["cpf"], "op01")
    assert datetime.fromisoformat(call["created_at"]) >= agreed
    assert call["evidence"]["checks"]["melhor_hora"] == "hora que a pessoa pediu"
    tabulate(dialer, again, "refusal")
    dialer.wait_finished(queue)
    dialer.wait(
        lambda: [one["status"] for one in callbacks(dialer)] == ["done"], "the callback is done"
    )
    dialer.wait(
        lambda: set(read_records(telephony.central.cdr_path, [attempt, again])) == {attempt, again},
        "the PBX goes on in a new file, and both are read",
    )
    assert set(read_causes(causes, [attempt, again])) == {attempt, again}
    order(dialer, "operators/op01/logout")


def callbacks(dialer: DialerProcess) -> list[dict[str, Any]]:
    return list(dialer.call("GET", "/v1/callbacks").json()["callbacks"])
