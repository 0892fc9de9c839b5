"""What is wrong with a row or with a whole file, in words for the clerk."""

from __future__ import annotations

from dataclasses import dataclass

from zanc_pipeline.common.errors import DataError


class FileRejected(DataError):
    """The whole file is quarantined; the message says why and what to do, in Portuguese.

    ``rules`` are those behind it that a person may overrule.
    """

    def __init__(self, message: str, *, rules: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.rules = rules


@dataclass(frozen=True, kw_only=True, slots=True)
class RowProblem:
    """One field of one row that can not be accepted. ``found`` is already masked."""

    line: int
    field: str
    found: str
    problem: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RejectedRow:
    """A row left out, with its cells as they came: goes to the file for correction only."""

    line: int
    offset: int
    cells: tuple[str, ...]
    problems: tuple[RowProblem, ...]


def kind(problem: str) -> str:
    """What a problem is about, the same for every row that has it: its words before the remedy."""
    head = problem.partition(":")[0]
    return "repete o valor de outra linha" if head.startswith("repete") else head
