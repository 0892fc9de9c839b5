"""The SQL of the localization base, with psycopg2's named parameters.

``positional`` rewrites a query for asyncpg, so that the service and the commands share it. Whoever
writes takes locks in one order: keys by key, then the log, pairs by (phone, cpf), phones by phone.
"""

# ruff: noqa: S608 (the texts are put together from constants of this module only)

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from zanc_pipeline.common.outcomes import PERSON_ANSWERED, Outcome, Tabulation
from zanc_pipeline.localization import calls

MISSES = (Outcome.MACHINE, Outcome.BUSY, Outcome.NO_ANSWER, Outcome.INVALID_NUMBER)
"""Nobody answered. A call that the network lost or that was cancelled says nothing of the phone."""

RIGHT_PARTIES = tuple(tabulation for tabulation in Tabulation if tabulation.right_party)

ANSWER_HOURS = 512
"""So many answers of a phone keep their hour of the week."""


def _literals(values: object) -> str:
    assert isinstance(values, tuple | list | frozenset)
    return ", ".join(f"'{value}'" for value in sorted(values))


_ANSWERS = _literals(PERSON_ANSWERED)
_MISSES = _literals(MISSES)
_RIGHT_PARTY = _literals(RIGHT_PARTIES)
_LOCAL = "AT TIME ZONE 'America/Sao_Paulo'"

_HOUR_OF_WEEK = f"""
    set_byte('\\x00'::bytea, 0, (extract(dow FROM started_at {_LOCAL}) * 24
                                + extract(hour FROM started_at {_LOCAL}))::integer)
"""

PAIR_COLUMNS = (
    "attempts",
    "answers",
    "right_parties",
    "misses_in_a_row",
    "last_outcome",
    "last_attempt_at",
    "last_answer_at",
    "last_right_party_at",
    "invalids",
    "last_invalid_at",
    "last_wrong_person_at",
    "deceased",
)
"""What ``person_phone`` says of the calls of a pair."""

PHONE_COLUMNS = (
    "attempts",
    "answers",
    "invalids",
    "last_attempt_at",
    "last_answer_at",
    "last_invalid_at",
    "answer_hours",
)
"""What ``phone`` says of the calls to a phone."""

_PAIR_SUMMARY = f"""
    SELECT cpf, phone, (array_agg(crm ORDER BY started_at, crm))[1] AS source,
           min(started_at) AS first_at,
           count(*)::integer AS attempts,
           count(*) FILTER (WHERE outcome IN ({_ANSWERS}))::integer AS answers,
           count(*) FILTER (WHERE tabulation IN ({_RIGHT_PARTY}))::integer AS right_parties,
           count(*) FILTER (WHERE outcome IN ({_MISSES})
                            AND (answered_at IS NULL OR started_at > answered_at))::integer
               AS misses_in_a_row,
           (array_agg(outcome ORDER BY started_at DESC, outcome DESC))[1] AS last_outcome,
           max(started_at) AS last_attempt_at,
           max(answered_at) AS last_answer_at,
           max(started_at) FILTER (WHERE tabulation IN ({_RIGHT_PARTY})) AS last_right_party_at,
           count(*) FILTER (WHERE outcome = 'invalid_number')::integer AS invalids,
           max(started_at) FILTER (WHERE outcome = 'invalid_number') AS last_invalid_at,
           max(started_at) FILTER (WHERE tabulation = 'wrong_person') AS last_wrong_person_at,
           coalesce(bool_or(tabulation = 'deceased'), false) AS deceased
    FROM (SELECT *, max(started_at) FILTER (WHERE outcome IN ({_ANSWERS}))
                    OVER (PARTITION BY cpf, phone) AS answered_at
          FROM accepted) c
    GROUP BY cpf, phone
"""

_PHONE_SUMMARY = f"""
    SELECT phone, count(*)::integer AS attempts,
           count(*) FILTER (WHERE outcome IN ({_ANSWERS}))::integer AS answers,
           count(*) FILTER (WHERE outcome = 'invalid_number')::integer AS invalids,
           max(started_at) AS last_attempt_at,
           max(started_at) FILTER (WHERE outcome IN ({_ANSWERS})) AS last_answer_at,
           max(started_at) FILTER (WHERE outcome = 'invalid_number') AS last_invalid_at,
           coalesce(string_agg({_HOUR_OF_WEEK}, '' ORDER BY started_at)
                    FILTER (WHERE outcome IN ({_ANSWERS})), '') AS answer_hours
    FROM accepted GROUP BY phone
"""

