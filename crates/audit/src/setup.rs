//! Step 3: what circuit, keys and transcript say of each other.

use proofmark_gadgets::Circuit;
use proofmark_ops::{Plan, Salts, TensorInfo};
use proofmark_package::Package;
use proofmark_prover::ceremony::CeremonyRecord;
use proofmark_prover::{LoadedKey, Prover, ProverError, Transcript, key_file};
use proofmark_types::digest::DigestStream;
use proofmark_types::manifest::{Sealed, SetupKind, Visibility};
use proofmark_types::{Context, Digest, Fr, IntTensor};
use proofmark_verifier::{Pins, TrustedPackage, encode_verifying_key};

use ark_ff::PrimeField as _;

use crate::ceremony;
use crate::check::Check;
use crate::finding::{Finding, Findings};
use crate::{Progress, Request};

/// Proofs made to see whether the keys are the circuit's.
const TRIALS: u64 = 2;

/// What proofs under such keys are worth.
const SINGLE_PARTY: &str = "One party made the keys alone. Whoever that was can forge \
    proofs of anything under them, unless they wiped the setup's secret as the software does. No \
    audit can show that they did, and no later contribution repairs it.";

/// The package for its receipts, when its verifying key is sound in form.
pub(crate) fn check(
    request: &Request,
    signers: Vec<[u8; 32]>,
    package: &Package,
    sealed: &Sealed,
    circuit: Option<(&Plan, &Circuit)>,
    progress: &dyn Progress,
    findings: &mut Findings,
) -> Option<TrustedPackage> {
    let verifying = verifying_key(signers, package, sealed, findings);
    let ceremony = transcript(package, sealed, findings);
    let key = proving_key(package, sealed, findings);
    if let Some(record) = &ceremony {
        let claim = ceremony::Claim {
            record,
            sealed,
            backend: package.manifest().compiler.backend,
            verifying: package.read(&sealed.verifying_key).ok(),
            key: key.as_ref().map(|loaded| &loaded.key),
            circuit: circuit.map(|(_, circuit)| circuit),
        };
        findings.add(ceremony::check(request, &claim, progress));
    } else if sealed.setup_kind == SetupKind::SingleParty && !request.contributions.is_empty() {
        findings.add(ceremony::none());
    }
    if let Some(key) = key {
        findings.add(match circuit {
            Some((plan, circuit)) => proves(request, plan, circuit, key),
            None => Finding::not_checked(
                Check::KeyProvesCircuit,
                "The circuit could not be derived from the model, so there is nothing to try the \
                 keys on.",
                "see the findings about the circuit",
            ),
        });
    }
    verifying
}

fn present(package: &Package, file: &str) -> bool {
    package.path_of(file).exists()
}

fn verifying_key(
    signers: Vec<[u8; 32]>,
    package: &Package,
    sealed: &Sealed,
    findings: &mut Findings,
) -> Option<TrustedPackage> {
    let check = Check::VerifyingKey;
    if !present(package, &sealed.verifying_key.file) {
        findings.add(Finding::not_checked(
            check,
            "The verifying key is not in the folder. Without it no proof can be checked.",
            "ask for it: it reveals nothing and is meant to be public",
        ));
        return None;
    }
    let opened = package
        .read(&sealed.verifying_key)
        .map_err(|error| (error.code(), error.to_string()))
        .and_then(|bytes| {
            let pins = Pins {
                package: package.digest(),
                signers,
            };
            TrustedPackage::open(&pins, package.manifest_bytes(), &bytes)
                .map_err(|rejection| (rejection.code(), rejection.to_string()))
        });
    match opened {
        Ok(trusted) => {
            findings.add(
                Finding::pass(
                    check,
                    "The verifying key is the manifest's. All its points are on the curve and in \
                     the right group, none is the point at infinity, γ and δ differ, and it takes \
                     as many public inputs as the model's inputs and outputs give.",
                )
                .evidence("verifying key", sealed.verifying_key.digest)
                .evidence("public inputs", trusted.layout().len()),
            );
            Some(trusted)
        }
        Err((code, reason)) => {
            findings.add(
                Finding::fail(
                    check,
                    "The verifying key is not the one that was sealed, or one under which false \
                     proofs verify. Nothing that it accepts is proven.",
                )
                .remedy("do not verify with this key; ask for the sealed one")
                .evidence("reason", reason)
                .evidence("code", code),
            );
            None
        }
    }
}

