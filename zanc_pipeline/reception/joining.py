"""A file that is one of a set: it waits for the others, then all of them become one portfolio."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception.accepted import accepted_schema
from zanc_pipeline.reception.aside import AsideFiles
from zanc_pipeline.reception.drift.fingerprint import Witness
from zanc_pipeline.reception.drift.hook import Aside, judged
from zanc_pipeline.reception.drift.members import Within
from zanc_pipeline.reception.judge import Judge
from zanc_pipeline.reception.layout import Layout, Member, SetLayout, load_layouts, member_of
from zanc_pipeline.reception.ledger import Delivery
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.problems import FileRejected, RejectedRow, RowProblem, kind
from zanc_pipeline.reception.process import (
    Processed,
    business_day,
    layout_folders,
    process,
    status_of,
)
from zanc_pipeline.reception.rejections import Rejections
from zanc_pipeline.reception.sets import columns_of, join_members, set_key
from zanc_pipeline.reception.validate import KEPT_ROWS, Validation, refused

RULE = "conjunto"
_ROWS_AT_ONCE = 50_000
_MEMBER = "member.parquet"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Which file of which set a delivery is; ``key`` is the same for all files of one set."""

    layout: SetLayout
    member: Member
    facts: NameFacts
    day: date

    @property
    def key(self) -> str:
        """The day and the running number of the set."""
        return set_key(self.facts) or f"{self.day:%Y%m%d}"


def place_of(settings: Settings, delivery: Delivery) -> Place | None:
    """The delivery's place in a set of its convênio, or None when its name is of no set."""
    found: Place | None = None
    for layout in load_layouts(*layout_folders(settings, delivery.convenio)):
        here = member_of(layout, delivery.file_name) if isinstance(layout, SetLayout) else None
        if here is None or not isinstance(layout, SetLayout):
            continue
        day = business_day(delivery, here[1])
        if layout.effective <= day:
            found = Place(layout=layout, member=here[0], facts=here[1], day=day)
    return found


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The deliveries of one set that are there, by member; of two of one member, the newer."""

    place: Place
    found: Mapping[str, Delivery]
    replaced: Mapping[int, Delivery] = field(default_factory=dict)
    """A delivery's id → the newer one of the same member."""

    @classmethod
    def among(cls, settings: Settings, place: Place, waiting: Iterable[Delivery]) -> Parts:
        """Those of ``waiting`` that belong to the set of ``place``."""
        found: dict[str, Delivery] = {}
        replaced: dict[int, Delivery] = {}
        for delivery in sorted(waiting, key=lambda one: one.id):
            other = place_of(settings, delivery)
            if other is None or other.key != place.key:
                continue
            name = other.member.name
            if name in found:
                replaced[found[name].id] = delivery
            found[name] = delivery
        return cls(place=place, found=found, replaced=replaced)

    @property
    def missing(self) -> list[Member]:
        """The members of the set whose file has not come."""
        return [one for one in self.place.layout.members if one.name not in self.found]

    def complete(self, decided: frozenset[str]) -> bool:
        """Whether the set can be joined; a person may do without files that no row needs."""
        if RULE not in decided:
            return not self.missing
        return not any(one.main or one.must_match for one in self.missing)

    @property
    def wait(self) -> str:
        """For whom the set waits, in Portuguese."""
        names = ", ".join(f"{one.name} ({', '.join(one.layout.files)})" for one in self.missing)
        return (
            f"aguardando o resto do conjunto de {self.place.day:%d/%m/%Y}: {names}; segue sozinho "
            "quando tudo chegar"
        )


@dataclass(kw_only=True)
class MemberRows:
    """A sink that keeps the accepted rows of a member and writes the rejected ones."""

    files: AsideFiles
    tables: list[pa.Table] = field(default_factory=list)

    def start(self, layout: Layout) -> None:
        """Begin, or begin again."""
        self.tables = [accepted_schema(layout).empty_table()]
        self.files.start(layout)

    def table(self, layout: Layout) -> pa.Table:
        """The rows that were kept, in the columns of ``layout``."""
        schema = accepted_schema(layout)
        kept = [one.select(schema.names) for one in self.tables]
        return pa.concat_tables(kept or [schema.empty_table()]).combine_chunks()

    def accept(self, rows: pa.Table) -> None:
        """Keep accepted rows for the joining."""
        self.tables.append(rows.cast(self.tables[0].schema))

    def reject(self, rows: Rejections) -> None:
        """Write rejected rows."""
        self.files.reject(rows)


