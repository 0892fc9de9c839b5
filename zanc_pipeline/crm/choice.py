"""Which contract and which phone of a client goes into a file that has room for one of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from zanc_pipeline.common.errors import ConfigError

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contact:
    """What the calls of all CRMs say of a client's phone: its state, and when it last rang."""

    state: str
    last_at: datetime | None


Contacts = Callable[[Sequence[str]], Mapping[tuple[str, str], Contact]]
"""What is known of the phones of some CPFs, by (cpf, phone)."""

CONFIRMED, ANSWERED, NEVER, MISSED = "confirmado", "atendeu", "nunca_ligado", "nao_atendeu"
SUPPRESSED = "suprimido"
STATES = (CONFIRMED, ANSWERED, NEVER, MISSED)

_CONTRACT_RULES: Mapping[str, Callable[[Row], Any]] = {
    "maior_valor": lambda row: -row["amount"],
    "menor_valor": lambda row: row["amount"],
    "vencimento_mais_antigo": lambda row: row["due_date"].toordinal(),
    "vencimento_mais_recente": lambda row: -row["due_date"].toordinal(),
}
_PHONE_RULES = ("melhor_situacao", "contato_mais_recente", "ordem_do_arquivo")


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The rules of the section ``escolha``: the first decides, each next one breaks its ties.

    ``states`` are those of a phone, best first; a phone in another state is not sent.
    """

    contract: tuple[str, ...]
    phone: tuple[str, ...]
    states: tuple[str, ...]

    @property
    def needs_contacts(self) -> bool:
        """Whether the rules ask what the calls said."""
        return self.phone[0] != "ordem_do_arquivo" or set(self.states) != set(STATES)

    def one(self, owned: Sequence[Row], contacts: Mapping[tuple[str, str], Contact]) -> Row:
        """The row of a client from its contracts, with its phone.

        ``contracts_count`` and ``total`` say what all its contracts add up to. Equal by every
        rule, the contract of the lowest number is taken, whatever the order of the file.
        """
        chosen = min(owned, key=self._contract_order)
        cpf = chosen["cpf"]
        phones: dict[str, int] = {}
        for row in (chosen, *owned):
            for place in (1, 2, 3):
                if row[f"phone_{place}"]:
                    phones.setdefault(row[f"phone_{place}"], len(phones))
        unknown = Contact(state=NEVER, last_at=None)
        known = {phone: contacts.get((cpf, phone), unknown) for phone in phones}
        sent = [phone for phone in phones if known[phone].state in self.states]
        return {
            **chosen,
            "phone": min(
                sent, key=lambda phone: self._phone_order(known[phone], phones[phone]), default=None
            ),
            "contracts_count": len(owned),
            "total": sum((row["amount"] for row in owned), Decimal(0)),
        }

    def _contract_order(self, row: Row) -> tuple[Any, ...]:
        return (*(_CONTRACT_RULES[rule](row) for rule in self.contract), row["contract"])

    def _phone_order(self, contact: Contact, place: int) -> tuple[float, ...]:
        order = {
            "melhor_situacao": float(self.states.index(contact.state)),
            "contato_mais_recente": -contact.last_at.timestamp() if contact.last_at else 0.0,
            "ordem_do_arquivo": float(place),
        }
        return (*(order[rule] for rule in self.phone), float(place))


def parse_choice(content: object, *, where: str) -> Choice:
    """The section ``escolha`` of a CRM's YAML; ConfigError names the key."""
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: esperava as chaves contrato, telefone e situacoes")
    for key in content:
        if key not in ("contrato", "telefone", "situacoes"):
            raise ConfigError(
                f"{where}.{key}: chave desconhecida; existem contrato, telefone e situacoes"
            )
    return Choice(
        contract=_rules(f"{where}.contrato", content.get("contrato"), _CONTRACT_RULES),
        phone=_rules(f"{where}.telefone", content.get("telefone"), _PHONE_RULES),
        states=_rules(f"{where}.situacoes", content.get("situacoes"), (*STATES, SUPPRESSED)),
    )


def _rules(where: str, content: object, known: Iterable[str]) -> tuple[str, ...]:
    names = list(known)
    if not isinstance(content, list) or not content:
        raise ConfigError(f"{where}: esperava uma lista de {', '.join(names)}")
    for rule in content:
        if rule not in names:
            raise ConfigError(f"{where}: '{rule}' não é um de {', '.join(names)}")
    if len(set(content)) < len(content):
        raise ConfigError(f"{where}: uma regra está repetida")
    return tuple(content)
