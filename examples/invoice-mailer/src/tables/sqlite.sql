-- Each statement is a transaction and checks again what exists once it has the lock.

-- The result of each mail.
CREATE TABLE IF NOT EXISTS deliveries (
    job_id  TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    outcome TEXT    NOT NULL CHECK (outcome IN ('sent', 'refused', 'failed')),
    detail  TEXT    NOT NULL,
    PRIMARY KEY (job_id, number)
) STRICT, WITHOUT ROWID;
