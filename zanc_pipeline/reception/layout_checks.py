"""What contradicts itself in a layout although every key of it is right, in Portuguese."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from zanc_pipeline.reception.layout_fields import PAYMENT, FieldSpec, PositionField
from zanc_pipeline.reception.layout_models import (
    AnyLayout,
    DelimitedLayout,
    DelimitedRecordsLayout,
    FixedLayout,
    Layout,
    RecordsLayout,
    SetLayout,
)
from zanc_pipeline.reception.layout_records import Condition, RecordMark


def contradictions(layout: AnyLayout) -> Iterator[str]:
    """Every contradiction, with its key; names, positions, codes and links of a set."""
    if isinstance(layout, SetLayout):
        yield from _of_members(layout)
        return
    yield from _of_content(layout)
    groups: list[tuple[str, Sequence[FieldSpec]]] = [("campos", layout.fields)]
    if isinstance(layout, RecordsLayout | DelimitedRecordsLayout):
        groups = [
            (f"registros.{key}.campos", record.fields) for key, record in layout.records.groups()
        ]
        yield from _of_records(layout)
        groups.append(("registros", layout.fields))
    for where, fields in groups:
        yield from _of_names(where, fields)
        if isinstance(layout, FixedLayout | RecordsLayout) and where != "registros":
            yield from _overlaps(where, fields, layout.record_size)
    if isinstance(layout, FixedLayout | RecordsLayout) and layout.newlines:
        # The bytes of a packed decimal may look like a line's end.
        packed = [
            field.name
            for _, fields in groups
            for field in fields
            if isinstance(field, PositionField) and field.packed
        ]
        if packed:
            yield (
                f"o campo '{packed[0]}' é COMP-3, que não cabe em linhas de texto: escreva "
                "'quebra_de_linha: não' e peça ao credor os registros colados um no outro"
            )
    if isinstance(layout, DelimitedLayout | DelimitedRecordsLayout):
        mark = layout.delimiter
        if mark.isascii() and mark.isalnum():
            yield f"separador: '{mark}' tem letras ou números; a tabulação se escreve \"\\t\""
    if isinstance(layout, DelimitedLayout):
        without = [field.name for field in layout.fields if field.position is None]
        if not layout.header and without:
            yield f"campos: sem cabeçalho, diga a 'posicao' de cada campo (falta em '{without[0]}')"
        if layout.header and len(without) < len(layout.fields):
            yield "campos: 'posicao' só vale com 'cabecalho: não'; com cabeçalho, use 'coluna'"


def _of_content(layout: Layout) -> Iterator[str]:
    """What a file that is no portfolio must bring, and always filled."""
    if layout.content == "carteira":
        return
    filled = {field.name: field.must_be_filled for field in layout.fields}
    if layout.content == "telefones":
        if not filled.keys() & {"cpf", "contrato"}:
            yield "campos: um arquivo de telefones precisa do 'contrato' ou do 'cpf' de cada um"
        needed = ["telefones" if "telefones" in filled else "telefone_1"]
        needed += [name for name in ("contrato",) if name in filled]
    else:
        needed = ["contrato", *PAYMENT]
        for field in layout.fields:
            if field.name in PAYMENT and field.type != PAYMENT[field.name]:
                yield f"campos: '{field.name}' precisa ter tipo: {PAYMENT[field.name]}"
    for name in needed:
        if name not in filled:
            yield f"campos: falta '{name}', sem o qual não há {layout.content}"
        elif not filled[name]:
            yield f"campos: escreva 'obrigatorio: sim' em '{name}': é um dos que não podem faltar"


def _of_names(where: str, fields: Sequence[FieldSpec]) -> Iterator[str]:
    names = [field.name for field in fields]
    for name in names:
        if names.count(name) > 1:
            yield f"{where}: o nome '{name}' aparece mais de uma vez: mude ou apague um deles"
    if "telefones" in names and any(name.startswith("telefone_") for name in names):
        yield f"{where}: use 'telefones' ou 'telefone_1', 'telefone_2', …; não os dois"


def _of_records(layout: RecordsLayout | DelimitedRecordsLayout) -> Iterator[str]:
    records = layout.records
    marks: list[RecordMark] = [record for _, record in records.groups()]
    marks += records.ignored
    seen: set[tuple[str, tuple[Condition, ...]]] = set()
    for mark in marks:
        if (mark.code, mark.when) in seen:
            yield (
                f"registros: o código {mark.code} anuncia dois tipos de registro: precisam ser "
                "diferentes entre si, ou ter um 'quando' que os separe"
            )
        seen.add((mark.code, mark.when))
    if isinstance(layout, RecordsLayout):
        yield from _of_marks(layout, marks)
    if sum(child.rows for child in records.children) > 1:
        yield "registros.filhos: só um tipo de filho pode ter 'linhas: sim'"
    summable = {
        field.name
        for record in (records.detail, *records.children)
        for field in record.fields
        if field.type in {"dinheiro", "decimal", "inteiro"}
    }
    for key, record in records.groups():
        for field in record.fields:
            if field.check == "soma" and field.summed not in summable:
                yield f"registros.{key}.campos: 'de: {field.summed}' não é um dinheiro do detalhe"


def _of_marks(layout: RecordsLayout, marks: Sequence[RecordMark]) -> Iterator[str]:
    for mark in marks:
        places = [(layout.records.start, mark.code)]
        places += [(condition.place, condition.equals) for condition in mark.when]
        for start, text in places:
            if start + len(text) - 1 > layout.record_size:
                yield (
                    f"registros: '{text}' no byte {start} não cabe na linha de "
                    f"{layout.record_size} bytes"
                )
            if not text.isascii():
                yield f"registros: o código '{text}' precisa ser de letras sem acento e algarismos"


def _of_members(layout: SetLayout) -> Iterator[str]:
    names = [member.name for member in layout.members]
    mains = [member for member in layout.members if member.main]
    if len(mains) != 1:
        yield f"membros: exatamente um é 'principal: sim' (há {len(mains)})"
        return
    by_name = {member.name: member for member in layout.members}
    for place, member in enumerate(layout.members, start=1):
        where = f"membros[{place}º] ({member.name})"
        if names.count(member.name) > 1:
            yield f"{where}: o nome aparece mais de uma vez"
        for problem in contradictions(member.layout):
            yield f"{where}: layout: {problem}"
        if member.layout.content != "carteira":
            yield f"{where}: layout: 'conteudo' só vale em um arquivo fora de conjunto"
        if member.main:
            continue
        if not member.key:
            yield f"{where}: falta a 'chave' que o liga a outro arquivo"
        other = by_name.get(member.joins) if member.joins else mains[0]
        if other is None or other is member or other.many:
            yield (
                f"{where}: liga_a: '{member.joins}' não serve: use um outro membro sem 'varios' "
                f"({', '.join(name for name in names if name != member.name)})"
            )
            continue
        for name in member.key:
            for side in (member, other):
                if name not in {field.name for field in side.layout.fields}:
                    yield f"{where}: chave: o campo '{name}' não está em '{side.name}'"
    yield from _of_shared_names(layout)
    reached = {mains[0].name}
    for _ in names:
        reached |= {
            member.name
            for member in layout.members
            if (member.joins or mains[0].name) in reached and member.key
        }
    for name in names:
        if name not in reached:
            yield f"membros: '{name}' não chega ao principal pelas suas ligações ('liga_a')"


def _of_shared_names(layout: SetLayout) -> Iterator[str]:
    """A field that two members bring would lose one of its values."""
    owner: dict[str, str] = {}
    for member in layout.members:
        for field in member.layout.fields:
            if field.name in member.key and not member.main:
                continue
            spread = range(1, member.at_most + 1) if member.many else ()
            for name in [f"{field.name}_{place}" for place in spread] or [field.name]:
                if name in owner:
                    yield (
                        f"membros: o campo '{name}' está em '{owner[name]}' e em '{member.name}': "
                        "mude o nome em um deles, ou ponha-o na 'chave'"
                    )
                owner.setdefault(name, member.name)


def _overlaps(where: str, fields: Sequence[FieldSpec], size: int) -> Iterator[str]:
    placed = sorted(
        (start, length, name)
        for field in fields
        if isinstance(field, PositionField)
        for start, length, name in (
            (field.start, field.size, field.name),
            *(
                [(field.ddd_start, field.ddd_size, f"{field.name} (DDD)")]
                if field.ddd_start is not None
                else []
            ),
        )
    )
    end, last = 0, ""
    for start, length, name in placed:
        if start <= end:
            yield (
                f"{where}: '{name}' começa no byte {start}, dentro de '{last}', "
                f"que vai até o byte {end}: confira 'inicio' e 'tamanho' dos dois"
            )
        end, last = start + length - 1, name
        if end > size:
            yield (
                f"{where}: '{name}' termina no byte {end}, mas a linha tem {size} bytes: confira "
                "'inicio', 'tamanho' e 'tamanho_da_linha'"
            )
