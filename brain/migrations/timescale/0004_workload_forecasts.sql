-- What was expected of workloads: forecasts of their own, in cores and bytes.
CREATE TABLE workload_forecasts (
    host      text NOT NULL,
    workload  text NOT NULL,
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
    PRIMARY KEY (host, workload, resource, made, horizon_s)
);

SELECT create_hypertable('workload_forecasts', by_range('made', INTERVAL '12 hours'), create_default_indexes => false);
