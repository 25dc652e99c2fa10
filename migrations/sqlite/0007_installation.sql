-- The name by which everything that this database's daemon makes on a cloud is known as its own: made once, here.
CREATE TABLE installation (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    name TEXT    NOT NULL CHECK (length(name) >= 12)
) STRICT;

INSERT INTO installation (id, name) VALUES (1, lower(hex(randomblob(8))));
