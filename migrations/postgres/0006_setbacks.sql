-- Failures in a row, by what failed. A success removes the row. Names are in the order of their bytes, as in the other
-- databases.
CREATE TABLE setback (
    kind          TEXT   COLLATE "C" NOT NULL CONSTRAINT setback_kind CHECK (kind IN ('image', 'launch', 'capacity')),
    provider_name TEXT   COLLATE "C" NOT NULL,
    name          TEXT   COLLATE "C" NOT NULL DEFAULT '',
    failures      BIGINT NOT NULL DEFAULT 1 CHECK (failures >= 1),
    last          BIGINT NOT NULL,
    reason        TEXT   NOT NULL DEFAULT '',
    PRIMARY KEY (kind, provider_name, name)
);
