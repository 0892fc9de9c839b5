"""Two fingerprints beside each other: does each field still hold what it held?

Where the same contracts came again, the fields are compared row by row; where too few did, by
what the columns look like. A doubt is anything that a file which merely has newer data would not
show: it keeps the file from being loaded until it is explained.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations

from zanc_pipeline.reception.drift.chance import apart, too_few
from zanc_pipeline.reception.drift.fingerprint import FieldPrint, Fingerprint
from zanc_pipeline.reception.drift.looks import strange
from zanc_pipeline.reception.drift.relations import broken
from zanc_pipeline.reception.drift.sample import KEY, Token, swapped_date

ENOUGH = 25
"""Rows in common from which a row by row comparison speaks."""

NEAR = 0.02
"""Relative difference within which two amounts are the same debt, a little later."""

_STABLE = {
    "cpf": 0.97,
    "cnpj": 0.97,
    "cpf_cnpj": 0.97,
    "texto": 0.85,
    "codigo": 0.85,
    "data": 0.6,
    "dinheiro": 0.5,
    "telefone": 0.5,
    "telefones": 0.5,
    "email": 0.6,
    "uf": 0.85,
    "inteiro": 0.3,
    "sim_nao": 0.93,
}
"""Share of the rows in common that agree, at least, by type: below it something else changed."""

_STABLE_NAMES = {KEY: 0.99, "nascimento": 0.85}

_USUAL_ROOM = 0.1
"""How far below its usual share of agreement a field may fall."""
_PRIOR_ROWS = 5
"""How many rows the expected agreement of a type weighs beside the rows that were compared."""
_CROSS_MARGIN = 0.25
_SCALES = (10, 100, 1000)
_SCALED_SHARE = 0.004
_TURNED_EACH = 400
_CROSSED_SHARE = {"telefone": 0.2, "telefones": 0.2, "email": 0.2}
"""Creditors put another phone first in many rows; amounts, dates and texts do not change places."""
_CROSSED_USUAL = 0.005
_FAR_DAYS = 15 * 365
_FEW_DATES = 200
_REPEATED = 0.05
"""How much smaller the share of different values may be, where nearly all were different."""
_OTHER_PERSON_ROWS = 2
_RENAMED_SHARE = 0.15
_RENUMBERED = 0.1
"""So few contracts of the file before came again in the last accepted one: all have new numbers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """Why a field (or the file, when ``field`` is empty) is not believed, in Portuguese."""

    field: str
    kind: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldComparison:
    """``linked`` rows had a value on either day in both files; ``agreement`` of them agree."""

    name: str
    linked: int
    agreement: float
    wanted: float
    expected: float
    like: str | None = None
    """Another field of the last file that these values agree with much better."""


@dataclass(kw_only=True)
class Comparison:
    """All fields of a delivery beside those of the last accepted one."""

    linked: int
    overlap: float
    wanted_overlap: float
    fields: dict[str, FieldComparison] = field(default_factory=dict)
    doubts: list[Doubt] = field(default_factory=list)

    @property
    def agreement(self) -> dict[str, float]:
        """Share of agreement by field, of those that could be compared: few rows weigh little."""
        return {
            one.name: (one.agreement * one.linked + one.expected * _PRIOR_ROWS)
            / (one.linked + _PRIOR_ROWS)
            for one in self.fields.values()
            if one.linked
        }

    def proves(self, name: str) -> bool:
        """Whether the rows in common prove that a field holds what it held."""
        one = self.fields.get(name)
        return one is not None and one.linked >= ENOUGH and one.agreement >= one.wanted


def compare(seen: Fingerprint, before: Fingerprint) -> Comparison:
    """Compare a delivery with the last accepted one."""
    common = [key for key in seen.links if key in before.links]
    comparison = Comparison(
        linked=len(common),
        overlap=overlap(seen, before),
        wanted_overlap=min(0.5, 0.6 * before.overlap) if before.overlap is not None else 0.0,
    )
    _check_overlap(comparison, seen, before)
    _check_renamed(comparison, seen, before)
    old = {name: before.column(name) for name in before.names}
    for name in seen.names:
        if name not in old:
            continue
        new = seen.column(name)
        one = _compare_field(name, new, old, common, seen, before)
        comparison.fields[name] = one
        comparison.doubts += _row_doubts(one, new, old[name], common, seen.fields[name])
        if min(len(seen.links), len(before.links)) >= ENOUGH:
            comparison.doubts += _look_doubts(name, seen.fields[name], before.fields[name], one)
        comparison.doubts += _small_print(
            name, seen.fields[name], before.fields[name], renumbers=_renumbers(before)
        )
    comparison.doubts += _crossed(seen, before, old, common)
    comparison.doubts += [
        Doubt(field=name, kind=kind, text=text)
        for name, kind, text in broken(seen.relations, before.relations)
    ]
    return comparison