# Sums, maxima and "the latest" do not depend on the order in which calls arrive. Only the misses
# since the last answer may: when the new calls alone cannot tell, −1 asks for RECOUNT_MISSES.
_MERGE_PAIRS = f"""
    INSERT INTO localization.person_phone AS p
        (cpf, phone, mobile, source, first_seen, last_seen, {", ".join(PAIR_COLUMNS)})
    SELECT cpf, phone, length(phone) = 11, source, (first_at {_LOCAL})::date,
           (last_attempt_at {_LOCAL})::date, {", ".join(PAIR_COLUMNS)}
    FROM {{pairs}} ORDER BY phone, cpf
    ON CONFLICT (cpf, phone) DO UPDATE SET
        first_seen = least(p.first_seen, excluded.first_seen),
        attempts = p.attempts + excluded.attempts,
        answers = p.answers + excluded.answers,
        right_parties = p.right_parties + excluded.right_parties,
        misses_in_a_row = CASE
            WHEN excluded.last_answer_at IS NULL AND (
                p.last_answer_at IS NULL
                OR excluded.attempts = 1 AND excluded.last_attempt_at > p.last_answer_at
                OR excluded.first_seen > (p.last_answer_at {_LOCAL})::date)
                THEN p.misses_in_a_row + excluded.misses_in_a_row
            WHEN excluded.last_answer_at IS NOT NULL
                 AND coalesce(p.last_attempt_at <= excluded.last_answer_at, true)
                THEN excluded.misses_in_a_row
            ELSE -1 END,
        last_outcome = CASE
            WHEN p.last_attempt_at IS NULL
                 OR (excluded.last_attempt_at, excluded.last_outcome)
                    > (p.last_attempt_at, p.last_outcome)
                THEN excluded.last_outcome ELSE p.last_outcome END,
        last_attempt_at = greatest(p.last_attempt_at, excluded.last_attempt_at),
        last_answer_at = greatest(p.last_answer_at, excluded.last_answer_at),
        last_right_party_at = greatest(p.last_right_party_at, excluded.last_right_party_at),
        invalids = p.invalids + excluded.invalids,
        last_invalid_at = greatest(p.last_invalid_at, excluded.last_invalid_at),
        last_wrong_person_at = greatest(p.last_wrong_person_at, excluded.last_wrong_person_at),
        deceased = p.deceased OR excluded.deceased
    RETURNING cpf, phone, misses_in_a_row, xmax = 0 AS is_new
"""

_MERGE_PHONES = f"""
    INSERT INTO localization.phone AS f (phone, people, {", ".join(PHONE_COLUMNS)})
    SELECT s.phone, coalesce(n.people, 0), {", ".join(f"s.{name}" for name in PHONE_COLUMNS)}
    FROM {{phones}} s LEFT JOIN (
        SELECT phone, count(*)::integer AS people FROM {{merged}} WHERE is_new GROUP BY phone
    ) n USING (phone)
    ORDER BY s.phone
    ON CONFLICT (phone) DO UPDATE SET
        people = f.people + excluded.people,
        attempts = f.attempts + excluded.attempts,
        answers = f.answers + excluded.answers,
        invalids = f.invalids + excluded.invalids,
        last_attempt_at = greatest(f.last_attempt_at, excluded.last_attempt_at),
        last_answer_at = greatest(f.last_answer_at, excluded.last_answer_at),
        last_invalid_at = greatest(f.last_invalid_at, excluded.last_invalid_at),
        answer_hours = CASE
            WHEN excluded.answers = 0 THEN f.answer_hours
            ELSE substring(f.answer_hours || excluded.answer_hours
                           FROM greatest(length(f.answer_hours) + length(excluded.answer_hours)
                                         - {ANSWER_HOURS - 1}, 1)) END
"""

ARCHIVED = (
    "EXISTS (SELECT FROM localization.archived_key a WHERE a.bucket = "
    "localization.key_bucket({key}) AND position(localization.key_mark({key}) IN a.marks) > 0)"
)
"""Whether the identity ``{key}`` is that of an archived call."""

CALL_COLUMNS = ("crm", *calls.CALL_COLUMNS)
_COLUMNS = ", ".join(CALL_COLUMNS)

