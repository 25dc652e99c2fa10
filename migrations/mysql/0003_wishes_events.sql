-- What operators ask for. A kind uses the columns that it needs; the rows that a wish names need not exist (any more).
CREATE TABLE wish (
    id                BIGINT      NOT NULL AUTO_INCREMENT PRIMARY KEY,
    kind              VARCHAR(32) NOT NULL,
    node_id           BIGINT,
    snapshot_image_id BIGINT,
    provider_name     TEXT,
    image_name        TEXT,
    comment           TEXT,
    held_until        BIGINT,
    insists           SMALLINT    NOT NULL DEFAULT 0,
    created           BIGINT      NOT NULL,
    settled           BIGINT,
    granted           SMALLINT    NOT NULL DEFAULT 0,
    outcome           TEXT        NOT NULL DEFAULT (''),
    -- Read at every tick: it must not grow with the wishes of the past. The open ones are together, in order.
    KEY wish_settled (settled, id),
    CONSTRAINT wish_kind CHECK (kind IN ('hold', 'unhold', 'delete', 'image-update', 'image-delete')),
    CONSTRAINT wish_insists CHECK (insists IN (0, 1)),
    CONSTRAINT wish_granted CHECK (granted IN (0, 1))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Starts and ends of jobs on nodes.
CREATE TABLE job_event (
    id       BIGINT      NOT NULL AUTO_INCREMENT PRIMARY KEY,
    nodename TEXT        NOT NULL,
    kind     VARCHAR(16) NOT NULL,
    job      TEXT        NOT NULL,
    created  BIGINT      NOT NULL,
    settled  BIGINT,
    KEY job_event_settled (settled, id),
    CONSTRAINT job_event_kind CHECK (kind IN ('started', 'finished'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
