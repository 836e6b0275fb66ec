//! Where table points lie.

use std::ops::Range;
use std::sync::Arc;

use proofmark_lanes::Map;

use crate::curve::Curve;

/// Table points, shared.
pub(crate) enum Points<C: Curve> {
    /// In this process' memory.
    Owned(Arc<Vec<C::Point>>),
    /// In a file: the bytes of [`Curve::points`].
    Mapped(Arc<Map>, Range<usize>),
}

/// Not derived, which would ask it of `C` too.
impl<C: Curve> Clone for Points<C> {
    fn clone(&self) -> Self {
        match self {
            Self::Owned(points) => Self::Owned(Arc::clone(points)),
            Self::Mapped(map, range) => Self::Mapped(Arc::clone(map), range.clone()),
        }
    }
}

impl<C: Curve> Points<C> {
    pub(crate) fn owned(points: Vec<C::Point>) -> Self {
        Self::Owned(Arc::new(points))
    }

    /// The points in some bytes of a file; `None` when they do not lie as a slice does.
    pub(crate) fn mapped(map: Map, range: Range<usize>) -> Option<Self> {
        C::points(map.get(range.clone())?)?;
        Some(Self::Mapped(Arc::new(map), range))
    }

    pub(crate) fn as_slice(&self) -> &[C::Point] {
        match self {
            Self::Owned(points) => points,
            // `mapped` has looked at these bytes in the same way.
            Self::Mapped(map, range) => map
                .get(range.clone())
                .and_then(C::points)
                .unwrap_or_default(),
        }
    }
}
