-- In which availability zone the server of a build is made that was made last.
ALTER TABLE snapshot_image ADD COLUMN az TEXT;

-- Setbacks of availability zones.
ALTER TABLE setback
    DROP CONSTRAINT setback_kind,
    ADD CONSTRAINT setback_kind CHECK (kind IN ('image', 'launch', 'capacity', 'zone'));
