//! How long the latest proofs of a model took, so that people see what one costs here.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

/// Proofs that are looked back on.
const KEPT: usize = 64;

/// The latest proofs of a model.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<VecDeque<Duration>>);

/// How long the latest proofs took on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub(crate) struct ProofTimes {
    /// Proofs looked at: the latest since the service started, at most 64.
    pub(crate) proofs: usize,
    /// Milliseconds from the model's run to the verified proof, without queue and log: half of them
    /// took less.
    pub(crate) median_ms: f64,
    /// The longest of them in milliseconds.
    pub(crate) longest_ms: f64,
}

impl Recent {
    pub(crate) fn add(&self, took: Duration) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(took);
    }

    /// `None` before the first proof.
    pub(crate) fn times(&self) -> Option<ProofTimes> {
        let mut sorted: Vec<Duration> = {
            let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.iter().copied().collect()
        };
        sorted.sort_unstable();
        let ms = |took: &Duration| took.as_secs_f64() * 1e3;
        Some(ProofTimes {
            proofs: sorted.len(),
            median_ms: sorted.get(sorted.len() / 2).map(ms)?,
            longest_ms: sorted.last().map(ms)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_count() {
        let recent = Recent::default();
        assert_eq!(recent.times(), None);
        for ms in 1..=100 {
            recent.add(Duration::from_millis(ms));
        }
        let times = recent.times().unwrap();
        assert_eq!(times.proofs, KEPT);
        assert!((times.median_ms - 69.0).abs() < 1e-9, "{times:?}");
        assert!((times.longest_ms - 100.0).abs() < 1e-9, "{times:?}");
    }
}
