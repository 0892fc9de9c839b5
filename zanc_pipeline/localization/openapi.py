"""The OpenAPI document of the service."""

from __future__ import annotations

from typing import Any

from zanc_pipeline import __version__
from zanc_pipeline.common.outcomes import Outcome, Tabulation

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
        "evidence": {"type": "array", "items": {"type": "string"}},
    },
}
_VERDICT = {
    "type": "object",
    "required": ["phone", "dial"],
    "properties": {
        "phone": {"type": "string"},
        "dial": {"type": "boolean"},
        "reason": {
            "enum": [
                "deceased",
                "wrong_person",
                "invalid_number",
                "talked_recently",
                "phone_limit",
                "person_limit",
                None,
            ]
        },
        "texto": {"type": ["string", "null"], "description": "the reason in Portuguese"},
    },
}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _responses(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    errors = {
        "400": "the request is not valid; 'error' says which field",
        "401": "no token, or one that is not of a CRM",
        "413": "the body is too large",
        "503": "PostgreSQL is away; retry after the seconds in Retry-After",
    }
    answers: dict[str, Any] = {"200": {"description": description, "content": _json(schema)}}
    for status, text in errors.items():
        answers[status] = {"description": text, "content": _json(_ERROR)}
    return answers


DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Zanc localization",
        "version": __version__,
        "description": "Every call of every CRM to every phone, and who answers where.",
    },
    "security": [{"crm": []}],
    "paths": {
        "/v1/calls": {
            "post": {
                "summary": "Report calls; durable when answered, idempotent by call_id",
                "requestBody": {
                    "required": True,
                    "content": _json({"type": "array", "items": _CALL, "maxItems": 5000}),
                },
                "responses": _responses(
                    "All calls are in the base",
                    _object(accepted={"type": "integer"}, duplicates={"type": "integer"}),
                ),
            }
        },
        "/v1/people/{cpf}/phones": {
            "get": {
                "summary": "The phones of a person, best first, each with its evidence",
                "parameters": [{"name": "cpf", "in": "path", "required": True, "schema": _CPF}],
                "responses": _responses(
                    "Possibly empty", _object(phones={"type": "array", "items": _RANKED})
                ),
            }
        },
        "/v1/dial-check": {
            "post": {
                "summary": "Whether each phone may be dialled for the person now",
                "requestBody": {
                    "required": True,
                    "content": _json(
                        _object(cpf=_CPF, phones={"type": "array", "items": _PHONE, "maxItems": 50})
                    ),
                },
                "responses": _responses(
                    "One verdict a phone, in order",
                    _object(phones={"type": "array", "items": _VERDICT}),
                ),
            }
        },
        "/healthz": {
            "get": {
                "summary": "Whether the service and its database answer",
                "security": [],
                "responses": {"200": {"description": "yes"}, "503": {"description": "no"}},
            }
        },
        "/metrics": {
            "get": {
                "summary": "Counters in Prometheus' text format",
                "security": [],
                "responses": {"200": {"description": "text"}},
            }
        },
    },
    "components": {"securitySchemes": {"crm": {"type": "http", "scheme": "bearer"}}},
}
