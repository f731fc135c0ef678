-- The brain's tables in TimescaleDB: what they hold, COMMENT ON tells (columns.txt).

CREATE TABLE meta (
    key   text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (key)
);

CREATE TABLE hosts (
    host        text NOT NULL,
    first_seen  timestamptz NOT NULL,
    last_sample timestamptz NOT NULL,
    PRIMARY KEY (host)
);

CREATE TABLE births (
    host                text NOT NULL,
    vantage             text NOT NULL,
    epoch               bigint NOT NULL,
    time                timestamptz NOT NULL,
    agent_version       text NOT NULL,
    kernel              text NOT NULL,
    os                  text NOT NULL,
    cpu_model           text NOT NULL,
    cpu_cores           double precision,
    memory_bytes        double precision,
    network_bytes_per_s double precision,
    disk_bytes_per_s    double precision,
    power_w             double precision,
    body                bytea NOT NULL,
    PRIMARY KEY (host, vantage, epoch)
);

CREATE TABLE frames (
    host      text NOT NULL,
    vantage   text NOT NULL,
    epoch     bigint NOT NULL,
    sequence  bigint NOT NULL,
    start     timestamptz NOT NULL,
    samples   bigint NOT NULL,
    codec     bigint NOT NULL,
    body      bytea NOT NULL,
    reference bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (host, vantage, epoch, sequence, start)
);
-- Bodies are compressed by the codec already.
ALTER TABLE frames ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE watermarks (
    host    text NOT NULL,
    vantage text NOT NULL,
    epoch   bigint NOT NULL,
    ranges  text NOT NULL,
    PRIMARY KEY (host, vantage, epoch)
);

CREATE TABLE rollup_10s (
    host                        text NOT NULL,
    bucket                      timestamptz NOT NULL,
    coverage                    real NOT NULL,
    cpu                         real,
    memory                      real,
    network_rx_bytes_per_s      real,
    network_tx_bytes_per_s      real,
    disk_read_bytes_per_s       real,
    disk_write_bytes_per_s      real,
    power_w                     real,
    cpu_max                     real,
    memory_max                  real,
    network_rx_bytes_per_s_max  real,
    network_tx_bytes_per_s_max  real,
    disk_read_bytes_per_s_max   real,
    disk_write_bytes_per_s_max  real,
    power_w_max                 real,
    cpu_min                     real,
    memory_min                  real,
    network_rx_bytes_per_s_min  real,
    network_tx_bytes_per_s_min  real,
    disk_read_bytes_per_s_min   real,
    disk_write_bytes_per_s_min  real,
    power_w_min                 real,
    cpu_last                    real,
    memory_last                 real,
    network_rx_bytes_per_s_last real,
    network_tx_bytes_per_s_last real,
    disk_read_bytes_per_s_last  real,
    disk_write_bytes_per_s_last real,
    power_w_last                real,
    cpu_p95                     real,
    memory_p95                  real,
    network_rx_bytes_per_s_p95  real,
    network_tx_bytes_per_s_p95  real,
    disk_read_bytes_per_s_p95   real,
    disk_write_bytes_per_s_p95  real,
    power_w_p95                 real,
    PRIMARY KEY (host, bucket)
);

CREATE TABLE rollup_1m (
    host                        text NOT NULL,
    bucket                      timestamptz NOT NULL,
    coverage                    real NOT NULL,
    cpu                         real,
    memory                      real,
    network_rx_bytes_per_s      real,
    network_tx_bytes_per_s      real,
    disk_read_bytes_per_s       real,
    disk_write_bytes_per_s      real,
    power_w                     real,
    cpu_max                     real,
    memory_max                  real,
    network_rx_bytes_per_s_max  real,
    network_tx_bytes_per_s_max  real,
    disk_read_bytes_per_s_max   real,
    disk_write_bytes_per_s_max  real,
    power_w_max                 real,
    cpu_min                     real,
    memory_min                  real,
    network_rx_bytes_per_s_min  real,
    network_tx_bytes_per_s_min  real,
    disk_read_bytes_per_s_min   real,
    disk_write_bytes_per_s_min  real,
    power_w_min                 real,
    cpu_last                    real,
    memory_last                 real,
    network_rx_bytes_per_s_last real,
    network_tx_bytes_per_s_last real,
    disk_read_bytes_per_s_last  real,
    disk_write_bytes_per_s_last real,
    power_w_last                real,
    cpu_p95                     real,
    memory_p95                  real,
    network_rx_bytes_per_s_p95  real,
    network_tx_bytes_per_s_p95  real,
    disk_read_bytes_per_s_p95   real,
    disk_write_bytes_per_s_p95  real,
    power_w_p95                 real,
    PRIMARY KEY (host, bucket)
);

