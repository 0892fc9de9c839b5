"""The localization service as the dialer uses it: may a phone be called; how calls ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from zanc_pipeline.common.errors import DataError, UnavailableError
from zanc_pipeline.common.settings import Settings

TIMEOUT_SECONDS = 5.0
RETRY_RESERVED_SECONDS = 20.0
"""Who is being called by another CRM is asked for again after so long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reservation:
    """What became of a wish to call one of a person's phones.

    ``phone`` is reserved for us under ``lease``; both are None when none may be dialled now.
    ``told`` says by which counts it may be called. ``refused`` are the phones not to be dialled,
    with the reason. ``busy``: nothing was reserved only because this person or phone is reserved
    elsewhere at this moment; those phones are not in ``refused``, ask again after
    ``retry_seconds``.
    """

    phone: str | None
    lease: str | None
    refused: Mapping[str, str]
    busy: bool
    retry_seconds: float = RETRY_RESERVED_SECONDS
    told: str = ""


class Localization:
    """HTTP client; one token per CRM. Close it with ``close``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.address = settings.web_url(settings.localization)
        self._client = httpx.AsyncClient(
            base_url=self.address, timeout=TIMEOUT_SECONDS, trust_env=False
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def reserve(
        self,
        crm: str,
        cpf: str,
        phones: Sequence[str],
        *,
        reference: str,
        lease_seconds: int,
        agreed: bool = False,
    ) -> Reservation:
        """Reserve the first of ``phones`` that may be dialled for this person.

        ``reference`` is the call_id under which the call will be reported: the report ends the
        lease, and asking again gets the same one. ``agreed``: the debtor asked for this call. A
        phone about which the service says nothing is refused. Raises UnavailableError, or DataError
        when the service takes the question for wrong.
        """
        question = {
            "cpf": cpf,
            "phones": list(phones),
            "reserve": True,
            "lease_seconds": lease_seconds,
            "reference": reference,
            "agreed": agreed,
        }
        body = await self._post(crm, "/v1/dial-check", question)
        return _reservation(phones, body if isinstance(body, Mapping) else {})

    async def release(self, crm: str, lease: str) -> None:
        """End a lease whose call was not placed; one that is over already is no error.

        Raises UnavailableError: the lease then ends by its time.
        """
        await self._post(crm, f"/v1/leases/{quote(lease, safe='')}/release", {})

    async def record_calls(self, crm: str, calls: Sequence[Mapping[str, Any]]) -> None:
        """Store calls durably; repeating them does nothing more.

        Raises UnavailableError, or DataError when the service refuses what is in them.
        """
        await self._post(crm, "/v1/calls", list(calls))

    async def _post(self, crm: str, path: str, body: object) -> Any:
        token = self._settings.secret(f"localization_token_{crm}")
        try:
            response = await self._client.post(
                path, json=body, headers={"Authorization": f"Bearer {token}"}
            )
        except httpx.HTTPError as error:
            raise UnavailableError(
                "localization", self.address, str(error) or type(error).__name__
            ) from None
        if response.status_code in (400, 413, 422):
            raise DataError(f"localization refuses {path}: {_reason(response)}")
        if response.status_code != 200:
            raise UnavailableError("localization", self.address, _reason(response))
        try:
            return response.json()
        except ValueError:
            raise UnavailableError("localization", self.address, "its answer is not JSON") from None


def _reservation(phones: Sequence[str], body: Mapping[str, Any]) -> Reservation:
    lease = body.get("lease") or {}
    verdicts = {answer.get("phone"): answer for answer in body.get("phones", [])}
    refused = {}
    waits = False
    for phone in phones:
        verdict = verdicts.get(phone)
        if verdict is None:
            refused[phone] = "a base de localização não respondeu sobre ele"
        elif verdict.get("reason") == "reserved":
            waits = True
        elif verdict.get("dial") is not True and verdict.get("reason") != "other_phone_reserved":
            refused[phone] = _told(verdict)
    reserved = lease.get("phone")
    return Reservation(
        phone=reserved,
        lease=lease.get("id"),
        refused=refused,
        busy=reserved is None and waits,
        told=str(verdicts.get(reserved, {}).get("texto") or ""),
    )


def _told(verdict: Mapping[str, Any]) -> str:
    """Why a phone is not dialled, in Portuguese."""
    return str(verdict.get("texto") or f"a base de localização não deixa ({verdict.get('reason')})")


def _reason(response: httpx.Response) -> str:
    text = " ".join(response.text.split())[:200]
    return f"HTTP {response.status_code} {text}".strip()
