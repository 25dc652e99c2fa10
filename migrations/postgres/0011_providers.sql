-- Providers that may still have something of ours, so that one that left the configuration is found again after a restart.
-- No secrets: those are in clouds.yaml, under the name in `cloud`. Times are milliseconds.
CREATE TABLE provider (
    name         TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    cloud        TEXT,
    keystone     TEXT   NOT NULL,
    region       TEXT,
    project_id   TEXT,
    project_name TEXT,
    api_timeout  BIGINT NOT NULL CHECK (api_timeout >= 0),
    rate         BIGINT NOT NULL CHECK (rate >= 0)
);
