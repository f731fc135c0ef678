-- What was unusual on a host at a time, by all that is known of it: told once, with its likely cause.
CREATE TABLE incidents (
    host            text NOT NULL,
    since           timestamptz NOT NULL,
    until           timestamptz NOT NULL,
    goes_on         boolean NOT NULL,
    severity        text NOT NULL,
    score           double precision NOT NULL,
    cause           text NOT NULL,
    signals         text NOT NULL,
    acknowledged    timestamptz,
    acknowledged_by text,
    PRIMARY KEY (host, since)
);
CREATE INDEX incidents_until ON incidents (until);

-- What the detector of each host has learnt, as bytes of the crate brain/anomaly: a restart goes on with it.
CREATE TABLE detectors (
    host  text NOT NULL PRIMARY KEY,
    saved timestamptz NOT NULL,
    body  bytea NOT NULL
);
