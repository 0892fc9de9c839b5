"""The portfolio as the CRMs hold it, in canonical form: ``crm.person`` and ``crm.contract``."""

from __future__ import annotations

from typing import Any

from psycopg2 import sql

from zanc_pipeline.crm.entities import Portfolio
from zanc_pipeline.crm.fields import Kind
from zanc_pipeline.crm.merge import Target, merge, undo
from zanc_pipeline.crm.staging import PAID_OFF, stage_delivery

_JOURNAL = sql.Identifier("crm", "journal")

_PERSON = Target(
    table=sql.Identifier("crm", "person"),
    name="person",
    key=("cpf",),
    columns=("cpf", "name", "birth_date", "email", "city", "state", "deceased"),
    stamps=(("updated_at", "now()"),),
    shared=True,
    used_by=sql.SQL("EXISTS (SELECT FROM crm.contract c WHERE c.cpf = t.cpf)"),
)
_CONTRACT = Target(
    table=sql.Identifier("crm", "contract"),
    name="contract",
    key=("convenio", "contract"),
    columns=("convenio", "contract", "crm", "cpf", "product", "amount", "due_date", "status"),
    stamps=(("delivery_id", "%(delivery_id)s"), ("updated_at", "now()")),
)

# What a convênio does not send does not erase what another one sent. A death that any creditor
# reported stands, whatever the others say: the harm of calling is greater.
_STAGE_PERSON = """
    CREATE TEMP TABLE stage_person ON COMMIT DROP AS
    SELECT d.cpf, d.name, coalesce(d.birth_date, p.birth_date) AS birth_date,
           coalesce(d.email, p.email) AS email, coalesce(d.city, p.city) AS city,
           coalesce(d.state, p.state) AS state,
           d.deceased OR coalesce(p.deceased, false) AS deceased
    FROM (SELECT DISTINCT ON (cpf) * FROM delivery_row ORDER BY cpf, deceased DESC, line DESC) d
    LEFT JOIN crm.person p USING (cpf)
"""
_STAGE_CONTRACT = """
    CREATE TEMP TABLE stage_contract ON COMMIT DROP AS
    SELECT %(convenio)s::text AS convenio, contract, %(crm)s::text AS crm, cpf, product, amount,
           due_date, CASE WHEN {paid} THEN 'paid' ELSE 'open' END AS status
    FROM delivery_row
    UNION ALL
    SELECT t.convenio, t.contract, t.crm, t.cpf, t.product, t.amount, t.due_date, 'removed'
    FROM {rows} t
    WHERE t.convenio = %(convenio)s AND t.status = 'open'
      AND NOT EXISTS (SELECT 1 FROM delivery_row d WHERE d.contract = t.contract)
"""
_STAGE_PAID_OFF = f"""
    CREATE TEMP TABLE stage_contract ON COMMIT DROP AS
    SELECT convenio, contract, crm, cpf, product, amount, due_date, 'paid' AS status
    FROM crm.contract t
    WHERE convenio = %(convenio)s AND status = 'open'
      AND EXISTS (SELECT FROM delivery_row d WHERE d.contract = t.contract AND d.{PAID_OFF})
"""  # noqa: S608 (the name is a constant)


_LOOKED_AT = (
    "looked_at_contract l CROSS JOIN LATERAL (SELECT i.* FROM crm.contract i "
    "WHERE i.convenio = %(convenio)s AND i.contract = l.contract OFFSET 0)"
)


def write(cursor: Any, portfolio: Portfolio, crm: str, latest: str | None) -> None:
    """Merge the delivery into the mirror, in the caller's transaction.

    ``latest`` is the digest of the delivery that the mirror has of the convênio.
    """
    if latest == portfolio.digest:
        return
    changes = portfolio.changes
    if changes is not None and changes.since != latest:
        changes = None
    _lock(cursor)
    says_paid = portfolio.extras.get(PAID_OFF) is Kind.BOOLEAN
    stage_delivery(cursor, portfolio, [PAID_OFF] if says_paid else [], of=changes)
    contracts = _STAGE_CONTRACT.format(
        paid=PAID_OFF if says_paid else "false",
        rows="crm.contract" if changes is None else _LOOKED_AT,
    )
    for stage, script, target in (
        ("stage_person", _STAGE_PERSON, _PERSON),
        ("stage_contract", contracts, _CONTRACT),
    ):
        cursor.execute(script, {"convenio": portfolio.convenio, "crm": crm})
        cursor.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(stage)))
        merge(cursor, target, sql.Identifier(stage), _JOURNAL, portfolio.delivery_id)


def add(cursor: Any, added: Portfolio) -> None:
    """Mark the contracts that the payments of a delivery pay off, in the caller's transaction."""
    if added.extras.get(PAID_OFF) is not Kind.BOOLEAN:
        return
    _lock(cursor)
    stage_delivery(cursor, added, [PAID_OFF])
    cursor.execute(_STAGE_PAID_OFF, {"convenio": added.convenio})
    merge(cursor, _CONTRACT, sql.Identifier("stage_contract"), _JOURNAL, added.delivery_id)


def take_out(cursor: Any, delivery_id: int) -> None:
    """Undo ``write`` or ``add``, in the caller's transaction."""
    _lock(cursor)
    for target in (_CONTRACT, _PERSON):
        undo(cursor, target, _JOURNAL, delivery_id)


def _lock(cursor: Any) -> None:
    # Convênios of different CRMs share persons: without it two loads could deadlock on them.
    cursor.execute("SELECT pg_advisory_xact_lock(hashtext('crm.mirror'))")
