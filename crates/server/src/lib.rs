//! The service: HTTP in front, a bounded queue, threads that prove, and a store that remembers
//! every receipt before its answer leaves.
//!
//! There is no way through this crate that serves an unproven answer: the only source of answers
//! is [`ProvingBackend::prove`], and what it returns is stored before it is sent.
//!
//! A request travels `http` (id, log, body) → `routes::infer` (validation) → `queue` → `worker`
//! (proof, store) → `answer`. Every refusal is a [`problem::Problem`].
#![forbid(unsafe_code)]

pub mod answer;
pub mod backend;
mod config;
mod error;
mod http;
mod idempotency;
mod metrics;
pub mod parameters;
pub mod problem;
mod queue;
mod registry;
pub mod routes;
mod service;
pub mod tensors;
mod worker;

pub use backend::ProvingBackend;
pub use config::ServerConfig;
pub use error::ServerError;
pub use routes::openapi;
pub use service::{Service, serve};
