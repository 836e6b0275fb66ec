//! From rank-1 constraints to polynomials.
//!
//! Let `n` be the domain's size, at least the number of rows, and `ω` a primitive `2n`-th root of
//! unity. Constraint `i` lives at the point `ω^{2i}`. Row `constraints + i` carries the `i`-th
//! wire that the verifier knows (the constant, the public inputs, the challenge) in A alone, so
//! that their columns of A are linearly independent of the rest. With `a`, `b`, `c` the polynomials
//! of degree below `n` through `A·z`, `B·z`, `C·z`, the polynomial `p = a·b − c` has degree below
//! `2n` and vanishes at all even powers of `ω` exactly when `z` satisfies the constraints.
//! Therefore `p(τ) = Σ_j p(ω^{2j+1}) · L_{2j+1}(τ)` with the Lagrange polynomials `L` of the
//! doubled domain: the prover sends p's values at the odd powers into an h query of
//! `L_{2j+1}(τ)/δ`, and no quotient by the vanishing polynomial is ever computed.
//!
//! That is the shape of snarkjs's keys ([`QuotientForm::Standard`]). It takes six transforms of
//! size `n`. Two of them are for the values of `c` at the odd powers, and any polynomials `C'_i`
//! of degree below `2n` that agree with the columns `C_i` at the even powers serve as well. With
//! `C'_i = C_i·(1 + X^n)/2` ([`QuotientForm::Folded`]) `c'` is `c` at the even powers and 0 at the
//! odd ones, since `ω^n = −1`: there `p` is `a·b` alone, and four transforms suffice. The verifier
//! sees no difference. Keys that other programs make and read have the standard form.
//!
//! snarkjs takes `c = a∘b` on the even points, which hides an unsatisfied witness. Here `c` comes
//! from the matrix, and `a∘b = c` is checked on every row before anything else, in both forms.

use ark_bn254::Fr;
use ark_ff::FftField;
use proofmark_fft::{Domain, DomainKind, Transform};
use rayon::prelude::*;
use zeroize::{Zeroize, Zeroizing};

/// How a key accounts for the matrix C. See the [module](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuotientForm {
    /// As in snarkjs's keys: columns of C as they are, a domain of a power of two, six transforms
    /// a proof.
    Standard,
    /// Columns of C times `(1 + X^n)/2`, a domain of 2^k, 3·2^k or 9·2^k, four transforms a proof.
    Folded,
}

impl QuotientForm {
    /// Stable kebab-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Folded => "folded",
        }
    }

    /// What a column of C, evaluated at τ, is multiplied by.
    pub(crate) fn column_factor<F: FftField>(self, tau: F, size: usize) -> F {
        match self {
            Self::Standard => F::one(),
            Self::Folded => (tau.pow([size as u64]) + F::one()) / F::from(2_u64),
        }
    }
}

/// The smallest domain of at least `rows` rows (constraints, constant, public inputs and challenge
/// together) that the form allows. `None` above 2^27.
pub(crate) fn domain(rows: usize, form: QuotientForm) -> Option<Domain> {
    let kind = match form {
        QuotientForm::Standard => DomainKind::PowerOfTwo,
        QuotientForm::Folded => DomainKind::Any,
    };
    Domain::smallest(rows, kind)
}

/// Size of the smallest domain of at least `rows` rows (constraints, constant, public inputs and
/// challenge together) that the form allows. `None` above 2^27.
pub fn domain_size(rows: usize, form: QuotientForm) -> Option<usize> {
    domain(rows, form).map(|domain| domain.size())
}

/// Whether a domain of this size belongs to the form.
pub(crate) fn is_domain_size(size: usize, form: QuotientForm) -> bool {
    size > 0 && domain_size(size, form) == Some(size)
}

/// The values of `p` at the odd powers of `ω`, given those of `a`, `b` and (for
/// [`QuotientForm::Standard`]) `c` at the even ones. `None` when they do not have the domain's
/// size.
pub(crate) fn odd_values(
    transform: &Transform,
    mut a: Zeroizing<Vec<Fr>>,
    mut b: Zeroizing<Vec<Fr>>,
    mut c: Option<Zeroizing<Vec<Fr>>>,
) -> Option<Zeroizing<Vec<Fr>>> {
    let size = transform.domain().size();
    if [&a, &b].into_iter().chain(&c).any(|v| v.len() != size) {
        return None;
    }
    rayon::join(
        || transform.even_to_odd(&mut a),
        || transform.even_to_odd(&mut b),
    );
    a.par_iter_mut()
        .zip(b.par_iter())
        .for_each(|(a, b)| *a *= b);
    if let Some(c) = &mut c {
        transform.even_to_odd(c);
        a.par_iter_mut()
            .zip(c.par_iter())
            .for_each(|(a, c)| *a -= c);
    }
    Some(a)
}

