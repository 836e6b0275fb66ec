//! Bases with the multiples that are kept of them, and their multiplication.

use std::sync::Arc;

use ark_bn254::Fq;
use ark_ec::AffineRepr;
use ark_ec::short_weierstrass::{Affine, Projective};
use ark_ff::BigInt;
use proofmark_lanes::Engine;
use rayon::prelude::*;

use crate::curve::Curve;
use crate::doubling::Double;
use crate::error::MsmError;
use crate::identities::Identities;
use crate::points::Points;
use crate::shape::{Load, Shape, TableBudget};
use crate::sum::msm_sum;

/// Bases whose multiples are computed side by side.
const BLOCK: usize = 512;
/// Table points at most: an index leaves a bit for the sign.
pub(crate) const MOST_POINTS: usize = 1 << 31;

/// The bases of a multiplication, in G1 (`ark_bn254::g1::Config`) or G2 (`ark_bn254::g2::Config`),
/// with some of their multiples.
///
/// Cloning shares the memory. The memory is [`FixedBases::bytes`]; a multiplication takes a few
/// hundred KiB more for each thread of rayon's pool that takes part (buckets: `2^(window − 1)` and at
/// most 2,048 more, 64 bytes each in G1, 128 in G2, and as much again while they are reduced).
pub struct FixedBases<C: Curve> {
    pub(crate) engine: Engine<Fq>,
    pub(crate) shape: Shape,
    pub(crate) bases: usize,
    /// The bases, so that small scalars stream through memory; then for each base its multiples by
    /// `2^(window · stride · a)` for `a` from 1 to `levels − 1`.
    pub(crate) points: Points<C>,
    pub(crate) identities: Arc<Identities>,
}

/// Not derived, which would ask it of `C` too.
impl<C: Curve> Clone for FixedBases<C> {
    fn clone(&self) -> Self {
        Self {
            engine: self.engine,
            shape: self.shape,
            bases: self.bases,
            points: self.points.clone(),
            identities: Arc::clone(&self.identities),
        }
    }
}

impl<C: Curve> std::fmt::Debug for FixedBases<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FixedBases")
            .field("group", &C::NAME)
            .field("bases", &self.bases)
            .field("shape", &self.shape)
            .field("engine", &self.engine.name())
            .finish_non_exhaustive()
    }
}

impl<C: Curve> FixedBases<C> {
    /// Bases with the multiples that make a multiplication with `load.dense` full-length scalars
    /// fastest within a budget.
    ///
    /// # Errors
    /// [`MsmError::TooLarge`] above 2^31 table points; [`MsmError::NotOnCurve`] for points that are
    /// on no curve (not all such points are found).
    pub fn new(points: &[Affine<C>], dense: usize, budget: TableBudget) -> Result<Self, MsmError> {
        let load = Load {
            bases: points.len(),
            dense,
        };
        Self::with_shape(points, Shape::choose::<C>(load, budget))
    }

    /// Bases with the multiples of a given shape. Parts of [`msm_sum`](crate::msm_sum) share their
    /// buckets when their shapes are equal.
    ///
    /// # Errors
    /// As [`FixedBases::new`].
    pub fn with_shape(points: &[Affine<C>], shape: Shape) -> Result<Self, MsmError> {
        Self::with_engine(points, shape, Engine::detect())
    }

    /// Bases with the multiples of a given shape, for a given implementation of the field.
    ///
    /// # Errors
    /// As [`FixedBases::new`].
    pub fn with_engine(
        points: &[Affine<C>],
        shape: Shape,
        engine: Engine<Fq>,
    ) -> Result<Self, MsmError> {
        let levels = shape.levels() as usize;
        let count = points.len().saturating_mul(levels);
        if count > MOST_POINTS {
            return Err(MsmError::TooLarge { points: count });
        }
        let mut table = vec![C::IDENTITY; count];
        let (bases, multiples) = table.split_at_mut(points.len());
        // Without multiples the second half is empty, and has no chunks to go with the blocks.
        let mut chunks = multiples.chunks_mut(BLOCK * (levels - 1).max(1));
        let blocks = bases
            .chunks_mut(BLOCK)
            .map(|bases| (bases, chunks.next().unwrap_or_default()))
            .collect::<Vec<_>>();
        blocks
            .into_par_iter()
            .zip(points.par_chunks(BLOCK))
            .try_for_each(|((bases, multiples), points)| {
                fill::<C>(engine, shape, points, bases, multiples)
            })?;
        Ok(Self {
            engine,
            shape,
            bases: points.len(),
            points: Points::owned(table),
            identities: Arc::new(Identities::new(points.iter().map(AffineRepr::is_zero))),
        })
    }

    /// `Σ scalars[i] · bases[i]`. The scalars are integers below the group's order.
    ///
    /// Time depends on the scalars: on how many are not 0, and how long they are.
    ///
    /// # Errors
    /// [`MsmError::Length`] unless there is one scalar a base, [`MsmError::ScalarRange`] for a scalar
    /// that is not below the order.
    pub fn msm(&self, scalars: &[BigInt<4>]) -> Result<Projective<C>, MsmError> {
        msm_sum(&[(self, scalars)])
    }

    /// Number of bases.
    pub fn len(&self) -> usize {
        self.bases
    }

    /// Whether there is no base.
    pub fn is_empty(&self) -> bool {
        self.bases == 0
    }

    /// The windows, and which multiples are kept.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Memory of the bases and their multiples; of a mapped file, its pages are the system's and
    /// shared.
    pub fn bytes(&self) -> usize {
        size_of_val(self.points.as_slice())
    }

    /// Base `index`, or `None` past the last one.
    pub fn base(&self, index: usize) -> Option<Affine<C>> {
        let bases = &self.points.as_slice()[..self.bases];
        Some(C::unpack(self.engine, bases.get(index)?))
    }
}

/// Writes the multiples of some bases.
fn fill<C: Curve>(
    engine: Engine<Fq>,
    shape: Shape,
    points: &[Affine<C>],
    bases: &mut [C::Point],
    multiples: &mut [C::Point],
) -> Result<(), MsmError> {
    let above = shape.levels() as usize - 1;
    // A point in the place of identities, and at the end for whole vectors of any width.
    let filler = C::pack(engine, &Affine::generator());
    let mut current = vec![filler; points.len().next_multiple_of(64)];
    for (current, point) in current.iter_mut().zip(points) {
        if !point.is_zero() {
            *current = C::pack(engine, point);
        }
    }
    let present = || {
        let points = points.iter().enumerate();
        points
            .filter(|(_, point)| !point.is_zero())
            .map(|(index, _)| index)
    };
    for index in present() {
        bases[index] = current[index];
    }
    for level in 0..above {
        let done = engine.run(Double::<C> {
            points: &mut current,
            times: shape.window() * shape.stride(),
        });
        if !done {
            return Err(MsmError::NotOnCurve);
        }
        for index in present() {
            multiples[index * above + level] = current[index];
        }
    }
    Ok(())
}
