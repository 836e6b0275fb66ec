//! Receipts to tamper with: of both backends, with every visibility of input and output, by a
//! simulator that proves anything; and real ones, made by the tools, of real models.

use std::path::PathBuf;
use std::sync::OnceLock;

use ark_bn254::Fr;
use ed25519_dalek::{Signer as _, SigningKey};
use proofmark_types::dsse::{key_id, pre_authentication_encoding};
use proofmark_types::manifest::{Backend, Visibility};
use proofmark_types::receipt::PAYLOAD_TYPE;
use proofmark_types::{Digest, ElemType, Envelope, IntTensor, ProofBytes, Receipt};
use proofmark_verifier::{
    Expectations, Pins, Rejection, TrustedPackage, Verdict, encode_proof, encode_verifying_key,
};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::fixture::{Tensor, attacker_key, draft, receipt_of, seal, service_key};
use crate::simulator::Simulator;

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) package: TrustedPackage,
    pub(crate) receipt: Receipt,
    /// As the service signed it.
    pub(crate) envelope: Vec<u8>,
    /// A true proof of another statement, under the same key.
    pub(crate) other_proof: ProofBytes,
}

impl Case {
    fn new(
        name: String,
        [manifest, key]: [&[u8]; 2],
        envelope: Vec<u8>,
        other_proof: &ProofBytes,
    ) -> Self {
        let pins = Pins::package(Digest::of(manifest));
        let package = TrustedPackage::open(&pins, manifest, key).unwrap();
        let receipt = Envelope::parse(&envelope).unwrap().receipt().clone();
        assert_ne!(&receipt.proof, other_proof);
        let case = Self {
            name,
            package,
            receipt,
            envelope,
            other_proof: *other_proof,
        };
        case.verify(&case.envelope).unwrap();
        case
    }

    pub(crate) fn backend(&self) -> Backend {
        self.receipt.proof.backend()
    }

    pub(crate) fn other_backend(&self) -> Backend {
        match self.backend() {
            Backend::Groth16 => Backend::Groth16Logup,
            Backend::Groth16Logup => Backend::Groth16,
        }
    }

    pub(crate) fn verify(&self, envelope: &[u8]) -> Result<Verdict, Rejection> {
        self.package.verify(envelope, &Expectations::default())
    }

    /// As someone who knows the service's key.
    pub(crate) fn verify_expecting_service(&self, envelope: &[u8]) -> Result<Verdict, Rejection> {
        let expectations = Expectations {
            signer: Some(self.receipt.signer),
            ..Expectations::default()
        };
        self.package.verify(envelope, &expectations)
    }

    /// The signed text.
    pub(crate) fn payload(&self) -> String {
        payload_of(&self.envelope)
    }

    /// Another payload under the service's key id and its signature over the true one.
    pub(crate) fn kept(&self, payload: &str) -> Vec<u8> {
        let parsed: serde_json::Value = serde_json::from_slice(&self.envelope).unwrap();
        let signature = parsed["signatures"][0]["sig"].as_str().unwrap();
        let keyid = key_id(&self.receipt.signer).to_hex();
        wrap(PAYLOAD_TYPE, payload, &keyid, signature)
    }

    /// The receipt after a change, signed by someone the verifier does not know.
    pub(crate) fn resigned(&self, change: impl FnOnce(&mut Receipt)) -> Vec<u8> {
        let mut receipt = self.receipt.clone();
        receipt.signer = attacker_key().verifying_key().to_bytes();
        change(&mut receipt);
        let envelope = Envelope::sign(receipt, &attacker_key()).unwrap();
        envelope.to_bytes().unwrap()
    }
}

pub(crate) fn payload_of(envelope: &[u8]) -> String {
    String::from_utf8(Envelope::parse(envelope).unwrap().payload().to_vec()).unwrap()
}

