-- The label of the node that a line is about, for sums by label. Empty for images, and for subnodes: a node of several
-- servers counts once, as its primary.
ALTER TABLE history ADD COLUMN label_name TEXT NOT NULL DEFAULT ('');

-- How long a job waited for the node that it got, as far as the queues told.
CREATE TABLE queue_wait (
    id            BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    created       BIGINT NOT NULL,
    provider_name TEXT   NOT NULL,
    label_name    TEXT   NOT NULL,
    waited_ms     BIGINT NOT NULL,
    KEY queue_wait_created (created)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
