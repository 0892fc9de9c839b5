"""Who may use the pages: accounts in the dialer's database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from dialer.pbx import OPERATOR_ID
from dialer.web import passwords
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import ConflictError, DataError
from zanc_pipeline.common.settings import Settings

LOGIN = re.compile(r"[a-z][a-z0-9._-]{1,39}", re.ASCII)


class Role(StrEnum):
    """What a person is. An operator sees CPFs and phones masked, a negotiator in full."""

    OPERATOR = "operator"
    NEGOTIATOR = "negotiator"
    SUPERVISOR = "supervisor"

    @property
    def talks(self) -> bool:
        """Whether this person sits at a desk."""
        return self is not Role.SUPERVISOR

    @property
    def sees_documents(self) -> bool:
        """Whether CPFs and phones are shown in full."""
        return self is Role.NEGOTIATOR


@dataclass(frozen=True, kw_only=True)
class Account:
    """A person; ``phone`` is the SIP endpoint, which for who talks is also the operator's id."""

    login: str
    name: str
    role: Role
    phone: str | None
    disabled_at: datetime | None = None


def add(
    settings: Settings, login: str, *, name: str, role: Role, phone: str | None, password: str
) -> bool:
    """Record an account; False when this very account is there already (its password stays).

    Raises DataError for a value that can't be, ConflictError when the login or the phone belongs
    to somebody else.
    """
    _check(login, name, role, phone)
    stored = passwords.hashed(password)
    with transaction(settings, "dialer") as cursor:
        cursor.execute(
            "INSERT INTO account (login, name, role, phone, password) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING RETURNING login",
            (login, name, role.value, phone, stored),
        )
        if cursor.fetchone() is not None:
            _note(cursor, "account_added", login, {"role": role.value, "phone": phone})
            return True
        cursor.execute("SELECT * FROM account WHERE login = %s OR phone = %s", (login, phone))
        found = [_account(row) for row in cursor.fetchall()]
    if found == [Account(login=login, name=name, role=role, phone=phone)]:
        return False
    other = next((one for one in found if one.phone == phone and one.login != login), None)
    if other is not None:
        raise ConflictError(f"phone {phone} belongs to {other.login}: choose another")
    raise ConflictError(f"there is an account {login} already: choose another login")


def set_password(settings: Settings, login: str, password: str) -> None:
    """Give an account another password, enable it and end its sessions; DataError if unknown."""
    _change(
        settings, login, "account_password",
        "UPDATE account SET password = %s, disabled_at = NULL WHERE login = %s RETURNING login",
        (passwords.hashed(password), login),
    )  # fmt: skip


def disable(settings: Settings, login: str) -> None:
    """An account may not be used any more; its sessions end. DataError when it is unknown."""
    _change(
        settings, login, "account_disabled",
        "UPDATE account SET disabled_at = coalesce(disabled_at, now()) WHERE login = %s"
        " RETURNING login",
        (login,),
    )  # fmt: skip


def listing(settings: Settings) -> list[Account]:
    """All accounts, by login."""
    with transaction(settings, "dialer") as cursor:
        cursor.execute("SELECT * FROM account ORDER BY login")
        return [_account(row) for row in cursor.fetchall()]


def _change(
    settings: Settings, login: str, action: str, statement: str, values: tuple[Any, ...]
) -> None:
    with transaction(settings, "dialer") as cursor:
        cursor.execute(statement, values)
        if cursor.fetchone() is None:
            raise DataError(f"there is no account {login[:40]!r}: see 'zanc dialer operator list'")
        cursor.execute("DELETE FROM web_session WHERE login = %s", (login,))
        _note(cursor, action, login, {})


def _note(cursor: Any, action: str, login: str, detail: dict[str, Any]) -> None:
    import json

    cursor.execute(
        "INSERT INTO audit (who, action, subject, detail) VALUES ('command line', %s, %s, %s)",
        (action, login, json.dumps(detail)),
    )


def _check(login: str, name: str, role: Role, phone: str | None) -> None:
    if LOGIN.fullmatch(login) is None:
        raise DataError(
            "a login is 2 to 40 small letters, digits and . _ - and begins with a letter"
        )
    if not 0 < len(name) <= 80 or not name.isprintable():
        raise DataError("a name is one line of at most 80 letters")
    if phone is not None and OPERATOR_ID.fullmatch(phone) is None:
        raise DataError("a phone is a SIP endpoint of the PBX: op01, op02, …")
    if phone is None and role.talks:
        raise DataError("who talks to people needs a phone: name it with --phone")


def _account(row: Any) -> Account:
    return Account(
        login=row["login"],
        name=row["name"],
        role=Role(row["role"]),
        phone=row["phone"],
        disabled_at=row["disabled_at"],
    )
