//! Extreme and random values for tensors.

use proofmark_ops::Fact;
use proofmark_tensor::{IntTensor, TensorError};

use crate::random::Random;

/// A tensor to be filled: its type and shape, and the smallest and largest value of each element.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) fact: Fact,
    /// One an element, or one for all.
    pub(crate) ranges: Vec<(i32, i32)>,
}

impl Slot {
    /// Every value of the type.
    pub(crate) fn whole(fact: &Fact) -> Self {
        Self {
            fact: fact.clone(),
            ranges: vec![(fact.elem.min(), fact.elem.max())],
        }
    }

    /// The values that are proven possible, one range an element.
    pub(crate) fn proven(fact: &Fact, ranges: &[(i64, i64)]) -> Self {
        let within = |v: i64| {
            let v = v.clamp(fact.elem.min().into(), fact.elem.max().into());
            i32::try_from(v).unwrap_or_default()
        };
        Self {
            fact: fact.clone(),
            ranges: ranges
                .iter()
                .map(|&(lo, hi)| (within(lo), within(hi)))
                .collect(),
        }
    }

    fn fill(
        &self,
        mut value: impl FnMut(usize, (i32, i32)) -> i32,
    ) -> Result<IntTensor, TensorError> {
        let ranges = self.ranges.iter().cycle().take(self.fact.len());
        let data = ranges.enumerate().map(|(at, &range)| value(at, range));
        IntTensor::new(self.fact.elem, self.fact.shape.clone(), data.collect())
    }
}

/// One vector: how its tensors are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Every element at its minimum.
    Lowest,
    /// Every element at its maximum.
    Highest,
    /// Maximum and minimum in turn, beginning with the maximum (or, `1`, the minimum).
    Alternating(usize),
    /// One element at its maximum, the others at their minimum.
    OneHot(Place),
    /// Random values, one element in four at an end of its range.
    Random(u64),
}

/// Which element is hot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    First,
    Middle,
    Last,
}

impl Pattern {
    /// The extreme vectors.
    pub(crate) const EXTREME: [Self; 7] = [
        Self::Lowest,
        Self::Highest,
        Self::Alternating(0),
        Self::Alternating(1),
        Self::OneHot(Place::First),
        Self::OneHot(Place::Middle),
        Self::OneHot(Place::Last),
    ];

    /// The extreme vectors, then so many random ones.
    pub(crate) fn list(random: u64) -> impl Iterator<Item = Self> {
        Self::EXTREME
            .into_iter()
            .chain((0..random).map(Self::Random))
    }

    /// In words, for error messages.
    pub(crate) fn words(self, seed: u32) -> String {
        match self {
            Self::Lowest => "all inputs at their minimum".to_owned(),
            Self::Highest => "all inputs at their maximum".to_owned(),
            Self::Alternating(_) => "inputs alternating between their ends".to_owned(),
            Self::OneHot(place) => format!("the {place:?} element at its maximum").to_lowercase(),
            Self::Random(number) => format!("random vector {number} of seed {seed}"),
        }
    }

    /// The vector's tensors. `stream` keeps the random values of different uses apart.
    pub(crate) fn tensors(
        self,
        slots: &[Slot],
        seed: u32,
        stream: u64,
    ) -> Result<Vec<IntTensor>, TensorError> {
        let number = match self {
            Self::Random(number) => number,
            _ => 0,
        };
        let mut random = Random::new(seed, (stream << 20) ^ number);
        slots
            .iter()
            .map(|slot| self.tensor(slot, &mut random))
            .collect()
    }

    fn tensor(self, slot: &Slot, random: &mut Random) -> Result<IntTensor, TensorError> {
        let count = slot.fact.len();
        match self {
            Self::Lowest => slot.fill(|_, (lo, _)| lo),
            Self::Highest => slot.fill(|_, (_, hi)| hi),
            Self::Alternating(first) => slot.fill(|at, (lo, hi)| {
                if (at + first).is_multiple_of(2) {
                    hi
                } else {
                    lo
                }
            }),
            Self::OneHot(place) => {
                let hot = match place {
                    Place::First => 0,
                    Place::Middle => count / 2,
                    Place::Last => count.saturating_sub(1),
                };
                slot.fill(|at, (lo, hi)| if at == hot { hi } else { lo })
            }
            Self::Random(_) => slot.fill(|_, (lo, hi)| match random.bits() % 8 {
                0 => lo,
                1 => hi,
                _ => random.between(lo, hi),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proofmark_tensor::ElemType;

    use super::*;

    #[test]
    fn vectors_stay_in_the_ranges_and_repeat() {
        let fact = Fact {
            elem: ElemType::Int32,
            shape: vec![2, 2],
        };
        let ranges = [(-5, 5), (0, 0), (7, 9), (i64::MIN, i64::MAX)];
        let slots = [Slot::proven(&fact, &ranges)];
        let mut seen = Vec::new();
        for pattern in Pattern::list(3) {
            let tensors = pattern.tensors(&slots, 1, 2).unwrap();
            assert_eq!(tensors, pattern.tensors(&slots, 1, 2).unwrap());
            let values = tensors[0].data();
            for (&v, &(lo, hi)) in values.iter().zip(&ranges) {
                assert!((lo..=hi).contains(&i64::from(v)), "{pattern:?}");
            }
            seen.push(values.to_vec());
        }
        assert_eq!(seen[0], [-5, 0, 7, i32::MIN]);
        assert_eq!(seen[1], [5, 0, 9, i32::MAX]);
        assert_eq!(seen[2], [5, 0, 9, i32::MIN]);
        assert_eq!(seen[4], [5, 0, 7, i32::MIN]);
        assert_ne!(seen[7], seen[8]);
    }

    #[test]
    fn every_value_of_a_type_without_a_range() {
        let fact = Fact {
            elem: ElemType::Int8,
            shape: vec![3],
        };
        let highest = Pattern::Highest
            .tensors(&[Slot::whole(&fact)], 1, 1)
            .unwrap();
        assert_eq!(highest[0].data(), [127; 3]);
    }
}
