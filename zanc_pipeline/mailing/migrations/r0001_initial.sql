CREATE SCHEMA IF NOT EXISTS mailing;

-- A built mailing never changes; (campaign, day, inputs) names it.
CREATE TABLE IF NOT EXISTS mailing.mailing (
    id          text PRIMARY KEY,            -- <campaign>-<yyyymmdd>-<8 hex of the inputs' hash>
    campaign    text NOT NULL,
    day         date NOT NULL,
    inputs_hash text NOT NULL,
    built_at    timestamptz NOT NULL DEFAULT now(),
    leads       integer NOT NULL,
    path        text NOT NULL,               -- the Parquet file, relative to var/
    sha256      text NOT NULL,
    waterfall   jsonb NOT NULL,              -- [{"step", "texto", "people"}…]: in, removed by, kept
    expected    jsonb NOT NULL,              -- {"answers", "payments", "cost", "profit"}
    details     jsonb NOT NULL DEFAULT '{}', -- what the report sets beside it (builder.Built)
    UNIQUE (campaign, day, inputs_hash)
);

-- One row for every candidate, kept or not, so that "why is this CPF (not) in?" has an answer.
CREATE TABLE IF NOT EXISTS mailing.candidate (
    mailing_id text NOT NULL REFERENCES mailing.mailing (id) ON DELETE CASCADE,
    cpf        text NOT NULL,
    rank       integer,                      -- 1 is called first; NULL when left out
    left_out   text,                         -- the rule that removed it; NULL when kept
    reasons    text,                         -- all rules that would, with commas between
    profit     real,                         -- expected reais of the next call at the best hour
    convenio   text,                         -- the contract to be spoken of …
    contract   text,
    payment    real,                         -- … P(paid within 30 days) …
    gain       real,                         -- … and what the model says a conversation adds to it
    arm        text CHECK (arm IN ('escolhido', 'sorteado', 'controle')), -- NULL: not in the draw
    propensity real NOT NULL,                -- P(to be in this mailing) before the draws
    hour       smallint,                     -- the hour planned for the first phone
    hour_propensity real,                    -- P(that hour to be planned)
    PRIMARY KEY (mailing_id, cpf)
);
