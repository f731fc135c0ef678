-- How much of a minute of a workload is known: of one that is told again the better known stays.
ALTER TABLE workload_1m ADD COLUMN coverage REAL;
