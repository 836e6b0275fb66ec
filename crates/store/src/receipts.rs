//! Receipts, and the answers given under idempotency keys.

use proofmark_types::Digest;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection as _, Row as _};

use crate::store::give_back;
use crate::{Store, StoreError};

/// A receipt as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptRecord {
    /// The receipt's digest, by which it is found.
    pub id: Digest,
    /// Name of the model that was served.
    pub model: String,
    /// Digest of the package that was served.
    pub package_digest: Digest,
    /// Digest of the statement inside the envelope.
    pub statement_digest: Digest,
    /// The DSSE envelope, byte for byte as it was made.
    pub envelope: Vec<u8>,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub created_at: i64,
    /// Index of the receipt's entry in the transparency log, below 2^63; `None` while it is not
    /// known to be there. A receipt without one must not be handed out.
    pub log_index: Option<u64>,
}

/// The answer to remember under an idempotency key, stored when its receipt is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAnswer {
    /// The key, already scoped to whatever the caller tells apart.
    pub key: String,
    /// Digest of the request that was answered.
    pub request_digest: Digest,
    /// The answer's bytes.
    pub answer: Vec<u8>,
}

/// An answer found under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Digest of the request that was answered; a different one means the key was used twice.
    pub request_digest: Digest,
    /// The receipt that belongs to it.
    pub receipt_id: Digest,
    /// The answer's bytes.
    pub answer: Vec<u8>,
}

/// What [`Store::insert_receipt`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// The receipt was new.
    New,
    /// The very same receipt was there already.
    Already,
}

/// Some receipts of a model, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// At most as many as were asked for.
    pub receipts: Vec<ReceiptRecord>,
    /// Pass it as `after` to get the next page; `None` when this was the last one.
    pub next: Option<i64>,
}

/// Largest page that [`Store::receipts_of_model`] returns.
pub const MAX_PAGE: u32 = 1000;

impl Store {
    /// Stores a receipt, as not logged yet. When this returns `Ok`, it is on disk.
    ///
    /// # Errors
    /// [`StoreError::ReceiptConflict`] when a different receipt has the same identifier,
    /// [`StoreError::Database`] otherwise.
    pub async fn insert_receipt(&self, record: &ReceiptRecord) -> Result<Stored, StoreError> {
        let mut connection = self.writer().await.map_err(not_inserted)?;
        let stored = insert(&mut connection, record).await;
        give_back(connection, stored).await
    }

    /// Remembers where a stored receipt stands in the transparency log, and with it the answer under
    /// an idempotency key when there is one: both or neither. When this returns `Ok`, they are on
    /// disk. A receipt that has an index already keeps it: its first entry counts.
    ///
    /// # Errors
    /// [`StoreError::NotStored`] when there is no such receipt, [`StoreError::KeyConflict`] when the
    /// key has an answer, [`StoreError::Database`] otherwise, which includes an index that another
    /// receipt has.
    pub async fn log_receipt(
        &self,
        id: &Digest,
        index: u64,
        answer: Option<&NewAnswer>,
    ) -> Result<(), StoreError> {
        let index = i64::try_from(index).map_err(|_| StoreError::Damaged {
            id: id.to_string(),
            reason: "its index in the log is not below 2^63",
        })?;
        let mut connection = self.writer().await.map_err(not_logged)?;
        let logged = log(&mut connection, id, index, answer).await;
        give_back(connection, logged).await
    }

