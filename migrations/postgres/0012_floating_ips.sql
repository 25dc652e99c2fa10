-- The floating IP of each server: its id, once known, and when the call for it was about to be made. Both are NULL again
-- when it is confirmed gone.
ALTER TABLE node
    ADD COLUMN floating_ip_id TEXT,
    ADD COLUMN floating_ip_attempted BIGINT;
ALTER TABLE snapshot_image
    ADD COLUMN floating_ip_id TEXT,
    ADD COLUMN floating_ip_attempted BIGINT,
    ADD COLUMN verify_floating_ip_id TEXT,
    ADD COLUMN verify_floating_ip_attempted BIGINT,
    -- The host key of the verifying server, which is not that of the builder.
    ADD COLUMN verify_host_key TEXT;
