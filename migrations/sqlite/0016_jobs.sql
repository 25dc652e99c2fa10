-- Jobs whose failures are worth a look: nodes on which they failed are held, so many at most. The table and its columns
-- are called as in nodepool v0.
CREATE TABLE job (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    name            TEXT    NOT NULL UNIQUE,
    hold_on_failure INTEGER NOT NULL CHECK (hold_on_failure >= 0),
    -- How long each is held; NULL until somebody ends it.
    hold_for_ms     INTEGER
) STRICT;

-- How long jobs ran, added up. A branch that nobody told is empty.
CREATE TABLE job_runtime (
    job_name      TEXT    NOT NULL,
    branch        TEXT    NOT NULL,
    label_name    TEXT    NOT NULL,
    provider_name TEXT    NOT NULL,
    result        TEXT    NOT NULL CHECK (result IN ('success', 'failure', 'unknown')),
    runs          INTEGER NOT NULL,
    total_ms      INTEGER NOT NULL,
    longest_ms    INTEGER NOT NULL,
    last          INTEGER NOT NULL,
    PRIMARY KEY (job_name, branch, label_name, provider_name, result)
) STRICT;

CREATE INDEX job_runtime_last ON job_runtime (last);
