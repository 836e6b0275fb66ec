//! A proxy of the Open Inference Protocol for clients that know nothing of receipts: it asks
//! providers, and gives out an answer only after it verified it against packages that its operator
//! pins.
//!
//! A request travels `routes` (decoded against the pinned manifest; the proxy quantizes itself) →
//! `relay` (one provider after the other) → `provider` (HTTP) → `judge` (`proofmark-recipient` says
//! whether the answer is proven, of this request, logged) → `history` (the log goes on from what was
//! seen last) → `receipts` (kept durably, where asked for) → `answer` (made anew from the verified
//! statement: nothing that a provider wrote beside it is passed on).
//!
//! Everything that a provider sends is hostile. Inputs, outputs and the words of providers are never
//! logged.
#![forbid(unsafe_code)]

mod answer;
mod config;
mod error;
mod fields;
mod file;
mod history;
mod judge;
mod metrics;
mod models;
mod provider;
mod receipts;
mod relay;
mod routes;
mod service;
mod standing;

pub use config::{LogPin, ProviderConfig, ProxyConfig};
pub use error::ProxyError;
pub use file::{ConfigFile, MAX_CONFIG_BYTES};
pub use models::{Model, PinnedFolder};
pub use service::serve;
