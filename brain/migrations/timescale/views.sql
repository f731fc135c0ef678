-- Views for people, said anew at each start.

CREATE OR REPLACE VIEW v_hosts AS
SELECT h.host, h.first_seen, h.last_sample, b.vantage, b.agent_version, b.kernel, b.os, b.cpu_model, b.cpu_cores,
       b.memory_bytes, b.power_w
FROM hosts h
LEFT JOIN LATERAL (SELECT * FROM births WHERE births.host = h.host ORDER BY vantage, epoch DESC LIMIT 1) b ON true;

CREATE OR REPLACE VIEW v_utilisation AS
SELECT host, bucket AS time, 100 * cpu AS cpu_percent, 100 * cpu_max AS cpu_peak_percent,
       100 * memory AS memory_percent, 100 * memory_max AS memory_peak_percent, network_rx_bytes_per_s,
       network_tx_bytes_per_s, disk_read_bytes_per_s, disk_write_bytes_per_s, power_w, power_w_max AS power_peak_w,
       coverage
FROM rollup_1m;

CREATE OR REPLACE VIEW v_utilisation_1h AS
SELECT host, bucket AS time, 100 * cpu AS cpu_percent, 100 * cpu_max AS cpu_peak_percent,
       100 * memory AS memory_percent, 100 * memory_max AS memory_peak_percent, network_rx_bytes_per_s,
       network_tx_bytes_per_s, disk_read_bytes_per_s, disk_write_bytes_per_s, power_w, power_w_max AS power_peak_w,
       coverage
FROM rollup_1h;

CREATE OR REPLACE VIEW v_forecast_vs_actual AS
SELECT f.host, f.resource, f.made, f.due, f.horizon_s, f.p50, f.p90, f.p95, f.p99, f.rung,
       CASE f.resource
           WHEN 'cpu' THEN r.cpu
           WHEN 'memory' THEN r.memory
           WHEN 'network' THEN r.network_rx_bytes_per_s + r.network_tx_bytes_per_s
           WHEN 'disk' THEN r.disk_read_bytes_per_s + r.disk_write_bytes_per_s
           WHEN 'power' THEN r.power_w
       END AS actual
FROM forecasts f
LEFT JOIN rollup_10s r ON r.host = f.host
    AND r.bucket = f.due - (SELECT value::bigint FROM meta WHERE key = 'grid_step_ms') * INTERVAL '1 ms';

CREATE OR REPLACE VIEW v_commands AS
SELECT c.id, c.host, c.issued, c.ttl_ms, c.dry_run, change ->> 'workload' AS workload, change ->> 'resource' AS resource,
       (change ->> 'before')::double precision AS before, (change ->> 'target')::double precision AS target,
       change -> 'explanation' ->> 'text' AS explanation, o.state, o.time AS answered, o.reason,
       (change ->> 'ceiling')::double precision AS ceiling, change -> 'explanation' ->> 'strategy' AS strategy,
       (change -> 'explanation' ->> 'quantile')::double precision AS quantile,
       (change -> 'explanation' ->> 'forecast')::double precision AS forecast,
       (change -> 'explanation' ->> 'margin')::double precision AS margin,
       (change -> 'explanation' ->> 'learnt')::double precision AS learnt,
       (change -> 'explanation' ->> 'coverage')::double precision AS coverage,
       (change -> 'explanation' ->> 'used')::double precision AS used,
       (change -> 'explanation' ->> 'wanted')::double precision AS wanted,
       change -> 'explanation' ->> 'clamp' AS clamp, change -> 'explanation' ->> 'rung' AS rung,
       (SELECT (told ->> 'after')::double precision FROM jsonb_array_elements(o.changes::jsonb) AS told
        WHERE told ->> 'workload' = change ->> 'workload' AND told ->> 'resource' = change ->> 'resource'
        LIMIT 1) AS after
FROM commands c
CROSS JOIN LATERAL jsonb_array_elements(c.changes::jsonb) AS change
LEFT JOIN LATERAL
    (SELECT * FROM outcomes WHERE command_id = c.id ORDER BY time DESC, state LIMIT 1) o ON true;

CREATE OR REPLACE VIEW v_proposals AS
SELECT p.id, p.host, p.workload, p.resource, p.made, p.expires,
       (p.change::jsonb ->> 'before')::double precision AS before,
       (p.change::jsonb ->> 'target')::double precision AS target,
       p.change::jsonb -> 'explanation' ->> 'text' AS explanation, p.fate, p.decided, p.decided_by, p.reason,
       extract(epoch FROM p.decided - p.made)::double precision AS waited_s, p.command_id, o.state, o.time AS answered
FROM proposals p
LEFT JOIN LATERAL
    (SELECT * FROM outcomes WHERE command_id = p.command_id ORDER BY time DESC, state LIMIT 1) o ON true;

CREATE OR REPLACE VIEW v_savings AS
SELECT host, day, resource, sum(held) / sum(watched_s) AS held, sum(used) / sum(watched_s) AS used,
       sum(given_back) / sum(watched_s) AS given_back, sum(watched_s) AS watched_s, sum(over_s) AS over_s,
       sum(acted_s) AS acted_s, sum(changes)::bigint AS changes, sum(hurts)::bigint AS hurts
FROM savings
GROUP BY host, day, resource
HAVING sum(watched_s) > 0;

CREATE OR REPLACE VIEW v_anomalies AS
SELECT host, resource, since, until, extract(epoch FROM until - since)::double precision AS duration_s, score, evidence
FROM anomalies;
