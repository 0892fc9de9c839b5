"""The SQL of the rules, the callbacks and the audit. Parameters are asyncpg's ($1, $2, …)."""

CALLING_DAYS = "SELECT day, caller_id, calls, short FROM calling_day WHERE day >= $1::date"
"""What left since a day, for ``volumes``."""

OPT_OUTS = "SELECT cpf, phone FROM opt_out"

INSERT_OPT_OUT = """
INSERT INTO opt_out (cpf, phone, who, reason) VALUES ($1, $2, $3, $4)
ON CONFLICT (coalesce(cpf, ''), coalesce(phone, '')) DO NOTHING RETURNING id
"""

LIST_OPT_OUTS = """
SELECT id, cpf, phone, at, who, reason FROM opt_out WHERE id > $1 ORDER BY id LIMIT $2
"""

HELD_LEADS = """
SELECT count(*)::int AS people, min(best_hours[1])::int AS hour FROM lead
WHERE campaign_id = $1 AND status = 'waiting' AND NOT kept
  AND best_hours[1] > $2::smallint AND NOT ($2::smallint = ANY (best_hours))
"""
"""The people who wait for an hour later than the local hour $2, and the next of these hours."""

RECORD_CALLBACK = """
INSERT INTO callback (attempt_id, lead_id, name, cpf, phone, convenio, operator, agreed_at)
SELECT attempt.id, lead.id, campaign.name, attempt.cpf, attempt.phone, lead.convenio,
       attempt.operator, attempt.callback_at
FROM attempt JOIN lead ON lead.id = attempt.lead_id
JOIN campaign ON campaign.id = attempt.campaign_id
WHERE attempt.id = $1 AND attempt.callback_at IS NOT NULL
ON CONFLICT (attempt_id) DO NOTHING
"""
"""From here on the agreed call is kept, whatever becomes of the campaign."""

DROP_CALLBACKS = """
UPDATE callback SET status = 'dropped', reason = $1 FROM lead
WHERE callback.status = 'waiting' AND lead.id = callback.lead_id
  AND (callback.cpf = ANY ($4::text[]) OR (lead.convenio, lead.contract) IN (
       SELECT * FROM unnest($2::text[], $3::text[])))
"""
"""Of contracts and people that must not be called any more."""

SETTLE_CALLBACKS = """
UPDATE callback SET
    status = CASE WHEN found.kind = 'expired' THEN 'expired'
                  WHEN found.kind = 'done' THEN 'done' ELSE 'dropped' END,
    reason = CASE WHEN found.kind = 'talked' THEN 'conversou depois' END
FROM (
    SELECT one.attempt_id, CASE
        WHEN EXISTS (SELECT FROM attempt WHERE attempt.cpf = one.cpf AND placed
                     AND attempt.created_at >= one.agreed_at) THEN 'done'
        WHEN EXISTS (SELECT FROM attempt WHERE attempt.cpf = one.cpf
                     AND attempt.created_at > source.created_at AND outcome = 'human'
                     AND tabulation NOT IN ('no_tabulation', 'wrong_person')) THEN 'talked'
        WHEN one.agreed_at < $1 THEN 'expired' END AS kind
    FROM callback AS one JOIN attempt AS source ON source.id = one.attempt_id
    WHERE one.status = 'waiting') AS found
WHERE callback.attempt_id = found.attempt_id AND found.kind IS NOT NULL
RETURNING callback.attempt_id, callback.status
"""
"""Ends what was called, what a later conversation made needless, and what is older than $1."""

DUE_CALLBACKS = """
SELECT callback.*, lead.campaign_id FROM callback JOIN lead ON lead.id = callback.lead_id
WHERE callback.status = 'waiting' AND lead.status = 'ended' AND callback.agreed_at <= $1
ORDER BY callback.agreed_at, callback.attempt_id LIMIT 500
"""
"""Those whose time comes before $1 and that no lead carries."""

RUNNING_OF_CONVENIO = """
SELECT DISTINCT campaign_id FROM lead
WHERE convenio = $1 AND campaign_id = ANY ($2::text[]) AND status <> 'ended'
"""

CARRY_CALLBACK = """
WITH carrier AS (
    INSERT INTO lead AS known (campaign_id, rank, cpf, name, crm, convenio, contract, amount,
                               phones, segment, not_before, kept, agreed)
    SELECT $2, 0, cpf, name, crm, convenio, contract, amount, phones, segment, $3, true, $4
    FROM lead WHERE id = $5
    ON CONFLICT (campaign_id, cpf) DO UPDATE
    SET status = 'waiting', kept = true, not_before = excluded.not_before,
        agreed = excluded.agreed, end_reason = NULL, best_hours = NULL,
        phones = CASE WHEN $6 = ANY (known.phones) THEN known.phones
                      ELSE array_append(known.phones, $6) END
    WHERE known.status <> 'active' AND known.withdrawn IS NULL
      AND coalesce(known.end_reason, '') NOT LIKE 'withdrawn:%'
    RETURNING id)
UPDATE callback SET lead_id = carrier.id FROM carrier WHERE attempt_id = $1 RETURNING carrier.id
"""
"""The person becomes a lead of the campaign $2, or the lead that it has there already."""

CALLBACKS = """
SELECT attempt_id, name, cpf, phone, convenio, operator, agreed_at, status, reason, made_at
FROM callback WHERE ($1::text IS NULL OR status = $1) ORDER BY agreed_at, attempt_id LIMIT $2
"""

DROP_CALLBACK = """
UPDATE callback SET status = 'dropped', reason = $2
WHERE attempt_id = $1 AND status = 'waiting' RETURNING lead_id
"""

EVIDENCE = """
SELECT attempt.*, lead.crm, lead.convenio, lead.contract, campaign.name AS campaign_name
FROM attempt JOIN lead ON lead.id = attempt.lead_id
JOIN campaign ON campaign.id = attempt.campaign_id
WHERE attempt.campaign_id = $1 AND ($2::text IS NULL OR (attempt.created_at, attempt.id) > (
    SELECT last.created_at, last.id FROM attempt AS last WHERE last.id = $2))
ORDER BY attempt.created_at, attempt.id LIMIT $3
"""
"""Every attempt in the order of dialling, after the attempt $2, those that go on included."""

END_CARRIER = """
UPDATE lead SET status = 'ended', end_reason = 'callback dropped'
WHERE id = $1 AND status = 'waiting' AND kept
"""

RECORDING = "SELECT id, pbx, recording FROM attempt WHERE id = $1"

FORGET_RECORDINGS = "UPDATE attempt SET recording = NULL WHERE id = ANY ($1::text[])"
"""Their files are gone."""
