"""The localization service as the dialer uses it: may a phone be called; how calls ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from zanc_pipeline.common.errors import DataError, UnavailableError
from zanc_pipeline.common.settings import Settings

TIMEOUT_SECONDS = 5.0


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

    async def dial_check(self, crm: str, cpf: str, phones: Sequence[str]) -> dict[str, str]:
        """The phones that must not be dialled for this person, with the reason.

        A phone about which the service says nothing is refused too. Raises UnavailableError.
        """
        body = await self._post(crm, "/v1/dial-check", {"cpf": cpf, "phones": list(phones)})
        answers = body.get("phones", []) if isinstance(body, Mapping) else []
        allowed: set[str] = set()
        refused: dict[str, str] = {}
        for answer in answers:
            if answer.get("dial") is True:
                allowed.add(answer.get("phone"))
            else:
                refused[str(answer.get("phone"))] = str(answer.get("reason") or "refused")
        return {
            phone: refused.get(phone, "localization did not answer for it")
            for phone in phones
            if phone not in allowed
        }

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


def _reason(response: httpx.Response) -> str:
    text = " ".join(response.text.split())[:200]
    return f"HTTP {response.status_code} {text}".strip()
