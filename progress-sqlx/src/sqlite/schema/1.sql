-- Times and durations are milliseconds (UTC, since 1970), flags are 0 or 1, ids and JSON are text.
-- Counts stop at 2^53 - 1, the largest integer that a browser reads exactly.
CREATE TABLE progress_records (
    id TEXT NOT NULL PRIMARY KEY,
    owner TEXT,
    task_type TEXT NOT NULL,
    status TEXT NOT NULL
        CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    total INTEGER CHECK (total BETWEEN 0 AND 9007199254740991),
    succeeded INTEGER NOT NULL CHECK (succeeded BETWEEN 0 AND 9007199254740991),
    failed INTEGER NOT NULL CHECK (failed BETWEEN 0 AND 9007199254740991),
    message TEXT,
    error TEXT,
    title TEXT,
    completion_message TEXT,
    metadata TEXT,
    result TEXT,
    cancel_requested INTEGER NOT NULL CHECK (cancel_requested IN (0, 1)),
    auto_complete INTEGER NOT NULL CHECK (auto_complete IN (0, 1)),
    lease INTEGER NOT NULL CHECK (lease > 0),
    stall_after INTEGER CHECK (stall_after > 0),
    workers INTEGER NOT NULL CHECK (workers BETWEEN 0 AND 4294967295),
    pace INTEGER NOT NULL CHECK (pace BETWEEN 0 AND 9007199254740991),
    last_entry INTEGER NOT NULL CHECK (last_entry BETWEEN 0 AND 9007199254740991),
    version INTEGER NOT NULL CHECK (version BETWEEN 1 AND 9007199254740991),
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    updated_at INTEGER NOT NULL,
    heartbeat_at INTEGER,
    finished_at INTEGER,
    -- The last writer, and its number less 2^63, which keeps the order of all 64 bits.
    writer TEXT,
    seq INTEGER,
    CHECK ((finished_at IS NOT NULL) = (status IN ('completed', 'failed', 'cancelled'))),
    CHECK (status <> 'running' OR (started_at IS NOT NULL AND heartbeat_at IS NOT NULL)),
    CHECK ((writer IS NULL) = (seq IS NULL))
) STRICT;

-- Sorted lists of all records and of active records, of all owners and of one.
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
    progress_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    level TEXT NOT NULL,
    item TEXT,
    message TEXT NOT NULL,
    PRIMARY KEY (progress_id, seq)
) STRICT, WITHOUT ROWID;

-- The highest numbers of writers that are no longer the last writer of their record.
CREATE TABLE progress_writers (
    progress_id TEXT NOT NULL,
    writer TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (progress_id, writer)
) STRICT, WITHOUT ROWID;

-- The version of these tables, and the oldest program version that they serve.
CREATE TABLE progress_schema (version INTEGER NOT NULL, serves INTEGER NOT NULL) STRICT;
INSERT INTO progress_schema (version, serves) VALUES (1, 1);