def overlap(seen: Fingerprint, before: Fingerprint) -> float:
    """Estimated share of the last delivery's contracts that came again."""
    reach = max(seen.links, default=0) if seen.rows > len(seen.links) else math.inf
    comparable = [key for key in before.links if key <= reach]
    if not comparable:
        return 0.0
    return sum(key in seen.links for key in comparable) / len(comparable)


def agreement(new: dict[int, Token], old: dict[int, Token], common: list[int]) -> tuple[int, float]:
    """(rows with a value on either day, share of them that agree)."""
    filled = [key for key in common if new[key] is not None or old[key] is not None]
    if not filled:
        return 0, 0.0
    return len(filled), sum(same(new[key], old[key]) for key in filled) / len(filled)


def same(one: Token, other: Token) -> bool:
    """Whether two tokens are the same value; two amounts, nearly the same."""
    if isinstance(one, int) and isinstance(other, int) and max(abs(one), abs(other)) > 100:
        return abs(one - other) <= NEAR * max(abs(one), abs(other))
    return one == other and one is not None


def _compare_field(
    name: str,
    new: dict[int, Token],
    old: dict[str, dict[int, Token]],
    common: list[int],
    seen: Fingerprint,
    before: Fingerprint,
) -> FieldComparison:
    linked, share = agreement(new, old[name], common)
    kind = seen.fields[name].type
    wanted = _STABLE_NAMES.get(name, _STABLE.get(kind, 0.6))
    usual = before.agreement.get(name)
    expected = usual if usual is not None else min(0.98, wanted + _USUAL_ROOM)
    if usual is not None and name != KEY:
        wanted = max(0.05, usual - _USUAL_ROOM)
    like, best = None, share + _CROSS_MARGIN
    for other in before.names:
        if other == name or not _comparable(kind, before.fields[other].type):
            continue
        rows, cross = agreement(new, old[other], common)
        if rows >= ENOUGH and cross > best and not _constant(old[other]):
            like, best = other, cross
    return FieldComparison(
        name=name, linked=linked, agreement=share, wanted=wanted, expected=expected, like=like
    )


def _comparable(kind: str, other: str) -> bool:
    texts = {"texto", "codigo", "email", "uf"}
    return kind == other or (kind in texts and other in texts)


def _constant(column: dict[int, Token]) -> bool:
    counts = Counter(column.values())
    return counts.most_common(1)[0][1] > 0.9 * len(column) if counts else True


def _check_overlap(comparison: Comparison, seen: Fingerprint, before: Fingerprint) -> None:
    rows = len(before.links)
    if min(rows, len(seen.links)) < ENOUGH:
        low = too_few(round(comparison.overlap * rows), rows, comparison.wanted_overlap)
    else:
        low = comparison.overlap < comparison.wanted_overlap
    if low:
        comparison.doubts.append(
            Doubt(
                field=KEY,
                kind="overlap",
                text=f"só {percent(comparison.overlap)} dos contratos do último arquivo voltaram "
                f"neste (o usual passa de {percent(comparison.wanted_overlap)})",
            )
        )


def _check_renamed(comparison: Comparison, seen: Fingerprint, before: Fingerprint) -> None:
    """Debts that went and debts that came, of the same people: the contracts' numbers changed.

    Where the last accepted file did so too, that is how this creditor numbers its debts.
    """
    if "cpf" not in seen.fields or "cpf" not in before.fields or _renumbers(before):
        return
    new, old = seen.column("cpf"), before.column("cpf")
    still = {old[key] for key in old if key in new}
    gone = {token for key, token in old.items() if key not in new} - still - {None}
    count = sum(token in gone for key, token in new.items() if key not in old)
    if count >= 3 and count > _RENAMED_SHARE * (comparison.linked + count):
        comparison.doubts.append(
            Doubt(
                field=KEY,
                kind="renamed",
                text=f"{count} pessoas do último arquivo vieram com outro número de contrato",
            )
        )


def _renumbers(before: Fingerprint) -> bool:
    return before.overlap is not None and before.overlap < _RENUMBERED


