"""The summaries made again from the whole log: to check those that are kept, or to replace them."""

# ruff: noqa: S608 (the texts are put together from constants of the package only)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zanc_pipeline.common.database import copy_table, transaction
from zanc_pipeline.common.masking import mask
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.localization.binary_copy import copy_columns
from zanc_pipeline.localization.folding import fold
from zanc_pipeline.localization.logbook import all_calls, archived_files, parquet_calls
from zanc_pipeline.localization.queries import (
    ANSWER_HOURS,
    ARCHIVED,
    PAIR_COLUMNS,
    PHONE_COLUMNS,
    STAGE_SUMMARIES,
)

_PAIRS = ", ".join(PAIR_COLUMNS)
_COUNTS = tuple(name for name in PHONE_COLUMNS if name != "answer_hours")
_PHONES = ", ".join(_COUNTS)

_SORTED = (
    "(SELECT array_agg(get_byte({hours}, i) ORDER BY get_byte({hours}, i)) "
    "FROM generate_series(0, length({hours}) - 1) i)"
)

# The order in which answers came decides the order of their hours, and which of very many stay.
_COMPARE = f"""
    CREATE TEMP TABLE wrong_pair ON COMMIT DROP AS
        SELECT cpf, phone
        FROM (SELECT cpf, phone, {_PAIRS} FROM incoming_pair) l
        FULL JOIN (SELECT cpf, phone, {_PAIRS} FROM localization.person_phone) k
            USING (cpf, phone)
        WHERE l.attempts IS NULL AND ({{no_calls}})
           OR l.attempts IS NOT NULL AND ({", ".join(f"l.{name}" for name in PAIR_COLUMNS)})
              IS DISTINCT FROM ({", ".join(f"k.{name}" for name in PAIR_COLUMNS)});
    CREATE TEMP TABLE wrong_phone ON COMMIT DROP AS
        SELECT phone
        FROM (SELECT * FROM incoming_phone) l
        FULL JOIN localization.phone k USING (phone)
        FULL JOIN (SELECT phone, count(*)::integer AS people
                   FROM localization.person_phone GROUP BY phone) p USING (phone)
        WHERE coalesce(p.people, 0) IS DISTINCT FROM k.people
           OR l.attempts IS NULL AND k.attempts <> 0
           OR l.attempts IS NOT NULL AND (
              ({", ".join(f"l.{name}" for name in _COUNTS)})
              IS DISTINCT FROM ({", ".join(f"k.{name}" for name in _COUNTS)})
              OR length(l.answer_hours) IS DISTINCT FROM length(k.answer_hours)
              OR length(l.answer_hours) < {ANSWER_HOURS} AND l.answer_hours <> k.answer_hours
                 AND {_SORTED.format(hours="l.answer_hours")}
                     <> {_SORTED.format(hours="k.answer_hours")});
""".format(no_calls="k.attempts <> 0 OR k.last_attempt_at IS NOT NULL")

_COUNT = """
    SELECT (SELECT count(*) FROM localization.person_phone) AS pairs,
           (SELECT count(*) FROM localization.phone) AS phones,
           (SELECT count(*) FROM wrong_pair) + (SELECT count(*) FROM wrong_phone) AS differing,
           (SELECT count(*) FROM localization.call_key k WHERE NOT {archived})
               + (SELECT coalesce(sum(length(marks)), 0) / 8 FROM localization.archived_key)
               AS keys,
           (SELECT array_agg(cpf) FROM (SELECT cpf FROM wrong_pair ORDER BY 1 LIMIT 5) d)
               AS people,
           (SELECT array_agg(phone) FROM (SELECT phone FROM wrong_phone ORDER BY 1 LIMIT 5) d)
               AS numbers
""".format(archived=ARCHIVED.format(key="k.key"))