CREATE TABLE workload_1m (
    host         text NOT NULL,
    workload     text NOT NULL,
    bucket       timestamptz NOT NULL,
    cpu_cores    real,
    memory_bytes real,
    PRIMARY KEY (host, workload, bucket)
);

CREATE TABLE forecasts (
    host      text NOT NULL,
    resource  text NOT NULL,
    made      timestamptz NOT NULL,
    horizon_s bigint NOT NULL,
    due       timestamptz NOT NULL,
    p50       double precision NOT NULL,
    p90       double precision NOT NULL,
    p95       double precision NOT NULL,
    p99       double precision NOT NULL,
    rung      text NOT NULL,
    skill     double precision,
    coverage  double precision,
    PRIMARY KEY (host, resource, made, horizon_s)
);

CREATE TABLE anomalies (
    host     text NOT NULL,
    resource text NOT NULL,
    since    timestamptz NOT NULL,
    until    timestamptz NOT NULL,
    score    double precision NOT NULL,
    evidence text NOT NULL,
    PRIMARY KEY (host, resource, since)
);

CREATE TABLE events (
    host     text NOT NULL,
    vantage  text NOT NULL,
    epoch    bigint NOT NULL,
    sequence bigint NOT NULL,
    time     timestamptz NOT NULL,
    source   text NOT NULL,
    subject  text NOT NULL,
    kind     text NOT NULL,
    severity text NOT NULL,
    text     text NOT NULL,
    details  text NOT NULL,
    PRIMARY KEY (host, vantage, epoch, sequence)
);
CREATE INDEX events_time ON events (time);

CREATE TABLE holes (
    host           text NOT NULL,
    vantage        text NOT NULL,
    epoch          bigint NOT NULL,
    first_sequence bigint NOT NULL,
    end_sequence   bigint NOT NULL,
    told           timestamptz NOT NULL,
    PRIMARY KEY (host, vantage, epoch, first_sequence)
);
CREATE INDEX holes_told ON holes (told);

CREATE TABLE commands (
    id           text NOT NULL,
    host         text NOT NULL,
    issuer_epoch bigint NOT NULL,
    sequence     bigint NOT NULL,
    issued       timestamptz NOT NULL,
    ttl_ms       bigint NOT NULL,
    dry_run      boolean NOT NULL,
    changes      text NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX commands_issued ON commands (issued);

CREATE TABLE outcomes (
    command_id text NOT NULL,
    state      text NOT NULL,
    time       timestamptz NOT NULL,
    reason     text NOT NULL,
    changes    text NOT NULL,
    PRIMARY KEY (command_id, state)
);
CREATE INDEX outcomes_time ON outcomes (time);

CREATE TABLE models (
    version text NOT NULL,
    trained timestamptz NOT NULL,
    rows    bigint NOT NULL,
    took_ms bigint NOT NULL,
    note    text NOT NULL,
    PRIMARY KEY (version)
);

-- Chunks by time, so that what is old goes as a whole. No index by time alone but of frames, of which a start reads the
-- newest of all hosts: people ask for hosts.
SELECT create_hypertable('frames', by_range('start', INTERVAL '6 hours'), create_default_indexes => false);
CREATE INDEX frames_start ON frames (start);
SELECT create_hypertable('rollup_10s', by_range('bucket', INTERVAL '12 hours'), create_default_indexes => false);
SELECT create_hypertable('rollup_1m', by_range('bucket', INTERVAL '7 days'), create_default_indexes => false);
SELECT create_hypertable('workload_1m', by_range('bucket', INTERVAL '7 days'), create_default_indexes => false);
SELECT create_hypertable('forecasts', by_range('made', INTERVAL '12 hours'), create_default_indexes => false);
