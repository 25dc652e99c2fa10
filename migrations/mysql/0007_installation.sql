-- The name by which everything that this database's daemon makes on a cloud is known as its own: made once, here. How many
-- writes there were: each begins by counting itself, and while it lasts it has the row for itself. And who serves the page
-- where: the holder of the lease and its address, which beside a file of SQLite are in a file, too.
CREATE TABLE installation (
    id      BIGINT      NOT NULL PRIMARY KEY,
    name    VARCHAR(64) NOT NULL,
    commits BIGINT      NOT NULL DEFAULT 0,
    page    TEXT,
    CONSTRAINT installation_id CHECK (id = 1),
    CONSTRAINT installation_name CHECK (char_length(name) >= 12)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO installation (id, name) VALUES (1, left(sha2(concat(uuid(), rand(), rand(), now(6)), 256), 16));
