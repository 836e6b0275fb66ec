//! Which windows to cut scalars into, and which multiples of the bases to keep.

use crate::curve::Curve;
use crate::error::MsmError;
use crate::recode::Windows;

/// Bits of a digit, from which to which.
const WINDOWS: std::ops::RangeInclusive<u32> = 4..=16;

/// What one multiplication will be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Number of bases.
    pub bases: usize,
    /// How many of the scalars are expected to be of full length; the others are taken for small
    /// ones (bits, bytes and their negatives), which cost one addition each.
    pub dense: usize,
}

/// The memory that a set of bases may take, in bytes. The bases themselves need 64 bytes each in
/// G1 and 128 in G2 whatever the budget; the largest table is 23 to 64 times that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableBudget(pub u64);

impl TableBudget {
    /// No tables, the bases only.
    pub const NONE: Self = Self(0);
    /// Whatever makes the multiplication fastest.
    pub const UNLIMITED: Self = Self(u64::MAX);
}

/// Digits of `window` bits; a table level for every `stride`-th window. Stride 1 keeps a multiple
/// for every window (one set of buckets); a stride of all windows keeps the bases only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    window: u32,
    stride: u32,
}

impl Shape {
    /// A shape of one's own choice.
    ///
    /// # Errors
    /// [`MsmError::Shape`] for windows outside 4 to 16 bits or a stride outside 1 to the number of
    /// windows, `⌈254 / window⌉`.
    pub fn new(window: u32, stride: u32) -> Result<Self, MsmError> {
        let valid =
            WINDOWS.contains(&window) && stride >= 1 && stride <= Windows::new(window).count();
        valid
            .then_some(Self { window, stride })
            .ok_or(MsmError::Shape { window, stride })
    }

    /// The shape that the cost model finds fastest for a load and a budget.
    pub fn choose<C: Curve>(load: Load, budget: TableBudget) -> Self {
        let point_bytes = size_of::<C::Point>();
        let mut best = (
            f64::INFINITY,
            Self {
                window: 4,
                stride: 64,
            },
        );
        for window in WINDOWS {
            let count = Windows::new(window).count();
            let mut levels_before = 0;
            for stride in 1..=count {
                let shape = Self { window, stride };
                let levels = shape.levels();
                // Of the strides with equally many levels, the first has the fewest bucket sets.
                if levels == levels_before {
                    continue;
                }
                levels_before = levels;
                let bytes = load.bases as u64 * u64::from(levels) * point_bytes as u64;
                if levels > 1 && bytes > budget.0 {
                    continue;
                }
                let cost = shape.cost(load, point_bytes);
                if cost < best.0 {
                    best = (cost, shape);
                }
            }
        }
        best.1
    }

    /// Bits of a digit.
    pub fn window(self) -> u32 {
        self.window
    }

    /// Windows a table level covers, which is also the number of bucket sets.
    pub fn stride(self) -> u32 {
        self.stride
    }

    /// Table points a base.
    pub fn levels(self) -> u32 {
        self.windows().count().div_ceil(self.stride)
    }

    pub(crate) fn windows(self) -> Windows {
        Windows::new(self.window)
    }

    /// Predicted time in additions of points.
    #[expect(
        clippy::cast_precision_loss,
        reason = "an estimate of a number of additions"
    )]
    fn cost(self, load: Load, point_bytes: usize) -> f64 {
        let windows = self.windows();
        let buckets = windows.buckets() as f64;
        let sets = f64::from(self.stride);
        let dense = load.dense.min(load.bases) as f64;
        let small = (load.bases as f64 - dense).max(0.0);
        // A batch shares one inversion and holds a bucket at most once.
        let inversion = INVERSION / (buckets * 0.7).min(BATCH);
        // Buckets beyond the second-level cache.
        let cache = if buckets * point_bytes as f64 > CACHE {
            1.3
        } else {
            1.0
        };
        let additions = dense * f64::from(windows.count()) + small;
        let reduction = sets * buckets * 3.0;
        // Reading a scalar and cutting it, once for each bucket set.
        let recoding = sets * load.bases as f64 * 0.1;
        let doublings = if self.stride == 1 { 0.0 } else { 1000.0 };
        additions * (1.0 + inversion) * cache + reduction + recoding + doublings
    }
}

/// An inversion, in additions.
const INVERSION: f64 = 80.0;
/// Additions that share one.
const BATCH: f64 = 1024.0;
/// Bytes of buckets that stay close to a core.
const CACHE: f64 = 1_200_000.0;

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::g1;

    #[test]
    fn more_memory_means_fewer_bucket_sets_and_never_more_than_allowed() {
        let load = Load {
            bases: 100_000,
            dense: 100_000,
        };
        let mut before = u32::MAX;
        for levels in [0, 2, 4, 8, 16, 64] {
            let budget = TableBudget(load.bases as u64 * 64 * levels);
            let shape = Shape::choose::<g1::Config>(load, budget);
            assert!(u64::from(shape.levels()) <= levels.max(1));
            assert!(shape.stride() <= before, "{levels}: {shape:?}");
            before = shape.stride();
        }
        assert_eq!(before, 1);
        assert_eq!(
            Shape::choose::<g1::Config>(load, TableBudget::NONE).levels(),
            1
        );
    }

    #[test]
    fn more_bases_mean_wider_windows() {
        let mut before = 0;
        for log in 0..20 {
            let load = Load {
                bases: 1 << log,
                dense: 1 << log,
            };
            let shape = Shape::choose::<g1::Config>(load, TableBudget::UNLIMITED);
            assert!(shape.window() >= before);
            before = shape.window();
        }
        assert!(before >= 13);
    }

    #[test]
    fn levels_and_stride_cover_all_windows() {
        for window in WINDOWS {
            let count = Windows::new(window).count();
            for stride in 1..=count {
                let shape = Shape::new(window, stride).unwrap();
                assert!(shape.levels() * stride >= count);
                assert!((shape.levels() - 1) * stride < count);
            }
            assert_eq!(
                Shape::new(window, count + 1).unwrap_err().code(),
                "msm-tables-unsupported"
            );
        }
        assert!(
            Shape::new(3, 1).is_err() && Shape::new(17, 1).is_err() && Shape::new(8, 0).is_err()
        );
    }
}
