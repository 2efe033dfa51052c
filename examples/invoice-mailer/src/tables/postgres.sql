-- IF NOT EXISTS alone is not safe here: of two that find nothing, one fails. So they take turns; the number only has to be
-- the same everywhere. Sent together, these statements are one transaction, and the lock ends with it.
SELECT pg_advisory_xact_lock(7305808869231650930);
-- That a table is there already is nothing to tell.
SELECT set_config('client_min_messages', 'warning', true);

-- What became of each invoice.
CREATE TABLE IF NOT EXISTS deliveries (
    job_id  TEXT   NOT NULL,
    number  BIGINT NOT NULL,
    outcome TEXT   NOT NULL CHECK (outcome IN ('sent', 'refused', 'failed')),
    detail  TEXT   NOT NULL,
    PRIMARY KEY (job_id, number)
);

-- The jobs that wait for a worker.
CREATE TABLE IF NOT EXISTS queue (
    place    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id   TEXT   NOT NULL UNIQUE,
    count    BIGINT NOT NULL,
    language TEXT   NOT NULL
);
