//! What a package says of the model that it was made from, where that was quantized elsewhere: the
//! reference, what was rewritten, and what was compared.

use serde::{Deserialize, Serialize};

use crate::manifest::{ManifestError, check_count, check_text};
use crate::num::f64_from_u64;

/// How far ONNX Runtime may rewrite a model quantized elsewhere before it runs it as the reference
/// of an import. Results of such models depend on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReferenceLevel {
    /// `ORT_DISABLE_ALL`: as written.
    Disabled,
    /// `ORT_ENABLE_BASIC`.
    Basic,
    /// `ORT_ENABLE_EXTENDED`: groups of dequantize, operator and quantize become integer operators.
    Extended,
    /// `ORT_ENABLE_ALL`: what users of ONNX Runtime run unless they ask for less.
    #[default]
    All,
}

impl ReferenceLevel {
    /// The kebab-case name, as in the manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Basic => "basic",
            Self::Extended => "extended",
            Self::All => "all",
        }
    }
}

/// A rewrite of a model quantized elsewhere that may change an integer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InexactRewrite {
    /// Name of the node in the original.
    pub node: String,
    /// What is computed otherwise.
    pub reason: String,
}

/// Where the inputs of a comparison come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputKind {
    /// Samples that the user gave.
    Samples,
    /// Constant inputs, checkerboards, ramps, single elements unlike all others.
    Extremes,
    /// Random ones over the whole range of the input quantizers.
    Random,
    /// Searched for next to the thresholds of the integer model's requantizes.
    Searched,
}

impl InputKind {
    /// The kebab-case name, as in the manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Samples => "samples",
            Self::Extremes => "extremes",
            Self::Random => "random",
            Self::Searched => "searched",
        }
    }
}

/// Differences between the outputs of a model quantized elsewhere and of the integer model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriftSource {
    /// Where the inputs come from.
    pub inputs: InputKind,
    /// Output elements compared.
    pub compared: u64,
    /// Those that differ.
    pub different: u64,
    /// Largest difference, in steps of the integer output.
    pub largest_step: u64,
}

/// How a model quantized elsewhere was compared with the integer model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceReport {
    /// Level at which ONNX Runtime ran the original.
    pub level: ReferenceLevel,
    /// What was found, by where the inputs come from.
    pub drift: Vec<DriftSource>,
    /// Rewrites that may change an integer.
    pub inexact: Vec<InexactRewrite>,
    /// Share of different output elements that whoever imported the model accepted, 0 … 1; `None`
    /// when it was imported as exact.
    pub accepted_drift: Option<f64>,
}

impl ReferenceReport {
    /// Output elements that differ over all inputs, and how many were compared.
    pub fn total(&self) -> (u64, u64) {
        let sum = |count: fn(&DriftSource) -> u64| self.drift.iter().map(count).sum();
        (
            sum(|source| source.different),
            sum(|source| source.compared),
        )
    }

    /// The largest share of different output elements over the kinds of inputs, 0 … 1.
    pub fn rate(&self) -> f64 {
        let rate = |source: &DriftSource| {
            let [different, compared] = [source.different, source.compared.max(1)];
            f64_from_u64(different) / f64_from_u64(compared)
        };
        self.drift.iter().map(rate).fold(0.0, f64::max)
    }

    /// The largest difference over all inputs, in steps of the integer output.
    pub fn largest_step(&self) -> u64 {
        let steps = self.drift.iter().map(|source| source.largest_step);
        steps.max().unwrap_or_default()
    }

    pub(crate) fn validate(&self) -> Result<(), ManifestError> {
        for source in &self.drift {
            check_count("validation.reference.drift.compared", source.compared)?;
            check_count("validation.reference.drift.different", source.different)?;
            check_count(
                "validation.reference.drift.largest_step",
                source.largest_step,
            )?;
        }
        for rewrite in &self.inexact {
            check_text("validation.reference.inexact.node", &rewrite.node, 4096)?;
            check_text("validation.reference.inexact.reason", &rewrite.reason, 4096)?;
        }
        match self.accepted_drift {
            Some(rate) if !(0.0..=1.0).contains(&rate) => Err(ManifestError::Number {
                field: "validation.reference.accepted_drift",
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> ReferenceReport {
        let source = |inputs, compared, different, largest_step| DriftSource {
            inputs,
            compared,
            different,
            largest_step,
        };
        ReferenceReport {
            level: ReferenceLevel::default(),
            drift: vec![
                source(InputKind::Samples, 1000, 1, 1),
                source(InputKind::Random, 100, 10, 3),
                source(InputKind::Searched, 0, 0, 0),
            ],
            inexact: vec![InexactRewrite {
                node: "conv".to_owned(),
                reason: "floats".to_owned(),
            }],
            accepted_drift: Some(0.1),
        }
    }

    #[test]
    fn rate_is_that_of_the_worst_kind_of_inputs() {
        let report = report();
        assert_eq!(report.total(), (11, 1100));
        assert!((report.rate() - 0.1).abs() < 1e-12);
        assert_eq!(report.largest_step(), 3);
        let text = serde_json::to_string(&report).unwrap();
        assert!(text.contains(r#""level":"all""#) && text.contains(r#""inputs":"searched""#));
        assert_eq!(
            serde_json::from_str::<ReferenceReport>(&text).unwrap(),
            report
        );
    }

    #[test]
    fn numbers_and_texts_are_bounded() {
        assert!(report().validate().is_ok());
        let wrong = |change: fn(&mut ReferenceReport)| {
            let mut report = report();
            change(&mut report);
            report.validate().is_err()
        };
        assert!(wrong(|r| r.accepted_drift = Some(1.5)));
        assert!(wrong(|r| r.accepted_drift = Some(f64::NAN)));
        assert!(wrong(|r| r.drift[0].compared = u64::MAX));
        assert!(wrong(|r| r.inexact[0].node = "a\u{7}".to_owned()));
        assert!(wrong(|r| r.inexact[0].reason = "x".repeat(5000)));
    }
}
