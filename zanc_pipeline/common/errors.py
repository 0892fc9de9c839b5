"""The exception tree of the project, grouped by how one recovers.

    ZancError
    ├── ConfigError        the configuration is wrong: a person edits a file, no retry helps
    ├── DataError          what was received is wrong: quarantine it, no retry helps
    │   └── UnknownConvenio
    ├── UnavailableError   a part does not answer: the same call succeeds when it is back
    ├── StackError         a local process could not be installed, started or stopped
    └── ConflictError      the request contradicts what is already recorded

A message is one line, names the part (file, line, field, address) and says what to do. Commands
print it on stderr and exit 1; Airflow retries only ``retriable`` errors.
"""

from __future__ import annotations

from typing import ClassVar


class ZancError(Exception):
    """Root of every error that we raise on purpose."""

    retriable: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class ConfigError(ZancError):
    """A file under ``config/``, ``models/`` or an environment variable is wrong."""


class DataError(ZancError):
    """What was received cannot be accepted as it is."""


class UnknownConvenio(DataError):
    """A file or a command names a convênio that has no folder under ``config/convenios/``."""


class UnavailableError(ZancError):
    """A part of the system does not answer; a retry succeeds when it is back."""

    retriable = True

    def __init__(self, part: str, address: str, why: object = "") -> None:
        self.part, self.address = part, address
        detail = f": {why}" if str(why) else ""
        super().__init__(f"{part} at {address} does not answer{detail}")


class StackError(ZancError):
    """A local process could not be installed, started or stopped."""


class ConflictError(ZancError):
    """The request contradicts what is already recorded (a duplicate, a wrong state)."""
