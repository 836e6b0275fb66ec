//! Fulfils requests for inferences on an EVM chain.
#![forbid(unsafe_code)]

mod error;
mod inputs;
mod relay;
mod request;
mod rpc;
mod state;

pub use error::RelayError;
pub use relay::{Config, Event, Relay};
pub use request::Request;
