-- Servers of ours that are gone: a port that a cloud forgot to delete with its server names that server and nothing else of
-- ours. The id of a server is never given to another one. Kept for a bounded time.
CREATE TABLE departed_server (
    provider_name TEXT   COLLATE "C" NOT NULL,
    external_id   TEXT   COLLATE "C" NOT NULL,
    owner         TEXT   NOT NULL CHECK (owner IN ('node', 'builder', 'verifier')),
    owner_id      BIGINT NOT NULL,
    attempt       TEXT   NOT NULL,
    departed      BIGINT NOT NULL,
    PRIMARY KEY (provider_name, external_id)
);

CREATE INDEX departed_server_departed ON departed_server (departed);

-- Ports and volumes are looked for, too. What is in this table is written anew as soon as the daemon runs.
DROP TABLE leftover;
CREATE TABLE leftover (
    provider_name TEXT   COLLATE "C" NOT NULL,
    kind          TEXT   COLLATE "C" NOT NULL
        CHECK (kind IN ('server', 'image', 'keypair', 'floating-ip', 'port', 'volume')),
    external_id   TEXT   COLLATE "C" NOT NULL,
    made_for      TEXT   NOT NULL,
    first_seen    BIGINT NOT NULL,
    listings      BIGINT NOT NULL,
    fate          TEXT   NOT NULL CHECK (fate IN ('watched', 'deleted', 'stopped')),
    reason        TEXT   NOT NULL,
    PRIMARY KEY (provider_name, kind, external_id)
);
