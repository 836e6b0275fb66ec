//! What a face shows of an error: whom it speaks of, what caused it, what to do about it.

use std::error::Error;

use proofmark_onnx::OnnxError;
use proofmark_ops::OpsError;
use proofmark_package::PackageError;
use proofmark_quantizer::QuantizeError;
use proofmark_recipient::Kind;
use proofmark_runtime::RuntimeError;
use proofmark_types::manifest::ReferenceLevel;
use proofmark_validation::ValidationError;
use serde::Serialize;

use crate::error::EngineError;

/// A node that stands in the way of a proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnsupportedNode {
    /// Its name in the graph.
    pub node: String,
    /// Its operator.
    pub op_type: String,
    /// Why it cannot be proven.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

/// An error of this crate, or of one below it, as command line and libraries show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Of the material, the question or the machine.
    pub kind: Kind,
    /// Stable kebab-case code.
    pub code: &'static str,
    /// What happened, lower case.
    pub message: String,
    /// What caused it, outermost first.
    pub causes: Vec<String>,
    /// What to do about it, when the message does not say so already.
    pub hint: Option<String>,
    /// Every node that cannot be proven, where that is the reason.
    pub unsupported: Vec<UnsupportedNode>,
}

impl Fault {
    /// A fault in the words of an error and of its sources.
    pub fn of(kind: Kind, code: &'static str, error: &(dyn Error + 'static)) -> Self {
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        Self {
            kind,
            code,
            message: error.to_string(),
            causes,
            hint: None,
            unsupported: Vec::new(),
        }
    }

    /// With a hint.
    #[must_use]
    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A model that cannot be proven: every node that stands in the way, with its name, operator,
    /// the reason and the remedy.
    fn unsupported<'n>(code: &'static str, nodes: impl Iterator<Item = [&'n String; 4]>) -> Self {
        let unsupported: Vec<_> = nodes
            .map(|parts| {
                let [node, op_type, reason, remedy] = parts.map(Clone::clone);
                UnsupportedNode {
                    node,
                    op_type,
                    reason,
                    remedy,
                }
            })
            .collect();
        let causes = unsupported.iter().map(|n| {
            let UnsupportedNode {
                node,
                op_type,
                reason,
                remedy,
            } = n;
            format!("{op_type} {node:?}: {reason}; {remedy}")
        });
        Self {
            kind: Kind::Rejected,
            code,
            message: match unsupported.len() {
                1 => "1 node of the model cannot be proven".to_owned(),
                count => format!("{count} nodes of the model cannot be proven"),
            },
            causes: causes.collect(),
            hint: None,
            unsupported,
        }
    }

    /// With what helps when ONNX Runtime refuses a quantized original at the level of the reference.
    #[must_use]
    pub fn refused_at(self, level: ReferenceLevel) -> Self {
        if self.code != "model-refused" {
            return self;
        }
        self.hint(match level {
            ReferenceLevel::Disabled => {
                "ONNX Runtime does not load the model even unoptimised: what it says against it is \
                 above"
            }
            ReferenceLevel::Basic => {
                "ONNX Runtime optimised the model before: try --reference disabled"
            }
            ReferenceLevel::Extended | ReferenceLevel::All => {
                "ONNX Runtime optimised the model before: try --reference basic or disabled"
            }
        })
    }
}

impl From<&EngineError> for Fault {
    fn from(error: &EngineError) -> Self {
        let kind = match error {
            EngineError::Onnx(error) => return error.into(),
            EngineError::Ops(error) => return error.into(),
            EngineError::Package(error) => return error.into(),
            EngineError::Runtime(error) => return error.into(),
            EngineError::Quantize(error) => return error.into(),
            EngineError::Validation(error) => return error.as_ref().into(),
            EngineError::Input { .. } | EngineError::AcceptedDrift => Kind::Request,
            EngineError::ServiceKey { .. }
            | EngineError::Randomness { .. }
            | EngineError::OwnReceipt(_) => Kind::Environment,
            EngineError::Prover(error) => match error.code() {
                "key-io" | "randomness-unavailable" | "proof-self-verification" => {
                    Kind::Environment
                }
                _ => Kind::Rejected,
            },
            _ => Kind::Rejected,
        };
        let fault = Self::of(kind, error.code(), error);
        match error {
            EngineError::Divergence { .. } => fault.hint(
                "nothing was proven; this is a defect or a processor that computes otherwise: \
                 please report it with the package digest and the input",
            ),
            EngineError::Drift(report) => fault.hint(format!(
                "{}take what was measured with --accept-drift {:.6}; uint8 times int8 saturates on \
                 processors without VNNI, and floats differ between processors",
                other_levels(report.level),
                (report.rate() * 1e6).ceil() / 1e6
            )),
            EngineError::Inexact(report) => fault.hint(format!(
                "{}--accept-drift 0 takes them as long as no output differs on the inputs compared",
                match report.level {
                    ReferenceLevel::Disabled | ReferenceLevel::Basic =>
                        "at --reference all the original's own runtime computes more nodes in \
                         integers; ",
                    ReferenceLevel::Extended | ReferenceLevel::All => "",
                }
            )),
            EngineError::CircuitDigest { .. } => {
                fault.hint("run `proofmark setup` with this version to make a package of its own")
            }
            _ => fault,
        }
    }
}

