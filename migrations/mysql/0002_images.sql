-- One row for each build of one provider's image, with everything that the build makes on the cloud.
CREATE TABLE snapshot_image (
    id                  BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    provider_name       TEXT         NOT NULL,
    image_name          TEXT         NOT NULL,
    hostname            TEXT         NOT NULL,
    -- Seconds since the epoch, as in nodepool v0.
    version             BIGINT       NOT NULL,
    keypair             TEXT,
    server_external_id  TEXT,
    host_key            TEXT,
    external_id         TEXT,
    verify_external_id  TEXT,
    state               VARCHAR(16)  NOT NULL,
    step                VARCHAR(16),
    state_time          BIGINT       NOT NULL,
    created             BIGINT       NOT NULL,
    attempt             VARCHAR(255) NOT NULL UNIQUE,
    attempted           BIGINT,
    snapshot_attempted  BIGINT,
    verify_attempted    BIGINT,
    reason              TEXT         NOT NULL,
    revision            BIGINT       NOT NULL DEFAULT 1,
    CONSTRAINT snapshot_image_state CHECK (state IN ('building', 'ready', 'delete')),
    CONSTRAINT snapshot_image_step CHECK (step IN ('create', 'boot', 'setup', 'snapshot', 'save', 'verify')),
    CONSTRAINT snapshot_image_step_when CHECK ((state = 'building') = (step IS NOT NULL))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
