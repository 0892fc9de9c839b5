"""Single rows that break a law which honest rows hardly ever break: each is put aside alone.

A law knows from the past how often honest rows break it: a name changes once in a thousand rows, a
city is in one state, a phone gets another number but hardly ever only another area code. The laws
that are broken least are taken, as many as put aside fewer than ``PRICE`` of all honest rows.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping

from zanc_pipeline.reception.drift.check_digit import follows
from zanc_pipeline.reception.drift.counters import Movement, newly_apart
from zanc_pipeline.reception.drift.doubts import Doubt
from zanc_pipeline.reception.drift.fingerprint import Fingerprint, places
from zanc_pipeline.reception.drift.law import LEAST_ROWS, NEVER, Law, Rows, Shares
from zanc_pipeline.reception.drift.looks import signs_of
from zanc_pipeline.reception.drift.moves import SAID, Moves, price_of_move
from zanc_pipeline.reception.drift.sample import KEY, SAMPLE_ROWS, Token
from zanc_pipeline.reception.drift.single_sums import sums_and_orders
from zanc_pipeline.reception.drift.together import belongs, crossed_rows, functions

PRICE, PRICE_ROWS = 0.002, 0.4
"""Share of honest rows that all laws together may put aside, and rows of any file beside it."""
_EACH = 0.004
"""The most that a single law may put aside."""
_LISTED = frozenset({"texto", "codigo", "uf"})
_ONES_OWN = frozenset({"cpf", "cnpj", "cpf_cnpj", "telefone", "email", "texto"})
_TEXTS = frozenset({"texto", "codigo", "email"})
_MARKS = frozenset("'-. /(),ºª°")
"""Signs that any text may have once."""
_SAME_DIGITS = 7
_OF_COMPANIES = re.compile("..(?:[34]00|0?[38]00)")
"""Numbers that companies have all over the country, written as if they were of a city."""
_MOST_LISTED, _FEW_SIGNS = 60, 4
_ONCE = 1.0


def singles(
    seen: Fingerprint,
    before: Fingerprint,
    common: Collection[int],
    moved: Movement,
    odd: Moves,
    *,
    but: Collection[str] = (),
    confirmed: Collection[int] = (),
    shares: Shares | None = None,
) -> dict[int, list[Doubt]]:
    """Contract hash → what is odd in its row. ``but``: fields that move in every row.

    ``odd`` are the known ones whose values moved strangely. ``confirmed`` rows were confirmed by a
    person. ``shares`` are those of the whole file, of which ``seen`` has only some rows; without
    it, all.
    """
    if seen.at_hand is None or not seen.links or not before.links:
        return {}
    fresh = [key for key in seen.links if key not in before.links and key not in confirmed]
    rows = Rows(
        seen=seen,
        before=before,
        here=seen.at_hand,
        known=[key for key in common if key not in confirmed],
        fresh=fresh,
        still=[
            name
            for name in seen.names
            if name in before.fields and name not in {seen.key.name, *but}
        ],
        shares=shares or Shares(rows=len(seen.links), fresh=len(fresh) / len(seen.links)),
    )
    found: defaultdict[int, list[Doubt]] = defaultdict(list)
    spent = 0.0
    for law in sorted((law for law in _laws(rows, moved, odd) if law.broken), key=_price):
        spent += law.price
        if law.price > _EACH or spent > PRICE + PRICE_ROWS / rows.shares.rows:
            break
        for key in law.broken:
            if key not in confirmed and law.field not in {one.field for one in found[key]}:
                found[key].append(Doubt(field=law.field, kind="single", text=law.text))
    return dict(found)


def _price(law: Law) -> tuple[float, str, str]:
    return law.price, law.field, law.text


def _laws(rows: Rows, moved: Movement, odd: Moves) -> Iterator[Law]:
    for name in rows.still:
        yield rows.changed(name)
    for mark, keys in odd.items():
        if mark[-1] in SAID and mark[:-1] in {*rows.still, rows.seen.key.name}:
            yield Law(
                field=mark[:-1],
                price=price_of_move(mark, rows.before.history, len(keys), rows.shares.rows),
                text=SAID[mark[-1]],
                broken=keys,
            )
    yield from _lists(rows)
    yield from _anothers(rows)
    yield from _signs(rows)
    yield from _places(rows)
    yield from _phones(rows)
    yield from _domains(rows)
    yield from _nearly_listed(rows)
    yield from functions(rows)
    yield from belongs(rows)
    yield from crossed_rows(rows)
    yield from sums_and_orders(rows)
    yield from _out_of_step(rows, moved)
    yield from _check_digit(rows)


def _lists(rows: Rows) -> Iterator[Law]:
    """Values that no contract ever had, where there are few."""
    for name in rows.still:
        if rows.seen.fields[name].type in _LISTED:
            new, old = rows.seen.column(name), rows.before.column(name)
            yield from _unseen(
                rows, name, new, Counter(old.values()), "não é nenhum dos valores que sempre vieram"
            )


def _domains(rows: Rows) -> Iterator[Law]:
    """E-mails of a domain that nobody had: the creditor's own, one that was cut."""
    for name in rows.still:
        if rows.seen.fields[name].type == "email" and rows.before.plain.get(name):
            old, new = (
                {key: str(value).rpartition("@")[2] for key, value in one.items() if value}
                for one in (rows.before.plain[name], rows.here.values[name])
            )
            text = "traz um domínio que nunca veio em nenhum e-mail"
            yield from _unseen(rows, name, new, Counter[Token](old.values()), text)


