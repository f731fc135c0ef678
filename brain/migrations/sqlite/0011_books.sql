-- What the books of each series have learnt, as bytes of the crate brain/limits: a restart goes on with it.
CREATE TABLE books (
    host     TEXT    NOT NULL,
    resource TEXT    NOT NULL, -- cpu | memory | network | disk | power
    saved    INTEGER NOT NULL,
    body     BLOB    NOT NULL,
    PRIMARY KEY (host, resource)
) STRICT;
CREATE INDEX books_saved ON books (saved);

-- Leases that were told again since the round before: they change nothing, and are in no other table.
ALTER TABLE plans ADD COLUMN renewed INTEGER NOT NULL DEFAULT 0;
