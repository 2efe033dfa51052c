-- Times are milliseconds since 1970 (UTC), flags are 0 or 1, ids and JSON are text. COLLATE "C" compares byte by byte,
-- whatever the language of the database.
CREATE TABLE progress_records (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    owner TEXT COLLATE "C",
    task_type TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    total BIGINT,
    succeeded BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    message TEXT,
    error TEXT,
    title TEXT,
    completion_message TEXT,
    metadata TEXT,
    result TEXT,
    cancel_requested SMALLINT NOT NULL,
    auto_complete SMALLINT NOT NULL,
    last_entry BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    updated_at BIGINT NOT NULL,
    heartbeat_at BIGINT,
    finished_at BIGINT
);

-- A record changes four times a second: room for its next version on the same page keeps the indexes that it does not
-- touch out of it.
ALTER TABLE progress_records SET (fillfactor = 50);

-- Lists: in order. The status is not in it, or no change of a record could do without touching these.
CREATE INDEX progress_records_by_time ON progress_records (created_at, id);
CREATE INDEX progress_records_by_owner ON progress_records (owner, created_at, id);
-- Sweeps: only what has ended. What runs is found by its status; its heartbeat would touch the index four times a second.
CREATE INDEX progress_records_running ON progress_records (status) WHERE status = 'running';
CREATE INDEX progress_records_finished ON progress_records (finished_at, id) WHERE finished_at IS NOT NULL;

CREATE TABLE progress_entries (
    progress_id TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    level TEXT COLLATE "C" NOT NULL,
    item TEXT,
    message TEXT NOT NULL,
    PRIMARY KEY (progress_id, seq)
);

-- The highest number applied, of each writer, less 2^63: all 64 bits of it, in order.
CREATE TABLE progress_writers (
    progress_id TEXT COLLATE "C" NOT NULL,
    writer TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (progress_id, writer)
);

CREATE TABLE progress_schema (version BIGINT NOT NULL);
INSERT INTO progress_schema (version) VALUES (1);
