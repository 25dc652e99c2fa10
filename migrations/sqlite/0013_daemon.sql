-- Wishes that the clock writes: visit all ready nodes, look for leftovers. SQLite cannot change the words that a column
-- allows, so the table is made anew. The numbers go on from where they were: a number names one wish for ever.
CREATE TABLE wish_anew (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    kind              TEXT    NOT NULL CHECK (kind IN ('hold', 'unhold', 'delete', 'image-update', 'image-delete', 'check', 'cleanup')),
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

INSERT INTO wish_anew (id, kind, node_id, snapshot_image_id, provider_name, image_name, comment, held_until, insists,
    created, settled, granted, outcome)
SELECT id, kind, node_id, snapshot_image_id, provider_name, image_name, comment, held_until, insists, created, settled,
    granted, outcome FROM wish;

DELETE FROM sqlite_sequence WHERE name = 'wish_anew';
INSERT INTO sqlite_sequence (name, seq) SELECT 'wish_anew', seq FROM sqlite_sequence WHERE name = 'wish';

DROP TABLE wish;
ALTER TABLE wish_anew RENAME TO wish;

CREATE INDEX wish_open ON wish (id) WHERE settled IS NULL;
CREATE INDEX wish_settled ON wish (settled) WHERE settled IS NOT NULL;
