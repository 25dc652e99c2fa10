-- Who may act on what, and until when.
CREATE TABLE lease (
    name    VARCHAR(255) NOT NULL PRIMARY KEY,
    holder  TEXT         NOT NULL,
    expires BIGINT       NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