/// The other levels of the reference, as the beginning of a hint.
fn other_levels(level: ReferenceLevel) -> &'static str {
    match level {
        ReferenceLevel::Disabled => "compare with --reference all, or ",
        ReferenceLevel::Basic => "compare with --reference all or disabled, or ",
        ReferenceLevel::Extended | ReferenceLevel::All => {
            "compare with --reference basic or disabled, or "
        }
    }
}

impl From<&ValidationError> for Fault {
    fn from(error: &ValidationError) -> Self {
        let kind = match error {
            ValidationError::Onnx(error) => return error.into(),
            ValidationError::Ops(error) => return error.into(),
            ValidationError::Runtime(error) => return error.into(),
            ValidationError::RuntimeDivergence { .. } => Kind::Environment,
            ValidationError::Run { source, .. } => Self::from(source).kind,
            _ => Kind::Rejected,
        };
        Self::of(kind, error.code(), error)
    }
}

impl From<&OnnxError> for Fault {
    fn from(error: &OnnxError) -> Self {
        let kind = match error {
            OnnxError::Io { .. } | OnnxError::NotAFile { .. } => Kind::Environment,
            _ => Kind::Rejected,
        };
        Self::of(kind, error.code(), error)
    }
}

impl From<&OpsError> for Fault {
    fn from(error: &OpsError) -> Self {
        let kind = match error {
            OpsError::Unsupported(nodes) => {
                let nodes = nodes.iter();
                let parts = nodes.map(|n| [&n.node, &n.op_type, &n.reason, &n.remedy]);
                return Self::unsupported(error.code(), parts);
            }
            OpsError::Input { .. } | OpsError::InputCount { .. } => Kind::Request,
            _ => Kind::Rejected,
        };
        Self::of(kind, error.code(), error)
    }
}

impl From<&PackageError> for Fault {
    fn from(error: &PackageError) -> Self {
        let kind = match error {
            PackageError::Io { .. } | PackageError::Partial { .. } => Kind::Environment,
            PackageError::Exists { .. }
            | PackageError::Sealed { .. }
            | PackageError::Draft { .. } => Kind::Request,
            _ => Kind::Rejected,
        };
        Self::of(kind, error.code(), error)
    }
}

impl From<&RuntimeError> for Fault {
    fn from(error: &RuntimeError) -> Self {
        // A model that the runtime refuses is the model's fault; all else is a missing, damaged or
        // failing library.
        let kind = match error.code() {
            "model-refused" | "model-type" => Kind::Rejected,
            _ => Kind::Environment,
        };
        Self::of(kind, error.code(), error)
    }
}

