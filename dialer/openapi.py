"""The OpenAPI document of the dialer's service."""

from __future__ import annotations

from typing import Any

_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}


def _operation(
    summary: str,
    *codes: int,
    parameters: tuple[dict[str, Any], ...] = (),
    body: dict[str, Any] | None = None,
    open_to_all: bool = False,
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "parameters": list(parameters),
        "responses": {str(code): {"description": _MEANINGS[code]} for code in codes},
    }
    if body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body}},
        }
    if open_to_all:
        operation["security"] = []
    return operation


_MEANINGS = {
    101: "The websocket is open",
    200: "Done",
    201: "Created",
    400: "The request is wrong; `error` says what",
    401: "No token, or not one that may do this",
    404: "Unknown",
    409: "It contradicts what is recorded; `error` says what",
    503: "The database or the engine is away; try again",
}


def _query(name: str, kind: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": kind}, "description": description}


_CAMPAIGN = {
    "type": "object",
    "required": ["name", "settings", "mailing", "sha256"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "settings": {"type": "object", "description": "the campaign's `discador` section"},
        "mailing": {"type": "string", "description": "Parquet file, relative to var/"},
        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    },
}
_TABULATION = {
    "type": "object",
    "required": ["attempt", "tabulation"],
    "additionalProperties": False,
    "properties": {
        "attempt": {"type": "string"},
        "tabulation": {"type": "string"},
        "promise_date": {"type": "string", "format": "date"},
        "promise_amount": {"type": "string", "description": "reais, as 123.45"},
        "callback_at": {
            "type": "string",
            "format": "date-time",
            "description": "of a callback: the agreed time, with its zone",
        },
    },
}
_PAUSE = {
    "type": "object",
    "properties": {"reason": {"type": "string", "description": "one of pause-reasons"}},
}
_SETTINGS = {
    "type": "object",
    "minProperties": 1,
    "description": "options of the `discador` section with their new values",
}
_WITHDRAW = {
    "type": "object",
    "required": ["reason"],
    "additionalProperties": False,
    "properties": {
        "reason": {"type": "string", "maxLength": 100},
        "contracts": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["convenio", "contract"],
                "additionalProperties": False,
                "properties": {"convenio": {"type": "string"}, "contract": {"type": "string"}},
            },
        },
        "people": {"type": "array", "items": {"type": "string", "description": "CPF"}},
    },
}
_ATTEMPT = {"name": "attempt", "in": "path", "required": True, "schema": {"type": "string"}}
_REASON = {
    "type": "object",
    "required": ["reason"],
    "properties": {"reason": {"type": "string", "maxLength": 500}},
}
_OPT_OUT = {
    "type": "object",
    "required": ["reason"],
    "additionalProperties": False,
    "properties": {
        "cpf": {"type": "string"},
        "phone": {"type": "string", "description": "DDD and number, digits only"},
        "reason": {"type": "string", "maxLength": 500},
    },
}
_USER = {
    "name": "X-Zanc-User",
    "in": "header",
    "schema": {"type": "string"},
    "description": "who asks, for the audit",
}


