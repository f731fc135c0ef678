-- What was planned, a row a round: what came of it, what waits, and why.
CREATE TABLE plans (
    time         timestamptz NOT NULL,
    mode         text NOT NULL,
    hosts        bigint NOT NULL,
    raised       bigint NOT NULL,
    lowered      bigint NOT NULL,
    told         bigint NOT NULL,
    changes_left bigint NOT NULL,
    queued       bigint NOT NULL,
    throttled    bigint NOT NULL,
    unmet        bigint NOT NULL,
    wakes        bigint NOT NULL,
    pool         text NOT NULL,
    queue        text NOT NULL,
    words        text NOT NULL,
    PRIMARY KEY (time)
);

-- What was held and used on a host in a day (UTC), as one brain has seen it: sums over time, in unit seconds.
CREATE TABLE savings (
    host         text NOT NULL,
    day          timestamptz NOT NULL,
    resource     text NOT NULL,
    issuer_epoch bigint NOT NULL,
    held         double precision NOT NULL,
    used         double precision NOT NULL,
    given_back   double precision NOT NULL,
    watched_s    double precision NOT NULL,
    over_s       double precision NOT NULL,
    acted_s      double precision NOT NULL,
    changes      bigint NOT NULL,
    hurts        bigint NOT NULL,
    PRIMARY KEY (host, day, resource, issuer_epoch)
);
CREATE INDEX savings_day ON savings (day);

ALTER TABLE commands ADD COLUMN actions text NOT NULL DEFAULT '[]';
ALTER TABLE outcomes ADD COLUMN actions text NOT NULL DEFAULT '[]';
