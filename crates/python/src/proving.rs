//! Proving on the user's own machine.
#![expect(
    clippy::needless_pass_by_value,
    reason = "what Python hands over is given as a value"
)]

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use proofmark_engine::{Engine, EngineError, ProveRequest, ServiceKey};
use proofmark_recipient::{
    Demands, Refusal, Verdict, hidden_openings, open_package, read_request, verify,
};
use proofmark_types::context::Context;
use proofmark_types::digest::Digest;
use proofmark_types::field::fr_from_bytes;
use proofmark_types::receipt::write_openings;
use proofmark_verifier::TrustedPackage;
use pyo3::types::PyBytes;
use pyo3::{Bound, PyResult, Python, pyclass, pymethods};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::asked;
use crate::making::{fault, read};

/// A sealed package, loaded once and used by many threads.
#[pyclass(frozen, module = "proofmark._core")]
pub(crate) struct Prover {
    engine: Engine,
    recipient: TrustedPackage,
}

/// A proof as its maker keeps it: receipt, openings, the JSON of the verdict.
type Made<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>, String);

#[pymethods]
impl Prover {
    /// Loads a package and checks everything in it against everything; with a digest, that it is the
    /// pinned one.
    #[new]
    #[pyo3(signature = (folder, digest=None))]
    fn new(py: Python<'_>, folder: PathBuf, digest: Option<&str>) -> PyResult<Self> {
        asked(py, || {
            let pinned = digest.map(str::parse::<Digest>).transpose().map_err(|_| {
                let detail = "package digest: it is not sha256: and 64 hex digits";
                crate::refused(
                    proofmark_recipient::Kind::Request,
                    "parameter-invalid",
                    detail,
                )
            })?;
            let engine = Engine::load(&folder, pinned).map_err(|e| fault(&e))?;
            let package = engine.package();
            let key = engine.verifying_key_bytes();
            let recipient = open_package(package.digest(), package.manifest_bytes(), key)
                .map_err(|refusal| told(&refusal))?;
            Ok(Self { engine, recipient })
        })
    }

    /// The package's digest and manifest, as a JSON object.
    fn package(&self) -> String {
        let package = self.engine.package();
        json!({ "digest": package.digest(), "manifest": package.manifest() }).to_string()
    }

    /// Runs and proves the inputs of a request of the Open Inference Protocol, bound to a context, and
    /// verifies the receipt as its recipient will. The signature is made with the key in a folder, made
    /// at first use, or with a key of its own.
    fn prove<'py>(
        &self,
        py: Python<'py>,
        request: &str,
        context: &str,
        key_folder: Option<PathBuf>,
    ) -> PyResult<Made<'py>> {
        let (receipt, openings, verdict) =
            asked(py, || self.made(request, context, key_folder.as_deref()))?;
        Ok((
            PyBytes::new(py, &receipt),
            PyBytes::new(py, &openings),
            verdict,
        ))
    }
}

impl Prover {
    fn made(
        &self,
        request: &str,
        context: &str,
        key_folder: Option<&std::path::Path>,
    ) -> Result<(Vec<u8>, Vec<u8>, String), String> {
        let request: Value = read("request", request)?;
        let context: Context = read("context", context)?;
        let manifest = self.engine.manifest();
        let inputs = read_request(manifest, &request).map_err(|refusal| told(&refusal))?;
        let tensors = inputs
            .iter()
            .map(|input| (input.name.clone(), input.tensor.clone()));
        let proving = ProveRequest {
            inputs: tensors.collect(),
            context,
            proved_at: now(),
        };
        let kept;
        let own;
        let signer = if let Some(folder) = key_folder {
            kept = ServiceKey::load_or_create(folder).map_err(|e| fault(&e))?;
            kept.signing_key()
        } else {
            own = SigningKey::from_bytes(&Zeroizing::new(random()?));
            &own
        };
        let proven = self.engine.prove(&proving, signer).map_err(|e| fault(&e))?;
        let salt = |name: &str| {
            let mut openings = proven.openings.iter();
            let opening = openings.find(|opening| opening.tensor == name)?;
            fr_from_bytes(&opening.salt).ok()
        };
        let openings = hidden_openings(manifest, &inputs, &proven.outputs, salt);
        let file = if openings.is_empty() {
            Vec::new()
        } else {
            write_openings(&openings).map_err(|error| {
                let kind = proofmark_recipient::Kind::Environment;
                crate::refused(kind, error.code(), &error.to_string())
            })?
        };
        let demands = Demands {
            context: Some(context),
            openings,
            ..Demands::default()
        };
        let verified = verify(&self.recipient, &proven.bytes, &demands);
        let verified = verified.map_err(|refusal| told(&refusal))?;
        let mut verdict = Verdict::accepted(&verified).json().clone();
        if let Value::Object(members) = &mut verdict {
            let seconds = [
                ("runtime", proven.timings.runtime),
                ("witness", proven.timings.witness),
                ("proving", proven.timings.proving),
                ("receipt", proven.timings.receipt),
            ];
            let seconds = seconds.map(|(name, took)| (name.to_owned(), json!(took.as_secs_f64())));
            members.insert(
                "seconds".to_owned(),
                Value::Object(seconds.into_iter().collect()),
            );
        }
        Ok((proven.bytes, file, verdict.to_string()))
    }
}

fn told(refusal: &Refusal) -> String {
    Verdict::refused(refusal).json().to_string()
}

fn random() -> Result<[u8; 32], String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        fault(&EngineError::Randomness {
            reason: error.to_string(),
        })
    })?;
    Ok(bytes)
}

/// Unix seconds.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}
