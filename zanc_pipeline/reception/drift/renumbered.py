"""Debts that went and debts that came: the same ones, under another contract number?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from zanc_pipeline.reception.drift.doubts import SMALL, Doubt
from zanc_pipeline.reception.drift.fingerprint import Fingerprint
from zanc_pipeline.reception.drift.rows import same
from zanc_pipeline.reception.drift.shapes import renumbers

_RENAMED_SHARE = 0.15
_LEAST_ALIKE, _PART_ALIKE = 2, 0.6
"""Dates and amounts that are alike in a debt under another number, beside its debtor: all of its
dates; part of it may have been paid."""
_DEBT, _PERSON = frozenset({"data", "dinheiro"}), ("cpf", "cnpj", "cpf_cnpj", "nome")
_MOVES_DAILY = 0.5


def renumbered(seen: Fingerprint, last: Fingerprint, known: Fingerprint) -> Iterator[Doubt]:
    """Contracts whose number seems to have changed; ``known`` are those of earlier files too.

    Where the last accepted file did so too, that is how this creditor numbers its debts.
    """
    if renumbers(last):
        return
    came = [key for key in seen.links if key not in known.links]
    gone = [key for key in last.links if key not in seen.links]
    if not came or not gone:
        return
    again = _under_another_number(seen, last, came, gone)
    if again:
        yield Doubt(
            field=seen.key.name,
            kind="renamed",
            text=f"{again} dívidas do último arquivo (mesma pessoa, datas e valores) vieram com "
            "outro número de contrato",
        )
        return
    count = _people(seen, last, came, gone)
    if count > _RENAMED_SHARE * len(seen.links):
        yield Doubt(
            field=seen.key.name,
            kind="renamed",
            text=f"{count} pessoas do último arquivo vieram com outro número de contrato",
            weak=count < (2 if len(seen.links) < SMALL else 3),
        )


def _people(seen: Fingerprint, last: Fingerprint, came: list[int], gone: list[int]) -> int:
    """New contracts of people all of whose contracts went."""
    if "cpf" not in seen.fields or "cpf" not in last.fields:
        return 0
    new, old = seen.column("cpf"), last.column("cpf")
    left = {old[key] for key in gone} - {old[key] for key in old if key in new} - {None}
    return sum(new[key] in left for key in came)


def _under_another_number(
    seen: Fingerprint, last: Fingerprint, came: list[int], gone: list[int]
) -> int:
    """New contracts that equal one that went in debtor, dates and amounts.

    What another file brings anew in most rows (days overdue, a debt with its interest) is left out.
    """
    names = [name for name in seen.names if name in last.fields and name != seen.key.name]
    person = next((name for name in names if name in _PERSON), None)
    debt = [name for name in names if seen.fields[name].type in _DEBT and name != "nascimento"]
    debt = [name for name in debt if last.agreement.get(name, 1.0) > _MOVES_DAILY]
    if person is None or len(debt) < _LEAST_ALIKE:
        return 0
    new = {name: seen.column(name) for name in [person, *debt]}
    old = {name: last.column(name) for name in [person, *debt]}
    left: defaultdict[object, list[int]] = defaultdict(list)
    for key in gone:
        if old[person][key] is not None:
            left[old[person][key]].append(key)
    usual = {name: Counter(old[name].values()).most_common(1)[0] for name in debt}

    def alike(one: int, other: int) -> bool:
        telling = [
            name
            for name in debt
            if new[name][one] not in (None, 0)
            and not (usual[name][0] == new[name][one] and usual[name][1] > 0.5 * len(last.links))
        ]
        agreed = [
            name
            for name in telling
            if new[name][one] == old[name][other] or same(new[name][one], old[name][other])
        ]
        dates = [name for name in telling if seen.fields[name].type == "data"]
        return len(agreed) >= max(_LEAST_ALIKE, _PART_ALIKE * len(telling)) and set(dates) <= {
            *agreed
        }

    return sum(any(alike(key, other) for other in left.get(new[person][key], ())) for key in came)
