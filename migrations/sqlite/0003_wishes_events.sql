-- What operators ask for. A kind uses the columns that it needs; the rows that a wish names need not exist (any more).
CREATE TABLE wish (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    kind              TEXT    NOT NULL CHECK (kind IN ('hold', 'unhold', 'delete', 'image-update', 'image-delete')),
    node_id           INTEGER,
    snapshot_image_id INTEGER,
    provider_name     TEXT,
    image_name        TEXT,
    comment           TEXT,
    held_until        INTEGER,
    insists           INTEGER NOT NULL DEFAULT 0 CHECK (insists IN (0, 1)),
    created           INTEGER NOT NULL,
    settled           INTEGER,
    granted           INTEGER NOT NULL DEFAULT 0 CHECK (granted IN (0, 1)),
    outcome           TEXT    NOT NULL DEFAULT ''
) STRICT;

-- Read at every tick: it must not grow with the wishes of the past.
CREATE INDEX wish_open ON wish (id) WHERE settled IS NULL;
CREATE INDEX wish_settled ON wish (settled) WHERE settled IS NOT NULL;

-- Starts and ends of jobs on nodes.
CREATE TABLE job_event (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    nodename TEXT    NOT NULL,
    kind     TEXT    NOT NULL CHECK (kind IN ('started', 'finished')),
    job      TEXT    NOT NULL DEFAULT '',
    created  INTEGER NOT NULL,
    settled  INTEGER
) STRICT;

CREATE INDEX job_event_open ON job_event (id) WHERE settled IS NULL;
CREATE INDEX job_event_settled ON job_event (settled) WHERE settled IS NOT NULL;
