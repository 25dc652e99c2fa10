-- Servers of a flavor for which a provider has no host are counted, too. SQLite cannot change the words that a column
-- allows, so the table is made anew.
CREATE TABLE setback_anew (
    kind          TEXT    NOT NULL CHECK (kind IN ('image', 'launch', 'capacity', 'zone', 'target', 'provider', 'snapshot',
        'flavor')),
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
