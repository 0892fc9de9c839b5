"""What the DAGs' tasks do, without Airflow: each step may be repeated or killed at any point.

The ledger, the base and the dialer say what there is to do. The rooms' own modules are imported
inside the steps, because a DAG file is parsed far more often than a task runs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from zanc_pipeline.airflow.hooks import ENDED, DialerClient, place_of
from zanc_pipeline.airflow.triggers import key, upload
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import (
    ConfigError,
    DataError,
    UnavailableError,
    ZancError,
)
from zanc_pipeline.common.masking import mask_text
from zanc_pipeline.common.settings import Settings, read_yaml

if TYPE_CHECKING:
    from zanc_pipeline.airflow.announcements import Upload
    from zanc_pipeline.crm.service import CallOutcome
    from zanc_pipeline.mailing.service import Mailing
    from zanc_pipeline.reception.arrivals import Arrival
    from zanc_pipeline.reception.service import Delivery

log = logging.getLogger(__name__)

QUIET_PATIENCE_SECONDS = 180.0
"""How long a mailing waits for deliveries that are still on their way."""
_QUIET_POLL_SECONDS = 3.0
QUEUE_KEPT = timedelta(days=4)


@dataclass(frozen=True, kw_only=True)
class Reception:
    """What became of the files that one run found; lists hold ``{"delivery", "file", …}``."""

    loaded: list[dict[str, Any]] = field(default_factory=list)
    quarantined: list[dict[str, Any]] = field(default_factory=list)
    duplicates: list[dict[str, Any]] = field(default_factory=list)
    not_loaded: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # a person must correct something
    unexpected: list[str] = field(default_factory=list)  # an error that nobody foresaw

    @property
    def empty(self) -> bool:
        """Whether there was nothing to do."""
        return not any(vars(self).values())

    def add_error(self, name: str, error: Exception) -> None:
        """Keep what went wrong with the file ``name``, without personal numbers."""
        if isinstance(error, ZancError):
            self.problems.append(f"{name}: {mask_text(str(error))}")
            return
        log.error("%s: unexpected error", name, exc_info=error)
        text = f"{name}: {type(error).__name__}: {' '.join(str(error).split())}"
        self.unexpected.append(mask_text(text))


def receive_convenio(
    settings: Settings,
    convenio: str,
    announced: Collection[Upload] = (),
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Reception:
    """Receive and load everything of ``convenio`` that is complete and not in the ledger yet.

    ``announced`` are uploads that the watcher saw to be complete. One file never blocks another:
    what goes wrong with it is in the result. Raises UnavailableError when a part is down; what
    was done before that stays done, and a repeated call does the rest.
    """
    from zanc_pipeline.reception import service

    result = Reception()
    service.resume(settings, convenio)
    tried: set[int] = set()
    for delivery in _accepted(settings, convenio):
        tried.add(delivery.id)
        _load(settings, delivery, result)
    for arrival in _complete_arrivals(settings, convenio, announced, sleep):
        name = Path(arrival.path).name
        try:
            delivery = _receive(settings, arrival)
        except UnavailableError:
            raise
        except Exception as error:
            result.add_error(name, error)
            continue
        if delivery.status in {"quarantined", "held"}:
            result.quarantined.append(_entry(delivery))
        elif delivery.status == "duplicate":
            result.duplicates.append(_entry(delivery))
        elif delivery.status == "accepted":
            tried.add(delivery.id)
            _load(settings, service.get_delivery(settings, delivery.id), result)
    for delivery in _accepted(settings, convenio):  # those that waited for one of these
        if delivery.id not in tried:
            _load(settings, delivery, result)
    if result.loaded:
        try:
            tell_withdrawals(settings, DialerClient(settings))
        except ZancError as error:  # the files are loaded; the next step of a campaign tells it
            log.warning("the dialer is told of withdrawals later: %s", mask_text(str(error)))
    return result


def loaded_since(settings: Settings, convenio: str, moment: datetime) -> list[int]:
    """The deliveries of ``convenio`` that were loaded at or after ``moment``."""
    with transaction(settings, "zanc", application="airflow") as cursor:
        cursor.execute(
            "SELECT delivery_id FROM crm.load WHERE convenio = %s AND status = 'loaded'"
            " AND finished_at >= %s ORDER BY delivery_id",
            (convenio, moment),
        )
        return [row["delivery_id"] for row in cursor.fetchall()]


def wait_until_quiet(
    settings: Settings,
    *,
    patience_seconds: float = QUIET_PATIENCE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Wait until no file waits on the FTP server and no delivery is half way.

    Files of several convênios arrive together; waiting makes one mailing of all. False when
    ``patience_seconds`` ran out: one convênio in trouble does not hold up the others for ever.
    """
    deadline = clock() + patience_seconds
    while True:
        waiting = _on_their_way(settings)
        if not waiting:
            return True
        if clock() >= deadline:
            log.warning("going on without waiting longer for: %s", "; ".join(waiting))
            return False
        log.info("waiting for: %s", "; ".join(waiting))
        sleep(_QUIET_POLL_SECONDS)


