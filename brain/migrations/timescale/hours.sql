-- Rows of an hour, one a host, made of its minutes: where no continuous aggregate of the database makes them.
-- Released: it never changes.
CREATE TABLE IF NOT EXISTS rollup_1h (
    host                       text NOT NULL,
    bucket                     timestamptz NOT NULL,
    coverage                   real NOT NULL,
    cpu                        real,
    memory                     real,
    network_rx_bytes_per_s     real,
    network_tx_bytes_per_s     real,
    disk_read_bytes_per_s      real,
    disk_write_bytes_per_s     real,
    power_w                    real,
    cpu_max                    real,
    memory_max                 real,
    network_rx_bytes_per_s_max real,
    network_tx_bytes_per_s_max real,
    disk_read_bytes_per_s_max  real,
    disk_write_bytes_per_s_max real,
    power_w_max                real,
    cpu_min                    real,
    memory_min                 real,
    network_rx_bytes_per_s_min real,
    network_tx_bytes_per_s_min real,
    disk_read_bytes_per_s_min  real,
    disk_write_bytes_per_s_min real,
    power_w_min                real,
    PRIMARY KEY (host, bucket)
);
-- Old ones are deleted by their time alone.
CREATE INDEX IF NOT EXISTS rollup_1h_bucket ON rollup_1h (bucket);
