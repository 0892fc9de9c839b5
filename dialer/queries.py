"""All SQL of the dialer's database, named and described. Parameters are asyncpg's ($1, $2, …)."""

TAKE_OVER = "SELECT pg_try_advisory_lock(hashtext('zanc dialer engine'))"
"""One engine at a time: the lock lives as long as its connection."""

INSERT_CAMPAIGN = """
INSERT INTO campaign (id, name, settings, mailing, sha256) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO NOTHING RETURNING id
"""

CAMPAIGN = "SELECT * FROM campaign WHERE id = $1"

CAMPAIGNS = "SELECT * FROM campaign ORDER BY submitted_at, id"

SET_CAMPAIGN_STATUS = """
UPDATE campaign SET status = $2, reason = $3, why = coalesce($4, why),
       finished_at = CASE WHEN $2 IN ('finished', 'failed') THEN now() END
WHERE id = $1
"""

DUE_LEADS = """
SELECT id FROM lead
WHERE campaign_id = $1 AND status = 'waiting' AND not_before <= $2 AND NOT kept
ORDER BY CASE WHEN best_hours[1] = $3::smallint THEN 0
              WHEN best_hours IS NULL OR best_hours[1] < $3::smallint
                   OR $3::smallint = ANY (best_hours) THEN 1
              ELSE 2 END, rank LIMIT $4
"""
"""Who is due, best first: those whose best hour is the local hour $3, then those who have none to
wait for, and only when there is nobody else those whose best hour comes later: the campaign never
runs dry for it."""

CLAIM_LEAD = """
UPDATE lead SET status = 'active'
WHERE id = $1 AND status = 'waiting' AND not_before <= $2 AND NOT kept
RETURNING *
"""
"""The lead becomes active, if nobody else claimed it; nobody else can then."""

CLAIM_KEPT_LEAD = """
UPDATE lead SET status = 'active' WHERE id = (
    SELECT id FROM lead
    WHERE campaign_id = $1 AND status = 'waiting' AND not_before <= $2 AND kept
    ORDER BY not_before, rank LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING *
"""
"""The best of those for whom an operator must be kept: agreed callbacks, abandoned people."""

WITHDRAW_WAITING = """
UPDATE lead SET status = 'ended', end_reason = 'withdrawn: ' || $1::text
WHERE status = 'waiting' AND (cpf = ANY ($4::text[]) OR (convenio, contract) IN (
    SELECT * FROM unnest($2::text[], $3::text[])))
RETURNING id
"""
WITHDRAW_ACTIVE = """
UPDATE lead SET withdrawn = $1::text
WHERE status = 'active' AND (cpf = ANY ($4::text[]) OR (convenio, contract) IN (
    SELECT * FROM unnest($2::text[], $3::text[])))
RETURNING id
"""
"""Contracts and people that must not be called any more; a call that goes on is finished."""

PAST_ATTEMPTS = """
SELECT phone, outcome, ended_at, placed, tabulation, callback_at, operator FROM attempt
WHERE lead_id = $1 AND state = 'ended' ORDER BY number
"""

UPDATE_LEAD = """
UPDATE lead SET status = CASE WHEN withdrawn IS NULL THEN $2 ELSE 'ended' END,
       end_reason = coalesce('withdrawn: ' || withdrawn, $5),
       next_phone = coalesce($3, next_phone), not_before = coalesce($4, not_before),
       refused = refused || $6::jsonb, kept = $7, best_hours = $8::smallint[]
WHERE id = $1
"""
"""Who was withdrawn meanwhile ends, whatever was planned."""

END_WAITING_LEADS = """
UPDATE lead SET status = 'ended', end_reason = $2
WHERE id IN (SELECT id FROM lead WHERE campaign_id = $1 AND status = 'waiting' LIMIT $3)
"""
"""Some of them: a hundred thousand at once would stop the dialer for seconds."""

COUNT_LEADS = """
SELECT status, end_reason, count(*) AS n FROM lead WHERE campaign_id = $1
GROUP BY status, end_reason ORDER BY n DESC
"""

LEADS_LEFT = """
SELECT EXISTS (SELECT FROM lead WHERE campaign_id = $1 AND status = 'waiting')
       OR EXISTS (SELECT FROM lead WHERE campaign_id = $1 AND status = 'active') AS unfinished,
       EXISTS (SELECT FROM lead WHERE campaign_id = $1) AS people
"""
"""Whether somebody of the campaign is to be called or in a call, and whether it has anybody."""

INSERT_ATTEMPT = """
INSERT INTO attempt
    (id, campaign_id, lead_id, number, cpf, phone, pbx, operator, created_at, trunk, caller_id,
     evidence, recording)
SELECT $1, campaign_id, id,
       1 + (SELECT count(*) FROM attempt WHERE lead_id = lead.id), cpf, $3, $4, $5, $6, $7, $8,
       $9, $10
FROM lead WHERE id = $2 AND withdrawn IS NULL
RETURNING id
"""

