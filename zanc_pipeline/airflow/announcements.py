"""Which uploads a watcher has announced, so that one file never schedules for ever."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from pydantic import JsonValue

FIRST_REPEAT_SECONDS = 300.0
"""An upload that is still not in the ledger after this long is announced again, …"""
MAX_ANNOUNCEMENTS = 8
"""… each time after twice as long, at most so often in all (about ten hours)."""

_MAX_REMEMBERED = 250  # the asset's state holds 64 KiB


class Upload(TypedDict):
    """One complete file on the FTP server; a changed size or time is another upload."""

    path: str
    size: int
    modified: str


class Announcements:
    """Decides which pending uploads to announce now. Pure: the caller brings the time.

    An announcement can be lost (the triggerer dies before Airflow stores the event) and a run can
    fail before its file reaches the ledger, so an upload that stays pending is announced again,
    ever more rarely, and in the end never.
    """

    def __init__(self, stored: JsonValue = None) -> None:
        self._made: dict[str, tuple[int, float]] = {}
        if isinstance(stored, dict):
            for key, value in stored.items():
                if isinstance(value, list) and len(value) == 2:
                    count, at = value
                    if isinstance(count, int) and isinstance(at, int | float):
                        self._made[key] = (count, float(at))

    def due(self, pending: Iterable[Upload], now: float) -> list[Upload]:
        """The uploads of ``pending`` to announce at ``now`` (epoch seconds); they count as made.

        Uploads that are no longer pending are forgotten: the ledger knows them.
        """
        uploads = {_key(upload): upload for upload in pending}
        self._made = {key: made for key, made in self._made.items() if key in uploads}
        due = [key for key in uploads if self._is_due(key, now)]
        for key in due:
            self._made[key] = (self._made.get(key, (0, now))[0] + 1, now)
        return [uploads[key] for key in due]

    def state(self) -> dict[str, JsonValue]:
        """What to store between lives of the triggerer: ``{upload: [announcements, last]}``."""
        latest = sorted(self._made.items(), key=lambda item: item[1][1])[-_MAX_REMEMBERED:]
        return {key: [count, at] for key, (count, at) in latest}

    def _is_due(self, key: str, now: float) -> bool:
        if key not in self._made:
            return True
        count, last = self._made[key]
        if count >= MAX_ANNOUNCEMENTS:
            return False
        return now - last >= FIRST_REPEAT_SECONDS * 2.0 ** (count - 1)


def _key(upload: Upload) -> str:
    return f"{upload['path']}|{upload['size']}|{upload['modified']}"
