"""Accounts of the demo: for a person who sits at the desk, and one who stands before the wall."""

from __future__ import annotations

from dataclasses import dataclass

from dialer.web import accounts
from dialer.web.accounts import Role
from zanc_pipeline.common.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who may log in at the dialer's pages."""

    login: str
    name: str
    role: Role
    number: int
    """Of the phone, after those of the simulated operators."""


PEOPLE = (
    Person(login="operadora", name="Olívia Prado", role=Role.OPERATOR, number=1),
    Person(login="supervisora", name="Sônia Reis", role=Role.SUPERVISOR, number=2),
)
_PAGES = {Role.OPERATOR: ("Desk", "mesa"), Role.SUPERVISOR: ("Wall", "painel")}


def add_accounts(settings: Settings) -> None:
    """Make the accounts that are missing; their passwords are this stack's secrets."""
    for person in PEOPLE:
        accounts.add(
            settings,
            person.login,
            name=person.name,
            role=person.role,
            phone=f"op{settings.world.operators + person.number:02d}",
            password=_password(settings, person),
        )


def addresses(settings: Settings) -> list[dict[str, str]]:
    """Where each of them logs in, for the demo's report: what, url, user, password."""
    return [
        {
            "what": _PAGES[person.role][0],
            "url": f"{settings.web_url(settings.dialer)}/{_PAGES[person.role][1]}",
            "user": person.login,
            "password": _password(settings, person),
        }
        for person in PEOPLE
    ]


def _password(settings: Settings, person: Person) -> str:
    return settings.secret(f"desk_password_{person.login}", length=12)
