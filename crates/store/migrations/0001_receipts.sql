-- One row per served result. `seq` is the order of insertion and the page cursor; `id` is the
-- receipt's own digest and is what the world knows it by.
CREATE TABLE receipts (
    seq              INTEGER PRIMARY KEY AUTOINCREMENT,
    id               BLOB    NOT NULL UNIQUE CHECK (length(id) = 32),
    model            TEXT    NOT NULL,
    package_digest   BLOB    NOT NULL CHECK (length(package_digest) = 32),
    statement_digest BLOB    NOT NULL CHECK (length(statement_digest) = 32),
    envelope         BLOB    NOT NULL,
    created_at       INTEGER NOT NULL
) STRICT;

CREATE INDEX receipts_by_model ON receipts (model, seq);

-- The answer that was given under an idempotency key, so that a retry gets the same one.
CREATE TABLE answers (
    key            TEXT    PRIMARY KEY,
    request_digest BLOB    NOT NULL CHECK (length(request_digest) = 32),
    receipt_id     BLOB    NOT NULL REFERENCES receipts (id),
    answer         BLOB    NOT NULL,
    created_at     INTEGER NOT NULL
) STRICT;
