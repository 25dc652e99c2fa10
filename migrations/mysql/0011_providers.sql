-- Providers that may still have something of ours, so that one that left the configuration is found again after a restart.
-- No secrets: those are in clouds.yaml, under the name in `cloud`. Times are milliseconds.
CREATE TABLE provider (
    name         VARCHAR(255) NOT NULL PRIMARY KEY,
    cloud        TEXT,
    keystone     TEXT         NOT NULL,
    region       TEXT,
    project_id   TEXT,
    project_name TEXT,
    api_timeout  BIGINT       NOT NULL,
    rate         BIGINT       NOT NULL,
    CONSTRAINT provider_api_timeout CHECK (api_timeout >= 0),
    CONSTRAINT provider_rate CHECK (rate >= 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
