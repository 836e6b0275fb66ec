//! Elements of BN254's fields side by side in vector registers, and read-only memory maps: the one
//! crate that holds `unsafe` code, and nothing else.