def build_mailing(settings: Settings, campaign: str) -> tuple[Mailing, bool]:
    """Score the portfolio with the champions and build the mailing of its latest day.

    The mailing, and whether it is a new one: the same inputs give the same mailing again.
    """
    from zanc_pipeline.mailing import service as mailing
    from zanc_pipeline.scoring import service as scoring

    known = set(_mailing_ids(settings, campaign))
    day = mailing.latest_day(settings)
    scored = scoring.score(settings, day)
    log.info("scored: %s", scored)
    built = mailing.build(settings, campaign, day)
    return built, built.id not in known


def campaigns_to_run(
    settings: Settings, client: DialerClient, campaign: str, announced: Collection[str]
) -> list[str]:
    """The mailings of ``campaign`` that must be running or be run, oldest first.

    Those ``announced``, those that the dialer has not ended, and when that is nothing (a run that
    a person started) the latest mailing.
    """
    built = _mailing_ids(settings, campaign)
    open_ones = {one["id"] for one in client.campaigns() if one["status"] not in ENDED}
    wanted = [one for one in built if one in open_ones or one in set(announced)]
    return wanted or built[-1:]


def is_submitted(client: DialerClient, mailing_id: str) -> bool:
    """Whether the dialer has the mailing; no when it does not answer, for asking twice is free."""
    try:
        return client.campaign(mailing_id) is not None
    except UnavailableError as error:
        log.info("taking %s for not submitted: %s", mailing_id, error)
        return False


def submit_campaign(settings: Settings, client: DialerClient, mailing_id: str) -> str:
    """Have the dialer run a mailing, unless it already has it; its status there.

    The campaign's id is the mailing's, so whoever asks again finds the same campaign.
    """
    known = client.campaign(mailing_id)
    if known is not None:
        log.info("campaign %s: the dialer has it, %s", mailing_id, known["status"])
        return str(known["status"])
    with transaction(settings, "zanc", application="airflow") as cursor:
        cursor.execute(
            "SELECT campaign, path, sha256, leads FROM mailing.mailing WHERE id = %s",
            (mailing_id,),
        )
        row = cursor.fetchone()
    if row is None:
        raise DataError(f"mailing '{mailing_id}' does not exist: build it first")
    path = settings.config / "campaigns" / f"{row['campaign']}.yaml"
    strategy = read_yaml(path)
    if not isinstance(strategy.get("discador"), dict):
        raise ConfigError(f"{path}: the section 'discador' is missing: it says how to dial")
    body = {
        "name": row["campaign"],
        "settings": strategy["discador"],
        "mailing": row["path"],
        "sha256": row["sha256"],
    }
    answer = client.submit(mailing_id, body)
    log.info("campaign %s: submitted with %d leads", mailing_id, row["leads"])
    return str(answer.get("status", "running"))


def return_outcomes(
    settings: Settings, client: DialerClient, campaign_ids: Collection[str]
) -> dict[str, int]:
    """Give the CRMs the outcome of every call of the campaigns; calls returned, by campaign."""
    from zanc_pipeline.crm import service

    returned = {}
    for campaign_id in [*campaign_ids, *callback_queues(client)]:
        if client.campaign(campaign_id) is None:
            log.warning("campaign %s: the dialer never had it", campaign_id)
            continue
        returned[campaign_id] = service.return_outcomes(
            settings, _outcomes(client.attempts(campaign_id))
        )
        log.info("campaign %s: %d outcomes returned", campaign_id, returned[campaign_id])
    return returned


