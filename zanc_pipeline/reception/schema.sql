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
                    ('received', 'accepted', 'loaded', 'quarantined', 'duplicate')),
    duplicate_of    bigint REFERENCES reception.delivery (id),
    layout_version  text,
    reference_date  date,                    -- the business day that the file speaks of
    rows_total      integer,
    rows_accepted   integer,
    rows_rejected   integer,
    reason          text,                    -- in Portuguese, for the clerk
    folder          text,                    -- var/deliveries/<id>: accepted.parquet, report, …
    finished_at     timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS delivery_upload
    ON reception.delivery (convenio, remote_path, size_bytes, remote_modified)
    WHERE remote_path IS NOT NULL;
CREATE INDEX IF NOT EXISTS delivery_content ON reception.delivery (convenio, sha256);

CREATE TABLE IF NOT EXISTS reception.rejected_row (
    delivery_id bigint NOT NULL REFERENCES reception.delivery (id) ON DELETE CASCADE,
    line        integer NOT NULL,
    field       text NOT NULL,
    found       text NOT NULL,               -- masked
    problem     text NOT NULL,               -- in Portuguese: what was expected and what to do
    PRIMARY KEY (delivery_id, line, field)
);
