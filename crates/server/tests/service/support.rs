//! A service in process with a simulated engine.
//!
//! The engine computes a toy model and makes *valid* proofs of its outputs without a prover: the
//! key's trapdoor is known here, and whoever knows it can simulate a proof of any statement. So
//! receipts of these tests pass the real verifier, while nothing is said about proving.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};

use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr as _, CurveGroup as _};
use ark_ff::Field as _;
use ark_groth16::{Proof, VerifyingKey};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use ed25519_dalek::SigningKey;
use proofmark_log::{Log, Options};
use proofmark_server::backend::{
    BackendError, ProveRequest, Proven, ProvingBackend, Stage, Timings,
};
use proofmark_server::{ServerConfig, Service, TransparencyLog};
use proofmark_store::Store;
use proofmark_types::card::Card;
use proofmark_types::manifest::{
    Backend, CircuitRecord, CompilerPin, InputQuantizer, InputSpec, MANIFEST_FORMAT, ModelFile,
    OutputSpec, RuntimePin, Sealed, SetupKind, ValidationReport, View, Visibility,
};
use proofmark_types::receipt::{Envelope, ModelRef, Receipt, SetupRef, Software, TensorRecord};
use proofmark_types::{Digest, ElemType, IntTensor, Manifest};
use proofmark_verifier::{encode_proof, encode_verifying_key};
use serde_json::Value;
use tower::ServiceExt as _;

const TRANSCRIPT: &[u8] = b"transcript";
const ALPHA: u64 = 3;
const BETA: u64 = 5;
const DELTA: u64 = 7;
const FIRST_IC: u64 = 11;
/// Context, four inputs and three outputs, each raw.
const PUBLIC_INPUTS: usize = 8;

/// What the engine does next.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    Prove,
    Panic,
    Fail(BackendError),
    /// Answers with outputs that its receipt does not have.
    Lie,
}

/// The simulated engine.
pub(crate) struct Engine {
    manifest: Manifest,
    bytes: Vec<u8>,
    key: Vec<u8>,
    attestations: BTreeMap<String, Vec<u8>>,
    /// The package's folder, once it is handed out.
    pub(crate) shared: OnceLock<PathBuf>,
    pub(crate) behaviour: Mutex<Behaviour>,
    gate: Mutex<bool>,
    moved: Condvar,
    /// Proofs begun.
    pub(crate) begun: AtomicUsize,
}

fn g1(x: Fr) -> G1Affine {
    (G1Affine::generator() * x).into_affine()
}

fn g2(x: Fr) -> G2Affine {
    (G2Affine::generator() * x).into_affine()
}

fn ic(index: usize) -> Fr {
    Fr::from(FIRST_IC + index as u64)
}

impl Engine {
    pub(crate) fn new(name: &str, version: &str) -> Arc<Self> {
        let key = encode_verifying_key(&VerifyingKey::<Bn254> {
            alpha_g1: g1(ALPHA.into()),
            beta_g2: g2(BETA.into()),
            gamma_g2: g2(1.into()),
            delta_g2: g2(DELTA.into()),
            gamma_abc_g1: (0..=PUBLIC_INPUTS).map(|k| g1(ic(k))).collect(),
        })
        .unwrap();
        let manifest = manifest(name, version, &key);
        Arc::new(Self {
            bytes: manifest.to_bytes().unwrap(),
            manifest,
            key,
            attestations: BTreeMap::new(),
            shared: OnceLock::new(),
            behaviour: Mutex::new(Behaviour::Prove),
            gate: Mutex::new(true),
            moved: Condvar::new(),
            begun: AtomicUsize::new(0),
        })
    }

    /// Lets proofs through, or holds them after they have begun.
    pub(crate) fn open(&self, open: bool) {
        *self.gate.lock().unwrap() = open;
        self.moved.notify_all();
    }

