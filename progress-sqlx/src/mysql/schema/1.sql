-- Times and durations are milliseconds (UTC, since 1970), flags are 0 or 1, ids and JSON are text.
-- Counts stop at 2^53 - 1, the largest integer that a browser reads exactly. An interrupted step is
-- run again from its beginning, because MySQL cannot roll back changes of tables.
CREATE TABLE IF NOT EXISTS progress_records (
    id VARCHAR(36) NOT NULL PRIMARY KEY,
    owner VARCHAR(200),
    task_type VARCHAR(200) NOT NULL,
    status VARCHAR(16) NOT NULL
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
    writer VARCHAR(36),
    seq BIGINT,
    CHECK ((finished_at IS NOT NULL) = (status IN ('completed', 'failed', 'cancelled'))),
    CHECK (status <> 'running' OR (started_at IS NOT NULL AND heartbeat_at IS NOT NULL)),
    CHECK ((writer IS NULL) = (seq IS NULL)),
    -- Sorted lists of all records, of one status, of one owner, and of both. No index has a column
    -- that changes while a job runs.
    INDEX progress_records_by_time (created_at, id),
    INDEX progress_records_by_owner (owner, created_at, id),
    INDEX progress_records_by_status (status, created_at, id),
    INDEX progress_records_by_owner_and_status (owner, status, created_at, id),
    -- Janitors: finished records.
    INDEX progress_records_finished (finished_at, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS progress_entries (
    progress_id VARCHAR(36) NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    level VARCHAR(16) NOT NULL,
    item TEXT,
    message TEXT NOT NULL,
    PRIMARY KEY (progress_id, seq)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The highest numbers of writers that are no longer the last writer of their record.
CREATE TABLE IF NOT EXISTS progress_writers (
    progress_id VARCHAR(36) NOT NULL,
    writer VARCHAR(36) NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (progress_id, writer)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Fails here, and not at a later call, if another program has a table of one of these names.
SELECT id, owner, heartbeat_at FROM progress_records LIMIT 0;
SELECT progress_id, seq, at, level, item, message FROM progress_entries LIMIT 0;
SELECT progress_id, writer, seq FROM progress_writers LIMIT 0;

-- The version of these tables, and the oldest program version that they serve.
CREATE TABLE IF NOT EXISTS progress_schema (
    version BIGINT NOT NULL PRIMARY KEY,
    serves BIGINT NOT NULL
) ENGINE = InnoDB;
INSERT IGNORE INTO progress_schema (version, serves) VALUES (1, 1);
