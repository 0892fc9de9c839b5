"""Files of one page, written by hand, for the rules of reception."""

from __future__ import annotations

from collections.abc import Callable

from zanc_pipeline.reception.validate import Collected

CPFS = ("52998224725", "11144477735", "39053344705", "16899535009")
Judge = Callable[..., Collected]

AURORA_HEADER = (
    "CPF;NOME;CONTRATO;PRODUTO;VALOR;VENCIMENTO;NASCIMENTO;EMAIL;CIDADE;UF;"
    "DDD1;FONE1;DDD2;FONE2;DDD3;FONE3;OBITO"
)


def aurora_row(contract: int = 1, **changes: str) -> str:
    """A good row of banco_aurora, with some columns changed."""
    cells = {
        "CPF": CPFS[contract % len(CPFS)],
        "NOME": "José da Conceição",
        "CONTRATO": f"C{contract:05}",
        "PRODUTO": "Cartão",
        "VALOR": "1.234,56",
        "VENCIMENTO": "31/01/2026",
        "NASCIMENTO": "29/02/1980",
        "EMAIL": "Jose@exemplo.com.br",
        "CIDADE": "São Paulo",
        "UF": "SP",
        "DDD1": "11",
        "FONE1": "987654321",
        "DDD2": "11",
        "FONE2": "33334444",
        "DDD3": "",
        "FONE3": "",
        "OBITO": "N",
    }
    cells |= changes
    return ";".join(cells[title] for title in AURORA_HEADER.split(";"))


def aurora(*rows: str, header: str = AURORA_HEADER, encoding: str = "latin-1") -> bytes:
    """A file of banco_aurora."""
    return "".join(f"{line}\r\n" for line in (header, *rows)).encode(encoding)


def energia_row(contract: int = 1, *, cpf: str = CPFS[0], amount: str = "000000123456") -> bytes:
    """A good line of energia_sul, 220 bytes."""
    line = (
        cpf
        + "João Peçanha".ljust(40)
        + f"E{contract:05}".ljust(15)
        + "Residencial".ljust(15)
        + amount
        + "20260131"
        + "00000000"
        + "11987654321".ljust(12)
        + "".ljust(24)
        + "joao@exemplo.com".ljust(40)
        + "Itajaí".ljust(25)
        + "SC"
        + "0"
        + "".ljust(7)
    )
    return line.encode("latin-1")


def loja(
    cents: tuple[int, ...] = (100, 250), *, count: int | None = None, total: int | None = None
) -> list[bytes]:
    """The lines of a remittance of loja_horizonte; ``count`` and ``total`` may be wrong."""
    lines = ["0HORIZONTE 23112026000007".ljust(200)]
    for place, value in enumerate(cents):
        lines.append(
            (
                "1"
                + CPFS[place % len(CPFS)]
                + "MARIA JOSE".ljust(40)
                + f"L{place:05}".ljust(15)
                + "MOVEIS".ljust(15)
                + f"{value:012}"
                + "31012026"
                + "11987654321".ljust(33)
                + "SANTOS".ljust(25)
                + "SPN"
            ).ljust(200)
        )
    declared = len(cents) if count is None else count
    summed = sum(cents) if total is None else total
    lines.append(f"9{declared:08}{summed:016}".ljust(200))
    return [line.encode("ascii") for line in lines]
