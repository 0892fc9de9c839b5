"""The dialer service, as the DAGs and the triggerer call it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import httpx

from zanc_pipeline.common.errors import ConfigError, ConflictError, DataError, UnavailableError
from zanc_pipeline.common.settings import Settings

ENDED = frozenset({"finished", "failed"})
"""The states that a campaign does not leave."""

_OURSELVES = "Airflow"
"""In the dialer's audit, when no person gave the order."""

_PAGE = 500
_WITHDRAWN_AT_ONCE = 500


class DialerClient:
    """A thin client of the dialer's HTTP service; its address and token come from the settings.

    Every method raises UnavailableError when the service does not answer (a retry helps),
    ConfigError when it refuses the token, ConflictError when the campaign is known with another
    content and DataError when it refuses the request itself.
    """

    def __init__(self, settings: Settings, *, timeout_seconds: float = 15) -> None:
        self.address = settings.web_url(settings.dialer)
        self._http = httpx.Client(
            base_url=self.address,
            timeout=timeout_seconds,
            headers={"Authorization": f"Bearer {settings.secret('dialer_token')}"},
            trust_env=False,
        )

    def campaign(self, campaign_id: str) -> dict[str, Any] | None:
        """The campaign's state and counts, or None when the dialer does not know it."""
        answer = self._call("GET", f"/v1/campaigns/{_checked(campaign_id)}", missing_is_fine=True)
        return None if answer is None else _object(answer)

    def campaigns(self) -> list[dict[str, Any]]:
        """All campaigns that the dialer knows."""
        return list(_object(self._call("GET", "/v1/campaigns"))["campaigns"])

    def submit(self, campaign_id: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create the campaign; repeating the same content changes nothing."""
        path = f"/v1/campaigns/{_checked(campaign_id)}"
        return _object(self._call("PUT", path, json=body, headers=_named(_OURSELVES)))

    def stop(self, campaign_id: str) -> None:
        """Place no more calls in the campaign; those under way end by themselves."""
        self.order(campaign_id, "stop")

    def order(
        self, campaign_id: str, order: Literal["pause", "resume", "stop"], *, who: str = _OURSELVES
    ) -> None:
        """Pause, resume or stop a campaign; ``who`` is named in the dialer's audit."""
        path = f"/v1/campaigns/{_checked(campaign_id)}/{order}"
        self._call("POST", path, headers=_named(who))

    def change(self, campaign_id: str, changes: dict[str, Any], *, who: str) -> None:
        """Change options of a running campaign's ``discador`` section."""
        path = f"/v1/campaigns/{_checked(campaign_id)}/settings"
        self._call("PATCH", path, json=changes, headers=_named(who))

    def section(self, campaign_id: str) -> dict[str, Any]:
        """The campaign's ``discador`` section as it holds now."""
        path = f"/v1/campaigns/{_checked(campaign_id)}/settings"
        return dict(_object(self._call("GET", path))["settings"])

    def figures(self) -> dict[str, Any]:
        """What goes on now: PBXs, operators, every campaign that runs."""
        return _object(self._call("GET", "/v1/figures"))

    def audit(self, subject: str, *, limit: int = 1000) -> list[dict[str, Any]]:
        """Who did what to a campaign, oldest first."""
        params = {"subject": subject, "limit": limit}
        return list(_object(self._call("GET", "/v1/audit", params=params))["entries"])

    def withdraw(
        self, reason: str, *, contracts: Sequence[tuple[str, str]] = (), people: Sequence[str] = ()
    ) -> None:
        """Have contracts (convênio, number) and people (CPF) called no more, in any campaign."""
        for start in range(0, max(len(contracts), len(people)), _WITHDRAWN_AT_ONCE):
            some = slice(start, start + _WITHDRAWN_AT_ONCE)
            body = {
                "reason": reason,
                "contracts": [
                    {"convenio": convenio, "contract": contract}
                    for convenio, contract in contracts[some]
                ],
                "people": list(people[some]),
            }
            self._call("POST", "/v1/leads/withdraw", json=body)

    def attempts(self, campaign_id: str, after: str | None = None) -> Iterator[dict[str, Any]]:
        """The attempts of the campaign that ended, after attempt ``after`` or all, by pages."""
        while True:
            params: dict[str, Any] = {"limit": _PAGE} | ({"after": after} if after else {})
            path = f"/v1/campaigns/{_checked(campaign_id)}/attempts"
            page = _object(self._call("GET", path, params=params))["attempts"]
            yield from page
            if len(page) < _PAGE:
                return
            after = place_of(page[-1])

    def _call(
        self, method: str, path: str, *, missing_is_fine: bool = False, **options: Any
    ) -> Any:
        try:
            response = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise UnavailableError("The dialer", self.address, reason) from None
        status = response.status_code
        if status == 404 and missing_is_fine:
            return None
        if status < 400:
            return _json(response) if response.content else None
        where, said = f"the dialer at {self.address}{path}", response.text[:300]
        if status >= 500 or status == 429:
            raise UnavailableError("The dialer", self.address, f"HTTP {status} {said}")
        if status in {401, 403}:
            raise ConfigError(f"{where} refuses our token: check var/secrets/dialer_token")
        if status == 409:
            raise ConflictError(f"{where} holds another content under this id: {said}")
        raise DataError(f"{where} answers HTTP {status}: {said}")


def _named(who: str) -> dict[str, bytes]:
    """The header that names a person; HTTP knows Latin-1."""
    return {"X-Zanc-User": who.encode("latin-1", "replace")}


def place_of(attempt: dict[str, Any]) -> str:
    """Where to go on reading after an attempt; its id moves when it is tabulated late."""
    return str(attempt.get("sequence") or attempt["id"])


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        address = str(response.request.url)
        raise UnavailableError("The dialer", address, "its answer is not JSON") from None


def _object(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise DataError(f"the dialer answered a {type(answer).__name__}, expected an object")
    return answer


def _checked(campaign_id: str) -> str:
    if not campaign_id.replace("-", "").replace("_", "").isalnum() or not campaign_id.isascii():
        raise DataError(f"'{campaign_id}' is not a campaign id")
    return campaign_id
