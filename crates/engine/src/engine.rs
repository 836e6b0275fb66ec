//! A loaded package: one model, ready to prove.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ark_bn254::Fr;
use ark_ff::PrimeField;
use ed25519_dalek::SigningKey;
use proofmark_gadgets::{Challenger, Circuit, LowerError};
use proofmark_ops::{Plan, Salts, TensorInfo};
use proofmark_package::Package;
use proofmark_prover::{Prover, ProverOptions, SetupRecord, TableFiles, Transcript, key_file};
use proofmark_runtime::{IntSession, OptLevel};
use proofmark_tensor::IntTensor;
use proofmark_types::Digest;
use proofmark_types::context::Context;
use proofmark_types::field::fr_to_bytes;
use proofmark_types::manifest::{Manifest, Sealed, SetupKind, Visibility};
use proofmark_types::receipt::{
    Envelope, ModelRef, Receipt, RecordValue, SetupRef, Software, TensorRecord,
};
use proofmark_validation::{TranslationReport, check_report, recheck};
use proofmark_verifier::{Expectations, Pins, TrustedPackage, encode_proof};
use zeroize::Zeroizing;

use crate::error::EngineError;
use crate::seal::{circuit_backend, plan_package};

/// One inference to run and prove.
#[derive(Debug, Clone)]
pub struct ProveRequest {
    /// One integer tensor for each input of the manifest.
    pub inputs: BTreeMap<String, IntTensor>,
    /// What the proof is bound to.
    pub context: Context,
    /// Unix seconds, written into the receipt as the service's claim.
    pub proved_at: u64,
}

/// A part of one proven inference, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// ONNX Runtime runs the integer model.
    Runtime,
    /// The model is evaluated again and the witness filled; the three are compared.
    Witness,
    /// The proof is made.
    Proving,
    /// The receipt is signed and verified as its recipient will.
    Receipt,
}

/// What opens the commitment to a private tensor. For the caller alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Name of the input or output.
    pub tensor: String,
    /// The salt, a field element as 32 bytes big-endian.
    pub salt: [u8; 32],
}

/// How long each part of one proven inference took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// ONNX Runtime.
    pub runtime: Duration,
    /// Integer evaluation and witness, without the commitment.
    pub witness: Duration,
    /// Proof, with its commitment.
    pub proving: Duration,
    /// Receipt, signed and verified as its recipient will.
    pub receipt: Duration,
}

/// A result whose proof was made and verified.
#[derive(Debug, Clone)]
pub struct Proven {
    /// The signed receipt.
    pub envelope: Envelope,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Outputs in graph order, as ONNX Runtime computed them.
    pub outputs: Vec<(String, IntTensor)>,
    /// Openings of private tensors.
    pub openings: Vec<Opening>,
    /// Durations.
    pub timings: Timings,
}

/// A challenger whose time belongs to the proof, though it is asked while the witness is made.
struct Timed<C> {
    inner: C,
    took: Duration,
}

impl<C: Challenger> Challenger for Timed<C> {
    fn challenge(&mut self, public: &[Fr], committed: &[Fr]) -> Result<Fr, LowerError> {
        let start = Instant::now();
        let challenge = self.inner.challenge(public, committed);
        self.took += start.elapsed();
        challenge
    }
}

/// What a loaded engine may take for speed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineOptions {
    /// Bytes of memory for the proving key's points with precomputed multiples; 0 for none.
    pub table_bytes: u64,
    /// Folder that only this program can write, where multiples are kept between runs; one
    /// subfolder a proving key. `None`: they are computed at each load.
    pub table_folder: Option<PathBuf>,
}

impl Default for EngineOptions {
    /// 64 MiB, not kept: multiples of a small key are computed in less time than they save in one
    /// proof, those of a large one do not fit.
    fn default() -> Self {
        Self {
            table_bytes: 64 << 20,
            table_folder: None,
        }
    }
}

impl EngineOptions {
    fn prover(&self, proving_key: Digest) -> Result<ProverOptions, EngineError> {
        let table_files = match &self.table_folder {
            Some(parent) if self.table_bytes > 0 => {
                let folder = parent.join(proving_key.to_hex());
                create_private(&folder).map_err(|source| EngineError::TableFolder {
                    folder: folder.clone(),
                    source,
                })?;
                Some(TableFiles {
                    folder,
                    key: proving_key,
                })
            }
            Some(_) | None => None,
        };
        Ok(ProverOptions {
            table_bytes: self.table_bytes,
            table_files,
        })
    }
}

/// Makes a folder that its owner alone may read and write: which proofs fail under tables that
/// somebody changed depends on the witness.
fn create_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder)
}

