-- Sorted lists of one status, of all owners and of one, of all types and of one: whatever a list
-- selects, its records follow one another in an index.
CREATE INDEX progress_records_by_status ON progress_records (status, created_at, id);
CREATE INDEX progress_records_by_owner_and_status
    ON progress_records (owner, status, created_at, id);
CREATE INDEX progress_records_by_type ON progress_records (task_type, status, created_at, id);
CREATE INDEX progress_records_by_owner_and_type
    ON progress_records (owner, task_type, status, created_at, id);
-- These were parts of the above.
DROP INDEX progress_records_active;
DROP INDEX progress_records_active_by_owner;
DROP INDEX progress_records_running;

INSERT INTO progress_schema (version, serves) VALUES (3, 1);
