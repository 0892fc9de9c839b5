"""What the file and business tiers say: found, expected, what to do, in words for the clerk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from zanc_pipeline.reception.problems import FileRejected

RULES = {
    "volume": "o número de linhas",
    "sequencia": "a ordem dos arquivos",
    "conjunto": "os arquivos que faltam no conjunto",
    "remetente": "de quem é o arquivo",
    "carteira": "contratos que somem ou surgem",
    "valores": "valores que mudaram",
    "divida": "a dívida total",
    "vencimentos": "vencimentos que mudaram",
    "cpf": "contratos com outro CPF",
    "pagamentos": "as datas dos pagamentos",
    "rejeicao": "a parte das linhas que foi rejeitada",
    "aspecto": "campos que não parecem os do último arquivo",
}
"""Rules that a person may overrule for one delivery, as they are called in a report."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One reason against a file: what was found, what was expected, what to do.

    ``rule`` is the one that a person may overrule, or empty.
    """

    rule: str = ""
    found: str
    expected: str
    remedy: str

    @property
    def sentence(self) -> str:
        """The three as one sentence."""
        return f"{self.found} (esperado: {self.expected}): {self.remedy}"


class FileHeld(FileRejected):
    """The file waits for others; the message says for which, in Portuguese."""


def refuse(findings: Iterable[Finding], first: FileRejected | None = None) -> None:
    """Raise FileRejected with ``first``, what else refuses the file, and all ``findings``.

    Nothing is raised when there is nothing against it.
    """
    found = list(findings)
    said = [str(first)] if first is not None else []
    rules = first.rules if first is not None else ()
    if found or said:
        raise FileRejected(
            "; ".join([*said, *(finding.sentence for finding in found)]),
            rules=tuple(dict.fromkeys([*rules, *(one.rule for one in found if one.rule)])),
        )


def percent(share: float) -> str:
    """``0.125`` as ``12,5 %``."""
    return f"{round(share * 100, 1):g} %".replace(".", ",")


def thousands(number: int) -> str:
    """``12345`` as ``12.345``."""
    return f"{number:,}".replace(",", ".")


def reais(amount: Decimal) -> str:
    """``1234.5`` as ``1.234,50``."""
    return f"{amount:,.2f}".translate(str.maketrans(",.", ".,"))
