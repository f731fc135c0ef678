-- What agents declared lost: frames and events that neither they nor this brain have. Nobody waits for them. A frame
-- that comes nevertheless is in `frames`, which counts.
CREATE TABLE holes (
    host           TEXT    NOT NULL,
    vantage        TEXT    NOT NULL,
    epoch          INTEGER NOT NULL,
    first_sequence INTEGER NOT NULL,
    end_sequence   INTEGER NOT NULL, -- not included
    told_ms        INTEGER NOT NULL, -- when the brain heard of it
    PRIMARY KEY (host, vantage, epoch, first_sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX holes_told ON holes (told_ms);
