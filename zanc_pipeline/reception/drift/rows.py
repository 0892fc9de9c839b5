"""The same contracts in two files, row by row: what each field may change, and how.

A contract keeps its debtor, its dates and its text; what does change, changes in few rows and as
it changed before. A value that came from another field, another row, another scale or another
order of the date is no news of the debt: it is a file that was made wrongly.
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from zanc_pipeline.reception.drift.chance import at_least, poisson_tail, too_few
from zanc_pipeline.reception.drift.doubts import ENOUGH, SMALL, Doubt, percent
from zanc_pipeline.reception.drift.fingerprint import Fingerprint
from zanc_pipeline.reception.drift.sample import KEY, Token, swapped_date

NEAR = 0.02
"""Relative difference within which two amounts are the same debt, a day later."""
_MOST_DAYS = 10
_GROWS = 1.5
"""How much more a debt may be, interest and all, to be still the same one."""

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

_MOVES = {
    "cpf": 0.0025,
    "cnpj": 0.0025,
    "cpf_cnpj": 0.0025,
    "texto": 0.015,
    "codigo": 0.025,
    "uf": 0.015,
    "sim_nao": 0.015,
    "dinheiro": 0.15,
    "decimal": 0.025,
}
"""Share of the rows of a day that get another value, by type, before the convênio's own is known;
the rest, a tenth."""
_MOVES_NAMES = {KEY: 0.0025, "nome": 0.0025, "nascimento": 0.0025}
_USUAL_MOVES = 0.1
_PRIOR_ROWS = 4
"""How many rows that share weighs beside the rows that were compared up to now."""
_HARDLY, _SURELY = 0.0025, 0.1
"""The same where single rows are judged: what hardly ever moves, names and CPFs, weighs less."""
_LEAST_MOVES = 0.2
"""Part of that share that stays possible however long a field kept still."""
_LEAP, _REST, _SMALL_CENTS = 0.3, 0.1, 1_000
EXACTLY = "="
"""Behind the name of an amount in the history: rows that stood still, but for interest."""
_EXACT_ROWS, _EXACT_FILES, _EXACT_HABIT, _EXACT_TIMES, _ACCRUED = 12, 1.5, 0.8, 3, 0.015
_UNLIKELY, _DOUBTFUL = 0.02, 0.2
_FEW_OF = 6
_UNLIKELY_HABIT = 1e-4
"""In large files, once a convênio's habits are known; days differ more than chance alone makes."""
_UNLIKELY_STABLE = 0.05
"""Of names, places and codes, where few rows are known: they must answer for all others."""

_USUAL_ROOM = 0.1
"""How far below its usual share of agreement a field may fall."""
_CROSS_MARGIN = 0.25
_SCALES = (10, 100, 1000)
_SCALED_SHARE = 0.004
_TURNED_EACH = 400
_MONTH = 31
_CROSSED_SHARE = {"telefone": 0.2, "telefones": 0.2, "email": 0.2}
"""Creditors put another phone first in many rows; amounts, dates and texts do not change places."""
_CROSSED_USUAL = 0.005
_CROSSED_PRIOR_ROWS = 2
_CROSSED_UNLIKELY, _CROSSED_NEVER = 0.004, 0.03
_OTHER_PERSON_ROWS = 2
_SAME_AMOUNTS = 3
_TELLING_CENTS, _OF_OTHERS = 300, 1e-3
_DIVERSE, _UNIQUE = 0.5, 0.9
_ONES_OWN = frozenset({"cpf", "cnpj", "cpf_cnpj", "texto", "telefone", "email"})
"""Types of values that two contracts seldom share by chance."""
_TOGETHER = 0.1
"""Share of the known rows that may get one and the same new value."""

History = Mapping[str, tuple[float, float]]
"""Field (or "one|other", of two that changed places) → rows that agreed (changed), of how many."""


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
    moved: frozenset[int] = frozenset()
    """Known contracts whose value is another one."""
    grown: int = 0
    """Of those, amounts that are greater, as interest makes them."""
    exact: int | None = None
    """Of amounts: those that are the same to the cent, or a little greater by interest."""

    @property
    def changed(self) -> int:
        """Rows whose value is another one."""
        return round((1 - self.agreement) * self.linked)


def agreement(
    new: dict[int, Token], old: dict[int, Token], common: list[int], near: float = NEAR
) -> tuple[int, float]:
    """(rows with a value on either day, share of them that agree)."""
    filled = [key for key in common if new[key] is not None or old[key] is not None]
    if not filled:
        return 0, 0.0
    return len(filled), sum(same(new[key], old[key], near) for key in filled) / len(filled)


