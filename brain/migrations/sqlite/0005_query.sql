-- Points in time lose the unit in their names, so that the same statements serve every database: here they are
-- milliseconds of the unix clock (UTC), in TimescaleDB timestamps.
ALTER TABLE hosts RENAME COLUMN first_seen_ms TO first_seen;
ALTER TABLE hosts RENAME COLUMN last_sample_ms TO last_sample;
ALTER TABLE births RENAME COLUMN time_ms TO time;
ALTER TABLE frames RENAME COLUMN start_ms TO start;
ALTER TABLE rollup_10s RENAME COLUMN bucket_ms TO bucket;
ALTER TABLE rollup_1m RENAME COLUMN bucket_ms TO bucket;
ALTER TABLE workload_1m RENAME COLUMN bucket_ms TO bucket;
ALTER TABLE forecasts RENAME COLUMN made_ms TO made;
ALTER TABLE forecasts RENAME COLUMN due_ms TO due;
ALTER TABLE anomalies RENAME COLUMN since_ms TO since;
ALTER TABLE anomalies RENAME COLUMN until_ms TO until;
ALTER TABLE commands RENAME COLUMN issued_ms TO issued;
ALTER TABLE outcomes RENAME COLUMN time_ms TO time;
ALTER TABLE models RENAME COLUMN trained_ms TO trained;
ALTER TABLE events RENAME COLUMN time_ms TO time;
ALTER TABLE holes RENAME COLUMN told_ms TO told;

-- More of each channel than its mean and its peak.
ALTER TABLE rollup_10s ADD COLUMN cpu_min REAL;
ALTER TABLE rollup_10s ADD COLUMN memory_min REAL;
ALTER TABLE rollup_10s ADD COLUMN network_rx_bytes_per_s_min REAL;
ALTER TABLE rollup_10s ADD COLUMN network_tx_bytes_per_s_min REAL;
ALTER TABLE rollup_10s ADD COLUMN disk_read_bytes_per_s_min REAL;
ALTER TABLE rollup_10s ADD COLUMN disk_write_bytes_per_s_min REAL;
ALTER TABLE rollup_10s ADD COLUMN power_w_min REAL;
ALTER TABLE rollup_10s ADD COLUMN cpu_last REAL;
ALTER TABLE rollup_10s ADD COLUMN memory_last REAL;
ALTER TABLE rollup_10s ADD COLUMN network_rx_bytes_per_s_last REAL;
ALTER TABLE rollup_10s ADD COLUMN network_tx_bytes_per_s_last REAL;
ALTER TABLE rollup_10s ADD COLUMN disk_read_bytes_per_s_last REAL;
ALTER TABLE rollup_10s ADD COLUMN disk_write_bytes_per_s_last REAL;
ALTER TABLE rollup_10s ADD COLUMN power_w_last REAL;
ALTER TABLE rollup_10s ADD COLUMN cpu_p95 REAL;
ALTER TABLE rollup_10s ADD COLUMN memory_p95 REAL;
ALTER TABLE rollup_10s ADD COLUMN network_rx_bytes_per_s_p95 REAL;
ALTER TABLE rollup_10s ADD COLUMN network_tx_bytes_per_s_p95 REAL;
ALTER TABLE rollup_10s ADD COLUMN disk_read_bytes_per_s_p95 REAL;
ALTER TABLE rollup_10s ADD COLUMN disk_write_bytes_per_s_p95 REAL;
ALTER TABLE rollup_10s ADD COLUMN power_w_p95 REAL;
ALTER TABLE rollup_1m ADD COLUMN cpu_min REAL;
ALTER TABLE rollup_1m ADD COLUMN memory_min REAL;
ALTER TABLE rollup_1m ADD COLUMN network_rx_bytes_per_s_min REAL;
ALTER TABLE rollup_1m ADD COLUMN network_tx_bytes_per_s_min REAL;
ALTER TABLE rollup_1m ADD COLUMN disk_read_bytes_per_s_min REAL;
ALTER TABLE rollup_1m ADD COLUMN disk_write_bytes_per_s_min REAL;
ALTER TABLE rollup_1m ADD COLUMN power_w_min REAL;
ALTER TABLE rollup_1m ADD COLUMN cpu_last REAL;
ALTER TABLE rollup_1m ADD COLUMN memory_last REAL;
ALTER TABLE rollup_1m ADD COLUMN network_rx_bytes_per_s_last REAL;
ALTER TABLE rollup_1m ADD COLUMN network_tx_bytes_per_s_last REAL;
ALTER TABLE rollup_1m ADD COLUMN disk_read_bytes_per_s_last REAL;
ALTER TABLE rollup_1m ADD COLUMN disk_write_bytes_per_s_last REAL;
ALTER TABLE rollup_1m ADD COLUMN power_w_last REAL;
ALTER TABLE rollup_1m ADD COLUMN cpu_p95 REAL;
ALTER TABLE rollup_1m ADD COLUMN memory_p95 REAL;
ALTER TABLE rollup_1m ADD COLUMN network_rx_bytes_per_s_p95 REAL;
ALTER TABLE rollup_1m ADD COLUMN network_tx_bytes_per_s_p95 REAL;
ALTER TABLE rollup_1m ADD COLUMN disk_read_bytes_per_s_p95 REAL;
ALTER TABLE rollup_1m ADD COLUMN disk_write_bytes_per_s_p95 REAL;
ALTER TABLE rollup_1m ADD COLUMN power_w_p95 REAL;

