-- Servers of a flavor for which a provider has no host are counted, too.
ALTER TABLE setback
    DROP CONSTRAINT setback_kind,
    ADD CONSTRAINT setback_kind
        CHECK (kind IN ('image', 'launch', 'capacity', 'zone', 'target', 'provider', 'snapshot', 'flavor'));
