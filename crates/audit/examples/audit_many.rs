//! How long an audit of many receipts takes: seals the sample model, proves as many receipts as it
//! is told, logs them, and audits them, honest and with false ones among them.
//!
//! `cargo run --release -p proofmark-audit --example audit_many -- 10000 plain`
//! (`lookup` for the other proof system)
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::{Instant, SystemTime};

use ed25519_dalek::SigningKey;
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::NpzReader;
use proofmark_audit::{LogEvidence, Policy, Request, audit};
use proofmark_engine::{BackendChoice, Engine, NoProgress, ProveRequest, seal};
use proofmark_log::{Entry, Log, Options, ReceiptEntry};
use proofmark_types::{Context, Digest, Envelope, Receipt};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// False receipts in the last audit.
const FALSE: usize = 10;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().as_deref().unwrap_or("1000").parse()?;
    let backend = match arguments.next().as_deref() {
        Some("lookup") => BackendChoice::Lookup,
        _ => BackendChoice::Plain,
    };
    let root = tempfile::tempdir()?;
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/risk-classifier");
    let folder = root.path().join("package");
    let digest = seal(&models, &folder, backend, &NoProgress)?.digest();
    let key = SigningKey::from_bytes(&[1; 32]);
    let now = SystemTime::UNIX_EPOCH.elapsed()?.as_secs();

    let start = Instant::now();
    let receipts = prove(&folder, &models, count, now, &key)?;
    println!("{count} receipts proven in {:.1} s", seconds(start));
    let (given, log) = (root.path().join("receipts"), root.path().join("log"));
    fs::create_dir(&given)?;
    let log = Log::open(&log, &Options::default())?;
    let entries: Result<Vec<Entry>, _> = receipts
        .iter()
        .map(|receipt| ReceiptEntry::of(receipt).map(Entry::Receipt))
        .collect();
    for entries in entries?.chunks(4096) {
        log.append_all(entries)?;
    }
    let mut bytes = 0;
    for (at, receipt) in receipts.iter().enumerate() {
        let file = receipt.to_bytes()?;
        bytes += file.len();
        fs::write(given.join(format!("{at:06}.json")), file)?;
    }
    println!("{bytes} bytes of receipts");

    let start = Instant::now();
    for at in 0..count {
        Envelope::parse(&fs::read(given.join(format!("{at:06}.json")))?)?;
    }
    println!(
        "read and parsed one after the other in {:.2} s",
        seconds(start)
    );

    let mut request = Request {
        package: folder,
        pinned: Some(digest),
        signers: vec![key.verifying_key().to_bytes()],
        receipts: Vec::new(),
        openings: Vec::new(),
        not_before: None,
        phase1: None,
        contributions: Vec::new(),
        log: None,
        samples: 100,
        data: None,
        seed: [9; 32],
        now,
    };
    timed("the package alone", &request)?;
    request.receipts = vec![given.clone()];
    timed("with the receipts", &request)?;
    request.log = Some(LogEvidence {
        policy: Policy::new(log.verifier_key().clone()),
        folders: vec![log.public_folder().to_owned()],
        proofs: Vec::new(),
        checkpoints: Vec::new(),
    });
    timed("with the receipts and the log", &request)?;
    // The proof of one receipt under the statement of another, signed by the service.
    for at in (0..count).step_by((count / FALSE).max(1)) {
        let (Some(one), Some(other)) = (receipts.get(at), receipts.get((at + 1) % count)) else {
            continue;
        };
        let mut receipt: Receipt = one.receipt().clone();
        receipt.proof = other.receipt().proof;
        let forged = Envelope::sign(receipt, &key)?;
        fs::write(given.join(format!("{at:06}.json")), forged.to_bytes()?)?;
    }
    timed("with false ones among them", &request)
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

fn timed(what: &str, request: &Request) -> Outcome<()> {
    let start = Instant::now();
    let report = audit(request, &NoProgress)?;
    println!(
        "{what}: {:.2} s; {:?}, {} of {} receipts verify",
        seconds(start),
        report.outcome,
        report.receipts.accepted,
        report.receipts.given
    );
    Ok(())
}

fn prove(
    folder: &Path,
    models: &Path,
    count: usize,
    now: u64,
    key: &SigningKey,
) -> Outcome<Vec<Envelope>> {
    let engine = Engine::load(folder, None)?;
    let mut file = NpzReader::new(fs::File::open(models.join("heldout.npz"))?)?;
    let samples: ArrayD<f32> = file.by_name::<OwnedRepr<f32>, IxDyn>("x")?;
    let spec = engine.manifest().inputs.first().ok_or("no input")?;
    let quantizer = spec.quantizer.as_ref().ok_or("no quantizer")?;
    let tensors: Result<Vec<_>, _> = samples
        .outer_iter()
        .map(|row| {
            let row: Vec<f32> = row.iter().copied().collect();
            quantizer.quantize(&row, &spec.shape, spec.elem)
        })
        .collect();
    let tensors = tensors?;
    let mut receipts = Vec::with_capacity(count);
    for (at, tensor) in (0..count).zip(tensors.iter().cycle()) {
        let nonce = *Digest::of(&at.to_le_bytes()).as_bytes();
        let request = ProveRequest {
            inputs: BTreeMap::from([(spec.name.clone(), tensor.clone())]),
            context: Context::off_chain(nonce),
            proved_at: now,
        };
        receipts.push(engine.prove(&request, key)?.envelope);
    }
    Ok(receipts)
}
