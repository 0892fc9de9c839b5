"""Invented debtors: people, their phones and their contracts, as columns of numpy arrays.

Nobody here exists. Names are common ones drawn at random, mobiles are ``9 0xxx-xxxx`` (no Brazilian
operator has numbers that begin with 90) and landlines ``20xx-xxxx``; both pass as valid phones.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from zanc_pipeline.world.law import QUALITY_SPREAD, Bools, Floats, Ints, Random

MOST_CONTRACTS = 4
MOST_PHONES = 3


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_NAMES = _words(
    "Adriana Aline Amanda Ana Antônio Beatriz Bruna Bruno Camila Carlos Carolina Cláudia Cristiane "
    "Daniel Débora Diego Edson Eduardo Elaine Fábio Felipe Fernanda Fernando Flávia Francisco "
    "Gabriel Gustavo Helena Henrique Isabel João Joana José Juliana Júlio Larissa Leandro Letícia "
    "Lucas Luciana Luís Luiza Marcelo Márcia Marcos Maria Mariana Mário Mônica Natália Otávio "
    "Patrícia Paula Paulo Pedro Rafael Raquel Renata Ricardo Rita Roberto Rodrigo Rosa Sandra "
    "Sérgio Simone Sônia Tatiane Teresa Thiago Vanessa Vera Vinícius Vitória Wagner"
)
SURNAMES = _words(
    "Almeida Alves Andrade Araújo Assunção Barbosa Barros Batista Borges Brandão Cardoso Carvalho "
    "Castro Conceição Correia Costa Cruz Cunha Dias Duarte Farias Fernandes Ferreira Fonseca "
    "Freitas Gomes Gonçalves Guimarães Lima Lopes Machado Magalhães Marques Martins Medeiros "
    "Melo Mendes Miranda Monteiro Moraes Moreira Moura Nascimento Neves Nogueira Nunes Oliveira "
    "Pereira Pinto Pires Queiroz Ramos Reis Ribeiro Rocha Rodrigues Sampaio Santana Santos Silva "
    "Silveira Simões Soares Souza Tavares Teixeira Vasconcelos Vieira Xavier"
)

CITIES: tuple[tuple[str, str, str, float], ...] = (
    ("11", "São Paulo", "SP", 22),
    ("19", "Campinas", "SP", 5),
    ("16", "Ribeirão Preto", "SP", 3),
    ("13", "Santos", "SP", 3),
    ("21", "Rio de Janeiro", "RJ", 11),
    ("22", "Campos dos Goytacazes", "RJ", 2),
    ("31", "Belo Horizonte", "MG", 7),
    ("34", "Uberlândia", "MG", 2),
    ("27", "Vitória", "ES", 2),
    ("41", "Curitiba", "PR", 5),
    ("43", "Londrina", "PR", 2),
    ("48", "Florianópolis", "SC", 2),
    ("47", "Joinville", "SC", 2),
    ("51", "Porto Alegre", "RS", 6),
    ("54", "Caxias do Sul", "RS", 2),
    ("61", "Brasília", "DF", 4),
    ("62", "Goiânia", "GO", 3),
    ("65", "Cuiabá", "MT", 1),
    ("67", "Campo Grande", "MS", 1),
    ("71", "Salvador", "BA", 5),
    ("81", "Recife", "PE", 4),
    ("85", "Fortaleza", "CE", 4),
    ("98", "São Luís", "MA", 1),
    ("91", "Belém", "PA", 2),
    ("92", "Manaus", "AM", 2),
)


@dataclass(frozen=True, kw_only=True)
class Convenio:
    """How a creditor's portfolio looks.

    ``products`` maps each to its ease of payment (log-odds), which adds to the creditor's ``ease``;
    a contract is worth ``median`` reais, its logarithm spreads by ``spread``.
    """

    name: str
    share: float
    prefix: str
    products: dict[str, float]
    median: float
    spread: float
    ease: float


CONVENIOS: tuple[Convenio, ...] = (
    Convenio(
        name="banco_aurora",
        share=0.30,
        prefix="AUR",
        products={
            "CARTÃO": 0.2,
            "CRÉDITO PESSOAL": 0.0,
            "CHEQUE ESPECIAL": -0.25,
            "CDC; VEÍCULOS": 0.35,
        },
        median=1900.0,
        spread=0.90,
        ease=0.10,
    ),
    Convenio(
        name="energia_sul",
        share=0.25,
        prefix="70",
        products={"RESIDENCIAL": 0.1, "COMERCIAL": -0.2, "RURAL": 0.0},
        median=380.0,
        spread=0.70,
        ease=0.35,
    ),
    Convenio(
        name="loja_horizonte",
        share=0.25,
        prefix="LH",
        products={"CREDIARIO": 0.1, "CARTAO LOJA": 0.0, "CARNE": -0.2},
        median=620.0,
        spread=0.75,
        ease=-0.20,
    ),
    Convenio(
        name="telecom_brisa",
        share=0.20,
        prefix="BR-",
        products={"Fibra 300": 0.15, "Móvel Controle": -0.25, "Móvel Pós": 0.0, "Combo Casa": 0.3},
        median=260.0,
        spread=0.60,
        ease=0.0,
    ),
)
"""The four creditors of the simulated world; a convênio's code is its place here."""

