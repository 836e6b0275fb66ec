//! The table that every verifier must answer alike (`tests/compat/README.md`), asked of contracts: a
//! generated verifier and the universal one say yes where the recipient does, and where it refuses a
//! proof they revert with the reason that the README puts beside its code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proofmark_evm::{Artifact, Call, Contract, VerifierContract};
use proofmark_types::{Digest, Envelope};
use revm::primitives::{B256, Bytes, U256};
use serde_json::Value;

use crate::chain::{Chain, account, calldata, selector};
use crate::compile::compiled_contracts;
use crate::keys::words;
use crate::subject::{COUNT, INVALID, LENGTH, NOT_BELOW, Subject};

const UNKNOWN: &str = "KeyUnknown(bytes32)";
const MALFORMED: &str = "KeyMalformed()";

/// A package of the table, and its generated verifier compiled.
struct Held {
    digest: Digest,
    manifest: String,
    key: Vec<u8>,
    generated: Artifact,
}

struct Table {
    packages: BTreeMap<String, Held>,
    cases: Vec<Value>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compat")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    hex::decode(text(value).strip_prefix("0x").unwrap()).unwrap()
}

impl Table {
    fn read() -> Self {
        let json = fs::read_to_string(folder().join("table.json")).unwrap();
        let table: Value = serde_json::from_str(&json).unwrap();
        let packages = table["packages"].as_object().unwrap();
        let mut sources = Vec::new();
        let mut parts = Vec::new();
        for (name, held) in packages {
            let digest: Digest = text(&held["digest"]).parse().unwrap();
            let manifest = text(&held["manifest"]).to_owned();
            let key = BASE64.decode(text(&held["verifying_key"])).unwrap();
            // Two packages of one model: their contracts would have one name.
            let called = Some(if name == "plain" { "Plain" } else { "Lookup" });
            let contract =
                VerifierContract::of_package(digest, manifest.as_bytes(), &key, called).unwrap();
            sources.push((contract.name().to_owned(), contract.source()));
            parts.push((name.clone(), digest, manifest, key));
        }
        let packages = parts
            .into_iter()
            .zip(compiled_contracts(&sources))
            .map(|((name, digest, manifest, key), generated)| {
                let held = Held {
                    digest,
                    manifest,
                    key,
                    generated,
                };
                (name, held)
            })
            .collect();
        Self {
            packages,
            cases: table["cases"].as_array().unwrap().clone(),
        }
    }

    /// The cases that ask about this.
    fn of(&self, about: &str) -> impl Iterator<Item = (&Value, &Held)> {
        self.cases
            .iter()
            .filter(move |case| case["question"]["of"] == about)
            .map(|case| (case, &self.packages[text(&case["question"]["package"])]))
    }
}

/// The error beside a code in the README.
fn reason(code: &str, length_fits: bool) -> &'static str {
    match code {
        "proof-invalid" => INVALID,
        "proof-malformed" if length_fits => INVALID,
        "proof-malformed" | "proof-system-mismatch" => LENGTH,
        "key-public-inputs-mismatch" => COUNT,
        "public-input-not-canonical" => NOT_BELOW,
        _ => panic!("{code}: no contract knows this; tests/compat/README.md says what they know"),
    }
}

/// What both verifiers of a package say of a proof is what the table says.
fn ask(held: &Held, case: &Value, proof: &[u8], inputs: &[U256], seen: &mut BTreeSet<String>) {
    let mut chain = Chain::new();
    let own = if held.key.starts_with(b"proofmark/vkc/") {
        320
    } else {
        256
    };
    for subject in Subject::both(&mut chain, &held.generated, &held.key) {
        match case["code"].as_str() {
            None => subject.accepts(&mut chain, proof, inputs),
            Some(code) => {
                let error = reason(code, proof.len() == own);
                subject.refuses(&mut chain, proof, inputs, error);
                seen.insert(format!("| `{code}` | `{error}` |"));
            }
        }
    }
}

/// The universal verifier of a key is asked under the digest of another.
fn ask_for_unknown(key: &[u8], demanded: B256, proof: &[u8], inputs: &[U256]) {
    let mut chain = Chain::new();
    let universal = chain.deploy_contract(Contract::UniversalVerifier, &[]);
    assert!(
        chain
            .send(account(1), universal, &Call::register(key))
            .success
    );
    let arguments = (demanded, Bytes::copy_from_slice(proof), inputs.to_vec());
    for function in ["verifyProof", "requireProof"] {
        let signature = format!("{function}(bytes32,bytes,uint256[])");
        chain.refused(
            account(2),
            universal,
            &signature,
            arguments.clone(),
            UNKNOWN,
        );
    }
}

