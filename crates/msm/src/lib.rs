//! Multi-scalar multiplication with bases that are known in advance.
#![forbid(unsafe_code)]