_CONTRACTS_SHARE = (0.75, 0.18, 0.05, 0.02)
_PHONES_SHARE = (0.35, 0.40, 0.25)
_MOBILE, _DEAD, _OTHERS_PHONE, _DECEASED = 0.72, 0.09, 0.12, 0.012


@dataclass(frozen=True, kw_only=True)
class People:
    """One row a person."""

    cpf: list[str]
    name: list[str]
    birth: list[date]
    email: list[str | None]
    city: Ints
    deceased: Bools
    deceased_known: Bools

    def __len__(self) -> int:
        return len(self.cpf)


@dataclass(frozen=True, kw_only=True)
class Phones:
    """One row a phone, ordered by person; ``slot`` is 0 to 2 within the person."""

    number: list[str]
    person: Ints
    slot: Ints
    mobile: Bools
    dead: Bools
    owner: Bools
    quality: Floats
    first_seen: Ints
    """Days before the day of generation, negative: -30 is thirty days ago."""

    def __len__(self) -> int:
        return len(self.number)


@dataclass(frozen=True, kw_only=True)
class Contracts:
    """One row a contract, ordered by person and due date; days count from generation."""

    number: list[str]
    person: Ints
    convenio: Ints
    product: Ints
    cents: Ints
    due: Ints
    phones: Ints
    """Bits of the phone slots that this creditor knows."""

    def __len__(self) -> int:
        return len(self.number)


def make_people(
    random: Random, count: int, day: date, *, taken: frozenset[str] = frozenset()
) -> People:
    """``count`` people with valid CPFs, none of them in ``taken``."""
    first = random.integers(0, len(FIRST_NAMES), count)
    last = random.integers(0, len(SURNAMES), (count, 2))
    names = [
        f"{FIRST_NAMES[a]} {SURNAMES[b]}" + (f" {SURNAMES[c]}" if b != c else "")
        for a, (b, c) in zip(first.tolist(), last.tolist(), strict=True)
    ]
    ages = np.clip(random.gamma(6.0, 4.2, count) + 18, 18.1, 92)
    births = [day - timedelta(days=int(age * 365.25)) for age in ages.tolist()]
    has_email = random.random(count) < 0.6
    emails = [
        f"{plain(FIRST_NAMES[a]).lower()}.{plain(SURNAMES[b]).lower()}{n % 1000}@example.com"
        if has
        else None
        for n, (a, (b, _), has) in enumerate(
            zip(first.tolist(), last.tolist(), has_email.tolist(), strict=True)
        )
    ]
    weights = np.array([weight for *_, weight in CITIES])
    deceased = random.random(count) < _DECEASED
    return People(
        cpf=_cpfs(random, count, taken),
        name=names,
        birth=births,
        email=emails,
        city=random.choice(len(CITIES), count, p=weights / weights.sum()),
        deceased=deceased,
        deceased_known=deceased & (random.random(count) < 0.7),
    )


def make_phones(
    random: Random, city: Ints, newest: Ints, *, taken: frozenset[str] = frozenset()
) -> Phones:
    """One to three phones for each person.

    ``city`` is each person's; no phone was first seen after ``newest`` (a day for each person).
    """
    count = random.choice(MOST_PHONES, len(city), p=_PHONES_SHARE) + 1
    person = np.repeat(np.arange(len(city)), count)
    total = len(person)
    slot = np.arange(total) - np.repeat(np.cumsum(count) - count, count)
    mobile = random.random(total) < _MOBILE
    recent = random.random(total) < 0.4
    days_ago = np.where(recent, random.integers(1, 115, total), random.integers(121, 1500, total))
    return Phones(
        number=_numbers(random, city[person], mobile, taken),
        person=person,
        slot=slot,
        mobile=mobile,
        dead=random.random(total) < _DEAD,
        owner=random.random(total) >= _OTHERS_PHONE,
        quality=QUALITY_SPREAD * random.standard_normal(total),
        first_seen=np.minimum(-days_ago, newest[person]),
    )


