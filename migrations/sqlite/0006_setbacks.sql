-- Failures in a row, by what failed. A success removes the row.
CREATE TABLE setback (
    kind          TEXT    NOT NULL CHECK (kind IN ('image', 'launch', 'capacity')),
    provider_name TEXT    NOT NULL,
    name          TEXT    NOT NULL DEFAULT '',
    failures      INTEGER NOT NULL DEFAULT 1 CHECK (failures >= 1),
    last          INTEGER NOT NULL,
    reason        TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (kind, provider_name, name)
) STRICT;
