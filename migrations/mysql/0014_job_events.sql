-- What is told about jobs: also that the result of one is known, the number of its build, its branch and its result.
ALTER TABLE job_event
    DROP CONSTRAINT job_event_kind,
    ADD CONSTRAINT job_event_kind CHECK (kind IN ('started', 'completed', 'finished')),
    ADD COLUMN number BIGINT,
    ADD COLUMN branch TEXT,
    ADD COLUMN result VARCHAR(16),
    ADD CONSTRAINT job_event_result CHECK (result IN ('success', 'failure'));
