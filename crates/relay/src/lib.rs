//! Fulfils requests for inferences on an EVM chain.
#![forbid(unsafe_code)]

mod account;
mod answer;
mod error;
mod inputs;
mod relay;
mod request;
mod rpc;
mod scan;
mod state;

pub use account::{Account, Key};
pub use error::RelayError;
pub use relay::{Config, Event, Relay};
pub use request::Request;
