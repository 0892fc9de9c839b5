"""The types of record of lines of one size: where the code stands, header, details, trailer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import groupby

from zanc_pipeline.common.codecs import parse_date
from zanc_pipeline.reception.infer_cnab import cnab_fields
from zanc_pipeline.reception.infer_fixed import Found, boundaries, fields_of
from zanc_pipeline.reception.infer_types import Guess
from zanc_pipeline.reception.names import NameFacts, day_of

_CNAB_240, _CNAB_400, _SEGMENT = 240, 400, 13
_SENDERS = {_CNAB_240: (72, 30), _CNAB_400: (46, 30)}
"""Where CNAB's header has the creditor's name, from 0, and its size."""
_SHORTEST_SENDER = 4
_FEWEST_LINES = 6
_FIRST_PLACES = 12
_MOST_TYPES = 5
MAX_SAMPLE = 2_000

Checks = dict[str, dict[str, str]]
Described = tuple[list[Found], Checks]


@dataclass(frozen=True, kw_only=True)
class Type:
    """One type of record of the sample: its key in the layout, code, condition and fields."""

    key: str
    code: str
    segment: str = ""
    at_most: int = 1
    required: bool = False
    fields: list[Found] = field(default_factory=list)
    checks: Checks = field(default_factory=dict)
    """Name of the field → further keys (``confere``, ``igual``)."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Where the code stands (from 0) and the types of record, in the order of a layout."""

    start: int
    types: list[Type]


def record_shape(lines: Sequence[str], facts: NameFacts, *, today: date) -> Shape | None:
    """The types of record, or None when all lines are of one type."""
    place = _discriminator(lines)
    if place is None:
        return None
    start, size = place
    codes = [line[start : start + size] for line in lines]
    cnab = len(lines[0]) == _CNAB_240 and (start, size) == (7, 1)
    kinds = [
        (code, line[_SEGMENT] if cnab and code == "3" else "")
        for code, line in zip(codes, lines, strict=True)
    ]
    body = _body(kinds, cnab=cnab)
    details = [line for line, kind in zip(lines, kinds, strict=True) if kind == body[0]]
    skip = start + size if start < 2 else 0
    parent = _fields(details, body[0], skip, today)
    taken = {found.name for found in parent}
    fields, checks = _of_header(lines[0], skip, facts)
    types = [Type(key="cabecalho", code=codes[0], fields=fields, checks=checks)]
    if cnab:
        openers = [line for line, kind in zip(lines, kinds, strict=True) if kind[0] == "1"]
        if openers:
            types.append(Type(key="lote.cabecalho", code="1", fields=_constants(openers[0], skip)))
    types.append(Type(key="detalhe", code=body[0][0], segment=body[0][1], fields=parent))
    for kind in body[1:]:
        own = [line for line, other in zip(lines, kinds, strict=True) if other == kind]
        fields = [_apart(found, taken) for found in _fields(own, kind, skip, today)]
        taken |= {found.name for found in fields}
        counts = list(_per_parent(kinds, body[0], kind))
        types.append(
            Type(
                key="filho",
                code=kind[0],
                segment=kind[1],
                at_most=max(counts, default=1),
                required=min(counts, default=0) > 0,
                fields=fields,
            )
        )
    targets = _Targets(lines=len(lines), details=len(details), parent=parent)
    if cnab and any(kind[0] == "5" for kind in kinds):
        types.append(_batch_trailer(lines, kinds, body[0], parent, skip))
        targets.batches = sum(kind[0] == "5" for kind in kinds)
    fields, checks = _of_trailer(lines[-1], skip, targets)
    _name_the_sum(parent, fields, checks)
    types.append(Type(key="rodape", code=codes[-1], fields=fields, checks=checks))
    return Shape(start=start, types=types)


def _fields(lines: Sequence[str], kind: tuple[str, str], skip: int, today: date) -> list[Found]:
    """The fields of the records of one type: CNAB's own where they prove to be there."""
    sample = lines[:MAX_SAMPLE]
    return cnab_fields(sample, *kind) or fields_of(sample, today=today, skip=skip)


def _discriminator(lines: Sequence[str]) -> tuple[int, int] | None:
    """(start, size) of a code that is unique in the first line and in the last one."""
    if len(lines) < 3:
        return None
    places = [(7, 1)] if len(lines[0]) == _CNAB_240 else []
    places += [(start, size) for size in (1, 2, 3) for start in range(_FIRST_PLACES)]
    for start, size in places:
        codes = [line[start : start + size] for line in lines]
        first, middle, last = codes[0], set(codes[1:-1]), codes[-1]
        alone = first not in middle and last not in middle and first != last
        plain = all(code.strip() == code and code.isalnum() for code in (first, last, *middle))
        if alone and plain and len(middle) <= _MOST_TYPES:
            return start, size + _longer(lines, start, size)
    return None


