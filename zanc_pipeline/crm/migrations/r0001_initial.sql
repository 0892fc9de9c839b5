CREATE SCHEMA IF NOT EXISTS crm;

-- Which delivery is in which CRM. The CRM itself holds the same mark, written in the transaction
-- that loads it; this row only follows.
CREATE TABLE IF NOT EXISTS crm.load (
    delivery_id  bigint PRIMARY KEY,
    convenio     text NOT NULL,
    crm          text NOT NULL,
    status       text NOT NULL CHECK (status IN
                 ('loading', 'loaded', 'rolling_back', 'rolled_back')),
    rows_loaded  integer,
    rows_changed integer,
    digest       text,                       -- of accepted.parquet: the same again changes nothing
    rows_refused integer,                    -- by the CRM, in its return file
    answered_at  timestamptz,                -- when its return file was read; NULL: none (yet)
    withdrawn_at timestamptz,                -- when the dialer knew who must not be called any more
    started_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz
);

-- Rows of an import file that the CRM refused, as its return file says.
CREATE TABLE IF NOT EXISTS crm.refusal (
    delivery_id bigint NOT NULL REFERENCES crm.load (delivery_id) ON DELETE CASCADE,
    row_number  integer NOT NULL,            -- of the detail in the import file, 1 is the first
    cpf         text NOT NULL,
    contract    text NOT NULL,
    reason      text NOT NULL,               -- in the CRM's words
    PRIMARY KEY (delivery_id, row_number)
);

-- The portfolio as the CRMs hold it, in canonical form: what mailings are built from.
CREATE TABLE IF NOT EXISTS crm.person (
    cpf        text PRIMARY KEY,
    name       text NOT NULL,
    birth_date date,
    email      text,
    city       text,
    state      text,
    deceased   boolean NOT NULL DEFAULT false,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS crm.contract (
    convenio     text NOT NULL,
    contract     text NOT NULL,
    crm          text NOT NULL,
    cpf          text NOT NULL REFERENCES crm.person (cpf),
    product      text,
    amount       numeric(14, 2) NOT NULL,    -- reais open
    due_date     date NOT NULL,              -- of the oldest open instalment
    status       text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'paid', 'removed')),
    delivery_id  bigint NOT NULL,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (convenio, contract)
);
CREATE INDEX IF NOT EXISTS contract_cpf ON crm.contract (cpf);
CREATE INDEX IF NOT EXISTS contract_crm ON crm.contract (crm, convenio) WHERE status = 'open';

-- What each delivery overwrote in the two tables above, so that it can be taken out again.
CREATE TABLE IF NOT EXISTS crm.journal (
    seq         bigint GENERATED ALWAYS AS IDENTITY,
    delivery_id bigint NOT NULL,
    table_name  text NOT NULL,
    row_key     text[] NOT NULL,
    before      jsonb                        -- NULL: the delivery inserted the row
);
CREATE INDEX IF NOT EXISTS journal_delivery ON crm.journal (delivery_id);

-- What operators tabulated: promises, deaths, wrong persons; read by the mailings' suppression.
CREATE TABLE IF NOT EXISTS crm.outcome (
    call_id      text PRIMARY KEY,           -- the dialer's attempt id
    crm          text NOT NULL,
    convenio     text NOT NULL,
    contract     text,
    cpf          text NOT NULL,
    phone        text NOT NULL,
    started_at   timestamptz NOT NULL,
    outcome      text NOT NULL,
    tabulation   text,
    promise_date date,
    promise_amount numeric(14, 2),
    return_batch bigint,                     -- fixed before it is sent: a retry sends the same set
    returned_at  timestamptz                 -- when the CRM itself took it
);
CREATE INDEX IF NOT EXISTS outcome_pending ON crm.outcome (crm, return_batch)
    WHERE returned_at IS NULL;
CREATE SEQUENCE IF NOT EXISTS crm.return_batch;
CREATE INDEX IF NOT EXISTS outcome_cpf ON crm.outcome (cpf, started_at);
