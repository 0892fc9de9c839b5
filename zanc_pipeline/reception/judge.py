"""The file and business tiers over one reading: history, order, content, the CRM.

A ``Judge`` sits between the rows and where they go: it digests and compares what passes, keeps no
row, and at the end says whether the file as a whole can be believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from types import TracebackType
from typing import Self

import pyarrow as pa

from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import business
from zanc_pipeline.reception.content import ContentDigest
from zanc_pipeline.reception.findings import FileHeld, Finding, refuse
from zanc_pipeline.reception.history import Gap, judge_sequence, judge_volume, usual
from zanc_pipeline.reception.known_contracts import judge_days
from zanc_pipeline.reception.layout import AnyLayout, Layout
from zanc_pipeline.reception.ledger import Delivery, Standing
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.problems import FileRejected, RowProblem
from zanc_pipeline.reception.rejections import Rejections
from zanc_pipeline.reception.validate import Sink, Validation


@dataclass(kw_only=True)
class Judge:
    """What is asked of one delivery beyond its rows; a context manager over its connection.

    ``decided`` are the rules that a person overruled for it. ``repeats`` tells whether the
    accepted rows, by their digest, are those of another delivery: such a file needs no judgement.
    """

    settings: Settings
    delivery: Delivery
    standing: Standing
    decided: frozenset[str] = frozenset()
    root: int | None = None
    """The delivery whose bytes are read again, when this one corrects it."""
    better_than: int | None = None
    """Rows that the corrected delivery had accepted: a correction must bring more."""
    repeats: Callable[[str], bool] = lambda _digest: False
    findings: list[Finding] = field(default_factory=list)
    digest: ContentDigest = field(default_factory=ContentDigest)
    _witness: business.CrmWitness | None = None

    def __enter__(self) -> Self:
        self._witness = business.CrmWitness(
            self.settings, self.delivery.convenio, decided=self.decided
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._witness is not None:
            self._witness.close()

    def over(self, sink: Sink) -> Sink:
        """``sink``, with this judge looking on."""
        return _Watched(self, sink)

    def start(self, layout: AnyLayout) -> None:
        """Begin a reading, or begin it again."""
        self.digest = ContentDigest()
        if self._witness is not None:
            self._witness.start(layout)

    def check(self, rows: pa.Table) -> Mapping[int, list[RowProblem]]:
        """The problems that the CRM has with typed rows, by their index."""
        return self._witness.check(rows) if self._witness is not None else {}

    def completed(self, rows: pa.Table) -> pa.Table:
        """The rows that ``check`` let pass, with what the CRM knows and the file does not say."""
        return self._witness.completed(rows) if self._witness is not None else rows

    def conclude(
        self,
        layout: AnyLayout,
        facts: NameFacts,
        day: date,
        validation: Validation,
        first: FileRejected | None = None,
    ) -> None:
        """Judge the whole file, which ``first`` may refuse already.

        Raises FileHeld when others must come first, FileRejected with all that is against it.
        """
        if first is None and self.repeats(self.digest.text):
            return
        if self.better_than is not None and validation.rows_accepted <= self.better_than:
            raise FileRejected(
                "nenhuma das linhas corrigidas passou: veja abaixo o que ainda falta em cada uma",
                rules=self._refusing_rules,
            )
        if self.root is None and "sequencia" not in self.decided:
            turn = judge_sequence(
                layout.sequence, facts.sequence, day, self.standing.of(layout.content)
            )
            if isinstance(turn, Gap) and first is not None:
                raise first
            if isinstance(turn, Gap):
                raise FileHeld(
                    f"{turn.words}: este é o {facts.sequence} e segue sozinho quando o que falta "
                    "for aceito; se não vier, peça-o ao credor ou libere este",
                    rules=("sequencia",),
                )
            self.findings += [turn] if turn is not None else []
        self.findings += [
            finding
            for finding in self._against(layout, day, validation)
            if finding.rule not in self.decided
        ]
        refuse(self.findings, first)

    @property
    def _refusing_rules(self) -> tuple[str, ...]:
        """The rules that a person may overrule by which rows were rejected one by one."""
        return () if self._witness is None else tuple(sorted(self._witness.seen.refused))

    def _against(self, layout: AnyLayout, day: date, validation: Validation) -> Iterator[Finding]:
        if layout.content != "carteira":
            # What was paid stays paid, and a phone known: in any order and of any number.
            if self._witness is not None:
                yield from judge_days(self._witness.seen.paid, day)
            return
        past = self.standing.of(layout.content)
        newest = next(((one.day, one.delivery_id) for one in past if one.day), None)
        own = (day, self.root) if self.root is not None else (day, newest[1] if newest else 0)
        if newest is not None and newest > own:
            yield Finding(
                found=f"o arquivo é de {day:%d/%m/%Y} e a entrega {newest[1]}, de "
                f"{newest[0]:%d/%m/%Y}, já foi aceita",
                expected="um arquivo mais novo",
                remedy="um arquivo mais antigo não substitui um mais novo; se este deve valer, "
                f"tire aquela do CRM (zanc crm rollback {newest[1]}) e reprocesse",
            )
        if self.root is None:
            volume = judge_volume(validation.rows_total, usual(past, day), layout.limits)
            if volume is not None:
                yield volume
        if self._witness is not None:
            yield from business.judge(self._witness.seen, layout.limits)


class _Watched:
    """A sink whose accepted rows are digested on their way."""

    def __init__(self, judge: Judge, sink: Sink) -> None:
        self._judge, self._sink = judge, sink

    def start(self, layout: Layout) -> None:
        self._judge.start(layout)
        self._sink.start(layout)

    def accept(self, rows: pa.Table) -> None:
        rows = self._judge.completed(rows)
        self._judge.digest.add(rows)
        self._sink.accept(rows)

    def reject(self, rows: Rejections) -> None:
        self._sink.reject(rows)
