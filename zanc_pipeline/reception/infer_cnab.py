"""CNAB 240 and 400: the places of a remittance's fields, as the standard has them.

FEBRABAN's CNAB 240 (segments P and Q) and the banks' common CNAB 400 (type 1 of a remittance) agree
on these places. They are taken only where the sample proves them: CPF and due date where they ought
to be. What a bank uses for its own purposes is one field each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zanc_pipeline.common.codecs import parse_cpf
from zanc_pipeline.reception.infer_fixed import Found
from zanc_pipeline.reception.infer_types import SURE, Guess, guess_type
from zanc_pipeline.reception.names import day_of

_FILLED = 0.97
"""Share of the lines in which a number that names the debt is there, each time another one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """A field of the standard: first byte (from 1), size, our name for it."""

    start: int
    size: int
    name: str
    kind: str = "texto"


_DETAIL_400 = (
    _Place(start=38, size=25, name="uso_da_empresa"),
    _Place(start=63, size=8, name="nosso_numero"),
    _Place(start=109, size=2, name="ocorrencia"),
    _Place(start=111, size=10, name="numero_do_documento"),
    _Place(start=121, size=6, name="vencimento", kind="ddmmaa"),
    _Place(start=127, size=13, name="valor", kind="centavos"),
    _Place(start=151, size=6, name="emissao", kind="ddmmaa"),
    _Place(start=224, size=11, name="cpf", kind="cpf"),
    _Place(start=235, size=40, name="nome"),
    _Place(start=275, size=40, name="logradouro"),
    _Place(start=315, size=12, name="bairro"),
    _Place(start=327, size=8, name="cep"),
    _Place(start=335, size=15, name="cidade"),
    _Place(start=350, size=2, name="uf", kind="uf"),
)
_SEGMENT_P = (
    _Place(start=16, size=2, name="ocorrencia"),
    _Place(start=38, size=20, name="nosso_numero"),
    _Place(start=63, size=15, name="numero_do_documento"),
    _Place(start=78, size=8, name="vencimento", kind="ddmmaaaa"),
    _Place(start=86, size=15, name="valor", kind="centavos"),
    _Place(start=110, size=8, name="emissao", kind="ddmmaaaa"),
    _Place(start=196, size=25, name="uso_da_empresa"),
)
_SEGMENT_Q = (
    _Place(start=23, size=11, name="cpf", kind="cpf"),
    _Place(start=34, size=40, name="nome"),
    _Place(start=74, size=40, name="logradouro"),
    _Place(start=114, size=15, name="bairro"),
    _Place(start=129, size=8, name="cep"),
    _Place(start=137, size=15, name="cidade"),
    _Place(start=152, size=2, name="uf", kind="uf"),
)
_CONTRACTS = ("uso_da_empresa", "numero_do_documento", "nosso_numero")
"""Where the creditor's own number of the debt may be, the likeliest first."""

_PROOFS: dict[str, Callable[[str], object]] = {
    "cpf": parse_cpf,
    "ddmmaa": lambda text: day_of(text, order="dmy"),
    "ddmmaaaa": lambda text: day_of(text, order="dmy"),
}


def cnab_fields(lines: Sequence[str], code: str, segment: str) -> list[Found] | None:
    """The fields of the records of one type; None where the standard's places are not proved."""
    places = {
        (400, "1", ""): _DETAIL_400,
        (240, "3", "P"): _SEGMENT_P,
        (240, "3", "Q"): _SEGMENT_Q,
    }.get((len(lines[0]), code, segment))
    if places is None or not all(
        _proved(lines, place) for place in places if place.name in {"cpf", "vencimento"}
    ):
        return None
    found = [one for place in places if (one := _found(lines, place)) is not None]
    contract = next(
        (one for name in _CONTRACTS for one in found if one.name == name and _names(one)), None
    )
    return [_as_contract(one) if one is contract else one for one in found]


def _cut(lines: Sequence[str], place: _Place) -> tuple[str, ...]:
    return tuple(line[place.start - 1 : place.start - 1 + place.size] for line in lines)


def _proved(lines: Sequence[str], place: _Place) -> bool:
    filled = [value for value in _cut(lines, place) if value.strip(" 0")]
    right = sum(bool(_PROOFS[place.kind](value)) for value in filled)
    return len(filled) >= SURE * len(lines) and right >= SURE * len(filled)


def _found(lines: Sequence[str], place: _Place) -> Found | None:
    values = _cut(lines, place)
    filled = [value for value in values if value.strip(" 0")]
    if not filled:
        return None
    match place.kind:
        case "centavos":
            guess = Guess(type="dinheiro", keys={"decimais": 2})
        case "ddmmaa" | "ddmmaaaa":
            keys = {"formato": place.kind}
            zeros = {value for value in values if value and not value.strip("0")}
            guess = Guess(
                type="data", keys={**keys, **({"vazios": sorted(zeros)} if zeros else {})}
            )
            if place.kind == "ddmmaa":
                guess = Guess(type="data", keys={**guess.keys, "seculo": 70})
        case "cpf" | "uf":
            guess = guess_type(values)
            guess = guess if guess.type == place.kind else Guess(type="texto")
        case _:
            guess = Guess(type="texto")
    name = place.name if guess.type == place.kind or place.kind not in {"cpf", "uf"} else ""
    return Found(
        start=place.start - 1,
        size=place.size,
        name=name or f"campo_{place.start}",
        guess=guess,
        values=values,
    )


def _names(one: Found) -> bool:
    """Whether the values are there in nearly all lines and nearly all differ."""
    filled = [value.strip() for value in one.values if value.strip(" 0")]
    return min(len(filled), len(set(filled))) >= _FILLED * len(one.values)


def _as_contract(one: Found) -> Found:
    doubt = f"'{one.name.replace('_', ' ')}' do CNAB, não se repete: seria o contrato?"
    return Found(
        start=one.start,
        size=one.size,
        name="contrato",
        guess=Guess(type="texto", doubt=doubt),
        values=one.values,
    )
