//! The report of a translation validation, as it is kept in a package.

use proofmark_types::Digest;
use proofmark_types::manifest::RuntimePin;
use serde::{Deserialize, Serialize};

use crate::error::ValidationError;
use crate::machine::Machine;

/// Value of [`TranslationReport::format`].
pub const TRANSLATION_FORMAT: &str = "proofmark/translation/v1";
/// Largest report that is parsed, in bytes.
pub const MAX_REPORT_BYTES: usize = 64 << 20;

/// What was compared between ONNX Runtime, the integer evaluator and the circuit's witness. A
/// difference makes no report but an error, so every `different` is 0.
///
/// The same for the same model, policy, seed, software and class of machine: it holds no time and
/// no duration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TranslationReport {
    /// [`TRANSLATION_FORMAT`].
    pub format: String,
    /// The model that was validated: SHA-256 of the integer model's bytes.
    pub integer_model: Digest,
    /// The circuit that the witnesses satisfied.
    pub circuit: Digest,
    /// Version, provider and optimisation level of the runtime.
    pub runtime: RuntimePin,
    /// SHA-256 of the runtime's shared library.
    pub library: Digest,
    /// Where it ran.
    pub machine: Machine,
    /// Seed of all random inputs.
    pub seed: u32,
    /// Each node, in graph order.
    pub nodes: Vec<NodeReport>,
    /// The model as a whole.
    pub model: ModelReport,
    /// For each vector of the sample that is checked again at start-up, SHA-256 of the outputs
    /// (each as typed tensor encoding, in graph order). The inputs are made from the seed.
    pub sample: Vec<Digest>,
}

/// What was compared of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeReport {
    /// The node's name.
    pub node: String,
    /// Its operator.
    pub op_type: String,
    /// Distinct step functions (weight scales) of its requantize; 0 where it has none.
    pub steps: u64,
    /// Thresholds of these inside their accumulators' proven intervals.
    pub thresholds: u64,
    /// Accumulators probed: each threshold − 1, ± 0, + 1, and the ends of the intervals.
    pub probes: u64,
    /// Entries of its constant table read, every one that its inputs can reach.
    pub table_entries: u64,
    /// Runs of the node alone, in its real shape, on extreme and random inputs.
    pub runs: u64,
    /// Output elements compared in all of these.
    pub compared: u64,
    /// Those that differed: 0.
    pub different: u64,
}

/// What was compared of the whole model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelReport {
    /// Input vectors run through ONNX Runtime and the evaluator.
    pub runs: u64,
    /// Output elements compared.
    pub compared: u64,
    /// Those that differed: 0.
    pub different: u64,
    /// Vectors of these that went through the witness as well; all constraints were satisfied.
    pub witnesses: u64,
    /// Constraints of the circuit.
    pub constraints: u64,
}

/// Sums over the nodes of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Distinct step functions.
    pub steps: u64,
    /// Thresholds.
    pub thresholds: u64,
    /// Accumulators probed.
    pub probes: u64,
    /// Table entries.
    pub table_entries: u64,
    /// Runs of single nodes.
    pub runs: u64,
    /// Output elements compared, those of the whole model included.
    pub compared: u64,
}

impl TranslationReport {
    /// Reads a report.
    ///
    /// # Errors
    /// [`ValidationError::Malformed`] when it is too large, no JSON, has unknown or missing
    /// members, is of another format, or reports a difference.
    pub fn parse(bytes: &[u8]) -> Result<Self, ValidationError> {
        let malformed = |reason: String| ValidationError::Malformed { reason };
        if bytes.len() > MAX_REPORT_BYTES {
            return Err(malformed(format!("it has {} bytes", bytes.len())));
        }
        let report: Self =
            serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        if report.format != TRANSLATION_FORMAT {
            return Err(malformed(format!(
                "its format is {:?}, this software reads {TRANSLATION_FORMAT:?}",
                report.format
            )));
        }
        let differences = report.nodes.iter().map(|n| n.different);
        if differences.chain([report.model.different]).any(|n| n > 0) {
            return Err(malformed("it reports differences".to_owned()));
        }
        Ok(report)
    }

    /// Its bytes: JSON indented by two blanks, members in the order of declaration, a line feed at
    /// the end.
    ///
    /// # Errors
    /// [`ValidationError::Malformed`]: never for a report that was made here.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ValidationError> {
        let mut bytes =
            serde_json::to_vec_pretty(self).map_err(|error| ValidationError::Malformed {
                reason: error.to_string(),
            })?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Sums over all nodes.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals {
            compared: self.model.compared,
            ..Totals::default()
        };
        for node in &self.nodes {
            totals.steps += node.steps;
            totals.thresholds += node.thresholds;
            totals.probes += node.probes;
            totals.table_entries += node.table_entries;
            totals.runs += node.runs;
            totals.compared += node.compared;
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> TranslationReport {
        TranslationReport {
            format: TRANSLATION_FORMAT.to_owned(),
            integer_model: Digest::of(b"model"),
            circuit: Digest::of(b"circuit"),
            runtime: RuntimePin::current(),
            library: Digest::of(b"library"),
            machine: Machine::current(),
            seed: 1,
            nodes: vec![NodeReport {
                node: "conv".to_owned(),
                op_type: "QLinearConv".to_owned(),
                steps: 1,
                thresholds: 255,
                probes: 767,
                table_entries: 0,
                runs: 8,
                compared: 900,
                different: 0,
            }],
            model: ModelReport {
                runs: 3,
                compared: 30,
                different: 0,
                witnesses: 1,
                constraints: 12,
            },
            sample: vec![Digest::of(b"outputs")],
        }
    }

    #[test]
    fn round_trips_and_sums() {
        let report = report();
        let bytes = report.to_bytes().unwrap();
        assert_eq!(TranslationReport::parse(&bytes).unwrap(), report);
        assert_eq!(report.totals().compared, 930);
        assert_eq!(report.totals().probes, 767);
    }

    #[test]
    fn refuses_other_formats_unknown_members_and_differences() {
        let text = String::from_utf8(report().to_bytes().unwrap()).unwrap();
        for (from, to) in [
            ("translation/v1", "translation/v2"),
            ("\"seed\"", "\"sead\""),
            ("\"seed\": 1", "\"seed\": 1, \"took\": 2"),
            ("\"different\": 0", "\"different\": 1"),
            ("\"seed\": 1", "\"seed\": -1"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            let error = TranslationReport::parse(changed.as_bytes()).unwrap_err();
            assert_eq!(error.code(), "translation-malformed", "{from}");
        }
    }
}