RECORD = f"""
    WITH incoming AS MATERIALIZED (
        SELECT DISTINCT ON (key) *
        FROM (SELECT md5(crm || E'\\t' || call_id)::uuid AS key, x.*
              FROM unnest(%(crm)s::text[], %(call_id)s::text[], %(cpf)s::text[], %(phone)s::text[],
                          %(started_at)s::timestamptz[], %(ring_seconds)s::real[],
                          %(talk_seconds)s::real[], %(outcome)s::text[], %(tabulation)s::text[],
                          %(convenio)s::text[]) WITH ORDINALITY
                   AS x ({_COLUMNS}, position)) y
        ORDER BY key, position
    ), taken AS MATERIALIZED (
        SELECT * FROM incoming
        WHERE started_at >= (SELECT coalesce(max(ends_at), '-infinity') FROM localization.archive)
          AND NOT {ARCHIVED.format(key="key")}
    ), added AS (
        INSERT INTO localization.call_key SELECT key FROM taken ORDER BY key
        ON CONFLICT DO NOTHING RETURNING key
    ), accepted AS MATERIALIZED (
        SELECT taken.* FROM taken JOIN added USING (key)
    ), logged AS (
        INSERT INTO localization.call ({_COLUMNS}) SELECT {_COLUMNS} FROM accepted
    ), released AS (
        DELETE FROM localization.lease l USING accepted a
        WHERE l.phone = a.phone AND l.cpf = a.cpf AND l.crm = a.crm
          AND (l.reference = a.call_id
               OR a.started_at >= l.reserved_at - interval '1 minute')
    ), merged AS ({_MERGE_PAIRS.format(pairs=f"({_PAIR_SUMMARY}) pairs")}
    ), phones AS ({_MERGE_PHONES.format(phones=f"({_PHONE_SUMMARY})", merged="merged")})
    SELECT (SELECT array_agg(position - 1) FROM accepted) AS accepted,
           (SELECT array_agg(i.position - 1) FROM incoming i
            WHERE i.started_at < (SELECT max(ends_at) FROM localization.archive)
              AND NOT EXISTS (SELECT 1 FROM localization.call_key k WHERE k.key = i.key)
              AND NOT {ARCHIVED.format(key="i.key")}) AS late,
           (SELECT array_agg(cpf) FROM merged WHERE misses_in_a_row < 0) AS recount_cpfs,
           (SELECT array_agg(phone) FROM merged WHERE misses_in_a_row < 0) AS recount_phones
"""
"""Record calls given as arrays, and their summaries, and end their leases.

``accepted`` and ``late`` are positions in the arrays: of the calls that were new, and of the new
ones that were not taken because their month is archived. All others are duplicates.
"""

RECOUNT_MISSES = f"""
    UPDATE localization.person_phone p
    SET misses_in_a_row = (
        SELECT count(*) FROM localization.call c
        WHERE c.phone = p.phone AND c.cpf = p.cpf AND c.outcome IN ({_MISSES})
          AND (p.last_answer_at IS NULL OR c.started_at > p.last_answer_at))
    FROM unnest(%(cpfs)s::text[], %(phones)s::text[]) AS x (cpf, phone)
    WHERE p.cpf = x.cpf AND p.phone = x.phone
"""
"""Count the misses since the last answer again. Archived calls are never asked: a call that is
accepted is later than they, and only an answer later than they makes this necessary."""

AMEND = f"""
    WITH amended AS (
        UPDATE localization.call c SET tabulation = x.tabulation
        FROM unnest(%(crm)s::text[], %(call_id)s::text[], %(phone)s::text[],
                    %(started_at)s::timestamptz[], %(tabulation)s::text[])
             AS x (crm, call_id, phone, started_at, tabulation)
        WHERE c.phone = x.phone AND c.started_at = x.started_at AND c.crm = x.crm
          AND c.call_id = x.call_id AND c.tabulation = 'no_tabulation'
          AND c.started_at >= (SELECT coalesce(max(ends_at), '-infinity')
                               FROM localization.archive)
        RETURNING c.cpf, c.phone, c.started_at, c.tabulation
    ), summary AS (
        SELECT cpf, phone,
               count(*) FILTER (WHERE tabulation IN ({_RIGHT_PARTY}))::integer AS right_parties,
               max(started_at) FILTER (WHERE tabulation IN ({_RIGHT_PARTY})) AS right_party_at,
               max(started_at) FILTER (WHERE tabulation = 'wrong_person') AS wrong_person_at,
               bool_or(tabulation = 'deceased') AS deceased
        FROM amended GROUP BY cpf, phone
    )
    UPDATE localization.person_phone p
    SET right_parties = p.right_parties + s.right_parties,
        last_right_party_at = greatest(p.last_right_party_at, s.right_party_at),
        last_wrong_person_at = greatest(p.last_wrong_person_at, s.wrong_person_at),
        deceased = p.deceased OR s.deceased
    FROM summary s WHERE p.cpf = s.cpf AND p.phone = s.phone
"""
"""The only change of a call that is in the log: the tabulation that came after its report."""

