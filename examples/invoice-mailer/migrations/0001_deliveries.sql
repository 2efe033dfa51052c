-- What became of each invoice: the application's own data. How far a job has come is the library's, in its own tables.
CREATE TABLE deliveries (
    job_id  TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    outcome TEXT    NOT NULL CHECK (outcome IN ('sent', 'refused', 'failed')),
    detail  TEXT    NOT NULL,
    PRIMARY KEY (job_id, number)
) STRICT, WITHOUT ROWID;
