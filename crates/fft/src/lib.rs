//! Transforms over the scalar field, in place, for domains of 2^k, 3·2^k and 9·2^k points.
#![forbid(unsafe_code)]