def callback_queues(client: DialerClient) -> list[str]:
    """The queues of agreed calls that the dialer opened by itself in the last days.

    No DAG runs them, so every campaign's DAG returns what became of their calls.
    """
    since = datetime.now(UTC) - QUEUE_KEPT
    return [
        str(one["id"])
        for one in client.campaigns()
        if str(one["id"]).startswith("retornos-")
        and datetime.fromisoformat(str(one["submitted_at"])) >= since
    ]


def tell_withdrawals(settings: Settings, client: DialerClient) -> int:
    """Tell the dialer whom the loaded files take out of its campaigns; deliveries told.

    Raises UnavailableError when the dialer is away: nobody is called meanwhile, and the next call
    tells what this one did not.
    """
    from zanc_pipeline.crm import withdrawals

    told = 0
    for one in withdrawals.pending(settings):
        client.withdraw("pago", contracts=one.paid)
        client.withdraw("retirado pelo credor", contracts=one.withdrawn)
        client.withdraw("óbito", people=one.deceased)
        withdrawals.mark_told(settings, one.delivery_id)
        told += 1
    return told


def keep_in_step(settings: Settings, client: DialerClient, campaigns: dict[str, str]) -> None:
    """What must not wait for the end of a campaign: withdrawals, outcomes, the CRMs' answers.

    ``campaigns`` holds the last attempt returned of each (empty at first) and is kept up to date.
    A part that is away holds back only itself: it is logged, and served by the next call.
    """
    from zanc_pipeline.crm import service

    def outcomes() -> None:
        for queue in callback_queues(client):
            campaigns.setdefault(queue, "")
        latest = dict(campaigns)
        fresh = []
        for campaign_id, after in campaigns.items():
            if client.campaign(campaign_id) is None:
                continue
            for attempt in client.attempts(campaign_id, after or None):
                fresh.append(attempt)
                latest[campaign_id] = place_of(attempt)
        service.return_outcomes(settings, _outcomes(fresh))
        campaigns.update(latest)

    for part in (
        lambda: tell_withdrawals(settings, client),
        outcomes,
        lambda: service.read_returns(settings),
    ):
        try:
            part()
        except ZancError as error:
            log.warning("tried again later: %s", mask_text(str(error)))


def _complete_arrivals(
    settings: Settings,
    convenio: str,
    announced: Collection[Upload],
    sleep: Callable[[float], None],
) -> list[Arrival]:
    arrivals = _unknown_arrivals(settings, convenio)
    if not all(upload(arrival) in announced for arrival in arrivals):
        # Nobody saw that these stand still, so look twice; an empty one is left to the watcher.
        sleep(settings.ftp.stable_seconds)
        still = {key(one) for one in _unknown_arrivals(settings, convenio) if one.size}
        arrivals = [one for one in arrivals if upload(one) in announced or key(one) in still]
    return sorted(arrivals, key=lambda arrival: (arrival.modified, arrival.path))


def _unknown_arrivals(settings: Settings, convenio: str | None = None) -> list[Arrival]:
    from zanc_pipeline.reception import arrivals, service

    known = service.known_uploads(settings)
    return [
        arrival
        for arrival in arrivals.scan(settings)
        if convenio in {None, arrival.convenio} and key(arrival) not in known
    ]


def _receive(settings: Settings, arrival: Arrival) -> Delivery:
    from zanc_pipeline.reception import arrivals, service

    remote = service.RemoteFile(path=arrival.path, size=arrival.size, modified=arrival.modified)
    folder = settings.var / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix="arrival-") as into:
        path = arrivals.fetch(settings, arrival, Path(into))
        delivery = service.receive(settings, path, arrival.convenio, remote=remote)
    log.info("%s: delivery %s, %s", delivery.file_name, delivery.id, delivery.status)
    return delivery


