//! The service: HTTP in front, a bounded queue, threads that prove, and a store and a transparency
//! log that hold every receipt before its answer leaves.
//!
//! There is no way through this crate that serves an unproven answer: the only source of answers
//! is [`ProvingBackend::prove`], and what it returns is stored and logged before it is sent.
//!
//! A request travels `observe` (id, log), `bodies` → `routes::infer` (validation) → `queue` → `worker`
//! (proof) → `publish` (store, transparency log) → `answer`. Every refusal is a
//! [`problem::Problem`].
#![forbid(unsafe_code)]

pub mod answer;
pub mod backend;
mod config;
mod error;
mod idempotency;
pub mod inbox;
mod journal;
mod metrics;
mod origins;
mod progress;
mod publish;
mod queue;
mod recent;
mod registry;
pub mod routes;
mod service;
mod web;
mod witness;
mod worker;

// Shared with other HTTP faces.
pub(crate) use proofmark_http::{bodies, catalogue, counters, metadata, observe, request};
pub use proofmark_http::{parameters, problem, tensors};

pub use backend::ProvingBackend;
pub use config::ServerConfig;
pub use error::ServerError;
pub use journal::{Cosign, OpenLog, TransparencyLog, reconcile};
pub use routes::openapi;
pub use service::{Listening, Service, serve};
pub use witness::serve_witness;