def _longer(lines: Sequence[str], start: int, size: int) -> int:
    """1 where the code of one digit is the first of two, the same ones in all lines of a type."""
    if size > 1 or start or len(lines[0]) in {_CNAB_240, _CNAB_400} or len(lines) < _FEWEST_LINES:
        return 0
    wide = {line[:2] for line in lines}
    narrow = {line[:1] for line in lines}
    return int(len(wide) == len(narrow) and all(code.isdigit() for code in wide))


def _body(kinds: Sequence[tuple[str, str]], *, cnab: bool) -> list[tuple[str, str]]:
    """The types between header and trailer, in the order in which they first come."""
    frames = {"1", "5"} if cnab else set()
    return list(dict.fromkeys(kind for kind in kinds[1:-1] if kind[0] not in frames))


def _per_parent(
    kinds: Sequence[tuple[str, str]], parent: tuple[str, str], child: tuple[str, str]
) -> Iterator[int]:
    group = 0
    groups: list[int] = []
    for kind in kinds:
        group += kind == parent
        groups.append(group)
    counts: Counter[int] = Counter(
        number for number, kind in zip(groups, kinds, strict=True) if kind == child and number
    )
    return (counts[number] for number in range(1, group + 1))


def _apart(found: Found, taken: set[str]) -> Found:
    """A child's field under a name that the parent does not have."""
    name, number = found.name, 2
    while name in taken:
        name, number = f"{found.name}_{number}", number + 1
    return (
        found
        if name == found.name
        else Found(
            start=found.start, size=found.size, name=name, guess=found.guess, values=found.values
        )
    )


def _runs(line: str, skip: int) -> Iterator[tuple[int, str]]:
    """Runs of digits, and texts that end at two blanks, with where they begin."""
    place = skip
    for kind, chars in groupby(line[skip:], key=lambda char: (char.isdigit(), char == " ")):
        text = "".join(chars)
        if not kind[1]:
            yield place, text
        place += len(text)


def _constants(line: str, skip: int) -> list[Found]:
    """Fields of a record of which there is one example."""
    return [
        Found(
            start=start,
            size=size,
            name=f"campo_{start + 1}",
            guess=Guess(type="texto"),
            values=(line[start : start + size],),
        )
        for start, size in ((at + skip, length) for at, length in boundaries([line[skip:]]))
        if line[start : start + size].strip()
    ]


def _of_header(line: str, skip: int, facts: NameFacts) -> Described:
    """The sender, and the date and the number that the file's name has too."""
    fields: list[Found] = []
    checks: Checks = {}
    start, size = _SENDERS.get(len(line), (0, 0))
    sender = line[start : start + size].strip()
    if len(sender) >= _SHORTEST_SENDER and not sender.isdigit():
        fields.append(_one(line, start, size, "remetente", Guess(type="texto")))
        checks["remetente"] = {"igual": sender}
    for start, run in _runs(line, skip):
        if not run.isdigit():
            if len(run) >= _SHORTEST_SENDER and "remetente" not in checks:
                fields.append(_one(line, start, len(run), "remetente", Guess(type="texto")))
                checks["remetente"] = {"igual": run}
            continue
        place = start
        while place < start + len(run):
            size, keys = _header_number(line[place : start + len(run)], facts)
            name = "data" if keys.get("confere") == "data_do_nome" else "sequencia"
            if not size or name in checks:
                break
            fields.append(_one(line, place, size, name, _type_of(keys)))
            checks[name] = {"confere": keys["confere"]}
            place += size
    return fields or _constants(line, skip)[:1], checks


def _header_number(digits: str, facts: NameFacts) -> tuple[int, dict[str, str]]:
    if facts.reference_date is not None and len(digits) >= 8:
        for order, shape in (("dmy", "ddmmaaaa"), ("ymd", "aaaammdd")):
            if parse_date(digits[:8], order=order) == facts.reference_date:
                return 8, {"confere": "data_do_nome", "formato": shape}
    if facts.reference_date is not None and len(digits) >= 6:
        for order, shape in (("dmy", "ddmmaa"), ("ymd", "aammdd")):
            if day_of(digits[:6], order=order) == facts.reference_date:
                return 6, {"confere": "data_do_nome", "formato": shape}
    if facts.sequence is not None and 1 <= len(digits) <= 18 and int(digits) == facts.sequence:
        return len(digits), {"confere": "sequencia_do_nome"}
    return 0, {}


