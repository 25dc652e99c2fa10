-- What is known of each launch and each build that failed: facts for whoever asks later why. It outlives the row.
CREATE TABLE failure (
    id            BIGINT      NOT NULL AUTO_INCREMENT PRIMARY KEY,
    created       BIGINT      NOT NULL,
    subject       VARCHAR(16) NOT NULL,
    subject_id    BIGINT      NOT NULL,
    provider_name TEXT        NOT NULL,
    az            TEXT,
    image_name    TEXT        NOT NULL,
    -- The label of a node; NULL for a build.
    label_name    TEXT,
    step          TEXT        NOT NULL,
    -- How long it had been at that step, and how long it may be; NULL where nothing limits the step by itself.
    waited_ms     BIGINT      NOT NULL,
    deadline_ms   BIGINT,
    message       TEXT        NOT NULL,
    -- The last lines of the machine's console, and of what was run on it over ssh.
    console       TEXT,
    output        TEXT,
    KEY failure_subject (subject, subject_id, id),
    KEY failure_created (created),
    CONSTRAINT failure_subject_word CHECK (subject IN ('node', 'image'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
