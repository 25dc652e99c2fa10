-- One row for each single-use machine. Times are milliseconds since the epoch. Names are those of nodepool v0 where it
-- had the column. A node's number is in the metadata of its server and in the names of agents: InnoDB never gives one out
-- again, not even after a restart (MariaDB 10.2.4, MySQL 8). Texts are compared byte by byte, as in the other databases;
-- those in keys are bounded, because keys are.
CREATE TABLE node (
    id                BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    provider_name     TEXT         NOT NULL,
    label_name        TEXT         NOT NULL,
    target_name       TEXT         NOT NULL,
    hostname          TEXT         NOT NULL,
    nodename          TEXT         NOT NULL,
    image_name        TEXT         NOT NULL,
    -- Not a foreign key: a node may outlive the row of the image that it was booted from.
    snapshot_image_id BIGINT,
    az                TEXT,
    external_id       TEXT,
    ip                TEXT,
    ip_private        TEXT,
    host_key          TEXT,
    state             VARCHAR(16)  NOT NULL,
    step              VARCHAR(16),
    state_time        BIGINT       NOT NULL,
    created           BIGINT       NOT NULL,
    attempt           VARCHAR(255) NOT NULL UNIQUE,
    attempted         BIGINT,
    delete_called     BIGINT,
    held_until        BIGINT,
    comment           TEXT,
    reason            TEXT         NOT NULL,
    revision          BIGINT       NOT NULL DEFAULT 1,
    CONSTRAINT node_state CHECK (state IN ('building', 'test', 'ready', 'used', 'hold', 'delete')),
    CONSTRAINT node_step CHECK (step IN ('create', 'boot', 'address', 'ssh')),
    CONSTRAINT node_step_when CHECK ((state = 'building') = (step IS NOT NULL))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
