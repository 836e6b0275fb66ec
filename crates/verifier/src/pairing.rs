//! Miller loops over BN254 with lines in the normal form `1 + l·w + m·w³`.
//!
//! The optimal ate pairing multiplies, for each step of its loop, the line through two multiples
//! of Q, evaluated at P. With the slope λ and a point (x, y) of the line, that is
//! `y_P − λ·x_P·w + (λ·x − y)·w³`, and division by `y_P`, which the final exponentiation takes away,
//! leaves a leading 1: ten products in Fp2 a line instead of thirteen. The coefficients `−λ` and
//! `λ·x − y` depend on Q alone: they are kept for the points of a key, and those of many proofs are
//! computed side by side, so that they share the inversions.
//!
//! All points of G2 here are in the subgroup of order r and not the identity. There the loop never
//! meets a vertical line or a doubling in disguise: the multiples that it adds differ from ±Q.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "field arithmetic cannot overflow"
)]

use ark_bn254::{Bn254, Config, Fq, Fq2, Fq12, Fq12Config, G1Affine, G2Affine};
use ark_ec::AffineRepr as _;
use ark_ec::bn::BnConfig;
use ark_ec::pairing::{MillerLoopOutput, Pairing, PairingOutput};
use ark_ff::fields::fp12_2over3over2::Fp12Config;
use ark_ff::{AdditiveGroup as _, Field as _, One as _, serial_batch_inversion_and_mul};

/// The pair (−λ, λ·x − y) of a line.
type Line = (Fq2, Fq2);

/// The lines of one point of G2, in the order in which the loop multiplies them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lines(Vec<Line>);

/// Digits of the loop count, most significant first, without the leading one.
fn digits() -> impl Iterator<Item = i8> {
    Config::ATE_LOOP_COUNT.iter().rev().skip(1).copied()
}

/// Inverts every element; zeros stay.
fn invert_all<F: ark_ff::Field>(values: &mut [F]) {
    serial_batch_inversion_and_mul(values, &F::ONE);
}

impl Lines {
    /// The lines of one point.
    pub(crate) fn of(point: &G2Affine) -> Self {
        let prepared = <Bn254 as Pairing>::G2Prepared::from(*point);
        let mut inverses: Vec<Fq2> = prepared.ell_coeffs.iter().map(|line| line.0).collect();
        invert_all(&mut inverses);
        let lines = prepared.ell_coeffs.iter().zip(&inverses);
        Self(
            lines
                .map(|(l, inverse)| (l.1 * inverse, l.2 * inverse))
                .collect(),
        )
    }

    /// The lines of several points, which share each step's inversion.
    pub(crate) fn of_many(points: &[G2Affine]) -> Vec<Self> {
        let mut walks: Vec<Walk> = points.iter().map(Walk::new).collect();
        let mut scratch = Vec::with_capacity(points.len());
        for digit in digits() {
            double_all(&mut walks, &mut scratch);
            match digit {
                1 => add_all(&mut walks, &mut scratch, |walk| walk.start),
                -1 => add_all(&mut walks, &mut scratch, |walk| {
                    (walk.start.0, -walk.start.1)
                }),
                _ => {}
            }
        }
        add_all(&mut walks, &mut scratch, |walk| frobenius(walk.start));
        add_all(&mut walks, &mut scratch, |walk| {
            let (x, y) = frobenius(frobenius(walk.start));
            (x, -y)
        });
        walks.into_iter().map(|walk| Self(walk.lines)).collect()
    }
}

/// A point on its way through the loop.
struct Walk {
    start: (Fq2, Fq2),
    at: (Fq2, Fq2),
    lines: Vec<Line>,
}

impl Walk {
    fn new(point: &G2Affine) -> Self {
        let start = point.xy().unwrap_or_default();
        Self {
            start,
            at: start,
            // A line each for doublings, additions and the two last steps.
            lines: Vec::with_capacity(digits().map(|d| 1 + usize::from(d != 0)).sum::<usize>() + 2),
        }
    }

    /// Goes on along the line of this slope to the sum with the point of this abscissa.
    fn step(&mut self, slope: Fq2, other_x: Fq2) {
        let (x, y) = self.at;
        self.lines.push((-slope, slope * x - y));
        let sum = slope.square() - x - other_x;
        self.at = (sum, slope * (x - sum) - y);
    }
}

fn double_all(walks: &mut [Walk], scratch: &mut Vec<Fq2>) {
    scratch.clear();
    scratch.extend(walks.iter().map(|walk| walk.at.1.double()));
    invert_all(scratch);
    for (walk, inverse) in walks.iter_mut().zip(scratch) {
        let square = walk.at.0.square();
        walk.step((square.double() + square) * *inverse, walk.at.0);
    }
}

fn add_all(walks: &mut [Walk], scratch: &mut Vec<Fq2>, other: impl Fn(&Walk) -> (Fq2, Fq2)) {
    scratch.clear();
    scratch.extend(walks.iter().map(|walk| walk.at.0 - other(walk).0));
    invert_all(scratch);
    for (walk, inverse) in walks.iter_mut().zip(scratch) {
        let (x, y) = other(walk);
        walk.step((walk.at.1 - y) * *inverse, x);
    }
}