def _nearly_listed(rows: Rows) -> Iterator[Law]:
    """New values that are a value of several contracts, cut."""
    for name in rows.still:
        old = rows.before.plain.get(name)
        if rows.seen.fields[name].type != "texto" or not old:
            continue
        times = Counter(str(value).casefold() for value in old.values() if value)
        often = [value for value, count in times.items() if count > 1]
        if len(often) > _MOST_LISTED or sum(times[one] for one in often) < LEAST_ROWS:
            continue
        new = rows.here.values[name]
        yield Law(
            field=name,
            price=NEVER / times.total(),
            text="é parte de um valor que outros contratos têm",
            broken=frozenset(
                key
                for key in rows.news(name)
                if (value := str(new.get(key) or "").casefold())
                and value not in times
                and len(value) >= _FEW_SIGNS
                and any(one.startswith(value) or one.endswith(value) for one in often)
            ),
        )


def _unseen(
    rows: Rows, name: str, new: Mapping[int, Token], times: Counter[Token], text: str
) -> list[Law]:
    del times[None]
    every = times.total()
    if every < LEAST_ROWS:
        return []
    # Good and Turing: what never came is as likely as what came once.
    share = (sum(count == 1 for count in times.values()) + _ONCE) / every
    strange = {key for key in rows.news(name) if new.get(key) is not None} - {
        key for key, value in new.items() if value in times
    }
    return rows.either(name, share, text, strange)


def _anothers(rows: Rows) -> Iterator[Law]:
    """A value of one's own, such as a phone, that another person's contract has."""
    if not all("cpf" in one.fields for one in (rows.seen, rows.before)):
        return
    people = rows.before.column("cpf") | rows.seen.column("cpf")
    for name in rows.still:
        kind = rows.before.fields[name].type
        if kind not in _ONES_OWN or name == "cpf":
            continue
        if kind == "texto" and rows.seen.rows > SAMPLE_ROWS:
            continue  # among many people there are namesakes
        old, new = rows.before.column(name), rows.seen.column(name)
        before, now = _owners(old, people), _owners(old | new, people)
        filled = sum(token is not None for token in old.values())
        if filled < LEAST_ROWS:
            continue
        # A new debtor may be anybody's namesake; who had a name does not get another person's.
        whose = rows.moved[name] if kind == "texto" else rows.news(name)
        shared = sum(token is not None and len(before[token]) > 1 for token in old.values())
        yield from rows.either(
            name,
            (shared + (_ONCE if kind in _TEXTS else NEVER)) / filled,
            "é o que outra pessoa tem",
            {key for key in whose if new[key] is not None and len(now[new[key]]) > 1},
        )


def _owners(column: Mapping[int, Token], people: Mapping[int, Token]) -> dict[Token, set[Token]]:
    owners: defaultdict[Token, set[Token]] = defaultdict(set)
    for key, token in column.items():
        owners[token].add(people.get(key))
    return owners