def _crossed(
    seen: Fingerprint,
    before: Fingerprint,
    old: dict[str, dict[int, Token]],
    common: list[int],
) -> list[Doubt]:
    """Two fields that hold each other's values of the last file, in some of the rows."""
    names = [name for name in seen.names if name in old]
    new = {name: seen.column(name) for name in names}
    doubts = []
    for one, other in combinations(names, 2):
        kind = seen.fields[one].type
        if not _comparable(kind, seen.fields[other].type):
            continue
        rows = sum(
            new[one][key] is not None
            and old[one][key] is not None
            and same(new[one][key], old[other][key])
            and same(new[other][key], old[one][key])
            and not same(new[one][key], old[one][key])
            for key in common
        )
        if rows >= max(2, _CROSSED_SHARE.get(kind, _CROSSED_USUAL) * len(common)):
            doubts.append(
                Doubt(
                    field=one,
                    kind="swapped",
                    text=f"em {rows} de {len(common)} contratos já conhecidos trocou de lugar com "
                    f"'{other}'",
                )
            )
    return doubts


def _small_print(
    name: str, seen: FieldPrint, before: FieldPrint, *, renumbers: bool
) -> list[Doubt]:
    if seen.type != before.type:
        return []
    known_series = name == KEY and not renumbers
    found = list(strange(seen.looks, before.looks, key=known_series))
    if seen.turnable >= 2 and seen.turnable > 4 * before.turnable:
        found.append(("date_order", f"{seen.turnable} datas só existem com o mês antes do dia"))
    fell = before.traits.distinct - seen.traits.distinct
    rows, rows_before = seen.looks.rows, before.looks.rows
    shares = {"": seen.traits.distinct}, {"": before.traits.distinct}
    if (
        fell > 0
        and before.traits.distinct > 0.9
        and 2 * apart(*shares, rows, rows_before) > _REPEATED
    ):
        found.append(
            (
                "repeated",
                f"{percent(seen.traits.distinct)} dos valores são diferentes entre si (antes, "
                f"{percent(before.traits.distinct)})",
            )
        )
    if seen.span and before.span:
        one = 0 if rows < _FEW_DATES else 1  # a single odd date in a large file is a slip
        early, late = before.span[0] - seen.span[one], seen.span[-1 - one] - before.span[-1]
        if max(early, late) > _FAR_DAYS:
            found.append(("far", "há datas muito longe de todas as do último arquivo"))
    return [Doubt(field=name, kind=kind, text=text) for kind, text in found]


def _row_doubts(
    one: FieldComparison,
    new: dict[int, Token],
    old: dict[int, Token],
    common: list[int],
    seen: FieldPrint,
) -> list[Doubt]:
    doubts: list[Doubt] = []
    if one.linked >= ENOUGH and one.like:
        doubts.append(
            Doubt(
                field=one.name,
                kind="swapped",
                text=f"traz os valores que o campo '{one.like}' trazia no último arquivo",
            )
        )
    elif _changed(one) or _other_person(one):
        doubts.append(
            Doubt(
                field=one.name,
                kind="changed",
                text=f"só {percent(one.agreement)} dos contratos já conhecidos trazem o mesmo "
                f"valor do último arquivo (o usual passa de {percent(one.wanted)})",
            )
        )
    if seen.type == "data" and one.linked:
        turned = sum(swapped_date(new[key], old[key]) for key in common)
        if turned >= 1 + one.linked // _TURNED_EACH:
            doubts.append(
                Doubt(
                    field=one.name,
                    kind="date_order",
                    text=f"em {turned} de {one.linked} contratos já conhecidos o dia e o mês "
                    "trocaram de lugar",
                )
            )
    if seen.type == "dinheiro" and one.linked:
        scaled, factor = _scaled(new, old, common)
        if scaled >= max(2, _SCALED_SHARE * one.linked):
            doubts.append(
                Doubt(
                    field=one.name,
                    kind="scale",
                    text=f"em {scaled} de {one.linked} contratos já conhecidos o valor é {factor}",
                )
            )
    return doubts


def _changed(one: FieldComparison) -> bool:
    """Whether more rows differ than usual. In a small file a person looks sooner."""
    if too_few(round(one.agreement * one.linked), one.linked, one.wanted):
        return True
    other = round((1 - one.agreement) * one.linked)
    return one.linked < ENOUGH and 2 <= other > (2.5 * (1 - one.expected) + 0.1) * one.linked


