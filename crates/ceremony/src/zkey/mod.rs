//! snarkjs's `.zkey` files.
