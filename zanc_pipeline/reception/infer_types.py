"""The type of a field from examples: the most demanding one that they satisfy, and how sure it is.

Candidates are tried with the very rules that will judge the files (``fields.convert``).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from typing import Any

import pyarrow as pa

from zanc_pipeline.reception.fields import convert, masked, moment_of_serial
from zanc_pipeline.reception.layout import CANONICAL, ColumnField
from zanc_pipeline.reception.layout_fields import EXCEL, PAYMENT

SAMPLE_ROWS = 2_000
SURE = 0.9
_FIRST = 50
_MARKED = 0.3
"""Part of the values that must write their decimals, for the mark to be one of decimals."""

_DATES = (
    "dd/mm/aaaa",
    "aaaa-mm-dd",
    "aaaammdd",
    "ddmmaaaa",
    "dd-mm-aaaa",
    "dd.mm.aaaa",
    "aaaa/mm/dd",
    "mm/dd/aaaa",
    "mm-dd-aaaa",
    "aaaa-dd-mm",
    "aaaa/dd/mm",
    "dd-mmm-aaaa",
    "dd/mmm/aaaa",
)
_SHORT_DATES = (
    "dd/mm/aa", "dd-mm-aa", "dd.mm.aa", "dd-mmm-aa", "dd/mmm/aa", "ddmmaa", "aammdd"
)  # fmt: skip
_FEWEST_SHORT = 5
"""Different values that six digits need to be a date: by chance one in thirty is."""

_TIMES = (
    "aaaa-mm-dd hh:mm:ss",
    "dd/mm/aaaa hh:mm:ss",
    "dd/mm/aaaa hh:mm",
    "dd-mm-aaaa hh:mm:ss",
    "aaaa-mm-dd hh:mm",
    "aaaa-mm-dd hh:mm:ss.fff",
    "aaaa-mm-dd hh:mm:ss.ffffff",
    "aaaa-mm-ddThh:mm",
    "aaaa-mm-ddThh:mm:ss",
    "aaaa-mm-ddThh:mm:ssZ",
    "aaaa-mm-ddThh:mm:ss-03:00",
    "aaaa-mm-ddThh:mm:ss.fff",
    "aaaa-mm-ddThh:mm:ss.fffZ",
    "aaaa-mm-ddThh:mm:ss.fff-03:00",
    "aaaammddhhmmss",
)
_SERIALS = range(10_000, 75_000)
"""Numbers of days that a date in a spreadsheet may be: from 1927 to 2105."""
_SMALL_NUMBER = re.compile(r"-?[1-9]\d{0,3}", re.ASCII)
_PHONE = re.compile(r"(telefone|fone|tel|celular|cel)[1-9]?")
_COUNT = re.compile(r"(qtde?|quantidade|dias|atraso|parcelas?|prazo|idade|meses|score)")
_CODE = re.compile(r"(cod|codigo|id|num|numero|nr|no|cep|agencia|conta|loja|filial|banco)")
"""How the titles of numbers begin that count something, or stand for something."""

_WORDS = {
    "cpf": "CPF com dígitos verificadores certos",
    "cnpj": "CNPJ com dígitos verificadores certos",
    "cpf_cnpj": "CPF ou CNPJ com dígitos verificadores certos",
    "telefone": "telefone com DDD",
    "telefones": "telefones com DDD",
    "dinheiro": "valor em reais",
    "decimal": "número com decimais",
    "inteiro": "número inteiro",
    "data": "data",
    "data_hora": "data e hora",
    "email": "e-mail",
    "uf": "sigla de estado",
    "sim_nao": "sim ou não",
    "texto": "texto",
}
_MASKED = frozenset({"cpf", "cnpj", "cpf_cnpj", "telefone", "telefones", "email"})
_JOINING = frozenset({"de", "do", "da", "dos", "das", "em", "no", "na"})
_SYNONYMS = {
    "cpf": ("cpf", "cpfcliente", "cpfdevedor", "documento", "cpfcgc", "nrcpf", "numcpf", "cpfcnpj",
            "doc", "numdocumento", "nrdocumento", "document", "taxid"),
    "nome": ("nome", "cliente", "nomecliente", "devedor", "nomedevedor", "razaosocial", "sacado",
             "name", "customer", "fullname", "customername"),
    "contrato": (
        "contrato", "nrcontrato", "numerocontrato", "numcontrato", "nocontrato", "ncontrato",
        "titulo", "instalacao", "idcontrato", "codcontrato", "codigocontrato", "idtitulo",
        "nrtitulo", "numtitulo", "numerotitulo", "contract", "contractid", "contractnumber",
    ),
    "produto": ("produto", "plano", "servico", "carteira", "modalidade", "product"),
    "valor": (
        "valor", "saldo", "valordivida", "vlr", "vlrdivida", "valoraberto", "saldodevedor",
        "vlrsaldo", "vlraberto", "valordevido", "vldivida", "valortotal", "vlrtotal", "amount",
        "balance", "amountdue", "saldoaberto", "valoratualizado",
    ),
    "vencimento": (
        "vencimento", "datavencimento", "dtvenc", "dtvencimento", "venc", "datavenc", "vencto",
        "dtvencto", "datavencto", "vencimentooriginal", "dtvcto", "vcto", "duedate",
    ),
    "nascimento": ("nascimento", "datanascimento", "dtnasc", "dtnascimento", "datanasc",
                   "birthdate", "dateofbirth"),
    "email": ("email", "enderecoeletronico", "correio"),
    "cidade": ("cidade", "municipio", "city"),
    "uf": ("uf", "estado", "siglauf", "state"),
    "telefone_1": ("telefone", "telefone1", "fone", "fone1", "celular", "celular1", "tel1", "tel"),
    "telefone_2": ("telefone2", "fone2", "celular2", "tel2"),
    "telefone_3": ("telefone3", "fone3", "celular3", "tel3"),
    "telefones": ("telefones", "fones", "contatos"),
    "obito": ("obito", "falecido"),
    "pago_em": (
        "pagoem", "datapagamento", "dtpagamento", "dtpagto", "datapagto", "datapgto", "dtpgto",
        "databaixa", "dtbaixa", "dataliquidacao", "dtliquidacao", "paidat", "paymentdate",
    ),
    "valor_pago": (
        "valorpago", "vlrpago", "vlpago", "valorpagamento", "vlrpagamento", "valorpagto",
        "valorrecebido", "vlrrecebido", "amountpaid", "paidamount",
    ),
    "quitado": ("quitado", "quitou", "liquidado", "quitacao"),
}  # fmt: skip

_OTHER_TYPES = {
    **{name: frozenset({kind}) for name, kind in PAYMENT.items()},
    "quitado": frozenset({"sim_nao"}),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Guess:
    """A field's type with its other keys, and the share of values that prove it."""

    type: str
    keys: dict[str, Any] = field(default_factory=dict)
    share: float = 1.0
    doubt: str = ""
    """What a person must decide, in Portuguese; empty when there is nothing."""

    @property
    def sureness(self) -> str:
        """``alta``, ``média`` or ``baixa``."""
        if self.doubt or self.share < SURE:
            return "baixa"
        proving = self.type in {"cpf", "cnpj", "cpf_cnpj", "uf", "email", "telefone", "telefones"}
        return "alta" if self.share >= 0.99 and (proving or self.type != "texto") else "média"


