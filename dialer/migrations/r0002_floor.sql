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
