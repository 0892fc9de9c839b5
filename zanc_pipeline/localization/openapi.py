"""The OpenAPI document of the service."""

from __future__ import annotations

from typing import Any

from zanc_pipeline import __version__
from zanc_pipeline.common.outcomes import Outcome, Tabulation
from zanc_pipeline.localization.limits import REASONS
from zanc_pipeline.localization.requests import (
    DEFAULT_LEASE_SECONDS,
    MAX_CALLS,
    MAX_LEASE_SECONDS,
    MAX_PEOPLE,
    MAX_PHONES,
)

_CPF = {"type": "string", "pattern": "^[0-9]{11}$"}
_PHONE = {"type": "string", "description": "DDD and subscriber; +55 and marks are accepted"}
_ERROR = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}

_CALL = {
    "type": "object",
    "required": ["call_id", "cpf", "phone", "started_at", "talk_seconds", "outcome"],
    "properties": {
        "call_id": {"type": "string", "maxLength": 80, "description": "unique within the CRM"},
        "cpf": _CPF,
        "phone": _PHONE,
        "started_at": {"type": "string", "format": "date-time"},
        "ring_seconds": {"type": ["number", "null"], "minimum": 0},
        "talk_seconds": {"type": "number", "minimum": 0},
        "outcome": {"enum": [str(outcome) for outcome in Outcome]},
        "tabulation": {"enum": [*(str(tabulation) for tabulation in Tabulation), None]},
        "convenio": {"type": ["string", "null"]},
    },
}
_RANKED = {
    "type": "object",
    "properties": {
        "rank": {"type": "integer"},
        "phone": {"type": "string"},
        "score": {"type": "number"},
        "mobile": {"type": "boolean"},
        "suppressed": {"type": ["string", "null"]},
        "evidence": {
            "type": "array",
            "items": {"type": "string"},
            "description": "why, in Portuguese, for a person",
        },
        "facts": {
            "type": "object",
            "description": "the same for a program; attempts_1, _7, _30 are days, elsewhere_30 the "
            "calls of other CRMs, people how many share the number",
            "additionalProperties": {"type": ["integer", "string", "null"]},
        },
    },
}
_VERDICT = {
    "type": "object",
    "required": ["phone", "dial"],
    "properties": {
        "phone": {"type": "string"},
        "dial": {"type": "boolean"},
        "reason": {
            "enum": [*REASONS, None],
            "description": "'reserved' passes within minutes, limits tomorrow, the first three not",
        },
        "texto": {"type": ["string", "null"], "description": "the reason in Portuguese"},
    },
}
_LEASE_ID = {"type": "string", "format": "uuid"}
_LEASE = {
    "type": ["object", "null"],
    "description": "only when a reservation was asked for; null when no phone may be dialled",
    "properties": {
        "id": _LEASE_ID,
        "phone": {"type": "string"},
        "expires_at": {"type": "string", "format": "date-time"},
    },
}
_QUESTION = {
    "type": "object",
    "required": ["cpf", "phones"],
    "properties": {
        "cpf": _CPF,
        "phones": {
            "type": "array",
            "items": _PHONE,
            "minItems": 1,
            "maxItems": MAX_PHONES,
            "description": "in the order in which they are preferred",
        },
        "reserve": {
            "type": "boolean",
            "default": False,
            "description": "reserve the first that may be dialled: nobody else gets it, or another "
            "phone of the person, until the lease ends",
        },
        "lease_seconds": {
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_LEASE_SECONDS,
            "default": DEFAULT_LEASE_SECONDS,
        },
        "reference": {
            "type": "string",
            "maxLength": 80,
            "description": "your name for the attempt, best its call_id: asked again, same lease",
        },
        "agreed": {
            "type": "boolean",
            "default": False,
            "description": "the debtor asked to be called now: no pause after a conversation",
        },
    },
}


_JSON = "application/json"


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {_JSON: {"schema": schema}}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(schema: dict[str, Any], most: int) -> dict[str, Any]:
    return {"type": "array", "items": schema, "minItems": 1, "maxItems": most}


_PERSON = _object(cpf=_CPF, phones={"type": "array", "items": _RANKED})
_DECISION = {
    "type": "object",
    "required": ["cpf", "phones"],
    "properties": {
        "cpf": _CPF,
        "phones": {"type": "array", "items": _VERDICT},
        "lease": _LEASE,
    },
}


