-- What was proposed, and who has decided what of it, when and why.
CREATE TABLE proposals (
    id         text NOT NULL,
    host       text NOT NULL,
    workload   text NOT NULL,
    resource   text NOT NULL,
    made       timestamptz NOT NULL,
    expires    timestamptz NOT NULL,
    change     text NOT NULL,
    fate       text NOT NULL,
    decided    timestamptz,
    decided_by text NOT NULL,
    reason     text NOT NULL,
    command_id text,
    PRIMARY KEY (id)
);
CREATE INDEX proposals_made ON proposals (made);
CREATE INDEX proposals_command ON proposals (command_id);
