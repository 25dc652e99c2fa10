-- What a node's row knows of its agent at the target, of the job on it, and of who holds it. A node now also enrolls.
ALTER TABLE node
    DROP CONSTRAINT node_step,
    ADD CONSTRAINT node_step CHECK (step IN ('create', 'boot', 'address', 'ssh', 'enroll')),
    -- When the call that enrolls its agent was last about to be made, whether the target took it, and who there.
    ADD COLUMN agent_attempted BIGINT,
    ADD COLUMN agent_enrolled BIGINT NOT NULL DEFAULT 0 CHECK (agent_enrolled IN (0, 1)),
    ADD COLUMN manager_name TEXT,
    -- When its test job was started, and whether that succeeded.
    ADD COLUMN test_called BIGINT,
    ADD COLUMN test_passed BIGINT NOT NULL DEFAULT 0 CHECK (test_passed IN (0, 1)),
    -- Whether the target took the agent back, and whether it is to be taken back although a job runs on it.
    ADD COLUMN agent_withdrawn BIGINT NOT NULL DEFAULT 0 CHECK (agent_withdrawn IN (0, 1)),
    ADD COLUMN insists BIGINT NOT NULL DEFAULT 0 CHECK (insists IN (0, 1)),
    -- What the target was told about the node beyond its label.
    ADD COLUMN agent_remark TEXT,
    -- The one job of the node.
    ADD COLUMN job_name TEXT,
    ADD COLUMN job_started BIGINT,
    ADD COLUMN job_ended BIGINT,
    -- Who holds it, and the rule for failed jobs that does.
    ADD COLUMN hold_owner TEXT,
    ADD COLUMN hold_job TEXT,
    -- Whether people were told that the hold ends soon.
    ADD COLUMN hold_warned BIGINT NOT NULL DEFAULT 0 CHECK (hold_warned IN (0, 1));

-- Who asks for a hold.
ALTER TABLE wish ADD COLUMN owner TEXT;

-- Targets that refuse what is enrolled there are left alone for a while, as everything that fails.
ALTER TABLE setback
    DROP CONSTRAINT setback_kind,
    ADD CONSTRAINT setback_kind CHECK (kind IN ('image', 'launch', 'capacity', 'zone', 'target'));
