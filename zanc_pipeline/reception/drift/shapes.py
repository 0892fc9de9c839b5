"""What a file's columns look like beside those of an accepted one, whichever contracts came.

Shares of large files are compared beyond what chance makes of them; of small files each row
counts: a contract outside its series, a value outside a closed list, one person with two names.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from zanc_pipeline.reception.drift.chance import apart, is_new, more_than_before
from zanc_pipeline.reception.drift.doubts import ENOUGH, SMALL, Doubt, distance, percent
from zanc_pipeline.reception.drift.fingerprint import FieldPrint, Fingerprint
from zanc_pipeline.reception.drift.looks import strange
from zanc_pipeline.reception.drift.relations import broken
from zanc_pipeline.reception.drift.rows import FieldComparison, usual_moves
from zanc_pipeline.reception.drift.sample import Token

_FAR_DAYS = 15 * 365
_FAR_TIMES = 20
_FEW_ROWS = 200
"""Below so many rows a single one out of the way counts; above, it is a slip of the creditor's."""
_OF_MANY = 0.005
_REPEATED = 0.05
"""How much smaller the share of different values may be, where nearly all were different."""
_RENUMBERED, _NONE_AGAIN = 0.1, 0.005
"""So few contracts of the file before came again in the last accepted one: all have new numbers."""
_BY_CHANCE = frozenset({"dinheiro", "decimal", "inteiro", "data"})
_TEXTS = frozenset({"texto", "email"})
_CLOSED = 12
"""At most so many values make a closed list, when none of them came only once or twice."""
_CLOSED_ROWS, _CLOSED_ROWS_OF_ONE = 15, 40
_EVIDENT, _LIST_CHANCE = 0.05, 0.05
_CLOSED_DAYS, _DATES_A_DAY = 3, 2
"""Days of the month make a closed list from so many on, when each is that of several dates."""
_MOSTLY_MOVES = 0.5
_ROUNDED = 0.01


def renumbers(before: Fingerprint) -> bool:
    """Whether this creditor gives its debts new numbers in every file."""
    return before.overlap is not None and before.overlap < _RENUMBERED


def _numbers_anew(before: Fingerprint) -> bool:
    """Whether no number at all came again: then no series of numbers is the creditor's."""
    return before.overlap is not None and before.overlap < _NONE_AGAIN


def mostly_new(seen: Fingerprint, before: Fingerprint) -> bool:
    """Whether less than half of the contracts are known: only laws can judge the others."""
    return 2 * len(seen.links.keys() & before.links) < len(seen.links)


def file_doubts(seen: Fingerprint, before: Fingerprint) -> Iterator[Doubt]:
    """Laws over whole rows that held in the last file and do not hold in this one."""
    alone = mostly_new(seen, before)
    columns = seen.at_hand.columns if seen.at_hand is not None else {}
    for name, kind, text, weak in broken(seen.relations, before.relations, columns, alone=alone):
        yield Doubt(field=name, kind=kind, text=text, weak=weak)
    rows = len(seen.links)
    if seen.repeats and not before.repeats and (rows < _FEW_ROWS or seen.repeats > _OF_MANY * rows):
        yield Doubt(
            field=seen.key.name,
            kind="twice",
            text=f"{seen.repeats} linhas trazem um contrato que já veio no arquivo, com outros "
            "dados; nunca foi assim",
        )
    for name in ("nome", "nascimento"):
        now, was = _two_of(name, seen), _two_of(name, before)
        if now and not was and (rows < _FEW_ROWS or now >= max(2, _OF_MANY * rows)):
            yield Doubt(
                field="cpf",
                kind="two_people",
                text=f"{now} CPFs vêm com mais de um valor em '{name}'; nunca foi assim",
            )


def _two_of(name: str, of: Fingerprint) -> int:
    """CPFs that come with more than one value of a field that a person has once."""
    if name not in of.fields or "cpf" not in of.fields:
        return 0
    people, values = of.column("cpf"), of.column(name)
    found: defaultdict[Token, set[Token]] = defaultdict(set)
    for key, person in people.items():
        if person is not None and values[key] is not None:
            found[person].add(values[key])
    return sum(len(one) > 1 for one in found.values())


