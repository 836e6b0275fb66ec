//! The models that are pinned.

use std::path::PathBuf;

use proofmark_http::catalogue::Named;
use proofmark_package::{MAX_FILE_BYTES, VERIFYING_KEY_FILE, attestations, read_bounded};
use proofmark_recipient::open_package;
use proofmark_types::attestation::SignedAttestation;
use proofmark_types::manifest::{MANIFEST_FILE, MAX_MANIFEST_BYTES, Manifest};
use proofmark_types::receipt::{MAX_ENVELOPE_BYTES, key_id};
use proofmark_types::{Digest, IntTensor};
use proofmark_verifier::TrustedPackage;

use crate::ProxyError;

/// A package's folder, of which manifest and verifying key are read, and the digest that pins it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedFolder {
    /// The folder.
    pub folder: PathBuf,
    /// The package digest, from a source that the operator trusts.
    pub digest: Digest,
}

/// A pinned model.
#[derive(Debug)]
pub struct Model {
    package: TrustedPackage,
    attestations: Vec<SignedAttestation>,
    /// Largest answer that is read.
    answer_limit: usize,
}

impl Model {
    /// Opens a pinned package. Each of these auditors must have attested it, in a file of the
    /// folder's `attestations`; what others attest is not looked at.
    ///
    /// # Errors
    /// [`ProxyError::File`], [`ProxyError::Package`].
    pub fn open(pinned: &PinnedFolder, auditors: &[[u8; 32]]) -> Result<Self, ProxyError> {
        let folder = &pinned.folder;
        let manifest = read_bounded(&folder.join(MANIFEST_FILE), MAX_MANIFEST_BYTES as u64)?;
        let key = read_bounded(&folder.join(VERIFYING_KEY_FILE), MAX_FILE_BYTES)?;
        let refused = |source| ProxyError::Package {
            folder: folder.clone(),
            source: Box::new(source),
        };
        let package = open_package(pinned.digest, &manifest, &key).map_err(refused)?;
        let mut given = Vec::new();
        if !auditors.is_empty() {
            let ids: Vec<Digest> = auditors.iter().map(key_id).collect();
            for bytes in attestations(folder)?.into_values() {
                if SignedAttestation::parse(&bytes).is_ok_and(|a| ids.contains(&a.key_id())) {
                    given.push(bytes);
                }
            }
        }
        let attestations = package
            .check_attestations(&given, auditors)
            .map_err(|rejection| refused(rejection.into()))?;
        Ok(Self {
            answer_limit: answer_limit(package.manifest()),
            package,
            attestations,
        })
    }

    /// The package.
    pub fn package(&self) -> &TrustedPackage {
        &self.package
    }

    /// What the demanded auditors attest of it.
    pub fn attestations(&self) -> &[SignedAttestation] {
        &self.attestations
    }

    pub(crate) fn answer_limit(&self) -> usize {
        self.answer_limit
    }

    /// Under which path of the protocol the model is, in its pinned version.
    pub(crate) fn path(&self) -> String {
        // Names and versions are safe in file names, and so in paths.
        let Manifest { name, version, .. } = self.package.manifest();
        format!("/v2/models/{name}/versions/{version}")
    }
}

impl Named for Model {
    fn manifest(&self) -> &Manifest {
        self.package.manifest()
    }
}

/// Bytes of an answer beside its tensors: the proof, digests, the proof of logging.
const FRAME_BYTES: usize = 1 << 20;
/// Bytes that an element of a tensor takes at most: four bytes in base64 twice in the receipt, and in
/// decimal digits and for each view as a float or a label in the outputs.
const ELEMENT_BYTES: usize = 512;

/// Largest answer that a model can have: who sends more is not read to the end.
fn answer_limit(manifest: &Manifest) -> usize {
    let inputs = manifest.inputs.iter().map(|input| &input.shape);
    let shapes = inputs.chain(manifest.outputs.iter().map(|output| &output.shape));
    shapes
        .map(|shape| shape.iter().fold(1_usize, |n, d| n.saturating_mul(*d)))
        .fold(FRAME_BYTES, |bytes, elements| {
            bytes.saturating_add(elements.saturating_mul(ELEMENT_BYTES))
        })
        .min(4 * MAX_ENVELOPE_BYTES)
}

/// Named tensors in the manifest's order.
pub(crate) type Tensors = Vec<(String, IntTensor)>;
