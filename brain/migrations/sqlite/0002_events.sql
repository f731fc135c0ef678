-- What registers, logs and sensors told that is not a sample. They share the sequences of frames.
CREATE TABLE events (
    host     TEXT    NOT NULL,
    vantage  TEXT    NOT NULL,
    epoch    INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    time_ms  INTEGER NOT NULL, -- when the agent saw it
    source   TEXT    NOT NULL, -- pci | mce | bmc | ...
    subject  TEXT    NOT NULL,
    kind     TEXT    NOT NULL,
    severity TEXT    NOT NULL, -- info | warning | critical
    text     TEXT    NOT NULL,
    details  TEXT    NOT NULL, -- [[name, value], ...] in JSON
    PRIMARY KEY (host, vantage, epoch, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX events_time ON events (time_ms);
