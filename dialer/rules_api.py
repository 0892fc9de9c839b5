"""The routes of the rules: who asked not to be called, callbacks, why each attempt was allowed."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from pathlib import Path

from tornado.iostream import StreamClosedError

from dialer import recordings, rule_queries
from dialer.campaign_api import MAX_ATTEMPTS, attempt_row
from dialer.handlers import WHOLE, Handler, NotFound, Unauthorized, known_campaign, text
from dialer.pbx import ATTEMPT_ID
from dialer.rules import check_number
from zanc_pipeline.common.codecs import parse_cpf
from zanc_pipeline.common.errors import DataError

CHUNK = 64 * 1024
_CALLBACK_STATES = ("waiting", "done", "dropped", "expired")


class OptOuts(Handler):
    """People and phones that are never called again."""

    async def get(self) -> None:
        self.authorize()
        after = self.get_query_argument("after", "0")
        if WHOLE.fullmatch(after) is None:
            raise DataError("after must be the id of the last entry already read")
        async with self.dialer.store.transaction() as connection:
            rows = await connection.fetch(
                rule_queries.LIST_OPT_OUTS, int(after), self.limit(MAX_ATTEMPTS)
            )
        self.answer({"opt_outs": [dict(row) for row in rows]})

    async def post(self) -> None:
        self.authorize()
        body = self.body()
        if not set(body) <= {"cpf", "phone", "reason"} or not {"cpf", "phone"} & set(body):
            raise DataError("send cpf or phone (or both), and reason")
        cpf = parse_cpf(text(body, "cpf")) if "cpf" in body else None
        if "cpf" in body and cpf is None:
            raise DataError("cpf must be a valid CPF")
        phone = check_number(text(body, "phone")) if "phone" in body else None
        reason = text(body, "reason")
        async with self.dialer.engine.api():
            done = await self.dialer.engine.opt_out(cpf, phone, who=self.who(), reason=reason)
        self.answer(done)


class Callbacks(Handler):
    """Calls that people asked for, by their time."""

    async def get(self) -> None:
        self.authorize()
        status = self.get_query_argument("status", None)
        if status is not None and status not in _CALLBACK_STATES:
            raise DataError(f"status must be one of {', '.join(_CALLBACK_STATES)}")
        callbacks = self.dialer.engine.housekeeping.callbacks
        self.answer({"callbacks": await callbacks.listed(status, self.limit(MAX_ATTEMPTS))})


class DropCallback(Handler):
    """Take one back."""

    async def post(self, attempt_id: str) -> None:
        self.authorize()
        reason = text(self.body(), "reason")
        async with self.dialer.engine.api():
            dropped = ATTEMPT_ID.fullmatch(
                attempt_id
            ) is not None and await self.dialer.engine.housekeeping.callbacks.drop(
                attempt_id, who=self.who(), reason=reason
            )
        if not dropped:
            raise NotFound("no callback waits under that attempt")
        self.answer({"attempt": attempt_id, "status": "dropped"})


class Recording(Handler):
    """A conversation as sound; who listened is recorded. It has a token of its own."""

    async def get(self, attempt_id: str) -> None:
        scheme, _, given = self.request.headers.get("Authorization", "").partition(" ")
        token = self.dialer.settings.secret("recordings_token")
        if scheme != "Bearer" or not hmac.compare_digest(given.encode(), token.encode()):
            raise Unauthorized(
                "recordings are heard with the token of var/secrets/recordings_token"
            )
        who = self.who()
        if who == "api":
            raise DataError("say in X-Zanc-User who listens")
        path = await self._file(attempt_id)
        await self.dialer.store.note(who, "recording", attempt_id)
        self.set_header("Content-Type", "audio/wav")
        self.set_header("Content-Length", str(path.stat().st_size))
        # Who has all that was announced, or enough, may hang up.
        with path.open("rb") as sound, contextlib.suppress(StreamClosedError):
            while chunk := await asyncio.to_thread(sound.read, CHUNK):
                self.write(chunk)
                await self.flush()
            await self.finish()

    async def _file(self, attempt_id: str) -> Path:
        row = None
        if ATTEMPT_ID.fullmatch(attempt_id) is not None:
            async with self.dialer.store.transaction() as connection:
                row = await connection.fetchrow(rule_queries.RECORDING, attempt_id)
        if row is None or row["recording"] is None:
            raise NotFound("there is no recording of that attempt")
        pbx = self.dialer.engine.pbxs.get(row["pbx"])
        folder = None if pbx is None else pbx.log_folder
        path = None if folder is None else recordings.find(folder, row["recording"])
        if path is None:
            raise NotFound(f"the recording is not in reach: it lies on the PBX {row['pbx']}")
        return path


class Evidence(Handler):
    """Every attempt of a campaign, page by page, with the rules that were asked before it."""

    async def get(self, campaign_id: str) -> None:
        self.authorize()
        await known_campaign(self.dialer, campaign_id)
        after = self.get_query_argument("after", None)
        if after is not None and ATTEMPT_ID.fullmatch(after) is None:
            raise DataError("after must be the id of the last attempt already read")
        async with self.dialer.store.transaction() as connection:
            rows = await connection.fetch(
                rule_queries.EVIDENCE, campaign_id, after, self.limit(MAX_ATTEMPTS)
            )
        more = ("campaign_id", "campaign_name", "trunk", "caller_id", "evidence", "recording")
        self.answer(
            {"attempts": [{**attempt_row(row), **{k: row[k] for k in more}} for row in rows]}
        )
