-- Servers of ours that are gone: a port that a cloud forgot to delete with its server names that server and nothing else of
-- ours. The id of a server is never given to another one. Kept for a bounded time.
CREATE TABLE departed_server (
    provider_name VARCHAR(255) NOT NULL,
    external_id   VARCHAR(255) NOT NULL,
    owner         VARCHAR(16)  NOT NULL,
    owner_id      BIGINT       NOT NULL,
    attempt       VARCHAR(255) NOT NULL,
    departed      BIGINT       NOT NULL,
    PRIMARY KEY (provider_name, external_id),
    CONSTRAINT departed_server_owner CHECK (owner IN ('node', 'builder', 'verifier'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX departed_server_departed ON departed_server (departed);

-- Ports and volumes are looked for, too. What is in this table is written anew as soon as the daemon runs.
DROP TABLE leftover;
CREATE TABLE leftover (
    provider_name VARCHAR(255) NOT NULL,
    kind          VARCHAR(32)  NOT NULL,
    external_id   VARCHAR(255) NOT NULL,
    made_for      TEXT         NOT NULL,
    first_seen    BIGINT       NOT NULL,
    listings      BIGINT       NOT NULL,
    fate          VARCHAR(16)  NOT NULL,
    reason        TEXT         NOT NULL,
    PRIMARY KEY (provider_name, kind, external_id),
    CONSTRAINT leftover_kind CHECK (kind IN ('server', 'image', 'keypair', 'floating-ip', 'port', 'volume')),
    CONSTRAINT leftover_fate CHECK (fate IN ('watched', 'deleted', 'stopped'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
