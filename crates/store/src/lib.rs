//! What the service remembers: receipts, and the answers given under idempotency keys.
//!
//! One SQLite file in write-ahead mode with `synchronous = FULL`: when an insert has returned, the
//! row is on disk and survives a kill or a power cut. Nothing else in the workspace knows the
//! database.
//!
//! The file is **not trusted** by anyone who verifies: a receipt carries its proof, so whoever
//! rewrites this file can withhold receipts but cannot make a false one verify.
#![forbid(unsafe_code)]

mod error;
mod receipts;
mod store;

pub use error::StoreError;
pub use receipts::{Answer, MAX_PAGE, NewAnswer, Page, ReceiptRecord, Stored};
pub use store::Store;