def _better(
    new: dict[int, Token], old: dict[int, Token], common: list[int], best: float
) -> float | None:
    """The share of enough rows that agree, where it is above ``best``."""
    filled = missed = 0
    most = (1 - best) * len(common)
    for key in common:
        one, other = new[key], old[key]
        if one is not None or other is not None:
            filled += 1
            if not same(one, other):
                missed += 1
                if missed > most:
                    return None
    share = (filled - missed) / filled if filled >= ENOUGH else 0.0
    return share if share > best else None


def near_after(days: int | None) -> float:
    """The relative difference within which an amount is the same debt so many days later."""
    return NEAR * min(max(1, days or 1), _MOST_DAYS)


def same(one: Token, other: Token, near: float = NEAR) -> bool:
    """Whether two tokens are the same value; two amounts, nearly the same."""
    if isinstance(one, int) and isinstance(other, int) and max(abs(one), abs(other)) > 100:
        return abs(one - other) <= near * max(abs(one), abs(other))
    return one == other and one is not None


def comparable(kind: str, other: str) -> bool:
    """Whether fields of these types could hold each other's values."""
    texts = {"texto", "codigo", "email", "uf"}
    return kind == other or (kind in texts and other in texts)


def compare_field(
    name: str,
    new: dict[int, Token],
    old: dict[str, dict[int, Token]],
    common: list[int],
    seen: Fingerprint,
    before: Fingerprint,
) -> FieldComparison:
    """One field of the contracts in ``common`` beside what it, and any other field, held."""
    days = seen.days_since(before)
    near = near_after(days)
    linked, share = agreement(new, old[name], common, near)
    moved = frozenset(
        key
        for key in common
        if (new[key] is not None or old[name][key] is not None)
        and not same(new[key], old[name][key], near)
    )
    kind = seen.fields[name].type
    wanted = _STABLE_NAMES.get(name, _STABLE.get(kind, 0.6))
    usual = before.agreement.get(name)
    expected = usual if usual is not None else min(0.98, wanted + _USUAL_ROOM)
    if usual is not None and name != seen.key.name:
        wanted = max(0.0, usual - _USUAL_ROOM)
    like, best = None, share + _CROSS_MARGIN
    others = before.names if best < 1 else []
    for other in others:
        if other == name or not comparable(kind, before.fields[other].type):
            continue
        cross = _better(new, old[other], common, best)
        if cross is not None and not _constant(old[other]):
            like, best = other, cross
    return FieldComparison(
        name=name,
        linked=linked,
        agreement=share,
        wanted=wanted,
        expected=expected,
        like=like,
        moved=moved,
        grown=sum(_grown(new[key], old[name][key]) for key in moved),
        exact=sum(_accrues(new[key], old[name][key]) for key in common)
        if kind == "dinheiro"
        else None,
    )


def leaps(new: Token, old: Token, days: int | None) -> bool:
    """Whether an amount is much more, or hardly any part, of what it was so many days before."""
    if not (isinstance(new, int) and isinstance(old, int)) or min(new, old) < _TELLING_CENTS:
        return False
    if min(new, old) <= _SMALL_CENTS:
        return False
    return new > old * (1 + _LEAP * max(1, days or 1)) or new < _REST * old


def _accrues(new: Token, old: Token) -> bool:
    """Whether an amount is the same, or greater by no more than a month's interest."""
    if not (isinstance(new, int) and isinstance(old, int)):
        return new is None and old is None
    return new == old or 0 < new - old <= _ACCRUED * abs(old)


def _grown(new: Token, old: Token) -> bool:
    """Whether an amount is a greater one, as interest makes it."""
    return isinstance(new, int) and isinstance(old, int) and 0 < old < new <= _GROWS * old


def _constant(column: dict[int, Token]) -> bool:
    counts = Counter(column.values())
    return counts.most_common(1)[0][1] > 0.9 * len(column) if counts else True


