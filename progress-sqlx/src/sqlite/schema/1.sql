-- Times are milliseconds since 1970 (UTC), flags are 0 or 1, ids and JSON are text.
CREATE TABLE progress_records (
    id TEXT NOT NULL PRIMARY KEY,
    owner TEXT,
    task_type TEXT NOT NULL,
    status TEXT NOT NULL,
    total INTEGER,
    succeeded INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    message TEXT,
    error TEXT,
    title TEXT,
    completion_message TEXT,
    metadata TEXT,
    result TEXT,
    cancel_requested INTEGER NOT NULL,
    auto_complete INTEGER NOT NULL,
    last_entry INTEGER NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    updated_at INTEGER NOT NULL,
    heartbeat_at INTEGER,
    finished_at INTEGER
) STRICT;

-- Lists: in order, the status decided without touching the record.
CREATE INDEX progress_records_by_time ON progress_records (created_at, id, status);
CREATE INDEX progress_records_by_owner ON progress_records (owner, created_at, id, status);
-- Sweeps: only what runs, only what has ended.
CREATE INDEX progress_records_running ON progress_records (heartbeat_at) WHERE status = 'running';
CREATE INDEX progress_records_finished ON progress_records (finished_at, id) WHERE finished_at IS NOT NULL;

CREATE TABLE progress_entries (
    progress_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    level TEXT NOT NULL,
    item TEXT,
    message TEXT NOT NULL,
    PRIMARY KEY (progress_id, seq)
) STRICT, WITHOUT ROWID;

-- The highest number applied, of each writer, less 2^63: all 64 bits of it, in order.
CREATE TABLE progress_writers (
    progress_id TEXT NOT NULL,
    writer TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (progress_id, writer)
) STRICT, WITHOUT ROWID;

CREATE TABLE progress_schema (version INTEGER NOT NULL) STRICT;
INSERT INTO progress_schema (version) VALUES (1);