_REPLACE = f"""
    UPDATE localization.person_phone k SET ({_PAIRS}) =
        ROW (0, 0, 0, 0, NULL, NULL, NULL, NULL, 0, NULL, NULL, false)
    FROM wrong_pair w WHERE k.cpf = w.cpf AND k.phone = w.phone;
    INSERT INTO localization.person_phone AS k
        (cpf, phone, mobile, source, first_seen, last_seen, {_PAIRS})
    SELECT cpf, phone, length(phone) = 11, source,
           (first_at AT TIME ZONE 'America/Sao_Paulo')::date,
           (last_attempt_at AT TIME ZONE 'America/Sao_Paulo')::date, {_PAIRS}
    FROM incoming_pair JOIN wrong_pair USING (cpf, phone)
    ON CONFLICT (cpf, phone) DO UPDATE SET
        first_seen = least(k.first_seen, excluded.first_seen),
        {", ".join(f"{name} = excluded.{name}" for name in PAIR_COLUMNS)};
    DELETE FROM localization.phone k USING wrong_phone w WHERE k.phone = w.phone;
    INSERT INTO localization.phone (phone, people, {_PHONES}, answer_hours)
    SELECT w.phone, coalesce(p.people, 0), coalesce(l.attempts, 0), coalesce(l.answers, 0),
           coalesce(l.invalids, 0), l.last_attempt_at, l.last_answer_at, l.last_invalid_at,
           coalesce(l.answer_hours, '')
    FROM (SELECT phone FROM wrong_phone UNION SELECT phone FROM wrong_pair) w
    LEFT JOIN incoming_phone l USING (phone)
    LEFT JOIN (SELECT phone, count(*)::integer AS people FROM localization.person_phone
               GROUP BY phone) p USING (phone)
    WHERE p.people > 0 OR l.attempts > 0
    ON CONFLICT (phone) DO UPDATE SET people = excluded.people;
"""

_ADD_KEYS = """
    INSERT INTO localization.call_key
    SELECT key FROM (SELECT DISTINCT md5(crm || E'\\t' || call_id)::uuid AS key FROM {table}) k
    WHERE NOT {archived} ORDER BY key
    ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """The summaries beside the log: ``differing`` of ``pairs`` and ``phones`` are not as it says.

    ``calls`` are in the log, archived months included; ``keys`` identities are kept, as many.
    ``examples`` are masked CPFs and phones of what differs.
    """

    calls: int
    keys: int
    pairs: int
    phones: int
    differing: int
    examples: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Whether nothing differs."""
        return not self.differing and self.calls == self.keys


def verify(settings: Settings, *, progress: Callable[[int], None] | None = None) -> Verification:
    """Make every summary again from the log and compare; who writes meanwhile is not held up.

    ``progress`` is told the calls of each part that is read.
    """
    with transaction(settings, "zanc", application="zanc localization verify") as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return _compare(settings, cursor, progress)


def rebuild(settings: Settings, *, progress: Callable[[int], None] | None = None) -> Verification:
    """``verify``, and replace what differs; calls that are reported meanwhile wait."""
    with transaction(settings, "zanc", application="zanc localization rebuild") as cursor:
        cursor.execute("LOCK TABLE localization.call_key IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute("LOCK TABLE localization.person_phone IN SHARE ROW EXCLUSIVE MODE")
        found = _compare(settings, cursor, progress)
        if found.differing:
            cursor.execute(_REPLACE)
        if found.calls != found.keys:
            _rebuild_keys(settings, cursor)
    return found


def _compare(
    settings: Settings, cursor: Any, progress: Callable[[int], None] | None
) -> Verification:
    calls = 0
    cursor.execute(STAGE_SUMMARIES)
    cursor.execute("SELECT pg_export_snapshot() AS snapshot")
    snapshot = cursor.fetchone()["snapshot"]
    # The log is read through a connection of its own, as of the same moment: so the summaries of
    # one part can be put away while the next is read.
    with transaction(settings, "zanc", application="zanc localization verify") as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SET TRANSACTION SNAPSHOT %s", (snapshot,))
        for table in all_calls(settings, reader):
            summaries = fold(table)
            copy_columns(cursor, "incoming_pair", summaries.pairs)
            copy_columns(cursor, "incoming_phone", summaries.phones)
            calls += table.num_rows
            if progress is not None:
                progress(table.num_rows)
    cursor.execute("ANALYZE incoming_pair; ANALYZE incoming_phone")
    cursor.execute(_COMPARE)
    cursor.execute(_COUNT)
    row = cursor.fetchone()
    return Verification(
        calls=calls,
        keys=row["keys"],
        pairs=row["pairs"],
        phones=row["phones"],
        differing=row["differing"],
        examples=tuple(mask(text) for text in (*(row["people"] or ()), *(row["numbers"] or ()))),
    )


def _rebuild_keys(settings: Settings, cursor: Any) -> None:
    """Add the identities that are missing: of calls that came past the rules of the base."""
    archived = ARCHIVED.format(key="k.key")
    cursor.execute(_ADD_KEYS.format(table="localization.call", archived=archived))
    cursor.execute("CREATE TEMP TABLE seen_call (crm text, call_id text) ON COMMIT DROP")
    for path in archived_files(settings, cursor):
        for table in parquet_calls(path):
            copy_table(cursor, "seen_call", table.select(["crm", "call_id"]))
    cursor.execute(_ADD_KEYS.format(table="seen_call", archived=archived))