def _accepted(settings: Settings, convenio: str) -> list[Delivery]:
    """Deliveries that an earlier run accepted and did not come to load.

    What a person took out of the CRM again (``zanc crm rollback``) stays out until a person loads
    it.
    """
    from zanc_pipeline.reception import service

    taken_out = _taken_out(settings)
    waiting = [
        delivery
        for delivery in service.list_deliveries(settings, convenio)
        if delivery.status == "accepted" and delivery.id not in taken_out
    ]
    return sorted(waiting, key=lambda delivery: (delivery.reference_date or date.min, delivery.id))


def _taken_out(settings: Settings) -> set[int]:
    with transaction(settings, "zanc", application="airflow") as cursor:
        cursor.execute(
            "SELECT delivery_id FROM crm.load WHERE status IN ('rolling_back', 'rolled_back')"
        )
        return {row["delivery_id"] for row in cursor.fetchall()}


def _load(settings: Settings, delivery: Delivery, result: Reception) -> None:
    """Phones first: the ledger's ``loaded`` is the last mark, so a kill loses neither."""
    from zanc_pipeline.crm import service as crm
    from zanc_pipeline.localization.base import add_phones_of_delivery

    try:
        phones = add_phones_of_delivery(settings, delivery.id)
        load = crm.load(settings, delivery.id)
    except UnavailableError:
        raise
    except DataError as error:  # an older portfolio than the loaded one: refused on purpose
        result.not_loaded.append({**_entry(delivery), "reason": mask_text(str(error))})
    except Exception as error:
        result.add_error(delivery.file_name, error)
    else:
        entry = {**_entry(delivery), "crm": load.crm, "rows": load.rows, "phones": phones}
        result.loaded.append(entry)
        log.info("%s: loaded, %s", delivery.file_name, entry)


def _entry(delivery: Delivery) -> dict[str, Any]:
    return {
        "delivery": delivery.id,
        "file": delivery.file_name,
        "reason": delivery.reason,
        "folder": delivery.folder,
    }


def _on_their_way(settings: Settings) -> list[str]:
    with transaction(settings, "zanc", application="airflow") as cursor:
        # Older than what is loaded, or taken out by a person: it will not load, so nothing to wait
        # for.
        cursor.execute(
            "SELECT id, convenio, file_name FROM reception.delivery AS d"
            " WHERE status IN ('received', 'accepted') AND NOT EXISTS ("
            "   SELECT FROM reception.delivery AS later WHERE later.convenio = d.convenio"
            "   AND later.status = 'loaded' AND later.reference_date > d.reference_date"
            "   AND later.content = 'carteira' AND d.content = 'carteira')"
            " AND NOT EXISTS (SELECT FROM crm.load WHERE delivery_id = d.id"
            "   AND status IN ('rolling_back', 'rolled_back'))"
            " ORDER BY id"
        )
        waiting = [f"delivery {row['id']} of {row['convenio']}" for row in cursor.fetchall()]
    try:
        pending = _unknown_arrivals(settings)
    except UnavailableError as error:
        log.info("not looking for uploads: %s", error)
        return waiting
    return waiting + [f"{Path(one.path).name} of {one.convenio}" for one in pending]


def _mailing_ids(settings: Settings, campaign: str) -> list[str]:
    with transaction(settings, "zanc", application="airflow") as cursor:
        cursor.execute(
            "SELECT id FROM mailing.mailing WHERE campaign = %s ORDER BY day, built_at, id",
            (campaign,),
        )
        return [row["id"] for row in cursor.fetchall()]


def _outcomes(attempts: Iterable[dict[str, Any]]) -> Iterator[CallOutcome]:
    from zanc_pipeline.crm.service import CallOutcome

    for attempt in attempts:
        if not attempt["placed"]:
            continue  # no call left the PBX: nothing happened to the debtor
        promised = attempt.get("promise_amount")
        promise_date = attempt.get("promise_date")
        yield CallOutcome(
            call_id=attempt["id"],
            crm=attempt["crm"],
            convenio=attempt["convenio"],
            contract=attempt["contract"],
            cpf=attempt["cpf"],
            phone=attempt["phone"],
            started_at=datetime.fromisoformat(attempt["created_at"]),
            outcome=attempt["outcome"],
            tabulation=attempt.get("tabulation"),
            promise_date=date.fromisoformat(promise_date) if promise_date else None,
            promise_amount=None if promised is None else Decimal(str(promised)),
        )
