CREATE SCHEMA IF NOT EXISTS localization;

-- Append-only: every call of every CRM to every phone. A partition holds one month of São Paulo's
-- calendar (localization.ensure_month), so that an old month leaves for a Parquet file by one DROP;
-- calls of a month that has no partition yet wait in call_rest. Wide columns first: no padding.
CREATE TABLE IF NOT EXISTS localization.call (
    started_at   timestamptz NOT NULL,
    recorded_at  timestamptz NOT NULL DEFAULT now(),
    ring_seconds real,
    talk_seconds real NOT NULL DEFAULT 0,
    crm          text NOT NULL,
    call_id      text NOT NULL,
    cpf          text NOT NULL,
    phone        text NOT NULL,              -- DDD + subscriber, digits only
    outcome      text NOT NULL,              -- zanc_pipeline.common.outcomes.Outcome
    tabulation   text,                       -- zanc_pipeline.common.outcomes.Tabulation
    convenio     text
) PARTITION BY RANGE (started_at);
CREATE TABLE IF NOT EXISTS localization.call_rest PARTITION OF localization.call DEFAULT;
CREATE INDEX IF NOT EXISTS call_phone ON localization.call (phone, started_at);

-- The identity of every call in the log: md5 of "crm TAB call_id". It makes
-- (crm, call_id) unique over all partitions, whatever else a repeated call says.
CREATE TABLE IF NOT EXISTS localization.call_key (key uuid PRIMARY KEY);

-- The identities of archived calls, at a tenth of the size: a row holds those that begin with the
-- same 20 bits, 8 bytes of each (its last half). Two calls are taken for one with a chance of about
-- (calls in the row) / 2^64.
CREATE TABLE IF NOT EXISTS localization.archived_key (
    bucket integer PRIMARY KEY,
    marks  bytea STORAGE EXTERNAL NOT NULL
) WITH (toast_tuple_target = 8160);

CREATE OR REPLACE FUNCTION localization.key_bucket(key uuid) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (get_byte(uuid_send(key), 0) << 12) | (get_byte(uuid_send(key), 1) << 4)
           | (get_byte(uuid_send(key), 2) >> 4)
$$;
CREATE OR REPLACE FUNCTION localization.key_mark(key uuid) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT substring(uuid_send(key) FROM 9)
$$;

-- Months that went, or are about to go, to Parquet. Calls before the end of the latest are no
-- longer taken; those known already are duplicates, as ever.
CREATE TABLE IF NOT EXISTS localization.archive (
    month       date PRIMARY KEY,
    state       text NOT NULL CHECK (state IN ('closing', 'archived')),
    ends_at     timestamptz NOT NULL,
    file        text,                        -- under var/archive/localization
    calls       bigint,
    sha256      text,
    archived_at timestamptz
);

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
    last_invalid_at   timestamptz,
    last_wrong_person_at timestamptz,
    deceased          boolean NOT NULL DEFAULT false, -- somebody there said that the debtor died
    -- Why it must not be dialled for this person, or NULL. A right party later than the wrong
    -- person takes it back; one "invalid number" may be the network's mistake, two are not, until
    -- somebody answers there again.
    suppressed        text GENERATED ALWAYS AS (CASE
        WHEN deceased THEN 'deceased'
        WHEN last_wrong_person_at > coalesce(last_right_party_at, '-infinity'::timestamptz)
            THEN 'wrong_person'
        WHEN invalids >= 2 AND NOT coalesce(last_answer_at > last_invalid_at, false)
            THEN 'invalid_number' END) STORED,
    PRIMARY KEY (cpf, phone)
) WITH (fillfactor = 70);

