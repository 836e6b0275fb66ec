//! Where table points lie.

use std::sync::Arc;

use crate::curve::Curve;

/// Table points, shared.
#[derive(Clone)]
pub(crate) struct Points<C: Curve>(Arc<Vec<C::Point>>);

impl<C: Curve> Points<C> {
    pub(crate) fn new(points: Vec<C::Point>) -> Self {
        Self(Arc::new(points))
    }

    pub(crate) fn as_slice(&self) -> &[C::Point] {
        &self.0
    }
}