def _signs(rows: Rows) -> Iterator[Law]:
    """A digit in a name, a star, a word for nothing, where none ever came."""
    for name in (*rows.still, rows.seen.key.name):
        looks = rows.before.fields[name].looks
        if rows.seen.fields[name].type not in _TEXTS or looks.rows < LEAST_ROWS:
            continue
        values, usual = rows.here.values[name], looks.signs.keys() | _MARKS
        strange = {
            key for key in rows.news(name) if values[key] and signs_of(str(values[key])) - usual
        }
        yield from rows.either(name, NEVER / looks.rows, "traz sinais que nunca trouxe", strange)


def _places(rows: Rows) -> Iterator[Law]:
    """Amounts with another number of decimals than all had."""
    for name in rows.names:
        usual = rows.before.fields[name].places
        if not usual or sum(usual.values()) < LEAST_ROWS:
            continue
        cells = zip(rows.here.sample.keys, rows.here.sample.cells[name], strict=True)
        odd = {key for key, text in cells if text.strip() and str(places(text)) not in usual}
        if 2 * len(odd) > len(rows.here.sample.keys):
            continue  # all amounts are written otherwise: what they mean is judged
        yield Law(
            field=name,
            price=NEVER / sum(usual.values()),
            text="vem com outro número de casas decimais que todos os outros",
            broken=frozenset(odd & {*rows.known, *rows.fresh}),
        )


def _phones(rows: Rows) -> Iterator[Law]:
    """Area codes that never came; numbers of which only a part is another one."""
    areas = Counter[Token](
        phone[:2] for column in rows.before.phones.values() for phone in column.values()
    )
    for name, phones in rows.seen.phones.items():
        if name not in rows.usual:
            continue
        area = {key: phone[:2] for key, phone in phones.items()}
        text = "traz um DDD que nunca veio em nenhum telefone"
        yield from _unseen(rows, name, area, areas.copy(), text)
        digits = {key: str(value)[-_SAME_DIGITS:] for key, value in rows.here.values[name].items()}
        yield Law(
            field=name,
            price=NEVER / len(rows.before.links),
            text="é um mesmo algarismo repetido",
            broken=frozenset(key for key in rows.news(name) if len({*digits[key]}) == 1),
        )
        known = {key: str(value) for key, value in rows.before.plain.get(name, {}).items() if value}
        usual = sum(map(bool, map(_OF_COMPANIES.match, known.values())))
        yield Law(
            field=name,
            price=(usual + NEVER) / len(rows.before.links),
            text="é um número de empresa, e não de uma pessoa",
            broken=frozenset(
                key
                for key in rows.news(name)
                if (value := rows.here.values[name][key]) and _OF_COMPANIES.match(str(value))
            ),
        )
        old = rows.before.phones.get(name, {})
        both = rows.moved[name] & phones.keys() & old.keys()
        yield Law(
            field=name,
            price=NEVER * rows.usual[name] / len(rows.before.links),
            text="é o telefone de antes com uma parte trocada",
            broken=frozenset(key for key in both if _nearly(phones[key], old[key])),
        )


def _nearly(one: str, other: str) -> bool:
    """Whether two phones have six digits in a row in common, or all in another order."""
    return bool(_pieces(one) & _pieces(other))


def _pieces(phone: str) -> set[str]:
    return {phone[at : at + 4] for at in range(2, len(phone), 4)}


def _out_of_step(rows: Rows, moved: Movement) -> Iterator[Law]:
    """Rows whose days overdue and date do not make the day that all others make."""
    for (day, number, _), (now, was) in moved.anchors.items():
        yield Law(
            field=number,
            price=(was.others + NEVER) / was.rows,
            text=f"não combina com '{day}', como nas demais linhas",
            broken=newly_apart(now, was),
        )


def _check_digit(rows: Rows) -> Iterator[Law]:
    rule = rows.before.check
    if rule is not None:
        texts = rows.here.values[KEY]
        yield Law(
            field=KEY,
            price=NEVER / len(rows.before.links),
            text="o último dígito não é o verificador que os outros contratos têm",
            broken=frozenset(key for key in rows.fresh if not follows(rule, str(texts[key]))),
        )
