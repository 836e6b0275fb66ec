//! The built programs, as their users meet them: real HTTP, a real database, real models and
//! proofs. `cargo build --bins` comes first; `cargo xtask test` does both. `PROOFMARK_DEEP=1`
//! crashes the service more often.

mod attestations;
mod bad_input;
mod conformance;
mod crash;
#[cfg(target_os = "linux")]
mod disk;
mod hostile;
mod independent;
mod infer;
mod liar;
mod limits;
mod log;
mod notices;
mod own_machine;
mod proxy;
mod shutdown;
mod start;
mod swap;
mod visibility;

use std::path::Path;

use proofmark_tests::service::{Public, Reply, Service, Start};
use proofmark_tlog::TlogProof;
use proofmark_types::IntTensor;
use proofmark_types::receipt::{Envelope, RecordValue};
use serde_json::Value;

const RISK: &str = "risk-classifier";
const DIGITS: &str = "digits-mlp";

/// A service of one model with a data folder of its own.
struct Alone {
    service: Service,
    model: Public,
    data: tempfile::TempDir,
    packages: tempfile::TempDir,
}

fn alone(name: &str, more: &[&str]) -> Alone {
    let packages = proofmark_tests::service::only(name);
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(Start {
        packages: packages.path(),
        data: data.path(),
        more,
    });
    Alone {
        service,
        model: Public::read(&packages.path().join(name)),
        data,
        packages,
    }
}

/// A proven answer with its receipt, which the answer carries byte for byte.
fn envelope(service: &Service, reply: &Reply) -> (Vec<u8>, Envelope) {
    let bytes = service.receipt(&reply.receipt_id());
    assert!(
        reply.body.windows(bytes.len()).any(|w| w == bytes),
        "the answer carries the receipt as it is stored"
    );
    let envelope = Envelope::parse(&bytes).unwrap();
    assert_eq!(envelope.receipt_id().to_string(), reply.receipt_id());
    (bytes, envelope)
}

/// The proof of logging that an answer carries. Unverified.
fn tlog_proof(reply: &Reply) -> TlogProof {
    let answer = reply.json();
    TlogProof::parse(answer["tlog_proof"].as_str().unwrap().as_bytes()).unwrap()
}

/// The values of a tensor of an answer.
fn values<'a>(answer: &'a Value, output: &str) -> &'a Value {
    let outputs = answer["outputs"].as_array().unwrap();
    let found = outputs.iter().find(|o| o["name"] == output);
    &found.unwrap_or_else(|| panic!("no {output}"))["data"]
}

/// The values of a public tensor of a receipt.
fn public(value: &RecordValue) -> &IntTensor {
    match value {
        RecordValue::Public(tensor) => tensor,
        RecordValue::Hashed(_) | RecordValue::Private(_) => panic!("a hidden tensor"),
    }
}

/// All receipts in a database that no service uses.
fn stored(data: &Path, model: &str) -> Vec<Vec<u8>> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let path = data.join("proofmark.sqlite");
        assert!(path.is_file());
        let store = proofmark_store::Store::open(&path).await.unwrap();
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = store.receipts_of_model(model, after, 100).await.unwrap();
            all.extend(page.receipts.into_iter().map(|r| r.envelope));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        store.close().await;
        all
    })
}
