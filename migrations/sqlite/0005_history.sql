-- One line for each write to a node or a snapshot image, in the same transaction. It outlives the row that it tells of.
CREATE TABLE history (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    created       INTEGER NOT NULL,
    subject       TEXT    NOT NULL CHECK (subject IN ('node', 'image')),
    subject_id    INTEGER NOT NULL,
    provider_name TEXT    NOT NULL,
    hostname      TEXT    NOT NULL,
    event         TEXT    NOT NULL,
    from_state    TEXT    NOT NULL DEFAULT '',
    to_state      TEXT    NOT NULL DEFAULT '',
    reason        TEXT    NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX history_subject ON history (subject, subject_id, id);
CREATE INDEX history_created ON history (created);