/// Inverts all of `values` and multiplies each by `factor`; `None` when one of them is zero.
/// The scratch is wiped.
fn invert_all<F: FftField + Zeroize>(values: &mut [F], factor: F) -> Option<()> {
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
fn lagrange_at<F: FftField + Zeroize>(
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
pub fn row_weights<F: FftField + Zeroize>(tau: F, size: usize) -> Option<Zeroizing<Vec<F>>> {
    let root = F::get_root_of_unity(size as u64)?;
    lagrange_at(tau, size, F::one(), root, size, F::one())
}

/// `factor · L_{2j+1}(τ)` on the doubled domain of `2·size` points, for `j < size`: the h query's
/// scalars with `factor = 1/δ`. `None` when τ is in the doubled domain.
pub(crate) fn odd_weights<F: FftField + Zeroize>(
    tau: F,
    size: usize,
    factor: F,
) -> Option<Zeroizing<Vec<F>>> {
    let doubled = size.checked_mul(2)?;
    let first = F::get_root_of_unity(doubled as u64)?;
    let step = F::get_root_of_unity(size as u64)?;
    lagrange_at(tau, doubled, first, step, size, factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Seeded;
    use ark_ff::{AdditiveGroup, Field};

    #[test]
    fn domains_are_the_smallest_of_their_form() {
        for rows in 1..3000_usize {
            let allowed = |form| {
                (rows..=2 * rows)
                    .find(|size| is_domain_size(*size, form))
                    .unwrap()
            };
            assert_eq!(
                domain_size(rows, QuotientForm::Standard),
                Some(rows.next_power_of_two())
            );
            let folded = allowed(QuotientForm::Folded);
            assert_eq!(domain_size(rows, QuotientForm::Folded), Some(folded));
            let odd = folded >> folded.trailing_zeros();
            assert!([1, 3, 9].contains(&odd), "{folded}");
            // Twice the size is the order of a root of unity.
            assert!(Fr::get_root_of_unity(2 * folded as u64).is_some());
        }
        for form in [QuotientForm::Standard, QuotientForm::Folded] {
            assert_eq!(domain_size(1 << 27, form), Some(1 << 27));
            assert_eq!(domain_size((1 << 27) + 1, form), None);
            assert_eq!(domain_size(usize::MAX, form), None);
            assert!(!is_domain_size(0, form));
        }
        assert!(!is_domain_size(48, QuotientForm::Standard));
        assert!(!is_domain_size(27, QuotientForm::Folded));
    }

    /// The definition: interpolate at the even powers, evaluate `a·b − c·(1 + X^n)/2` (or − c) at
    /// the odd ones.
    #[test]
    fn both_forms_are_what_they_are_defined_to_be() {
        let mut random = Seeded::new(5);
        for size in [1_usize, 2, 3, 8, 9, 12, 18, 72] {
            let root = Fr::get_root_of_unity(2 * size as u64).unwrap();
            let points: Vec<Fr> = (0..2 * size as u64).map(|j| root.pow([j])).collect();
            let even: Vec<Fr> = points.iter().copied().step_by(2).collect();
            let vectors: [Vec<Fr>; 3] =
                std::array::from_fn(|_| (0..size).map(|_| random.scalar()).collect());
            let at = |values: &[Fr], x: Fr| -> Fr {
                let mut sum = Fr::ZERO;
                for (i, value) in values.iter().enumerate() {
                    let mut basis = Fr::ONE;
                    for (j, point) in even.iter().enumerate() {
                        if i != j {
                            basis *= (x - point) / (even[i] - point);
                        }
                    }
                    sum += basis * value;
                }
                sum
            };
            let [a, b, c] = vectors.clone().map(Zeroizing::new);
            let transform = Transform::new(domain(size, QuotientForm::Folded).unwrap());
            assert_eq!(transform.domain().size(), size);
            for form in [QuotientForm::Standard, QuotientForm::Folded] {
                let third = (form == QuotientForm::Standard).then(|| c.clone());
                let got = odd_values(&transform, a.clone(), b.clone(), third).unwrap();
                for (j, got) in got.iter().enumerate() {
                    let x = points[2 * j + 1];
                    let folded = at(&c, x) * form.column_factor(x, size);
                    assert_eq!(*got, at(&a, x) * at(&b, x) - folded);
                }
                // The folded column agrees at the rows.
                assert!(even.iter().all(|x| form.column_factor(*x, size) == Fr::ONE));
            }
            let short = Zeroizing::new(c[1..].to_vec());
            assert!(odd_values(&transform, a.clone(), short.clone(), None).is_none());
            assert!(odd_values(&transform, a.clone(), b.clone(), Some(short)).is_none());
        }
    }

    #[test]
    fn weights_are_lagrange_polynomials() {
        let tau = Seeded::new(6).scalar();
        for size in [1_usize, 4, 9, 24] {
            let values = Seeded::new(size as u64).scalar();
            let rows = row_weights(tau, size).unwrap();
            let odd = odd_weights(tau, size, values).unwrap();
            let root = Fr::get_root_of_unity(2 * size as u64).unwrap();
            // X^d for d below n interpolates on the rows; below 2n on all points, and the even
            // ones weigh L_{2j}(τ) = L_j(τ)·(τ^n + 1)/2.
            let half = QuotientForm::Folded.column_factor(tau, size);
            for degree in 0..2 * size as u64 {
                let power = |j: u64| root.pow([j * degree]);
                let even: Fr = (0_u64..)
                    .zip(rows.iter())
                    .map(|(j, w)| power(2 * j) * w)
                    .sum();
                let rest: Fr = (0_u64..)
                    .zip(odd.iter())
                    .map(|(j, w)| power(2 * j + 1) * w)
                    .sum();
                if degree < size as u64 {
                    assert_eq!(even, tau.pow([degree]));
                }
                assert_eq!(even * half * values + rest, tau.pow([degree]) * values);
            }
        }
        for bad in [Fr::ONE, Fr::get_root_of_unity(24).unwrap()] {
            assert!(odd_weights(bad, 12, Fr::ONE).is_none());
        }
        assert!(row_weights(Fr::get_root_of_unity(12).unwrap(), 12).is_none());
    }
}
