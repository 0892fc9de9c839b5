CREATE TABLE IF NOT EXISTS campaign (
    id          text PRIMARY KEY,            -- deterministic: the mailing's id
    name        text NOT NULL,               -- config/campaigns/<name>.yaml
    settings    jsonb NOT NULL,              -- the "discador" section as submitted
    changes     jsonb NOT NULL DEFAULT '{}', -- what supervisors changed of it since
    mailing     text NOT NULL,               -- the Parquet file, relative to var/
    sha256      text NOT NULL,               -- of that file: the same id with another is a conflict
    status      text NOT NULL DEFAULT 'running'
                CHECK (status IN ('running', 'paused', 'stopping', 'finished', 'failed')),
    reason      text,
    why         text,                        -- the last decision on how many lines to open
    submitted_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);

CREATE TABLE IF NOT EXISTS lead (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign_id text NOT NULL REFERENCES campaign (id),
    rank        integer NOT NULL,
    cpf         text NOT NULL,
    name        text NOT NULL,
    crm         text NOT NULL,
    convenio    text NOT NULL,
    contract    text NOT NULL,
    amount      numeric(14, 2) NOT NULL,
    phones      text[] NOT NULL,             -- best first
    status      text NOT NULL DEFAULT 'waiting'
                CHECK (status IN ('waiting', 'active', 'ended')),
    next_phone  integer NOT NULL DEFAULT 0,  -- index in phones
    not_before  timestamptz NOT NULL DEFAULT now(),
    refused     jsonb NOT NULL DEFAULT '{}', -- phone → why it must not be dialled
    segment     text NOT NULL DEFAULT '',    -- of the mailing, by the expected answer
    kept        boolean NOT NULL DEFAULT false, -- dialled only with an operator kept for it
    withdrawn   text,                        -- why it left the campaign while it was in a call
    end_reason  text,
    hours       jsonb NOT NULL DEFAULT '[]', -- of each phone the best local hours, best first
    best_hours  smallint[],                  -- of the phone at next_phone
    agreed      jsonb,                       -- a callback that came from another campaign
    UNIQUE (campaign_id, cpf)
);
CREATE INDEX IF NOT EXISTS lead_planned ON lead (campaign_id, (best_hours[1]), rank)
    WHERE status = 'waiting' AND NOT kept;
CREATE INDEX IF NOT EXISTS lead_hopper ON lead (campaign_id, not_before, rank)
    WHERE status = 'waiting';
CREATE INDEX IF NOT EXISTS lead_kept ON lead (campaign_id, not_before)
    WHERE status = 'waiting' AND kept;
CREATE INDEX IF NOT EXISTS lead_active ON lead (campaign_id) WHERE status = 'active';
CREATE INDEX IF NOT EXISTS lead_contract ON lead (convenio, contract) WHERE status <> 'ended';
CREATE INDEX IF NOT EXISTS lead_person ON lead (cpf) WHERE status <> 'ended';

-- Numbers the closed attempts in the order in which they become visible to readers.
CREATE SEQUENCE IF NOT EXISTS attempt_closed;

-- Written before the PBX is asked to dial; its id is the ChannelId and the ActionID of the call.
CREATE TABLE IF NOT EXISTS attempt (
    id            text PRIMARY KEY,
    campaign_id   text NOT NULL REFERENCES campaign (id),
    lead_id       bigint NOT NULL REFERENCES lead (id),
    number        integer NOT NULL,          -- 1 for the lead's first attempt
    cpf           text NOT NULL,
    phone         text NOT NULL,
    pbx           text NOT NULL,
    trunk         text NOT NULL DEFAULT '',  -- the SIP endpoint of that PBX through which it went
    operator      text,
    state         text NOT NULL DEFAULT 'dialling' CHECK (state IN
                  ('dialling', 'ringing', 'answered', 'waiting', 'talking', 'ended')),
    placed        boolean NOT NULL DEFAULT true, -- false: proved that no call left the PBX
    created_at    timestamptz NOT NULL DEFAULT now(),
    ringing_at    timestamptz,
    answered_at   timestamptz,
    detected_at   timestamptz,
    connected_at  timestamptz,
    ended_at      timestamptz,
    hangup_cause  integer,                   -- Q.850
    outcome       text,                      -- zanc_pipeline.common.outcomes.Outcome
    tabulation    text,
    promise_date  date,
    promise_amount numeric(14, 2),
    callback_at   timestamptz,               -- agreed with the person
    closed_number bigint UNIQUE,             -- ended, and tabulated when a person talked
    export_error  text,                      -- why localization refused it for good
    exported_at   timestamptz,               -- when localization answered that it is durable
    caller_id     text NOT NULL DEFAULT '',  -- the number that was shown
    evidence      jsonb NOT NULL DEFAULT '{}', -- the rules that were asked, their figures, when
    recording     text,                      -- file name in the PBX's folder of recordings
    cancel_wanted boolean NOT NULL DEFAULT false, -- we meant to hang up before anybody answered
    UNIQUE (lead_id, number)
);
CREATE UNIQUE INDEX IF NOT EXISTS attempt_one_at_a_time ON attempt (lead_id) WHERE state <> 'ended';
CREATE INDEX IF NOT EXISTS attempt_outbox ON attempt (closed_number)
    WHERE exported_at IS NULL AND export_error IS NULL AND placed;
CREATE INDEX IF NOT EXISTS attempt_refused ON attempt (closed_number)
    WHERE exported_at IS NULL AND export_error IS NOT NULL;
