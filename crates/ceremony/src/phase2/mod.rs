//! Phase 2: the key of one circuit.