def field_doubts(
    one: FieldComparison,
    new: dict[int, Token],
    old: dict[int, Token],
    common: list[int],
    seen: Fingerprint,
    before: Fingerprint,
) -> Iterator[Doubt]:
    """What the contracts in ``common`` say against a field."""
    kind = seen.fields[one.name].type
    if one.linked >= ENOUGH and one.like:
        yield Doubt(
            field=one.name,
            kind="swapped",
            text=f"traz os valores que o campo '{one.like}' trazia no último arquivo",
        )
    else:
        alone = 2 * len(common) < len(seen.links)
        people = people_of(seen, before)
        whose = len({people.get(key, key) for key in one.moved})
        share = whose / len(one.moved) if one.moved else 1.0
        days = seen.days_since(before)
        yield from _changed(one, kind, before.history, days, share, alone=alone)
        yield from _all_moved(one, before.history)
    if not one.linked:
        return
    yield from _not_its_own(one, kind, new, old, common, people_of(seen, before))
    if kind == "data":
        rows = frozenset(key for key in common if swapped_date(new[key], old[key]))
        if len(rows) == 1:
            rows -= _a_month_on(one.name, rows, seen, before)
        turned = len(rows)
        if turned and turned >= 1 + one.linked // _TURNED_EACH:
            yield Doubt(
                field=one.name,
                kind="date_order",
                text=f"em {turned} de {one.linked} contratos já conhecidos o dia e o mês "
                "trocaram de lugar",
                weak=turned == 1 and one.linked >= SMALL and _moved(one.name, before.history),
                rows=rows,
            )
    if kind == "dinheiro":
        rows, factor = _scaled(new, old, common)
        scaled = len(rows)
        if scaled >= max(2, _SCALED_SHARE * one.linked):
            yield Doubt(
                field=one.name,
                kind="scale",
                text=f"em {scaled} de {one.linked} contratos já conhecidos o valor é {factor}",
                rows=rows,
            )


def _a_month_on(
    name: str, rows: frozenset[int], seen: Fingerprint, before: Fingerprint
) -> set[int]:
    """Dates a month later: 02/01 and 01/02 are no slip of who writes the month first."""
    now, was = seen.numbers.get(name, {}), before.numbers.get(name, {})
    return {key for key in rows if key in now and key in was and 0 < now[key] - was[key] <= _MONTH}


def _changed(
    one: FieldComparison,
    kind: str,
    history: History,
    days: int | None,
    people: float,
    *,
    alone: bool,
) -> Iterator[Doubt]:
    """More rows with another value than this field has had up to now.

    ``people``: how many persons have them, for each row: one that moved has several contracts.
    """
    # Where nothing is known of a day's interest, amounts that grow are no others.
    grown = 0 if one.name in history else one.grown
    changed = one.changed - grown
    many = too_few(one.linked - changed, one.linked, one.wanted)
    usual = usual_moves(one.name, kind, history, days)
    chance = at_least(round(changed * people), one.linked, usual)
    if one.linked < SMALL and changed * _FEW_OF <= one.linked:
        return  # so few that each row is judged for itself
    if one.linked < SMALL:
        stable = _MOVES_NAMES.get(one.name, _MOVES.get(kind, _USUAL_MOVES)) < _USUAL_MOVES
        many = many or chance < (
            _UNLIKELY_STABLE if stable and (alone or one.linked < ENOUGH) else _UNLIKELY
        )
    elif history.get(one.name, (0.0, 0.0))[1] >= SMALL:
        many = many or (chance < _UNLIKELY_HABIT and changed > 2 * usual * one.linked)
    text = (
        f"só {percent(one.agreement)} dos contratos já conhecidos trazem o mesmo valor do último "
        f"arquivo (o usual passa de {percent(min(one.wanted, 1 - usual))})"
    )
    if many or _other_person(one):
        yield Doubt(field=one.name, kind="changed", text=text, rows=one.moved)
    elif changed and one.linked < SMALL and chance < _DOUBTFUL:
        yield Doubt(field=one.name, kind="changed", text=text, weak=True)


def _all_moved(one: FieldComparison, history: History) -> Iterator[Doubt]:
    """Amounts that stood still, or grew a little, and now move otherwise in many rows."""
    alike, of = history.get(f"{one.name}{EXACTLY}", (0.0, 0.0))
    files = of >= _EXACT_FILES * one.linked
    if one.exact is None or of < _EXACT_ROWS or not files or alike < _EXACT_HABIT * of:
        return
    usual = (of - alike + 1) / (of + 2)
    others = one.linked - one.exact
    if others > _EXACT_TIMES * usual * one.linked and at_least(others, one.linked, usual) < 1e-4:
        yield Doubt(
            field=one.name,
            kind="changed",
            text=f"só {percent(one.exact / one.linked)} dos contratos já conhecidos trazem o "
            f"mesmo valor, ou ele e um pouco de juros (o usual são {percent(1 - usual)})",
            rows=one.moved if len(one.moved) == others else frozenset(),
        )


