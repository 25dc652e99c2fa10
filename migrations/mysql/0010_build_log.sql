-- What the scripts of image builds print, for whoever follows a build or asks later why it failed.
CREATE TABLE build_log (
    id        BIGINT      NOT NULL AUTO_INCREMENT PRIMARY KEY,
    image_id  BIGINT      NOT NULL,
    -- Counts the lines of one build from 1. A gap is where lines came faster than they could be kept.
    number    BIGINT      NOT NULL,
    created   BIGINT      NOT NULL,
    step      VARCHAR(16) NOT NULL,
    line      TEXT        NOT NULL,
    -- How many bytes all lines of the build have up to the end of this one, also those that were cut.
    bytes     BIGINT      NOT NULL,
    UNIQUE KEY build_log_line (image_id, number),
    KEY build_log_created (created)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Since when the holder has had the lease without a break. 0: not known.
ALTER TABLE lease ADD COLUMN taken BIGINT NOT NULL DEFAULT 0;
