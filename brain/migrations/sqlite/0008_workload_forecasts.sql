-- What was expected of workloads: forecasts of their own, in cores and bytes.
CREATE TABLE workload_forecasts (
    host      TEXT    NOT NULL,
    workload  TEXT    NOT NULL,
    resource  TEXT    NOT NULL, -- cpu | memory
    made      INTEGER NOT NULL,
    horizon_s INTEGER NOT NULL,
    due       INTEGER NOT NULL,
    p50       REAL    NOT NULL,
    p90       REAL    NOT NULL,
    p95       REAL    NOT NULL,
    p99       REAL    NOT NULL,
    rung      TEXT    NOT NULL, -- last | ewma | lstm
    skill     REAL,
    coverage  REAL,
    PRIMARY KEY (host, workload, resource, made, horizon_s)
) STRICT, WITHOUT ROWID;
CREATE INDEX workload_forecasts_made ON workload_forecasts (made);
