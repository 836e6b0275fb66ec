//! Receipts to store, and a runtime to store them in.

use proofmark_store::ReceiptRecord;
use proofmark_types::Digest;

/// The `k`th receipt, of another length than the others.
pub(crate) fn record(k: u32) -> ReceiptRecord {
    let envelope = vec![k.to_le_bytes()[0]; 4096 + k as usize];
    ReceiptRecord {
        id: Digest::of(&envelope),
        model: "digits".to_owned(),
        package_digest: Digest::of(b"package"),
        statement_digest: Digest::of(b"statement"),
        envelope,
        created_at: i64::from(k),
        log_index: None,
    }
}

/// Runs it to its end on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
