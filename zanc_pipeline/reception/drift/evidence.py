"""Field by field, before beside after, in Portuguese: what a clerk decides on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zanc_pipeline.reception.drift.content import content_of
from zanc_pipeline.reception.drift.diagnose import Diagnosis
from zanc_pipeline.reception.drift.doubts import ENOUGH, percent
from zanc_pipeline.reception.drift.fingerprint import Fingerprint
from zanc_pipeline.reception.layout import Layout

_PLACES = ("coluna", "posicao", "coluna_ddd", "posicao_ddd", "inicio", "tamanho", "caminho")
_NOTATIONS = ("formato", "seculo", "decimal", "decimais", "verdadeiro", "falso", "tabela", "vazios")
_FILE_KEYS = {
    "formato": "formato",
    "codificacao": "codificação",
    "separador": "separador",
    "aspas": "aspas",
    "cabecalho": "cabeçalho",
    "linhas_antes": "linhas antes",
    "linhas_depois": "linhas depois",
    "aba": "aba",
    "zip": "zip",
    "tamanho_da_linha": "tamanho da linha",
    "termina_com_quebra_de_linha": "quebra no fim",
    "ignorar": "colunas ignoradas",
}
_PASSES = {"cpf": "cpf", "cnpj": "cnpj", "telefone": "phone", "email": "email", "uf": "uf"}


def evidence(found: Diagnosis, own: Layout, before: Fingerprint) -> dict[str, Any]:
    """Plain values: what changes around the fields, each field before and now, the doubts."""
    old, new = content_of(own), found.content or content_of(found.layout)
    seen = found.trial.seen
    now = _fields(new)
    rows = []
    for name, one in _fields(old).items():
        row: dict[str, Any] = {"campo": name, "antes": _place(one)}
        row["agora"] = _place(now[name]) if name in now else "não veio"
        row["mudou"] = row["antes"] != row["agora"]
        if seen is not None and name in seen.fields and name in before.fields:
            row |= _figures(name, found, seen, before)
        rows.append(row)
    comparison = found.comparison
    return {
        "arquivo": [
            {"item": said, "antes": _text(old.get(key)), "agora": _text(new.get(key))}
            for key, said in _FILE_KEYS.items()
            if old.get(key) != new.get(key)
        ],
        "campos": rows,
        "contratos_em_comum": comparison.linked if comparison else 0,
        "contratos_que_voltaram": round(comparison.overlap, 4) if comparison else None,
        "linhas": found.trial.rows,
        "linhas_rejeitadas": found.trial.rejected,
        "duvidas": [f"{doubt.field}: {doubt.text}" for doubt in found.doubts],
    }


def summary(found: Diagnosis, own: Layout) -> str:
    """What changed, in one sentence."""
    old, new = content_of(own), found.content or content_of(found.layout)
    said = [
        f"{text}: {_text(old.get(key))} → {_text(new.get(key))}"
        for key, text in _FILE_KEYS.items()
        if old.get(key) != new.get(key)
    ]
    now = _fields(new)
    for name, one in _fields(old).items():
        if name not in now:
            said.append(f"'{name}' não veio")
        elif _place(one) != _place(now[name]):
            said.append(f"'{name}': {_place(one)} → {_place(now[name])}")
    return "; ".join(said[:12]) + ("; …" if len(said) > 12 else "")


def as_text(evidence: Mapping[str, Any]) -> str:
    """The evidence side by side, for a terminal or a page."""
    lines = [f"{one['item']}: {one['antes']} → {one['agora']}" for one in evidence["arquivo"]]
    header = ("", "campo", "antes", "agora", "iguais ao anterior", "válidos", "exemplo")
    table = [header, *(_row(row) for row in evidence["campos"])]
    widths = [max(len(row[at]) for row in table) for at in range(len(header))]
    lines += [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    back = evidence["contratos_que_voltaram"]
    if back is not None:
        lines.append(
            f"contratos do último arquivo que voltaram: {percent(back)} "
            f"({evidence['contratos_em_comum']} comparados linha a linha)"
        )
    if evidence.get("contratos_no_crm"):
        held, asked = evidence["contratos_no_crm"]
        lines.append(f"contratos da amostra que o CRM já tem: {held} de {asked}")
    lines.append(f"linhas: {evidence['linhas']}; rejeitadas: {evidence['linhas_rejeitadas']}")
    lines += [f"dúvida: {doubt}" for doubt in evidence["duvidas"]]
    return "\n".join(lines)


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    agreement = row.get("iguais")
    return (
        "*" if row["mudou"] else "",
        row["campo"],
        row["antes"],
        row["agora"],
        "" if agreement is None else percent(agreement),
        f"{percent(row['validos_antes'])} → {percent(row['validos'])}" if "validos" in row else "",
        row.get("exemplo", ""),
    )


def _figures(name: str, found: Diagnosis, seen: Fingerprint, before: Fingerprint) -> dict[str, Any]:
    one, other = seen.fields[name], before.fields[name]
    out: dict[str, Any] = {
        "validos": round(1 - one.invalid, 4),
        "validos_antes": round(1 - other.invalid, 4),
        "preenchidos": round(one.traits.filled, 4),
        "preenchidos_antes": round(other.traits.filled, 4),
        "exemplo": " | ".join(one.examples),
        "exemplo_antes": " | ".join(other.examples),
    }
    test = _PASSES.get(one.type)
    if test:
        out["prova"] = round(one.traits.passes.get(test, 0.0), 4)
        out["prova_antes"] = round(other.traits.passes.get(test, 0.0), 4)
    compared = found.comparison.fields.get(name) if found.comparison else None
    if compared is not None and compared.linked >= ENOUGH:
        out["iguais"] = round(compared.agreement, 4)
    return out


def _fields(content: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    fields: Sequence[Mapping[str, Any]] = content.get("campos") or content.get("registros", {}).get(
        "detalhe", {}
    ).get("campos", [])
    return {one["nome"]: one for one in fields}


def _place(field: Mapping[str, Any]) -> str:
    said = [f"{key} {field[key]}" for key in _PLACES if key in field]
    said = said or [f"coluna {field['nome']}"]
    said += [f"{key} {_text(field[key])}" for key in _NOTATIONS if key in field]
    return ", ".join(said)


def _text(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={inner}" for key, inner in value.items())
    return "tabulação" if value == "\t" else str(value)
