-- What a node's row knows of its agent at the target, of the job on it, and of who holds it. SQLite cannot change the words
-- that a column allows, and a node now also enrolls: the table is made anew. The numbers go on from where they were, since a
-- node's number is never used again.
CREATE TABLE node_anew (
    id                    INTEGER PRIMARY KEY AUTOINCREMENT,
    primary_id            INTEGER,
    subnode_index         INTEGER NOT NULL DEFAULT 0 CHECK ((subnode_index > 0) = (primary_id IS NOT NULL)),
    subnodes              INTEGER NOT NULL DEFAULT 0 CHECK (subnodes >= 0),
    provider_name         TEXT    NOT NULL,
    label_name            TEXT    NOT NULL,
    target_name           TEXT    NOT NULL,
    hostname              TEXT    NOT NULL,
    nodename              TEXT    NOT NULL,
    image_name            TEXT    NOT NULL,
    snapshot_image_id     INTEGER,
    az                    TEXT,
    external_id           TEXT,
    ip                    TEXT,
    ip_private            TEXT,
    host_key              TEXT,
    floating_ip_id        TEXT,
    floating_ip_attempted INTEGER,
    -- When the call that enrolls its agent was last about to be made, whether the target took it, and who there.
    agent_attempted       INTEGER,
    agent_enrolled        INTEGER NOT NULL DEFAULT 0 CHECK (agent_enrolled IN (0, 1)),
    manager_name          TEXT,
    -- When its test job was started, and whether that succeeded.
    test_called           INTEGER,
    test_passed           INTEGER NOT NULL DEFAULT 0 CHECK (test_passed IN (0, 1)),
    -- Whether the target took the agent back, and whether it is to be taken back although a job runs on it.
    agent_withdrawn       INTEGER NOT NULL DEFAULT 0 CHECK (agent_withdrawn IN (0, 1)),
    insists               INTEGER NOT NULL DEFAULT 0 CHECK (insists IN (0, 1)),
    -- What the target was told about the node beyond its label.
    agent_remark          TEXT,
    -- The one job of the node.
    job_name              TEXT,
    job_started           INTEGER,
    job_ended             INTEGER,
    state                 TEXT    NOT NULL CHECK (state IN ('building', 'test', 'ready', 'used', 'hold', 'delete')),
    step                  TEXT    CHECK (step IN ('create', 'boot', 'address', 'ssh', 'enroll')),
    state_time            INTEGER NOT NULL,
    created               INTEGER NOT NULL,
    attempt               TEXT    NOT NULL UNIQUE,
    attempted             INTEGER,
    delete_called         INTEGER,
    held_until            INTEGER,
    -- Who holds it, and the rule for failed jobs that does.
    hold_owner            TEXT,
    hold_job              TEXT,
    -- Whether people were told that the hold ends soon.
    hold_warned           INTEGER NOT NULL DEFAULT 0 CHECK (hold_warned IN (0, 1)),
    comment               TEXT,
    reason                TEXT    NOT NULL DEFAULT '',
    revision              INTEGER NOT NULL DEFAULT 1,
    CHECK ((state = 'building') = (step IS NOT NULL))
) STRICT;

INSERT INTO node_anew (id, primary_id, subnode_index, subnodes, provider_name, label_name, target_name, hostname, nodename,
    image_name, snapshot_image_id, az, external_id, ip, ip_private, host_key, floating_ip_id, floating_ip_attempted, state,
    step, state_time, created, attempt, attempted, delete_called, held_until, comment, reason, revision)
SELECT id, primary_id, subnode_index, subnodes, provider_name, label_name, target_name, hostname, nodename, image_name,
    snapshot_image_id, az, external_id, ip, ip_private, host_key, floating_ip_id, floating_ip_attempted, state, step,
    state_time, created, attempt, attempted, delete_called, held_until, comment, reason, revision FROM node;

DELETE FROM sqlite_sequence WHERE name = 'node_anew';
INSERT INTO sqlite_sequence (name, seq) SELECT 'node_anew', seq FROM sqlite_sequence WHERE name = 'node';

DROP TABLE node;
ALTER TABLE node_anew RENAME TO node;

CREATE UNIQUE INDEX node_subnode ON node (primary_id, subnode_index) WHERE primary_id IS NOT NULL;

-- Who asks for a hold.
ALTER TABLE wish ADD COLUMN owner TEXT;

-- Targets that refuse what is enrolled there are left alone for a while, as everything that fails.
CREATE TABLE setback_anew (
    kind          TEXT    NOT NULL CHECK (kind IN ('image', 'launch', 'capacity', 'zone', 'target')),
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
