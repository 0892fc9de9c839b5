"""What a delivery says, in the words of the files under ``config/crms``: entities and fields.

A delivery has one row a contract. Every entity is drawn from those rows; instalments, addresses
and payments only when the convênio's layout has their fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

EXTRA = "campo_"
"""Before the layout's name of a field that is no canonical column of an accepted delivery."""

EXTRA_NAME = re.compile(r"campo_[a-z][a-z0-9_]{0,50}")


class Kind(StrEnum):
    """What a field holds, as messages name it."""

    TEXT = "texto"
    NUMBER = "valor"
    INTEGER = "inteiro"
    DATE = "data"
    MOMENT = "data e hora"
    BOOLEAN = "sim ou não"


CANONICAL: Mapping[str, tuple[str, Kind]] = {
    "linha": ("line", Kind.INTEGER),
    "cpf": ("cpf", Kind.TEXT),
    "nome": ("name", Kind.TEXT),
    "contrato": ("contract", Kind.TEXT),
    "produto": ("product", Kind.TEXT),
    "valor": ("amount", Kind.NUMBER),
    "vencimento": ("due_date", Kind.DATE),
    "nascimento": ("birth_date", Kind.DATE),
    "email": ("email", Kind.TEXT),
    "cidade": ("city", Kind.TEXT),
    "uf": ("state", Kind.TEXT),
    "telefone_1": ("phone_1", Kind.TEXT),
    "telefone_2": ("phone_2", Kind.TEXT),
    "telefone_3": ("phone_3", Kind.TEXT),
    "obito": ("deceased", Kind.BOOLEAN),
}
"""The fields of every delivery: our word → (column of ``accepted.parquet``, kind)."""

OPEN, REMOVED, PAID = "aberto", "removido", "quitado"
"""The states of a contract or instalment: in the latest file, no longer in it, paid by it."""

_PERSON = ("cpf", "nome", "nascimento", "email", "cidade", "uf", "obito")
_EXTRA_KINDS = {
    "parcela": Kind.INTEGER,
    "ordem": Kind.INTEGER,
    "telefone": Kind.TEXT,
    "convenio": Kind.TEXT,
    "situacao": Kind.TEXT,
    "pago_em": Kind.DATE,
    "valor_pago": Kind.NUMBER,
    "logradouro": Kind.TEXT,
    "numero_endereco": Kind.TEXT,
    "complemento": Kind.TEXT,
    "bairro": Kind.TEXT,
    "cep": Kind.TEXT,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Entity:
    """``key`` identifies a row; ``fields`` are all that may be mapped, the key's first."""

    name: str
    key: tuple[str, ...]
    fields: tuple[str, ...]
    takes_extras: bool = False

    def kind(self, field: str) -> Kind | None:
        """What ``field`` holds; None for an extra field, whose layout says it."""
        if field.startswith(EXTRA):
            return None
        return CANONICAL[field][1] if field in CANONICAL else _EXTRA_KINDS[field]

    def knows(self, field: str) -> bool:
        """Whether the entity has ``field``; extra fields are written ``campo_<name>``."""
        return field in self.fields or (self.takes_extras and bool(EXTRA_NAME.fullmatch(field)))


ENTITIES: Mapping[str, Entity] = {
    entity.name: entity
    for entity in (
        Entity(name="devedor", key=("cpf",), fields=_PERSON, takes_extras=True),
        Entity(
            name="contrato",
            key=("convenio", "contrato"),
            fields=(
                *("convenio", "contrato", "produto", "valor", "vencimento", "situacao"),
                *(*_PERSON, "telefone_1", "telefone_2", "telefone_3"),
            ),
            takes_extras=True,
        ),
        Entity(
            name="parcela",
            key=("convenio", "contrato", "parcela"),
            fields=("convenio", "contrato", "parcela", "vencimento", "valor", "situacao", "cpf"),
        ),
        Entity(
            name="telefone",
            key=("convenio", "cpf", "telefone"),
            fields=("convenio", "cpf", "telefone", "ordem", "situacao"),
        ),
        Entity(
            name="endereco",
            key=("convenio", "cpf"),
            fields=(
                *("convenio", "cpf", "logradouro", "numero_endereco", "complemento", "bairro"),
                *("cidade", "uf", "cep"),
            ),
        ),
        Entity(name="email", key=("convenio", "cpf", "email"), fields=("convenio", "cpf", "email")),
        Entity(
            name="pagamento",
            key=("convenio", "contrato", "pago_em"),
            fields=("convenio", "contrato", "pago_em", "valor_pago", "cpf"),
        ),
    )
}
"""What a CRM may keep a table of, by name."""
