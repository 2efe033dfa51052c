-- A statement is a transaction here, and looks again at what is there when it gets its turn.

-- What became of each invoice.
CREATE TABLE IF NOT EXISTS deliveries (
    job_id  TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    outcome TEXT    NOT NULL CHECK (outcome IN ('sent', 'refused', 'failed')),
    detail  TEXT    NOT NULL,
    PRIMARY KEY (job_id, number)
) STRICT, WITHOUT ROWID;

-- The jobs that wait for a worker.
CREATE TABLE IF NOT EXISTS queue (
    place    INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id   TEXT    NOT NULL UNIQUE,
    count    INTEGER NOT NULL,
    language TEXT    NOT NULL
) STRICT;
