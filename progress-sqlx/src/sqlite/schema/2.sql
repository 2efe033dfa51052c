-- Jobs that run more than once, and jobs with stages. Programs of version 1 go on working: they
-- create jobs without both, and their workers leave the new columns alone.
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

INSERT INTO progress_schema (version, serves) VALUES (2, 1);
