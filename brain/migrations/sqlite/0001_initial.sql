-- The brain's database. Times are milliseconds of the unix clock (UTC) where a name ends in _ms.
-- Columns carry their unit in their name; cpu and memory are shares of the host, 0 to 1.

-- Single values: the issuer epoch, the end of the closed part of the grid, the feedback of past outcomes.
CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE hosts (
    host           TEXT    NOT NULL PRIMARY KEY,
    first_seen_ms  INTEGER NOT NULL,
    last_sample_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The history of each host's inventory. `body` is the birth as protobuf: without it no frame of its epoch
-- can be read, so it is kept as long as these.
CREATE TABLE births (
    host                TEXT    NOT NULL,
    vantage             TEXT    NOT NULL, -- inband | oob
    epoch               INTEGER NOT NULL, -- microseconds of the unix clock
    time_ms             INTEGER NOT NULL,
    agent_version       TEXT    NOT NULL,
    kernel              TEXT    NOT NULL,
    os                  TEXT    NOT NULL,
    cpu_model           TEXT    NOT NULL,
    cpu_cores           REAL,
    memory_bytes        REAL,
    network_bytes_per_s REAL,
    disk_bytes_per_s    REAL,
    power_w             REAL,
    body                BLOB    NOT NULL,
    PRIMARY KEY (host, vantage, epoch)
) STRICT, WITHOUT ROWID;

-- Frames as they came, at full rate: docs/wire-format.md says how `body` is read.
CREATE TABLE frames (
    host     TEXT    NOT NULL,
    vantage  TEXT    NOT NULL,
    epoch    INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    start_ms INTEGER NOT NULL,
    samples  INTEGER NOT NULL,
    codec    INTEGER NOT NULL,
    body     BLOB    NOT NULL,
    PRIMARY KEY (host, vantage, epoch, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX frames_start ON frames (start_ms);

-- Which sequences of an epoch are durable, written with the frames that it tells of.
CREATE TABLE watermarks (
    host    TEXT    NOT NULL,
    vantage TEXT    NOT NULL,
    epoch   INTEGER NOT NULL,
    ranges  TEXT    NOT NULL, -- [[first, end], ...] in JSON, ends not included
    PRIMARY KEY (host, vantage, epoch)
) STRICT, WITHOUT ROWID;

-- One row a host and step of the grid (10 s unless configured). A mean is weighted by time.
CREATE TABLE rollup_10s (
    host                        TEXT    NOT NULL,
    bucket_ms                   INTEGER NOT NULL, -- its begin
    coverage                    REAL    NOT NULL, -- share of the step that samples tell of
    cpu                         REAL,
    memory                      REAL,
    network_rx_bytes_per_s      REAL,
    network_tx_bytes_per_s      REAL,
    disk_read_bytes_per_s       REAL,
    disk_write_bytes_per_s      REAL,
    power_w                     REAL,
    cpu_max                     REAL,
    memory_max                  REAL,
    network_rx_bytes_per_s_max  REAL,
    network_tx_bytes_per_s_max  REAL,
    disk_read_bytes_per_s_max   REAL,
    disk_write_bytes_per_s_max  REAL,
    power_w_max                 REAL,
    PRIMARY KEY (host, bucket_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX rollup_10s_bucket ON rollup_10s (bucket_ms);

-- One row a host and minute (or step of the grid, where that is longer).
CREATE TABLE rollup_1m (
    host                        TEXT    NOT NULL,
    bucket_ms                   INTEGER NOT NULL,
    coverage                    REAL    NOT NULL,
    cpu                         REAL,
    memory                      REAL,
    network_rx_bytes_per_s      REAL,
    network_tx_bytes_per_s      REAL,
    disk_read_bytes_per_s       REAL,
    disk_write_bytes_per_s      REAL,
    power_w                     REAL,
    cpu_max                     REAL,
    memory_max                  REAL,
    network_rx_bytes_per_s_max  REAL,
    network_tx_bytes_per_s_max  REAL,
    disk_read_bytes_per_s_max   REAL,
    disk_write_bytes_per_s_max  REAL,
    power_w_max                 REAL,
    PRIMARY KEY (host, bucket_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX rollup_1m_bucket ON rollup_1m (bucket_ms);

-- What each workload used in a minute.
CREATE TABLE workload_1m (
    host         TEXT    NOT NULL,
    workload     TEXT    NOT NULL,
    bucket_ms    INTEGER NOT NULL,
    cpu_cores    REAL,
    memory_bytes REAL,
    PRIMARY KEY (host, workload, bucket_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX workload_1m_bucket ON workload_1m (bucket_ms);

-- What was expected of `due_ms` at `made_ms`, in the resource's unit: a share, bytes/s or watts.
CREATE TABLE forecasts (
    host      TEXT    NOT NULL,
    resource  TEXT    NOT NULL,
    made_ms   INTEGER NOT NULL,
    horizon_s INTEGER NOT NULL,
    due_ms    INTEGER NOT NULL,
    p50       REAL    NOT NULL,
    p90       REAL    NOT NULL,
    p95       REAL    NOT NULL,
    p99       REAL    NOT NULL,
    rung      TEXT    NOT NULL, -- last | ewma | lstm
    skill     REAL,
    coverage  REAL,
    PRIMARY KEY (host, resource, made_ms, horizon_s)
) STRICT, WITHOUT ROWID;
CREATE INDEX forecasts_made ON forecasts (made_ms);

CREATE TABLE anomalies (
    host     TEXT    NOT NULL,
    resource TEXT    NOT NULL,
    since_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    score    REAL    NOT NULL, -- -log10 of its chance
    evidence TEXT    NOT NULL,
    PRIMARY KEY (host, resource, since_ms)
) STRICT, WITHOUT ROWID;

-- One row a command; `changes` is JSON with the explanation of each.
CREATE TABLE commands (
    id           TEXT    NOT NULL PRIMARY KEY,
    host         TEXT    NOT NULL,
    issuer_epoch INTEGER NOT NULL,
    sequence     INTEGER NOT NULL,
    issued_ms    INTEGER NOT NULL,
    ttl_ms       INTEGER NOT NULL,
    dry_run      INTEGER NOT NULL,
    changes      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX commands_issued ON commands (issued_ms);

-- What agents did; a command may be answered more than once: applied, later expired.
CREATE TABLE outcomes (
    command_id TEXT    NOT NULL,
    state      TEXT    NOT NULL, -- applied | dry_run | refused | expired | failed
    time_ms    INTEGER NOT NULL,
    reason     TEXT    NOT NULL,
    changes    TEXT    NOT NULL,
    PRIMARY KEY (command_id, state)
) STRICT, WITHOUT ROWID;
CREATE INDEX outcomes_time ON outcomes (time_ms);

-- Artifacts that were trained; their files lie in models/<version>/ beside the database.
CREATE TABLE models (
    version    TEXT    NOT NULL PRIMARY KEY,
    trained_ms INTEGER NOT NULL,
    rows       INTEGER NOT NULL,
    took_ms    INTEGER NOT NULL,
    note       TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