/// A sealed package with its runtime session, circuit and keys, loaded once and used by many
/// threads.
pub struct Engine {
    package: Package,
    sealed: Sealed,
    plan: Plan,
    session: IntSession,
    prover: Prover,
    verifying_key: Vec<u8>,
    transcript: Vec<u8>,
    /// The package as a recipient of receipts sees it.
    recipient: TrustedPackage,
}

impl Engine {
    /// Loads a sealed package and checks everything against everything: files against the
    /// manifest, the circuit recompiled from the model against its digest, the keys against the
    /// circuit and the transcript, and what ONNX Runtime computes here against the validated
    /// translation.
    ///
    /// # Errors
    /// [`EngineError`]; the first thing that does not fit.
    pub fn load(folder: &Path, pinned: Option<Digest>) -> Result<Self, EngineError> {
        Self::load_with(folder, pinned, &EngineOptions::default())
    }

    /// [`load`](Self::load), with memory for speed.
    ///
    /// # Errors
    /// Those of [`load`](Self::load), and [`EngineError::TableFolder`].
    pub fn load_with(
        folder: &Path,
        pinned: Option<Digest>,
        options: &EngineOptions,
    ) -> Result<Self, EngineError> {
        let package = match pinned {
            Some(digest) => Package::open_pinned(folder, digest)?,
            None => Package::open(folder)?,
        };
        let sealed = package.sealed()?.clone();
        proofmark_runtime::init()?;
        let (plan, model) = plan_package(&package)?;
        let backend = circuit_backend(package.manifest().compiler.backend);
        let circuit = plan.circuit_for(backend)?;
        check_circuit(&sealed, &circuit)?;
        let report = translation_report(&package, &sealed)?;
        let verifying_key = package.read(&sealed.verifying_key)?;
        let transcript_bytes = package.read(&sealed.transcript)?;
        let transcript = Transcript::parse(&transcript_bytes)?;
        transcript.verify(
            &sealed.circuit.digest,
            &sealed.proving_key.digest,
            &sealed.verifying_key.digest,
        )?;
        // A key of a known seed is for tests; a manifest that calls it anything else is a lie.
        if !matches!(
            (transcript.kind, sealed.setup_kind),
            (SetupRecord::SingleParty, SetupKind::SingleParty)
                | (SetupRecord::Ceremony, SetupKind::Ceremony)
        ) {
            return Err(EngineError::ManifestMismatch {
                what: "the kind of setup".to_owned(),
            });
        }
        package.check_length(&sealed.proving_key)?;
        let loaded = key_file::load(
            &package.path_of(&sealed.proving_key.file),
            &sealed.proving_key.digest,
            &sealed.circuit.digest,
        )?;
        transcript.verify_key(&loaded)?;
        let own = proofmark_verifier::encode_verifying_key(loaded.key.verifying_key())
            .map_err(EngineError::Rejected)?;
        if own != verifying_key {
            return Err(EngineError::ManifestMismatch {
                what: "the verifying key".to_owned(),
            });
        }
        let options = options.prover(sealed.proving_key.digest)?;
        let prover = Prover::with_options(&circuit, loaded.key, &options)?;
        let session = IntSession::load(&model, OptLevel::DisableAll)?;
        recheck(&report, &plan, &session)?;
        let pins = Pins::package(package.digest());
        let recipient = TrustedPackage::open(&pins, package.manifest_bytes(), &verifying_key)
            .map_err(EngineError::Rejected)?;
        Ok(Self {
            package,
            sealed,
            plan,
            session,
            prover,
            verifying_key,
            transcript: transcript_bytes,
            recipient,
        })
    }

    /// The manifest.
    pub const fn manifest(&self) -> &Manifest {
        self.package.manifest()
    }

    /// The package.
    pub const fn package(&self) -> &Package {
        &self.package
    }

    /// What `setup` recorded.
    pub const fn sealed(&self) -> &Sealed {
        &self.sealed
    }

    /// The verifying key's bytes.
    pub fn verifying_key_bytes(&self) -> &[u8] {
        &self.verifying_key
    }

    /// The setup transcript's bytes.
    pub fn transcript_bytes(&self) -> &[u8] {
        &self.transcript
    }

    /// Runs, proves, verifies and signs one inference.
    ///
    /// # Errors
    /// [`EngineError::Input`] when the inputs are not the model's; [`EngineError::Divergence`]
    /// when runtime and circuit disagree; anything else is the service's fault. Nothing unproven
    /// is ever returned.
    pub fn prove(
        &self,
        request: &ProveRequest,
        signer: &SigningKey,
    ) -> Result<Proven, EngineError> {
        self.prove_watched(request, signer, &|_| {})
    }

