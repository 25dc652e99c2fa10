-- Targets that may still have agents of ours, so that one that left the configuration is found again after a restart.
-- No secrets: those are in secure.conf, under the name of the target. `url` is that of its Jenkins; without one it hands
-- nodes to launchers over Gearman. Times are milliseconds.
CREATE TABLE target (
    name        VARCHAR(255) NOT NULL PRIMARY KEY,
    url         TEXT,
    ca_file     TEXT,
    api_timeout BIGINT       NOT NULL,
    CONSTRAINT target_api_timeout CHECK (api_timeout >= 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
