//! From rank-1 constraints to polynomials, in the shape that snarkjs's keys have.
//!
//! Let `n` be the power of two at or above `constraints + public inputs + 1`, and `ω` a primitive
//! `2n`-th root of unity. Constraint `i` lives at the point `ω^{2i}`. Row `constraints + i`
//! carries wire `i` in A alone, for the constant and each public input, so that their columns of A
//! are linearly independent of the rest. With `a`, `b`, `c` the polynomials of degree below `n`
//! through `A·z`, `B·z`, `C·z`, the polynomial `p = a·b − c` has degree below `2n` and vanishes at
//! all even powers of `ω` exactly when `z` satisfies the constraints. Therefore
//! `p(τ) = Σ_j p(ω^{2j+1}) · L_{2j+1}(τ)` with the Lagrange polynomials `L` of the doubled domain:
//! the prover sends p's values at the odd powers into an h query of `L_{2j+1}(τ)/δ`, and no
//! quotient by the vanishing polynomial is ever computed.
//!
//! snarkjs takes `c = a∘b` on the even points, which hides an unsatisfied witness. Here `c` comes
//! from the matrix, and `a∘b = c` is checked on every row before anything else.

use ark_ff::PrimeField;
use ark_groth16::r1cs_to_qap::R1CSToQAP;
use ark_poly::EvaluationDomain;
use ark_relations::gr1cs::{
    ConstraintSystemRef, Matrix, R1CS_PREDICATE_LABEL, Result as SynthesisResult, SynthesisError,
};
use rayon::prelude::*;
use zeroize::Zeroizing;

/// Rows of the largest domain: the doubled one must fit the scalar field's 2^28-th roots of unity.
pub(crate) const MAX_ROWS: usize = 1 << 27;

/// Size of the domain for a circuit: the power of two at or above
/// `num_constraints + num_public + 1`. `None` above 2^27.
pub fn domain_size(num_constraints: usize, num_public: usize) -> Option<usize> {
    let rows = num_constraints.checked_add(num_public)?.checked_add(1)?;
    if rows > MAX_ROWS {
        return None;
    }
    rows.checked_next_power_of_two()
}

/// Replaces `a` by the values of `p = a·b − c` at the odd powers of `ω`, given the values of the
/// three at the even ones. All three have the domain's size; `b` and `c` are left with scratch.
pub(crate) fn odd_values<F: PrimeField, D: EvaluationDomain<F>>(
    a: &mut Vec<F>,
    b: &mut Vec<F>,
    c: &mut Vec<F>,
) -> Option<()> {
    let size = a.len();
    if b.len() != size || c.len() != size {
        return None;
    }
    let domain = D::new(size).filter(|d| d.size() == size)?;
    let odd = domain.get_coset(F::get_root_of_unity(size as u64 * 2)?)?;
    let to_odd = |values: &mut Vec<F>| {
        domain.ifft_in_place(values);
        odd.fft_in_place(values);
    };
    rayon::join(|| to_odd(a), || rayon::join(|| to_odd(b), || to_odd(c)));
    a.par_iter_mut()
        .zip(b.par_iter())
        .zip(c.par_iter())
        .for_each(|((a, b), c)| {
            *a *= b;
            *a -= c;
        });
    Some(())
}

/// Inverts all of `values` and multiplies each by `factor`; `None` when one of them is zero.
/// The scratch is wiped.
fn invert_all<F: PrimeField>(values: &mut [F], factor: F) -> Option<()> {
    let mut products = Zeroizing::new(Vec::with_capacity(values.len()));
    let mut product = F::one();
    for value in values.iter() {
        products.push(product);
        product *= value;
    }
    let mut suffix = product.inverse()? * factor;
    for (value, before) in values.iter_mut().zip(products.iter()).rev() {
        let inverse = suffix * before;
        suffix *= *value;
        *value = inverse;
    }
    product.zeroize();
    suffix.zeroize();
    Some(())
}

/// `factor · L_j(τ)` for the `count` points `first · step^j` of the subgroup of order `order`,
/// where `L_j(τ) = x_j (τ^order − 1) / (order · (τ − x_j))`. `None` when τ is in the subgroup.
fn lagrange_at<F: PrimeField>(
    tau: F,
    order: usize,
    first: F,
    step: F,
    count: usize,
    factor: F,
) -> Option<Zeroizing<Vec<F>>> {
    let mut vanishing = tau.pow([order as u64]) - F::one();
    if vanishing.is_zero() {
        return None;
    }
    let mut points = Vec::with_capacity(count);
    let mut point = first;
    for _ in 0..count {
        points.push(point);
        point *= step;
    }
    let mut values = Zeroizing::new(Vec::with_capacity(count));
    values.extend(points.iter().map(|x| tau - x));
    let order = F::from(order as u64).inverse()?;
    invert_all(&mut values, vanishing * order * factor)?;
    vanishing.zeroize();
    for (value, point) in values.iter_mut().zip(&points) {
        *value *= point;
    }
    Some(values)
}

