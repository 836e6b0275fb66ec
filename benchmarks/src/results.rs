//! One line of results: a system on a model.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// What became of a measurement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Status {
    /// Everything was measured.
    #[default]
    Done,
    /// Something failed or ran into a limit; `reason` says what.
    Failed,
}

/// A line of the CSV file. Seconds and bytes; an empty field was not measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Day in UTC, YYYY-MM-DD.
    pub(crate) date: String,
    /// The repository's commit; with `+` where files were changed since.
    pub(crate) commit: String,
    /// Processor, memory, kernel.
    pub(crate) machine: String,
    /// Threads that each system may use.
    pub(crate) threads: usize,
    /// The model.
    pub(crate) model: String,
    /// Weights and biases of the original.
    pub(crate) parameters: Option<u64>,
    /// Output elements of the integer model's nodes that are not linear.
    pub(crate) activations: Option<u64>,
    /// The system: `plain`, `lookup`, `stock`, `snarkjs` or `ezkl`.
    pub(crate) system: String,
    /// Its version.
    pub(crate) version: String,
    /// Whether it could be measured.
    pub(crate) status: Status,
    /// Why not.
    pub(crate) reason: String,
    /// Constraints or rows.
    pub(crate) rows: Option<u64>,
    /// Public inputs or instances.
    pub(crate) public_inputs: Option<u64>,
    /// Import (ours) or calibration (EZKL).
    pub(crate) import_s: Option<f64>,
    /// Circuit and keys.
    pub(crate) setup_s: Option<f64>,
    /// From nothing loaded to the first proof.
    pub(crate) cold_s: Option<f64>,
    /// From the input to the verified proof; median.
    pub(crate) request_s: Option<f64>,
    /// The model's result and the witness; median.
    pub(crate) witness_s: Option<f64>,
    /// The proof alone; median.
    pub(crate) proving_s: Option<f64>,
    /// The fastest proof.
    pub(crate) proving_min_s: Option<f64>,
    /// The slowest.
    pub(crate) proving_max_s: Option<f64>,
    /// Verification by the recipient; median.
    pub(crate) verifying_s: Option<f64>,
    /// Proofs that count.
    pub(crate) runs: usize,
    /// Size of the proving key.
    pub(crate) proving_key_bytes: Option<u64>,
    /// Size of the verifying key.
    pub(crate) verifying_key_bytes: Option<u64>,
    /// Size of a proof.
    pub(crate) proof_bytes: Option<u64>,
    /// Peak memory of the setup's process.
    pub(crate) setup_peak_bytes: Option<u64>,
    /// Peak memory of the proving process, keys loaded.
    pub(crate) proving_peak_bytes: Option<u64>,
    /// Share of held-out samples for which the original's class came out.
    pub(crate) agreement: Option<f64>,
    /// Held-out samples that were compared.
    pub(crate) agreement_samples: Option<u64>,
}

/// Writes all rows.
pub(crate) fn write(path: &Path, rows: &[Row]) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut writer = csv::Writer::from_writer(file);
    for row in rows {
        writer.serialize(row)?;
    }
    Ok(writer.flush()?)
}

/// Reads what [`write`] wrote.
pub(crate) fn read(path: &Path) -> Result<Vec<Row>> {
    let reader = csv::Reader::from_path(path);
    let rows = reader
        .with_context(|| format!("cannot read {}", path.display()))?
        .into_deserialize();
    rows.map(|row| row.with_context(|| format!("{} is not of this version", path.display())))
        .collect()
}

/// The middle of some numbers; of an even number of them the larger of the two.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// A figure of `other` divided by the same of `ours`, on one model: how many times better ours is.
pub(crate) fn ratio(
    rows: &[Row],
    model: &str,
    [other, ours]: [&str; 2],
    figure: impl Fn(&Row) -> Option<f64>,
) -> Option<f64> {
    let of = |system: &str| {
        let row = rows
            .iter()
            .find(|row| row.model == model && row.system == system)?;
        figure(row).filter(|value| *value > 0.0)
    };
    Some(of(other)? / of(ours)?)
}

/// A count as a number to calculate with; exact below 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "figures for people need no more than 53 bits"
)]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(model: &str, system: &str, proving_s: Option<f64>) -> Row {
        Row {
            date: "2026-01-31".to_owned(),
            machine: "a, \"b\"; 2 cores\nline".to_owned(),
            threads: 2,
            model: model.to_owned(),
            system: system.to_owned(),
            proving_s,
            ..Row::default()
        }
    }

    #[test]
    fn rows_come_back_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.csv");
        let failed = Row {
            status: Status::Failed,
            reason: "more than 17 GiB, stopped".to_owned(),
            ..row("m", "ezkl", None)
        };
        let full = Row {
            parameters: Some(u64::MAX),
            setup_s: Some(0.1 + 0.2),
            agreement: Some(1.0 / 3.0),
            proof_bytes: Some(256),
            runs: 9,
            ..row("m", "plain", Some(1e-7))
        };
        let rows = vec![failed, full];
        write(&path, &rows).unwrap();
        assert_eq!(read(&path).unwrap(), rows);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("date,commit,machine,threads,model,"),
            "{text}"
        );
        std::fs::write(&path, text.replacen("threads", "fibres", 1)).unwrap();
        assert!(read(&path).is_err());
    }

    #[test]
    fn the_median_is_not_moved_by_one_slow_run() {
        assert_eq!(median(&[9.0, 0.5, 0.6]), Some(0.6));
        assert_eq!(median(&[2.0, 1.0]), Some(2.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn a_ratio_says_how_many_times_better_ours_is() {
        let rows = [
            row("m", "stock", Some(0.9)),
            row("m", "plain", Some(0.3)),
            row("n", "plain", Some(0.1)),
            row("n", "ezkl", None),
            row("o", "plain", Some(0.0)),
            row("o", "stock", Some(1.0)),
        ];
        let proving = |row: &Row| row.proving_s;
        let of = |model, pair| ratio(&rows, model, pair, proving);
        assert!((of("m", ["stock", "plain"]).unwrap() - 3.0).abs() < 1e-12);
        assert_eq!(of("n", ["stock", "plain"]), None);
        assert_eq!(of("n", ["ezkl", "plain"]), None);
        assert_eq!(of("o", ["stock", "plain"]), None, "a zero is no figure");
        assert_eq!(of("p", ["stock", "plain"]), None);
    }
}