/// The record of a ceremony, if keys of one are claimed and nothing contradicts it so far: who could
/// forge is then for [`ceremony::check`] to say.
fn transcript(
    package: &Package,
    sealed: &Sealed,
    findings: &mut Findings,
) -> Option<CeremonyRecord> {
    let check = Check::SetupTranscript;
    if !present(package, &sealed.transcript.file) {
        findings.not_reached(
            &[check, Check::SetupKind],
            "The setup's transcript is not in the folder, so nothing but the manifest says how the \
             keys were made.",
            "ask the operator for it; its digest stands in the manifest",
        );
        return None;
    }
    let transcript = package
        .read(&sealed.transcript)
        .map_err(|error| (error.code(), error.to_string()))
        .and_then(|bytes| {
            Transcript::parse(&bytes).map_err(|error| (error.code(), error.to_string()))
        });
    let transcript = match transcript {
        Ok(transcript) => transcript,
        Err((code, reason)) => {
            findings.add(
                Finding::fail(
                    check,
                    "The transcript in the folder is not the one that was sealed, or not one that \
                     this software writes: how the keys were made is unknown.",
                )
                .remedy("ask for the sealed transcript")
                .evidence("reason", reason)
                .evidence("code", code),
            );
            return None;
        }
    };
    let compared = transcript.verify(
        &sealed.circuit.digest,
        &sealed.proving_key.digest,
        &sealed.verifying_key.digest,
    );
    findings.add(match compared {
        Ok(()) => Finding::pass(
            check,
            "The transcript names the circuit, the proving key and the verifying key of the \
             manifest.",
        ),
        Err(error) => Finding::fail(
            check,
            "The transcript is of another circuit or of other keys: the record of how keys were \
             made is not about the keys that verify these receipts.",
        )
        .remedy("do not rely on receipts of this package; ask for the transcript of its keys")
        .evidence("reason", &error)
        .evidence("code", error.code()),
    }
    .evidence("transcript", sealed.transcript.digest)
    .evidence("generator", &transcript.generator));
    if transcript.kind.name() != sealed.setup_kind.name() {
        findings.add(
            Finding::fail(
                Check::SetupKind,
                "The keys were not made as the manifest says: the transcript contradicts the \
                 manifest. Of keys for development (`unsafe-dev`) everyone knows the secret, so \
                 anyone can forge proofs under them.",
            )
            .remedy("do not rely on receipts of this package")
            .evidence("transcript", transcript.kind.name())
            .evidence("manifest", sealed.setup_kind.name()),
        );
        return None;
    }
    if sealed.setup_kind == SetupKind::SingleParty {
        findings.add(Finding::pass(
            Check::SetupKind,
            format!(
                "Manifest and transcript agree that the setup was single-party. {SINGLE_PARTY}"
            ),
        ));
    }
    transcript.ceremony
}

fn proving_key(package: &Package, sealed: &Sealed, findings: &mut Findings) -> Option<LoadedKey> {
    let check = Check::ProvingKey;
    let path = package.path_of(&sealed.proving_key.file);
    if !path.exists() {
        findings.not_reached(
            &[check, Check::KeyProvesCircuit],
            "The proving key is not in the folder. That the verifying key belongs to this model and \
             not to another one is then the operator's word: a verifying key alone does not name \
             its model.",
            "ask the operator for the proving key (it reveals the model's weights); its digest \
             stands in the manifest",
        );
        return None;
    }
    let loaded = key_file::load(&path, &sealed.proving_key.digest, &sealed.circuit.digest)
        .map_err(|error| (error.code(), error.to_string()));
    let inside = loaded.and_then(|loaded| {
        let inside = encode_verifying_key(loaded.key.verifying_key())
            .map_err(|rejection| (rejection.code(), rejection.to_string()))?;
        let inside = Digest::of(&inside);
        if inside == sealed.verifying_key.digest {
            Ok(loaded)
        } else {
            let expected = sealed.verifying_key.digest;
            Err((
                "verifying-key-mismatch",
                format!(
                    "the verifying key in it has digest {inside}, the manifest's is {expected}"
                ),
            ))
        }
    });
    match inside {
        Ok(loaded) => {
            findings.add(
                Finding::pass(
                    check,
                    "The proving key is the manifest's, all its points are on their curves and in \
                     their groups, and the verifying key in it is the package's.",
                )
                .evidence("proving key", sealed.proving_key.digest)
                .evidence("bytes", sealed.proving_key.bytes),
            );
            Some(loaded)
        }
        Err((code, reason)) => {
            findings.add(
                Finding::fail(
                    check,
                    "The proving key is not the one that was sealed, was made for another circuit, \
                     or does not hold the package's verifying key: the keys in this package do not \
                     belong together.",
                )
                .remedy("ask for the sealed proving key")
                .evidence("reason", reason)
                .evidence("code", code),
            );
            findings.not_reached(
                &[Check::KeyProvesCircuit],
                "Without the sealed proving key there is nothing to try.",
                "see the finding about the proving key",
            );
            None
        }
    }
}

/// Whether proofs of the recompiled circuit, made with the proving key, verify under the verifying
/// key in it. The header of a key file only *says* which circuit it was made for. The quotient comes
/// from the circuit that was compiled here and the queries from the key: under a key of another
/// circuit the two are polynomials that differ, and agree at the key's secret point with a chance
/// of about 2^-230.
fn proves(request: &Request, plan: &Plan, circuit: &Circuit, loaded: LoadedKey) -> Finding {
    let check = Check::KeyProvesCircuit;
    let prover = match Prover::new(circuit, loaded.key) {
        Ok(prover) => prover,
        Err(error) => return foreign(check, &error),
    };
    for trial in 0..TRIALS {
        match prove(request, plan, circuit, &prover, trial) {
            Ok(()) => {}
            Err(Trial::Prover(
                error @ (ProverError::SelfVerification | ProverError::KeyMismatch { .. }),
            )) => return foreign(check, &error),
            Err(trial) => {
                return Finding::not_checked(
                    check,
                    "A proof to try the keys with could not be made on this machine.",
                    "try again on another machine",
                )
                .evidence("reason", trial);
            }
        }
    }
    Finding::pass(
        check,
        "Proofs of the circuit that was compiled here, made with the package's proving key, verify \
         under its verifying key: the keys were made for this circuit, weights included.",
    )
    .evidence("proofs made", TRIALS)
}

