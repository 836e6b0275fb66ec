//! A sealed package with a toy circuit, and a receipt of it.
//!
//! The circuit squares each public input. It proves nothing about a model, but its proofs bind
//! every public input, which is what the verifier rests on.

use std::sync::OnceLock;

use ark_bn254::{Bn254, Fr};
use ark_ff::Field as _;
use ark_groth16::{Groth16, ProvingKey};
use ark_relations::gr1cs::{ConstraintSynthesizer, ConstraintSystemRef, SynthesisError};
use ark_relations::lc;
use ark_snark::SNARK as _;
use ark_std::rand::SeedableRng as _;
use ark_std::rand::rngs::StdRng;
use ed25519_dalek::SigningKey;
use proofmark_types::manifest::{
    Backend, CircuitRecord, CompilerPin, InputSpec, MANIFEST_FORMAT, Manifest, ModelFile,
    OutputSpec, RuntimePin, Sealed, SetupKind, ValidationReport, Visibility,
};
use proofmark_types::problem::lookup;
use proofmark_types::receipt::{ModelRef, RecordValue, SetupRef, Software, TensorRecord};
use proofmark_types::statement::tensor_digest;
use proofmark_types::{Context, Digest, ElemType, Envelope, IntTensor, Receipt};
use proofmark_verifier::{
    Expectations, Pins, Rejection, Verdict, encode_proof, encode_verifying_key, verify_receipt,
};

/// Squares each public input.
#[derive(Clone)]
pub(crate) struct Squares(pub(crate) Vec<Fr>);

impl ConstraintSynthesizer<Fr> for Squares {
    fn generate_constraints(self, cs: ConstraintSystemRef<Fr>) -> Result<(), SynthesisError> {
        for value in self.0 {
            let x = cs.new_input_variable(|| Ok(value))?;
            let square = cs.new_witness_variable(|| Ok(value.square()))?;
            cs.enforce_r1cs_constraint(|| lc!() + x, || lc!() + x, || lc!() + square)?;
        }
        Ok(())
    }
}

pub(crate) fn setup(public_inputs: usize, seed: u64) -> ProvingKey<Bn254> {
    let mut rng = StdRng::seed_from_u64(seed);
    Groth16::<Bn254>::circuit_specific_setup(Squares(vec![Fr::ONE; public_inputs]), &mut rng)
        .unwrap()
        .0
}

pub(crate) fn prove(
    key: &ProvingKey<Bn254>,
    public_inputs: &[Fr],
    seed: u64,
) -> ark_groth16::Proof<Bn254> {
    let mut rng = StdRng::seed_from_u64(seed);
    Groth16::<Bn254>::prove(key, Squares(public_inputs.to_vec()), &mut rng).unwrap()
}

pub(crate) struct Fixture {
    pub(crate) key: ProvingKey<Bn254>,
    pub(crate) manifest: Manifest,
    pub(crate) manifest_bytes: Vec<u8>,
    pub(crate) key_bytes: Vec<u8>,
    pub(crate) pins: Pins,
    pub(crate) receipt: Receipt,
    pub(crate) envelope: Vec<u8>,
    /// Values and salt of the private input.
    pub(crate) private: (IntTensor, Fr),
    /// Values of the hashed output.
    pub(crate) hashed: IntTensor,
}

pub(crate) fn service_key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

pub(crate) fn attacker_key() -> SigningKey {
    SigningKey::from_bytes(&[2; 32])
}

fn file(name: &str, bytes: &[u8]) -> ModelFile {
    ModelFile {
        file: name.to_owned(),
        digest: Digest::of(bytes),
        bytes: u64::try_from(bytes.len()).unwrap(),
    }
}

pub(crate) fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(build)
}

/// An input or output with everything that package and receipt need to know of it.
pub(crate) struct Tensor {
    name: &'static str,
    tensor: IntTensor,
    visibility: Visibility,
    value: RecordValue,
}

impl Tensor {
    pub(crate) fn new(
        name: &'static str,
        tensor: &IntTensor,
        visibility: Visibility,
        salt: Fr,
    ) -> Self {
        let value = match visibility {
            Visibility::Public => RecordValue::Public(tensor.clone()),
            Visibility::Hashed => RecordValue::Hashed(tensor_digest(tensor, Fr::from(0))),
            Visibility::Private => RecordValue::Private(tensor_digest(tensor, salt)),
        };
        Self {
            name,
            tensor: tensor.clone(),
            visibility,
            value,
        }
    }

    fn record(&self) -> TensorRecord {
        TensorRecord {
            name: self.name.to_owned(),
            elem: self.tensor.elem(),
            shape: self.tensor.shape().to_vec(),
            value: self.value.clone(),
        }
    }
}

/// A package before its keys.
pub(crate) fn draft(backend: Backend, inputs: &[Tensor], outputs: &[Tensor]) -> Manifest {
    let input = |tensor: &Tensor| InputSpec {
        name: tensor.name.to_owned(),
        elem: tensor.tensor.elem(),
        shape: tensor.tensor.shape().to_vec(),
        visibility: tensor.visibility,
        quantizer: None,
    };
    let output = |tensor: &Tensor| OutputSpec {
        name: tensor.name.to_owned(),
        elem: tensor.tensor.elem(),
        shape: tensor.tensor.shape().to_vec(),
        visibility: tensor.visibility,
        views: Vec::new(),
    };
    Manifest {
        format: MANIFEST_FORMAT.to_owned(),
        name: "squares".to_owned(),
        version: "1".to_owned(),
        description: String::new(),
        licence: "MIT".to_owned(),
        float_model: None,
        integer_model: file("integer.onnx", b"integer model"),
        runtime: RuntimePin::current(),
        inputs: inputs.iter().map(input).collect(),
        outputs: outputs.iter().map(output).collect(),
        compiler: CompilerPin { epoch: 1, backend },
        validation: ValidationReport::default(),
        translation: None,
        sealed: None,
    }
}

