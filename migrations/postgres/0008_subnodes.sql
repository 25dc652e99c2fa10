-- A node of several servers: its primary's row and one row for each subnode, made together, each with its own life.
-- Not a foreign key: the rows of a set go one by one, as the cloud confirms that their servers are gone.
ALTER TABLE node
    ADD COLUMN primary_id BIGINT,
    -- 1, 2, ... among the subnodes of one primary; 0 in the row of a primary.
    ADD COLUMN subnode_index BIGINT NOT NULL DEFAULT 0 CHECK ((subnode_index > 0) = (primary_id IS NOT NULL)),
    -- How many subnodes were made with a primary; it stays when some of them are gone.
    ADD COLUMN subnodes BIGINT NOT NULL DEFAULT 0 CHECK (subnodes >= 0);

CREATE UNIQUE INDEX node_subnode ON node (primary_id, subnode_index) WHERE primary_id IS NOT NULL;
