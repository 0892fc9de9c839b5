CREATE SCHEMA IF NOT EXISTS reception;

-- The truth about deliveries. One row for every file seen, whatever became of it.
CREATE TABLE IF NOT EXISTS reception.delivery (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    convenio        text NOT NULL,
    file_name       text NOT NULL,
    sha256          text NOT NULL,
    size_bytes      bigint NOT NULL,
    remote_path     text,                    -- where on the FTP server it came from
    remote_modified text,                    -- its MDTM there: path + size + this is one upload
    received_at     timestamptz NOT NULL DEFAULT now(),
    uploaded_at     timestamptz,
    status          text NOT NULL DEFAULT 'received' CHECK (status IN
                    ('received', 'held', 'joined', 'accepted', 'loaded', 'quarantined',
                     'duplicate')),
    duplicate_of    bigint REFERENCES reception.delivery (id),
    corrects        bigint REFERENCES reception.delivery (id), -- whose rejected rows it brings back
    sequence        bigint,                  -- the file's running number, when its name has one
    content_digest  text,                    -- of the accepted rows, whatever their order
    layout_version  text,
    reference_date  date,                    -- the business day that the file speaks of
    rows_total      integer,
    rows_accepted   integer,
    rows_rejected   integer,
    rows_removed    integer,                 -- taken out by the convênio's treatment
    reason          text,                    -- in Portuguese, for the clerk
    rules           text[] NOT NULL DEFAULT '{}', -- the rules behind it that a person may overrule
    content         text NOT NULL DEFAULT 'carteira' CHECK (content IN
                    ('carteira', 'pagamentos', 'telefones')), -- what the rows are
    folder          text,                    -- var/deliveries/<id>: accepted.parquet, report, …
    finished_at     timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS delivery_upload
    ON reception.delivery (convenio, remote_path, size_bytes, remote_modified)
    WHERE remote_path IS NOT NULL;
CREATE INDEX IF NOT EXISTS delivery_content ON reception.delivery (convenio, sha256);
CREATE INDEX IF NOT EXISTS delivery_received ON reception.delivery (received_at);
CREATE INDEX IF NOT EXISTS delivery_open ON reception.delivery (received_at)
    WHERE status IN ('quarantined', 'held');
CREATE UNIQUE INDEX IF NOT EXISTS delivery_correction ON reception.delivery (corrects, sha256)
    WHERE corrects IS NOT NULL;

-- What a person decided about a delivery against a rule, and why: kept for ever, used by every replay.
CREATE TABLE IF NOT EXISTS reception.decision (
    delivery_id bigint NOT NULL REFERENCES reception.delivery (id) ON DELETE CASCADE,
    rule        text NOT NULL,
    decided_by  text NOT NULL,
    reason      text NOT NULL,
    decided_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (delivery_id, rule)
);

CREATE TABLE IF NOT EXISTS reception.rejected_row (
    delivery_id bigint NOT NULL REFERENCES reception.delivery (id) ON DELETE CASCADE,
    line        integer NOT NULL,
    field       text NOT NULL,
    found       text NOT NULL,               -- masked
    problem     text NOT NULL,               -- in Portuguese: what was expected and what to do
    PRIMARY KEY (delivery_id, line, field)
);

-- What an accepted delivery looked like: its fields' traits and a hashed sample of its rows.
CREATE TABLE IF NOT EXISTS reception.fingerprint (
    delivery_id bigint PRIMARY KEY REFERENCES reception.delivery (id) ON DELETE CASCADE,
    content     jsonb NOT NULL,
    made_at     timestamptz NOT NULL DEFAULT now()
);

-- Another layout that explains a delivery: adapted by itself, or for a person to decide.
CREATE TABLE IF NOT EXISTS reception.proposal (
    delivery_id bigint PRIMARY KEY REFERENCES reception.delivery (id) ON DELETE CASCADE,
    status      text NOT NULL CHECK (status IN ('proposed', 'adapted', 'approved', 'rejected')),
    layout      text NOT NULL,               -- the layout's YAML
    summary     text NOT NULL,               -- what changed, in Portuguese
    evidence    jsonb NOT NULL,              -- before and after, field by field, masked
    layout_file text,                        -- where the approved version was written
    decided_by  text,
    decided_at  timestamptz,
    note        text,
    made_at     timestamptz NOT NULL DEFAULT now()
);
