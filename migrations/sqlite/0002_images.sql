-- One row for each build of one provider's image, with everything that the build makes on the cloud.
CREATE TABLE snapshot_image (
    id                  INTEGER PRIMARY KEY AUTOINCREMENT,
    provider_name       TEXT    NOT NULL,
    image_name          TEXT    NOT NULL,
    hostname            TEXT    NOT NULL,
    -- Seconds since the epoch, as in nodepool v0.
    version             INTEGER NOT NULL,
    keypair             TEXT,
    server_external_id  TEXT,
    host_key            TEXT,
    external_id         TEXT,
    verify_external_id  TEXT,
    state               TEXT    NOT NULL CHECK (state IN ('building', 'ready', 'delete')),
    step                TEXT    CHECK (step IN ('create', 'boot', 'setup', 'snapshot', 'save', 'verify')),
    state_time          INTEGER NOT NULL,
    created             INTEGER NOT NULL,
    attempt             TEXT    NOT NULL UNIQUE,
    attempted           INTEGER,
    snapshot_attempted  INTEGER,
    verify_attempted    INTEGER,
    reason              TEXT    NOT NULL DEFAULT '',
    revision            INTEGER NOT NULL DEFAULT 1,
    CHECK ((state = 'building') = (step IS NOT NULL))
) STRICT;
