"""One JSON line a record and a request, CPFs and phones masked; requests are written in bunches."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any

from zanc_pipeline.common.masking import mask_text

WRITE_SECONDS = 0.2


class JsonFormatter(logging.Formatter):
    """A log record as a JSON object on one line, personal numbers masked."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "process": os.getpid(),
            "logger": record.name,
            "message": mask_text(record.getMessage()),
        }
        if record.exc_info:
            entry["traceback"] = mask_text(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)


def configure() -> None:
    """Send all records of this process to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


class AccessLog:
    """Requests of one process: who asked what, how it was answered, in which time."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def note(self, crm: str, route: str, status: int, seconds: float, **more: Any) -> None:
        """``more`` are counts and texts that hold nothing personal unmasked."""
        entry = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "crm": crm,
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 1),
            **more,
        }
        if not self._lines:
            asyncio.get_running_loop().call_later(WRITE_SECONDS, self.flush)
        self._lines.append(json.dumps(entry, ensure_ascii=False))

    def flush(self) -> None:
        """Write what waits."""
        lines, self._lines = self._lines, []
        if lines:
            sys.stderr.write("\n".join(lines) + "\n")
            sys.stderr.flush()
