//! Receipts, and the answers given under idempotency keys.

use proofmark_types::Digest;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

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
}

/// The answer to remember under an idempotency key, stored together with its receipt.
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
    /// Stores a receipt, and with it the answer under an idempotency key when there is one: both
    /// or neither. When this returns `Ok`, they are on disk.
    ///
    /// # Errors
    /// [`StoreError::ReceiptConflict`] when a different receipt has the same identifier,
    /// [`StoreError::KeyConflict`] when the key has an answer, [`StoreError::Database`] otherwise.
    pub async fn insert_receipt(
        &self,
        record: &ReceiptRecord,
        answer: Option<&NewAnswer>,
    ) -> Result<Stored, StoreError> {
        let failed = |source| StoreError::Database {
            operation: "insert a receipt",
            source,
        };
        // IMMEDIATE takes the write lock at once: no read is upgraded to a write halfway, which
        // SQLite would refuse without waiting.
        let mut transaction = self
            .pool
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(failed)?;
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
        .map_err(failed)?
        .rows_affected();
        if inserted == 0 {
            let there: Vec<u8> = sqlx::query("SELECT envelope FROM receipts WHERE id = ?")
                .bind(record.id.as_bytes().as_slice())
                .fetch_one(&mut *transaction)
                .await
                .and_then(|row| row.try_get(0))
                .map_err(failed)?;
            if there != record.envelope {
                return Err(StoreError::ReceiptConflict { id: record.id });
            }
        }
        if let Some(answer) = answer {
            let inserted = sqlx::query(
                "INSERT INTO answers (key, request_digest, receipt_id, answer, created_at) \
                 VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
            )
            .bind(&answer.key)
            .bind(answer.request_digest.as_bytes().as_slice())
            .bind(record.id.as_bytes().as_slice())
            .bind(&answer.answer)
            .bind(record.created_at)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?
            .rows_affected();
            if inserted == 0 {
                return Err(StoreError::KeyConflict {
                    key: answer.key.clone(),
                });
            }
        }
        transaction.commit().await.map_err(failed)?;
        Ok(if inserted == 0 {
            Stored::Already
        } else {
            Stored::New
        })
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
        assert_eq!(
            store.insert_receipt(&record, None).await.unwrap(),
            Stored::New
        );
        assert_eq!(
            store.receipt(&record.id).await.unwrap(),
            Some(record.clone())
        );
        assert_eq!(
            store.insert_receipt(&record, None).await.unwrap(),
            Stored::Already
        );
        record.envelope.push(0);
        let error = store.insert_receipt(&record, None).await.unwrap_err();
        assert_eq!(error.code(), "store-receipt-conflict");
    }

    #[tokio::test]
    async fn pages_neither_skip_nor_repeat() {
        let (_folder, store) = store().await;
        for k in 0..7 {
            store
                .insert_receipt(&record("digits", k), None)
                .await
                .unwrap();
            store
                .insert_receipt(&record("lenet", k), None)
                .await
                .unwrap();
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
    async fn receipt_and_answer_are_stored_together_or_not_at_all() {
        let (_folder, store) = store().await;
        let answer = NewAnswer {
            key: "digits/abc".to_owned(),
            request_digest: Digest::of(b"request"),
            answer: b"{}".to_vec(),
        };
        let first = record("digits", 1);
        store.insert_receipt(&first, Some(&answer)).await.unwrap();
        let found = store.answer("digits/abc").await.unwrap().unwrap();
        assert_eq!(
            found,
            Answer {
                request_digest: Digest::of(b"request"),
                receipt_id: first.id,
                answer: b"{}".to_vec()
            }
        );
        let second = record("digits", 2);
        let error = store
            .insert_receipt(&second, Some(&answer))
            .await
            .unwrap_err();
        assert_eq!(error.code(), "idempotency-key-conflict");
        assert_eq!(store.receipt(&second.id).await.unwrap(), None);
        assert_eq!(store.answer("digits/abd").await.unwrap(), None);
    }

    #[tokio::test]
    async fn many_writers_at_once_lose_nothing() {
        let (_folder, store) = store().await;
        let tasks: Vec<_> = (0..64)
            .map(|k| {
                let store = store.clone();
                tokio::spawn(async move { store.insert_receipt(&record("digits", k), None).await })
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
            .insert_receipt(&record("digits", 1), None)
            .await
            .unwrap_err();
        assert_eq!(error.code(), "store-unavailable");
    }
}