    /// Receipts that are stored and not known to be logged, in the order of insertion, at most
    /// `limit` (1 … [`MAX_PAGE`], clamped).
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Damaged`].
    pub async fn not_logged(&self, limit: u32) -> Result<Vec<ReceiptRecord>, StoreError> {
        sqlx::query("SELECT * FROM receipts WHERE log_index IS NULL ORDER BY seq LIMIT ?")
            .bind(i64::from(limit.clamp(1, MAX_PAGE)))
            .fetch_all(&self.pool)
            .await
            .map_err(|source| StoreError::Database {
                operation: "list receipts that are not logged",
                source,
            })?
            .iter()
            .map(record_of)
            .collect()
    }

    /// The receipt with the highest index in the log.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Damaged`].
    pub async fn last_logged(&self) -> Result<Option<ReceiptRecord>, StoreError> {
        sqlx::query(
            "SELECT * FROM receipts WHERE log_index IS NOT NULL ORDER BY log_index DESC LIMIT 1",
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(|source| StoreError::Database {
            operation: "find the last receipt that is logged",
            source,
        })?
        .as_ref()
        .map(record_of)
        .transpose()
    }

    /// The receipt with this identifier.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Damaged`].
    pub async fn receipt(&self, id: &Digest) -> Result<Option<ReceiptRecord>, StoreError> {
        sqlx::query("SELECT * FROM receipts WHERE id = ?")
            .bind(id.as_bytes().as_slice())
            .fetch_optional(&self.pool)
            .await
            .map_err(|source| StoreError::Database {
                operation: "read a receipt",
                source,
            })?
            .as_ref()
            .map(record_of)
            .transpose()
    }

    /// Receipts of a model in the order of insertion, at most `limit` (1 … [`MAX_PAGE`], clamped)
    /// of them, starting behind the cursor `after` of an earlier page, or at the first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Damaged`].
    pub async fn receipts_of_model(
        &self,
        model: &str,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let failed = |source| StoreError::Database {
            operation: "list receipts",
            source,
        };
        let limit = limit.clamp(1, MAX_PAGE);
        let rows =
            sqlx::query("SELECT * FROM receipts WHERE model = ? AND seq > ? ORDER BY seq LIMIT ?")
                .bind(model)
                .bind(after.unwrap_or(0))
                .bind(i64::from(limit) + 1)
                .fetch_all(&self.pool)
                .await
                .map_err(failed)?;
        // One row more than asked for was fetched, only to tell whether there is a next page.
        let shown = rows.iter().take(limit as usize);
        let next = match shown.clone().next_back() {
            Some(last) if rows.len() > shown.len() => Some(last.try_get("seq").map_err(failed)?),
            _ => None,
        };
        Ok(Page {
            receipts: shown.map(record_of).collect::<Result<_, _>>()?,
            next,
        })
    }

    /// The answer that was given under an idempotency key.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Damaged`].
    pub async fn answer(&self, key: &str) -> Result<Option<Answer>, StoreError> {
        let failed = |source| StoreError::Database {
            operation: "read an answer",
            source,
        };
        let row =
            sqlx::query("SELECT request_digest, receipt_id, answer FROM answers WHERE key = ?")
                .bind(key)
                .fetch_optional(&self.pool)
                .await
                .map_err(failed)?;
        row.map(|row| {
            Ok(Answer {
                request_digest: digest_of(&row, "request_digest")?,
                receipt_id: digest_of(&row, "receipt_id")?,
                answer: row.try_get("answer").map_err(failed)?,
            })
        })
        .transpose()
    }
}

const fn not_inserted(source: sqlx::Error) -> StoreError {
    StoreError::Database {
        operation: "insert a receipt",
        source,
    }
}

const fn not_logged(source: sqlx::Error) -> StoreError {
    StoreError::Database {
        operation: "remember that a receipt is logged",
        source,
    }
}

/// IMMEDIATE takes the write lock at once: no read is upgraded to a write halfway, which SQLite would
/// refuse without waiting.
const BEGIN: &str = "BEGIN IMMEDIATE";

async fn insert(
    connection: &mut SqliteConnection,
    record: &ReceiptRecord,
) -> Result<Stored, StoreError> {
    let mut transaction = connection.begin_with(BEGIN).await.map_err(not_inserted)?;
    let inserted = sqlx::query(
        "INSERT INTO receipts (id, model, package_digest, statement_digest, envelope, created_at) \
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
    )
    .bind(record.id.as_bytes().as_slice())
    .bind(&record.model)
    .bind(record.package_digest.as_bytes().as_slice())
    .bind(record.statement_digest.as_bytes().as_slice())
    .bind(&record.envelope)
    .bind(record.created_at)
    .execute(&mut *transaction)
    .await
    .map_err(not_inserted)?
    .rows_affected();
    if inserted == 0 {
        let there: Vec<u8> = sqlx::query("SELECT envelope FROM receipts WHERE id = ?")
            .bind(record.id.as_bytes().as_slice())
            .fetch_one(&mut *transaction)
            .await
            .and_then(|row| row.try_get(0))
            .map_err(not_inserted)?;
        if there != record.envelope {
            return Err(StoreError::ReceiptConflict { id: record.id });
        }
    }
    transaction.commit().await.map_err(not_inserted)?;
    Ok(if inserted == 0 {
        Stored::Already
    } else {
        Stored::New
    })
}

