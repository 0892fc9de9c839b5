CREATE SCHEMA IF NOT EXISTS scoring;

-- What became of each contract in the past: the payment model learns from it.
CREATE TABLE IF NOT EXISTS scoring.portfolio_history (
    convenio    text NOT NULL,
    contract    text NOT NULL,
    cpf         text NOT NULL,
    snapshot_on date NOT NULL,               -- the contract as it stood on this day …
    amount      numeric(14, 2) NOT NULL,
    due_date    date NOT NULL,
    paid        boolean NOT NULL,            -- … and whether it was paid in the 30 days after it
    product     text,
    birth_date  date,                        -- of the debtor
    PRIMARY KEY (convenio, contract, snapshot_on)
);

CREATE TABLE IF NOT EXISTS scoring.phone_score (
    cpf           text NOT NULL,
    phone         text NOT NULL,
    hour          smallint NOT NULL,         -- local hour in which the call would start
    answer        real NOT NULL,             -- P(a person answers)
    right_party   real,                      -- P(it is the debtor who answers); NULL: no model yet
    day           date NOT NULL,             -- the day whose hours these are
    model_version text NOT NULL,
    scored_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cpf, phone, hour)
);
CREATE TABLE IF NOT EXISTS scoring.contract_score (
    convenio      text NOT NULL,
    contract      text NOT NULL,
    payment       real NOT NULL,             -- P(paid within 30 days)
    gain          real,                      -- what a conversation now would add to it
    model_version text NOT NULL,
    scored_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (convenio, contract)
);

-- What the watch over the champions found: one row a check.
CREATE TABLE IF NOT EXISTS scoring.monitor (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model         text NOT NULL,
    version       integer NOT NULL,
    checked_at    timestamptz NOT NULL DEFAULT now(),
    rows_from     timestamptz,               -- the rows that were looked at …
    rows_until    timestamptz,
    rows          integer NOT NULL,
    matured       integer NOT NULL,          -- … and how many have their label
    auc           double precision,          -- of the matured rows; NULL when they say nothing
    brier         double precision,
    calibration_error double precision,
    expected_auc  double precision,          -- what the scores promise before labels mature
    expected_brier double precision,
    reference_auc double precision NOT NULL, -- of the champion on its holdout
    score_psi     double precision NOT NULL,
    breach        boolean NOT NULL,
    why           text NOT NULL              -- one line: what broke a limit, or "within its limits"
);
CREATE INDEX IF NOT EXISTS monitor_model ON scoring.monitor (model, checked_at);
CREATE TABLE IF NOT EXISTS scoring.monitor_feature (
    monitor_id    bigint NOT NULL REFERENCES scoring.monitor (id) ON DELETE CASCADE,
    feature       text NOT NULL,
    psi           double precision NOT NULL, -- population stability index against the holdout
    PRIMARY KEY (monitor_id, feature)
);
