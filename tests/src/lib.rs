//! What the tests against the built product share.
#![forbid(unsafe_code)]

pub mod build;
#[cfg(target_os = "linux")]
pub mod disk;
pub mod random;
pub mod samples;
pub mod service;
pub mod three_way;

pub use random::Random;
pub use three_way::{Checked, Failure, three_way};