STAGE_SUMMARIES = f"""
    CREATE TEMP TABLE incoming_pair ON COMMIT DROP AS
        SELECT cpf, phone, source, last_attempt_at AS first_at, {", ".join(PAIR_COLUMNS)}
        FROM localization.person_phone WITH NO DATA;
    CREATE TEMP TABLE incoming_phone ON COMMIT DROP AS
        SELECT phone, {", ".join(PHONE_COLUMNS)} FROM localization.phone WITH NO DATA;
"""

MERGE_STAGED = f"""
    WITH merged AS ({_MERGE_PAIRS.format(pairs="incoming_pair")}
    ), phones AS ({_MERGE_PHONES.format(phones="incoming_phone", merged="merged")})
    SELECT array_agg(cpf) FILTER (WHERE misses_in_a_row < 0) AS recount_cpfs,
           array_agg(phone) FILTER (WHERE misses_in_a_row < 0) AS recount_phones
    FROM merged
"""
"""Merge the summaries in the temporary tables of STAGE_SUMMARIES."""

KNOWN_KEYS = f"""
    SELECT i.position FROM incoming_key i
    WHERE EXISTS (SELECT 1 FROM localization.call_key k WHERE k.key = i.key)
    UNION ALL
    SELECT i.position FROM incoming_key i WHERE {ARCHIVED.format(key="i.key")}
"""

HAS_ARCHIVE = "SELECT EXISTS (SELECT FROM localization.archived_key) AS found"

HORIZON = "SELECT max(ends_at) AS horizon FROM localization.archive"
"""Calls before it are archived: none of them is taken any more."""

MERGE_KNOWN_PHONES = """
    WITH merged AS (
        INSERT INTO localization.person_phone AS p
            (cpf, phone, mobile, source, first_seen, last_seen)
        SELECT DISTINCT ON (phone, cpf) cpf, phone, length(phone) = 11, %(source)s, %(day)s, %(day)s
        FROM known_phone ORDER BY phone, cpf
        ON CONFLICT (cpf, phone) DO UPDATE
            SET first_seen = least(p.first_seen, excluded.first_seen),
                last_seen = greatest(p.last_seen, excluded.last_seen)
            WHERE p.first_seen > excluded.first_seen OR p.last_seen < excluded.last_seen
        RETURNING phone, xmax = 0 AS is_new
    ), phones AS (
        INSERT INTO localization.phone AS f (phone, people)
        SELECT phone, count(*)::integer FROM merged WHERE is_new GROUP BY phone ORDER BY phone
        ON CONFLICT (phone) DO UPDATE SET people = f.people + excluded.people
    )
    SELECT count(*) FILTER (WHERE is_new)::integer AS rows FROM merged
"""

PHONES_OF = f"""
    SELECT q.position, p.*, f.people, f.out_of_service, f.answer_hours,
           f.attempts AS phone_attempts, f.answers AS phone_answers,
           f.last_attempt_at AS phone_last_attempt_at, r.*
    FROM unnest(%(cpfs)s::text[], %(crms)s::text[]) WITH ORDINALITY AS q (cpf, crm, position)
    JOIN localization.person_phone p ON p.cpf = q.cpf
    LEFT JOIN localization.phone f ON f.phone = p.phone
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE c.started_at >= %(day)s::timestamptz)::integer AS attempts_1,
               count(*) FILTER (WHERE c.started_at >= %(week)s::timestamptz)::integer AS attempts_7,
               count(*)::integer AS attempts_30,
               count(*) FILTER (WHERE c.crm <> q.crm)::integer AS elsewhere_30,
               count(*) FILTER (WHERE c.crm <> q.crm AND c.outcome IN ({_ANSWERS}))::integer
                   AS elsewhere_answers_30
        FROM localization.call c
        WHERE c.phone = p.phone AND c.started_at >= %(month)s::timestamptz
          AND f.last_attempt_at >= %(month)s::timestamptz
    ) r
"""
"""The phones of people, for whoever asks: ``position`` is the place, from 1, in the arrays."""