async fn log(
    connection: &mut SqliteConnection,
    id: &Digest,
    index: i64,
    answer: Option<&NewAnswer>,
) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with(BEGIN).await.map_err(not_logged)?;
    let updated = sqlx::query(
        "UPDATE receipts SET log_index = coalesce(log_index, ?) WHERE id = ? \
         RETURNING created_at",
    )
    .bind(index)
    .bind(id.as_bytes().as_slice())
    .fetch_optional(&mut *transaction)
    .await
    .map_err(not_logged)?;
    let Some(updated) = updated else {
        return Err(StoreError::NotStored { id: *id });
    };
    if let Some(answer) = answer {
        let created_at: i64 = updated.try_get(0).map_err(not_logged)?;
        let inserted = sqlx::query(
            "INSERT INTO answers (key, request_digest, receipt_id, answer, created_at) \
             VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
        )
        .bind(&answer.key)
        .bind(answer.request_digest.as_bytes().as_slice())
        .bind(id.as_bytes().as_slice())
        .bind(&answer.answer)
        .bind(created_at)
        .execute(&mut *transaction)
        .await
        .map_err(not_logged)?
        .rows_affected();
        if inserted == 0 {
            return Err(StoreError::KeyConflict {
                key: answer.key.clone(),
            });
        }
    }
    transaction.commit().await.map_err(not_logged)
}

fn record_of(row: &SqliteRow) -> Result<ReceiptRecord, StoreError> {
    let failed = |source| StoreError::Database {
        operation: "read a receipt",
        source,
    };
    Ok(ReceiptRecord {
        id: digest_of(row, "id")?,
        model: row.try_get("model").map_err(failed)?,
        package_digest: digest_of(row, "package_digest")?,
        statement_digest: digest_of(row, "statement_digest")?,
        envelope: row.try_get("envelope").map_err(failed)?,
        created_at: row.try_get("created_at").map_err(failed)?,
        log_index: row
            .try_get::<Option<i64>, _>("log_index")
            .map_err(failed)?
            .map(u64::try_from)
            .transpose()
            .map_err(|_| StoreError::Damaged {
                id: "log_index".to_owned(),
                reason: "the index in the log is negative",
            })?,
    })
}

