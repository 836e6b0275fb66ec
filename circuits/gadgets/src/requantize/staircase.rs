//! A requantize over one interval, as a staircase that starts at 0 and only rises.

use proofmark_tensor::Requantize;

/// `output = base + sign · #{j : steps[j] ≤ a}` for `a = sign · acc` in `lo ..= hi`.
///
/// `sign` is −1 where the output saturates at the type's maximum only: then the staircase counted
/// from that end needs no clamp above, and the one below comes for free.
pub(super) struct Staircase {
    pub(super) sign: i64,
    pub(super) base: i64,
    pub(super) lo: i64,
    pub(super) hi: i64,
    /// Ascending, each in `lo + 1 ..= hi`; at most 255.
    pub(super) steps: Vec<i64>,
}

impl Staircase {
    pub(super) fn new(step: &Requantize, lo: i32, hi: i32) -> Self {
        let (first, last) = (step.apply(lo), step.apply(hi));
        let rising = step
            .thresholds(lo, hi)
            .into_iter()
            .map(|t| i64::from(t.acc));
        if first > step.elem().min() && last == step.elem().max() {
            Self {
                sign: -1,
                base: last.into(),
                lo: -i64::from(hi),
                hi: -i64::from(lo),
                steps: rising.rev().map(|t| 1 - t).collect(),
            }
        } else {
            Self {
                sign: 1,
                base: first.into(),
                lo: lo.into(),
                hi: hi.into(),
                steps: rising.collect(),
            }
        }
    }

    pub(super) fn output(&self, a: i64) -> i64 {
        let passed = self.steps.partition_point(|&s| s <= a);
        self.base + self.sign * i64::try_from(passed).unwrap_or(i64::MAX)
    }
}
