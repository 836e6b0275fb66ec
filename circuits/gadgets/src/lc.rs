//! Wires and linear combinations of wires.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, Zero};

/// Index of a wire. Wire 0 carries the constant 1, wires `1 ..= n` the public inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wire(pub(crate) u32);

impl Wire {
    /// The wire that carries the constant 1.
    pub const ONE: Self = Self(0);

    /// Position in the assignment.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A linear combination `Σ coefficient · wire`. Terms may repeat and stand in any order until
/// [`normalised`](Self::normalised).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lc {
    terms: Vec<(Wire, Fr)>,
}

impl Lc {
    /// The empty combination, 0.
    pub const fn zero() -> Self {
        Self { terms: Vec::new() }
    }

    /// The constant `value`.
    pub fn constant(value: Fr) -> Self {
        if value.is_zero() {
            Self::zero()
        } else {
            Self {
                terms: vec![(Wire::ONE, value)],
            }
        }
    }

    /// `1 · wire`.
    pub fn wire(wire: Wire) -> Self {
        Self {
            terms: vec![(wire, Fr::ONE)],
        }
    }

    /// The terms as they stand.
    pub fn terms(&self) -> &[(Wire, Fr)] {
        &self.terms
    }

    /// Appends `coefficient · wire`.
    pub fn push(&mut self, wire: Wire, coefficient: Fr) {
        if !coefficient.is_zero() {
            self.terms.push((wire, coefficient));
        }
    }

    /// `self + coefficient · other`.
    #[must_use]
    pub fn add_scaled(mut self, coefficient: Fr, other: &Self) -> Self {
        self.accumulate(coefficient, other);
        self
    }

    /// Adds `coefficient · other` in place.
    pub fn accumulate(&mut self, coefficient: Fr, other: &Self) {
        if coefficient == Fr::ONE {
            self.terms.extend_from_slice(&other.terms);
        } else if !coefficient.is_zero() {
            self.terms
                .extend(other.terms.iter().map(|&(w, c)| (w, c * coefficient)));
        }
    }

    /// The canonical form: terms ascending by wire, each wire once, no zero coefficient.
    #[must_use]
    pub fn normalised(mut self) -> Self {
        let ascending = self
            .terms
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a.0 < b.0));
        if ascending {
            return self;
        }
        self.terms.sort_by_key(|&(wire, _)| wire);
        let mut merged: Vec<(Wire, Fr)> = Vec::with_capacity(self.terms.len());
        for (wire, coefficient) in self.terms {
            match merged.last_mut() {
                Some((last, sum)) if *last == wire => *sum += coefficient,
                _ => merged.push((wire, coefficient)),
            }
        }
        merged.retain(|(_, c)| !c.is_zero());
        Self { terms: merged }
    }

    /// The value under an assignment indexed by wire.
    pub fn evaluate(&self, assignment: &[Fr]) -> Fr {
        let mut sum = Fr::ZERO;
        for &(wire, coefficient) in &self.terms {
            if let Some(value) = assignment.get(wire.index()) {
                sum += *value * coefficient;
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_form_merges_sorts_and_drops() {
        let mut lc = Lc::zero();
        lc.push(Wire(3), Fr::from(2));
        lc.push(Wire(1), Fr::from(5));
        lc.push(Wire(3), -Fr::from(2));
        lc.push(Wire(1), Fr::from(1));
        assert_eq!(lc.normalised().terms(), [(Wire(1), Fr::from(6))]);
    }
}
