"""What the pages call things, in Portuguese."""

from __future__ import annotations

from dataclasses import dataclass

from zanc_pipeline.common.outcomes import Outcome, Tabulation

STATES = {
    "offline": "Fora da fila",
    "paused": "Em pausa",
    "preview": "Prévia",
    "idle": "Livre",
    "reserved": "Ligação chegando",
    "talking": "Em conversa",
    "wrapup": "Pós-atendimento",
}
STATE_KINDS = {
    "offline": "none",
    "paused": "wait",
    "preview": "wait",
    "idle": "ok",
    "reserved": "wait",
    "talking": "ok",
    "wrapup": "wait",
}
"""The colour of each state."""

STATUS = {
    "running": "em curso",
    "paused": "em pausa",
    "stopping": "encerrando",
    "finished": "encerrada",
    "failed": "falhou",
}
STATUS_KINDS = {
    "running": "ok",
    "paused": "wait",
    "stopping": "wait",
    "finished": "none",
    "failed": "bad",
}
PBX_STATES = {
    "ok": "no ar",
    "cheia": "cheia",
    "fora": "fora do ar",
    "esvaziando": "esvaziando",
    "vazia": "vazia",
}
"""Of a PBX; ``vazia`` is one that was emptied."""
MODES = {
    "previa": "prévia",
    "progressivo": "progressivo",
    "power": "power",
    "preditivo": "preditivo",
}
ROLES = {"operator": "operador", "negotiator": "negociador", "supervisor": "supervisor"}

OUTCOMES = {
    Outcome.HUMAN: "uma pessoa atendeu",
    Outcome.MACHINE: "caixa postal",
    Outcome.BUSY: "ocupado",
    Outcome.NO_ANSWER: "não atendeu",
    Outcome.INVALID_NUMBER: "número inexistente",
    Outcome.NETWORK_FAILURE: "falha da rede",
    Outcome.ABANDONED: "atendeu e não havia operador",
    Outcome.CANCELLED: "cancelada",
    Outcome.UNKNOWN: "sem resultado conhecido",
}
TABULATIONS = {
    Tabulation.PROMISE: "Promessa de pagamento",
    Tabulation.CALLBACK: "Retornar depois",
    Tabulation.REFUSAL: "Recusa pagar",
    Tabulation.ALREADY_PAID: "Já pagou",
    Tabulation.WRONG_PERSON: "Não é a pessoa",
    Tabulation.DECEASED: "Falecido",
    Tabulation.DO_NOT_CALL: "Não ligar mais",
    Tabulation.NO_TABULATION: "Sem tabulação",
}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A tabulation at the desk: its key, what it is called, what is asked before it is recorded."""

    key: str
    code: Tabulation
    question: str = ""
    form: str = ""

    @property
    def text(self) -> str:
        """What it is called."""
        return TABULATIONS[self.code]


CHOICES = (
    Choice(key="1", code=Tabulation.PROMISE, form="promessa"),
    Choice(key="2", code=Tabulation.CALLBACK, form="retorno"),
    Choice(key="3", code=Tabulation.REFUSAL),
    Choice(key="4", code=Tabulation.ALREADY_PAID),
    Choice(
        key="5",
        code=Tabulation.WRONG_PERSON,
        question="Quem atendeu não é a pessoa? Este número deixa de ser chamado por ela.",
    ),
    Choice(
        key="6",
        code=Tabulation.DECEASED,
        question="Informaram que a pessoa faleceu? Ela não será mais chamada.",
    ),
    Choice(
        key="7",
        code=Tabulation.DO_NOT_CALL,
        question="A pessoa pediu para não receber mais ligações? Ninguém a chamará de novo.",
    ),
)

ACTIONS = {
    "submit": "campanha enviada",
    "pause": "pausa",
    "resume": "retomada",
    "stop": "encerramento",
    "settings": "ajuste",
    "withdraw": "retirada de pessoas",
    "listen": "escuta",
    "login": "entrou na fila",
    "logout": "saiu da fila",
    "ready": "voltou da pausa",
    "account_added": "conta criada",
    "account_password": "senha trocada",
    "account_disabled": "conta desativada",
    "opt_out": "não ligar mais",
    "recording": "gravação ouvida",
    "callbacks": "fila de retornos aberta",
    "callback dropped": "retorno retirado",
    "drain": "central sendo esvaziada",
    "use": "central reativada",
    "call": "ligou para quem viu na prévia",
    "skip": "pulou quem viu na prévia",
}
"""Of the audit."""
WHO = {"command line": "linha de comando", "api": "programa", "zanc": "discador"}
DETAILS = {
    "role": "função",
    "phone": "ramal",
    "leads": "pessoas",
    "attempt": "ligação",
    "reason": "motivo",
    "ended": "retiradas",
    "in_call": "em ligação",
}
"""What the details of an entry are called."""


def action(code: str) -> str:
    """What an entry of the audit is called; its code when it has no name here."""
    return ACTIONS.get(code, code)


def outcome(code: str | None) -> str:
    """How an attempt ended."""
    return "em curso" if code is None else OUTCOMES.get(Outcome(code), code)


def tabulation(code: str | None) -> str:
    """What was recorded of a conversation; nothing for None."""
    return "" if code is None else TABULATIONS.get(Tabulation(code), code)
