"""Where a phone is, as far as its number tells: states and time zones of the 67 DDDs. Pure.

Sources: Anatel's national numbering plan (Resolução 749/2022 and its annex of DDDs by municipality)
and the tz database, which follows Lei 11.662/2008 and Lei 12.876/2013: Brazil has four zones.
Where a DDD lies in two states or two zones, both are told: a call must be lawful in each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

_OF_STATE = {
    "SP": range(11, 20),
    "RJ": (21, 22, 24),
    "ES": (27, 28),
    "MG": (31, 32, 33, 34, 35, 37, 38),
    "PR": range(41, 47),
    "SC": (47, 48, 49),
    "RS": (51, 53, 54, 55),
    "DF": (61,),
    "GO": (62, 64),
    "TO": (63,),
    "MT": (65, 66),
    "MS": (67,),
    "AC": (68,),
    "RO": (69,),
    "BA": (71, 73, 74, 75, 77),
    "SE": (79,),
    "PE": (81, 87),
    "AL": (82,),
    "PB": (83,),
    "RN": (84,),
    "CE": (85, 88),
    "PI": (86, 89),
    "PA": (91, 93, 94),
    "AM": (92, 97),
    "RR": (95,),
    "AP": (96,),
    "MA": (98, 99),
}
_TWO_STATES = {"61": ("DF", "GO"), "42": ("PR", "SC")}
"""61 is also that of Goiás around Brasília, 42 that of Porto União."""

STATES_OF_DDD: Mapping[str, tuple[str, ...]] = {
    str(ddd): _TWO_STATES.get(str(ddd), (state,))
    for state, ddds in _OF_STATE.items()
    for ddd in ddds
}

_ZONE_OF_STATE = {
    "AC": ("America/Rio_Branco",),
    "AM": ("America/Manaus",),
    "RO": ("America/Porto_Velho",),
    "RR": ("America/Boa_Vista",),
    "MT": ("America/Cuiaba",),
    "MS": ("America/Campo_Grande",),
}
_BRASILIA = ("America/Sao_Paulo",)
_ZONE_OF_DDD = {"97": ("America/Manaus", "America/Eirunepe")}
"""The west of Amazonas keeps the time of Acre."""

NORONHA = "813619"
"""The prefix of Fernando de Noronha's landlines, an hour ahead of the rest of DDD 81."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a number may ring: every one of ``states`` and ``zones`` must allow the call."""

    ddd: str
    states: tuple[str, ...]
    zones: tuple[ZoneInfo, ...]


def place_of(phone: str) -> Place:
    """The place of ``phone``: DDD and subscriber, as ``rules.check_number`` lets it through."""
    ddd = phone[:2]
    states = STATES_OF_DDD[ddd]
    zones = _ZONE_OF_DDD.get(ddd) or _ZONE_OF_STATE.get(states[0], _BRASILIA)
    if phone.startswith(NORONHA):
        zones = ("America/Noronha",)
    return Place(ddd=ddd, states=states, zones=tuple(ZoneInfo(zone) for zone in zones))
