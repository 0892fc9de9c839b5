"""A dialer service in a thread: it holds campaigns and attempts and counts what it is asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class FakeDialer:
    """The part of the dialer's HTTP service that the DAGs use.

    ``after[n]`` is called as the n-th request comes in.
    """

    def __init__(self) -> None:
        self.campaigns: dict[str, dict[str, Any]] = {}
        self.attempts: dict[str, list[dict[str, Any]]] = {}
        self.requests: list[str] = []
        self.withdrawn: list[Any] = []
        self.after: dict[int, Callable[[], None]] = {}
        self.answer_with: tuple[int, Any] | None = None
        self.url = ""
        self.token = ""

    def handle(self, method: str, target: str, body: Any) -> tuple[int, Any]:
        """The status and JSON of one request."""
        if self.answer_with is not None:
            return self.answer_with
        split = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        parts = split.path.strip("/").split("/")[2:]
        if split.path == "/v1/leads/withdraw":
            self.withdrawn.append(body)
            return 200, {"withdrawn": 0, "in_call": 0}
        if not parts:
            return 200, {"campaigns": list(self.campaigns.values())}
        if method == "PUT":
            campaign = {"id": parts[0], "status": "running", **body}
            self.campaigns.setdefault(parts[0], campaign)
            return 201, campaign
        if parts[0] not in self.campaigns:
            return 404, {"error": "unknown campaign"}
        if parts[1:] == ["stop"]:
            self.campaigns[parts[0]]["status"] = "stopping"
        if parts[1:] == ["attempts"]:
            ended = self.attempts.get(parts[0], [])
            ids = [attempt["id"] for attempt in ended]
            start = ids.index(query["after"]) + 1 if "after" in query else 0
            return 200, {"attempts": ended[start : start + int(query["limit"])]}
        return 200, self.campaigns[parts[0]]


@contextmanager
def fake_dialer() -> Iterator[FakeDialer]:
    """A fake dialer that listens on a free port of loopback."""
    dialer = FakeDialer()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            dialer.requests.append(f"{self.command} {self.path}")
            dialer.after.get(len(dialer.requests), lambda: None)()
            dialer.token = self.headers.get("Authorization", "")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = dialer.handle(self.command, self.path, json.loads(body or "null"))
            payload = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_PUT = do_POST = _serve

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    dialer.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield dialer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
