-- Wishes about what carries no row of ours: delete a server that is not ours, and go on with a cleanup that stopped
-- itself.
ALTER TABLE wish
    DROP CONSTRAINT wish_kind,
    ADD CONSTRAINT wish_kind CHECK (kind IN ('hold', 'unhold', 'delete', 'image-update', 'image-delete', 'check', 'cleanup',
        'alien-delete', 'cleanup-confirm')),
    ADD COLUMN external_id TEXT;

-- What carries our mark and belongs to no row, as the daemon saw it last.
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
    CONSTRAINT leftover_kind CHECK (kind IN ('server', 'image', 'keypair', 'floating-ip')),
    CONSTRAINT leftover_fate CHECK (fate IN ('watched', 'deleted', 'stopped'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Failures of a snapshot's nodes and of everything at a provider are counted, too.
ALTER TABLE setback
    DROP CONSTRAINT setback_kind,
    ADD CONSTRAINT setback_kind
        CHECK (kind IN ('image', 'launch', 'capacity', 'zone', 'target', 'provider', 'snapshot'));

-- How many nodes became ready from a snapshot: a new one is tried by one node first.
ALTER TABLE snapshot_image ADD COLUMN nodes_ready BIGINT NOT NULL DEFAULT 0;
