"""Which encoding a text that is no UTF-8 is in: the one in which its letters are words.

Every candidate reads the characters over 127 with the letters before and after them. What a
language writes counts for it, what none writes counts against it: signs within words, capitals
after small letters, characters that are rare in the script.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

NOT_WINDOWS = frozenset({0x81, 0x8D, 0x8F, 0x90, 0x9D})
"""The bytes that cp1252 leaves free; latin-1 has controls there."""

_WEST = (
    "ãçáéõíóêâúàôü",  # Portuguese
    "áéíóúñüçàèòï",  # Spanish, Catalan
    "éèàçêôîâëïùûœ",  # French
    "äöüßåéøæëïèó",  # German, Nordic, Dutch
    "àèéìòù",  # Italian
    "áéíóúýðþæö",  # Icelandic
)
_CENTRAL = (
    "ąćęłńóśźż",
    "áčďéěíňóřšťúůýžäĺľôŕ",
    "áéíóöőúüű",
    "ăâîşţ",
    "čćđšž",
)
_Pages: TypeAlias = "tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]"

_LATIN: _Pages = (
    (("cp1250", "iso8859_2", "cp852"), _CENTRAL),
    (("cp1254",), ("çğıöşüâîû",)),
    (("cp1257",), ("ąčęėįšųūž", "āčēģīķļņšūž")),
)
_SCRIPTS: _Pages = (  # the letters of each, the usual ones first
    (
        ("cp1251", "koi8_r", "cp866", "iso8859_5", "mac_cyrillic"),
        (
            "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё",
            "оаинвтерсіклудмпязьбгйчхцїжюєфшщґ",
            "аиоентрсвлпдкмзубъгчцщжяшйюхф",
        ),
    ),
    (("cp1253", "iso8859_7"), ("αοιετσνηυρπκμλςίόάγέδήωχθφύβξζώψϊ",)),
    (("cp1255",), ("יוהלארתבמנשחדקעפגצטסזכםןךףץ",)),
    (("cp1256",), ("اليمنترودبهعسفةكحقأشجطخصىزءئثذغضظإآؤ",)),
    (("cp874",), ("านรกอเงมยลวดทสตะปบคหแจพชขใไโผซถศธณฉภฟฎษ",)),
)
_EASTERN: dict[str, Callable[[str, bytes], float]] = {
    "cp949": lambda char, raw: _by_lead(raw, common=(0xB0, 0xC8), rare=(0, 0)),
    "gb18030": lambda char, raw: _by_lead(raw, common=(0xB0, 0xD7), rare=(0xD8, 0xF7)),
    "big5": lambda char, raw: _by_lead(raw, common=(0xA4, 0xC6), rare=(0xC9, 0xF9), trail=0x40),
    "cp932": lambda char, raw: (
        _kana(char) or _by_lead(raw, common=(0x88, 0x97), rare=(0x98, 0xEA), trail=0x40) * 0.95
    ),
    "euc_jp": lambda char, raw: (
        _kana(char) or _by_lead(raw, common=(0xB0, 0xCF), rare=(0xD0, 0xF4)) * 0.95
    ),
}
"""How usual a character of two bytes is: the standards put the usual ones first."""

_OTHER_LATIN = frozenset("".join(_WEST) + "šžÿ")
_SIGNS = frozenset("€£¥§©®™°ºª²³¹½¼¾µ·•–—‘’“”…«»¿¡×±№\u00a0")
_APOSTROPHES = frozenset("’‘\u00b4")
_DOS_OR_MAC = ("cp850", "mac_roman")
_RATIO = 1.2  # how much more sense another encoding must make than Windows'
_MARGIN = 0.15
_LEAST_LATIN, _LEAST_SCRIPT, _LEAST_EASTERN = 0.85, 0.6, 0.75
_LEAST_LETTERS, _MANY_LETTERS = 3, 5
_SENSE = 0.6  # what makes so much sense in Windows' needs more letters to be something else
_NONSENSE = 0.2
_ENOUGH = 16 * 1024  # bytes that tell the encoding


@dataclass(frozen=True, kw_only=True)
class Guess:
    """An encoding, and what a person must be told of it: nothing for Windows and DOS in words."""

    encoding: str
    note: str = ""


def likeliest(sample: bytes) -> Guess:
    """The encoding in which the characters over 127 of ``sample`` make the most of their words.

    cp1252 unless another one makes clearly more; latin-1 where cp1252 has no character.
    """
    windows = "latin-1" if any(byte in NOT_WINDOWS for byte in sample) else "cp1252"
    if len(sample) > _ENOUGH:
        sample = sample[:_ENOUGH].rpartition(b"\n")[0] or sample[:_ENOUGH]
    worth = {page: _worth(sample.decode(page), _WEST) for page in (windows, *_DOS_OR_MAC)}
    others = sorted(_others(sample, worth[windows]), key=lambda entry: -entry[0])
    if others:
        share, page = others[0]
        near = [other for worse, other in others[1:] if worse > share - 0.03 and other != page]
        also = f" (ou {near[0]})" if near else ""
        return Guess(
            encoding=page,
            note=f"a codificação {page}{also} foi deduzida das letras: conferir os nomes",
        )
    best = max(_DOS_OR_MAC, key=lambda page: worth[page])
    found = best if worth[best] > max(0.0, worth[windows]) * _RATIO else windows
    if len(sample) >= _LEAST_LETTERS and worth[found] < _NONSENSE:
        return Guess(
            encoding=found,
            note=f"as letras acentuadas não formam palavras em {found} nem em outra codificação "
            "conhecida: conferir com quem enviou",
        )
    return Guess(encoding=found)


def _others(sample: bytes, windows: float) -> Iterator[tuple[float, str]]:
    """Encodings that make clearly more of a sample than Windows', with the sense they make."""
    together = _runs(sample)
    for pages, languages in _LATIN if together < 0.8 else ():
        for page in pages:
            text = sample.decode(page, "replace")
            letters = {char.lower() for char in text if ord(char) > 127 and char.isalpha()}
            worth = _worth(text, languages)
            enough = len(letters) >= (_MANY_LETTERS if windows > _SENSE else _LEAST_LETTERS)
            if enough and worth > max(_LEAST_LATIN, windows * _RATIO, windows + _MARGIN):
                yield worth, page
    for pages, alphabets in _SCRIPTS if together > 0.5 else ():
        for page in pages:
            text = sample.decode(page, "replace")
            worth = max(_sense(text, _weights(letters)) for letters in alphabets)
            if worth > max(_LEAST_SCRIPT, windows + _MARGIN):
                yield worth, page
    for page in _EASTERN:
        worth = _eastern(sample, page)
        if worth > max(_LEAST_EASTERN, windows + _MARGIN):
            yield worth, page


