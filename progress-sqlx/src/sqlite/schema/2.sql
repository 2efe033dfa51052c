-- Jobs that run more than once, jobs with stages, and jobs whose end is announced. Programs of
-- version 1 go on working: they create jobs without them, and their workers leave the new columns
-- alone.
ALTER TABLE progress_records ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0
    CHECK (attempt BETWEEN 0 AND 4294967295);
ALTER TABLE progress_records ADD COLUMN max_attempts INTEGER
    CHECK (max_attempts BETWEEN 1 AND 4294967295);
ALTER TABLE progress_records ADD COLUMN attempt_started_at INTEGER;
ALTER TABLE progress_records ADD COLUMN retry_at INTEGER;
ALTER TABLE progress_records ADD COLUMN carried_over INTEGER NOT NULL DEFAULT 0
    CHECK (carried_over BETWEEN 0 AND 9007199254740991);
-- JSON: the cursor that the worker saved, and the counts that belong to it.
ALTER TABLE progress_records ADD COLUMN checkpoint TEXT;
-- JSON: the stages with the counts of those that have ended, and which is the current one.
ALTER TABLE progress_records ADD COLUMN stages TEXT;
-- When the end of a job is due to be announced; NULL if it was, and if nothing asked for it.
ALTER TABLE progress_records ADD COLUMN announce_at INTEGER;
CREATE INDEX progress_records_unannounced ON progress_records (announce_at, id)
    WHERE announce_at IS NOT NULL AND finished_at IS NOT NULL;

INSERT INTO progress_schema (version, serves) VALUES (2, 1);
