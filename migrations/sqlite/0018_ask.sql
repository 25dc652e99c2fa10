-- What is known of each launch and each build that failed: facts for whoever asks later why. It outlives the row.
CREATE TABLE failure (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    created       INTEGER NOT NULL,
    subject       TEXT    NOT NULL CHECK (subject IN ('node', 'image')),
    subject_id    INTEGER NOT NULL,
    provider_name TEXT    NOT NULL,
    az            TEXT,
    image_name    TEXT    NOT NULL,
    -- The label of a node; NULL for a build.
    label_name    TEXT,
    step          TEXT    NOT NULL,
    -- How long it had been at that step, and how long it may be; NULL where nothing limits the step by itself.
    waited_ms     INTEGER NOT NULL,
    deadline_ms   INTEGER,
    message       TEXT    NOT NULL,
    -- The last lines of the machine's console, and of what was run on it over ssh.
    console       TEXT,
    output        TEXT
) STRICT;

CREATE INDEX failure_subject ON failure (subject, subject_id, id);
CREATE INDEX failure_created ON failure (created);
