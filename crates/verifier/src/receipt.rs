//! A receipt against the package that the verifier has pinned.

use proofmark_types::manifest::{Manifest, SetupKind};
use proofmark_types::receipt::{Envelope, Opening, Receipt, TensorRecord, key_id};
use proofmark_types::statement::{LayoutTensor, PublicLayout, Role, statement_digest};
use proofmark_types::{Context, Digest, Fr};

use crate::groth16::PreparedKey;
use crate::key::decode_verifying_key;
use crate::opening::check_openings;
use crate::proof::CheckedProof;
use crate::rejection::Rejection;

/// What the verifier trusts before it sees anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    /// Digest of the sealed package's manifest. Mandatory: an unpinned package proves only itself.
    pub package: Digest,
    /// Raw Ed25519 public keys of known services. May be empty: the proof does not rest on them.
    pub signers: Vec<[u8; 32]>,
}

impl Pins {
    /// Pins a package and no service.
    pub const fn package(package: Digest) -> Self {
        Self {
            package,
            signers: Vec::new(),
        }
    }
}

/// What the verifier asks of one receipt beyond being true.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expectations {
    /// The whole context.
    pub context: Option<Context>,
    /// The context's nonce.
    pub nonce: Option<[u8; 32]>,
    /// Raw Ed25519 public key of the service that must have signed.
    pub signer: Option<[u8; 32]>,
    /// Values of hashed or private tensors, to be compared with their commitments.
    pub openings: Vec<Opening>,
}

/// What is known of the signature of a receipt that was accepted. A wrong signature is a
/// rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureVerdict {
    /// Valid, by a pinned or expected key.
    ValidPinned {
        /// SHA-256 of the public key.
        key_id: Digest,
    },
    /// Valid, by a key that the verifier knows nothing about: software, time and signer are claims
    /// of nobody in particular. The proof stands all the same.
    ValidUnpinned {
        /// SHA-256 of the public key.
        key_id: Digest,
    },
}

/// An accepted receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// SHA-256 of the signed payload.
    pub receipt_id: Digest,
    /// What was proven; key replay protection by this and never by proof bytes.
    pub statement_digest: Digest,
    /// The signature.
    pub signature: SignatureVerdict,
    /// How the keys were made: of `single-party` keys the maker could forge.
    pub setup_kind: SetupKind,
    /// Public inputs that the proof was checked with.
    pub public_inputs: Vec<Fr>,
    /// Names of the tensors whose openings were checked.
    pub opened: Vec<String>,
    /// The receipt.
    pub receipt: Receipt,
}

/// A receipt that passed every check but the proof's equation: what it claims is not yet proven.
pub(crate) struct Unproven {
    /// The verdict, should the equation hold.
    pub(crate) claimed: Verdict,
    /// The proof, its points checked.
    pub(crate) proof: CheckedProof,
}

/// A package that was pinned, with everything that verifying many of its receipts shares.
#[derive(Debug, Clone)]
pub struct TrustedPackage {
    digest: Digest,
    signers: Vec<[u8; 32]>,
    manifest: Manifest,
    sealed: proofmark_types::manifest::Sealed,
    layout: PublicLayout,
    key: PreparedKey,
}

impl TrustedPackage {
    /// Checks that the manifest is the pinned one and sealed, and that the verifying key is its.
    ///
    /// # Errors
    /// [`Rejection`], among them `package-not-pinned`, `package-not-sealed`,
    /// `verifying-key-mismatch`, `key-degenerate`, `key-public-inputs-mismatch`.
    pub fn open(pins: &Pins, manifest: &[u8], verifying_key: &[u8]) -> Result<Self, Rejection> {
        let digest = Digest::of(manifest);
        if digest != pins.package {
            return Err(Rejection::PackageNotPinned {
                what: "manifest",
                pinned: pins.package,
                got: digest,
            });
        }
        let manifest = Manifest::parse(manifest)?;
        let sealed = manifest.sealed.clone().ok_or(Rejection::PackageNotSealed)?;
        if Digest::of(verifying_key) != sealed.verifying_key.digest
            || u64::try_from(verifying_key.len()) != Ok(sealed.verifying_key.bytes)
        {
            return Err(Rejection::VerifyingKeyMismatch {
                what: "the given key",
            });
        }
        let key = PreparedKey::of_checked(&decode_verifying_key(verifying_key)?)?;
        if key.backend() != manifest.compiler.backend {
            return Err(Rejection::ProofSystemMismatch {
                what: "verifying key",
                expected: manifest.compiler.backend,
                got: key.backend(),
            });
        }
        let layout = manifest.layout()?;
        if u64::try_from(layout.len()) != Ok(sealed.circuit.public_inputs) {
            return Err(Rejection::CircuitMismatch {
                field: "number of public inputs",
            });
        }
        if key.public_inputs() != layout.len() {
            return Err(Rejection::KeyPublicInputs {
                expected: key.public_inputs(),
                got: layout.len(),
            });
        }
        Ok(Self {
            digest,
            signers: pins.signers.clone(),
            manifest,
            sealed,
            layout,
            key,
        })
    }

    /// The pinned digest.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The manifest.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Order and encoding of the public inputs.
    pub const fn layout(&self) -> &PublicLayout {
        &self.layout
    }

    /// The prepared verifying key.
    pub const fn key(&self) -> &PreparedKey {
        &self.key
    }

