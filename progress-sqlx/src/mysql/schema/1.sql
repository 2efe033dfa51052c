-- Times are milliseconds since 1970 (UTC), flags are 0 or 1, ids and JSON are text. A step that was interrupted is run
-- again from its beginning: tables are not part of transactions here.
CREATE TABLE IF NOT EXISTS progress_records (
    id VARCHAR(36) NOT NULL PRIMARY KEY,
    owner VARCHAR(200),
    task_type VARCHAR(200) NOT NULL,
    status VARCHAR(16) NOT NULL,
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
    finished_at BIGINT,
    -- Lists: in order.
    INDEX progress_records_by_time (created_at, id),
    INDEX progress_records_by_owner (owner, created_at, id),
    -- Sweeps: what has ended, and what runs. The heartbeat is not in it: it would move its place four times a second.
    INDEX progress_records_status (status),
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

-- The highest number applied, of each writer, less 2^63: all 64 bits of it, in order.
CREATE TABLE IF NOT EXISTS progress_writers (
    progress_id VARCHAR(36) NOT NULL,
    writer VARCHAR(36) NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (progress_id, writer)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Somebody else's table of one of these names is an error here, and not on some later day.
SELECT id, owner, heartbeat_at FROM progress_records LIMIT 0;
SELECT progress_id, seq, at, level, item, message FROM progress_entries LIMIT 0;
SELECT progress_id, writer, seq FROM progress_writers LIMIT 0;

CREATE TABLE IF NOT EXISTS progress_schema (version BIGINT NOT NULL PRIMARY KEY) ENGINE = InnoDB;
INSERT IGNORE INTO progress_schema (version) VALUES (1);