def column_doubts(
    name: str, seen: Fingerprint, before: Fingerprint, one: FieldComparison
) -> Iterator[Doubt]:
    """What the look of a field's values says against it."""
    now, was = seen.fields[name], before.fields[name]
    if min(len(seen.links), len(before.links)) >= ENOUGH:
        yield from _look_doubts(name, now, was, one)
    if now.type != was.type:
        return
    alone, key = mostly_new(seen, before), name == seen.key.name and not _numbers_anew(before)
    yield from _small_print(name, now, was, key=key, alone=alone)
    yield from _never_moved(name, seen, before)
    if usual_moves(name, now.type, before.history) < _MOSTLY_MOVES:
        yield from _out_of_list(name, seen, before)


def _never_moved(name: str, seen: Fingerprint, before: Fingerprint) -> Iterator[Doubt]:
    """Other values in a field that held one and the same in all rows of several files."""
    agreed, compared = before.history.get(name, (0.0, 0.0))
    only = {token for token in before.column(name).values() if token is not None}
    if len(only) != 1 or agreed < compared or compared < _CLOSED_ROWS_OF_ONE:
        return
    news = sum(token is not None and token not in only for token in seen.column(name).values())
    if news >= 2:
        text = f"{news} linhas trazem outro valor que o único que sempre veio"
        yield Doubt(field=name, kind="list", text=text)


def _out_of_list(name: str, seen: Fingerprint, before: Fingerprint) -> Iterator[Doubt]:
    """Values (of dates: days of the month) that are not in a list that seemed to be closed.

    Only new contracts count: known ones are judged by what they held.
    """
    now, was = seen.fields[name], before.fields[name]
    fresh = [token for key, token in seen.column(name).items() if key not in before.links]
    rows = sum(token is not None for token in fresh)
    if now.type == "data":
        known = {day: share * was.looks.rows for day, share in was.days.items()}
        other = sum(share for day, share in now.days.items() if day not in known)
        news, closed = round(other * now.looks.rows), len(known) >= _CLOSED_DAYS
        closed = closed and len({*before.column(name).values()}) >= _DATES_A_DAY * len(known)
    else:
        tokens = Counter(token for token in before.column(name).values() if token is not None)
        known = {str(token): float(times) for token, times in tokens.items()}
        news = sum(str(token) not in known for token in fresh if token is not None)
        closed = True
    every = sum(known.values())
    wanted = _CLOSED_ROWS if len(known) > 1 else _CLOSED_ROWS_OF_ONE
    if not (closed and news) or every < wanted or len(known) > _CLOSED:
        return
    if min(known.values()) < 2.5:
        return
    evident = len(known) > 1 and min(known.values()) >= _EVIDENT * every
    yield Doubt(
        field=name,
        kind="list",
        text=f"{news} linhas trazem um valor que não é nenhum dos {len(known)} que sempre vieram",
        weak=news < 2 or not (evident or (rows / (rows + every)) ** news < _LIST_CHANCE),
    )


def _small_print(
    name: str, seen: FieldPrint, before: FieldPrint, *, key: bool, alone: bool
) -> Iterator[Doubt]:
    for kind, text, weak in strange(seen.looks, before.looks, key=key, alone=alone):
        if kind == "length" and seen.type not in _TEXTS:
            continue
        yield Doubt(field=name, kind=kind, text=text, weak=weak)
    if seen.turnable >= 2 and seen.turnable > 4 * before.turnable:
        text = f"{seen.turnable} datas só existem com o mês antes do dia"
        yield Doubt(field=name, kind="date_order", text=text)
    few = seen.looks.rows < _FEW_ROWS or seen.short > _OF_MANY * seen.looks.rows
    if seen.short and not before.short and before.looks.rows and few:
        text = f"{seen.short} celulares vêm sem um dos dígitos; nunca foi assim"
        yield Doubt(field=name, kind="short", text=text)
    yield from _repeated(name, seen, before)
    yield from _rounded(name, seen, before)
    rows, below = seen.looks.rows, round(seen.looks.signs.get("-", 0.0) * seen.looks.rows)
    new = below and seen.type == "dinheiro" and not before.looks.signs.get("-")
    if new and (rows < _FEW_ROWS or below > _OF_MANY * rows):
        text = f"{below} valores são negativos; nunca foi assim"
        yield Doubt(field=name, kind="sign", text=text)
    if rows < SMALL and not before.invalid:
        invalid = round(seen.invalid * rows / max(seen.traits.filled, 1e-9))
        if is_new(invalid, rows, before.looks.rows, alone=True):
            text = f"{invalid} valores não são válidos; nunca foi assim"
            yield Doubt(field=name, kind="invalid", text=text)
    if not (seen.span and before.span):
        return
    one = 0 if seen.looks.rows < _FEW_ROWS else 1
    if seen.type == "data":
        early, late = before.span[0] - seen.span[one], seen.span[-1 - one] - before.span[-1]
        if max(early, late) > _FAR_DAYS:
            text = "há datas muito longe de todas as do último arquivo"
            yield Doubt(field=name, kind="far", text=text)
    elif seen.span[-1 - one] > _FAR_TIMES * before.span[-1]:
        text = f"há valores mais de {_FAR_TIMES} vezes maiores que todos os do último arquivo"
        yield Doubt(field=name, kind="far", text=text)


