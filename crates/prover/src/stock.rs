//! Our two reductions for stock `ark-groth16`, so that its generator and prover work with keys of
//! ours: `Groth16::<Bn254, SnarkjsReduction>` and `Groth16::<Bn254, FoldedReduction>`.
//!
//! Unlike the reduction of `ark-circom` they take `c` from the matrix and refuse an assignment
//! that violates a constraint with [`SynthesisError::Unsatisfiable`].

use ark_ff::PrimeField;
use ark_groth16::r1cs_to_qap::R1CSToQAP;
use ark_poly::{EvaluationDomain, MixedRadixEvaluationDomain};
use ark_relations::gr1cs::{
    ConstraintSystemRef, Matrix, R1CS_PREDICATE_LABEL, Result as SynthesisResult, SynthesisError,
};

use crate::qap::{QuotientForm, domain_size, odd_weights, row_weights};

/// The reduction of [`QuotientForm::Standard`].
#[derive(Debug, Clone, Copy, Default)]
pub struct SnarkjsReduction;

/// The reduction of [`QuotientForm::Folded`].
#[derive(Debug, Clone, Copy, Default)]
pub struct FoldedReduction;

/// Columns at τ: A, B, C, the vanishing polynomial, the number of wires but the constant, the size
/// of the domain.
type Instance<F> = (Vec<F>, Vec<F>, Vec<F>, F, usize, usize);

fn instance<F: PrimeField>(
    cs: &ConstraintSystemRef<F>,
    t: &F,
    form: QuotientForm,
) -> SynthesisResult<Instance<F>> {
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
        domain_size(constraints + inputs, form).ok_or(SynthesisError::PolynomialDegreeTooLarge)?;
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
    let mut c = column_sums(c);
    let factor = form.column_factor(*t, size);
    for column in &mut c {
        *column *= factor;
    }
    let vanishing = t.pow([size as u64]) - F::one();
    Ok((a, column_sums(b), c, vanishing, wires - 1, size))
}

fn witness<F: PrimeField>(
    matrices: &[Matrix<F>],
    num_inputs: usize,
    num_constraints: usize,
    full_assignment: &[F],
    form: QuotientForm,
) -> SynthesisResult<Vec<F>> {
    let [a, b, c] = matrices else {
        return Err(SynthesisError::MissingCS);
    };
    if num_inputs == 0 || full_assignment.len() < num_inputs {
        return Err(SynthesisError::AssignmentMissing);
    }
    let size = domain_size(num_constraints + num_inputs, form)
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

    let too_large = SynthesisError::PolynomialDegreeTooLarge;
    let domain = MixedRadixEvaluationDomain::<F>::new(size)
        .filter(|domain| domain.size() == size)
        .ok_or(too_large)?;
    let odd = F::get_root_of_unity(2 * size as u64)
        .and_then(|root| domain.get_coset(root))
        .ok_or(too_large)?;
    let to_odd = |values: &mut Vec<F>| {
        domain.ifft_in_place(values);
        odd.fft_in_place(values);
    };
    to_odd(&mut a);
    to_odd(&mut b);
    a.iter_mut().zip(&b).for_each(|(a, b)| *a *= b);
    if form == QuotientForm::Standard {
        to_odd(&mut c);
        a.iter_mut().zip(&c).for_each(|(a, c)| *a -= c);
    }
    Ok(a)
}

fn h_query<F: PrimeField>(max_power: usize, t: F, delta_inverse: F) -> SynthesisResult<Vec<F>> {
    odd_weights(t, max_power + 1, delta_inverse)
        .map(|weights| weights.to_vec())
        .ok_or(SynthesisError::DivisionByZero)
}

impl R1CSToQAP for SnarkjsReduction {
    fn instance_map_with_evaluation<F: PrimeField, D: EvaluationDomain<F>>(
        cs: ConstraintSystemRef<F>,
        t: &F,
    ) -> SynthesisResult<Instance<F>> {
        instance(&cs, t, QuotientForm::Standard)
    }

    fn witness_map_from_matrices<F: PrimeField, D: EvaluationDomain<F>>(
        matrices: &[Matrix<F>],
        num_inputs: usize,
        num_constraints: usize,
        full_assignment: &[F],
    ) -> SynthesisResult<Vec<F>> {
        witness(
            matrices,
            num_inputs,
            num_constraints,
            full_assignment,
            QuotientForm::Standard,
        )
    }

    fn h_query_scalars<F: PrimeField, D: EvaluationDomain<F>>(
        max_power: usize,
        t: F,
        _: F,
        delta_inverse: F,
    ) -> SynthesisResult<Vec<F>> {
        h_query(max_power, t, delta_inverse)
    }
}

impl R1CSToQAP for FoldedReduction {
    fn instance_map_with_evaluation<F: PrimeField, D: EvaluationDomain<F>>(
        cs: ConstraintSystemRef<F>,
        t: &F,
    ) -> SynthesisResult<Instance<F>> {
        instance(&cs, t, QuotientForm::Folded)
    }

    fn witness_map_from_matrices<F: PrimeField, D: EvaluationDomain<F>>(
        matrices: &[Matrix<F>],
        num_inputs: usize,
        num_constraints: usize,
        full_assignment: &[F],
    ) -> SynthesisResult<Vec<F>> {
        witness(
            matrices,
            num_inputs,
            num_constraints,
            full_assignment,
            QuotientForm::Folded,
        )
    }

    fn h_query_scalars<F: PrimeField, D: EvaluationDomain<F>>(
        max_power: usize,
        t: F,
        _: F,
        delta_inverse: F,
    ) -> SynthesisResult<Vec<F>> {
        h_query(max_power, t, delta_inverse)
    }
}
