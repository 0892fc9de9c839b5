-- The identities of archived calls, at a tenth of the size: a row holds those that begin with the
-- same 20 bits, 8 bytes of each (its last half). Two calls are taken for one with a chance of about
-- (calls in the row) / 2^64.
CREATE TABLE localization.archived_key (
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

-- Emptying the log empties what was learned from it: or the same calls could never be taken again.
CREATE OR REPLACE FUNCTION localization.call_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE localization.call_key, localization.archived_key, localization.phone,
        localization.lease;
    RETURN NULL;
END $$;