DIAL_FACTS = """
    WITH asked AS (
        SELECT * FROM unnest(%(cpfs)s::text[], %(phones)s::text[]) WITH ORDINALITY
            AS a (cpf, phone, position)
    ), person AS (
        SELECT q.cpf, bool_or(p.deceased) AS deceased, max(p.last_right_party_at) AS talked_at,
               sum(r.day)::integer AS day, sum(r.week)::integer AS week
        FROM (SELECT DISTINCT cpf FROM asked) q
        JOIN localization.person_phone p USING (cpf)
        CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE c.started_at >= %(today)s::timestamptz) AS day,
                   count(*) AS week
            FROM localization.call c
            WHERE c.phone = p.phone AND c.cpf = p.cpf AND c.outcome <> 'cancelled'
              AND c.started_at >= %(week)s::timestamptz
              AND p.last_attempt_at >= %(week)s::timestamptz
        ) r GROUP BY q.cpf
    )
    SELECT a.cpf, a.phone, p.suppressed,
           coalesce(f.out_of_service, false) AS out_of_service,
           coalesce(person.deceased, false) AS deceased, person.talked_at,
           coalesce(person.day, 0) AS person_day, coalesce(person.week, 0) AS person_week,
           r.day AS phone_day, r.week AS phone_week,
           leases.crms AS lease_crms, leases.ids AS lease_ids, leases.phones AS lease_phones,
           leases.refs AS lease_references, leases.ends AS lease_ends
    FROM asked a
    LEFT JOIN localization.person_phone p ON p.cpf = a.cpf AND p.phone = a.phone
    LEFT JOIN localization.phone f ON f.phone = a.phone
    LEFT JOIN person ON person.cpf = a.cpf
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE c.started_at >= %(today)s::timestamptz)::integer AS day,
               count(*)::integer AS week
        FROM localization.call c
        WHERE c.phone = a.phone AND c.outcome <> 'cancelled'
          AND c.started_at >= %(week)s::timestamptz AND f.last_attempt_at >= %(week)s::timestamptz
    ) r
    CROSS JOIN LATERAL (
        SELECT array_agg(l.crm) AS crms, array_agg(l.id) AS ids, array_agg(l.phone) AS phones,
               array_agg(l.reference) AS refs, array_agg(l.expires_at) AS ends
        FROM localization.lease l
        WHERE (l.cpf = a.cpf OR l.phone = a.phone) AND l.expires_at > clock_timestamp()
    ) leases
    ORDER BY a.position
"""

LOCK = """
    SELECT pg_advisory_xact_lock(key)
    FROM (SELECT DISTINCT hashtextextended(name, 7071) AS key
          FROM unnest(%(names)s::text[]) AS n (name) ORDER BY 1) k
"""
"""Until the transaction ends, nobody else decides on these people and phones."""

DROP_EXPIRED_LEASES = """
    DELETE FROM localization.lease
    WHERE expires_at <= clock_timestamp()
      AND (cpf = ANY (%(cpfs)s::text[]) OR phone = ANY (%(phones)s::text[]))
"""

RESERVE = """
    INSERT INTO localization.lease (crm, cpf, phone, reference, expires_at)
    SELECT %(crm)s::text, x.cpf, x.phone, x.reference,
           clock_timestamp() + x.seconds * interval '1 second'
    FROM unnest(%(cpfs)s::text[], %(phones)s::text[], %(references)s::text[],
                %(seconds)s::integer[]) AS x (cpf, phone, reference, seconds)
    RETURNING id, cpf, phone, expires_at
"""

RELEASE = """
    DELETE FROM localization.lease WHERE id = ANY (%(ids)s::uuid[]) AND crm = %(crm)s::text
    RETURNING id, expires_at > clock_timestamp() AS live
"""

PURGE = """
    WITH expired AS (
        DELETE FROM localization.lease WHERE expires_at < clock_timestamp() - interval '1 day'
    )
    DELETE FROM localization.audit WHERE at < %(audit_before)s::timestamptz
"""

ENSURE_MONTHS = """
    SELECT localization.ensure_month(day) FROM unnest(%(days)s::date[]) AS d (day) ORDER BY day
"""

_PARAMETER = re.compile(r"%\((\w+)\)s")


@cache
def positional(query: str) -> tuple[str, tuple[str, ...]]:
    """The query with ``$1``, ``$2`` … and the names that they stand for, in order."""
    names = tuple(dict.fromkeys(_PARAMETER.findall(query)))
    place: Mapping[str, int] = {name: number for number, name in enumerate(names, 1)}
    return _PARAMETER.sub(lambda match: f"${place[match[1]]}", query), names
