-- The name by which everything that this database's daemon makes on a cloud is known as its own: made once, here. How many
-- writes there were: each begins by counting itself, and while it lasts it has the row for itself. And who serves the page
-- where: the holder of the lease and its address, which beside a file of SQLite are in a file, too.
CREATE TABLE installation (
    id      BIGINT PRIMARY KEY CHECK (id = 1),
    name    TEXT   NOT NULL CHECK (length(name) >= 12),
    commits BIGINT NOT NULL DEFAULT 0,
    page    TEXT
) WITH (fillfactor = 10);

INSERT INTO installation (id, name) VALUES (1, left(replace(gen_random_uuid()::text, '-', ''), 16));
