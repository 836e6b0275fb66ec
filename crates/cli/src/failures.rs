//! Which exit code an error of the parts below stands for.

use proofmark_ceremony::CeremonyError;
use proofmark_engine::EngineError;
use proofmark_onnx::OnnxError;
use proofmark_ops::OpsError;
use proofmark_package::PackageError;
use proofmark_quantizer::QuantizeError;
use proofmark_runtime::RuntimeError;
use proofmark_types::manifest::ReferenceLevel;
use proofmark_validation::ValidationError;
use proofmark_verify::{Exit, Failure};
use serde_json::json;

/// An error with a place among the exit codes.
pub(crate) trait Fail {
    /// The failure that a command ends with.
    fn fail(&self) -> Failure;
}

/// Turns the error of a result into a [`Failure`].
pub(crate) trait OrFail<T> {
    /// The value, or the failure.
    fn or_fail(self) -> Result<T, Failure>;
}

impl<T, E: Fail> OrFail<T> for Result<T, E> {
    fn or_fail(self) -> Result<T, Failure> {
        self.map_err(|error| error.fail())
    }
}

impl Fail for EngineError {
    fn fail(&self) -> Failure {
        let exit = match self {
            Self::Onnx(error) => return error.fail(),
            Self::Ops(error) => return error.fail(),
            Self::Package(error) => return error.fail(),
            Self::Runtime(error) => return error.fail(),
            Self::Quantize(error) => return error.fail(),
            Self::Validation(error) => return error.fail(),
            Self::Input { .. } | Self::AcceptedDrift => Exit::Usage,
            Self::ServiceKey { .. } | Self::Randomness { .. } | Self::OwnReceipt(_) => {
                Exit::Environment
            }
            Self::Prover(error) => match error.code() {
                "key-io" | "randomness-unavailable" | "proof-self-verification" => {
                    Exit::Environment
                }
                _ => Exit::Rejected,
            },
            _ => Exit::Rejected,
        };
        let failure = Failure::of(exit, self.code(), self);
        match self {
            Self::Divergence { .. } => failure.hint(
                "nothing was proven; this is a defect or a processor that computes otherwise: \
                 please report it with the package digest and the input",
            ),
            Self::Drift(report) => failure.hint(format!(
                "{}take what was measured with --accept-drift {:.6}; uint8 times int8 saturates on \
                 processors without VNNI, and floats differ between processors",
                other_levels(report.level),
                (report.rate() * 1e6).ceil() / 1e6
            )),
            Self::Inexact(report) => failure.hint(format!(
                "{}--accept-drift 0 takes them as long as no output differs on the inputs compared",
                match report.level {
                    ReferenceLevel::Disabled | ReferenceLevel::Basic =>
                        "at --reference all the original's own runtime computes more nodes in \
                         integers; ",
                    ReferenceLevel::Extended | ReferenceLevel::All => "",
                }
            )),
            Self::CircuitDigest { .. } => {
                failure.hint("run `proofmark setup` with this version to make a package of its own")
            }
            _ => failure,
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

/// With what helps when ONNX Runtime refuses an original at the level of the reference.
pub(crate) fn refused_at(failure: Failure, level: ReferenceLevel) -> Failure {
    if failure.code != "model-refused" {
        return failure;
    }
    match level {
        ReferenceLevel::Disabled => failure.hint(
            "ONNX Runtime does not load the model even unoptimised: what it says against it is above",
        ),
        ReferenceLevel::Basic => {
            failure.hint("ONNX Runtime optimised the model before: try --reference disabled")
        }
        ReferenceLevel::Extended | ReferenceLevel::All => failure
            .hint("ONNX Runtime optimised the model before: try --reference basic or disabled"),
    }
}

impl Fail for ValidationError {
    fn fail(&self) -> Failure {
        let exit = match self {
            Self::Onnx(error) => return error.fail(),
            Self::Ops(error) => return error.fail(),
            Self::Runtime(error) => return error.fail(),
            Self::RuntimeDivergence { .. } => Exit::Environment,
            Self::Run { source, .. } => source.fail().exit,
            _ => Exit::Rejected,
        };
        Failure::of(exit, self.code(), self)
    }
}

impl Fail for OnnxError {
    fn fail(&self) -> Failure {
        let exit = match self {
            Self::Io { .. } | Self::NotAFile { .. } => Exit::Environment,
            _ => Exit::Rejected,
        };
        Failure::of(exit, self.code(), self)
    }
}

impl Fail for OpsError {
    fn fail(&self) -> Failure {
        let exit = match self {
            Self::Unsupported(nodes) => {
                let nodes = nodes.iter();
                let parts = nodes.map(|n| [&n.node, &n.op_type, &n.reason, &n.remedy]);
                return unsupported(self.code(), parts);
            }
            Self::Input { .. } | Self::InputCount { .. } => Exit::Usage,
            _ => Exit::Rejected,
        };
        Failure::of(exit, self.code(), self)
    }
}

impl Fail for CeremonyError {
    fn fail(&self) -> Failure {
        let exit = match self.code() {
            "ceremony-io" | "key-io" | "randomness-unavailable" => Exit::Environment,
            "ceremony-name-invalid" | "beacon-unusable" => Exit::Usage,
            _ => Exit::Rejected,
        };
        Failure::of(exit, self.code(), self)
    }
}

impl Fail for PackageError {
    fn fail(&self) -> Failure {
        let exit = match self {
            Self::Io { .. } => Exit::Environment,
            Self::Exists { .. } | Self::Sealed { .. } | Self::Draft { .. } => Exit::Usage,
            _ => Exit::Rejected,
        };
        Failure::of(exit, self.code(), self)
    }
}

impl Fail for RuntimeError {
    fn fail(&self) -> Failure {
        // A model that the runtime refuses is the model's fault; all else is a missing, damaged or
        // failing library.
        let exit = match self.code() {
            "model-refused" | "model-type" => Exit::Rejected,
            _ => Exit::Environment,
        };
        Failure::of(exit, self.code(), self)
    }
}

impl Fail for QuantizeError {
    fn fail(&self) -> Failure {
        match self {
            Self::Onnx(error) => error.fail(),
            Self::Runtime(error) => error.fail(),
            Self::Unsupported(nodes) => {
                let nodes = nodes.iter();
                let parts = nodes.map(|n| [&n.name, &n.op_type, &n.reason, &n.remedy]);
                unsupported(self.code(), parts)
            }
            Self::Calibration { .. } | Self::Labels { .. } | Self::Samples { .. } => {
                Failure::of(Exit::Usage, self.code(), self)
            }
            _ => Failure::of(Exit::Rejected, self.code(), self),
        }
    }
}

/// A model that cannot be proven: every node that stands in the way, with its name, operator, the
/// reason and the remedy.
fn unsupported<'n>(code: &str, nodes: impl Iterator<Item = [&'n String; 4]>) -> Failure {
    let mut causes = Vec::new();
    let mut list = Vec::new();
    for [node, op_type, reason, remedy] in nodes {
        causes.push(format!("{op_type} {node:?}: {reason}; {remedy}"));
        list.push(json!({
            "node": node,
            "op_type": op_type,
            "reason": reason,
            "remedy": remedy,
        }));
    }
    let message = match list.len() {
        1 => "1 node of the model cannot be proven".to_owned(),
        count => format!("{count} nodes of the model cannot be proven"),
    };
    let mut failure = Failure::new(Exit::Rejected, code, message);
    failure.causes = causes;
    failure.member("unsupported", json!(list))
}

#[cfg(test)]
mod tests {
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
        let failure = EngineError::Drift(Box::new(report(ReferenceLevel::All))).fail();
        let hint = failure.hint.clone().unwrap();
        for part in ["level \"all\"", "extremes", "7 of 30", "by up to 2"] {
            assert!(failure.message.contains(part), "{}", failure.message);
        }
        // 7/30, rounded up, is enough for what was measured.
        assert!(hint.contains("--accept-drift 0.233334"), "{hint}");
        assert!(hint.contains("--reference basic or disabled"), "{hint}");
        assert!(!failure.message.contains("accept"), "{}", failure.message);
        let disabled = EngineError::Drift(Box::new(report(ReferenceLevel::Disabled))).fail();
        assert!(disabled.hint.unwrap().contains("--reference all"));
    }

