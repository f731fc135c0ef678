-- What was unusual on a host at a time, by all that is known of it: told once, with its likely cause.
CREATE TABLE incidents (
    host            TEXT    NOT NULL,
    since           INTEGER NOT NULL,
    until           INTEGER NOT NULL,
    goes_on         INTEGER NOT NULL,
    severity        TEXT    NOT NULL, -- info | warning | critical
    score           REAL    NOT NULL, -- -log10 of the chance of its rarest signal
    cause           TEXT    NOT NULL,
    signals         TEXT    NOT NULL, -- [{kind, subject, severity, score, evidence}, ...] in JSON
    acknowledged    INTEGER,
    acknowledged_by TEXT,
    PRIMARY KEY (host, since)
) STRICT, WITHOUT ROWID;
CREATE INDEX incidents_until ON incidents (until);

-- What the detector of each host has learnt, as bytes of the crate brain/anomaly: a restart goes on with it.
CREATE TABLE detectors (
    host  TEXT    NOT NULL PRIMARY KEY,
    saved INTEGER NOT NULL,
    body  BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
