//! A prepared powers-of-tau file as snarkjs reads it. Making one with snarkjs takes longer than
//! anything that is measured; here the secret is drawn, used as a number, and forgotten. **Whoever
//! ran this could have kept it: such a file is for measuring only.**

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use proofmark_ceremony::{NoProgress, phase1};
use serde::{Deserialize, Serialize};

/// What was made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PtauReport {
    /// Seconds.
    pub(crate) seconds: f64,
}

/// Writes the file.
pub(crate) fn run(power: u32, out: &Path) -> Result<PtauReport> {
    let start = Instant::now();
    phase1::create(out, power, "benchmark", true, &NoProgress)?;
    Ok(PtauReport {
        seconds: start.elapsed().as_secs_f64(),
    })
}