    pub(crate) fn set(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    fn receipt(&self, request: &ProveRequest, output: &IntTensor) -> Receipt {
        let sealed = self.manifest.sealed.clone().unwrap();
        let mut receipt = Receipt {
            package: Digest::of(&self.bytes),
            model: ModelRef {
                name: self.manifest.name.clone(),
                version: self.manifest.version.clone(),
                integer_model: self.manifest.integer_model.digest,
            },
            circuit: sealed.circuit.digest,
            verifying_key: sealed.verifying_key.digest,
            setup: SetupRef {
                kind: sealed.setup_kind,
                transcript: sealed.transcript.digest,
            },
            runtime: self.manifest.runtime.clone(),
            software: Software {
                name: "simulator".to_owned(),
                version: "1".to_owned(),
            },
            context: request.context,
            inputs: vec![TensorRecord::public("x", request.inputs["x"].clone())],
            outputs: vec![TensorRecord::public("logits", output.clone())],
            proof: [0; 256].into(),
            proved_at: 1_700_000_000,
            signer: signing_key().verifying_key().to_bytes(),
        };
        let public = receipt.public_inputs(&receipt.layout().unwrap()).unwrap();
        assert_eq!(public.len(), PUBLIC_INPUTS);
        let statement: Fr = public
            .iter()
            .enumerate()
            .map(|(k, x)| ic(k + 1) * x)
            .sum::<Fr>()
            + ic(0);
        // e(A, B) = e(α, β) · e(statement, γ) · e(C, δ), with γ = 1
        let (a, b) = (Fr::from(1234), Fr::from(5678));
        let c = (a * b - Fr::from(ALPHA * BETA) - statement) * Fr::from(DELTA).inverse().unwrap();
        receipt.proof = encode_proof(&Proof {
            a: g1(a),
            b: g2(b),
            c: g1(c),
        });
        receipt
    }
}

pub(crate) fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[42; 32])
}

fn file(name: &str, content: &[u8]) -> ModelFile {
    ModelFile {
        file: name.to_owned(),
        digest: Digest::of(content),
        bytes: content.len() as u64,
    }
}

fn manifest(name: &str, version: &str, key: &[u8]) -> Manifest {
    Manifest {
        format: MANIFEST_FORMAT.to_owned(),
        name: name.to_owned(),
        version: version.to_owned(),
        description: "Three of four inputs".to_owned(),
        licence: "MIT".to_owned(),
        float_model: None,
        integer_model: file("integer.onnx", b"integer model"),
        runtime: RuntimePin::current(),
        inputs: vec![InputSpec {
            name: "x".to_owned(),
            elem: ElemType::Uint8,
            shape: vec![2, 2],
            visibility: Visibility::Public,
            quantizer: Some(InputQuantizer::per_tensor(0.5, 100)),
        }],
        outputs: vec![OutputSpec {
            name: "logits".to_owned(),
            elem: ElemType::Int8,
            shape: vec![1, 3],
            visibility: Visibility::Public,
            views: vec![
                View::Dequantize {
                    scale: 0.25,
                    zero_point: 0,
                },
                View::Softmax { axis: 1 },
                View::ArgMax {
                    labels: ["cat", "dog", "owl"].map(str::to_owned).to_vec(),
                },
            ],
        }],
        compiler: CompilerPin {
            epoch: 1,
            backend: Backend::Groth16,
        },
        validation: ValidationReport::default(),
        translation: None,
        sealed: Some(Sealed {
            circuit: CircuitRecord {
                digest: Digest::of(b"circuit"),
                constraints: 9,
                wires: 20,
                public_inputs: PUBLIC_INPUTS as u64,
            },
            verifying_key: file("verifying.key", key),
            proving_key: file("proving.zkey", b"proving key"),
            transcript: file("transcript.json", TRANSCRIPT),
            setup_kind: SetupKind::SingleParty,
        }),
    }
}

impl ProvingBackend for Engine {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn package_digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    fn manifest_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn verifying_key_bytes(&self) -> &[u8] {
        &self.key
    }

    fn transcript_bytes(&self) -> &[u8] {
        TRANSCRIPT
    }

    fn card(&self) -> Option<&Card> {
        None
    }

    fn attestations(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.attestations
    }

    fn shared_folder(&self) -> Option<&Path> {
        self.shared.get().map(PathBuf::as_path)
    }

