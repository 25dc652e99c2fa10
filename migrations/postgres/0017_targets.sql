-- Targets that may still have agents of ours, so that one that left the configuration is found again after a restart.
-- No secrets: those are in secure.conf, under the name of the target. `url` is that of its Jenkins; without one it hands
-- nodes to launchers over Gearman. Times are milliseconds.
CREATE TABLE target (
    name        TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    url         TEXT,
    ca_file     TEXT,
    api_timeout BIGINT NOT NULL CHECK (api_timeout >= 0)
);
