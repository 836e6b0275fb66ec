//! The Solidity source of the verifier of one key.

use std::collections::BTreeMap;

use proofmark_types::Digest;
use proofmark_types::manifest::Backend;
use proofmark_verifier::{Pins, TrustedPackage, VerifyingKey, encode_verifying_key};

use crate::error::EvmError;

const PLAIN: &str = include_str!("../../../contracts/templates/PlainVerifier.sol");
const LOOKUP: &str = include_str!("../../../contracts/templates/LookupVerifier.sol");

/// Most public inputs of a generated verifier, so that its code stays below EIP-170's 24,576 bytes.
pub const MAX_VERIFIER_INPUTS: usize = 192;

/// Bytes of an EVM word.
const WORD: usize = 32;
/// Where the points begin in a verifying key's encoding.
const KEY_HEADER: usize = 20;
/// Bytes of a point of G1 with the scalar that it is multiplied with.
const POINT_AND_SCALAR: usize = 96;

/// What a verifier contract is written from.
#[derive(Debug, Clone)]
pub struct VerifierContract {
    /// The contract's name.
    name: String,
    /// Name and version of the package, for people.
    package: String,
    package_digest: Digest,
    /// What stands at each public input, for people.
    layout: Vec<String>,
    backend: Backend,
    key_digest: Digest,
    /// The points, a word each, G2's negated but for their order as in the key's encoding.
    words: Vec<[u8; WORD]>,
    public_inputs: usize,
}

impl VerifierContract {
    /// The verifier of a sealed package. `name` is the contract's; by default it is made from the
    /// package's.
    ///
    /// # Errors
    /// [`EvmError::Rejected`] for a package that is not the pinned one or not sealed, and for a key
    /// that is not the package's, malformed or degenerate; else as [`of_key`](Self::of_key).
    pub fn of_package(
        pinned: Digest,
        manifest: &[u8],
        verifying_key: &[u8],
        name: Option<&str>,
    ) -> Result<Self, EvmError> {
        let package = TrustedPackage::open(&Pins::package(pinned), manifest, verifying_key)?;
        let key = proofmark_verifier::decode_verifying_key(verifying_key)?;
        let named = package.manifest();
        let name = name.map_or_else(|| contract_name(&named.name), str::to_owned);
        let mut contract = Self::of_key(&key, &name)?;
        contract.package = format!("{} version {}", named.name, named.version);
        contract.package_digest = pinned;
        contract.layout = package.layout().describe();
        Ok(contract)
    }

    /// The verifier of a key that belongs to no package.
    ///
    /// # Errors
    /// [`EvmError::Rejected`] for a malformed or degenerate key, [`EvmError::Name`],
    /// [`EvmError::TooManyInputs`].
    pub fn of_key(key: &VerifyingKey, name: &str) -> Result<Self, EvmError> {
        if !is_contract_name(name) {
            return Err(EvmError::Name {
                name: name.to_owned(),
            });
        }
        let public_inputs = key.public_inputs();
        if public_inputs > MAX_VERIFIER_INPUTS {
            return Err(EvmError::TooManyInputs {
                inputs: public_inputs,
                most: MAX_VERIFIER_INPUTS,
            });
        }
        let key_digest = key.digest()?;
        // The contract moves these pairings to the other side of the equation.
        let mut negated = key.clone();
        negated.groth16.beta_g2 = -negated.groth16.beta_g2;
        negated.groth16.gamma_g2 = -negated.groth16.gamma_g2;
        negated.groth16.delta_g2 = -negated.groth16.delta_g2;
        negated.delta_committed_g2 = negated.delta_committed_g2.map(|point| -point);
        let bytes = encode_verifying_key(&negated)?;
        let points = bytes.get(KEY_HEADER..).unwrap_or_default();
        let words = points.as_chunks::<WORD>().0.to_vec();
        Ok(Self {
            name: name.to_owned(),
            package: "none".to_owned(),
            package_digest: Digest::from_bytes([0; 32]),
            layout: (0..public_inputs)
                .map(|_| "not described".to_owned())
                .collect(),
            backend: key.backend(),
            key_digest,
            words,
            public_inputs,
        })
    }

