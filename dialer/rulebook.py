"""The rules as they stand now: files read again when they change, opt-outs, counted calls.

``config/regras.yaml``, ``config/feriados.csv`` and ``config/nao_ligar/*.csv`` may be edited while
campaigns run. While one of them can't be understood no new call leaves (``problem`` says why): the
line in error may be of somebody who must not be called.
"""

from __future__ import annotations

import asyncio
import csv
import logging
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from dialer.days_off import DaysOff, read_own
from dialer.permission import Listed, Rules
from dialer.policy import Policy, load_policy
from dialer.volumes import Alarm, Volumes
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.do_not_call import read_lists
from zanc_pipeline.common.errors import ConfigError

log = logging.getLogger(__name__)

LISTS = "nao_ligar"
_Stamp = tuple[tuple[str, int, int], ...]


class Rulebook:
    """What the gate asks. Without a ``config`` folder the defaults hold and nothing is listed."""

    def __init__(self, config: Path | None = None, *, any_hour: bool = False) -> None:
        self._config, self._any_hour = config, any_hour
        self._stamp: _Stamp | None = None
        self._opted: tuple[set[str], set[str]] = (set(), set())
        self._told: set[str] = set()
        self.volumes = Volumes()
        self.problem = ""
        """Why no call may leave until a file is mended, in Portuguese; empty when all are read."""
        self.rules = self._with(Policy(), DaysOff(), Listed())

    @property
    def policy(self) -> Policy:
        """The rules of the centre."""
        return self.rules.policy

    async def refresh(self) -> None:
        """Read again what was changed."""
        if self._config is None:
            return
        stamp = await asyncio.to_thread(_stamp, self._config)
        if stamp == self._stamp:
            return
        try:
            rules = await asyncio.to_thread(self._read, self._config)
        except (ConfigError, OSError, csv.Error) as error:
            if str(error) != self.problem:
                log.error("dialer: no new calls: %s", error)
            self.problem = str(error)
        else:
            if self._stamp is not None:
                log.info("dialer: the rules and the lists of who is not called were read again")
            self.problem, self.rules = "", rules
        self._stamp = stamp

    def opt_out(self, cpf: str | None, phone: str | None) -> None:
        """From now on neither is called."""
        if cpf:
            self._opted[0].add(cpf)
        if phone:
            self._opted[1].add(phone)

    def load_opt_outs(self, rows: Iterable[tuple[str | None, str | None]]) -> None:
        """Begin with those that are recorded."""
        for cpf, phone in rows:
            self.opt_out(cpf, phone)

    def brake(self, caller_id: str, now: datetime) -> str:
        """Why no call of ``caller_id`` may leave now; empty when it may.

        Alarms are logged once a day.
        """
        held = self.problem
        for alarm in self.alarms(now):
            self._tell(alarm, now)
            if alarm.brake and alarm.caller_id in (None, caller_id) and not held:
                held = alarm.told
        return held

    def alarms(self, now: datetime) -> list[Alarm]:
        """Figures near or at their limits."""
        return self.volumes.alarms(self.policy, now)

    def _tell(self, alarm: Alarm, now: datetime) -> None:
        key = f"{now.astimezone(LOCAL).date()} {alarm.rule} {alarm.caller_id} {alarm.brake}"
        if key not in self._told:
            self._told.add(key)
            log.warning("dialer: %s: %s", "brake" if alarm.brake else "alarm", alarm.told)

    def _read(self, config: Path) -> Rules:
        policy = load_policy(config)
        if self._any_hour:
            policy = policy.at_any_hour()
        days_off = DaysOff(optional=policy.feriados.pontos_facultativos, own=read_own(config))
        if policy.feriados.ligado:
            days_off.prepare(datetime.now(LOCAL).year)
        if not policy.nao_ligar.ligado:
            return self._with(policy, days_off, Listed())
        try:
            listed = read_lists(config / LISTS, policy.nao_ligar.listas)
        except ConfigError as error:
            raise ConfigError(str(error).replace("nunca_chamar.listas", "regras.yaml")) from None
        return self._with(policy, days_off, Listed(cpfs=listed.cpfs, phones=listed.phones))

    def _with(self, policy: Policy, days_off: DaysOff, listed: Listed) -> Rules:
        opted = Listed(cpfs=self._opted[0], phones=self._opted[1])
        return Rules(policy=policy, days_off=days_off, listed=listed, opted_out=opted)


def _stamp(config: Path) -> _Stamp:
    """Changes when one of the files does."""
    files = [
        config / "regras.yaml",
        config / "feriados.csv",
        *sorted(config.glob(f"{LISTS}/*.csv")),
    ]
    found = []
    for path in files:
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(found)
