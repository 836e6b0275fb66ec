//! What every HTTP face shares: the Open Inference Protocol's words in JSON ([`request`],
//! [`tensors`], [`parameters`], [`metadata`]), the reading of bodies within bounds ([`bodies`]),
//! RFC 9457 [`problem`]s, models by name and version ([`catalogue`]), and the layer that gives each
//! request its id, its log line and its place in the [`counters`] ([`observe`]).
//!
//! Everything that comes in is hostile; what is refused becomes a [`problem::Problem`]. Nothing of an
//! input is ever logged.
#![forbid(unsafe_code)]

pub mod bodies;
pub mod catalogue;
pub mod counters;
pub mod metadata;
pub mod observe;
pub mod parameters;
pub mod problem;
pub mod request;
pub mod tensors;
