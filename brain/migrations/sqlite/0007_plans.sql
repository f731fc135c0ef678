-- What was planned, a row a round: what came of it, what waits, and why.
CREATE TABLE plans (
    time         INTEGER NOT NULL,
    mode         TEXT    NOT NULL, -- recommend-only | acting | frozen
    hosts        INTEGER NOT NULL,
    raised       INTEGER NOT NULL,
    lowered      INTEGER NOT NULL,
    told         INTEGER NOT NULL,
    changes_left INTEGER NOT NULL,
    queued       INTEGER NOT NULL,
    throttled    INTEGER NOT NULL,
    unmet        INTEGER NOT NULL,
    wakes        INTEGER NOT NULL,
    pool         TEXT    NOT NULL, -- [{host, resource, capacity, reserved, reclaimable, coming, queued}, ...] in JSON
    queue        TEXT    NOT NULL, -- [{key, criticality, since_ms, deadline_ms, wanted, held}, ...] in JSON
    words        TEXT    NOT NULL,
    PRIMARY KEY (time)
) STRICT, WITHOUT ROWID;

-- What was held and used on a host in a day (UTC), as one brain has seen it: sums over time, in unit seconds.
CREATE TABLE savings (
    host         TEXT    NOT NULL,
    day          INTEGER NOT NULL,
    resource     TEXT    NOT NULL,
    issuer_epoch INTEGER NOT NULL,
    held         REAL    NOT NULL,
    used         REAL    NOT NULL,
    given_back   REAL    NOT NULL,
    watched_s    REAL    NOT NULL,
    over_s       REAL    NOT NULL,
    acted_s      REAL    NOT NULL,
    changes      INTEGER NOT NULL,
    hurts        INTEGER NOT NULL,
    PRIMARY KEY (host, day, resource, issuer_epoch)
) STRICT, WITHOUT ROWID;
CREATE INDEX savings_day ON savings (day);

ALTER TABLE commands ADD COLUMN actions TEXT NOT NULL DEFAULT '[]';
ALTER TABLE outcomes ADD COLUMN actions TEXT NOT NULL DEFAULT '[]';

DROP VIEW v_commands;
CREATE VIEW v_commands AS
SELECT c.id, c.host, strftime('%Y-%m-%dT%H:%M:%fZ', c.issued / 1000.0, 'unixepoch') AS issued, c.ttl_ms, c.dry_run,
       change.value ->> 'workload' AS workload, change.value ->> 'resource' AS resource,
       change.value ->> 'before' AS before, change.value ->> 'target' AS target,
       change.value -> 'explanation' ->> 'text' AS explanation, o.state,
       strftime('%Y-%m-%dT%H:%M:%fZ', o.time / 1000.0, 'unixepoch') AS answered, o.reason,
       change.value ->> 'ceiling' AS ceiling,
       change.value -> 'explanation' ->> 'strategy' AS strategy,
       change.value -> 'explanation' ->> 'quantile' AS quantile,
       change.value -> 'explanation' ->> 'forecast' AS forecast,
       change.value -> 'explanation' ->> 'margin' AS margin,
       change.value -> 'explanation' ->> 'learnt' AS learnt,
       change.value -> 'explanation' ->> 'coverage' AS coverage,
       change.value -> 'explanation' ->> 'used' AS used,
       change.value -> 'explanation' ->> 'wanted' AS wanted,
       change.value -> 'explanation' ->> 'clamp' AS clamp,
       change.value -> 'explanation' ->> 'rung' AS rung,
       (SELECT told.value ->> 'after' FROM json_each(o.changes) AS told
        WHERE told.value ->> 'workload' = change.value ->> 'workload'
          AND told.value ->> 'resource' = change.value ->> 'resource') AS after
FROM commands c
JOIN json_each(c.changes) AS change
LEFT JOIN outcomes o ON o.command_id = c.id
    AND o.state = (SELECT state FROM outcomes WHERE command_id = c.id ORDER BY time DESC, state LIMIT 1);

CREATE VIEW v_savings AS
SELECT host, strftime('%Y-%m-%d', day / 1000.0, 'unixepoch') AS day, resource, sum(held) / sum(watched_s) AS held,
       sum(used) / sum(watched_s) AS used, sum(given_back) / sum(watched_s) AS given_back,
       sum(watched_s) AS watched_s, sum(over_s) AS over_s, sum(acted_s) AS acted_s,
       CAST(sum(changes) AS INTEGER) AS changes, CAST(sum(hurts) AS INTEGER) AS hurts
FROM savings
GROUP BY host, day, resource
HAVING sum(watched_s) > 0;
