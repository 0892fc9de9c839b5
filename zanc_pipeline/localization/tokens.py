"""The tokens of the CRMs: given out once, kept as SHA-256, looked up by it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.settings import Settings

PERMISSIONS = ("calls", "phones", "dial")
"""What a token may do: report calls, ask for the phones of people, ask to dial and reserve."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """Whose token it is and what it may do."""

    crm: str
    may: frozenset[str]
    expires_at: datetime | None = None


def fingerprint(token: str) -> str:
    """What is kept of a token: our tokens are 32 random characters, so no salt is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def own_grants(settings: Settings) -> dict[str, Grant]:
    """The grants of this stack's own clients (the dialer), by fingerprint: one a CRM."""
    return {
        fingerprint(settings.secret(f"localization_token_{crm}")): Grant(
            crm=crm, may=frozenset(PERMISSIONS)
        )
        for crm in settings.crms
    }


def with_table(
    own: Mapping[str, Grant], rows: Iterable[Mapping[str, Any]], crms: Collection[str]
) -> dict[str, Grant]:
    """``own`` and the grants in rows of ``localization.token``; a revoked one counts nowhere."""
    grants = dict(own)
    for row in rows:
        if row["revoked_at"] is not None or row["crm"] not in crms:
            grants.pop(row["sha256"], None)
        else:
            grants[row["sha256"]] = Grant(
                crm=row["crm"], may=frozenset(row["may"]), expires_at=row["expires_at"]
            )
    return grants


def create(
    settings: Settings, crm: str, *, may: Sequence[str] = PERMISSIONS, days: int | None = None
) -> str:
    """A new token of ``crm``, valid for ``days`` or for good: nobody can read it a second time.

    Raises DataError when the CRM is not configured.
    """
    if crm not in settings.crms:
        raise DataError(f"there is no CRM {crm}: expected one of {', '.join(settings.crms)}")
    token = secrets.token_urlsafe(24)
    expires = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with transaction(settings, "zanc", application="zanc localization token") as cursor:
        cursor.execute(
            "INSERT INTO localization.token (sha256, crm, may, expires_at) VALUES (%s, %s, %s, %s)",
            (fingerprint(token), crm, list(may), expires),
        )
    return token


def listing(settings: Settings) -> list[dict[str, Any]]:
    """The tokens ever given out, the first eight characters of each fingerprint as its name."""
    with transaction(settings, "zanc", application="zanc localization token") as cursor:
        cursor.execute(
            "SELECT left(sha256, 8) AS name, crm, may, created_at, expires_at, revoked_at "
            "FROM localization.token ORDER BY created_at"
        )
        return [dict(row) for row in cursor.fetchall()]


def revoke(settings: Settings, name: str) -> None:
    """End the token of that name, within seconds in every process. DataError: there is none.

    The stack's own tokens can be revoked as well: name the CRM.
    """
    with transaction(settings, "zanc", application="zanc localization token") as cursor:
        if name in settings.crms:
            cursor.execute(
                "INSERT INTO localization.token (sha256, crm, may, revoked_at) "
                "VALUES (%s, %s, %s, now()) ON CONFLICT (sha256) DO UPDATE SET revoked_at = now()",
                (
                    fingerprint(settings.secret(f"localization_token_{name}")),
                    name,
                    list(PERMISSIONS),
                ),
            )
            return
        cursor.execute(
            "UPDATE localization.token SET revoked_at = coalesce(revoked_at, now()) "
            "WHERE left(sha256, 8) = %s",
            (name,),
        )
        if cursor.rowcount == 0:
            raise DataError(f"there is no token {name}: see 'zanc localization token list'")