UPDATE_ATTEMPT = """
UPDATE attempt SET state = $2, placed = $3, operator = $4, ringing_at = $5, answered_at = $6,
       detected_at = $7, connected_at = $8, ended_at = $9, hangup_cause = $10, outcome = $11,
       tabulation = $12, promise_date = $13, promise_amount = $14, callback_at = $15,
       cancel_wanted = $16
WHERE id = $1
"""

CLOSE_ATTEMPT = """
WITH closed AS (
    UPDATE attempt SET closed_number = nextval('attempt_closed'),
           recording = CASE WHEN connected_at IS NOT NULL THEN recording END
    WHERE id = $1 AND closed_number IS NULL
    RETURNING campaign_id, lead_id, placed, outcome, created_at, caller_id),
counted AS (
    INSERT INTO calling_day AS known (day, caller_id, calls, short)
    SELECT timezone('America/Sao_Paulo', created_at)::date, caller_id, 1, $2 FROM closed
    WHERE placed
    ON CONFLICT (day, caller_id) DO UPDATE
    SET calls = known.calls + 1, short = known.short + excluded.short)
INSERT INTO calling_hour AS hour (name, day, hour, segment, lines, answered, abandoned)
SELECT campaign.name, began::date, extract(hour FROM began), segment, 1,
       (outcome IN ('human', 'abandoned'))::int, (outcome = 'abandoned')::int
FROM closed JOIN campaign ON campaign.id = closed.campaign_id
JOIN lead ON lead.id = closed.lead_id,
LATERAL (SELECT timezone(coalesce(campaign.changes ->> 'fuso', campaign.settings ->> 'fuso'),
                         created_at) AS began) AS local
WHERE placed AND outcome NOT IN ('cancelled', 'unknown')
ON CONFLICT (name, day, hour, segment) DO UPDATE
SET lines = hour.lines + 1, answered = hour.answered + excluded.answered,
    abandoned = hour.abandoned + excluded.abandoned
"""
"""From here on readers and the outbox see it; only a tabulation that comes late changes it."""

TABULATE_LATE = """
UPDATE attempt SET tabulation = $3, promise_date = $4, promise_amount = $5, callback_at = $6,
       closed_number = nextval('attempt_closed'), exported_at = NULL, export_error = NULL
WHERE id = $1 AND operator = $2 AND closed_number IS NOT NULL AND tabulation = 'no_tabulation'
RETURNING lead_id, phone
"""
"""The operator's own closed call: it comes once more to readers and to the outbox."""

DAYS = """
SELECT coalesce(sum(answered) FILTER (WHERE day = $2::date), 0)::int AS day_answered,
       coalesce(sum(abandoned) FILTER (WHERE day = $2::date), 0)::int AS day_abandoned,
       coalesce(sum(answered) FILTER (WHERE day < $2::date), 0)::int AS month_answered,
       coalesce(sum(abandoned) FILTER (WHERE day < $2::date), 0)::int AS month_abandoned
FROM calling_hour WHERE name = $1 AND day > $2::date - 30 AND day <= $2::date
"""
"""People of the campaign's runs who answered and were abandoned: on day $2, and in 29 before."""

ANSWER_RATES = """
SELECT hour, segment, sum(lines)::int AS lines, sum(answered)::int AS answered
FROM calling_hour WHERE name = $1 AND day > $2::date - 30 AND day <= $2::date GROUP BY hour, segment
"""

CHANGE_SETTINGS = "UPDATE campaign SET changes = changes || $2::jsonb WHERE id = $1"

INSERT_AUDIT = "INSERT INTO audit (who, action, subject, detail) VALUES ($1, $2, $3, $4)"

AUDIT = """
SELECT id, at, who, action, subject, detail FROM audit
WHERE id > $1 AND ($2::text IS NULL OR subject = $2) ORDER BY id LIMIT $3
"""

OPEN_ATTEMPTS = """
SELECT attempt.*, to_jsonb(lead) AS lead FROM attempt JOIN lead ON lead.id = attempt.lead_id
WHERE attempt.closed_number IS NULL ORDER BY attempt.created_at
"""

STRANDED_LEADS = """
SELECT * FROM lead WHERE status = 'active' AND NOT EXISTS (
    SELECT FROM attempt WHERE lead_id = lead.id AND closed_number IS NULL)
"""
"""Claimed by a process that died before it wrote the attempt, or after it closed the last one."""

ENDED_OF = "SELECT id FROM attempt WHERE id = ANY ($1::text[]) AND state = 'ended'"

CLOSED_ATTEMPTS = """
SELECT attempt.*, lead.crm, lead.convenio, lead.contract
FROM attempt JOIN lead ON lead.id = attempt.lead_id
WHERE attempt.campaign_id = $1 AND attempt.closed_number > coalesce(
    $4::bigint, (SELECT closed_number FROM attempt WHERE id = $2), 0)
ORDER BY attempt.closed_number LIMIT $3
"""

OUTBOX = """
SELECT attempt.*, lead.crm, lead.convenio FROM attempt JOIN lead ON lead.id = attempt.lead_id
WHERE attempt.exported_at IS NULL AND attempt.export_error IS NULL AND attempt.placed
  AND attempt.closed_number IS NOT NULL AND lead.crm <> ALL ($2::text[])
ORDER BY attempt.closed_number LIMIT $1
"""
"""Calls that localization has not confirmed yet, without those of the CRMs in $2."""

