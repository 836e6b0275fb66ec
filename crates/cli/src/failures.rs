//! Which exit code an error of the parts below stands for.

use proofmark_ceremony::CeremonyError;
use proofmark_engine::{EngineError, Fault};
use proofmark_onnx::OnnxError;
use proofmark_ops::OpsError;
use proofmark_package::PackageError;
use proofmark_quantizer::QuantizeError;
use proofmark_recipient::Kind;
use proofmark_runtime::RuntimeError;
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

/// The failure that a fault of the engine, or of a part below it, ends a command with.
pub(crate) fn failure(fault: Fault) -> Failure {
    let exit = match fault.kind {
        Kind::Rejected => Exit::Rejected,
        Kind::Request => Exit::Usage,
        Kind::Environment => Exit::Environment,
    };
    let mut failure = Failure::new(exit, fault.code, fault.message);
    failure.causes = fault.causes;
    failure.hint = fault.hint;
    if fault.unsupported.is_empty() {
        failure
    } else {
        failure.member("unsupported", json!(fault.unsupported))
    }
}

macro_rules! fail_as_fault {
    ($($error:ty),*) => {
        $(impl Fail for $error {
            fn fail(&self) -> Failure {
                failure(Fault::from(self))
            }
        })*
    };
}

fail_as_fault!(
    EngineError,
    ValidationError,
    OnnxError,
    OpsError,
    PackageError,
    RuntimeError,
    QuantizeError
);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_tell_the_material_the_caller_and_the_machine_apart() {
        let exists = PackageError::Exists { folder: "p".into() };
        assert_eq!(exists.fail().exit, Exit::Usage);
        let missing = PackageError::Io {
            action: "open",
            path: "p".into(),
            source: std::io::Error::other("gone"),
        };
        assert_eq!(missing.fail().exit, Exit::Environment);
        assert_eq!(missing.fail().causes, ["gone"]);
        let key = EngineError::Randomness {
            reason: "no".to_owned(),
        };
        assert_eq!(key.fail().exit, Exit::Environment);
        assert_eq!(key.fail().code, "no-randomness");
        let model = RuntimeError::Model {
            source: "not implemented".into(),
        };
        assert_eq!(model.fail().exit, Exit::Rejected);
    }
}
