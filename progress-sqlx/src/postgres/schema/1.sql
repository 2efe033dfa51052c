-- Times and durations are milliseconds (UTC, since 1970), flags are 0 or 1, ids and JSON are text.
-- Counts stop at 2^53 - 1, the largest integer that a browser reads exactly. COLLATE "C" compares
-- byte by byte, whatever the locale of the database.
CREATE TABLE progress_records (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    owner TEXT COLLATE "C",
    task_type TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL
        CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    total BIGINT CHECK (total BETWEEN 0 AND 9007199254740991),
    succeeded BIGINT NOT NULL CHECK (succeeded BETWEEN 0 AND 9007199254740991),
    failed BIGINT NOT NULL CHECK (failed BETWEEN 0 AND 9007199254740991),
    message TEXT,
    error TEXT,
    title TEXT,
    completion_message TEXT,
    metadata TEXT,
    result TEXT,
    cancel_requested BIGINT NOT NULL CHECK (cancel_requested IN (0, 1)),
    auto_complete BIGINT NOT NULL CHECK (auto_complete IN (0, 1)),
    lease BIGINT NOT NULL CHECK (lease > 0),
    stall_after BIGINT CHECK (stall_after > 0),
    workers BIGINT NOT NULL CHECK (workers BETWEEN 0 AND 4294967295),
    pace BIGINT NOT NULL CHECK (pace BETWEEN 0 AND 9007199254740991),
    last_entry BIGINT NOT NULL CHECK (last_entry BETWEEN 0 AND 9007199254740991),
    version BIGINT NOT NULL CHECK (version BETWEEN 1 AND 9007199254740991),
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    updated_at BIGINT NOT NULL,
    heartbeat_at BIGINT,
    finished_at BIGINT,
    -- The last writer, and its number less 2^63, which keeps the order of all 64 bits.
    writer TEXT COLLATE "C",
    seq BIGINT,
    CHECK ((finished_at IS NOT NULL) = (status IN ('completed', 'failed', 'cancelled'))),
    CHECK (status <> 'running' OR (started_at IS NOT NULL AND heartbeat_at IS NOT NULL)),
    CHECK ((writer IS NULL) = (seq IS NULL))
);

-- A record changes four times a second. If its next version has room on the same page, the indexes
-- of unchanged columns need no new entry (HOT update).
ALTER TABLE progress_records SET (fillfactor = 50);

-- Sorted lists of all records and of active records, of all owners and of one. No index has a
-- column that changes while a job runs.
CREATE INDEX progress_records_by_time ON progress_records (created_at, id);
CREATE INDEX progress_records_by_owner ON progress_records (owner, created_at, id);
CREATE INDEX progress_records_active ON progress_records (created_at, id)
    WHERE status IN ('pending', 'running');
CREATE INDEX progress_records_active_by_owner ON progress_records (owner, created_at, id)
    WHERE status IN ('pending', 'running');
-- Janitors: running and finished records.
CREATE INDEX progress_records_running ON progress_records (id) WHERE status = 'running';
CREATE INDEX progress_records_finished ON progress_records (finished_at, id)
    WHERE finished_at IS NOT NULL;

CREATE TABLE progress_entries (
    progress_id TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    level TEXT COLLATE "C" NOT NULL,
    item TEXT,
    message TEXT NOT NULL,
    PRIMARY KEY (progress_id, seq)
);

-- The highest numbers of writers that are no longer the last writer of their record.
CREATE TABLE progress_writers (
    progress_id TEXT COLLATE "C" NOT NULL,
    writer TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (progress_id, writer)
);

-- The version of these tables, and the oldest program version that they serve.
CREATE TABLE progress_schema (version BIGINT NOT NULL, serves BIGINT NOT NULL);
INSERT INTO progress_schema (version, serves) VALUES (1, 1);
