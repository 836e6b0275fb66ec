-- Where a receipt stands in the transparency log: the index of its entry. NULL until the entry is
-- durable there and covered by a signed checkpoint; only then is the receipt handed out.
ALTER TABLE receipts ADD COLUMN log_index INTEGER CHECK (log_index >= 0);

CREATE UNIQUE INDEX receipts_by_log_index ON receipts (log_index) WHERE log_index IS NOT NULL;

-- What a start finds stored and not logged.
CREATE INDEX receipts_not_logged ON receipts (seq) WHERE log_index IS NULL;