def guess_type(values: Sequence[str]) -> Guess:
    """The most demanding type that nearly all filled values satisfy."""
    texts = [value.strip() for value in values[:SAMPLE_ROWS]]
    filled = [text for text in texts if text.strip("0")]
    if not filled:
        return Guess(type="texto", share=0.0)
    for kind, keys in _candidates():
        head = filled[:_FIRST]
        if _share(kind, keys, head) < 0.5:
            continue
        share = _share(kind, keys, filled)
        if share < SURE:
            continue
        zeros = sorted({text for text in texts if text and not text.strip("0")})[:5]
        found = Guess(type=kind, keys=dict(keys), share=share)
        if zeros and kind not in {"inteiro", "dinheiro", "decimal", "texto", "sim_nao"}:
            found = replace(found, keys={**found.keys, "vazios": zeros})
        return _doubted(found, filled)
    return Guess(type="inteiro" if _counts(filled) else "texto")


def _counts(filled: Sequence[str]) -> bool:
    """Whether all are small numbers of several lengths, as days and scores are; codes have one."""
    numbers = [text for text in filled if _SMALL_NUMBER.fullmatch(text)]
    return len(numbers) == len(filled) and len({*map(len, numbers)}) > 1


def _candidates() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "cpf", {}
    yield "cnpj", {}
    yield "cpf_cnpj", {}
    for shape in _DATES:
        yield "data", {"formato": shape}
    for shape in _SHORT_DATES:
        yield "data", {"formato": shape, "seculo": 50}
    for shape in _TIMES:
        yield "data_hora", {"formato": shape}
    yield "telefone", {}
    for mark in ("/", ";", ",", "|"):
        yield "telefones", {"separador": mark}
    yield "email", {}
    yield "uf", {}
    yield "sim_nao", {}
    for mark in (",", "."):
        yield "dinheiro", {"decimal": mark}
        yield "dinheiro", {"decimal": mark, "sinal": "depois"}
    for mark in (",", "."):
        yield "decimal", {"decimal": mark}


