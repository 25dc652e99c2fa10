-- Failures in a row, by what failed. A success removes the row.
CREATE TABLE setback (
    kind          VARCHAR(16)  NOT NULL,
    provider_name VARCHAR(255) NOT NULL,
    name          VARCHAR(255) NOT NULL DEFAULT '',
    failures      BIGINT       NOT NULL DEFAULT 1,
    last          BIGINT       NOT NULL,
    reason        TEXT         NOT NULL,
    PRIMARY KEY (kind, provider_name, name),
    CONSTRAINT setback_kind CHECK (kind IN ('image', 'launch', 'capacity')),
    CONSTRAINT setback_failures CHECK (failures >= 1)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