MARK_EXPORTED = """
UPDATE attempt SET exported_at = now() FROM unnest($1::text[], $2::bigint[]) AS sent (id, number)
WHERE attempt.id = sent.id AND attempt.closed_number = sent.number
"""
"""Not what was tabulated while it was being sent: that has another number, and is still to go."""

MARK_REFUSED = "UPDATE attempt SET export_error = $2 WHERE id = $1 AND closed_number = $3"

ADD_OPERATOR = "INSERT INTO operator (id, name) VALUES ($1, $1) ON CONFLICT (id) DO NOTHING"

OPERATORS = "SELECT * FROM operator ORDER BY id"

SET_OPERATOR_CAMPAIGN = "UPDATE operator SET campaign = $2 WHERE id = $1"

SET_OPERATOR = """
WITH old AS (
    SELECT operator.*, coalesce(submitted_at, '-infinity') AS submitted_at
    FROM operator LEFT JOIN campaign ON campaign.id = $4
    WHERE operator.id = $1 FOR UPDATE OF operator),
spent AS (
    INSERT INTO operator_time (operator_id, campaign_id, state, reason, started_at, ended_at)
    SELECT id, $4, state, CASE WHEN state = 'paused' THEN reason END,
           greatest(since, submitted_at), greatest(since, $5) FROM old
    WHERE state <> 'offline' AND state <> $2 AND submitted_at <= $5
    UNION ALL
    SELECT id, NULL, state, CASE WHEN state = 'paused' THEN reason END, since,
           least(submitted_at, $5) FROM old
    WHERE state <> 'offline' AND state <> $2 AND since < submitted_at)
UPDATE operator SET state = $2, attempt_id = $3, reason = $6, leaving = $7,
       since = CASE WHEN operator.state = $2 THEN operator.since
                    ELSE greatest(operator.since, $5) END
FROM old WHERE operator.id = old.id
"""
"""Change an operator's state and book the time spent in the one before, on the campaign $4.

What was spent before that campaign was submitted is nobody's.
"""

BOOK_IDLE = """
WITH free AS (
    SELECT operator.*, submitted_at FROM operator, campaign
    WHERE campaign.id = $1 AND operator.state = 'idle' AND operator.since < $2
    FOR UPDATE OF operator),
spent AS (
    INSERT INTO operator_time (operator_id, campaign_id, state, started_at, ended_at)
    SELECT id, $1, state, greatest(since, submitted_at), $2 FROM free)
UPDATE operator SET since = $2 FROM free WHERE operator.id = free.id
"""
"""At the end of the campaign $1: the time that operators waited for its last calls."""

CAMPAIGN_FIGURES = """
SELECT count(*) FILTER (WHERE connected_at IS NOT NULL AND outcome = 'human') AS connected,
       count(*) FILTER (WHERE outcome = 'abandoned') AS abandoned,
       avg(extract(epoch FROM connected_at - answered_at))
           FILTER (WHERE connected_at IS NOT NULL)::float8 AS mean_wait_seconds,
       avg(extract(epoch FROM ended_at - connected_at))
           FILTER (WHERE connected_at IS NOT NULL)::float8 AS mean_talk_seconds,
       min(coalesce(ringing_at, answered_at)) AS first_ring_at,
       min(created_at) AS first_attempt_at
FROM attempt WHERE campaign_id = $1
"""
"""``mean_wait_seconds`` counts from the answer until the operator is heard."""

COUNT_ATTEMPTS = """
SELECT coalesce(outcome, state) AS outcome, count(*) AS n FROM attempt
WHERE campaign_id = $1 GROUP BY 1 ORDER BY 1
"""

COUNT_TABULATIONS = """
SELECT tabulation, count(*) AS n FROM attempt
WHERE campaign_id = $1 AND tabulation IS NOT NULL GROUP BY 1 ORDER BY 1
"""

OCCUPANCY = """
WITH span AS (
    SELECT state, started_at, ended_at FROM operator_time
    UNION ALL
    SELECT state, since, now() FROM operator WHERE state <> 'offline'),
inside AS (
    SELECT state, extract(epoch FROM least(ended_at, $2) - greatest(started_at, $1)) AS seconds
    FROM span WHERE started_at < $2 AND ended_at > $1)
SELECT (sum(seconds) FILTER (WHERE state IN ('talking', 'wrapup'))
        / nullif(sum(seconds) FILTER (WHERE state <> 'paused'), 0))::float8 AS occupancy
FROM inside
"""
"""Share of the operators' time at work, between $1 and $2, that was conversation or wrap-up."""

COUNT_OUTBOX = """
SELECT (SELECT count(*) FROM attempt
        WHERE exported_at IS NULL AND export_error IS NULL AND placed
          AND closed_number IS NOT NULL) AS pending,
       (SELECT count(*) FROM attempt
        WHERE exported_at IS NULL AND export_error IS NOT NULL) AS refused
"""
