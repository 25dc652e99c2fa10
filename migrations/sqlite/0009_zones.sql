-- In which availability zone the server of a build is made that was made last.
ALTER TABLE snapshot_image ADD COLUMN az TEXT;

-- Setbacks of availability zones. SQLite cannot change a CHECK: the table is made anew.
CREATE TABLE setback_of_zones (
    kind          TEXT    NOT NULL CHECK (kind IN ('image', 'launch', 'capacity', 'zone')),
    provider_name TEXT    NOT NULL,
    name          TEXT    NOT NULL DEFAULT '',
    failures      INTEGER NOT NULL DEFAULT 1 CHECK (failures >= 1),
    last          INTEGER NOT NULL,
    reason        TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (kind, provider_name, name)
) STRICT;
INSERT INTO setback_of_zones (kind, provider_name, name, failures, last, reason)
    SELECT kind, provider_name, name, failures, last, reason FROM setback;
DROP TABLE setback;
ALTER TABLE setback_of_zones RENAME TO setback;
