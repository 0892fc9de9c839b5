"""PBXs that are being emptied: somebody wants to work on one without cutting anybody off.

Such a PBX gets no new calls; those that ring are answered as ever, conversations end by themselves,
and operators whose phones are registered there are reached through it all the same. It outlives a
restart of the dialer: only the opposite order ends it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dialer import queries

if TYPE_CHECKING:
    from dialer.engine import Engine
    from dialer.store import Store

log = logging.getLogger(__name__)

_DRAINED = "SELECT name FROM drained_pbx"
_DRAIN = "INSERT INTO drained_pbx (name, who) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING name"
_USE = "DELETE FROM drained_pbx WHERE name = $1 AND $2 <> '' RETURNING name"


async def drained(store: Store) -> frozenset[str]:
    """The PBXs that get no new calls. Raises UnavailableError."""
    async with store.transaction() as connection:
        return frozenset(row["name"] for row in await connection.fetch(_DRAINED))


async def drain(engine: Engine, name: str, who: str, *, wanted: bool) -> None:
    """Empty the PBX ``name``, or use it again; the same order twice does nothing more.

    Raises UnavailableError while the engine starts or its database is away.
    """
    async with engine.api():
        async with engine.store.transaction() as connection:
            changed = await connection.fetchval(_DRAIN if wanted else _USE, name, who)
            if changed is not None:
                action = "drain" if wanted else "use"
                await connection.execute(queries.INSERT_AUDIT, who, action, name, {})
        engine.pbxs.drain(name, wanted=wanted)
        if changed is not None:
            log.info("PBX %s: %s by %s", name, "emptied" if wanted else "used again", who)
        engine.floor.wake.set()