    /// [`prove`](Self::prove), which tells `begun` of each stage when it begins.
    ///
    /// # Errors
    /// As [`prove`](Self::prove).
    pub fn prove_watched(
        &self,
        request: &ProveRequest,
        signer: &SigningKey,
        begun: &dyn Fn(Stage),
    ) -> Result<Proven, EngineError> {
        let inputs = self.ordered(&request.inputs)?;
        let mut timings = Timings::default();

        begun(Stage::Runtime);
        let start = Instant::now();
        let mut computed = self.session.run(&request.inputs)?;
        timings.runtime = start.elapsed();

        begun(Stage::Witness);
        let start = Instant::now();
        let salts = self.salts()?;
        let mut committer = Timed {
            inner: self.prover.committer(),
            took: Duration::ZERO,
        };
        let mut witness = self.plan.witness_for(
            circuit_backend(self.manifest().compiler.backend),
            &inputs,
            request.context.digest(),
            &salts,
            &mut committer,
        )?;
        // Wiped on every way out of here.
        let assignment = Zeroizing::new(std::mem::take(&mut witness.assignment));
        let (commitment, committing) = (committer.inner.finish(), committer.took);
        let mut outputs = Vec::with_capacity(witness.outputs.len());
        for (info, circuit) in self.plan.outputs().iter().zip(&witness.outputs) {
            let runtime =
                computed
                    .remove(&info.name)
                    .ok_or_else(|| EngineError::ManifestMismatch {
                        what: format!("output {:?}", info.name),
                    })?;
            compare(&info.name, &runtime, circuit)?;
            outputs.push((info.name.clone(), runtime));
        }
        timings.witness = start.elapsed().saturating_sub(committing);

        begun(Stage::Proving);
        let start = Instant::now();
        // Verified below, from the receipt's own bytes, as its recipient will.
        let proof = self.prover.prove_unverified(&assignment, commitment)?;
        timings.proving = start.elapsed() + committing;

        begun(Stage::Receipt);
        let start = Instant::now();
        let receipt = Receipt {
            package: self.package.digest(),
            model: ModelRef {
                name: self.manifest().name.clone(),
                version: self.manifest().version.clone(),
                integer_model: self.manifest().integer_model.digest,
            },
            circuit: self.sealed.circuit.digest,
            verifying_key: self.sealed.verifying_key.digest,
            setup: SetupRef {
                kind: self.sealed.setup_kind,
                transcript: self.sealed.transcript.digest,
            },
            runtime: self.manifest().runtime.clone(),
            software: Software {
                name: "proofmark".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            context: request.context,
            inputs: records(self.plan.inputs(), &inputs, &witness.input_commitments)?,
            outputs: records(
                self.plan.outputs(),
                &witness.outputs,
                &witness.output_commitments,
            )?,
            proof: encode_proof(&proof),
            proved_at: request.proved_at,
            signer: signer.verifying_key().to_bytes(),
        };
        let envelope = Envelope::sign(receipt, signer)?;
        let bytes = envelope.to_bytes()?;
        self.recipient
            .verify(&bytes, &Expectations::default())
            .map_err(EngineError::OwnReceipt)?;
        timings.receipt = start.elapsed();

        let openings = self.openings(&salts);
        Ok(Proven {
            envelope,
            bytes,
            outputs,
            openings,
            timings,
        })
    }

    /// The inputs in graph order, each of the declared type and shape, none missing, none unknown.
    fn ordered(&self, inputs: &BTreeMap<String, IntTensor>) -> Result<Vec<IntTensor>, EngineError> {
        let known: Vec<&str> = self.plan.inputs().iter().map(|i| i.name.as_str()).collect();
        if let Some(name) = inputs.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(EngineError::Input {
                name: name.clone(),
                reason: format!("the model has no such input; it has {known:?}"),
            });
        }
        self.plan
            .inputs()
            .iter()
            .map(|info| {
                let refuse = |reason: String| EngineError::Input {
                    name: info.name.clone(),
                    reason,
                };
                let tensor = inputs
                    .get(&info.name)
                    .ok_or_else(|| refuse("is missing".to_owned()))?;
                if tensor.elem() != info.fact.elem || tensor.shape() != info.fact.shape {
                    return Err(refuse(format!(
                        "is {} {:?}, the model takes {} {:?}",
                        tensor.elem(),
                        tensor.shape(),
                        info.fact.elem,
                        info.fact.shape
                    )));
                }
                Ok(tensor.clone())
            })
            .collect()
    }