impl From<&QuantizeError> for Fault {
    fn from(error: &QuantizeError) -> Self {
        let kind = match error {
            QuantizeError::Onnx(error) => return error.into(),
            QuantizeError::Runtime(error) => return error.as_ref().into(),
            QuantizeError::Unsupported(nodes) => {
                let nodes = nodes.iter();
                let parts = nodes.map(|n| [&n.name, &n.op_type, &n.reason, &n.remedy]);
                return Self::unsupported(error.code(), parts);
            }
            QuantizeError::Calibration { .. }
            | QuantizeError::Labels { .. }
            | QuantizeError::Samples { .. } => Kind::Request,
            _ => Kind::Rejected,
        };
        Self::of(kind, error.code(), error)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proofmark_types::Digest;
    use proofmark_types::manifest::{DriftSource, InexactRewrite, InputKind, ReferenceReport};

    use super::*;

    fn report(level: ReferenceLevel) -> ReferenceReport {
        let source = |inputs, compared, different| DriftSource {
            inputs,
            compared,
            different,
            largest_step: 2,
        };
        let rewrite = |node: &str| InexactRewrite {
            node: node.to_owned(),
            reason: "it rounds".to_owned(),
        };
        ReferenceReport {
            level,
            drift: vec![
                source(InputKind::Samples, 1000, 40),
                source(InputKind::Extremes, 30, 7),
                source(InputKind::Random, 0, 0),
            ],
            inexact: vec![rewrite("a"), rewrite("b")],
            accepted_drift: None,
        }
    }

    #[test]
    fn drift_names_its_worst_inputs_and_both_ways_out_once() {
        let fault = Fault::from(&EngineError::Drift(Box::new(report(ReferenceLevel::All))));
        let hint = fault.hint.clone().unwrap();
        for part in ["level \"all\"", "extremes", "7 of 30", "by up to 2"] {
            assert!(fault.message.contains(part), "{}", fault.message);
        }
        // 7/30, rounded up, is enough for what was measured.
        assert!(hint.contains("--accept-drift 0.233334"), "{hint}");
        assert!(hint.contains("--reference basic or disabled"), "{hint}");
        assert!(!fault.message.contains("accept"), "{}", fault.message);
        let disabled = report(ReferenceLevel::Disabled);
        let disabled = Fault::from(&EngineError::Drift(Box::new(disabled)));
        assert!(disabled.hint.unwrap().contains("--reference all"));
    }

    #[test]
    fn inexact_nodes_are_counted_in_words() {
        let mut one = report(ReferenceLevel::Basic);
        let two = Fault::from(&EngineError::Inexact(Box::new(one.clone())));
        assert!(two.message.starts_with("2 nodes of the original have no"));
        one.inexact.pop();
        let one = Fault::from(&EngineError::Inexact(Box::new(one)));
        assert!(one.message.starts_with("1 node of the original has no"));
        assert!(!one.message.contains("QOperator"));
        assert!(one.hint.unwrap().contains("--reference all"));
    }

    #[test]
    fn a_refused_original_is_tried_at_a_lower_level() {
        let fault = || {
            Fault::from(&RuntimeError::Model {
                source: "not implemented".into(),
            })
        };
        let hint = |level| fault().refused_at(level).hint.unwrap();
        assert!(hint(ReferenceLevel::All).contains("--reference basic or disabled"));
        assert!(hint(ReferenceLevel::Basic).contains("--reference disabled"));
        assert!(!hint(ReferenceLevel::Disabled).contains("--reference"));
        let other = Fault::from(&EngineError::AcceptedDrift);
        assert_eq!(other.refused_at(ReferenceLevel::All).hint, None);
    }

    #[test]
    fn the_material_the_caller_and_the_machine_are_told_apart() {
        let divergence = EngineError::Divergence {
            output: "y".to_owned(),
            index: 3,
            runtime: 7,
            circuit: 8,
        };
        let input = EngineError::Input {
            name: "x".to_owned(),
            reason: "is missing".to_owned(),
        };
        let elsewhere = EngineError::from(ValidationError::RuntimeDivergence {
            vector: 0,
            expected: Digest::of(b"there"),
            got: Digest::of(b"here"),
            machine: "x86_64 avx2".to_owned(),
        });
        let folder = PathBuf::from("p");
        let exists = EngineError::Package(PackageError::Exists { folder });
        let gone = EngineError::Package(PackageError::Io {
            action: "open",
            path: "p".into(),
            source: std::io::Error::other("gone"),
        });
        for (error, kind, code) in [
            (&elsewhere, Kind::Environment, "runtime-divergence"),
            (&divergence, Kind::Rejected, "engine-divergence"),
            (&input, Kind::Request, "input-mismatch"),
            (&exists, Kind::Request, "package-folder-not-empty"),
            (&gone, Kind::Environment, gone.code()),
        ] {
            let fault = Fault::from(error);
            assert_eq!((fault.kind, fault.code), (kind, code));
        }
        assert_eq!(Fault::from(&gone).causes, ["gone"]);
    }
}