    /// Verifies a receipt: strict form, every member against the manifest, the expectations, the
    /// signature, the public inputs recomputed from its tensors, and the proof; cheap checks first.
    /// For many receipts see [`verify_many`](Self::verify_many).
    ///
    /// # Errors
    /// The first [`Rejection`] found.
    pub fn verify(
        &self,
        envelope: &[u8],
        expectations: &Expectations,
    ) -> Result<Verdict, Rejection> {
        let Unproven { claimed, proof } = self.admit(envelope, expectations)?;
        self.key.verify_checked(&claimed.public_inputs, &proof)?;
        Ok(claimed)
    }

    /// All of [`verify`](Self::verify) but the proof's equation.
    pub(crate) fn admit(
        &self,
        envelope: &[u8],
        expectations: &Expectations,
    ) -> Result<Unproven, Rejection> {
        let envelope = Envelope::parse(envelope)?;
        let receipt = envelope.receipt();
        self.check_members(receipt)?;
        if expectations
            .context
            .is_some_and(|expected| expected != receipt.context)
        {
            return Err(Rejection::ContextMismatch { field: "context" });
        }
        if expectations
            .nonce
            .is_some_and(|expected| expected != receipt.context.nonce)
        {
            return Err(Rejection::ContextMismatch { field: "nonce" });
        }
        let got = envelope.key_id();
        if let Some(expected) = expectations.signer.filter(|key| *key != receipt.signer) {
            return Err(Rejection::SignerMismatch {
                expected: key_id(&expected),
                got,
            });
        }
        envelope.verify_signature()?;
        let pinned = expectations.signer.is_some() || self.signers.contains(&receipt.signer);
        let signature = if pinned {
            SignatureVerdict::ValidPinned { key_id: got }
        } else {
            SignatureVerdict::ValidUnpinned { key_id: got }
        };
        if receipt.proof.backend() != self.key.backend() {
            return Err(Rejection::ProofSystemMismatch {
                what: "proof",
                expected: self.key.backend(),
                got: receipt.proof.backend(),
            });
        }
        let opened = check_openings(&envelope, &expectations.openings)?;
        let public_inputs = receipt.public_inputs(&self.layout)?;
        let proof = CheckedProof::decode(&receipt.proof)?;
        let claimed = Verdict {
            receipt_id: envelope.receipt_id(),
            statement_digest: statement_digest(&self.digest, &public_inputs),
            signature,
            setup_kind: self.sealed.setup_kind,
            public_inputs,
            opened,
            receipt: receipt.clone(),
        };
        Ok(Unproven { claimed, proof })
    }

    /// Every member that the manifest fixes.
    fn check_members(&self, receipt: &Receipt) -> Result<(), Rejection> {
        let Receipt {
            package,
            model,
            circuit,
            verifying_key,
            setup,
            runtime,
            // claims of the signer, bound by the signature alone
            software: _,
            proved_at: _,
            signer: _,
            // bound by the proof
            context: _,
            proof: _,
            inputs,
            outputs,
        } = receipt;
        if *package != self.digest {
            return Err(Rejection::PackageNotPinned {
                what: "receipt",
                pinned: self.digest,
                got: *package,
            });
        }
        if model.name != self.manifest.name {
            return Err(Rejection::ModelMismatch { field: "name" });
        }
        if model.version != self.manifest.version {
            return Err(Rejection::ModelMismatch { field: "version" });
        }
        if model.integer_model != self.manifest.integer_model.digest {
            return Err(Rejection::ModelMismatch {
                field: "integerModel",
            });
        }
        if *circuit != self.sealed.circuit.digest {
            return Err(Rejection::CircuitMismatch { field: "digest" });
        }
        if *verifying_key != self.sealed.verifying_key.digest {
            return Err(Rejection::VerifyingKeyMismatch {
                what: "the receipt's key",
            });
        }
        if setup.kind != self.sealed.setup_kind {
            return Err(Rejection::SetupMismatch { field: "kind" });
        }
        if setup.transcript != self.sealed.transcript.digest {
            return Err(Rejection::SetupMismatch {
                field: "transcript",
            });
        }
        if *runtime != self.manifest.runtime {
            return Err(Rejection::RuntimeMismatch);
        }
        check_tensors(Role::Input, self.layout.inputs(), inputs)?;
        check_tensors(Role::Output, self.layout.outputs(), outputs)
    }
}

fn check_tensors(
    role: Role,
    specs: &[LayoutTensor],
    records: &[TensorRecord],
) -> Result<(), Rejection> {
    let refuse = |index, field| Err(Rejection::TensorMismatch { role, index, field });
    for (index, (spec, record)) in specs.iter().zip(records).enumerate() {
        if spec.name != record.name {
            return refuse(index, "name");
        }
        if spec.elem != record.elem {
            return refuse(index, "element type");
        }
        if spec.shape != record.shape {
            return refuse(index, "shape");
        }
        if spec.visibility != record.visibility() {
            return refuse(index, "visibility");
        }
    }
    if specs.len() != records.len() {
        return refuse(specs.len().min(records.len()), "presence");
    }
    Ok(())
}

/// Verifies one receipt against a pinned package. For many receipts of one package, open a
/// [`TrustedPackage`] once.
///
/// # Errors
/// As [`TrustedPackage::open`] and [`TrustedPackage::verify`].
pub fn verify_receipt(
    envelope: &[u8],
    pins: &Pins,
    manifest: &[u8],
    verifying_key: &[u8],
    expectations: &Expectations,
) -> Result<Verdict, Rejection> {
    TrustedPackage::open(pins, manifest, verifying_key)?.verify(envelope, expectations)
}