-- One row a host and hour, made of its minutes.
CREATE TABLE rollup_1h (
    host     TEXT    NOT NULL,
    bucket   INTEGER NOT NULL,
    coverage REAL    NOT NULL,
    cpu REAL,
    memory REAL,
    network_rx_bytes_per_s REAL,
    network_tx_bytes_per_s REAL,
    disk_read_bytes_per_s REAL,
    disk_write_bytes_per_s REAL,
    power_w REAL,
    cpu_max REAL,
    memory_max REAL,
    network_rx_bytes_per_s_max REAL,
    network_tx_bytes_per_s_max REAL,
    disk_read_bytes_per_s_max REAL,
    disk_write_bytes_per_s_max REAL,
    power_w_max REAL,
    cpu_min REAL,
    memory_min REAL,
    network_rx_bytes_per_s_min REAL,
    network_tx_bytes_per_s_min REAL,
    disk_read_bytes_per_s_min REAL,
    disk_write_bytes_per_s_min REAL,
    power_w_min REAL,
    PRIMARY KEY (host, bucket)
) STRICT, WITHOUT ROWID;
CREATE INDEX rollup_1h_bucket ON rollup_1h (bucket);

-- Views for people. Their times are texts of RFC 3339, which sort by time.
CREATE VIEW v_hosts AS
SELECT h.host, strftime('%Y-%m-%dT%H:%M:%fZ', h.first_seen / 1000.0, 'unixepoch') AS first_seen,
       strftime('%Y-%m-%dT%H:%M:%fZ', h.last_sample / 1000.0, 'unixepoch') AS last_sample,
       b.vantage, b.agent_version, b.kernel, b.os, b.cpu_model, b.cpu_cores, b.memory_bytes, b.power_w
FROM hosts h
LEFT JOIN births b ON b.host = h.host
    AND b.vantage = (SELECT min(vantage) FROM births WHERE host = h.host)
    AND b.epoch = (SELECT max(epoch) FROM births WHERE host = h.host AND vantage = b.vantage);

CREATE VIEW v_utilisation AS
SELECT host, strftime('%Y-%m-%dT%H:%M:%fZ', bucket / 1000.0, 'unixepoch') AS time,
       100 * cpu AS cpu_percent, 100 * cpu_max AS cpu_peak_percent, 100 * memory AS memory_percent,
       100 * memory_max AS memory_peak_percent, network_rx_bytes_per_s, network_tx_bytes_per_s, disk_read_bytes_per_s,
       disk_write_bytes_per_s, power_w, power_w_max AS power_peak_w, coverage
FROM rollup_1m;

CREATE VIEW v_utilisation_1h AS
SELECT host, strftime('%Y-%m-%dT%H:%M:%fZ', bucket / 1000.0, 'unixepoch') AS time,
       100 * cpu AS cpu_percent, 100 * cpu_max AS cpu_peak_percent, 100 * memory AS memory_percent,
       100 * memory_max AS memory_peak_percent, network_rx_bytes_per_s, network_tx_bytes_per_s, disk_read_bytes_per_s,
       disk_write_bytes_per_s, power_w, power_w_max AS power_peak_w, coverage
FROM rollup_1h;

CREATE VIEW v_forecast_vs_actual AS
SELECT f.host, f.resource, strftime('%Y-%m-%dT%H:%M:%fZ', f.made / 1000.0, 'unixepoch') AS made,
       strftime('%Y-%m-%dT%H:%M:%fZ', f.due / 1000.0, 'unixepoch') AS due,
       f.horizon_s, f.p50, f.p90, f.p95, f.p99, f.rung,
       CASE f.resource
           WHEN 'cpu' THEN r.cpu
           WHEN 'memory' THEN r.memory
           WHEN 'network' THEN r.network_rx_bytes_per_s + r.network_tx_bytes_per_s
           WHEN 'disk' THEN r.disk_read_bytes_per_s + r.disk_write_bytes_per_s
           WHEN 'power' THEN r.power_w
       END AS actual
FROM forecasts f
LEFT JOIN rollup_10s r ON r.host = f.host
    AND r.bucket = f.due - (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'grid_step_ms');

CREATE VIEW v_commands AS
SELECT c.id, c.host, strftime('%Y-%m-%dT%H:%M:%fZ', c.issued / 1000.0, 'unixepoch') AS issued, c.ttl_ms, c.dry_run,
       change.value ->> 'workload' AS workload, change.value ->> 'resource' AS resource,
       change.value ->> 'before' AS before, change.value ->> 'target' AS target,
       change.value -> 'explanation' ->> 'text' AS explanation, o.state,
       strftime('%Y-%m-%dT%H:%M:%fZ', o.time / 1000.0, 'unixepoch') AS answered, o.reason
FROM commands c
JOIN json_each(c.changes) AS change
LEFT JOIN outcomes o ON o.command_id = c.id
    AND o.state = (SELECT state FROM outcomes WHERE command_id = c.id ORDER BY time DESC, state LIMIT 1);

CREATE VIEW v_anomalies AS
SELECT host, resource, strftime('%Y-%m-%dT%H:%M:%fZ', since / 1000.0, 'unixepoch') AS since,
       strftime('%Y-%m-%dT%H:%M:%fZ', until / 1000.0, 'unixepoch') AS until,
       (until - since) / 1000.0 AS duration_s, score, evidence
FROM anomalies;

-- What tables, views and columns hold, in words; a row without a column is about the table.
CREATE TABLE comments (
    relation TEXT NOT NULL,
    name     TEXT NOT NULL,
    text     TEXT NOT NULL,
    PRIMARY KEY (relation, name)
) STRICT, WITHOUT ROWID;
