//! evm: contracts and calldata; prove for a contract.

use std::fs;
use std::path::Path;

use crate::support::{NONCE, Sealed, json, run};

const CONSUMER: &str = "0xabababababababababababababababababababab";
const REQUESTER: &str = "0xcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";

#[test]
fn a_receipt_for_a_contract_becomes_calldata_once_it_is_verified() {
    let sealed = Sealed::sample();
    let for_contract = [
        "--nonce",
        NONCE,
        "--chain-id",
        "31337",
        "--consumer",
        CONSUMER,
        "--requester",
        REQUESTER,
        "--deadline",
        "1900000000",
    ];
    sealed.prove("0", "r.json", &for_contract).ended(0, "");
    let package = sealed.package();
    let receipt = sealed.file("r.json");
    let calldata = |digest: &str, more: &[&str]| {
        let pinned = ["--package", &package, "--package-digest", digest];
        json(&[&["evm", "calldata", &receipt], &pinned[..], more].concat())
    };
    let own = calldata(&sealed.digest, &[]).ended(0, "").json();
    assert_eq!(own["context"]["consumer"], CONSUMER);
    assert_eq!(own["context"]["deadline"], 1_900_000_000);
    assert_eq!(own["context"]["nonce"], NONCE);
    let requester = own["context"]["requester"].as_str().unwrap();
    assert_eq!(
        requester,
        format!("0x{}{}", "0".repeat(24), &REQUESTER[2..])
    );
    assert_eq!(own["inputs"].as_array().unwrap().len(), 4);
    let call = own["verifyProof"].as_str().unwrap();
    // The selector of verifyProof(bytes,uint256[]), and everything that is passed.
    assert!(call.starts_with("0x1e8e1e13"));
    for part in own["inputs"].as_array().unwrap() {
        assert!(call.contains(&part.as_str().unwrap()[2..]));
    }
    assert!(call.contains(&own["proof"].as_str().unwrap()[2..]));
    let keyed = calldata(&sealed.digest, &["--universal"])
        .ended(0, "")
        .json();
    let call = keyed["requireProof"].as_str().unwrap();
    assert!(call.contains(&own["key"].as_str().unwrap()[2..]));

    // Not for a receipt of another package, nor for one that was changed.
    let other = format!("sha256:{}", "0".repeat(64));
    calldata(&other, &[]).ended(1, "package-not-pinned");
    let changed = fs::read_to_string(sealed.file("r.json")).unwrap();
    fs::write(sealed.file("r.json"), changed.replacen("ey", "ez", 1)).unwrap();
    assert_ne!(calldata(&sealed.digest, &[]).code, 0);
}

#[test]
fn a_package_becomes_a_contract_and_a_registration() {
    let sealed = Sealed::sample();
    let package = sealed.package();
    let out = sealed.file("V.sol");
    let pinned = ["--package-digest", sealed.digest.as_str(), "--out", &out];
    let written = json(&[&["evm", "verifier", &package], &pinned[..]].concat());
    let written = written.ended(0, "").json();
    assert_eq!(written["contract"], "RiskClassifierVerifier");
    assert_eq!(written["public_inputs"], 4);
    let source = fs::read_to_string(&out).unwrap();
    assert!(source.contains("contract RiskClassifierVerifier {"));
    let digest = sealed.digest.strip_prefix("sha256:").unwrap();
    assert!(source.contains(&format!("packageDigest = 0x{digest};")));
    let registration = json(&["evm", "register", &package]).ended(0, "").json();
    let key = registration["key"].as_str().unwrap();
    assert!(source.contains(&format!("keyDigest = {key};")));
    let model = &registration["model"];
    assert_eq!(model["modelHash"], format!("0x{digest}"));
    assert_eq!(model["vkHash"], key);
    let manifest = fs::read(Path::new(&package).join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let backend = manifest["compiler"]["backend"].as_str().unwrap();
    let id = match backend {
        "groth16" => "0x0550d137",
        _ => "0x39e7a114",
    };
    assert_eq!(model["proofSystemId"], id, "{backend}");
    // 30 features, hashed or packed, are one public input; context and two outputs stand around it.
    assert_eq!(model["inputs"], 1);
    // The selector of register(bytes).
    let call = registration["register"].as_str().unwrap();
    assert!(call.starts_with("0x82fbdc9c"), "{}", &call[..12]);

    json(&["evm", "verifier", &package, "--out", &out, "--name", "1x"])
        .ended(2, "contract-name-invalid");
    let other = format!("sha256:{}", "0".repeat(64));
    json(&["evm", "register", &package, "--package-digest", &other]).ended(1, "package-not-pinned");
    for name in ["universal-verifier", "router", "registry", "requests"] {
        let contract = json(&["evm", "contract", name]).ended(0, "").json();
        assert!(contract["bytecode"].as_str().unwrap().starts_with("0x60"));
        assert!(contract["abi"].is_array());
    }
    assert_eq!(run(&["evm", "contract", "nothing"]).code, 2);
}

#[test]
fn a_relay_says_that_its_node_is_not_there() {
    let sealed = Sealed::sample();
    let state = sealed.file("state.json");
    let package = sealed.package();
    json(&[
        "relay",
        "--package",
        &package,
        "--url",
        "http://127.0.0.1:9",
        "--contract",
        CONSUMER,
        "--from",
        REQUESTER,
        "--state",
        &state,
        "--once",
    ])
    .ended(3, "node-unreachable");
}
