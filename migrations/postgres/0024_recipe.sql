-- The settings that a snapshot has in it, as they were when its build began: one a line. Empty for older ones.
ALTER TABLE snapshot_image ADD COLUMN recipe TEXT NOT NULL DEFAULT '';