/// `L_i(τ)` on the domain of `size` points: what row `i` weighs. `None` when τ is in the domain.
pub(crate) fn row_weights<F: PrimeField>(tau: F, size: usize) -> Option<Zeroizing<Vec<F>>> {
    let root = F::get_root_of_unity(size as u64)?;
    lagrange_at(tau, size, F::one(), root, size, F::one())
}

/// `factor · L_{2j+1}(τ)` on the doubled domain of `2·size` points, for `j < size`: the h query's
/// scalars with `factor = 1/δ`. `None` when τ is in the doubled domain.
pub(crate) fn odd_weights<F: PrimeField>(
    tau: F,
    size: usize,
    factor: F,
) -> Option<Zeroizing<Vec<F>>> {
    let doubled = size.checked_mul(2)?;
    let first = F::get_root_of_unity(doubled as u64)?;
    let step = F::get_root_of_unity(size as u64)?;
    lagrange_at(tau, doubled, first, step, size, factor)
}

/// This reduction for stock `ark-groth16`, so that its generator and prover work with keys of
/// ours: `Groth16::<Bn254, SnarkjsReduction>`.
///
/// Unlike the reduction of `ark-circom` it takes `c` from the matrix and refuses an assignment
/// that violates a constraint with [`SynthesisError::Unsatisfiable`].
#[derive(Debug, Clone, Copy, Default)]
pub struct SnarkjsReduction;

impl R1CSToQAP for SnarkjsReduction {
    fn instance_map_with_evaluation<F: PrimeField, D: EvaluationDomain<F>>(
        cs: ConstraintSystemRef<F>,
        t: &F,
    ) -> SynthesisResult<(Vec<F>, Vec<F>, Vec<F>, F, usize, usize)> {
        let matrices = cs.to_matrices()?;
        let [a, b, c] = matrices
            .get(R1CS_PREDICATE_LABEL)
            .map(Vec::as_slice)
            .ok_or(SynthesisError::MissingCS)?
        else {
            return Err(SynthesisError::MissingCS);
        };
        let inputs = cs.num_instance_variables();
        let wires = inputs + cs.num_witness_variables();
        let constraints = cs.num_constraints();
        let size =
            domain_size(constraints, inputs - 1).ok_or(SynthesisError::PolynomialDegreeTooLarge)?;
        let weights = row_weights(*t, size).ok_or(SynthesisError::DivisionByZero)?;
        let column_sums = |matrix: &Matrix<F>| {
            let mut columns = vec![F::zero(); wires];
            for (row, weight) in matrix.iter().zip(weights.iter()) {
                for (coefficient, wire) in row {
                    columns[*wire] += *weight * coefficient;
                }
            }
            columns
        };
        let mut a = column_sums(a);
        for (column, weight) in a.iter_mut().zip(&weights[constraints..]).take(inputs) {
            *column += weight;
        }
        let vanishing = t.pow([size as u64]) - F::one();
        Ok((
            a,
            column_sums(b),
            column_sums(c),
            vanishing,
            wires - 1,
            size,
        ))
    }

    fn witness_map_from_matrices<F: PrimeField, D: EvaluationDomain<F>>(
        matrices: &[Matrix<F>],
        num_inputs: usize,
        num_constraints: usize,
        full_assignment: &[F],
    ) -> SynthesisResult<Vec<F>> {
        let [a, b, c] = matrices else {
            return Err(SynthesisError::MissingCS);
        };
        if num_inputs == 0 || full_assignment.len() < num_inputs {
            return Err(SynthesisError::AssignmentMissing);
        }
        let size = domain_size(num_constraints, num_inputs - 1)
            .ok_or(SynthesisError::PolynomialDegreeTooLarge)?;
        let times = |matrix: &Matrix<F>| -> SynthesisResult<Vec<F>> {
            let mut product = vec![F::zero(); size];
            for (value, row) in product.iter_mut().zip(matrix.iter().take(num_constraints)) {
                for (coefficient, wire) in row {
                    let z = full_assignment
                        .get(*wire)
                        .ok_or(SynthesisError::AssignmentMissing)?;
                    *value += *z * coefficient;
                }
            }
            Ok(product)
        };
        let (mut a, mut b, mut c) = (times(a)?, times(b)?, times(c)?);
        if a.iter().zip(&b).zip(&c).any(|((a, b), c)| *a * b != *c) {
            return Err(SynthesisError::Unsatisfiable);
        }
        a[num_constraints..num_constraints + num_inputs]
            .copy_from_slice(&full_assignment[..num_inputs]);
        odd_values::<F, D>(&mut a, &mut b, &mut c)
            .ok_or(SynthesisError::PolynomialDegreeTooLarge)?;
        Ok(a)
    }

    fn h_query_scalars<F: PrimeField, D: EvaluationDomain<F>>(
        max_power: usize,
        t: F,
        _: F,
        delta_inverse: F,
    ) -> SynthesisResult<Vec<F>> {
        odd_weights(t, max_power + 1, delta_inverse)
            .map(|weights| weights.to_vec())
            .ok_or(SynthesisError::DivisionByZero)
    }
}
