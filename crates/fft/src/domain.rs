//! Which sets of points there are.

use ark_bn254::Fr;
use ark_ff::FftField;

/// The largest domain: twice as many points must be roots of unity, and `r − 1` has 28 factors 2.
const MAX_SIZE: usize = 1 << 27;

/// The sizes to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainKind {
    /// 2^k: what other implementations understand.
    PowerOfTwo,
    /// 2^k, 3·2^k and 9·2^k.
    Any,
}

/// The `n`-th roots of unity, where `2n` divides `r − 1` too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Domain {
    /// How many factors 3 the size has: 0 to 2.
    pub(crate) threes: u32,
    /// How many factors 2 the size has: 0 to 27.
    pub(crate) twos: u32,
    root: Fr,
    half_root: Fr,
}

impl Domain {
    /// The smallest domain of at least `rows` points (at least one); `None` above 2^27.
    ///
    /// Size decides, because everything else that a prover does with a domain (memory, bases of the
    /// quotient) follows it. A point of a transform costs about as much in a domain with factors 3 as
    /// in one without.
    pub fn smallest(rows: usize, kind: DomainKind) -> Option<Self> {
        let most_threes = match kind {
            DomainKind::PowerOfTwo => 0,
            DomainKind::Any => 2,
        };
        (0..=most_threes)
            .filter_map(|threes| {
                let odd = 3usize.pow(threes);
                let power = rows.div_ceil(odd).max(1).checked_next_power_of_two()?;
                Some((power.checked_mul(odd)?, threes, power.trailing_zeros()))
            })
            .filter(|&(size, ..)| size <= MAX_SIZE)
            .min()
            .and_then(|(_, threes, twos)| Self::new(threes, twos))
    }

    /// 3^threes · 2^twos points.
    fn new(threes: u32, twos: u32) -> Option<Self> {
        let size = 3u64.pow(threes) << twos;
        Some(Self {
            threes,
            twos,
            root: Fr::get_root_of_unity(size)?,
            half_root: Fr::get_root_of_unity(2 * size)?,
        })
    }

    /// The number of points, `n`.
    pub const fn size(&self) -> usize {
        3usize.pow(self.threes) << self.twos
    }

    /// The primitive `n`-th root of unity, `Fr::get_root_of_unity(n)`: the points are its powers.
    pub const fn root(&self) -> Fr {
        self.root
    }

    /// `ω`, the primitive `2n`-th root of unity with `ω² = root`: its odd powers are the odd points.
    pub const fn half_root(&self) -> Fr {
        self.half_root
    }
}

#[cfg(test)]
mod tests {
    use ark_ff::Field;

    use super::*;

    fn size(rows: usize, kind: DomainKind) -> Option<usize> {
        Domain::smallest(rows, kind).map(|domain| domain.size())
    }

    #[test]
    fn the_smallest_size_that_holds_the_rows() {
        let any = [
            (0, 1),
            (1, 1),
            (2, 2),
            (3, 3),
            (4, 4),
            (5, 6),
            (7, 8),
            (9, 9),
            (10, 12),
            (13, 16),
            (17, 18),
            (19, 24),
            (25, 32),
            (33, 36),
            (37, 48),
            (1 << 20, 1 << 20),
            ((1 << 20) + 1, 9 << 17),
            ((9 << 17) + 1, 3 << 19),
            ((9 << 23) + 1, 3 << 25),
            ((3 << 25) + 1, 1 << 27),
            (1 << 27, 1 << 27),
        ];
        for (rows, expected) in any {
            assert_eq!(size(rows, DomainKind::Any), Some(expected), "{rows}");
            assert_eq!(
                size(rows, DomainKind::PowerOfTwo),
                Some(rows.max(1).next_power_of_two()),
                "{rows}"
            );
        }
        for rows in [(1 << 27) + 1, usize::MAX] {
            assert_eq!(size(rows, DomainKind::Any), None);
            assert_eq!(size(rows, DomainKind::PowerOfTwo), None);
        }
    }

    #[test]
    fn roots_have_exactly_their_order() {
        for rows in [1, 2, 3, 6, 9, 18, 1 << 10, 3 << 9, 9 << 8, 9 << 23, 1 << 27] {
            let domain = Domain::smallest(rows, DomainKind::Any).unwrap();
            assert_eq!(domain.size(), rows);
            let (size, root, half) = (rows as u64, domain.root(), domain.half_root());
            assert_eq!(half.square(), root);
            assert_eq!(half.pow([size]), -Fr::ONE);
            assert_eq!(Some(root), Fr::get_root_of_unity(size));
            for factor in [2, 3] {
                if size.is_multiple_of(factor) {
                    assert_ne!(root.pow([size / factor]), Fr::ONE);
                }
            }
        }
    }
}
