"""The limit of a lookup: Tornado, asyncpg and one SELECT, nothing checked, nothing ranked."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import asyncpg
import uvloop
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

_SELECT = """
    SELECT phone, mobile, source, attempts, answers, last_outcome
    FROM localization.person_phone WHERE cpf = $1
"""


class Lookup(RequestHandler):
    """The rows of one person as JSON."""

    def initialize(self, pool: asyncpg.Pool) -> None:
        """Keep the pool."""
        self.pool = pool

    async def get(self, cpf: str) -> None:
        """One SELECT."""
        rows = await self.pool.fetch(_SELECT, cpf)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"phones": [dict(row) for row in rows]}))


async def _serve(port: int, dsn: str) -> None:
    pool = await asyncpg.create_pool(dsn, min_size=2, max_size=10)
    routes = [(r"/v1/people/([^/]+)/phones", Lookup, {"pool": pool})]
    application = Application(routes, log_function=lambda _: None)
    HTTPServer(application).add_sockets(bind_sockets(port, "127.0.0.1", reuse_port=True))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    for _ in range(int(sys.argv[2]) - 1):
        if not os.fork():
            break
    uvloop.run(_serve(int(sys.argv[1]), os.environ["DSN"]))
