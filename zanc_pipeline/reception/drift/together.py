"""Fields of one row that go together: a city has one state, a phone is of the state, two fields
do not change places."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import combinations, permutations
from math import log

from zanc_pipeline.reception.drift.belongs import partners
from zanc_pipeline.reception.drift.law import AREA, LEAST_ROWS, NEVER, Law, Rows, column_of
from zanc_pipeline.reception.drift.rows import comparable, crosses, price_of_crossing
from zanc_pipeline.reception.drift.sample import Token

_CODES = frozenset({"texto", "codigo", "uf", "sim_nao", "inteiro"})
_OF_A_PERSON = ("nome", "nascimento")
_PURE = 0.98
_TOLD = 0.8
"""Share of the rows whose value came in others too: a name that came twice makes no law."""
_BY_CHANCE = log(1e-5)
_MOST_CODES = 24
"""Fields of codes and texts among which pairs are looked for: a file may have hundreds."""


def functions(rows: Rows) -> Iterator[Law]:
    """A city has one state, a product one price, a person one name."""
    kinds = {name: rows.seen.fields[name].type for name in rows.names}
    codes = [name for name, kind in kinds.items() if kind in _CODES][:_MOST_CODES]
    codes += [AREA + name for name in rows.seen.phones if name in rows.before.phones]
    every = [*rows.known, *rows.fresh]
    pairs = [*permutations(codes, 2)]
    if "cpf" in kinds:
        pairs += [("cpf", name) for name in _OF_A_PERSON if name in kinds]
    columns = {name for pair in pairs for name in pair}
    old = {name: column_of(rows.before, name) for name in columns}
    new = {name: column_of(rows.seen, name) for name in columns}
    for one, other in pairs:
        law = _function(old[one], old[other], sure=one == "cpf")
        if law is None:
            continue
        rule, wrong, of = law
        field = other.removeprefix(AREA)
        judged = every if field == other else rows.news(field)
        judged = rows.fresh if one == "cpf" else judged
        broken = {
            key
            for key in judged
            if (value := new[other].get(key)) is not None
            and rule.get(new[one].get(key), value) != value
        }
        yield Law(
            field=field,
            price=(wrong + NEVER) / of,
            text=f"não é o que sempre vem com este valor de '{one.removeprefix(AREA)}'",
            broken=frozenset(broken),
        )


def _function(
    ones: Mapping[int, Token], others: Mapping[int, Token], *, sure: bool
) -> tuple[dict[Token, Token], int, int] | None:
    """Value → the other that comes with it, rows that have another, of how many; None: no law.

    ``sure``: it is one by what the fields mean; else it must be too pure for chance.
    """
    groups: defaultdict[Token, Counter[Token]] = defaultdict(Counter)
    for key, one in ones.items():
        if one is not None and (other := others.get(key)) is not None:
            groups[one][other] += 1
    best = {one: group.most_common(1)[0] for one, group in groups.items()}
    rule = {one: token for one, (token, _) in best.items()}
    rows = sum(group.total() for group in groups.values())
    if sure:
        return rule, rows - sum(times for _, times in best.values()), max(rows, 1)
    every = Counter(token for group in groups.values() for token in group.elements())
    if len(every) < 2:
        return None
    repeated = [one for one, group in groups.items() if group.total() > 1]
    told = sum(groups[one].total() for one in repeated)
    wrong = told - sum(best[one][1] for one in repeated)
    alike = sum((count / rows) ** 2 for count in every.values())
    if told < max(LEAST_ROWS, _TOLD * rows) or wrong > (1 - _PURE) * told:
        return None
    if (told - len(repeated) - 2 * wrong) * log(alike) > _BY_CHANCE:
        return None
    return {one: rule[one] for one in repeated}, wrong, told


def belongs(rows: Rows) -> Iterator[Law]:
    """A phone of another state, an e-mail of another person."""
    for name, other, match in partners({name: rows.seen.fields[name].type for name in rows.names}):
        hits, of = rows.before.relations.get("belongs", {}).get(f"{name}|{other}", (0, 0))
        if name not in rows.usual or of < LEAST_ROWS:
            continue
        ones, others = rows.here.values[name], rows.here.values[other]
        parted = {
            key
            for key in rows.news(name)
            if ones[key] and others[key] and not match(str(ones[key]), str(others[key]))
        }
        text = f"não combina com '{other}', como nas demais linhas"
        yield from rows.either(name, (of - hits + NEVER) / of, text, parted)


def crossed_rows(rows: Rows) -> Iterator[Law]:
    """Two fields that hold each other's values of the last file."""
    kinds = {name: rows.seen.fields[name].type for name in rows.still}
    for one, other in combinations(rows.still, 2):
        places = rows.moved[one] & rows.moved[other]
        if not places or not comparable(kinds[one], kinds[other]):
            continue
        new = rows.seen.column(one), rows.seen.column(other)
        old = rows.before.column(one), rows.before.column(other)
        yield Law(
            field=one,
            price=price_of_crossing(f"{one}|{other}", kinds[one], rows.before.history, NEVER),
            text=f"trocou de lugar com '{other}'",
            broken=frozenset(
                key for key in places if crosses(new[0][key], new[1][key], old[0][key], old[1][key])
            ),
        )