CREATE INDEX IF NOT EXISTS attempt_campaign ON attempt (campaign_id, closed_number);
CREATE INDEX IF NOT EXISTS attempt_connected ON attempt (connected_at)
    WHERE connected_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS attempt_created ON attempt (created_at);
CREATE INDEX IF NOT EXISTS attempt_person ON attempt (cpf);
CREATE INDEX IF NOT EXISTS attempt_recording ON attempt (ended_at) WHERE recording IS NOT NULL;

CREATE TABLE IF NOT EXISTS operator (
    id          text PRIMARY KEY,            -- op01 …: also the SIP endpoint
    name        text NOT NULL,
    state       text NOT NULL DEFAULT 'offline' CHECK (state IN
                ('offline', 'paused', 'preview', 'idle', 'reserved', 'talking', 'wrapup')),
    reason      text,                        -- of a pause, present or wanted
    attempt_id  text,
    since       timestamptz NOT NULL DEFAULT now(),
    campaign    text,                        -- name of the only one worked for; NULL: all of them
    leaving     text CHECK (leaving IN ('paused', 'offline')) -- wanted after the present call
);
-- How long each operator spent in each state: occupancy is computed from it.
CREATE TABLE IF NOT EXISTS operator_time (
    operator_id text NOT NULL REFERENCES operator (id),
    campaign_id text,
    state       text NOT NULL,
    reason      text,
    started_at  timestamptz NOT NULL,
    ended_at    timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS operator_time_span ON operator_time (started_at, ended_at);
CREATE INDEX IF NOT EXISTS operator_time_end ON operator_time (ended_at);

-- What became of the lines, counted once when an attempt is closed: the abandoned share over the
-- day and 30 days, and the answer rate by hour and segment.
CREATE TABLE IF NOT EXISTS calling_hour (
    name        text NOT NULL,               -- of the campaign: its runs of all days
    day         date NOT NULL,               -- in the campaign's zone
    hour        smallint NOT NULL,
    segment     text NOT NULL,
    lines       integer NOT NULL DEFAULT 0,
    answered    integer NOT NULL DEFAULT 0,  -- by people
    abandoned   integer NOT NULL DEFAULT 0,
    PRIMARY KEY (name, day, hour, segment)
);

-- PBXs that get no new calls until somebody says otherwise.
CREATE TABLE IF NOT EXISTS drained_pbx (
    name        text PRIMARY KEY,
    who         text NOT NULL,
    since       timestamptz NOT NULL DEFAULT now()
);

-- Who changed what; never altered.
CREATE TABLE IF NOT EXISTS audit (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT now(),
    who         text NOT NULL,
    action      text NOT NULL,
    subject     text NOT NULL,               -- a campaign or an operator
    detail      jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS audit_subject ON audit (subject, id);

-- Who may use the pages: operators at their desk, supervisors at the wall.
CREATE TABLE IF NOT EXISTS account (
    login       text PRIMARY KEY,
    name        text NOT NULL,               -- as people are shown it
    role        text NOT NULL CHECK (role IN ('operator', 'negotiator', 'supervisor')),
    phone       text UNIQUE,                 -- op01 …: this person's SIP endpoint, and operator's id
    password    text NOT NULL,               -- scrypt$n$r$p$salt$digest (dialer.web.passwords)
    disabled_at timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- Of a browser's session only the SHA-256 of its cookie is known here.
CREATE TABLE IF NOT EXISTS web_session (
    sha256      text PRIMARY KEY,
    login       text NOT NULL REFERENCES account (login) ON DELETE CASCADE,
    csrf        text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS web_session_login ON web_session (login);

-- Tabulations by the key that the browser gave them: sent again, one is not recorded again.
CREATE TABLE IF NOT EXISTS tabulation_key (
    key         text PRIMARY KEY,
    attempt_id  text NOT NULL REFERENCES attempt (id),
    at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS tabulation_key_attempt ON tabulation_key (attempt_id);

-- Calls that left for the network, by the number they showed: Anatel counts them so.
CREATE TABLE IF NOT EXISTS calling_day (
    day         date NOT NULL,               -- of São Paulo
    caller_id   text NOT NULL,
    calls       integer NOT NULL DEFAULT 0,
    short       integer NOT NULL DEFAULT 0,  -- not completed, to a machine, or of a few seconds
    PRIMARY KEY (day, caller_id)
);

-- People and phones that asked never to be called again.
CREATE TABLE IF NOT EXISTS opt_out (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cpf         text,
    phone       text,
    at          timestamptz NOT NULL DEFAULT now(),
    who         text NOT NULL,
    reason      text NOT NULL,
    CHECK (cpf IS NOT NULL OR phone IS NOT NULL)
);
CREATE UNIQUE INDEX IF NOT EXISTS opt_out_whom ON opt_out (coalesce(cpf, ''), coalesce(phone, ''));

-- Calls that people asked for, at their time: they outlive the campaign in which they were agreed.
CREATE TABLE IF NOT EXISTS callback (
    attempt_id  text PRIMARY KEY REFERENCES attempt (id), -- in which it was agreed
    lead_id     bigint NOT NULL REFERENCES lead (id),     -- who carries it now
    name        text NOT NULL,               -- the campaign's name
    cpf         text NOT NULL,
    phone       text NOT NULL,
    convenio    text NOT NULL,
    operator    text,
    agreed_at   timestamptz NOT NULL,
    status      text NOT NULL DEFAULT 'waiting'
                CHECK (status IN ('waiting', 'done', 'dropped', 'expired')),
    reason      text,                        -- why it was dropped
    made_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS callback_due ON callback (agreed_at) WHERE status = 'waiting';
