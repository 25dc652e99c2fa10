-- Wishes that the clock writes: visit all ready nodes, look for leftovers.
ALTER TABLE wish
    DROP CONSTRAINT wish_kind,
    ADD CONSTRAINT wish_kind
        CHECK (kind IN ('hold', 'unhold', 'delete', 'image-update', 'image-delete', 'check', 'cleanup'));