def document(version: str) -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    paths: dict[str, Any] = {
        "/healthz": {"get": _operation("Is the dialer working?", 200, 503, open_to_all=True)},
        "/openapi.json": {"get": _operation("This document", 200, open_to_all=True)},
        "/metrics": {"get": _operation("Figures for Prometheus", 200, 401)},
        "/v1/campaigns": {"get": _operation("All campaigns, oldest first", 200, 401, 503)},
        "/v1/campaigns/{id}": {
            "get": _operation(
                "A campaign and its figures", 200, 401, 404, 503, parameters=(_ID,)
            ),
            "put": _operation(
                "Start a campaign; repeating the same does nothing more",
                200, 201, 400, 401, 409, 503, parameters=(_ID,), body=_CAMPAIGN,
            ),
        },
        "/v1/campaigns/{id}/attempts": {
            "get": _operation(
                "Attempts that ended (and were tabulated, if a person talked), in order of closing",
                200, 400, 401, 404, 503,
                parameters=(
                    _ID,
                    _query("after", "string", "the last attempt already read"),
                    _query("limit", "integer", "at most 1000"),
                ),
            ),
        },
        "/v1/campaigns/{id}/settings": {
            "get": _operation(
                "The discador section as it holds now", 200, 401, 404, 503, parameters=(_ID,)
            ),
            "patch": _operation(
                "Change options while it runs",
                200, 400, 401, 404, 409, 503, parameters=(_ID, _USER), body=_SETTINGS,
            ),
        },
        "/v1/leads/withdraw": {
            "post": _operation(
                "Contracts and people that leave all campaigns: who waits is not called, who is in"
                " a call ends with it; answers how many leads each",
                200, 400, 401, 503, parameters=(_USER,), body=_WITHDRAW,
            ),
        },
        "/v1/opt-outs": {
            "get": _operation(
                "People and phones that are never called again, oldest first", 200, 400, 401, 503,
                parameters=(
                    _query("after", "integer", "the last entry already read"),
                    _query("limit", "integer", "at most 1000"),
                ),
            ),
            "post": _operation(
                "Never call a person or a phone again, in any campaign; at once",
                200, 400, 401, 503, parameters=(_USER,), body=_OPT_OUT,
            ),
        },
        "/v1/attempts/{attempt}/recording": {
            "get": _operation(
                "A conversation as sound (WAV), with the token of recordings; X-Zanc-User is asked"
                " for, who listened is recorded", 200, 400, 401, 404, 503,
                parameters=(_ATTEMPT, _USER),
            ),
        },
        "/v1/callbacks": {
            "get": _operation(
                "Calls that people asked for, by their time", 200, 400, 401, 503,
                parameters=(
                    _query("status", "string", "waiting, done, dropped or expired"),
                    _query("limit", "integer", "at most 1000"),
                ),
            ),
        },
        "/v1/callbacks/{attempt}/drop": {
            "post": _operation(
                "Take back a callback that waits", 200, 400, 401, 404, 503,
                parameters=(_ATTEMPT, _USER), body=_REASON,
            ),
        },
        "/v1/campaigns/{id}/evidence": {
            "get": _operation(
                "Every attempt with the rules that were asked before it, and their figures",
                200, 400, 401, 404, 503,
                parameters=(
                    _ID,
                    _query("after", "string", "the last attempt already read"),
                    _query("limit", "integer", "at most 1000"),
                ),
            ),
        },
        "/v1/audit": {
            "get": _operation(
                "Who changed what, oldest first", 200, 400, 401, 503,
                parameters=(
                    _query("after", "integer", "the last entry already read"),
                    _query("subject", "string", "a campaign or an operator"),
                    _query("limit", "integer", "at most 1000"),
                ),
            ),
        },
        "/v1/figures": {
            "get": _operation("Operators, lines and campaigns as they are now", 200, 401, 503),
        },
        "/v1/live": {
            "get": _operation(
                "Websocket: the same figures every second while they change; the token as header or"
                ' as first message {"token": "..."}, else it is closed with 4401',
                101, 400, open_to_all=True,
            ),
        },
        "/v1/operators/{id}/pause-reasons": {
            "get": _operation("Why an operator may pause", 200, 401, 503, parameters=(_ID,)),
        },
        "/v1/operators/{id}/events": {
            "get": _operation(
                "The operator's state and call card, as soon as it changes",
                200, 401, 409, 503,
                parameters=(
                    _ID,
                    _query("after", "integer", "the sequence already known: wait for another"),
                    _query("timeout", "number", "seconds to wait, at most 60"),
                ),
            ),
        },
        "/v1/operators/{id}/tabulate": {
            "post": _operation(
                "Record the conversation", 200, 400, 401, 409, 503,
                parameters=(_ID,), body=_TABULATION,
            ),
        },
    }  # fmt: skip
    for order, summary in (
        ("pause", "No new calls"),
        ("resume", "New calls again"),
        ("stop", "End it: what rings is hung up, conversations go on"),
    ):
        paths[f"/v1/campaigns/{{id}}/{order}"] = {
            "post": _operation(summary, 200, 401, 404, 409, 503, parameters=(_ID, _USER))
        }
    for order, summary in (
        ("drain", "Empty a PBX: no new calls, those it has go on; it outlives a restart"),
        ("use", "New calls through a PBX again"),
    ):
        paths[f"/v1/pbxs/{{id}}/{order}"] = {
            "post": _operation(summary, 200, 400, 401, 404, 503, parameters=(_ID, _USER))
        }
    for order, summary in (
        ("login", "The operator is there"),
        ("logout", "The operator leaves, after the present call"),
        ("pause", "The operator pauses, after the present call"),
        ("ready", "The operator wants calls"),
        ("call", "Preview: call the person on the card"),
        ("skip", "Preview: show another person"),
    ):
        operation = _operation(summary, 200, 400, 401, 409, 503, parameters=(_ID, _USER))
        if order == "pause":
            operation["requestBody"] = {"content": {"application/json": {"schema": _PAUSE}}}
        paths[f"/v1/operators/{{id}}/{order}"] = {"post": operation}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Zanc dialer", "version": version},
        "security": [{"bearer": []}],
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
        "paths": paths,
    }
