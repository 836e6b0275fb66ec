//! The choice of an implementation, made once and kept beside the data it packed.

#[cfg(target_arch = "x86_64")]
use crate::Ifma;
use crate::{Kernel, LaneField, Lanes, Packed, Portable};

/// An implementation of [`Lanes`] that this processor can run.
///
/// Packed elements are read by the engine that packed them; a file that holds some names the engine
/// ([`Engine::name`]).
#[derive(Debug, Clone, Copy)]
pub enum Engine<F> {
    /// One element at a time.
    Portable(Portable<F>),
    /// Eight elements at a time on AVX-512 IFMA.
    #[cfg(target_arch = "x86_64")]
    Ifma(Ifma<F>),
}

/// The same expression on the lanes of either engine.
macro_rules! on_lanes {
    ($engine:expr, $lanes:ident => $expression:expr) => {
        match $engine {
            Engine::Portable($lanes) => $expression,
            #[cfg(target_arch = "x86_64")]
            Engine::Ifma($lanes) => $expression,
        }
    };
}

impl<F: LaneField> Engine<F> {
    /// The fastest that this processor has.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(lanes) = Ifma::detect() {
            return Self::Ifma(lanes);
        }
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
            #[cfg(target_arch = "x86_64")]
            Self::Ifma(_) => "ifma",
        }
    }

    /// Elements in a vector.
    pub const fn width(self) -> usize {
        match self {
            Self::Portable(_) => Portable::<F>::WIDTH,
            #[cfg(target_arch = "x86_64")]
            Self::Ifma(_) => Ifma::<F>::WIDTH,
        }
    }

    /// Runs a kernel with this implementation.
    #[inline]
    pub fn run<K: Kernel<Field = F>>(self, kernel: K) -> K::Output {
        on_lanes!(self, lanes => lanes.run(kernel))
    }

    /// An element in this implementation's form.
    #[inline]
    pub fn pack(self, value: &F) -> Packed {
        on_lanes!(self, lanes => lanes.pack(value))
    }

    /// The inverse of [`Engine::pack`].
    #[inline]
    pub fn unpack(self, value: &Packed) -> F {
        on_lanes!(self, lanes => lanes.unpack(value))
    }
}
