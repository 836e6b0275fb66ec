//! The choice of an implementation, made once and kept beside the data it packed.

use crate::{Kernel, LaneField, Lanes, Packed, Portable};

/// An implementation of [`Lanes`] that this processor can run.
///
/// Packed elements are read by the engine that packed them; a file that holds some names the engine
/// ([`Engine::name`]).
#[derive(Debug, Clone, Copy)]
pub enum Engine<F> {
    /// One element at a time.
    Portable(Portable<F>),
}

impl<F: LaneField> Engine<F> {
    /// The fastest that this processor has.
    pub fn detect() -> Self {
        Self::portable()
    }

    /// The one that every processor has.
    pub const fn portable() -> Self {
        Self::Portable(Portable::new())
    }

    /// `portable` or `ifma`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable(_) => "portable",
        }
    }

    /// Elements in a vector.
    pub const fn width(self) -> usize {
        match self {
            Self::Portable(_) => Portable::<F>::WIDTH,
        }
    }

    /// Runs a kernel with this implementation.
    #[inline]
    pub fn run<K: Kernel<Field = F>>(self, kernel: K) -> K::Output {
        match self {
            Self::Portable(lanes) => lanes.run(kernel),
        }
    }

    /// An element in this implementation's form.
    pub fn pack(self, value: &F) -> Packed {
        match self {
            Self::Portable(lanes) => lanes.pack(value),
        }
    }

    /// The inverse of [`Engine::pack`].
    pub fn unpack(self, value: &Packed) -> F {
        match self {
            Self::Portable(lanes) => lanes.unpack(value),
        }
    }
}
