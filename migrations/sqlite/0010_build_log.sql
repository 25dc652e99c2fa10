-- What the scripts of image builds print, for whoever follows a build or asks later why it failed.
CREATE TABLE build_log (
    id        INTEGER PRIMARY KEY,
    image_id  INTEGER NOT NULL,
    -- Counts the lines of one build from 1. A gap is where lines came faster than they could be kept.
    number    INTEGER NOT NULL,
    created   INTEGER NOT NULL,
    step      TEXT    NOT NULL,
    line      TEXT    NOT NULL,
    -- How many bytes all lines of the build have up to the end of this one, also those that were cut.
    bytes     INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX build_log_line ON build_log (image_id, number);
CREATE INDEX build_log_created ON build_log (created);

-- Since when the holder has had the lease without a break. 0: taken before this column was there.
ALTER TABLE lease ADD COLUMN taken INTEGER NOT NULL DEFAULT 0;