def usual_moves(name: str, kind: str, history: History, days: int | None = None) -> float:
    """The share of rows that get another value from one file to the next, so many days later."""
    prior = _MOVES_NAMES.get(name, _MOVES.get(kind, _USUAL_MOVES))
    agreed, linked = history.get(name, (0.0, 0.0))
    moved = (linked - agreed + prior * _PRIOR_ROWS) / (linked + _PRIOR_ROWS)
    return min(1.0, max(moved, _LEAST_MOVES * prior) * min(max(1, days or 1), _MOST_DAYS))


def price_of_change(name: str, kind: str, history: History) -> float:
    """The share of rows that get another value, of one file more, from those known alone."""
    prior = min(_MOVES_NAMES.get(name, 1.0), _MOVES.get(kind, _USUAL_MOVES))
    agreed, linked = history.get(name, (0.0, 0.0))
    rows = _PRIOR_ROWS if prior >= _USUAL_MOVES else _SURELY if prior <= _HARDLY else 1
    return (linked - agreed + prior * rows) / (linked + max(1, rows))


def _moved(name: str, history: History) -> bool:
    """Whether a field ever got other values: then one of them may look turned by chance."""
    agreed, linked = history.get(name, (0.0, 0.0))
    return agreed < linked


def _other_person(one: FieldComparison) -> bool:
    """Whether more than one known contract came with another CPF: contracts keep their debtor."""
    if one.name != "cpf" or one.expected < _STABLE["cpf"] - _USUAL_ROOM:
        return False
    return one.changed >= _OTHER_PERSON_ROWS and one.changed > 0.01 * one.linked


def _not_its_own(
    one: FieldComparison,
    kind: str,
    new: dict[int, Token],
    old: dict[int, Token],
    common: list[int],
    people: Mapping[int, Token],
) -> Iterator[Doubt]:
    """New values that are all the same one, or that other people's contracts had."""
    held = Counter(token for token in old.values() if token is not None)
    if not held or len(held) < _DIVERSE * held.total():
        return
    news: defaultdict[Token, set[Token]] = defaultdict(set)
    for key in common:
        if new[key] is not None and not same(new[key], old[key]):
            news[new[key]].add(people.get(key, key))
    if not news:
        return
    times = max(len(whose) for token, whose in news.items() if token != 0 or len(news) == 1)
    least = _SAME_AMOUNTS if kind == "dinheiro" else 2
    if 2 * one.changed <= one.linked and times >= least and times > _TOGETHER * one.linked:
        yield Doubt(
            field=one.name,
            kind="together",
            text=f"{times} de {one.linked} contratos já conhecidos receberam um mesmo valor novo",
        )
    if kind == "dinheiro":
        yield from _amounts_of_others(one, new, old, common)
    if len(held) < _UNIQUE * held.total() or kind not in _ONES_OWN:
        return
    whose: defaultdict[Token, set[Token]] = defaultdict(set)
    for key, token in old.items():
        whose[token].add(people.get(key, key))
    of_others = frozenset(
        key
        for key in common
        if new[key] in news and whose.get(new[key], set()) - {people.get(key, key)}
    )
    others = len(of_others)
    if others:
        yield Doubt(
            field=one.name,
            kind="of_others",
            text=f"{others} de {one.linked} contratos já conhecidos trazem o valor que era de "
            "outro contrato",
            weak=others < 2 or others < 0.01 * one.linked,
            rows=of_others,
        )


def people_of(seen: Fingerprint, before: Fingerprint) -> dict[int, Token]:
    """Contract hash → whose it is, where a file says so: one person has several contracts."""
    return {
        key: person
        for one in (before, seen)
        if "cpf" in one.fields
        for key, person in one.column("cpf").items()
        if person is not None
    }


def _amounts_of_others(
    one: FieldComparison, new: dict[int, Token], old: dict[int, Token], common: list[int]
) -> Iterator[Doubt]:
    """More new amounts than by chance that are, to the cent, what other contracts had."""
    held = sorted(value for value in old.values() if isinstance(value, int) and value > 0)
    every = set(held)
    rows, expected = set(), 0.0
    for key in one.moved.intersection(common):
        value = new[key]
        if isinstance(value, int) and value >= _TELLING_CENTS:
            near = bisect(held, 1.1 * value) - bisect(held, 0.9 * value)
            expected += near / (0.2 * value)
            if value in every:
                rows.add(key)
    if len(rows) >= 2 and poisson_tail(len(rows), expected) < _OF_OTHERS:
        yield Doubt(
            field=one.name,
            kind="of_others",
            text=f"{len(rows)} de {one.linked} contratos já conhecidos trazem o valor, até os "
            "centavos, que era de outro contrato",
            rows=frozenset(rows),
        )


