-- One line for each write to a node or a snapshot image, in the same transaction. It outlives the row that it tells of.
CREATE TABLE history (
    id            BIGINT      NOT NULL AUTO_INCREMENT PRIMARY KEY,
    created       BIGINT      NOT NULL,
    subject       VARCHAR(16) NOT NULL,
    subject_id    BIGINT      NOT NULL,
    provider_name TEXT        NOT NULL,
    hostname      TEXT        NOT NULL,
    event         TEXT        NOT NULL,
    from_state    TEXT        NOT NULL,
    to_state      TEXT        NOT NULL,
    reason        TEXT        NOT NULL,
    KEY history_subject (subject, subject_id, id),
    KEY history_created (created),
    CONSTRAINT history_subject_word CHECK (subject IN ('node', 'image'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
