CREATE SCHEMA IF NOT EXISTS localization;

-- Append-only: every call of every CRM to every phone. Partitioned by hash of the phone, which is
-- therefore part of the identity; call_id is unique within a CRM by the caller's promise and a
-- repeated call always names the same phone.
CREATE TABLE IF NOT EXISTS localization.call (
    crm          text NOT NULL,
    call_id      text NOT NULL,
    cpf          text NOT NULL,
    phone        text NOT NULL,              -- DDD + subscriber, digits only
    started_at   timestamptz NOT NULL,
    ring_seconds real,
    talk_seconds real NOT NULL DEFAULT 0,
    outcome      text NOT NULL,              -- zanc_pipeline.common.outcomes.Outcome
    tabulation   text,                       -- zanc_pipeline.common.outcomes.Tabulation
    convenio     text,
    recorded_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (phone, crm, call_id)
) PARTITION BY HASH (phone);

DO $$
BEGIN
    FOR part IN 0..7 LOOP
        EXECUTE format(
            'CREATE TABLE IF NOT EXISTS localization.call_%s PARTITION OF localization.call '
            'FOR VALUES WITH (MODULUS 8, REMAINDER %s)', part, part);
    END LOOP;
END $$;
CREATE INDEX IF NOT EXISTS call_cpf ON localization.call (cpf, started_at);

-- Who may be reached where, whatever said so, and the summary of the calls of that pair.
CREATE TABLE IF NOT EXISTS localization.person_phone (
    cpf               text NOT NULL,
    phone             text NOT NULL,
    mobile            boolean NOT NULL,
    source            text NOT NULL,         -- the convênio or CRM that first brought it
    first_seen        date NOT NULL,
    last_seen         date NOT NULL,
    attempts          integer NOT NULL DEFAULT 0,
    answers           integer NOT NULL DEFAULT 0,
    right_parties     integer NOT NULL DEFAULT 0,
    misses_in_a_row   integer NOT NULL DEFAULT 0, -- calls that nobody answered since the last answer
    last_outcome      text,
    last_attempt_at   timestamptz,
    last_answer_at    timestamptz,
    last_right_party_at timestamptz,
    invalids          integer NOT NULL DEFAULT 0,
    last_wrong_person_at timestamptz,
    deceased          boolean NOT NULL DEFAULT false, -- somebody there said that the debtor died
    -- Why it must not be dialled for this person, or NULL. A right party later than the wrong
    -- person takes it back; one "invalid number" may be the network's mistake, two are not.
    suppressed        text GENERATED ALWAYS AS (CASE
        WHEN deceased THEN 'deceased'
        WHEN last_wrong_person_at > coalesce(last_right_party_at, '-infinity'::timestamptz)
            THEN 'wrong_person'
        WHEN invalids >= 2 THEN 'invalid_number' END) STORED,
    PRIMARY KEY (cpf, phone)
) WITH (fillfactor = 70);
CREATE INDEX IF NOT EXISTS person_phone_phone ON localization.person_phone (phone);