/// ψ, the Frobenius of the curve carried over to its twist: multiplication by p on the subgroup.
pub(crate) fn frobenius((mut x, mut y): (Fq2, Fq2)) -> (Fq2, Fq2) {
    x.frobenius_map_in_place(1);
    y.frobenius_map_in_place(1);
    (x * Config::TWIST_MUL_BY_Q_X, y * Config::TWIST_MUL_BY_Q_Y)
}

/// A point of G1 as its lines need it, (x/y, 1/y), and the lines that are still to come.
struct Pair<'a> {
    x_over_y: Fq,
    y_inverse: Fq,
    lines: core::slice::Iter<'a, Line>,
}

/// The product of the Miller loops of all pairs, up to factors that the final exponentiation takes
/// away. A pair with the identity of G1 counts as 1.
pub(crate) fn miller_loops<'a>(pairs: impl IntoIterator<Item = (G1Affine, &'a Lines)>) -> Fq12 {
    let finite = pairs
        .into_iter()
        .filter_map(|(point, lines)| point.xy().map(|xy| (xy, lines)));
    let (points, lines): (Vec<(Fq, Fq)>, Vec<&Lines>) = finite.unzip();
    let mut inverses: Vec<Fq> = points.iter().map(|(_, y)| *y).collect();
    invert_all(&mut inverses);
    let mut pairs: Vec<Pair<'_>> = points
        .iter()
        .zip(inverses)
        .zip(lines)
        .map(|(((x, _), y_inverse), lines)| Pair {
            x_over_y: *x * y_inverse,
            y_inverse,
            lines: lines.0.iter(),
        })
        .collect();
    let mut product = Fq12::one();
    for (index, digit) in digits().enumerate() {
        if index > 0 {
            product.square_in_place();
        }
        multiply(&mut product, &mut pairs);
        if digit != 0 {
            multiply(&mut product, &mut pairs);
        }
    }
    multiply(&mut product, &mut pairs);
    multiply(&mut product, &mut pairs);
    product
}

/// Multiplies `product` by the next line of each pair.
fn multiply(product: &mut Fq12, pairs: &mut [Pair<'_>]) {
    for pair in pairs {
        let Some((l, m)) = pair.lines.next() else {
            continue;
        };
        let (mut l, mut m) = (*l, *m);
        l.mul_assign_by_fp(&pair.x_over_y);
        m.mul_assign_by_fp(&pair.y_inverse);
        // (f0 + f1·w)·(1 + b·w) = (f0 + v·f1·b) + (f1 + f0·b)·w, with b = l + m·v.
        let (mut low, mut high) = (product.c1, product.c0);
        low.mul_by_01(&l, &m);
        Fq12Config::mul_fp6_by_nonresidue_in_place(&mut low);
        high.mul_by_01(&l, &m);
        product.c0 += low;
        product.c1 += high;
    }
}

/// The final exponentiation; `None` for zero, which no product of lines is.
pub(crate) fn finish(product: &Fq12) -> Option<PairingOutput<Bn254>> {
    Bn254::final_exponentiation(MillerLoopOutput(*product))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::Fr;
    use ark_ec::CurveGroup as _;

    fn g1(n: u64) -> G1Affine {
        (G1Affine::generator() * Fr::from(n)).into_affine()
    }

    fn g2(n: i64) -> G2Affine {
        (G2Affine::generator() * Fr::from(n)).into_affine()
    }

    #[test]
    fn both_ways_to_lines_agree() {
        let points: Vec<G2Affine> = [1, 2, 3, -1, -2, 1 << 40, 12345].map(g2).to_vec();
        let many = Lines::of_many(&points);
        for (point, lines) in points.iter().zip(&many) {
            assert_eq!(*lines, Lines::of(point));
        }
        assert_eq!(Lines::of_many(&[]), []);
    }

    #[test]
    fn pairings_are_the_reference_implementations() {
        for count in 0..6_u64 {
            let left: Vec<G1Affine> = (0..count).map(|k| g1(3 + k * k)).collect();
            let right: Vec<G2Affine> = (5..).take(left.len()).map(g2).collect();
            let lines = Lines::of_many(&right);
            let ours = finish(&miller_loops(left.iter().copied().zip(&lines))).unwrap();
            assert_eq!(ours, Bn254::multi_pairing(&left, &right));
        }
        let lines = Lines::of(&g2(7));
        let with_identity = [(g1(5), &lines), (G1Affine::identity(), &lines)];
        let ours = finish(&miller_loops(with_identity)).unwrap();
        assert_eq!(ours, Bn254::pairing(g1(5), g2(7)));
        assert_eq!(ours, Bn254::pairing(g1(35), g2(1)));
        assert_ne!(ours, Bn254::pairing(g1(36), g2(1)));
    }
}
