-- Jobs whose failures are worth a look: nodes on which they failed are held, so many at most. The table and its columns
-- are called as in nodepool v0. Names come from outside and may be longer than a key, so the keys below are of their
-- beginnings, and not unique: writes come one after the other, and only add a row where there is none.
CREATE TABLE job (
    id              BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name            TEXT   NOT NULL,
    hold_on_failure BIGINT NOT NULL,
    -- How long each is held; NULL until somebody ends it.
    hold_for_ms     BIGINT,
    KEY job_name (name(191)),
    CONSTRAINT job_hold_on_failure CHECK (hold_on_failure >= 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- How long jobs ran, added up. A branch that nobody told is empty.
CREATE TABLE job_runtime (
    job_name      TEXT        NOT NULL,
    branch        TEXT        NOT NULL,
    label_name    TEXT        NOT NULL,
    provider_name TEXT        NOT NULL,
    result        VARCHAR(16) NOT NULL,
    runs          BIGINT      NOT NULL,
    total_ms      BIGINT      NOT NULL,
    longest_ms    BIGINT      NOT NULL,
    last          BIGINT      NOT NULL,
    KEY job_runtime_key (job_name(191), branch(191)),
    KEY job_runtime_last (last),
    CONSTRAINT job_runtime_result CHECK (result IN ('success', 'failure', 'unknown'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
