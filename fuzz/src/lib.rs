//! What the targets call. The replay of the corpus calls the same functions: `tests/fuzz/replay.rs`.
#![forbid(unsafe_code)]

#[path = "../../tests/fuzz/decoders.rs"]
pub mod decoders;
