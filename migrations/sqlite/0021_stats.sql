-- The label of the node that a line is about, for sums by label. Empty for images, and for subnodes: a node of several
-- servers counts once, as its primary.
ALTER TABLE history ADD COLUMN label_name TEXT NOT NULL DEFAULT '';

-- How long a job waited for the node that it got, as far as the queues told.
CREATE TABLE queue_wait (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    created       INTEGER NOT NULL,
    provider_name TEXT    NOT NULL,
    label_name    TEXT    NOT NULL,
    waited_ms     INTEGER NOT NULL
) STRICT;

CREATE INDEX queue_wait_created ON queue_wait (created);
