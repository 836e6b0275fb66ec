//! The service: HTTP in front, a bounded queue, threads that prove, and a store and a transparency
//! log that hold every receipt before its answer leaves.
//!
//! There is no way through this crate that serves an unproven answer: the only source of answers
//! is [`ProvingBackend::prove`], and what it returns is stored and logged before it is sent.
//!
//! A request travels `http` (id, log, body) → `routes::infer` (validation) → `queue` → `worker`
//! (proof) → `publish` (store, transparency log) → `answer`. Every refusal is a
//! [`problem::Problem`].
#![forbid(unsafe_code)]

pub mod answer;
pub mod backend;
mod config;
mod error;
mod http;
mod idempotency;
pub mod inbox;
mod journal;
mod metrics;
pub mod parameters;
pub mod problem;
mod progress;
mod publish;
mod queue;
mod recent;
mod registry;
pub mod routes;
mod service;
pub mod tensors;
mod web;
mod witness;
mod worker;

pub use backend::ProvingBackend;
pub use config::ServerConfig;
pub use error::ServerError;
pub use journal::{Cosign, OpenLog, TransparencyLog, reconcile};
pub use routes::openapi;
pub use service::{Listening, Service, serve};
pub use witness::serve_witness;
