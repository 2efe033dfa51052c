-- IF NOT EXISTS is not enough here: of two processes that find no table, one fails. So a lock makes
-- them take turns; its number must be the same everywhere. These statements are sent together, as
-- one transaction, and the lock ends with it.
SELECT pg_advisory_xact_lock(7305808869231650930);
-- No notice if a table already exists.
SELECT set_config('client_min_messages', 'warning', true);

-- The result of each mail.
CREATE TABLE IF NOT EXISTS deliveries (
    job_id  TEXT   NOT NULL,
    number  BIGINT NOT NULL,
    outcome TEXT   NOT NULL CHECK (outcome IN ('sent', 'refused', 'failed')),
    detail  TEXT   NOT NULL,
    PRIMARY KEY (job_id, number)
);
