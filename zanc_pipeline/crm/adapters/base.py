"""What every CRM adapter does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Protocol

from zanc_pipeline.crm.entities import CallOutcome, Loaded, Portfolio


class CrmAdapter(Protocol):
    """A CRM. Every method may be repeated: the second time it changes nothing.

    All raise UnavailableError, with the address, when the CRM does not answer, and ConfigError
    when its tables are not as they should be.
    """

    unit: ClassVar[Literal["contracts", "clients"]]
    """What one row of the CRM's portfolio is."""

    def ensure(self) -> None:
        """Create the tables or folders that are missing and check those that are there."""

    def load(self, portfolio: Portfolio) -> Loaded:
        """Take the whole delivery and its mark in one transaction, or nothing of it."""

    def add(self, added: Portfolio) -> Loaded:
        """Take payments or phones and their mark in one transaction, or nothing of them.

        A CRM without a table of them takes what it can: which contracts were paid off.
        """

    def loaded(self, delivery_id: int) -> Loaded | None:
        """What the CRM's own mark says of the delivery; None when it is not in."""

    def rollback(self, delivery_id: int) -> bool:
        """Restore what the delivery overwrote and remove its mark; False when it is not in.

        The caller has checked that no later delivery of the convênio is in the CRM.
        """

    def record_outcomes(self, batch: int, outcomes: Sequence[CallOutcome]) -> None:
        """Take the outcomes; ``batch`` always names this very set.

        A call that comes again, in a later batch, was tabulated late: it replaces what was said.
        """

    def count(self) -> dict[str, int]:
        """Open rows of each convênio."""
