"""A stand-in for the localization service: refuses what it is told to, keeps the calls.

Like the real one it answers 400 to a phone that is none, and here to ``wrong_people`` too.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from zanc_pipeline.common.codecs import parse_phone


class FakeLocalization:
    """What it was told; ``down`` makes it answer 503."""

    def __init__(self) -> None:
        self.calls: dict[str, dict[str, Any]] = {}
        self.posts = 0
        self.refused: dict[str, str] = {}
        self.wrong_people: set[str] = set()
        self.down = False
        self.leases: dict[str, str] = {}
        """Phones by the leases that are not over."""
        self.port = 0

    def _lease(self, body: Any) -> dict[str, str] | None:
        phone = next((one for one in body["phones"] if one not in self.refused), None)
        if phone is None:
            return None
        lease = f"lease-{body['reference']}"
        self.leases[lease] = phone
        return {"id": lease, "phone": phone, "expires_at": "2099-01-01T00:00:00+00:00"}

    @staticmethod
    def _valid(phone: str) -> bool:
        parsed = parse_phone(phone)
        return parsed is not None and parsed.number == phone

    def answer(self, path: str, body: Any) -> tuple[int, Any]:
        if self.down:
            return 503, {"error": "down"}
        if path == "/v1/dial-check":
            wrong = [phone for phone in body["phones"] if not self._valid(phone)]
            if wrong or body["cpf"] in self.wrong_people:
                return 400, {"error": "not a Brazilian phone"}  # as the real one does
            answers = [
                {
                    "phone": phone,
                    "dial": phone not in self.refused,
                    "reason": self.refused.get(phone),
                }
                for phone in body["phones"]
            ]
            return 200, {"phones": answers, "lease": self._lease(body)}
        if path.startswith("/v1/leases/"):
            known = self.leases.pop(path.split("/")[3], None)
            return 200, {"released": known is not None}
        if path == "/v1/calls":
            self.posts += 1
            fresh = [call for call in body if call["call_id"] not in self.calls]
            for call in body:
                self.leases.pop(f"lease-{call['call_id']}", None)
                held = self.calls.setdefault(call["call_id"], call)
                if held["tabulation"] == "no_tabulation":
                    held["tabulation"] = call["tabulation"]
            return 200, {"accepted": len(fresh), "duplicates": len(body) - len(fresh)}
        return 404, {"error": "unknown"}


@contextmanager
def running(port: int = 0) -> Iterator[FakeLocalization]:
    """Serve on loopback while the block runs."""
    fake = FakeLocalization()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, content = fake.answer(self.path, body)
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    fake.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