def _type_of(keys: dict[str, str]) -> Guess:
    if "formato" in keys:
        century = {} if "aaaa" in keys["formato"] else {"seculo": 99}
        return Guess(type="data", keys={"formato": keys["formato"], **century})
    return Guess(type="inteiro")


def _one(line: str, start: int, size: int, name: str, guess: Guess) -> Found:
    return Found(
        start=start, size=size, name=name, guess=guess, values=(line[start : start + size],)
    )


@dataclass(kw_only=True)
class _Targets:
    """What a trailer may declare."""

    lines: int
    details: int
    parent: list[Found]
    batches: int = 0

    def all(self) -> Iterator[tuple[str, int, str]]:
        """(``confere``, the number, the field that is summed)."""
        yield "quantidade_de_registros", self.lines, ""
        yield "quantidade", self.details, ""
        if self.batches:
            yield "quantidade_de_lotes", self.batches, ""
        for found in self.parent:
            if found.guess.type == "dinheiro" and all(v.isdigit() for v in found.values):
                yield "soma", sum(int(value) for value in found.values), found.name


def _of_trailer(line: str, skip: int, targets: _Targets) -> Described:
    """The numbers of a trailer that agree with what was counted and summed."""
    fields: list[Found] = []
    checks: Checks = {}
    money = {found.name: found for found in targets.parent}
    for start, run in _runs(line, skip):
        place, end = start, start + len(run)
        while run.isdigit() and place < end:
            match = next(
                (
                    (size, check, summed)
                    for check, number, summed in targets.all()
                    if check not in {keys["confere"] for keys in checks.values()}
                    for size in (_prefix(line[place:end], number),)
                    if size
                ),
                None,
            )
            if match is None:
                break
            size, check, summed = match
            name = f"total_{summed}" if summed else check
            guess = Guess(type="inteiro")
            if summed:
                guess = Guess(type="dinheiro", keys=dict(money[summed].guess.keys))
            fields.append(_one(line, place, size, name, guess))
            checks[name] = {"confere": check} | ({"de": summed} if summed else {})
            place += size
    return fields or _constants(line, skip)[:1], checks


def _name_the_sum(parent: list[Found], trailer: list[Found], checks: Checks) -> None:
    """The field that the trailer sums is the value, whatever looked like one before it."""
    summed = next((keys["de"] for keys in checks.values() if "de" in keys), "valor")
    if summed == "valor":
        return
    for place, found in enumerate(parent):
        if found.name == "valor":
            parent[place] = replace(
                found,
                name=f"campo_{found.start + 1}",
                guess=Guess(type="texto"),
            )
        elif found.name == summed:
            doubt = "o rodapé traz a soma dele: seria o valor da dívida, com 2 centavos?"
            parent[place] = replace(found, name="valor", guess=replace(found.guess, doubt=doubt))
    for place, found in enumerate(trailer):
        if checks.get(found.name, {}).get("de") == summed:
            checks["total_valor"] = {**checks.pop(found.name), "de": "valor"}
            trailer[place] = replace(found, name="total_valor")


def _prefix(digits: str, number: int) -> int:
    """How many of the first digits write ``number`` (with zeros before it); 0 when none do."""
    text = str(number)
    at = len(digits) - len(digits.lstrip("0"))
    size = at + len(text)
    if number and len(digits) >= size and digits[at:size] == text and size >= 4:
        return size
    return 0


def _batch_trailer(
    lines: Sequence[str],
    kinds: Sequence[tuple[str, str]],
    parent_kind: tuple[str, str],
    parent: list[Found],
    skip: int,
) -> Type:
    """The first batch's trailer, with what agrees with that batch."""
    opening = next(place for place, kind in enumerate(kinds) if kind[0] == "1")
    closing = next(place for place, kind in enumerate(kinds) if kind[0] == "5")
    inside = [place for place in range(opening, closing) if kinds[place] == parent_kind]
    own = [
        Found(
            start=found.start,
            size=found.size,
            name=found.name,
            guess=found.guess,
            values=tuple(lines[place][found.start : found.start + found.size] for place in inside),
        )
        for found in parent
    ]
    targets = _Targets(lines=closing - opening + 1, details=len(inside), parent=own)
    fields, checks = _of_trailer(lines[closing], skip, targets)
    return Type(key="lote.rodape", code="5", fields=fields, checks=checks)
