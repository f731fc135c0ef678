-- What the books of each series have learnt, as bytes of the crate brain/limits: a restart goes on with it.
CREATE TABLE books (
    host     text NOT NULL,
    resource text NOT NULL,
    saved    timestamptz NOT NULL,
    body     bytea NOT NULL,
    PRIMARY KEY (host, resource)
);
CREATE INDEX books_saved ON books (saved);

-- Leases that were told again since the round before: they change nothing, and are in no other table.
ALTER TABLE plans ADD COLUMN renewed bigint NOT NULL DEFAULT 0;
