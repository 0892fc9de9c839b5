"""Logging of our processes: one line a record, with CPFs and phones masked."""

from __future__ import annotations

import logging
import sys

from zanc_pipeline.common.masking import mask_text


class MaskingFormatter(logging.Formatter):
    """Formats a record, its arguments and its traceback, then masks personal numbers."""

    def format(self, record: logging.LogRecord) -> str:
        return mask_text(super().format(record))


def configure_logging(level: int | str = logging.INFO) -> None:
    """Send all records of this process to stderr through the masking formatter."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(MaskingFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line a request says nothing
