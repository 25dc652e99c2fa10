-- Wishes about what carries no row of ours: delete a server that is not ours, and go on with a cleanup that stopped
-- itself.
ALTER TABLE wish
    DROP CONSTRAINT wish_kind,
    ADD CONSTRAINT wish_kind CHECK (kind IN ('hold', 'unhold', 'delete', 'image-update', 'image-delete', 'check', 'cleanup',
        'alien-delete', 'cleanup-confirm')),
    ADD COLUMN external_id TEXT;

-- What carries our mark and belongs to no row, as the daemon saw it last.
CREATE TABLE leftover (
    provider_name TEXT   COLLATE "C" NOT NULL,
    kind          TEXT   COLLATE "C" NOT NULL CHECK (kind IN ('server', 'image', 'keypair', 'floating-ip')),
    external_id   TEXT   COLLATE "C" NOT NULL,
    made_for      TEXT   NOT NULL,
    first_seen    BIGINT NOT NULL,
    listings      BIGINT NOT NULL,
    fate          TEXT   NOT NULL CHECK (fate IN ('watched', 'deleted', 'stopped')),
    reason        TEXT   NOT NULL,
    PRIMARY KEY (provider_name, kind, external_id)
);

-- Failures of a snapshot's nodes and of everything at a provider are counted, too.
ALTER TABLE setback
    DROP CONSTRAINT setback_kind,
    ADD CONSTRAINT setback_kind
        CHECK (kind IN ('image', 'launch', 'capacity', 'zone', 'target', 'provider', 'snapshot'));

-- How many nodes became ready from a snapshot: a new one is tried by one node first.
ALTER TABLE snapshot_image ADD COLUMN nodes_ready BIGINT NOT NULL DEFAULT 0;