/// An envelope around any text, signed by `key`.
pub(crate) fn signed(payload_type: &str, payload: &str, key: &SigningKey) -> Vec<u8> {
    let message = pre_authentication_encoding(payload_type, payload.as_bytes());
    let signature = BASE64.encode(key.sign(&message).to_bytes());
    let keyid = key_id(&key.verifying_key().to_bytes()).to_hex();
    wrap(payload_type, payload, &keyid, &signature)
}

/// An envelope around any text with any key id and signature.
pub(crate) fn wrap(payload_type: &str, payload: &str, keyid: &str, signature: &str) -> Vec<u8> {
    format!(
        "{{\"payload\":\"{}\",\"payloadType\":\"{payload_type}\",\"signatures\":[{{\"keyid\":\"{keyid}\",\"sig\":\"{signature}\"}}]}}",
        BASE64.encode(payload),
    )
    .into_bytes()
}

/// Real receipts of each backend, with a private input: the golden ones, made by the tools.
pub(crate) fn real() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| {
        let cases = ["plain", "lookup"].map(|name| {
            let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
            let read = |file: &str| std::fs::read(folder.join(name).join(file)).unwrap();
            let (manifest, key) = (read("manifest.json"), read("verifying_key.bin"));
            let other = Envelope::parse(&read("other.json")).unwrap();
            let proof = other.receipt().proof;
            Case::new(
                name.to_owned(),
                [&manifest, &key],
                read("receipt.json"),
                &proof,
            )
        });
        assert_eq!(cases[0].backend(), Backend::Groth16);
        assert_eq!(cases[1].backend(), Backend::Groth16Logup);
        cases.into()
    })
}

/// One receipt for each backend and each pair of visibilities, and the real ones.
pub(crate) fn all() -> Vec<&'static Case> {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    let simulated = CASES.get_or_init(|| {
        let kinds = [Visibility::Public, Visibility::Hashed, Visibility::Private];
        let mut cases = Vec::new();
        for backend in [Backend::Groth16, Backend::Groth16Logup] {
            for input in kinds {
                for output in kinds {
                    cases.push(simulated(backend, input, output));
                }
            }
        }
        cases
    });
    simulated.iter().chain(real()).collect()
}

fn simulated(backend: Backend, input: Visibility, output: Visibility) -> Case {
    let tensor = |elem, shape: &[usize], values: &[i32]| {
        IntTensor::new(elem, shape.to_vec(), values.to_vec()).unwrap()
    };
    let salt = Fr::from(987_654_321);
    // Raw and packed, with one and with two dimensions, of every type.
    let small = tensor(ElemType::Int8, &[2], &[-128, 127]);
    let large = tensor(ElemType::Uint8, &[3, 11], &[200; 33]);
    let wide = tensor(ElemType::Int32, &[1, 2], &[i32::MIN, 70_000]);
    let inputs = [
        Tensor::new("x", &large, input, salt),
        Tensor::new("more", &small, Visibility::Public, salt),
    ];
    let outputs = [
        Tensor::new("y", &wide, output, salt),
        Tensor::new("z", &small, output, salt),
    ];
    let mut manifest = draft(backend, &inputs, &outputs);
    let layout = manifest.layout().unwrap();
    let simulator = Simulator::new(layout.len(), backend == Backend::Groth16Logup, 21);
    let key = encode_verifying_key(&simulator.key).unwrap();
    let manifest_bytes = seal(&mut manifest, &key);
    let mut receipt = receipt_of(&manifest, &inputs, &outputs);
    let mut public_inputs = receipt.public_inputs(&layout).unwrap();
    receipt.proof = encode_proof(simulator.prove(&public_inputs, 1));
    let envelope = Envelope::sign(receipt, &service_key()).unwrap();
    public_inputs[0] += Fr::from(1);
    Case::new(
        format!("{backend:?}, input {input:?}, output {output:?}"),
        [&manifest_bytes, &key],
        envelope.to_bytes().unwrap(),
        &encode_proof(simulator.prove(&public_inputs, 2)),
    )
}