fn digest_of(row: &SqliteRow, column: &'static str) -> Result<Digest, StoreError> {
    let bytes: Vec<u8> = row.try_get(column).map_err(|source| StoreError::Database {
        operation: "read a digest",
        source,
    })?;
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| StoreError::Damaged {
        id: column.to_owned(),
        reason: "a digest is not 32 bytes long",
    })?;
    Ok(Digest::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(model: &str, k: u32) -> ReceiptRecord {
        let envelope = format!("{{\"receipt\":{k},\"of\":\"{model}\"}}").into_bytes();
        ReceiptRecord {
            id: Digest::of(&envelope),
            model: model.to_owned(),
            package_digest: Digest::of(b"package"),
            statement_digest: Digest::of(b"statement"),
            envelope,
            created_at: 1_700_000_000_000 + i64::from(k),
            log_index: None,
        }
    }

    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data").join("receipts.db"))
            .await
            .unwrap();
        (folder, store)
    }

    #[tokio::test]
    async fn a_receipt_comes_back_byte_for_byte() {
        let (_folder, store) = store().await;
        let mut record = record("digits", 1);
        record.envelope = (0..=255).collect();
        assert_eq!(store.receipt(&record.id).await.unwrap(), None);
        assert_eq!(store.insert_receipt(&record).await.unwrap(), Stored::New);
        assert_eq!(
            store.receipt(&record.id).await.unwrap(),
            Some(record.clone())
        );
        assert_eq!(
            store.insert_receipt(&record).await.unwrap(),
            Stored::Already
        );
        record.envelope.push(0);
        let error = store.insert_receipt(&record).await.unwrap_err();
        assert_eq!(error.code(), "store-receipt-conflict");
    }

    #[tokio::test]
    async fn what_is_logged_keeps_its_first_index() {
        let (_folder, store) = store().await;
        let all: Vec<_> = (0..3).map(|k| record("digits", k)).collect();
        for record in &all {
            store.insert_receipt(record).await.unwrap();
        }
        assert_eq!(store.last_logged().await.unwrap(), None);
        assert_eq!(store.not_logged(10).await.unwrap(), all);
        assert_eq!(store.not_logged(2).await.unwrap(), all[..2]);
        for (k, index) in [(1, 7), (0, 5), (1, 9)] {
            store.log_receipt(&all[k].id, index, None).await.unwrap();
        }
        assert_eq!(store.not_logged(10).await.unwrap(), all[2..]);
        let last = store.last_logged().await.unwrap().unwrap();
        assert_eq!((last.id, last.log_index), (all[1].id, Some(7)));
        for (id, index, code) in [
            // Another receipt's entry.
            (all[2].id, 7, "store-unavailable"),
            (record("digits", 9).id, 8, "store-receipt-missing"),
            (all[2].id, u64::MAX, "store-damaged"),
        ] {
            let error = store.log_receipt(&id, index, None).await.unwrap_err();
            assert_eq!(error.code(), code, "{error}");
        }
        assert_eq!(store.not_logged(10).await.unwrap(), all[2..]);
    }

    #[tokio::test]
    async fn pages_neither_skip_nor_repeat() {
        let (_folder, store) = store().await;
        for k in 0..7 {
            store.insert_receipt(&record("digits", k)).await.unwrap();
            store.insert_receipt(&record("lenet", k)).await.unwrap();
        }
        let mut seen = Vec::new();
        let mut after = None;
        let mut sizes = Vec::new();
        loop {
            let page = store.receipts_of_model("digits", after, 3).await.unwrap();
            sizes.push(page.receipts.len());
            seen.extend(page.receipts);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(sizes, [3, 3, 1]);
        assert_eq!(
            seen,
            (0..7).map(|k| record("digits", k)).collect::<Vec<_>>()
        );
        let exact = store.receipts_of_model("lenet", None, 7).await.unwrap();
        assert_eq!((exact.receipts.len(), exact.next), (7, None));
        let none = store.receipts_of_model("' OR 1=1 --", None, 7).await;
        assert!(none.unwrap().receipts.is_empty());
    }

    #[tokio::test]
    async fn index_and_answer_are_stored_together_or_not_at_all() {
        let (_folder, store) = store().await;
        let answer = NewAnswer {
            key: "digits/abc".to_owned(),
            request_digest: Digest::of(b"request"),
            answer: b"{}".to_vec(),
        };
        let (first, second) = (record("digits", 1), record("digits", 2));
        for record in [&first, &second] {
            store.insert_receipt(record).await.unwrap();
        }
        assert_eq!(store.answer("digits/abc").await.unwrap(), None);
        store
            .log_receipt(&first.id, 0, Some(&answer))
            .await
            .unwrap();
        let found = store.answer("digits/abc").await.unwrap().unwrap();
        assert_eq!(
            found,
            Answer {
                request_digest: Digest::of(b"request"),
                receipt_id: first.id,
                answer: b"{}".to_vec()
            }
        );
        let error = store
            .log_receipt(&second.id, 1, Some(&answer))
            .await
            .unwrap_err();
        assert_eq!(error.code(), "idempotency-key-conflict");
        assert_eq!(store.not_logged(10).await.unwrap(), [second]);
        assert_eq!(store.answer("digits/abd").await.unwrap(), None);
    }

    #[tokio::test]
    async fn many_writers_at_once_lose_nothing() {
        let (_folder, store) = store().await;
        let tasks: Vec<_> = (0..64)
            .map(|k| {
                let store = store.clone();
                tokio::spawn(async move { store.insert_receipt(&record("digits", k)).await })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap(), Stored::New);
        }
        let page = store.receipts_of_model("digits", None, 1000).await.unwrap();
        assert_eq!(page.receipts.len(), 64);
    }

    #[tokio::test]
    async fn a_closed_store_says_so() {
        let (_folder, store) = store().await;
        store.close().await;
        let error = store
            .insert_receipt(&record("digits", 1))
            .await
            .unwrap_err();
        assert_eq!(error.code(), "store-unavailable");
    }
}
