-- The server runs concurrent CREATE TABLE statements for one name one after the other.

-- The result of each mail.
CREATE TABLE IF NOT EXISTS deliveries (
    job_id  VARCHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    number  BIGINT NOT NULL,
    outcome VARCHAR(7) CHARACTER SET ascii NOT NULL
            CHECK (outcome IN ('sent', 'refused', 'failed')),
    detail  TEXT CHARACTER SET utf8mb4 NOT NULL,
    PRIMARY KEY (job_id, number)
) ENGINE = InnoDB;

-- The jobs that have not ended.
CREATE TABLE IF NOT EXISTS queue (
    place    BIGINT AUTO_INCREMENT PRIMARY KEY,
    job_id   VARCHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL UNIQUE,
    count    BIGINT NOT NULL,
    language VARCHAR(2) CHARACTER SET ascii NOT NULL
) ENGINE = InnoDB;
