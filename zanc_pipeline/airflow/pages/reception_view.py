"""What the reception's pages say, from what the ledger holds. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from zanc_pipeline.airflow.pages import places
from zanc_pipeline.common import web
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.masking import mask_text
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception.findings import RULES
from zanc_pipeline.reception.inbox import Case, Choice, Inbox, Standing
from zanc_pipeline.reception.ledger import STATUS_WORDS, Delivery

KIND = {
    "loaded": "ok",
    "accepted": "ok",
    "joined": "ok",
    "quarantined": "bad",
    "held": "wait",
    "received": "wait",
    "duplicate": "none",
}
"""How a status looks: the classes of the stylesheet."""

OPEN = ("quarantined", "held")
_OPEN_WORD = "abertas"
_CORRECTABLE = {"accepted", "loaded", "quarantined"}
_SAMPLE_CHARS = 90


@dataclass(frozen=True, kw_only=True)
class Chip:
    """A way to look at fewer deliveries."""

    text: str
    address: str
    count: str = ""
    chosen: bool = False


def today(now: datetime) -> date:
    """The day where the files are received."""
    return now.astimezone(LOCAL).date()


def statuses(word: str) -> tuple[str, ...] | None:
    """The statuses that ``situacao`` in an address means; None for all."""
    if word == _OPEN_WORD:
        return OPEN
    return (word,) if word in STATUS_WORDS else None


def day(
    settings: Settings, choice: Choice, seen: Inbox, *, now: datetime, status: str
) -> dict[str, Any]:
    """The page of a day: figures, convênios, deliveries."""
    here = choice.day or today(now)
    keep: dict[str, object] = {
        "dia": "todos" if choice.day is None else (here.isoformat() if here != today(now) else ""),
        "convenio": choice.convenio,
        "situacao": status,
        "procurar": choice.text,
    }
    counts: dict[str, int] = {}
    for standing in seen.standings:
        for name, count in standing.counts.items():
            counts[name] = counts.get(name, 0) + count
    missing = [one for one in seen.standings if one.missing]
    older = seen.deliveries[-1].id if seen.more and seen.deliveries else None
    return {
        "everything": choice.day is None,
        "today": here == today(now),
        "day": here,
        "yesterday": places.inbox(**keep | {"dia": (here - timedelta(days=1)).isoformat()}),
        "tomorrow": places.inbox(**keep | {"dia": (here + timedelta(days=1)).isoformat()})
        if here < today(now)
        else None,
        "figures": [
            ("Entregas", sum(counts.values()), ""),
            ("Carregadas", counts.get("loaded", 0) + counts.get("joined", 0), "ok"),
            ("A carregar", counts.get("accepted", 0) + counts.get("received", 0), ""),
            ("Em quarentena", counts.get("quarantined", 0), "bad"),
            ("À espera", counts.get("held", 0), "wait"),
            ("Não chegaram", len(missing), "bad"),
        ],
        "convenios": [
            _standing(settings, one, keep) for one in sorted(seen.standings, key=_urgency)
        ],
        "chosen": choice.convenio,
        "chips": _chips(keep, status, counts if choice.day else {}),
        "keep": keep,
        "rows": [_row(settings, one, seen.proposed) for one in seen.deliveries],
        "older": places.inbox(**keep | {"antes": older}) if older else None,
        "open_days": [
            (when, count, places.inbox(dia=when.isoformat(), situacao=_OPEN_WORD))
            for when, count in list(seen.open_days.items())[:7]
        ],
        "open_elsewhere": sum(seen.open_days.values()),
    }


def case(settings: Settings, found: Case, *, may_change: bool) -> dict[str, Any]:
    """The page of one delivery."""
    one, proposal = found.delivery, found.proposal
    proposed = proposal is not None and proposal.status == "proposed"
    is_open = one.status in {"quarantined", "held", "received"} and found.correction is None
    rejected = one.rows_rejected or 0
    return {
        "id": one.id,
        "file": one.file_name,
        "convenio": _name(settings, one.convenio),
        "inbox": places.inbox(convenio=one.convenio),
        "kind": KIND[one.status],
        "word": STATUS_WORDS[one.status],
        "reason": _COMMAND.sub("", mask_text(one.reason or "")),
        "meaning": _MEANING.get(one.status, ""),
        "facts": _facts(one, found),
        "report": places.delivery(one.convenio, one.id, "relatorio") if one.folder else None,
        "dag": places.dag(f"{places.RECEPTION}__{one.convenio}"),
        "decide": places.delivery(one.convenio, one.id, "decidir"),
        "may_change": may_change,
        "approve": is_open and proposed,
        "accept": [RULES.get(rule, rule) for rule in one.rules]
        if is_open and one.status == "quarantined"
        else [],
        "release": is_open and one.status == "held",
        "replay": is_open,
        "correct": places.delivery(one.convenio, one.id, "corrigir")
        if rejected and one.status in _CORRECTABLE and found.correction is None
        else None,
        "rejected_file": places.delivery(one.convenio, one.id, "rejeitadas.csv")
        if rejected and one.folder
        else None,
        "rejected_count": rejected,
        "rejected": [
            {
                "line": row.line,
                "field": row.field,
                "found": mask_text(row.found),
                "problem": mask_text(row.problem),
            }
            for row in found.rejected
        ],
        "proposal": None if proposal is None else _proposal(proposal),
        "decisions": [
            (
                decision.decided_at,
                decision.decided_by,
                f"aceitou {RULES.get(decision.rule, decision.rule)}",
                mask_text(decision.reason),
            )
            for decision in found.decisions
        ],
        "loads": found.loads,
    }


def outcome(after: Delivery) -> tuple[str, str]:
    """What became of a delivery after a decision, and how it looks."""
    word = STATUS_WORDS[after.status]
    if KIND[after.status] == "ok":
        count = web.number(after.rows_accepted)
        return f"Entrega {after.id}: {word}, {count} linhas.", "ok"
    why = mask_text(after.reason or "")
    return f"Entrega {after.id}: {word}. {why}".strip(), KIND[after.status]


_COMMAND = re.compile(r": veja-o com '[^']*' e aprove-o ou recuse-o$")
"""What the reason says to who has no page."""

_MEANING = {
    "received": "A leitura deste arquivo ainda não terminou.",
    "held": "O arquivo está certo, mas espera por outro. Segue sozinho assim que ele chegar.",
    "joined": "As linhas seguem com a carteira do conjunto.",
    "accepted": "Aceito: será carregado no CRM e na base de localização.",
    "loaded": "Está no CRM e na base de localização.",
    "quarantined": "Nada deste arquivo foi carregado; os outros convênios seguem normalmente.",
    "duplicate": "Nada foi carregado: este conteúdo já tinha vindo.",
}


def _standing(settings: Settings, one: Standing, keep: dict[str, object]) -> dict[str, Any]:
    counts, expected = one.counts, one.expected
    if counts.get("quarantined"):
        kind, text = "bad", f"{counts['quarantined']} em quarentena"
    elif one.missing and expected is not None:
        kind, text = "bad", f"não chegou (costuma às {web.clock(expected.at)})"
    elif waiting := counts.get("held", 0):
        kind, text = "wait", f"{waiting} à espera"
    elif waiting := counts.get("received", 0) + counts.get("accepted", 0):
        kind, text = "wait", f"{waiting} a carregar"
    elif loaded := counts.get("loaded", 0) + counts.get("joined", 0):
        kind, text = "ok", f"{loaded} carregada{'s' if loaded > 1 else ''}"
    elif counts.get("duplicate"):
        kind, text = "none", "só repetidas"
    elif expected is not None:
        kind, text = "none", f"esperada às {web.clock(expected.at)}"
    else:
        kind, text = "none", "nada recebido"
    return {
        "name": _name(settings, one.convenio),
        "address": places.inbox(**keep | {"convenio": one.convenio, "antes": None}),
        "chosen": keep["convenio"] == one.convenio,
        "kind": kind,
        "text": text,
        "last": one.last_at,
        "missing": one.missing,
    }


def _urgency(one: Standing) -> tuple[int, str]:
    counts = one.counts
    order = (
        bool(counts.get("quarantined")),
        one.missing,
        bool(counts.get("held")),
        bool(counts.get("received") or counts.get("accepted")),
        bool(counts),
    )
    return (order.index(True) if True in order else len(order)), one.convenio


def _chips(keep: dict[str, object], status: str, counts: Mapping[str, int]) -> list[Chip]:
    words = {"": "todas", _OPEN_WORD: "a decidir"} | {
        name: word for name, word in STATUS_WORDS.items() if counts.get(name)
    }
    if status and status not in words:
        words[status] = STATUS_WORDS.get(status, status)
    return [
        Chip(
            text=word,
            address=places.inbox(**keep | {"situacao": name, "antes": None}),
            count=web.number(counts[name]) if name in counts else "",
            chosen=name == status,
        )
        for name, word in words.items()
    ]


def _row(settings: Settings, one: Delivery, proposed: frozenset[int]) -> dict[str, Any]:
    return {
        "id": one.id,
        "address": places.delivery(one.convenio, one.id),
        "convenio": _name(settings, one.convenio),
        "file": one.file_name,
        "kind": KIND[one.status],
        "word": STATUS_WORDS[one.status],
        "received": one.received_at,
        "accepted": one.rows_accepted,
        "rejected": one.rows_rejected,
        "reason": mask_text(one.reason or ""),
        "proposed": one.id in proposed,
    }


def _facts(one: Delivery, found: Case) -> list[tuple[str, str, str | None]]:
    """Name, value, and where it leads."""
    rows: list[tuple[str, str, str | None]] = [
        ("Recebida", web.moment(one.received_at), None),
        ("Enviada pelo credor", web.moment(one.uploaded_at), None),
        ("Data de referência", web.day(one.reference_date), None),
        ("Versão do layout", one.layout_version or "", None),
        ("Linhas no arquivo", web.number(one.rows_total), None),
        ("Linhas aceitas", web.number(one.rows_accepted), None),
        ("Linhas rejeitadas", web.number(one.rows_rejected), None),
        (
            "Retiradas pelo tratamento",
            web.number(one.rows_removed) if one.rows_removed else "",
            None,
        ),
        ("Tamanho", f"{web.number(one.size_bytes)} bytes", None),
        ("SHA-256", one.sha256, None),
    ]
    for name, number in (
        ("Repete a entrega", one.duplicate_of),
        ("Corrige a entrega", one.corrects),
    ):
        if number is not None:
            rows.append((name, str(number), places.delivery(one.convenio, number)))
    if found.correction is not None:
        number = found.correction.id
        rows.append(("Corrigida pela entrega", str(number), places.delivery(one.convenio, number)))
    for load in found.loads:
        refused = load["rows_refused"]
        text = f"{load['crm']}: {_LOAD.get(load['status'], load['status'])}"
        text += f", {web.number(load['rows_loaded'])} linhas" if load["rows_loaded"] else ""
        text += f", {web.number(refused)} recusadas pelo CRM" if refused else ""
        rows.append(("CRM", text, None))
    return [row for row in rows if row[1]]


_LOAD = {
    "loading": "carregando",
    "loaded": "carregado",
    "rolling_back": "sendo desfeito",
    "rolled_back": "desfeito",
}
_PROPOSAL = {
    "proposed": ("wait", "espera uma decisão"),
    "approved": ("ok", "aprovado"),
    "rejected": ("none", "recusado"),
    "adapted": ("none", "usado sem decisão"),
}


def _proposal(one: Any) -> dict[str, Any]:
    """The layout of before beside the one proposed, field by field, with masked samples."""
    evidence: Mapping[str, Any] = one.evidence
    fields = [_field(row) for row in evidence.get("campos", [])]
    kind, word = _PROPOSAL.get(one.status, ("none", one.status))
    back = evidence.get("contratos_que_voltaram")
    held = evidence.get("contratos_no_crm")
    return {
        "kind": kind,
        "word": word,
        "summary": mask_text(one.summary),
        "file": [
            (item["item"], _text(item["antes"]), _text(item["agora"]))
            for item in evidence.get("arquivo", [])
        ],
        "changed": [row for row in fields if row["changed"]],
        "same": [row for row in fields if not row["changed"]],
        "doubts": [mask_text(str(doubt)) for doubt in evidence.get("duvidas", [])],
        "figures": [
            (name, value)
            for name, value in (
                ("Linhas lidas", web.number(evidence.get("linhas"))),
                ("Linhas rejeitadas", web.number(evidence.get("linhas_rejeitadas"))),
                ("Contratos do último arquivo que voltaram", web.percent(back)),
                ("Contratos da amostra já no CRM", f"{held[0]} de {held[1]}" if held else ""),
            )
            if value
        ],
        "by": one.decided_by,
        "at": one.decided_at,
        "note": mask_text(one.note or ""),
        "layout": one.layout,
    }


def _field(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": row["campo"],
        "changed": bool(row.get("mudou")),
        "before": _text(row.get("antes")),
        "now": _text(row.get("agora")),
        "same": web.percent(row.get("iguais"), 0),
        "valid_before": web.percent(row.get("validos_antes"), 0),
        "valid": web.percent(row.get("validos"), 0),
        "sample_before": _samples(row.get("exemplo_antes")),
        "sample": _samples(row.get("exemplo")),
    }


def _samples(value: Any) -> Sequence[str]:
    return [_text(part) for part in str(value).split(" | ")] if value else []


def _text(value: Any) -> str:
    return mask_text(" ".join(str("" if value is None else value).split()))[:_SAMPLE_CHARS]


def _name(settings: Settings, convenio: str) -> str:
    if convenio not in settings.convenios:
        return "Convênio desconhecido" if convenio == "desconhecido" else convenio
    return str(settings.convenios[convenio].get("nome", convenio))