/// Seals the package with this verifying key; its bytes.
pub(crate) fn seal(manifest: &mut Manifest, key_bytes: &[u8]) -> Vec<u8> {
    let public_inputs = manifest.layout().unwrap().len();
    manifest.sealed = Some(Sealed {
        circuit: CircuitRecord {
            digest: Digest::of(b"circuit"),
            constraints: 7,
            wires: 15,
            public_inputs: u64::try_from(public_inputs).unwrap(),
        },
        verifying_key: file("verifying.key", key_bytes),
        proving_key: file("proving.zkey", b"proving key"),
        transcript: file("transcript.json", b"transcript"),
        setup_kind: SetupKind::SingleParty,
    });
    manifest.to_bytes().unwrap()
}

/// A receipt of the sealed package by the service, without its proof.
pub(crate) fn receipt_of(manifest: &Manifest, inputs: &[Tensor], outputs: &[Tensor]) -> Receipt {
    let sealed = manifest.sealed.clone().unwrap();
    Receipt {
        package: manifest.package_digest().unwrap(),
        model: ModelRef {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            integer_model: manifest.integer_model.digest,
        },
        circuit: sealed.circuit.digest,
        verifying_key: sealed.verifying_key.digest,
        setup: SetupRef {
            kind: sealed.setup_kind,
            transcript: sealed.transcript.digest,
        },
        runtime: manifest.runtime.clone(),
        software: Software {
            name: "proofmark".to_owned(),
            version: "0.1.0".to_owned(),
        },
        context: Context::off_chain([9; 32]),
        inputs: inputs.iter().map(Tensor::record).collect(),
        outputs: outputs.iter().map(Tensor::record).collect(),
        proof: [0; 256].into(),
        proved_at: 1_764_000_000,
        signer: service_key().verifying_key().to_bytes(),
    }
}

fn build() -> Fixture {
    let image = IntTensor::new(
        ElemType::Uint8,
        vec![1, 40],
        (0..40).map(|k| k * 6).collect(),
    )
    .unwrap();
    let features = IntTensor::new(ElemType::Int8, vec![4], vec![-128, 0, 1, 127]).unwrap();
    let logits = IntTensor::new(ElemType::Int32, vec![1, 3], vec![-70_000, 0, 70_000]).unwrap();
    let embedding = IntTensor::new(ElemType::Int8, vec![33], (0..33).collect()).unwrap();
    let salt = Fr::from(987_654_321);

    let inputs = [
        Tensor::new("image", &image, Visibility::Public, salt),
        Tensor::new("features", &features, Visibility::Private, salt),
    ];
    let outputs = [
        Tensor::new("logits", &logits, Visibility::Public, salt),
        Tensor::new("embedding", &embedding, Visibility::Hashed, salt),
    ];
    let mut manifest = draft(Backend::Groth16, &inputs, &outputs);
    let layout = manifest.layout().unwrap();
    let key = setup(layout.len(), 11);
    let key_bytes = encode_verifying_key(&key.vk).unwrap();
    let manifest_bytes = seal(&mut manifest, &key_bytes);
    let package = Digest::of(&manifest_bytes);
    let mut receipt = receipt_of(&manifest, &inputs, &outputs);
    let public_inputs = receipt.public_inputs(&layout).unwrap();
    receipt.proof = encode_proof(prove(&key, &public_inputs, 12));
    let envelope = Envelope::sign(receipt.clone(), &service_key())
        .unwrap()
        .to_bytes()
        .unwrap();
    Fixture {
        key,
        manifest,
        manifest_bytes,
        key_bytes,
        pins: Pins {
            package,
            signers: vec![service_key().verifying_key().to_bytes()],
        },
        receipt,
        envelope,
        private: (features, salt),
        hashed: embedding,
    }
}

impl Fixture {
    pub(crate) fn verify_with(
        &self,
        envelope: &[u8],
        expectations: &Expectations,
    ) -> Result<Verdict, Rejection> {
        verify_receipt(
            envelope,
            &self.pins,
            &self.manifest_bytes,
            &self.key_bytes,
            expectations,
        )
    }

    pub(crate) fn verify(&self, envelope: &[u8]) -> Result<Verdict, Rejection> {
        self.verify_with(envelope, &Expectations::default())
    }

    /// The receipt after `change`, signed by someone the verifier does not know.
    pub(crate) fn resigned(&self, change: impl FnOnce(&mut Receipt)) -> Vec<u8> {
        let mut receipt = self.receipt.clone();
        receipt.signer = attacker_key().verifying_key().to_bytes();
        change(&mut receipt);
        Envelope::sign(receipt, &attacker_key())
            .unwrap()
            .to_bytes()
            .unwrap()
    }
}

/// The code of a rejection, which must be in the list of codes.
pub(crate) fn code<T: core::fmt::Debug>(result: Result<T, Rejection>) -> &'static str {
    let code = result.unwrap_err().code();
    assert!(lookup(code).is_some(), "{code} is not in ERROR_CODES");
    code
}
