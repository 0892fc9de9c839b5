"""The SQL of the localization base, with psycopg2's named parameters.

``positional`` rewrites a query for asyncpg, so that the service and the bulk load share it.
"""

# ruff: noqa: S608 (the texts are put together from constants of this module only)

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from zanc_pipeline.common.outcomes import PERSON_ANSWERED, Outcome, Tabulation

MISSES = (Outcome.MACHINE, Outcome.BUSY, Outcome.NO_ANSWER, Outcome.INVALID_NUMBER)
"""Nobody answered. A call that the network lost or that was cancelled says nothing of the phone."""


def _literals(values: object) -> str:
    assert isinstance(values, tuple | list | frozenset)
    return ", ".join(f"'{value}'" for value in sorted(values))


_ANSWERS = _literals(PERSON_ANSWERED)
_MISSES = _literals(MISSES)
_RIGHT_PARTY = _literals([tabulation for tabulation in Tabulation if tabulation.right_party])

SUMMARY = f"""
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
           max(started_at) FILTER (WHERE tabulation = 'wrong_person') AS last_wrong_person_at,
           coalesce(bool_or(tabulation = 'deceased'), false) AS deceased
    FROM (SELECT *, max(started_at) FILTER (WHERE outcome IN ({_ANSWERS}))
                    OVER (PARTITION BY cpf, phone) AS answered_at
          FROM {{calls}}) c
    GROUP BY cpf, phone
"""
"""What ``person_phone`` says of the calls in ``{calls}``, whatever their order."""

# Sums, maxima and "the latest" do not depend on the order in which calls arrive. Only the misses
# since the last answer may: when the new calls alone cannot tell, −1 asks for RECOUNT_MISSES.
_RECORD = f"""
    WITH incoming AS ({{source}}), recorded AS (
        INSERT INTO localization.call (crm, call_id, cpf, phone, started_at, ring_seconds,
                                       talk_seconds, outcome, tabulation, convenio)
        SELECT DISTINCT ON (phone, crm, call_id)
               crm, call_id, cpf, phone, started_at, ring_seconds, talk_seconds, outcome,
               tabulation, convenio
        FROM incoming ORDER BY phone, crm, call_id
        ON CONFLICT DO NOTHING
        RETURNING crm, cpf, phone, started_at, outcome, tabulation
    ), summary AS ({SUMMARY.format(calls="recorded")}), merged AS (
        INSERT INTO localization.person_phone AS p
            (cpf, phone, mobile, source, first_seen, last_seen, attempts, answers, right_parties,
             misses_in_a_row, last_outcome, last_attempt_at, last_answer_at, last_right_party_at,
             invalids, last_wrong_person_at, deceased)
        SELECT cpf, phone, length(phone) = 11, source,
               (first_at AT TIME ZONE 'America/Sao_Paulo')::date,
               (last_attempt_at AT TIME ZONE 'America/Sao_Paulo')::date,
               attempts, answers, right_parties, misses_in_a_row, last_outcome, last_attempt_at,
               last_answer_at, last_right_party_at, invalids, last_wrong_person_at, deceased
        FROM summary ORDER BY phone, cpf
        ON CONFLICT (cpf, phone) DO UPDATE SET
            first_seen = least(p.first_seen, excluded.first_seen),
            attempts = p.attempts + excluded.attempts,
            answers = p.answers + excluded.answers,
            right_parties = p.right_parties + excluded.right_parties,
            misses_in_a_row = CASE
                WHEN excluded.last_answer_at IS NULL AND (
                    p.last_answer_at IS NULL
                    OR excluded.attempts = 1 AND excluded.last_attempt_at > p.last_answer_at
                    OR excluded.first_seen
                       > (p.last_answer_at AT TIME ZONE 'America/Sao_Paulo')::date)
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
            last_wrong_person_at = greatest(p.last_wrong_person_at, excluded.last_wrong_person_at),
            deceased = p.deceased OR excluded.deceased
        RETURNING cpf, phone, misses_in_a_row
    )
    SELECT (SELECT count(*) FROM recorded)::integer AS accepted,
           (SELECT array_agg(cpf) FROM merged WHERE misses_in_a_row < 0) AS recount_cpfs,
           (SELECT array_agg(phone) FROM merged WHERE misses_in_a_row < 0) AS recount_phones
"""

RECORD_ARRAYS = _RECORD.format(
    source="""
        SELECT %(crm)s::text AS crm, x.*
        FROM unnest(%(call_id)s::text[], %(cpf)s::text[], %(phone)s::text[],
                    %(started_at)s::timestamptz[], %(ring_seconds)s::real[],
                    %(talk_seconds)s::real[], %(outcome)s::text[], %(tabulation)s::text[],
                    %(convenio)s::text[])
             AS x (call_id, cpf, phone, started_at, ring_seconds, talk_seconds, outcome,
                   tabulation, convenio)
    """
)
"""Record calls of one CRM, given as arrays, and their summaries: accepted, pairs to recount."""

