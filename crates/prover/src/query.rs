//! The points of a key's query, prepared for many multiplications.

use ark_bn254::Fr;
use ark_ec::{AffineRepr, VariableBaseMSM};
use ark_ff::BigInt;
use rayon::prelude::*;
use zeroize::Zeroizing;

/// The points of a query that are not the identity, and the wires they belong to.
#[derive(Debug)]
pub(crate) struct Query<G> {
    wires: Vec<usize>,
    points: Vec<G>,
}

impl<G: AffineRepr<ScalarField = Fr>> Query<G>
where
    G::Group: VariableBaseMSM<MulBase = G>,
{
    /// The points of the wires from `first_wire` on.
    pub(crate) fn new(points: Vec<G>, first_wire: usize) -> Self {
        let (wires, points) = (first_wire..)
            .zip(points)
            .filter(|(_, point)| !point.is_zero())
            .unzip();
        Self { wires, points }
    }

    /// `Σ z_i · P_i` over the query's wires.
    pub(crate) fn times(&self, assignment: &[BigInt<4>]) -> G::Group {
        let scalars = Zeroizing::new(
            self.wires
                .par_iter()
                .map(|&wire| assignment[wire])
                .collect::<Vec<_>>(),
        );
        G::Group::msm_bigint(&self.points, &scalars)
    }
}
