"""The titles of a header that lost a separator, parted again where the columns tell which ones.

A title and what its column holds go together (``Due date`` over dates), two titles written as one
show a border (``QtyProduct``, ``Price (R$)Total``), and the titles of a file begin alike (``NM_``,
``NR_``). A header is parted only when one reading is clearly better than every other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from zanc_pipeline.reception.cut import Dialect, Record, joints
from zanc_pipeline.reception.profile import Column, Profile
from zanc_pipeline.reception.values import ADDRESS, DATE, EMPTY, MAX_VALUE_CHARS, NUMBER, TIME

_LEAST = 1.2  # evidence that a reading must have
_MARGIN = 0.25  # and how much more of it than the next one
_JOINT = 2.0  # a quote that touches a title
_CAPITALS = 4  # so many are a title of their own, not an ``ID`` or ``URL`` within one
_FEW = 0.25  # the share of titles with capitals inside that makes no habit
_SUFFIX = 5  # letters of a known word that ends a longer one (``Rechnungsdatum``)
MAX_TITLES = 400

_KNOWN = {
    DATE: "date data dt datum fecha dia day vencimento emissao emissão pagamento nascimento "
    "birth due abertura inicio início fim start end timestamp created updated periodo "
    "período admission",
    TIME: "time hora hour horario horário zeit timestamp hh",
    ADDRESS: "url link site website web mail email http homepage",
    NUMBER: "qty quantity quantidade qtd qtde amount valor vlr vl value price preco preço total "
    "count year ano idade age lat latitude lon lng long longitude size population "
    "populacao população score nota grade salary salario salário rate taxa percent pct nr "
    "no num numero número number saldo cost custo area área weight peso height altura "
    "length width volume elev elevation temp temperature humidity pressure battery mes "
    "mês month qt id code codigo código cod votos betrag mwst discount desconto parcela "
    "dias days prazo open high low close magnitude depth goals minutes fare",
    "": "name nome description descricao descrição title titulo título type tipo city cidade "
    "state estado uf comments comment comentario comentário notes note obs observacao "
    "observação remark remarks status situacao situação product produto category "
    "categoria address endereco endereço bairro municipio município country país pais "
    "region região regiao kind branch customer cliente client supplier fornecedor first "
    "last job department departamento item text texto bemerkung kunde ort code codigo "
    "código cod id ids nm ds sg device sensor station order user patient school species "
    "filename username postcode zipcode owner author language gender sex sexo contract "
    "contrato invoice account conta bank banco class classe group grupo reason motivo "
    "operator vendor brand marca model modelo color colour cor place local team player "
    "street rua unit unidade from to",
}
_CLASSES: dict[str, frozenset[str]] = {
    word: frozenset(kind for kind, words in _KNOWN.items() if word in words.split())
    for words in _KNOWN.values()
    for word in words.split()
}
_LAST_WORDS = frozenset(
    ["id", "no", "nr", "name", "date", "code", "type", "time", "number", "count", "rate"]
)
"""Words that usually end a title of several."""
_TOKEN = re.compile(r"[^\W\d_]+")
_CAMEL = re.compile(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Þ])|(?<=[A-ZÀ-Þ])(?=[A-ZÀ-Þ][a-zà-ÿ])")


def parted_titles(record: Record, dialect: Dialect, profile: Profile) -> list[str] | None:
    """The titles of a header with one cell too few, one for each column; None when it is not
    plain where the separator is gone."""
    cells = [cell.strip() for cell in record.cells]
    if len(cells) != len(profile.columns) - 1 or len(cells) > MAX_TITLES or not profile.rows:
        return None
    stands, moves = _running(cells, profile.columns)
    found = [
        (
            stands[place]
            + moves[place + 1]
            + _affinity(left, profile.columns[place])
            + _affinity(right, profile.columns[place + 1])
            + evidence,
            [*cells[:place], left, right, *cells[place + 1 :]],
        )
        for place, left, right, evidence in _readings(cells)
        if not (dialect.quote and dialect.quote in left + right)
    ]
    whole = max(stands[place] + moves[place] for place in range(len(cells) + 1))
    for parted in joints(record.text, dialect):
        titles = [cell.strip() for cell in parted]
        if all(titles) and not any(dialect.quote in title for title in titles):
            found.append((_JOINT + _total(titles, profile.columns), titles))
    found.sort(key=lambda entry: entry[0], reverse=True)
    if not found or found[0][0] < whole + _LEAST:
        return None
    best, titles = found[0]
    near = [other for score, other in found[1:] if score > best - _MARGIN and other != titles]
    return None if near else titles


def _running(cells: Sequence[str], columns: Sequence[Column]) -> tuple[list[float], list[float]]:
    """The affinity of the titles before each place with their own column, and of those from each
    place on with the column after it."""
    stands = [0.0]
    for cell, column in zip(cells, columns, strict=False):
        stands.append(stands[-1] + _affinity(cell, column))
    moves = [0.0]
    for cell, column in zip(reversed(cells), reversed(columns), strict=False):
        moves.append(moves[-1] + _affinity(cell, column))
    return stands, moves[::-1]


def _total(titles: Sequence[str], columns: Sequence[Column]) -> float:
    return sum(_affinity(cell, column) for cell, column in zip(titles, columns, strict=True))


def _readings(cells: Sequence[str]) -> Iterator[tuple[int, str, str, float]]:
    """Each title cut in two at each place: its number, the two parts, what speaks for the cut."""
    for place, cell in enumerate(cells):
        if len(cell) > MAX_VALUE_CHARS:
            continue
        others = [*cells[:place], *cells[place + 1 :]]
        longer = len(_tokens(cell)) > max((len(_tokens(other)) for other in others), default=1)
        usual = sum(map(len, others)) / max(1, len(others)) + 1
        size = max(-0.5, min(0.7, 0.5 * math.log2(len(cell) / usual + 0.01)))
        camel = sum(bool(_CAMEL.search(other)) for other in others)
        plain = longer or camel <= _FEW * len(others)
        for cut in range(1, len(cell)):
            left, right = cell[:cut], cell[cut:]
            if left[-1].isspace() or right[0].isspace() or not any(map(str.isalnum, right)):
                continue
            if left[-1] in "_-/([" or right[0] in "_-/)]." or not left.strip("_-./"):
                continue
            border = _border(left, right, plain) + (_alike(right, others) if size > 0 else 0.0)
            border += _echo(left, right, others) - 1.0 * _is_habit(left, others)
            if border > 0.3:
                yield place, left, right, border + size


def _border(left: str, right: str, plain: bool) -> float:
    """What the characters and words beside a cut tell; ``plain`` when capitals do."""
    if left[-1] in ")]%?!":
        return 1.5
    if left[-1] in ".:;" and right[0].isalpha():
        return 1.2
    cut = len(left)
    if not any(match.start() == cut for match in _CAMEL.finditer(left + right)):
        within = _TOKEN.findall(left)[-1:] + _TOKEN.findall(right)[:1]
        return 0.0 if "".join(within).lower() in _CLASSES else _words(left, right)
    shouted = any(
        len(part) == _CAPITALS and part.isupper() for part in (left[-_CAPITALS:], right[:_CAPITALS])
    )
    if not plain and not shouted:
        return 0.3  # titles of several words are usual here
    if _tokens(right)[:1] and _tokens(right)[0] in _LAST_WORDS:
        return 0.3
    return 1.3 + _words(left, right)


def _words(left: str, right: str) -> float:
    """Whether a known word ends before the cut and another begins after it."""
    known = [word for word in (*_tokens(left)[-1:], *_tokens(right)[:1]) if word in _CLASSES]
    sizes = [len(word) for word in known if len(word) > 2]
    return sum(min(0.9, 0.12 * size) for size in sizes) + (0.3 if len(known) == 2 else 0.0)


def _alike(right: str, others: Sequence[str]) -> float:
    """Whether the part after the cut begins as the other titles do (``NM_``, ``DS_``)."""
    start = _start(right)
    if start.isalpha():  # what many a cut inside a word gives
        return 0.0
    return [_start(other) for other in others].count(start) / max(3, len(others))


def _echo(left: str, right: str, others: Sequence[str]) -> float:
    """Whether the word after the cut begins other titles, and the one before it ends others."""
    titles = [found for title in (*others, left, right) if len(found := _tokens(title)) > 1]
    before, after = _tokens(left), _tokens(right)
    begins = len(after) > 1 and len(after[0]) > 2
    ends = len(before) > 1 and len(before[-1]) > 2
    return 0.6 * (begins and sum(found[0] == after[0] for found in titles) > 1) + 0.6 * (
        ends and sum(found[-1] == before[-1] for found in titles) > 1
    )


def _is_habit(left: str, others: Sequence[str]) -> bool:
    """Whether the last word before the cut has others after it in another title too."""
    last = _tokens(left)[-1:]
    return bool(last) and any(last[0] in _tokens(other)[:-1] for other in others)


def _start(title: str) -> str:
    return "".join(
        "A" if char.isupper() else "a" if char.islower() else "9" if char.isdigit() else char
        for char in title[:3]
    )


def _tokens(title: str) -> list[str]:
    return [word.lower() for part in _TOKEN.findall(title) for word in _CAMEL.split(part) if word]


def _classes_of(word: str) -> frozenset[str]:
    if word in _CLASSES:
        return _CLASSES[word]
    ends = (word[place:] for place in range(1, len(word) - _SUFFIX + 1))
    return next((_CLASSES[end] for end in ends if end in _CLASSES), frozenset())


def _affinity(title: str, column: Column) -> float:
    """Whether a title names what its column holds: from -1 to 1, 0 when it tells nothing."""
    classes = frozenset[str]().union(*map(_classes_of, _tokens(title)))
    if not classes or column.kinds[EMPTY] == column.rows:
        return 0.0
    typed = column.typed
    if typed in classes:
        return 1.0 if typed in {DATE, TIME, ADDRESS} else 0.6
    return -0.7 if classes <= {"", NUMBER} and typed in {"", NUMBER} else -1.0