    fn salts(&self) -> Result<Salts, EngineError> {
        let draw = |infos: &[TensorInfo]| {
            infos
                .iter()
                .map(|info| match info.visibility {
                    Visibility::Private => random_field_element().map(Some),
                    Visibility::Public | Visibility::Hashed => Ok(None),
                })
                .collect::<Result<Vec<_>, EngineError>>()
        };
        Ok(Salts {
            inputs: draw(self.plan.inputs())?,
            outputs: draw(self.plan.outputs())?,
        })
    }

    fn openings(&self, salts: &Salts) -> Vec<Opening> {
        let inputs = self.plan.inputs().iter().zip(&salts.inputs);
        let outputs = self.plan.outputs().iter().zip(&salts.outputs);
        inputs
            .chain(outputs)
            .filter_map(|(info, salt)| {
                salt.map(|salt| Opening {
                    tensor: info.name.clone(),
                    salt: fr_to_bytes(&salt),
                })
            })
            .collect()
    }
}

/// The package's translation report, which must be of its model, circuit and runtime.
fn translation_report(
    package: &Package,
    sealed: &Sealed,
) -> Result<TranslationReport, EngineError> {
    let manifest = package.manifest();
    let record = manifest.translation.as_ref();
    let record = record.ok_or_else(|| EngineError::TranslationMissing {
        folder: package.folder().to_owned(),
    })?;
    let report = TranslationReport::parse(&package.read(record)?)?;
    check_report(
        &report,
        manifest.integer_model.digest,
        sealed.circuit.digest,
    )?;
    if report.runtime != manifest.runtime {
        return Err(EngineError::ManifestMismatch {
            what: "the runtime of the translation report".to_owned(),
        });
    }
    Ok(report)
}

fn check_circuit(sealed: &Sealed, circuit: &Circuit) -> Result<(), EngineError> {
    let got = circuit.digest();
    if got != sealed.circuit.digest {
        return Err(EngineError::CircuitDigest {
            expected: sealed.circuit.digest,
            got,
        });
    }
    let counts = [
        (circuit.r1cs.num_constraints(), sealed.circuit.constraints),
        (circuit.r1cs.num_wires, sealed.circuit.wires),
        (circuit.r1cs.num_public, sealed.circuit.public_inputs),
    ];
    if counts.iter().any(|&(ours, theirs)| ours as u64 != theirs) {
        return Err(EngineError::ManifestMismatch {
            what: "the circuit's size".to_owned(),
        });
    }
    Ok(())
}

fn compare(output: &str, runtime: &IntTensor, circuit: &IntTensor) -> Result<(), EngineError> {
    if runtime.elem() != circuit.elem() || runtime.shape() != circuit.shape() {
        return Err(EngineError::ManifestMismatch {
            what: format!("output {output:?}"),
        });
    }
    match runtime
        .data()
        .iter()
        .zip(circuit.data())
        .enumerate()
        .find(|(_, (a, b))| a != b)
    {
        Some((index, (&runtime, &circuit))) => Err(EngineError::Divergence {
            output: output.to_owned(),
            index,
            runtime: runtime.into(),
            circuit: circuit.into(),
        }),
        None => Ok(()),
    }
}

fn records(
    infos: &[TensorInfo],
    tensors: &[IntTensor],
    commitments: &[Option<Fr>],
) -> Result<Vec<TensorRecord>, EngineError> {
    infos
        .iter()
        .zip(tensors)
        .zip(commitments)
        .map(|((info, tensor), commitment)| {
            let value = match (info.visibility, commitment) {
                (Visibility::Public, None) => RecordValue::Public(tensor.clone()),
                (Visibility::Hashed, Some(digest)) => RecordValue::Hashed(*digest),
                (Visibility::Private, Some(digest)) => RecordValue::Private(*digest),
                // Nothing is shown where it is not certain what may be shown.
                _ => {
                    let what = format!("the visibility of {:?}", info.name);
                    return Err(EngineError::ManifestMismatch { what });
                }
            };
            let (name, elem, shape) = (info.name.clone(), tensor.elem(), tensor.shape().to_vec());
            Ok(TensorRecord {
                name,
                elem,
                shape,
                value,
            })
        })
        .collect()
}

/// A uniform field element: 512 random bits reduced, so that the bias is below 2^-250.
fn random_field_element() -> Result<Fr, EngineError> {
    let mut bytes = Zeroizing::new([0_u8; 64]);
    getrandom::fill(bytes.as_mut()).map_err(|error| EngineError::Randomness {
        reason: error.to_string(),
    })?;
    Ok(Fr::from_be_bytes_mod_order(bytes.as_ref()))
}