def _other_person(one: FieldComparison) -> bool:
    """Whether more than one known contract came with another CPF: contracts keep their debtor."""
    if one.name != "cpf" or one.expected < _STABLE["cpf"] - _USUAL_ROOM:
        return False
    other = round((1 - one.agreement) * one.linked)
    return other >= _OTHER_PERSON_ROWS and other > 0.01 * one.linked


def _scaled(new: dict[int, Token], old: dict[int, Token], common: list[int]) -> tuple[int, str]:
    found: Counter[str] = Counter()
    for key in common:
        one, other = new[key], old[key]
        if not (isinstance(one, int) and isinstance(other, int)):
            continue
        if one and one == -other:
            found["o de antes com o sinal trocado"] += 1
        if one <= 0 or other <= 0:
            continue
        for scale in _SCALES:
            if _times(one, other, scale):
                found[f"{scale} vezes o de antes"] += 1
            elif _times(other, one, scale):
                found[f"{scale} vezes menor que o de antes"] += 1
    return (found.total(), found.most_common(1)[0][0]) if found else (0, "")


def _times(one: int, other: int, scale: int) -> bool:
    # Rounding to whole reais moves the ratio of a small debt by more than interest does.
    return abs(one - other * scale) <= max(0.004 * other * scale, min(scale, 100))


def _look_doubts(
    name: str, seen: FieldPrint, before: FieldPrint, one: FieldComparison
) -> list[Doubt]:
    new, old = seen.traits, before.traits
    doubts: list[tuple[str, str]] = []
    if abs(new.filled - old.filled) > 0.4:
        doubts.append(
            (
                "filled",
                f"vinha preenchido em {percent(old.filled)} das linhas e agora em "
                f"{percent(new.filled)}",
            )
        )
    if seen.invalid > before.invalid + 0.1:
        doubts.append(
            (
                "invalid",
                f"{percent(seen.invalid)} dos valores não são válidos (antes, "
                f"{percent(before.invalid)})",
            )
        )
    if seen.whole > 0.9 and before.whole < 0.5:
        doubts.append(
            (
                "cents",
                f"{percent(seen.whole)} dos valores vêm sem centavos (antes, "
                f"{percent(before.whole)}): parecem arredondados",
            )
        )
    proved = one.linked >= ENOUGH and one.agreement >= max(one.wanted, 0.5)
    if not proved:
        doubts += _unlinked_doubts(seen, before)
    if seen.type == "dinheiro" and new.quantiles and old.quantiles:
        low, high = new.quantiles[2], old.quantiles[2]
        if low > 0 and high > 0 and not 0.125 < low / high < 8 and not proved:
            doubts.append(
                ("scale", f"o valor do meio era {high:.2f} e agora é {low:.2f}".replace(".", ","))
            )
    return [Doubt(field=name, kind=kind, text=text) for kind, text in doubts]


def _unlinked_doubts(seen: FieldPrint, before: FieldPrint) -> list[tuple[str, str]]:
    new, old = seen.traits, before.traits
    if min(new.filled, old.filled) < 0.05:
        return []
    doubts = [
        (
            "look",
            f"{percent(old.passes[test])} dos textos tinham a forma '{test}' e agora "
            f"{percent(new.passes.get(test, 0.0))}",
        )
        for test in old.passes
        if test != "integer" and abs(old.passes[test] - new.passes.get(test, 0.0)) > 0.4
    ]
    if not doubts and distance(new.classes, old.classes) > 0.5:
        doubts.append(("look", "os textos têm outro aspecto (letras, números e sinais)"))
    if not doubts and old.tops and distance(new.tops, old.tops) > 0.6:
        doubts.append(("look", "os valores mais comuns são outros"))
    if seen.days and before.days:
        late = sum(share for day, share in before.days.items() if int(day) > 12)
        now = sum(share for day, share in seen.days.items() if int(day) > 12)
        if late > 0.2 and now < 0.02:
            doubts.append(
                ("date_order", "nenhuma data passa do dia 12: dia e mês podem ter trocado")
            )
    return doubts


def distance(one: dict[str, float], other: dict[str, float]) -> float:
    """Total variation between two tables of shares, from 0 to 1."""
    return sum(abs(one.get(key, 0.0) - other.get(key, 0.0)) for key in {*one, *other}) / 2


def percent(share: float) -> str:
    """A share as a Brazilian reads it."""
    return f"{share * 100:.0f} %"