    fn prove(&self, request: ProveRequest, begun: &dyn Fn(Stage)) -> Result<Proven, BackendError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        begun(Stage::Proving);
        let mut open = self.gate.lock().unwrap();
        while !*open {
            open = self.moved.wait(open).unwrap();
        }
        drop(open);
        let behaviour = self.behaviour.lock().unwrap().clone();
        let data = request.inputs["x"].data()[..3].iter().map(|v| v - 100);
        let mut output = IntTensor::new(ElemType::Int8, vec![1, 3], data.collect()).unwrap();
        let receipt = self.receipt(&request, &output);
        match behaviour {
            Behaviour::Prove => {}
            Behaviour::Panic => panic!("index {} out of bounds", 3),
            Behaviour::Fail(error) => return Err(error),
            Behaviour::Lie => {
                output = IntTensor::new(ElemType::Int8, vec![1, 3], vec![1, 2, 3]).unwrap();
            }
        }
        let envelope = Envelope::sign(receipt, &signing_key()).unwrap();
        Ok(Proven {
            receipt: envelope.to_bytes().unwrap(),
            receipt_id: envelope.receipt_id(),
            outputs: vec![("logits".to_owned(), output)],
            openings: Vec::new(),
            timings: Timings::default(),
        })
    }
}

/// A service with one model, `toy`, in process.
pub(crate) struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) store: Store,
    pub(crate) service: Service,
    pub(crate) router: Router,
    pub(crate) _folder: tempfile::TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

pub(crate) fn config() -> ServerConfig {
    ServerConfig {
        queue_capacity: 2,
        body_limit: 64 << 10,
        ..ServerConfig::default()
    }
}

pub(crate) async fn app() -> App {
    app_with(config()).await
}

pub(crate) async fn app_with(config: ServerConfig) -> App {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("receipts.db"))
        .await
        .unwrap();
    let engine = Engine::new("toy", "1");
    let log = open_log(folder.path());
    let service = Service::new(config, vec![engine.clone()], store.clone(), log)
        .await
        .unwrap();
    let router = service.router();
    App {
        engine,
        store,
        service,
        router,
        _folder: folder,
    }
}

/// The log in a data folder.
pub(crate) fn open_log(data: &Path) -> TransparencyLog {
    let folder = data.join("log");
    TransparencyLog {
        open: Arc::new(move || Log::open(&folder, &Options::default())),
        service_key: signing_key().verifying_key().to_bytes(),
        cosign: None,
    }
}

/// The model takes `x - 100` at scale 0.5, so these are 110, 120, 105, 100.
pub(crate) const INPUT: &str =
    r#"{"name":"x","shape":[2,2],"datatype":"FP32","data":[5.0,10.0,2.5,0.0]}"#;
pub(crate) const NONCE: &str = "0x0101010101010101010101010101010101010101010101010101010101010101";

/// A request with a fixed nonce.
pub(crate) fn request() -> String {
    format!(r#"{{"id":"r-1","parameters":{{"nonce":"{NONCE}"}},"inputs":[{INPUT}]}}"#)
}

impl App {
    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        send(&self.router, request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(
            Request::get(path)
                .header("x-request-id", "test")
                .body(Body::empty())
                .unwrap(),
        )
        .await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> Reply {
        self.send(post(path, &[], body)).await
    }

    pub(crate) async fn infer(&self, body: impl Into<Body>) -> Reply {
        self.post("/v2/models/toy/infer", body).await
    }

    pub(crate) async fn infer_with(
        &self,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Reply {
        self.send(post("/v2/models/toy/infer", headers, body)).await
    }

    /// Sends an inference and leaves it to itself.
    pub(crate) fn spawn(&self, headers: &[(&str, &str)]) -> tokio::task::JoinHandle<Reply> {
        let router = self.router.clone();
        let request = post("/v2/models/toy/infer", headers, request());
        tokio::spawn(async move { send(&router, request).await })
    }

    pub(crate) async fn metric(&self, line: &str) -> String {
        let text = String::from_utf8(self.get("/metrics").await.body).unwrap();
        let found = text.lines().find_map(|l| l.strip_prefix(line));
        found.map_or_else(|| "absent".to_owned(), |v| v.trim().to_owned())
    }

    /// Waits until the metrics say so.
    pub(crate) async fn until(&self, line: &str, value: &str) {
        for _ in 0..500 {
            if self.metric(line).await == value {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(self.metric(line).await, value, "{line}");
    }
}

pub(crate) fn post(path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut builder = Request::post(path).header("x-request-id", "test");
    if headers.iter().all(|(name, _)| *name != "content-type") {
        builder = builder.header("content-type", "application/json");
    }
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body.into()).unwrap()
}

async fn send(router: &Router, request: Request<Body>) -> Reply {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Reply {
        status: parts.status,
        headers: parts.headers,
        body: to_bytes(body, 1 << 24).await.unwrap().to_vec(),
    }
}
