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
    day           date NOT NULL,             -- the day whose hours these are
    model_version text NOT NULL,
    scored_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cpf, phone, hour)
);
CREATE TABLE IF NOT EXISTS scoring.contract_score (
    convenio      text NOT NULL,
    contract      text NOT NULL,
    payment       real NOT NULL,             -- P(paid within 30 days)
    model_version text NOT NULL,
    scored_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (convenio, contract)
);
