//! What a registry of models after ERC-7992 is told of a package.

use proofmark_types::manifest::Backend;
use proofmark_types::{Digest, PublicLayout};
use proofmark_verifier::{Pins, Rejection, TrustedPackage};

use crate::EvmError;

/// A commitment to a model without its URI, and what its owner declares of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisteredModel {
    /// `modelHash`: the package digest.
    pub package: Digest,
    /// `circuitHash`: the circuit digest.
    pub circuit: Digest,
    /// `vkHash`: SHA-256 of the verifying key.
    pub verifying_key: Digest,
    /// `proofSystemId` is its [`Backend::proof_system_id`].
    pub backend: Backend,
    /// For `declareInputs`: how many public inputs are inputs of the model; at least one. The context
    /// before them is not counted.
    pub inputs: usize,
}

impl RegisteredModel {
    /// The model of a sealed package, checked against its pinned digest.
    ///
    /// # Errors
    /// [`EvmError::Rejected`] when manifest or key are not the pinned package's.
    pub fn of_package(
        pinned: Digest,
        manifest: &[u8],
        verifying_key: &[u8],
    ) -> Result<Self, EvmError> {
        let package = TrustedPackage::open(&Pins::package(pinned), manifest, verifying_key)?;
        let manifest = package.manifest();
        let sealed = manifest.sealed.as_ref();
        let sealed = sealed.ok_or(Rejection::PackageNotSealed)?;
        // What is left without the outputs is the context and the inputs.
        let inputs = PublicLayout::new(package.layout().inputs().to_vec(), Vec::new())
            .map_err(Rejection::from)?;
        Ok(Self {
            package: pinned,
            circuit: sealed.circuit.digest,
            verifying_key: sealed.verifying_key.digest,
            backend: manifest.compiler.backend,
            inputs: inputs.len().saturating_sub(1),
        })
    }
}
