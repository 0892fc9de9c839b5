"""File sets: the tables of the members of a set joined into the rows of one portfolio. Pure.

Every row of every member ends in the portfolio or among the rejected ones of its member, with the
reason: a client without contract, a phone of an unknown contract, a key that repeats.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from zanc_pipeline.reception.accepted import EXTRA, PHONES, accepted_schema
from zanc_pipeline.reception.fields import masked
from zanc_pipeline.reception.layout import CANONICAL, FieldSpec, Member, SetLayout
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.problems import RejectedRow, RowProblem

_MARK = "\x1f"
_Places = npt.NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """A column of a member and which of its rows stands at each row of the main one.

    Without ``rows`` it is a column of the main member itself; a row of -1 is an empty cell.
    """

    values: pa.ChunkedArray
    rows: _Places | None = None

    def at(self, places: _Places | None = None) -> pa.Array | pa.ChunkedArray:
        """The values at rows of the main member, by default at all of them."""
        if self.rows is None:
            return self.values if places is None else self.values.take(pa.array(places))
        rows = self.rows if places is None else self.rows[places]
        return self.values.take(pa.array(np.maximum(rows, 0), mask=rows < 0))

    def empty(self) -> npt.NDArray[np.bool_]:
        """Which rows of the main member have no value here."""
        null = _numpy(pc.is_null(self.values))
        if self.rows is None:
            return null
        found: npt.NDArray[np.bool_] = self.rows < 0
        if len(null):
            found |= null[np.maximum(self.rows, 0)]
        return found


@dataclass(frozen=True, kw_only=True)
class SetJoin:
    """The portfolio of a set, and the rows of each member that are not in it.

    Only the row numbers are kept: ``batches`` puts the values of some rows together at a time.
    """

    schema: pa.Schema
    places: _Places
    columns: Mapping[str, _Taken]
    rejected: dict[str, list[RejectedRow]] = field(default_factory=dict)

    def batches(self, size: int) -> Iterator[pa.Table]:
        """The portfolio, so many rows at a time, in the order of the main member."""
        for start in range(0, len(self.places), size):
            places = self.places[start : start + size]
            columns = [self._column(item, places) for item in self.schema]
            yield pa.Table.from_arrays(columns, names=self.schema.names).cast(self.schema)

    @property
    def accepted(self) -> pa.Table:
        """All of the portfolio in one table."""
        whole = list(self.batches(max(1, len(self.places))))
        return whole[0] if whole else self.schema.empty_table()

    def _column(self, item: pa.Field, places: _Places) -> pa.Array | pa.ChunkedArray:
        if item.name not in self.columns:
            if item.name == "deceased":
                return pa.array(np.zeros(len(places), dtype=np.bool_))
            return pa.nulls(len(places), item.type)
        column = self.columns[item.name].at(places)
        return pc.fill_null(column, False) if item.name == "deceased" else column


def set_key(facts: NameFacts) -> str:
    """What the names of the files of one set have in common: the day and the running number."""
    day = f"{facts.reference_date:%Y%m%d}" if facts.reference_date else ""
    return day if facts.sequence is None else f"{day}/{facts.sequence}"


def columns_of(spec: FieldSpec) -> tuple[str, ...]:
    """The columns of a typed table that hold a field."""
    if spec.name == "telefones":
        return PHONES
    return (CANONICAL[spec.name][0] if spec.name in CANONICAL else EXTRA + spec.name,)


def join_members(layout: SetLayout, tables: Mapping[str, pa.Table]) -> SetJoin:
    """Join the accepted rows of the members (by the member's name) into one portfolio.

    Each table has the columns of ``accepted_schema(member.layout)``. The portfolio has those of
    ``accepted_schema(layout)``, one row for each row of the main member that is complete, in order;
    its ``line`` and ``offset`` are the main member's.
    """
    return _Join(layout, tables).result()


class _Join:
    def __init__(self, layout: SetLayout, tables: Mapping[str, pa.Table]) -> None:
        self._layout, self._tables = layout, tables
        self._members = {member.name: member for member in layout.members}
        self._problems: dict[str, dict[int, list[RowProblem]]] = {name: {} for name in tables}
        self._columns: dict[str, _Taken] = {}

    def result(self) -> SetJoin:
        main = self._layout.main
        table = self._tables[main.name]
        self._columns = {
            name: _Taken(values=table[name])
            for name in ("line", "offset", *_columns(main))
            if name in table.column_names
        }
        self._refuse_repeated_contracts(main)
        for member in self._in_order():
            self._attach(member)
            pa.default_memory_pool().release_unused()
        self._refuse_unfilled(main)
        keep = np.ones(table.num_rows, dtype=np.bool_)
        keep[list(self._problems[main.name])] = False
        return SetJoin(
            schema=accepted_schema(self._layout),
            places=np.flatnonzero(keep),
            columns=self._columns,
            rejected={name: self._rejected(name) for name in self._tables},
        )

    def _in_order(self) -> list[Member]:
        """The members other than the main one, each after the one that it joins."""
        main = self._layout.main.name
        done, ordered = {main}, list[Member]()
        waiting = [member for member in self._layout.members if not member.main]
        while waiting:
            ready = [member for member in waiting if (member.joins or main) in done]
            ordered += ready
            done |= {member.name for member in ready}
            waiting = [member for member in waiting if member not in ready]
        return ordered

    def _attach(self, member: Member) -> None:
        table = self._tables[member.name]
        other = self._members[member.joins] if member.joins else self._layout.main
        keys = _key(table, member, member.key)
        self._refuse_strangers(member, keys, _key(self._tables[other.name], other, member.key))
        own = {spec.name: columns_of(spec)[0] for spec in other.layout.fields}
        wanted = _key(
            {own[name]: self._columns[own[name]].at() for name in member.key}, other, member.key
        )
        if member.many:
            self._attach_many(member, keys, wanted)
            return
        first = self._refuse_repeated_keys(member, keys)
        places = _places(wanted, keys.take(pa.array(first)))
        found = places >= 0
        if member.must_match:
            self._refuse_unmatched(member, other, ~found)
        rows = np.where(found, first[places] if len(first) else -1, -1)
        for spec in member.layout.fields:
            if spec.name not in member.key:
                for name in columns_of(spec):
                    self._columns[name] = _Taken(values=table[name], rows=rows)

    def _attach_many(self, member: Member, keys: pa.Array, wanted: pa.Array) -> None:
        table = self._tables[member.name]
        distinct = pc.unique(keys.drop_null())
        group = _places(keys, distinct)
        turn = _turns(group)
        known = group >= 0
        for index in np.flatnonzero(known & (turn >= member.at_most)):
            said = f"é o {turn[index] + 1}º com a mesma chave, e o layout aceita {member.at_most}"
            self._say(member, int(index), member.key[0], f"{said}: aumente 'ate' no layout")
        places = _places(wanted, distinct)
        for number in range(member.at_most):
            row_of = np.full(len(distinct), -1, dtype=np.int32)
            here = np.flatnonzero(known & (turn == number))
            row_of[group[here]] = here
            rows = np.where(places >= 0, row_of[places] if len(row_of) else -1, -1)
            for spec in member.layout.fields:
                if spec.name in member.key:
                    continue
                spread = spec.model_copy(update={"name": f"{spec.name}_{number + 1}"})
                values = table[columns_of(spec)[0]]
                self._columns[columns_of(spread)[0]] = _Taken(values=values, rows=rows)
        if member.must_match:
            other = self._members[member.joins] if member.joins else self._layout.main
            self._refuse_unmatched(member, other, places < 0)

    def _refuse_strangers(self, member: Member, keys: pa.Array, others: pa.Array) -> None:
        other = member.joins or self._layout.main.name
        for index in np.flatnonzero(_places(keys, pc.unique(others.drop_null())) < 0):
            problem = f"não há linha com esta chave em '{other}': confirme com o credor"
            self._say(member, int(index), member.key[0], problem)

    def _refuse_repeated_keys(self, member: Member, keys: pa.Array) -> _Places:
        """The rows that come first with their key; the others are rejected."""
        places = _places(keys, pc.unique(keys.drop_null()))
        first = _first_rows(places)
        lines = self._tables[member.name]["line"].to_numpy()
        for index in np.flatnonzero(places >= 0):
            if first[places[index]] != index:
                line = lines[first[places[index]]]
                problem = f"repete a chave da linha {line}, a única aceita: confirme com o credor"
                self._say(member, int(index), member.key[0], problem)
        return first

    def _refuse_repeated_contracts(self, main: Member) -> None:
        specs = {spec.name: spec for spec in main.layout.fields}
        if "contrato" not in specs:
            return
        keys = _key(self._tables[main.name], main, ("contrato",))
        places = _places(keys, pc.unique(keys.drop_null()))
        first = _first_rows(places)
        lines = self._tables[main.name]["line"].to_numpy()
        for index in np.flatnonzero(places >= 0):
            if first[places[index]] != index:
                line = lines[first[places[index]]]
                problem = f"repete o valor da linha {line}, a única aceita: confirme com o credor"
                self._say(main, int(index), "contrato", problem)

    def _refuse_unmatched(
        self, member: Member, other: Member, missing: npt.NDArray[np.bool_]
    ) -> None:
        via = "" if other.main else f" (pela ligação de '{other.name}')"
        for index in np.flatnonzero(missing):
            problem = f"não há linha com esta chave em '{member.name}'{via}: confirme com o credor"
            self._say(self._layout.main, int(index), member.key[0], problem)

    def _refuse_unfilled(self, main: Member) -> None:
        refused = self._problems[main.name]
        for spec in self._layout.fields:
            name = columns_of(spec)[0]
            if not spec.must_be_filled or name not in self._columns:
                continue
            for index in np.flatnonzero(self._columns[name].empty()):
                if int(index) not in refused:
                    problem = "o campo está vazio e é obrigatório: peça o valor ao credor"
                    self._say(main, int(index), spec.name, problem)

    def _say(self, member: Member, index: int, name: str, problem: str) -> None:
        table = self._tables[member.name]
        spec = next((spec for spec in member.layout.fields if spec.name == name), None)
        found = "" if spec is None else masked(spec, _text(table[columns_of(spec)[0]][index]))
        line = table["line"][index].as_py()
        trouble = RowProblem(line=line, field=name, found=found, problem=problem)
        self._problems[member.name].setdefault(index, []).append(trouble)

    def _rejected(self, name: str) -> list[RejectedRow]:
        table, member = self._tables[name], self._members[name]
        return [
            RejectedRow(
                line=table["line"][index].as_py(),
                offset=table["offset"][index].as_py(),
                cells=tuple(
                    _text(table[columns_of(spec)[0]][index]) for spec in member.layout.fields
                ),
                problems=tuple(problems),
            )
            for index, problems in sorted(self._problems[name].items())
        ]


def _columns(member: Member) -> list[str]:
    return [name for spec in member.layout.fields for name in columns_of(spec)]


def _key(
    table: pa.Table | Mapping[str, pa.Array], member: Member, names: tuple[str, ...]
) -> pa.Array:
    """One text a row: the values of the key; null where one of them is empty."""
    specs = {spec.name: spec for spec in member.layout.fields}
    parts = [pc.cast(table[columns_of(specs[name])[0]], pa.string()) for name in names]
    keys = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, _MARK)
    return keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys


def _places(values: pa.Array, among: pa.Array) -> _Places:
    """Where each value stands in ``among``; -1 where it does not."""
    found = pc.index_in(values, value_set=among, skip_nulls=True)
    places: _Places = pc.fill_null(found, -1).to_numpy(zero_copy_only=False)
    return places


def _turns(group: _Places) -> _Places:
    """How many rows with the same group number stand before each row."""
    order = np.argsort(group, kind="stable").astype(np.int32)
    starts = np.flatnonzero(np.diff(group[order], prepend=-2)).astype(np.int32)
    sizes = np.diff(np.append(starts, len(group)))
    turn = np.empty(len(group), dtype=np.int32)
    turn[order] = np.arange(len(group), dtype=np.int32) - np.repeat(starts, sizes)
    return turn


def _first_rows(places: _Places) -> _Places:
    """For each group number, its first row."""
    first = np.full(int(places.max(initial=-1)) + 1, -1, dtype=np.int32)
    rows = np.flatnonzero(places >= 0)[::-1]
    first[places[rows]] = rows  # of rows with one number, the last written stays: the first
    return first


def _numpy(values: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = (
        values.to_numpy(zero_copy_only=False) if isinstance(values, pa.Array) else values.to_numpy()
    )
    return mask


def _text(value: pa.Scalar) -> str:
    found = value.as_py()
    return "" if found is None else str(found)