RECORD_STAGED = _RECORD.format(source="SELECT * FROM incoming_call")
"""The same for the rows of the temporary table ``incoming_call``."""

RECOUNT_MISSES = f"""
    UPDATE localization.person_phone p
    SET misses_in_a_row = (
        SELECT count(*) FROM localization.call c
        WHERE c.phone = p.phone AND c.cpf = p.cpf AND c.outcome IN ({_MISSES})
          AND (p.last_answer_at IS NULL OR c.started_at > p.last_answer_at))
    FROM unnest(%(cpfs)s::text[], %(phones)s::text[]) AS x (cpf, phone)
    WHERE p.cpf = x.cpf AND p.phone = x.phone
"""

STAGE_CALLS = """
    CREATE TEMP TABLE incoming_call (
        crm text, call_id text, cpf text, phone text, started_at timestamptz, ring_seconds real,
        talk_seconds real, outcome text, tabulation text, convenio text
    ) ON COMMIT DROP
"""

MERGE_PHONES = """
    WITH merged AS (
        INSERT INTO localization.person_phone AS p
            (cpf, phone, mobile, source, first_seen, last_seen)
        SELECT DISTINCT ON (phone, cpf) cpf, phone, length(phone) = 11, %(source)s, %(day)s, %(day)s
        FROM incoming_phone ORDER BY phone, cpf
        ON CONFLICT (cpf, phone) DO UPDATE
            SET first_seen = least(p.first_seen, excluded.first_seen),
                last_seen = greatest(p.last_seen, excluded.last_seen)
            WHERE p.first_seen > excluded.first_seen OR p.last_seen < excluded.last_seen
        RETURNING xmax = 0 AS is_new
    )
    SELECT count(*) FILTER (WHERE is_new)::integer AS rows FROM merged
"""

PHONES_OF = """
    SELECT p.*, (SELECT count(*) FROM localization.person_phone o WHERE o.phone = p.phone)::integer
               AS people,
           EXISTS (SELECT 1 FROM localization.person_phone o
                   WHERE o.phone = p.phone AND o.suppressed = 'invalid_number') AS invalid
    FROM localization.person_phone p WHERE p.cpf = %(cpf)s
"""

DIAL_FACTS = """
    SELECT a.phone,
           (SELECT count(*) FROM localization.call c
            WHERE c.phone = a.phone AND c.started_at >= %(today)s::timestamptz
              AND c.outcome <> 'cancelled')::integer AS phone_attempts,
           (SELECT count(*) FROM localization.call c
            WHERE c.cpf = %(cpf)s::text AND c.started_at >= %(today)s::timestamptz
              AND c.outcome <> 'cancelled')::integer AS person_attempts,
           (SELECT suppressed FROM localization.person_phone p
            WHERE p.cpf = %(cpf)s::text AND p.phone = a.phone) AS suppressed,
           EXISTS (SELECT 1 FROM localization.person_phone p
                   WHERE p.phone = a.phone AND p.suppressed = 'invalid_number') AS invalid,
           coalesce((SELECT bool_or(deceased) FROM localization.person_phone p
                     WHERE p.cpf = %(cpf)s::text), false) AS deceased,
           (SELECT max(last_right_party_at) FROM localization.person_phone p
            WHERE p.cpf = %(cpf)s::text) AS talked_at
    FROM unnest(%(phones)s::text[]) WITH ORDINALITY AS a (phone, position)
    ORDER BY a.position
"""

_SUMMARY_COLUMNS = (
    "attempts, answers, right_parties, misses_in_a_row, last_outcome, last_attempt_at, "
    "last_answer_at, last_right_party_at, invalids, last_wrong_person_at, deceased"
)

VERIFY = f"""
    WITH log AS ({SUMMARY.format(calls="localization.call")}),
    kept AS (SELECT cpf, phone, {_SUMMARY_COLUMNS} FROM localization.person_phone),
    differing AS (
        SELECT cpf, phone
        FROM (SELECT cpf, phone, {_SUMMARY_COLUMNS} FROM log) l
        FULL JOIN kept k USING (cpf, phone)
        WHERE l.attempts IS NULL AND k.attempts <> 0
           OR l.attempts IS NOT NULL AND l.* IS DISTINCT FROM k.*
    )
    SELECT (SELECT count(*) FROM localization.call)::bigint AS calls,
           (SELECT count(*) FROM kept)::bigint AS pairs,
           (SELECT count(*) FROM differing)::bigint AS differing,
           (SELECT array_agg(cpf) FROM (SELECT cpf FROM differing ORDER BY 1 LIMIT 5) d) AS examples
"""

_PARAMETER = re.compile(r"%\((\w+)\)s")


@cache
def positional(query: str) -> tuple[str, tuple[str, ...]]:
    """The query with ``$1``, ``$2`` … and the names that they stand for, in order."""
    names = tuple(dict.fromkeys(_PARAMETER.findall(query)))
    place: Mapping[str, int] = {name: number for number, name in enumerate(names, 1)}
    return _PARAMETER.sub(lambda match: f"${place[match[1]]}", query), names
