//! The service from outside: requests go in, answers and problems come out.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of these tests stand outside of test functions"
)]

mod answers;
mod package;
mod problems;
mod progress;
mod shutdown;
mod support;
mod web;
