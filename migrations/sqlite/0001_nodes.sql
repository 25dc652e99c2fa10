-- One row for each single-use machine. Times are milliseconds since the epoch. Names are those of nodepool v0 where it
-- had the column. AUTOINCREMENT: a node's number is in the metadata of its server and in the names of agents, so it is
-- never used again, not even after the last row is gone.
CREATE TABLE node (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    provider_name     TEXT    NOT NULL,
    label_name        TEXT    NOT NULL,
    target_name       TEXT    NOT NULL,
    hostname          TEXT    NOT NULL,
    nodename          TEXT    NOT NULL,
    image_name        TEXT    NOT NULL,
    -- Not a foreign key: a node may outlive the row of the image that it was booted from.
    snapshot_image_id INTEGER,
    az                TEXT,
    external_id       TEXT,
    ip                TEXT,
    ip_private        TEXT,
    host_key          TEXT,
    state             TEXT    NOT NULL CHECK (state IN ('building', 'test', 'ready', 'used', 'hold', 'delete')),
    step              TEXT    CHECK (step IN ('create', 'boot', 'address', 'ssh')),
    state_time        INTEGER NOT NULL,
    created           INTEGER NOT NULL,
    attempt           TEXT    NOT NULL UNIQUE,
    attempted         INTEGER,
    delete_called     INTEGER,
    held_until        INTEGER,
    comment           TEXT,
    reason            TEXT    NOT NULL DEFAULT '',
    revision          INTEGER NOT NULL DEFAULT 1,
    CHECK ((state = 'building') = (step IS NOT NULL))
) STRICT;
