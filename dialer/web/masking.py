"""CPFs and phones as the desk shows them: enough to confirm a person, never the whole."""

from __future__ import annotations


def cpf_text(cpf: str, *, full: bool) -> str:
    """``529.982.247-25``, or the middle of it: ``***.982.247-**``."""
    if len(cpf) != 11:
        return "—"
    if full:
        return f"{cpf[:3]}.{cpf[3:6]}.{cpf[6:9]}-{cpf[9:]}"
    return f"***.{cpf[3:6]}.{cpf[6:9]}-**"


def phone_text(phone: str, *, full: bool) -> str:
    """``(11) 91234-5678``, or area and end: ``(11) *****-5678``."""
    if len(phone) < 10:
        return "—"
    area, first, last = phone[:2], phone[2:-4], phone[-4:]
    return f"({area}) {first if full else '*' * len(first)}-{last}"