    /// The contract's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The source: one file without imports.
    pub fn source(&self) -> String {
        let mut words = self.words.iter();
        let (template, challenge) = match self.backend {
            Backend::Groth16 => (PLAIN, 0),
            Backend::Groth16Logup => (LOOKUP, 1),
        };
        // In the order of the key's encoding.
        let in_g2: &[&str] = match challenge {
            0 => &["BETA", "GAMMA", "DELTA"],
            _ => &["BETA", "GAMMA", "DELTA", "DELTA_COMMITTED"],
        };
        let coordinates = ["ALPHA_X", "ALPHA_Y"].map(str::to_owned).into_iter();
        let coordinates = coordinates
            .chain(in_g2.iter().flat_map(|point| {
                ["X1", "X0", "Y1", "Y0"].map(|coordinate| format!("{point}_{coordinate}"))
            }))
            .chain(["IC0_X", "IC0_Y"].map(str::to_owned));
        let mut values: BTreeMap<String, String> = coordinates
            .zip(words.by_ref().map(|word| hex(word)))
            .collect();
        // What is left are IC's other points: of the public inputs, and of the challenge.
        let mut points = Vec::with_capacity(self.public_inputs.saturating_add(challenge));
        while let (Some(x), Some(y)) = (words.next(), words.next()) {
            let offset = points.len().saturating_mul(POINT_AND_SCALAR);
            points.push(format!(
                "            mstore({}, {})\n            mstore({}, {})",
                offset_from("point", offset),
                hex(x),
                offset_from("point", offset.saturating_add(WORD)),
                hex(y)
            ));
        }
        let points_bytes = points.len().saturating_mul(POINT_AND_SCALAR);
        let input_bytes = self.public_inputs.saturating_mul(WORD);
        let layout: Vec<String> = self
            .layout
            .iter()
            .enumerate()
            .map(|(index, words)| format!("//   {index}: {words}"))
            .collect();
        let others = [
            ("NAME", self.name.clone()),
            ("PACKAGE_DIGEST", hex(self.package_digest.as_bytes())),
            ("PACKAGE", self.package.clone()),
            ("LAYOUT", layout.join("\n")),
            ("KEY_DIGEST", hex(self.key_digest.as_bytes())),
            ("INPUTS", self.public_inputs.to_string()),
            ("POINTS", points.join("\n")),
            ("POINTS_BYTES", format!("{points_bytes:#x}")),
            ("INPUT_BYTES", format!("{input_bytes:#x}")),
            (
                "HASHED_BYTES",
                format!("{:#x}", input_bytes.saturating_add(128)),
            ),
        ];
        values.extend(others.map(|(name, value)| (name.to_owned(), value)));
        fill(template, &values)
    }
}

