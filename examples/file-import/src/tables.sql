-- The lines of the files. Only rejected ones have an error.
CREATE TABLE IF NOT EXISTS lines (
    job TEXT, line INTEGER, fields TEXT NOT NULL, error TEXT, PRIMARY KEY (job, line)
) WITHOUT ROWID;

-- The key keeps a line from being imported twice.
CREATE TABLE IF NOT EXISTS customers (
    job TEXT, line INTEGER, name TEXT NOT NULL, email TEXT NOT NULL, cents INTEGER NOT NULL,
    PRIMARY KEY (job, line)
) WITHOUT ROWID;

-- A valid amount has two decimals, so without its point it is a number of cents.
CREATE VIEW IF NOT EXISTS valid AS
SELECT job, line, fields ->> 0 AS name, fields ->> 1 AS email,
    CAST(replace(fields ->> 2, '.', '') AS INTEGER) AS cents
FROM lines WHERE error IS NULL;