-- The summary of all calls to a phone, whoever was looked for there.
CREATE TABLE IF NOT EXISTS localization.phone (
    phone             text PRIMARY KEY,
    people            integer NOT NULL DEFAULT 0, -- rows of person_phone
    attempts          integer NOT NULL DEFAULT 0,
    answers           integer NOT NULL DEFAULT 0,
    invalids          integer NOT NULL DEFAULT 0,
    last_attempt_at   timestamptz,
    last_answer_at    timestamptz,
    last_invalid_at   timestamptz,
    answer_hours      bytea NOT NULL DEFAULT '', -- one byte an answer, the last 512: its hour of the
                                                 -- week, 24 × weekday (Sunday 0) + hour, local time
    out_of_service    boolean GENERATED ALWAYS AS
        (invalids >= 2 AND NOT coalesce(last_answer_at > last_invalid_at, false)) STORED
) WITH (fillfactor = 70);

-- A call that is about to be placed: while it lives, nobody else dials that phone or that person.
CREATE TABLE IF NOT EXISTS localization.lease (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    crm         text NOT NULL,
    cpf         text NOT NULL UNIQUE,
    phone       text NOT NULL UNIQUE,
    reference   text,                        -- the caller's own name for it: asked again, same lease
    reserved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at  timestamptz NOT NULL
);

-- Who may use the service; of a token only its SHA-256 is known here.
CREATE TABLE IF NOT EXISTS localization.token (
    sha256      text PRIMARY KEY,
    crm         text NOT NULL,
    may         text[] NOT NULL,             -- zanc_pipeline.localization.tokens.PERMISSIONS
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,
    revoked_at  timestamptz
);

-- Who asked for whom. The person is a keyed hash (HMAC), so that "who asked about this CPF" can be
-- answered and a stolen table names nobody.
CREATE TABLE IF NOT EXISTS localization.audit (
    at          timestamptz NOT NULL,
    crm         text NOT NULL,
    action      text NOT NULL,               -- phones, dial_check, reserve
    person      bytea NOT NULL,
    phones      integer NOT NULL             -- how many were told or asked about
);
CREATE INDEX IF NOT EXISTS audit_person ON localization.audit (person, at);
CREATE INDEX IF NOT EXISTS audit_at ON localization.audit USING brin (at);

-- Emptying the log empties what was learned from it: or the same calls could never be taken again.
CREATE OR REPLACE FUNCTION localization.call_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE localization.call_key, localization.archived_key, localization.phone,
        localization.lease;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER call_truncated AFTER TRUNCATE ON localization.call
    FOR EACH STATEMENT EXECUTE FUNCTION localization.call_truncated();

-- The partition of the month of a day, made when it is missing and the month is not archived; what
-- waited in call_rest moves in.
CREATE OR REPLACE FUNCTION localization.ensure_month(day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text := to_char(day, '"call_"YYYY_MM');
    starts timestamptz := date_trunc('month', day::timestamp) AT TIME ZONE 'America/Sao_Paulo';
    ends timestamptz :=
        (date_trunc('month', day::timestamp) + interval '1 month') AT TIME ZONE 'America/Sao_Paulo';
BEGIN
    IF to_regclass('localization.' || name) IS NOT NULL
       OR ends <= (SELECT max(ends_at) FROM localization.archive WHERE state = 'archived') THEN
        RETURN;
    END IF;
    -- In this order, as a recorder takes them; nobody may put a call of the month into call_rest now.
    LOCK TABLE ONLY localization.call IN SHARE ROW EXCLUSIVE MODE;
    LOCK TABLE localization.call_rest IN ACCESS EXCLUSIVE MODE;
    IF to_regclass('localization.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE localization.%I (LIKE localization.call INCLUDING DEFAULTS)', name);
    EXECUTE format('CREATE INDEX ON localization.%I (phone, started_at)', name);
    EXECUTE format(
        'WITH moved AS (DELETE FROM localization.call_rest '
        'WHERE started_at >= %L AND started_at < %L RETURNING *) '
        'INSERT INTO localization.%I SELECT * FROM moved', starts, ends, name);
    EXECUTE format('ALTER TABLE localization.call ATTACH PARTITION localization.%I '
                   'FOR VALUES FROM (%L) TO (%L)', name, starts, ends);
END $$;