/// The template with values in place of their names. Values are not looked into: what a model's author
/// calls a tensor stays a comment.
fn fill(template: &str, values: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        text.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        match values.get(name) {
            Some(value) => text.push_str(value),
            // The compiler refuses it.
            None => text.push_str(&format!("{{{{{name}}}}}")),
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::from("0x");
    for byte in bytes {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// An address in memory.
fn offset_from(name: &str, offset: usize) -> String {
    match offset {
        0 => name.to_owned(),
        _ => format!("add({name}, {offset:#x})"),
    }
}

/// `risk-classifier` → `RiskClassifierVerifier`.
fn contract_name(package: &str) -> String {
    let mut name = String::new();
    for part in package.split(|c: char| !c.is_ascii_alphanumeric()) {
        let mut letters = part.chars();
        if let Some(first) = letters.next() {
            name.push(first.to_ascii_uppercase());
            name.push_str(letters.as_str());
        }
    }
    // A package's name may begin with a digit.
    if !name.starts_with(|c: char| c.is_ascii_uppercase()) {
        name.insert_str(0, "Model");
    }
    name.push_str("Verifier");
    name
}

fn is_contract_name(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
    use ark_ec::{AffineRepr as _, CurveGroup as _};

    fn g1(n: u64) -> G1Affine {
        (G1Affine::generator() * Fr::from(n)).into_affine()
    }

    fn g2(n: u64) -> G2Affine {
        (G2Affine::generator() * Fr::from(n)).into_affine()
    }

    fn key(backend: Backend, inputs: u64) -> VerifyingKey {
        let challenge = u64::from(backend == Backend::Groth16Logup);
        VerifyingKey {
            groth16: ark_groth16::VerifyingKey::<Bn254> {
                alpha_g1: g1(2),
                beta_g2: g2(3),
                gamma_g2: g2(1),
                delta_g2: g2(5),
                gamma_abc_g1: (0..=inputs + challenge).map(|k| g1(7 + k)).collect(),
            },
            delta_committed_g2: (challenge == 1).then(|| g2(6)),
        }
    }

    #[test]
    fn every_placeholder_is_filled_and_every_point_is_there() {
        for (backend, points) in [(Backend::Groth16, 3), (Backend::Groth16Logup, 4)] {
            for inputs in [0, 1, 3] {
                let contract = VerifierContract::of_key(&key(backend, inputs), "Name").unwrap();
                let source = contract.source();
                assert!(!source.contains("{{"), "{source}");
                assert!(source.contains("contract Name {"));
                assert!(source.contains(&format!("publicInputs = {inputs};")));
                let challenge = usize::from(backend == Backend::Groth16Logup);
                let others = usize::try_from(inputs).unwrap() + challenge;
                let end = format!("add(point, {:#x})", 96 * others);
                assert!(source.contains(&format!("let end := {end}\n")));
                for word in &contract.words {
                    assert!(source.contains(&hex(word)));
                }
                assert_eq!(contract.words.len(), 2 + points * 4 + 2 * (1 + others));
            }
        }
    }

    #[test]
    fn what_a_tensor_is_called_stays_a_comment() {
        use proofmark_types::statement::{LayoutTensor, PublicLayout};
        use proofmark_types::{ElemType, manifest::Visibility};
        let plain = VerifierContract::of_key(&key(Backend::Groth16, 1), "Name").unwrap();
        let lines = plain.source().lines().count();
        for name in [
            "{{POINTS}}",
            "{{LAYOUT}}{{NAME}}",
            "{{",
            "\n}\r\ncontract Evil { //",
            "\u{2028}\u{2029}\u{85}\u{b}\u{c}",
            "*/ /* \u{202e}\u{2066}",
        ] {
            let tensor = |name: &str| LayoutTensor {
                name: name.to_owned(),
                elem: ElemType::Uint8,
                shape: vec![9],
                visibility: Visibility::Hashed,
            };
            let layout = PublicLayout::new(vec![tensor(name)], vec![tensor("y")]).unwrap();
            let mut contract = plain.clone();
            contract.layout = layout.describe();
            assert_eq!(contract.layout.len(), 3);
            let source = contract.source();
            // Two lines more, for two public inputs more; and whatever else ends a line to somebody.
            assert_eq!(source.lines().count(), lines + 2, "{source}");
            assert!(
                source.contains(&format!("//   1: Poseidon digest of hashed input {name:?}")),
                "{source}"
            );
            let other = |c: char| matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            assert!(
                !source
                    .chars()
                    .any(|c| other(c) || (c.is_control() && c != '\n'))
            );
        }
    }

    #[test]
    fn keys_that_anybody_could_forge_under_have_no_contract() {
        type Change = fn(&mut VerifyingKey);
        let changes: [Change; 7] = [
            |k| k.groth16.alpha_g1 = G1Affine::identity(),
            |k| k.groth16.beta_g2 = G2Affine::identity(),
            |k| k.groth16.delta_g2 = k.groth16.gamma_g2,
            |k| k.groth16.delta_g2 = G2Affine::identity(),
            |k| k.groth16.gamma_abc_g1[1] = G1Affine::identity(),
            |k| k.delta_committed_g2 = Some(k.groth16.delta_g2),
            |k| k.delta_committed_g2 = Some(k.groth16.gamma_g2),
        ];
        for change in changes {
            let mut degenerate = key(Backend::Groth16Logup, 2);
            change(&mut degenerate);
            let error = VerifierContract::of_key(&degenerate, "Name").unwrap_err();
            assert_eq!(error.code(), "key-degenerate");
        }
    }

    #[test]
    fn names_and_sizes() {
        for (package, name) in [
            ("risk-classifier", "RiskClassifierVerifier"),
            ("lenet5.mnist_v2", "Lenet5MnistV2Verifier"),
            ("3d-net", "Model3dNetVerifier"),
        ] {
            assert_eq!(contract_name(package), name);
            assert!(is_contract_name(name));
        }
        let small = key(Backend::Groth16, 1);
        for name in ["", "a", "A b", "A;", "Ä", "1A"] {
            let error = VerifierContract::of_key(&small, name).unwrap_err();
            assert_eq!(error.code(), "contract-name-invalid");
        }
        let most = u64::try_from(MAX_VERIFIER_INPUTS).unwrap();
        assert!(VerifierContract::of_key(&key(Backend::Groth16, most), "A").is_ok());
        let error = VerifierContract::of_key(&key(Backend::Groth16, most + 1), "A").unwrap_err();
        assert_eq!(error.code(), "contract-too-large");
    }
}
