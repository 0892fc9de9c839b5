"""How often a login may fail (pure). Times are in seconds of any monotonic clock."""

from __future__ import annotations

from collections import deque

WINDOW_SECONDS = 300.0
MOST_OF_PAIR = 5
"""Failures of one login from one address: a person who mistypes."""
MOST_OF_LOGIN = 30
"""Of one login from anywhere: somebody who tries passwords."""
MOST_OF_ADDRESS = 60
"""From one address: somebody who tries logins; a floor behind one proxy stays below."""
_MOST_KEYS = 10_000

Key = tuple[str, str]


class LoginLimits:
    """Remembers failures for ``WINDOW_SECONDS``."""

    def __init__(self) -> None:
        self._failures: dict[Key, deque[float]] = {}

    def wait(self, login: str, address: str, now: float) -> float:
        """For how many seconds this login from this address is refused; 0 when it may try."""
        return max(
            self._wait(key, most, now)
            for key, most in (
                ((login, address), MOST_OF_PAIR),
                ((login, ""), MOST_OF_LOGIN),
                (("", address), MOST_OF_ADDRESS),
            )
        )

    def failed(self, login: str, address: str, now: float) -> None:
        """A wrong password, or a login that nobody has."""
        if len(self._failures) > _MOST_KEYS:
            self._forget(now)
        for key in ((login, address), (login, ""), ("", address)):
            self._failures.setdefault(key, deque(maxlen=MOST_OF_ADDRESS)).append(now)

    def succeeded(self, login: str, address: str) -> None:
        """The person knows the password: what was mistyped before does not count."""
        self._failures.pop((login, address), None)

    def _wait(self, key: Key, most: int, now: float) -> float:
        failures = self._failures.get(key)
        if failures is None:
            return 0.0
        while failures and failures[0] <= now - WINDOW_SECONDS:
            failures.popleft()
        if not failures:
            del self._failures[key]
            return 0.0
        return 0.0 if len(failures) < most else failures[-most] + WINDOW_SECONDS - now

    def _forget(self, now: float) -> None:
        self._failures = {
            key: failures
            for key, failures in self._failures.items()
            if failures[-1] > now - WINDOW_SECONDS
        }