fn foreign(check: Check, error: &ProverError) -> Finding {
    Finding::fail(
        check,
        "A proof of the circuit that was compiled here does not verify under the package's keys: \
         they were made for another circuit, that is for another model or other weights.",
    )
    .remedy("do not rely on receipts of this package: its keys do not belong to its model")
    .evidence("reason", error)
    .evidence("code", error.code())
}

/// Why a trial made no proof.
#[derive(Debug, thiserror::Error)]
enum Trial {
    #[error(transparent)]
    Prover(#[from] ProverError),
    #[error(transparent)]
    Ops(#[from] proofmark_ops::OpsError),
    #[error(transparent)]
    Tensor(#[from] proofmark_types::TensorError),
}

fn prove(
    request: &Request,
    plan: &Plan,
    circuit: &Circuit,
    prover: &Prover,
    trial: u64,
) -> Result<(), Trial> {
    let mut random = Stream::new(&request.seed, b"key-proves-circuit", trial);
    let inputs = plan
        .inputs()
        .iter()
        .map(|info| random.tensor(info))
        .collect::<Result<Vec<_>, _>>()?;
    let mut salts = |infos: &[TensorInfo]| {
        infos
            .iter()
            .map(|info| (info.visibility == Visibility::Private).then(|| random.scalar()))
            .collect()
    };
    let salts = Salts {
        inputs: salts(plan.inputs()),
        outputs: salts(plan.outputs()),
    };
    let context = Context::off_chain(request.seed).digest();
    let mut committer = prover.committer();
    let witness = plan.witness_for(circuit.backend, &inputs, context, &salts, &mut committer)?;
    prover.prove(&witness.assignment, committer.finish())?;
    Ok(())
}

/// Bytes from a seed.
struct Stream {
    prefix: Vec<u8>,
    counter: u64,
}

impl Stream {
    fn new(seed: &[u8; 32], purpose: &[u8], trial: u64) -> Self {
        let prefix = [seed.as_slice(), purpose, &trial.to_le_bytes()].concat();
        Self { prefix, counter: 0 }
    }

    fn block(&mut self) -> [u8; 32] {
        let mut stream = DigestStream::new();
        stream.update(&self.prefix);
        stream.update(&self.counter.to_le_bytes());
        self.counter += 1;
        *stream.finish().as_bytes()
    }

    fn scalar(&mut self) -> Fr {
        Fr::from_le_bytes_mod_order(&self.block())
    }

    /// A tensor of values of its whole type.
    fn tensor(&mut self, info: &TensorInfo) -> Result<IntTensor, proofmark_types::TensorError> {
        let (elem, shape) = (info.fact.elem, &info.fact.shape);
        let (low, span) = (
            i64::from(elem.min()),
            i64::from(elem.max()) - i64::from(elem.min()) + 1,
        );
        let count = shape.iter().product();
        let mut values = Vec::with_capacity(count);
        while values.len() < count {
            let block = self.block();
            let (words, _) = block.as_chunks::<4>();
            for word in words {
                let value = low + i64::from(u32::from_le_bytes(*word)).rem_euclid(span);
                values.push(i32::try_from(value).unwrap_or_default());
            }
        }
        values.truncate(count);
        IntTensor::new(elem, shape.clone(), values)
    }
}

#[cfg(test)]
mod tests {
    use proofmark_ops::Fact;
    use proofmark_types::ElemType;

    use super::*;

    #[test]
    fn random_tensors_reach_both_ends_of_their_type() {
        for elem in [ElemType::Uint8, ElemType::Int8, ElemType::Int32] {
            let info = TensorInfo {
                name: "x".to_owned(),
                fact: Fact {
                    elem,
                    shape: vec![1, 4099],
                },
                visibility: Visibility::Public,
            };
            let mut stream = Stream::new(&[7; 32], b"test", 0);
            let tensor = stream.tensor(&info).unwrap();
            assert_eq!(tensor.data().len(), 4099);
            let low = tensor.data().iter().min().copied().unwrap();
            let high = tensor.data().iter().max().copied().unwrap();
            let half = elem.max() / 2;
            assert!(low < elem.min() / 2 + 1 && high > half, "{low} {high}");
            assert_ne!(stream.tensor(&info).unwrap(), tensor);
            let mut again = Stream::new(&[7; 32], b"test", 0);
            assert_eq!(again.tensor(&info).unwrap(), tensor);
        }
    }
}
