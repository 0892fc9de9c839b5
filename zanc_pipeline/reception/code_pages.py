"""Which code page of one byte a character a text is in: Windows, DOS or old Macintosh."""

from __future__ import annotations

NOT_WINDOWS = frozenset({0x81, 0x8D, 0x8F, 0x90, 0x9D})
"""The bytes that cp1252 leaves free; latin-1 has controls there."""

_OTHERS = ("cp850", "mac_roman")
_USUAL = frozenset("áâãàéêíóôõúüçñäöèß")
_RARE = frozenset("ëìîïòùûåæøœÿ")
_SIGNS = frozenset("€£¥§©®™°ºª²³¹½¼¾µ·•–—‘’“”…«»¿¡×±\u00a0")
_APOSTROPHES = frozenset("’‘\u00b4")


def likeliest(sample: bytes) -> str:
    """The code page in which the characters over 127 of ``sample`` make the most of their words.

    cp1252 unless another one makes clearly more; latin-1 where cp1252 has no character.
    """
    windows = "latin-1" if any(byte in NOT_WINDOWS for byte in sample) else "cp1252"
    worth = {page: _worth(sample.decode(page)) for page in (windows, *_OTHERS)}
    best = max(_OTHERS, key=lambda page: worth[page])
    return best if worth[best] > max(0.0, worth[windows]) * 1.2 else windows


def _worth(text: str) -> float:
    return sum(
        _fits(text[place - 1 : place], char, text[place + 1 : place + 2])
        for place, char in enumerate(text)
        if ord(char) > 127
    )


def _fits(before: str, char: str, after: str) -> float:
    """How well a character stands between its neighbours, from -1 to 1."""
    if char in _SIGNS:
        within = before.isalpha() and after.isalpha()
        return -0.5 if within and char not in _APOSTROPHES else 0.7
    if char.lower() not in _USUAL | _RARE:
        return -1.0
    if before.isdigit() or after.isdigit() or (char.isupper() and before.islower()):
        return -0.7
    if not before.isalpha() and not after.isalpha():
        return 0.3
    return 1.0 if char.lower() in _USUAL else 0.5