def _rounded(name: str, seen: FieldPrint, before: FieldPrint) -> Iterator[Doubt]:
    whole, was = round(seen.whole * seen.looks.rows), round(before.whole * before.looks.rows)
    if seen.whole > 0.9 and before.whole < 0.5:
        yield Doubt(
            field=name,
            kind="cents",
            text=f"{percent(seen.whole)} dos valores vêm sem centavos (antes, "
            f"{percent(before.whole)}): parecem arredondados",
            weak=more_than_before(whole, seen.looks.rows, was, before.looks.rows) > _ROUNDED,
        )


def _repeated(name: str, seen: FieldPrint, before: FieldPrint) -> Iterator[Doubt]:
    fell = before.traits.distinct - seen.traits.distinct
    rows, rows_before = seen.looks.rows, before.looks.rows
    if not rows or fell <= 0 or before.traits.distinct <= 0.9:
        return
    shares = {"": seen.traits.distinct}, {"": before.traits.distinct}
    sure = 2 * apart(*shares, rows, rows_before) > _REPEATED
    few = rows < SMALL and before.traits.distinct == 1 and seen.type not in _BY_CHANCE
    if sure or few:
        yield Doubt(
            field=name,
            kind="repeated",
            text=f"{percent(seen.traits.distinct)} dos valores são diferentes entre si (antes, "
            f"{percent(before.traits.distinct)})",
            weak=not sure,
        )


def _look_doubts(
    name: str, seen: FieldPrint, before: FieldPrint, one: FieldComparison
) -> Iterator[Doubt]:
    new, old = seen.traits, before.traits
    if abs(new.filled - old.filled) > 0.4:
        text = f"vinha preenchido em {percent(old.filled)} das linhas e agora em "
        yield Doubt(field=name, kind="filled", text=text + percent(new.filled))
    if seen.invalid > before.invalid + 0.1:
        text = f"{percent(seen.invalid)} dos valores não são válidos (antes, "
        yield Doubt(field=name, kind="invalid", text=f"{text}{percent(before.invalid)})")
    if one.linked >= ENOUGH and one.agreement >= max(one.wanted, 0.5):
        return
    yield from _unlinked_doubts(name, seen, before)
    if seen.type == "dinheiro" and new.quantiles and old.quantiles:
        low, high = new.quantiles[2], old.quantiles[2]
        if low > 0 and high > 0 and not 0.125 < low / high < 8:
            text = f"o valor do meio era {high:.2f} e agora é {low:.2f}".replace(".", ",")
            yield Doubt(field=name, kind="scale", text=text)


def _unlinked_doubts(name: str, seen: FieldPrint, before: FieldPrint) -> Iterator[Doubt]:
    new, old = seen.traits, before.traits
    if min(new.filled, old.filled) < 0.05:
        return
    texts = [
        f"{percent(old.passes[test])} dos textos tinham a forma '{test}' e agora "
        f"{percent(new.passes.get(test, 0.0))}"
        for test in old.passes
        if test != "integer" and abs(old.passes[test] - new.passes.get(test, 0.0)) > 0.4
    ]
    if not texts and distance(new.classes, old.classes) > 0.5:
        texts.append("os textos têm outro aspecto (letras, números e sinais)")
    if not texts and old.tops and distance(new.tops, old.tops) > 0.6:
        texts.append("os valores mais comuns são outros")
    for text in texts:
        yield Doubt(field=name, kind="look", text=text)
    if seen.days and before.days:
        late = sum(share for day, share in before.days.items() if int(day) > 12)
        now = sum(share for day, share in seen.days.items() if int(day) > 12)
        if late > 0.2 and now < 0.02:
            text = "nenhuma data passa do dia 12: dia e mês podem ter trocado"
            yield Doubt(field=name, kind="date_order", text=text)
