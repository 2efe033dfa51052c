-- Jobs that run more than once, jobs with stages, and jobs whose end is announced. Programs of
-- version 1 go on working: they create jobs without them, and their workers leave the new columns
-- alone.
-- MySQL has no "ADD COLUMN IF NOT EXISTS", and an interrupted step is run again.
SET @progress_step = IF(
    (SELECT count(*) FROM information_schema.columns
        WHERE table_schema = database() AND table_name = 'progress_records'
        AND column_name = 'announce_at') > 0,
    'DO 0',
    'ALTER TABLE progress_records
        ADD COLUMN attempt BIGINT NOT NULL DEFAULT 0 CHECK (attempt BETWEEN 0 AND 4294967295),
        ADD COLUMN max_attempts BIGINT CHECK (max_attempts BETWEEN 1 AND 4294967295),
        ADD COLUMN attempt_started_at BIGINT,
        ADD COLUMN retry_at BIGINT,
        ADD COLUMN carried_over BIGINT NOT NULL DEFAULT 0
            CHECK (carried_over BETWEEN 0 AND 9007199254740991),
        ADD COLUMN checkpoint TEXT,
        ADD COLUMN stages TEXT,
        ADD COLUMN announce_at BIGINT,
        ADD INDEX progress_records_unannounced (announce_at, finished_at)'
);
PREPARE progress_step FROM @progress_step;
EXECUTE progress_step;
DEALLOCATE PREPARE progress_step;

INSERT IGNORE INTO progress_schema (version, serves) VALUES (2, 1);