def make_contracts(
    random: Random,
    people: int,
    phones: Phones,
    *,
    first_number: list[int],
    due: tuple[float, float, int, int] = (120.0, 1.0, 3, 1800),
) -> Contracts:
    """One to four contracts for each person, each with another creditor.

    ``first_number`` is the next contract number of each convênio. ``due`` says how long ago the
    oldest open instalment fell due: median and log spread, least and most days.
    """
    count = random.choice(MOST_CONTRACTS, people, p=_CONTRACTS_SHARE) + 1
    shares = np.log([convenio.share for convenio in CONVENIOS])
    # Gumbel keys: the greatest k of a row are a draw without replacement by the shares.
    keys = shares + random.gumbel(size=(people, len(CONVENIOS)))
    order = np.argsort(-keys, axis=1)
    person = np.repeat(np.arange(people), count)
    total = len(person)
    place = np.arange(total) - np.repeat(np.cumsum(count) - count, count)
    convenio = order[person, place]
    median, spread, least, most = due
    delay = np.clip(median * np.exp(spread * random.standard_normal(total)), least, most)
    days = -delay.astype(np.int64)
    known = np.zeros((people, MOST_PHONES), dtype=bool)
    known[phones.person, phones.slot] = True
    bits = (random.random((total, MOST_PHONES)) < 0.7) | (np.repeat(count, count) == 1)[:, None]
    bits[:, 0] |= ~(bits & known[person]).any(axis=1)
    by_due = np.lexsort((days, person))
    contracts = Contracts(
        number=[],
        person=person[by_due],
        convenio=convenio[by_due],
        product=_products(random, convenio[by_due]),
        cents=_cents(random, convenio[by_due]),
        due=days[by_due],
        phones=((bits & known[person]) @ np.array([1, 2, 4]))[by_due],
    )
    contracts.number.extend(_contract_numbers(contracts.convenio, first_number))
    return contracts


def _products(random: Random, convenio: Ints) -> Ints:
    sizes = np.array([len(known.products) for known in CONVENIOS])
    drawn: Ints = (random.random(len(convenio)) * sizes[convenio]).astype(np.int64)
    return drawn


def _cents(random: Random, convenio: Ints) -> Ints:
    median = np.array([known.median for known in CONVENIOS])[convenio]
    spread = np.array([known.spread for known in CONVENIOS])[convenio]
    reais = median * np.exp(spread * random.standard_normal(len(convenio)))
    cents: Ints = np.round(np.clip(reais, 25.0, 250_000.0) * 100).astype(np.int64)
    return cents


def _contract_numbers(convenio: Ints, first_number: list[int]) -> list[str]:
    following = list(first_number)
    numbers = []
    for code in convenio.tolist():
        numbers.append(f"{CONVENIOS[code].prefix}{following[code]:09d}")
        following[code] += 1
    return numbers


def _cpfs(random: Random, count: int, taken: frozenset[str]) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        base = random.integers(1, 999_999_999, count - len(found) + 8)
        for cpf in cpfs_of(base):
            if cpf not in taken and len(set(cpf)) > 1 and len(found) < count:
                found.setdefault(cpf)
    return list(found)


def cpfs_of(base: Ints) -> list[str]:
    """The CPFs whose first nine digits are the numbers of ``base``."""
    digits = (base[:, None] // 10 ** np.arange(8, -1, -1)) % 10
    for _ in range(2):
        weights = np.arange(digits.shape[1] + 1, 1, -1)
        check = (digits @ weights * 10 % 11) % 10
        digits = np.column_stack([digits, check])
    values = digits @ 10 ** np.arange(10, -1, -1)
    return [f"{value:011d}" for value in values.tolist()]


def _numbers(random: Random, city: Ints, mobile: Bools, taken: frozenset[str]) -> list[str]:
    found: dict[str, None] = {}
    for place, is_mobile in zip(city.tolist(), mobile.tolist(), strict=True):
        while True:
            ddd = CITIES[place][0]
            if is_mobile:
                number = f"{ddd}90{int(random.integers(0, 10**7)):07d}"
            else:
                number = f"{ddd}20{int(random.integers(0, 10**6)):06d}"
            if number not in found and number not in taken:
                found[number] = None
                break
    return list(found)


def plain(text: str) -> str:
    """``text`` without accents, in ASCII."""
    decomposed = unicodedata.normalize("NFKD", text)
    return decomposed.encode("ascii", "ignore").decode("ascii")


def product_of(convenio: int, product: int) -> str:
    """The text of a product by the codes of a creditor and its product."""
    return list(CONVENIOS[convenio].products)[product]


def ease_of(convenio: Ints, product: Ints) -> Floats:
    """How easily each contract is paid, by creditor and product, for the law."""
    most = max(len(known.products) for known in CONVENIOS)
    table = np.zeros((len(CONVENIOS), most))
    for code, known in enumerate(CONVENIOS):
        table[code, : len(known.products)] = known.ease + np.array(list(known.products.values()))
    ease: Floats = table[convenio, product]
    return ease


def reais(cents: NDArray[np.int64]) -> Floats:
    """Cents as reais, for the law."""
    return np.asarray(cents / 100.0)
