-- What is told about jobs: also that the result of one is known, the number of its build, its branch and its result.
-- SQLite cannot change the words that a column allows, so the table is made anew; what waits in it is kept, and the
-- numbers go on from where they were.
CREATE TABLE job_event_anew (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    nodename TEXT    NOT NULL,
    kind     TEXT    NOT NULL CHECK (kind IN ('started', 'completed', 'finished')),
    job      TEXT    NOT NULL DEFAULT '',
    number   INTEGER,
    branch   TEXT,
    result   TEXT    CHECK (result IN ('success', 'failure')),
    created  INTEGER NOT NULL,
    settled  INTEGER
) STRICT;

INSERT INTO job_event_anew (id, nodename, kind, job, created, settled)
    SELECT id, nodename, kind, job, created, settled FROM job_event;

DELETE FROM sqlite_sequence WHERE name = 'job_event_anew';
INSERT INTO sqlite_sequence (name, seq)
    SELECT 'job_event_anew', seq FROM sqlite_sequence WHERE name = 'job_event';

DROP TABLE job_event;
ALTER TABLE job_event_anew RENAME TO job_event;

CREATE INDEX job_event_open ON job_event (id) WHERE settled IS NULL;
CREATE INDEX job_event_settled ON job_event (settled) WHERE settled IS NOT NULL;