@cache
def _field(kind: str, keys: str) -> ColumnField:
    return ColumnField.model_validate({"nome": "x", "tipo": kind, **json.loads(keys)})


def _share(kind: str, keys: dict[str, Any], values: Sequence[str]) -> float:
    spec = _field(kind, json.dumps(keys))
    if kind == "sim_nao" and len({value.upper() for value in values}) < 2:
        return 0.0
    if kind in {"dinheiro", "decimal"} and "decimal" in keys:
        marked = sum(keys["decimal"] in value for value in values)
        signed = sum(value.endswith(("-", "+")) for value in values)
        if marked < _MARKED * len(values) or ("sinal" in keys and not signed):
            return 0.0
    if keys.get("formato") in {"ddmmaa", "aammdd"} and len(set(values)) < _FEWEST_SHORT:
        return 0.0
    column = convert(spec, pa.array(values), between=keys.get("separador", "/"))
    return float(1 - column.invalid.mean())


def _doubted(found: Guess, filled: Sequence[str]) -> Guess:
    keys, doubt = found.keys, ""
    if (
        keys.get("formato") == "dd/mm/aaaa"
        and _share("data", {"formato": "mm/dd/aaaa"}, filled) == 1
    ):
        doubt = "os exemplos não dizem se é dia/mês ou mês/dia"
    if keys.get("formato") in {"aaaammdd", "ddmmaaaa"}:
        other = "ddmmaaaa" if keys["formato"] == "aaaammdd" else "aaaammdd"
        if _share("data", {"formato": other}, filled) == 1:
            doubt = "os exemplos não dizem a ordem de dia, mês e ano"
    if keys.get("formato") in {"ddmmaa", "aammdd"}:
        other = "aammdd" if keys["formato"] == "ddmmaa" else "ddmmaa"
        if _share("data", {"formato": other, "seculo": keys["seculo"]}, filled) >= found.share:
            doubt = "os exemplos não dizem a ordem de dia, mês e ano; o ano tem dois algarismos"
    if "seculo" in keys and not doubt:
        doubt = "o ano tem dois algarismos: confira o 'seculo'"
    if found.type == "sim_nao":
        words = sorted({value.upper() for value in filled})
        if set(words) <= {"0", "1"}:
            doubt = "0 e 1 podem ser um código: confira o que querem dizer"
    return replace(found, doubt=doubt)