    #[test]
    fn inexact_nodes_are_counted_in_words() {
        let mut one = report(ReferenceLevel::Basic);
        let two = EngineError::Inexact(Box::new(one.clone())).fail();
        assert!(two.message.starts_with("2 nodes of the original have no"));
        one.inexact.pop();
        let one = EngineError::Inexact(Box::new(one)).fail();
        assert!(one.message.starts_with("1 node of the original has no"));
        assert!(!one.message.contains("QOperator"));
        assert!(one.hint.unwrap().contains("--reference all"));
    }

    #[test]
    fn a_refused_original_is_tried_at_a_lower_level() {
        let error = || RuntimeError::Model {
            source: "not implemented".into(),
        };
        let hint = |level| refused_at(error().fail(), level).hint.unwrap();
        assert!(hint(ReferenceLevel::All).contains("--reference basic or disabled"));
        assert!(hint(ReferenceLevel::Basic).contains("--reference disabled"));
        assert!(!hint(ReferenceLevel::Disabled).contains("--reference"));
        let other = Failure::new(Exit::Rejected, "model-inexact", "m");
        assert_eq!(refused_at(other, ReferenceLevel::All).hint, None);
    }

    #[test]
    fn exit_codes_tell_the_material_the_caller_and_the_machine_apart() {
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
        assert_eq!(elsewhere.fail().exit, Exit::Environment);
        assert_eq!(elsewhere.fail().code, "runtime-divergence");
        let folder = std::path::PathBuf::from("p");
        let exists = EngineError::Package(PackageError::Exists { folder });
        let missing = PackageError::Io {
            action: "open",
            path: "p".into(),
            source: std::io::Error::other("gone"),
        };
        let gone = EngineError::Package(missing).fail();
        assert_eq!(divergence.fail().exit, Exit::Rejected);
        assert_eq!(divergence.fail().code, "engine-divergence");
        assert_eq!(input.fail().exit, Exit::Usage);
        assert_eq!(exists.fail().exit, Exit::Usage);
        assert_eq!(gone.exit, Exit::Environment);
        assert_eq!(gone.causes, ["gone"]);
    }
}
