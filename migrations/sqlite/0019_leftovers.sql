-- Wishes about what carries no row of ours: delete a server that is not ours, and go on with a cleanup that stopped
-- itself. SQLite cannot change the words that a column allows, so the table is made anew; the numbers go on.
CREATE TABLE wish_anew (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    kind              TEXT    NOT NULL CHECK (kind IN ('hold', 'unhold', 'delete', 'image-update', 'image-delete', 'check',
        'cleanup', 'alien-delete', 'cleanup-confirm')),
    node_id           INTEGER,
    snapshot_image_id INTEGER,
    provider_name     TEXT,
    image_name        TEXT,
    external_id       TEXT,
    comment           TEXT,
    held_until        INTEGER,
    insists           INTEGER NOT NULL DEFAULT 0 CHECK (insists IN (0, 1)),
    owner             TEXT,
    created           INTEGER NOT NULL,
    settled           INTEGER,
    granted           INTEGER NOT NULL DEFAULT 0 CHECK (granted IN (0, 1)),
    outcome           TEXT    NOT NULL DEFAULT ''
) STRICT;

INSERT INTO wish_anew (id, kind, node_id, snapshot_image_id, provider_name, image_name, comment, held_until, insists,
    owner, created, settled, granted, outcome)
SELECT id, kind, node_id, snapshot_image_id, provider_name, image_name, comment, held_until, insists, owner, created,
    settled, granted, outcome FROM wish;

DELETE FROM sqlite_sequence WHERE name = 'wish_anew';
INSERT INTO sqlite_sequence (name, seq) SELECT 'wish_anew', seq FROM sqlite_sequence WHERE name = 'wish';

DROP TABLE wish;
ALTER TABLE wish_anew RENAME TO wish;

CREATE INDEX wish_open ON wish (id) WHERE settled IS NULL;
CREATE INDEX wish_settled ON wish (settled) WHERE settled IS NOT NULL;

-- What carries our mark and belongs to no row, as the daemon saw it last.
CREATE TABLE leftover (
    provider_name TEXT    NOT NULL,
    kind          TEXT    NOT NULL CHECK (kind IN ('server', 'image', 'keypair', 'floating-ip')),
    external_id   TEXT    NOT NULL,
    made_for      TEXT    NOT NULL,
    first_seen    INTEGER NOT NULL,
    listings      INTEGER NOT NULL,
    fate          TEXT    NOT NULL CHECK (fate IN ('watched', 'deleted', 'stopped')),
    reason        TEXT    NOT NULL,
    PRIMARY KEY (provider_name, kind, external_id)
) STRICT;

-- Failures of a snapshot's nodes and of everything at a provider are counted, too.
CREATE TABLE setback_anew (
    kind          TEXT    NOT NULL CHECK (kind IN ('image', 'launch', 'capacity', 'zone', 'target', 'provider', 'snapshot')),
    provider_name TEXT    NOT NULL,
    name          TEXT    NOT NULL DEFAULT '',
    failures      INTEGER NOT NULL DEFAULT 1 CHECK (failures >= 1),
    last          INTEGER NOT NULL,
    reason        TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (kind, provider_name, name)
) STRICT;
INSERT INTO setback_anew (kind, provider_name, name, failures, last, reason)
    SELECT kind, provider_name, name, failures, last, reason FROM setback;
DROP TABLE setback;
ALTER TABLE setback_anew RENAME TO setback;

-- How many nodes became ready from a snapshot: a new one is tried by one node first. What is ready now has been tried.
ALTER TABLE snapshot_image ADD COLUMN nodes_ready INTEGER NOT NULL DEFAULT 0;
UPDATE snapshot_image SET nodes_ready = 1000 WHERE state = 'ready';