def named_type(title: str, values: Sequence[str]) -> Guess:
    """The type of a column with a title, which may say what digits alone do not."""
    found = guess_type(values)
    plain = _plain(title)
    if not found.share and _PHONE.fullmatch(plain):
        return replace(found, type="telefone")
    if plain in _SYNONYMS["valor"] and found.type in {"texto", "decimal", "inteiro", "sim_nao"}:
        filled = [value.strip() for value in values if value.strip()]
        if filled and all(re.fullmatch(r"-?\d{1,15}", value, re.ASCII) for value in filled):
            doubt = "sem vírgula: se forem centavos, escreva também decimais: 2"
            return Guess(type="dinheiro", doubt=doubt)
    if found.type == "inteiro" and (
        _CODE.match(plain)
        or any(plain in _SYNONYMS[name] for name in CANONICAL if "texto" in CANONICAL[name][1])
    ):
        return Guess(type="texto")
    if found.type == "texto" and _COUNT.match(plain):
        filled = [value.strip() for value in values if value.strip(" 0")]
        if filled and all(_SMALL_NUMBER.fullmatch(value) for value in filled):
            return Guess(type="inteiro")
    if plain in _SYNONYMS["obito"] and found.type == "texto":
        words = {value.strip().upper() for value in values if value.strip()}
        if words and words <= {"S", "N", "SIM", "NÃO", "NAO"}:
            return Guess(type="sim_nao")
    dates = ("vencimento", "nascimento", "pago_em")
    dated = any(plain in _SYNONYMS[name] for name in dates) or plain.startswith(("data", "dt"))
    filled = [value.strip() for value in values if value.strip()]
    numbers = [int(value) for value in filled if re.fullmatch(r"\d{5}", value, re.ASCII)]
    if dated and len(numbers) == len(filled) > 0 and all(one in _SERIALS for one in numbers):
        first = moment_of_serial(filled[0])
        doubt = f"número do dia de uma planilha: {filled[0]} seria {first:%d/%m/%Y}"
        return Guess(type="data", keys={"formato": EXCEL}, doubt=doubt)
    if found.type == "data_hora" and any(plain in _SYNONYMS[name] for name in dates):
        return replace(found, type="data")
    return found


def with_century(guess: Guess, name: str, today: date) -> Guess:
    """A birth with a year of two digits is never after ``today``."""
    if name == "nascimento" and "seculo" in guess.keys:
        return replace(guess, keys={**guess.keys, "seculo": (today.year + 1) % 100})
    return guess


def field_name(title: str, kind: str, taken: set[str]) -> str:
    """Our name for a column: a canonical one when title and type agree, else the title itself."""
    plain = _plain(title)
    for name, synonyms in _SYNONYMS.items():
        if plain in synonyms and kind in _types(name) and name not in taken:
            return name
    if kind == "telefone":
        phones = (f"telefone_{place}" for place in (1, 2, 3))
        free = next((name for name in phones if name not in taken), "")
        if free:
            return free
    base = re.sub(r"[^a-z0-9]+", "_", _unaccented(title).lower()).strip("_")
    base = base if base[:1].isalpha() else f"campo_{base}".rstrip("_")
    if base in CANONICAL and (kind not in CANONICAL[base][1] or base in taken):
        base = f"{base}_original"
    name, number = base, 2
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    return name


def _types(name: str) -> frozenset[str]:
    """The types that a field of this name may have."""
    return CANONICAL[name][1] if name in CANONICAL else _OTHER_TYPES[name]


def described(name: str, guess: Guess, values: Sequence[str]) -> str:
    """The comment on a field: how filled, what it is taken for, how surely, an example, a doubt."""
    texts = [value.strip() for value in values]
    filled = [text for text in texts if text]
    if not filled:
        return "vazio em toda a amostra: não se sabe o que é"
    said = f"{100 * len(filled) / len(texts):.0f} % preenchido"
    if guess.share:
        said += f"; {100 * guess.share:.0f} % {_WORDS[guess.type]}"
    said += f"; confiança {guess.sureness}"
    spec = _field(guess.type if guess.type in _MASKED else "texto", "{}")
    said += f"; ex.: {masked(spec.model_copy(update={'name': name}), filled[0])}"
    return said + (f"; CONFIRA: {guess.doubt}" if guess.doubt else "")


def _plain(title: str) -> str:
    """A title as the synonyms are written: ``Nº do Contrato`` is ``nocontrato``."""
    bare = re.sub(r"\([^)]*\)|r\$", " ", _unaccented(title).lower()) or title
    words = re.findall(r"[a-z0-9]+", bare)
    return "".join(word for word in words if word not in _JOINING)


def _unaccented(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
