"""The files of "Móveis Estrela", a creditor who does not exist, made of the demo's debtors.

Where no demo was run, debtors of a fixed seed take their place. Each function returns the bytes of
a file; what is right in it is known from the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from zanc_pipeline.common.settings import Settings

SEED = 20261123
PEOPLE = 60
_TITLES = "CPF;CLIENTE;CONTRATO;VALOR;VENCIMENTO;TELEFONE"


@dataclass(frozen=True, kw_only=True, slots=True)
class Debt:
    """One contract of the exercise's creditor; ``cents`` is the open amount."""

    cpf: str
    name: str
    contract: str
    cents: int
    due: date
    phone: str

    @property
    def amount(self) -> str:
        """As a creditor writes it: ``1.234,56``."""
        return f"{self.cents // 100:,}".replace(",", ".") + f",{self.cents % 100:02d}"


def debts(settings: Settings) -> list[Debt]:
    """The creditor's portfolio: people of the demo's world when there is one."""
    from zanc_pipeline.world import law, truth

    random = law.random_stream(SEED, "course")
    if (truth.world_folder(settings) / "truth.sqlite3").is_file():
        people = _of_the_world(settings)
    else:
        people = _of_the_seed()
    day = date(2026, 11, 20)
    return [
        Debt(
            cpf=cpf,
            name=name,
            contract=f"ES{number:05d}",
            cents=cents,
            due=day - timedelta(days=late),
            phone=phone,
        )
        for number, ((cpf, name, phone), cents, late) in enumerate(
            zip(
                people,
                random.integers(5_000, 900_000, PEOPLE).tolist(),
                random.integers(5, 700, PEOPLE).tolist(),
                strict=True,
            ),
            start=1,
        )
    ]


def _of_the_world(settings: Settings) -> list[tuple[str, str, str]]:
    from zanc_pipeline.world import truth

    with truth.reading(truth.truth_path(settings)) as connection:
        found = connection.execute(
            "SELECT cpf, name, min(number) AS phone FROM person JOIN phone USING (cpf)"
            " GROUP BY cpf, name ORDER BY cpf LIMIT ?",
            (PEOPLE,),
        ).fetchall()
    return [(row["cpf"], row["name"], row["phone"]) for row in found]


def _of_the_seed() -> list[tuple[str, str, str]]:
    import numpy as np

    from zanc_pipeline.world import law
    from zanc_pipeline.world.people import make_people, make_phones

    random = law.random_stream(SEED, "people")
    people = make_people(random, PEOPLE, date(2026, 11, 20))
    phones = make_phones(random, people.city, np.zeros(PEOPLE, dtype=np.int64))
    first = [phones.number[place] for place in np.flatnonzero(phones.slot == 0).tolist()]
    return list(zip(people.cpf, people.name, first, strict=True))


def opened(portfolio: Sequence[Debt]) -> bytes:
    """Lesson 1: two lines before the titles, accents in Latin-1."""
    lines = ["MÓVEIS ESTRELA LTDA - CARTEIRA EM ATRASO", "Emissão: 20/11/2026", ""]
    lines.append(_TITLES)
    lines += [_delimited(debt) for debt in portfolio]
    return _bytes(lines)


def facts(portfolio: Sequence[Debt]) -> dict[str, str | int]:
    """Lesson 1: what is asked of the file, and the right answers."""
    return {
        "linhas": len(portfolio),
        "separador": ";",
        "linhas_antes_dos_titulos": 2,
        "contrato_da_maior_divida": max(portfolio, key=lambda debt: debt.cents).contract,
    }


def answered(portfolio: Sequence[Debt]) -> bytes:
    """Lesson 1: the right answers as the student writes them."""
    return "".join(
        f'{key}: "{right}"\n' if isinstance(right, str) else f"{key}: {right}\n"
        for key, right in facts(portfolio).items()
    ).encode()


def corrected(portfolio: Sequence[Debt]) -> bytes:
    """Lesson 2: the file as it should be."""
    return _bytes([_TITLES, *map(_delimited, portfolio)])


def with_mistakes(portfolio: Sequence[Debt]) -> bytes:
    """Lesson 2: four rows with a mistake each, of which the creditor's e-mail tells the truth."""
    lines = [_TITLES]
    lines += [_delimited(debt) for debt in portfolio]
    for place, spoil in MISTAKES.items():
        cells = lines[place + 1].split(";")
        cells[spoil.column] = spoil.write(portfolio[place])
        lines[place + 1] = ";".join(cells)
    return _bytes(lines)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistake:
    """A wrong cell: its ``column`` (from 0), and what stands there instead of the truth."""

    column: int
    kind: str

    def write(self, debt: Debt) -> str:
        """The wrong text."""
        match self.kind:
            case "cpf":
                return debt.cpf[:-1] + str((int(debt.cpf[-1]) + 1) % 10)
            case "due":
                return f"31/02/{debt.due:%Y}"
            case "amount":
                return "A COMBINAR"
        return ""


MISTAKES = {
    7: Mistake(column=0, kind="cpf"),
    19: Mistake(column=4, kind="due"),
    33: Mistake(column=3, kind="amount"),
    48: Mistake(column=2, kind="contract"),
}
"""By the place of the row (from 0)."""


def email(portfolio: Sequence[Debt]) -> bytes:
    """Lesson 2: what the creditor answered when asked for the right values."""
    cpf, due, amount, contract = (portfolio[place] for place in MISTAKES)
    return (
        "De: Móveis Estrela\n"
        "Assunto: Re: quatro linhas com erro\n\n"
        "Bom dia! Os dados certos são estes:\n\n"
        f"- contrato {cpf.contract}: o CPF é {cpf.cpf}\n"
        f"- contrato {due.contract}: venceu em {due.due:%d/%m/%Y}\n"
        f"- contrato {amount.contract}: o valor é {amount.amount}\n"
        f"- {contract.name}, CPF {contract.cpf}: o contrato é {contract.contract}\n"
    ).encode()


def fixed(portfolio: Sequence[Debt]) -> bytes:
    """Lesson 3: no titles; the purchase and the debt each have an amount and a date."""
    return _bytes(
        [
            f"{debt.cpf}{debt.name[:30]:<30}{debt.contract:<10}"
            f"{debt.cents * 3 // 4:010d}{debt.cents:010d}"
            f"{debt.due - timedelta(days=90):%d%m%Y}{debt.due:%d%m%Y}{debt.phone:<11}"
            for debt in portfolio
        ]
    )


def untidy(portfolio: Sequence[Debt]) -> bytes:
    """Lesson 4: the amount with words around it, subtotals between the rows."""
    lines = [_TITLES]
    for number, debt in enumerate(portfolio, start=1):
        cells = _delimited(debt).split(";")
        cells[3] = f"BRL {cells[3]} (aberto)"
        lines.append(";".join(cells))
        if not number % 20:
            lines.append(f";SUBTOTAL {number // 20};;BRL 0,00 (aberto);;")
    return _bytes(lines)


def _delimited(debt: Debt) -> str:
    cells = (debt.cpf, debt.name, debt.contract, debt.amount, f"{debt.due:%d/%m/%Y}", debt.phone)
    return ";".join(cells)


def _bytes(lines: list[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")
