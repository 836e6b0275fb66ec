//! Phase 2: the key of one circuit.
//!
//! Reading order: [`initial`] (the key that phase 1 and the circuit give, the same for everyone),
//! [`chain`] (contributions, and what each proves), [`beacon`], [`file`] and [`folder`] (contributions as files),
//! [`verify`] (whether a key follows from all of that).

mod apply;
pub mod beacon;
pub mod chain;
mod columns;
pub mod file;
pub mod folder;
pub mod initial;
#[cfg(test)]
mod testing;
pub mod verify;

pub use chain::{Chain, Deltas, Factors, Texts};
pub use initial::{InitialKey, Powers, domain_power};
pub use verify::{verify_against, verify_key, verify_record};