_ERRORS = {
    "400": "the request is not valid; 'error' says which field",
    "401": "no token, or one that is not of a CRM",
    "403": "the token may not use this",
    "413": "the body is too large",
    "415": "the body is packed: send it without Content-Encoding",
    "429": "too much of this CRM waits already; retry after the seconds in Retry-After",
    "500": "a defect of the service, which is in its log",
    "503": "PostgreSQL is away or too much waits; retry after the seconds in Retry-After",
}
_OPEN = ("413", "500")
_ASKED = ("400", "401", "403", *_OPEN, "503")
_SENT = (*_ASKED, "415")


def _responses(
    description: str, schema: dict[str, Any], statuses: tuple[str, ...], kind: str = _JSON
) -> dict[str, Any]:
    answers: dict[str, Any] = {
        "200": {"description": description, "content": {kind: {"schema": schema}}}
    }
    for status in sorted(statuses):
        answers[status] = {"description": _ERRORS[status], "content": _json(_ERROR)}
    return answers


DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Zanc localization",
        "version": __version__,
        "description": "Every call of every CRM to every phone, and who answers where. Another "
        "path is answered 404, another method 405, with 'error' as everywhere.",
    },
    "security": [{"crm": []}],
    "paths": {
        "/v1/calls": {
            "post": {
                "summary": "Report calls; durable when answered, idempotent by call_id",
                "requestBody": {
                    "required": True,
                    "content": _json({"type": "array", "items": _CALL, "maxItems": MAX_CALLS}),
                },
                "responses": _responses(
                    "All calls are in the base",
                    _object(accepted={"type": "integer"}, duplicates={"type": "integer"}),
                    (*_SENT, "429"),
                ),
            }
        },
        "/v1/people/{cpf}/phones": {
            "get": {
                "summary": "The phones of a person, best first, each with its evidence",
                "parameters": [{"name": "cpf", "in": "path", "required": True, "schema": _CPF}],
                "responses": _responses("Possibly empty", _PERSON, _ASKED),
            }
        },
        "/v1/people/phones": {
            "post": {
                "summary": "The same for many people at once",
                "requestBody": {
                    "required": True,
                    "content": _json(_object(cpfs=_list(_CPF, MAX_PEOPLE))),
                },
                "responses": _responses(
                    "One entry a person, in order",
                    _object(people=_list(_PERSON, MAX_PEOPLE)),
                    _SENT,
                ),
            }
        },
        "/v1/dial-check": {
            "post": {
                "summary": "Whether each phone may be dialled for the person now; reserves one",
                "requestBody": {"required": True, "content": _json(_QUESTION)},
                "responses": _responses("One verdict a phone, in order", _DECISION, _SENT),
            }
        },
        "/v1/dial-checks": {
            "post": {
                "summary": "The same for many people at once",
                "requestBody": {
                    "required": True,
                    "content": _json(_object(checks=_list(_QUESTION, MAX_PEOPLE))),
                },
                "responses": _responses(
                    "One decision a question, in order",
                    _object(checks=_list(_DECISION, MAX_PEOPLE)),
                    _SENT,
                ),
            }
        },
        "/v1/leases/{id}/release": {
            "post": {
                "summary": "End a lease of yours; the report of its call ends it as well",
                "parameters": [
                    {
                        "name": "id",
                        "in": "path",
                        "required": True,
                        "schema": _LEASE_ID,
                    }
                ],
                "responses": _responses(
                    "Whether it still lived", _object(released={"type": "boolean"}), _ASKED
                ),
            }
        },
        "/v1/leases/release": {
            "post": {
                "summary": "The same for many leases at once",
                "requestBody": {
                    "required": True,
                    "content": _json(_object(ids=_list(_LEASE_ID, MAX_PEOPLE))),
                },
                "responses": _responses(
                    "Of each, in order, whether it still lived",
                    _object(released=_list({"type": "boolean"}, MAX_PEOPLE)),
                    _SENT,
                ),
            }
        },
        "/healthz": {
            "get": {
                "summary": "Whether the service and its database answer",
                "security": [],
                "responses": _responses(
                    "They do", _object(status={"const": "ok"}), (*_OPEN, "503")
                ),
            }
        },
        "/metrics": {
            "get": {
                "summary": "Counters in Prometheus' text format",
                "security": [],
                "responses": _responses("Text", {"type": "string"}, _OPEN, "text/plain"),
            }
        },
        "/openapi.json": {
            "get": {
                "summary": "This document",
                "security": [],
                "responses": _responses("OpenAPI 3.1", {"type": "object"}, _OPEN),
            }
        },
    },
    "components": {"securitySchemes": {"crm": {"type": "http", "scheme": "bearer"}}},
}
