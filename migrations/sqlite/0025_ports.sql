-- Servers of ours that are gone: a port that a cloud forgot to delete with its server names that server and nothing else of
-- ours. The id of a server is never given to another one. Kept for a bounded time.
CREATE TABLE departed_server (
    provider_name TEXT    NOT NULL,
    external_id   TEXT    NOT NULL,
    owner         TEXT    NOT NULL CHECK (owner IN ('node', 'builder', 'verifier')),
    owner_id      INTEGER NOT NULL,
    attempt       TEXT    NOT NULL,
    departed      INTEGER NOT NULL,
    PRIMARY KEY (provider_name, external_id)
) STRICT;

CREATE INDEX departed_server_departed ON departed_server (departed);

-- Ports and volumes are looked for, too. What is in this table is written anew as soon as the daemon runs.
DROP TABLE leftover;
CREATE TABLE leftover (
    provider_name TEXT    NOT NULL,
    kind          TEXT    NOT NULL CHECK (kind IN ('server', 'image', 'keypair', 'floating-ip', 'port', 'volume')),
    external_id   TEXT    NOT NULL,
    made_for      TEXT    NOT NULL,
    first_seen    INTEGER NOT NULL,
    listings      INTEGER NOT NULL,
    fate          TEXT    NOT NULL CHECK (fate IN ('watched', 'deleted', 'stopped')),
    reason        TEXT    NOT NULL,
    PRIMARY KEY (provider_name, kind, external_id)
) STRICT;
