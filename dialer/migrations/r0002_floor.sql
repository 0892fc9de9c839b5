ALTER TABLE operator ADD COLUMN campaign text;
CREATE INDEX attempt_connected ON attempt (connected_at) WHERE connected_at IS NOT NULL;
CREATE INDEX attempt_created ON attempt (created_at);

-- Who may use the pages: operators at their desk, supervisors at the wall.
CREATE TABLE account (
    login       text PRIMARY KEY,
    name        text NOT NULL,               -- as people are shown it
    role        text NOT NULL CHECK (role IN ('operator', 'negotiator', 'supervisor')),
    phone       text UNIQUE,                 -- op01 …: this person's SIP endpoint, and operator's id
    password    text NOT NULL,               -- scrypt$n$r$p$salt$digest (dialer.web.passwords)
    disabled_at timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- Of a browser's session only the SHA-256 of its cookie is known here.
CREATE TABLE web_session (
    sha256      text PRIMARY KEY,
    login       text NOT NULL REFERENCES account (login) ON DELETE CASCADE,
    csrf        text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL
);
CREATE INDEX web_session_login ON web_session (login);

-- Tabulations by the key that the browser gave them: sent again, one is not recorded again.
CREATE TABLE tabulation_key (
    key         text PRIMARY KEY,
    attempt_id  text NOT NULL REFERENCES attempt (id),
    at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tabulation_key_attempt ON tabulation_key (attempt_id);

-- Best hours, agreed callbacks, and why each call was allowed.
ALTER TABLE lead ADD COLUMN hours jsonb NOT NULL DEFAULT '[]';
ALTER TABLE lead ADD COLUMN best_hours smallint[];
ALTER TABLE lead ADD COLUMN agreed jsonb;
CREATE INDEX lead_planned ON lead (campaign_id, (best_hours[1]), rank)
    WHERE status = 'waiting' AND NOT kept;
ALTER TABLE attempt ADD COLUMN caller_id text NOT NULL DEFAULT '';
ALTER TABLE attempt ADD COLUMN evidence jsonb NOT NULL DEFAULT '{}';
ALTER TABLE attempt ADD COLUMN recording text;
CREATE INDEX attempt_person ON attempt (cpf);
CREATE INDEX attempt_recording ON attempt (ended_at) WHERE recording IS NOT NULL;

-- Calls that left for the network, by the number they showed: Anatel counts them so.
CREATE TABLE calling_day (
    day         date NOT NULL,               -- of São Paulo
    caller_id   text NOT NULL,
    calls       integer NOT NULL DEFAULT 0,
    short       integer NOT NULL DEFAULT 0,  -- not completed, to a machine, or of a few seconds
    PRIMARY KEY (day, caller_id)
);

-- People and phones that asked never to be called again.
CREATE TABLE opt_out (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cpf         text,
    phone       text,
    at          timestamptz NOT NULL DEFAULT now(),
    who         text NOT NULL,
    reason      text NOT NULL,
    CHECK (cpf IS NOT NULL OR phone IS NOT NULL)
);
CREATE UNIQUE INDEX opt_out_whom ON opt_out (coalesce(cpf, ''), coalesce(phone, ''));

-- Calls that people asked for, at their time: they outlive the campaign in which they were agreed.
CREATE TABLE callback (
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
CREATE INDEX callback_due ON callback (agreed_at) WHERE status = 'waiting';

ALTER TABLE attempt ADD COLUMN IF NOT EXISTS trunk text NOT NULL DEFAULT '';

-- A call that we hung up ourselves is told as such even when we are killed right afterwards.
ALTER TABLE attempt ADD COLUMN cancel_wanted boolean NOT NULL DEFAULT false;

-- PBXs that get no new calls until somebody says otherwise.
CREATE TABLE drained_pbx (
    name        text PRIMARY KEY,
    who         text NOT NULL,
    since       timestamptz NOT NULL DEFAULT now()
);
