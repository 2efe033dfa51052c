-- Sorted lists of one status and one type, of all owners and of one. Those of all types are in
-- version 1.
SET @progress_step = IF(
    (SELECT count(*) FROM information_schema.statistics
        WHERE table_schema = database() AND table_name = 'progress_records'
        AND index_name = 'progress_records_by_owner_and_type') > 0,
    'DO 0',
    'ALTER TABLE progress_records
        ADD INDEX progress_records_by_type (task_type, status, created_at, id),
        ADD INDEX progress_records_by_owner_and_type (owner, task_type, status, created_at, id)'
);
PREPARE progress_step FROM @progress_step;
EXECUTE progress_step;
DEALLOCATE PREPARE progress_step;

INSERT IGNORE INTO progress_schema (version, serves) VALUES (3, 1);