/// What the README must say: a row for each pair that was seen.
fn documented(seen: &BTreeSet<String>) {
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    for row in seen {
        assert!(
            readme.contains(row.as_str()),
            "tests/compat/README.md lacks {row}"
        );
    }
}

#[test]
fn contracts_answer_questions_about_proofs_as_the_table_says() {
    let table = Table::read();
    let mut seen = BTreeSet::new();
    let mut asked = BTreeMap::new();
    for (case, held) in table.of("proof") {
        let question = &case["question"]["question"];
        let proof = hex(&question["proof"]);
        let inputs = question["public_inputs"].as_array().unwrap().iter();
        let inputs: Vec<U256> = inputs.map(|word| U256::from_be_slice(&hex(word))).collect();
        let demanded: Digest = text(&question["verifying_key_digest"]).parse().unwrap();
        if demanded == Digest::of(&held.key) {
            ask(held, case, &proof, &inputs, &mut seen);
        } else {
            assert_eq!(case["code"], "verifying-key-mismatch");
            let demanded = B256::from(*demanded.as_bytes());
            ask_for_unknown(&held.key, demanded, &proof, &inputs);
            seen.insert(format!("| `verifying-key-mismatch` | `{UNKNOWN}` |"));
            // A generated verifier says which key it is of.
            let mut chain = Chain::new();
            let address = chain.deploy(&held.generated, &[]).0;
            let own = chain.send(account(2), address, &selector("keyDigest()"));
            assert_ne!(own.output, demanded.0);
        }
        let verdict = text(&case["verdict"]).to_owned();
        *asked.entry(verdict).or_insert(0) += 1;
    }
    assert_eq!(asked["proven"], 2);
    assert!(asked["rejected"] >= 16, "{asked:?}");
    documented(&seen);
}

#[test]
fn contracts_answer_for_the_statements_of_receipts_as_the_table_says() {
    let table = Table::read();
    let mut seen = BTreeSet::new();
    let mut statements = BTreeMap::new();
    for (case, held) in table.of("receipt") {
        let code = case["code"].as_str();
        // Of everything else that a receipt says, and of what its recipient asks, contracts know nothing.
        if !matches!(code, None | Some("proof-invalid" | "proof-malformed")) {
            continue;
        }
        let envelope = Envelope::parse(text(&case["question"]["receipt"]).as_bytes()).unwrap();
        let receipt = envelope.receipt();
        let inputs = words(&receipt.public_inputs(&receipt.layout().unwrap()).unwrap());
        let statement = (inputs, receipt.proof.to_vec(), code);
        statements.insert(statement, (case, held));
    }
    let refused = statements.keys().filter(|(.., code)| code.is_some());
    assert!(refused.count() >= 10);
    assert!(statements.len() >= 14, "{}", statements.len());
    for ((inputs, proof, _), (case, held)) in &statements {
        ask(held, case, proof, inputs, &mut seen);
    }
    documented(&seen);
}

#[test]
fn no_contract_is_written_and_no_key_registered_for_what_is_not_pinned() {
    let table = Table::read();
    let mut malformed = 0;
    for (case, held) in table.of("package") {
        let question = &case["question"];
        let digest = question["digest"].as_str();
        let Ok(digest) = digest.map_or(Ok(held.digest), str::parse) else {
            // The command line refuses what is no digest before any contract is written.
            assert_eq!(case["code"], "parameter-invalid");
            continue;
        };
        let manifest = question["manifest"].as_str().unwrap_or(&held.manifest);
        let key = question["verifying_key"].as_str();
        let key = key.map_or_else(|| held.key.clone(), |text| BASE64.decode(text).unwrap());
        let written = VerifierContract::of_package(digest, manifest.as_bytes(), &key, None);
        assert_eq!(written.unwrap_err().code(), text(&case["code"]));
        if key == held.key {
            continue;
        }
        // The universal verifier knows no packages: another key has another name there.
        assert_eq!(case["code"], "verifying-key-mismatch");
        let own = B256::from(*Digest::of(&held.key).as_bytes());
        let mut chain = Chain::new();
        let universal = chain.deploy_contract(Contract::UniversalVerifier, &[]);
        let registered = chain.send(account(1), universal, &Call::register(&key));
        if registered.success {
            let info = calldata("keyInfo(bytes32)", (own,));
            chain.send(account(2), universal, &info).is_refused(UNKNOWN);
        } else {
            registered.is_refused(MALFORMED);
            malformed += 1;
        }
    }
    assert_eq!(malformed, 2);
}