def crossings(
    seen: Fingerprint,
    before: Fingerprint,
    old: dict[str, dict[int, Token]],
    common: list[int],
) -> dict[str, frozenset[int]]:
    """ "one|other" → rows in which the two fields hold each other's values of the last file."""
    names = [name for name in seen.names if name in old]
    new = {name: seen.column(name) for name in names}
    moved = {name: {key for key in common if new[name][key] != old[name][key]} for name in names}
    found = {}
    for one, other in combinations(names, 2):
        if comparable(seen.fields[one].type, seen.fields[other].type):
            found[f"{one}|{other}"] = frozenset(
                key
                for key in moved[one] & moved[other]
                if crosses(new[one][key], new[other][key], old[one][key], old[other][key])
            )
    return found


def crosses(one: Token, other: Token, old_one: Token, old_other: Token) -> bool:
    """Whether two values are each other's of the last file; one of them may have been empty."""
    if old_one is None or old_other is None:
        moved = old_one if old_other is None else old_other
        at, left = (other, one) if old_other is None else (one, other)
        return moved is not None and left is None and same(at, moved)
    return same(one, old_other) and same(other, old_one) and not same(one, old_one)


def usual_crossings(pair: str, kind: str, history: History) -> float:
    """The share of the rows in which two fields ("one|other") change places, as up to now."""
    past, of = history.get(pair, (0.0, 0.0))
    share = _CROSSED_SHARE.get(kind, _CROSSED_USUAL)
    return (past + share * _CROSSED_PRIOR_ROWS) / (of + _CROSSED_PRIOR_ROWS)


def price_of_crossing(pair: str, kind: str, history: History, never: float) -> float:
    """The share of rows in which they do, of one file more; ``never``: of what is a slip."""
    past, of = history.get(pair, (0.0, 0.0))
    if kind not in _CROSSED_SHARE:
        return (past + never) / (of + SMALL)
    return usual_crossings(pair, kind, history)


def crossed(
    crossings: Mapping[str, frozenset[int]], seen: Fingerprint, linked: int, history: History
) -> Iterator[Doubt]:
    """Two fields that changed places in more of the rows than they ever did."""
    for pair, places in crossings.items():
        rows = len(places)
        one, other = pair.split("|")
        share = _CROSSED_SHARE.get(seen.fields[one].type, _CROSSED_USUAL)
        past, of = history.get(pair, (0.0, 0.0))
        usual = usual_crossings(pair, seen.fields[one].type, history)
        least = 1 if linked < SMALL and share == _CROSSED_USUAL else 2
        if rows >= max(least, share * linked) or (
            rows >= 2
            and of
            and at_least(rows, linked, usual) < (_CROSSED_UNLIKELY if past else _CROSSED_NEVER)
        ):
            yield Doubt(
                field=one,
                kind="swapped",
                text=f"em {rows} de {linked} contratos já conhecidos trocou de lugar com '{other}'",
                rows=places,
            )


def _scaled(
    new: dict[int, Token], old: dict[int, Token], common: list[int]
) -> tuple[frozenset[int], str]:
    found: defaultdict[str, set[int]] = defaultdict(set)
    for key in common:
        one, other = new[key], old[key]
        if not (isinstance(one, int) and isinstance(other, int)):
            continue
        if one and one == -other:
            found["o de antes com o sinal trocado"].add(key)
        if one <= 0 or other <= 0:
            continue
        if one != other and one == other // 100 * 100:
            found["o de antes sem os centavos"].add(key)
        for scale in _SCALES:
            if times(one, other, scale):
                found[f"{scale} vezes o de antes"].add(key)
            elif times(other, one, scale):
                found[f"{scale} vezes menor que o de antes"].add(key)
    if not found:
        return frozenset(), ""
    return frozenset().union(*found.values()), max(found, key=lambda said: len(found[said]))


def times(one: int, other: int, scale: int) -> bool:
    """Whether an amount is so many times another, but for a day's interest and for rounding."""
    # Rounding to whole reais moves the ratio of a small debt by more than interest does.
    return abs(one - other * scale) <= max(0.004 * other * scale, min(scale, 100))
