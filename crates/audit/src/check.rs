//! The checks of an audit. Every report has a finding for each of them, in this order.

use serde::{Serialize, Serializer};

/// The part of an audit that a check belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The package's files.
    Package,
    /// Model to circuit.
    Circuit,
    /// Circuit to keys.
    Setup,
    /// What was proven.
    Receipts,
    /// What was made public.
    Log,
    /// Some inferences, computed again.
    Samples,
    /// Float model against integer model.
    Accuracy,
}

impl Step {
    /// Every step, in the order of a report.
    pub const ALL: &'static [Self] = &[
        Self::Package,
        Self::Circuit,
        Self::Setup,
        Self::Receipts,
        Self::Log,
        Self::Samples,
        Self::Accuracy,
    ];

    /// What the step is about, for a heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Package => "The package",
            Self::Circuit => "From the model to the circuit",
            Self::Setup => "From the circuit to the keys",
            Self::Receipts => "The receipts",
            Self::Log => "The transparency log",
            Self::Samples => "Inferences computed again",
            Self::Accuracy => "The float model and the integer model",
        }
    }
}

macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident $id:literal $step:ident $title:literal),* $(,)?) => {
        /// A question that an audit asks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Check {
            $($(#[$doc])* $name,)*
        }

        impl Check {
            /// Every check, in the order of a report.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Stable kebab-case id.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// The step that it belongs to.
            pub const fn step(self) -> Step {
                match self { $(Self::$name => Step::$step,)* }
            }

            /// The question, for people.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

checks! {
    /// The folder's manifest has the digest that the auditor pinned.
    PackagePinned "package-pinned" Package
        "Is this the package that was asked for?",
    /// The manifest is in its strict form and sealed.
    PackageManifest "package-manifest" Package
        "Is the manifest well formed and sealed?",
    /// Every file is the one that the manifest describes.
    PackageFiles "package-files" Package
        "Is every file the one that the manifest describes?",
    /// The report of the translation's validation is of this model and circuit.
    PackageTranslation "package-translation" Package
        "Was the circuit's arithmetic compared with ONNX Runtime's when the package was made?",
    /// The integer model can be read, and has the manifest's tensors.
    CircuitModel "circuit-model" Circuit
        "Does the integer model have the inputs and outputs that the manifest states?",
    /// The circuit compiled here is the manifest's.
    CircuitDigest "circuit-digest" Circuit
        "Is the circuit that was proven the one of this model?",
    /// The verifying key is the manifest's, well formed, and fits the public inputs.
    VerifyingKey "verifying-key" Setup
        "Is the verifying key sound in form?",
    /// The transcript names this circuit and these keys.
    SetupTranscript "setup-transcript" Setup
        "Is the setup's transcript about this circuit and these keys?",
    /// How the keys were made.
    SetupKind "setup-kind" Setup
        "Were the keys made as the manifest says, and who could forge under them?",
    /// The proving key is the manifest's, well formed, and holds the verifying key.
    ProvingKey "proving-key" Setup
        "Do proving key and verifying key belong together?",
    /// A proof made with the proving key for the recompiled circuit verifies.
    KeyProvesCircuit "key-proves-circuit" Setup
        "Were the keys made for this circuit?",
    /// Every receipt is in its strict form.
    ReceiptsForm "receipts-form" Receipts
        "Is every receipt in its one byte form?",
    /// Every receipt is of this package, model, circuit and key.
    ReceiptsPackage "receipts-package" Receipts
        "Is every receipt of this package, model, circuit and key?",
    /// Every signature is right.
    ReceiptsSignature "receipts-signature" Receipts
        "Is every signature right?",
    /// Every receipt was signed by a service key that the auditor trusts.
    ReceiptsSigner "receipts-signer" Receipts
        "Did the service sign every receipt?",
    /// Every proof verifies for the public inputs recomputed from its receipt.
    ReceiptsProof "receipts-proof" Receipts
        "Does every proof show that the model computed these outputs from these inputs?",
    /// No two receipts share a context.
    ReceiptsUnique "receipts-unique" Receipts
        "Was every request answered once?",
    /// Receipts of the same inputs have the same outputs.
    ReceiptsAgree "receipts-agree" Receipts
        "Do receipts of the same inputs show the same outputs?",
    /// What the auditor was told of hidden tensors is what the receipts commit to.
    ReceiptsOpenings "receipts-openings" Receipts
        "Are the values behind hidden inputs and outputs those that the auditor was given?",
    /// No proof was made after its context's deadline.
    ReceiptsDeadline "receipts-deadline" Receipts
        "Was every proof made before its deadline?",
    /// No receipt is from the future, or from before the package.
    ReceiptsTime "receipts-time" Receipts
        "Are the times that the receipts state possible?",
    /// The log's checkpoints are signed by its key.
    LogSignature "log-signature" Log
        "Are the log's checkpoints signed by the log?",
    /// Checkpoints and entries make one append-only tree.
    LogConsistency "log-consistency" Log
        "Is the log append-only: do all checkpoints show one history?",
    /// Witnesses that the auditor trusts cosigned the log, as far as the receipts reach.
    LogWitnesses "log-witnesses" Log
        "Did the auditor's witnesses see the same log?",
    /// Every accepted receipt is in the log.
    LogInclusion "log-inclusion" Log
        "Is every receipt in the log?",
    /// Every receipt that the log has of this package was given to the auditor.
    LogComplete "log-complete" Log
        "Was the auditor given every receipt that the log has of this package?",
    /// Times grow with the log.
    LogOrder "log-order" Log
        "Do the times of the receipts agree with their order in the log?",
    /// Nothing that was revoked was used afterwards.
    LogRevocations "log-revocations" Log
        "Was nothing used after it was revoked?",
    /// ONNX Runtime computes here what the validated translation says.
    SamplesTranslation "samples-translation" Samples
        "Does ONNX Runtime compute here what it computed where the package was made?",
    /// ONNX Runtime computes the outputs of the sampled receipts.
    SamplesRuntime "samples-runtime" Samples
        "Does ONNX Runtime compute the outputs of the sampled receipts?",
    /// The integer evaluator computes the outputs of the sampled receipts.
    SamplesEvaluator "samples-evaluator" Samples
        "Does the circuit's evaluator compute the outputs of the sampled receipts?",
    /// The float model is the manifest's.
    AccuracyModel "accuracy-model" Accuracy
        "Is the float model the one that the package was made from?",
    /// Accuracy of both models on the auditor's own data.
    Accuracy "accuracy" Accuracy
        "Is the integer model as good as the float model on the auditor's own data?",
    /// The manifest's figures, on the auditor's own data.
    AccuracyClaim "accuracy-claim" Accuracy
        "Do the figures that the manifest claims hold on the auditor's own data?",
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_have_ids_of_their_own_and_stand_in_the_order_of_the_steps() {
        let mut ids: Vec<&str> = Check::ALL.iter().map(|check| check.id()).collect();
        assert!(Check::ALL.is_sorted_by_key(|check| check.step()));
        assert!(Check::ALL.is_sorted());
        assert!(Check::ALL.iter().all(|check| check.title().ends_with('?')));
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), Check::ALL.len());
        for id in ids {
            assert!(
                id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{id}"
            );
        }
    }
}