def read_member(
    settings: Settings,
    place: Place,
    delivery: Delivery,
    content: Path,
    files: AsideFiles,
    decided: frozenset[str] = frozenset(),
) -> tuple[Processed, pa.Table]:
    """Judge the rows of one file of a set by its own layout, or by another that is proved.

    ``decided`` are the rules that a person overruled for it. With the verdict: the rows it brings.
    """
    rows = MemberRows(files=files)
    own = place.member.layout

    def read(layout: Layout | None, witness: Witness, keep: bool, aside: Aside) -> Processed:
        return process(
            settings,
            delivery,
            content,
            sink=rows if keep else None,
            scratch=files.folder,
            layout=(layout, place.facts) if layout is not None else None,
            watch=witness.watch,
            aside=aside,
            decided=decided,
        )

    def kept() -> Path:
        path = files.folder / _MEMBER
        pq.write_table(rows.table(own), path)
        return path

    within = Within(layout=place.layout, member=place.member)
    result = judged(settings, delivery, content, read, kept, decided, within=within)
    return result, rows.table(own)


def join(
    place: Place,
    judge: Judge,
    results: Mapping[str, Processed],
    tables: Mapping[str, pa.Table],
    files: Mapping[str, AsideFiles],
) -> None:
    """Join the members' rows, judge the portfolio, and set the verdict of every result.

    ``tables`` has every member of the set, those that did not come as empty ones. The portfolio
    goes to the main member's files, each row left out to those of its own member.
    """
    layout, main = place.layout, place.layout.main
    joined = join_members(layout, tables)
    for name, result in results.items():
        _add(result, joined.rejected.get(name, []), files[name])
    result = results[main.name]
    assert result.validation is not None
    files[main.name].accept_as(layout)
    judge.start(layout)
    accepted, total = 0, Decimal(0)
    for rows in joined.batches(_ROWS_AT_ONCE):
        against = judge.check(rows)
        keep = np.ones(rows.num_rows, dtype=np.bool_)
        keep[list(against)] = False
        _add(
            result,
            [_left_out(main, rows, index, problems) for index, problems in against.items()],
            files[main.name],
        )
        rows = rows.filter(pa.array(keep))
        judge.digest.add(rows)
        files[main.name].accept(rows)
        accepted += rows.num_rows
        total += Decimal(pc.sum(rows["amount"]).as_py() or 0)
    result.validation.rows_accepted = accepted
    result.validation.totals["valor"] = total
    _conclude(place, judge, result)


def _conclude(place: Place, judge: Judge, result: Processed) -> None:
    validation = result.validation
    assert validation is not None
    refusal: FileRejected | None = None
    try:
        refusal = refused(place.layout, validation, decided=judge.decided)
        judge.conclude(place.layout, place.facts, place.day, validation, refusal)
    except FileRejected as error:
        refusal = error
    result.findings = judge.findings
    result.verdict = replace(
        result.verdict,
        status=status_of(refusal),
        reason=None if refusal is None else str(refusal),
        rules=() if refusal is None else refusal.rules,
        rows_accepted=validation.rows_accepted if refusal is None else 0,
        content_digest=judge.digest.text if refusal is None else None,
    )


def _add(result: Processed, rows: list[RejectedRow], files: AsideFiles) -> None:
    """Count rows of a member as rejected that its own layout had accepted."""
    validation = result.validation
    assert isinstance(validation, Validation)
    for row in rows:
        files.reject_row(row)
        for problem in row.problems:
            validation.kinds[problem.field, kind(problem.problem)] += 1
            validation.problems += 1
    validation.examples = (validation.examples + [p for row in rows for p in row.problems])[:20]
    validation.rejected = (list(validation.rejected) + rows)[:KEPT_ROWS]
    validation.rows_rejected += len(rows)
    validation.rows_accepted -= len(rows)
    result.verdict = replace(
        result.verdict,
        rows_accepted=validation.rows_accepted,
        rows_rejected=validation.rows_rejected,
    )


def _left_out(main: Member, rows: pa.Table, index: int, problems: list[RowProblem]) -> RejectedRow:
    values = [rows[columns_of(spec)[0]][index].as_py() for spec in main.layout.fields]
    return RejectedRow(
        line=rows["line"][index].as_py(),
        offset=rows["offset"][index].as_py(),
        cells=tuple("" if value is None else str(value) for value in values),
        problems=tuple(problems),
    )