def _runs(sample: bytes) -> float:
    """The share of bytes over 127 that stand together, three or more: words of another script."""
    long = total = run = 0
    for byte in [*sample, 0]:
        if byte > 127:
            run += 1
            continue
        total += run
        long += run if run > 2 else 0
        run = 0
    return long / max(1, total)


def _worth(text: str, languages: tuple[str, ...]) -> float:
    """The sense that a text in Latin letters makes in the best of some languages, up to 1."""
    found = [
        (text[place - 1 : place], char, text[place + 1 : place + 2])
        for place, char in enumerate(text)
        if ord(char) > 127
    ]
    other = _OTHER_LATIN if languages is _WEST else frozenset[str]()
    sums = (
        sum(_fits(*one, letters=frozenset(language), other=other) for one in found)
        for language in languages
    )
    return max(sums) / max(1, len(found))


def _fits(
    before: str, char: str, after: str, *, letters: frozenset[str], other: frozenset[str]
) -> float:
    """How well a character stands between its neighbours, from -1 to 1."""
    if char in _SIGNS:
        within = before.isalpha() and after.isalpha()
        return -0.5 if within and char not in _APOSTROPHES else 0.7
    low = char.lower() if char != "İ" else "ı"
    if low not in letters and low not in other:
        return -1.0
    if before.isdigit() or after.isdigit() or (char.isupper() and before.islower()):
        return -0.7
    if char.islower() and before.isupper() and after.isupper():
        return -0.7
    if other and before.isalpha() and after.isalpha():
        if not (before.isascii() or after.isascii()):
            return -0.5  # three in a row are a word of another script
        if (low == "õ" and after not in "eEi") or low == "þ":
            return 0.2  # Portuguese writes õe, Icelandic þ at the start of a word
    if not before.isalpha() and not after.isalpha():
        return 0.3
    return 1.0 if low in letters else 0.5


@lru_cache(maxsize=32)
def _weights(letters: str) -> dict[str, float]:
    """What each letter of an alphabet counts: the usual ones, which stand first, the most."""
    return {letter: 1 - 0.9 * rank / len(letters) for rank, letter in enumerate(letters)}


def _sense(text: str, weights: dict[str, float]) -> float:
    """The sense that a text in another script makes, up to 1."""
    total, count, before = 0.0, 0, ""
    for char in text:
        if ord(char) > 127:
            count += 1
            if char in _SIGNS:
                total += 0.3
            elif before.islower() and char.isupper():
                total -= 0.7
            elif not char.isalpha():
                total += 0.5 if char.isprintable() and weights.get(before) else -1.0
            else:
                total += weights.get(_bare(char), -1.0)
        before = char
    return total / max(1, count)


def _bare(char: str) -> str:
    low = char.lower()
    return low if low != "ΐ" else "ί"


def _eastern(sample: bytes, page: str) -> float:
    """The share of usual characters of two bytes; nothing when the bytes are not of that page."""
    text = sample.decode(page, "replace")
    count = sum(ord(char) > 127 for char in text)
    if count < _LEAST_LETTERS or text.count("\ufffd") > count // 200:
        return 0.0
    usual = _EASTERN[page]
    alone = (  # within a word of ASCII letters it is no character of two bytes
        char
        for place, char in enumerate(text)
        if ord(char) > 127
        and not any(
            next_to.isascii() and next_to.isalpha()
            for next_to in (text[place - 1 : place], text[place + 1 : place + 2])
        )
    )
    return sum(usual(char, char.encode(page, "replace")) for char in alone) / count


def _by_lead(
    raw: bytes, *, common: tuple[int, int], rare: tuple[int, int], trail: int = 0xA1
) -> float:
    if len(raw) != 2 or raw[1] < trail:
        return 0.0 if len(raw) == 2 else -0.2
    lead = raw[0]
    if common[0] <= lead <= common[1]:
        return 1.0
    if rare[0] <= lead <= rare[1]:
        return 0.3
    return 0.5 if 0xA1 <= lead <= 0xA3 or lead == 0x81 else 0.0


def _kana(char: str) -> float:
    return float("\u3040" <= char <= "\u30ff")
