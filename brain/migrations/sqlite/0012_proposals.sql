-- What was proposed, and who has decided what of it, when and why.
CREATE TABLE proposals (
    id         TEXT    NOT NULL,
    host       TEXT    NOT NULL,
    workload   TEXT    NOT NULL,
    resource   TEXT    NOT NULL, -- cpu | memory | network | disk | power
    made       INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    change     TEXT    NOT NULL, -- {workload, resource, before, target, ceiling, explanation} in JSON
    fate       TEXT    NOT NULL, -- open | approved | declined | lapsed
    decided    INTEGER,
    decided_by TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    command_id TEXT,
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX proposals_made ON proposals (made);
CREATE INDEX proposals_command ON proposals (command_id);

CREATE VIEW v_proposals AS
SELECT p.id, p.host, p.workload, p.resource, strftime('%Y-%m-%dT%H:%M:%fZ', p.made / 1000.0, 'unixepoch') AS made,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.expires / 1000.0, 'unixepoch') AS expires,
       p.change ->> 'before' AS before, p.change ->> 'target' AS target,
       p.change -> 'explanation' ->> 'text' AS explanation, p.fate,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.decided / 1000.0, 'unixepoch') AS decided, p.decided_by, p.reason,
       (p.decided - p.made) / 1000.0 AS waited_s, p.command_id, o.state,
       strftime('%Y-%m-%dT%H:%M:%fZ', o.time / 1000.0, 'unixepoch') AS answered
FROM proposals p
LEFT JOIN outcomes o ON o.command_id = p.command_id
    AND o.state = (SELECT state FROM outcomes WHERE command_id = p.command_id ORDER BY time DESC, state LIMIT 1);
