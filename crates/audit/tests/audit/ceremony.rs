//! Keys that are said to come from a ceremony.

use std::fs;
use std::path::PathBuf;

use proofmark_audit::{Finding, NoProgress, Report, Status};
use proofmark_ceremony::phase1::{Ptau, create};
use proofmark_ceremony::phase2::{Chain, Factors, InitialKey, Texts, domain_power, file, folder};
use proofmark_engine::{BackendChoice, Engine, compile_folder, seal_ceremony};
use proofmark_gadgets::Circuit;
use proofmark_prover::ceremony::{BeaconRecord, CeremonyRecord, HexBytes};
use proofmark_prover::{ProvingKey, Transcript, key_file};
use proofmark_types::Digest;
use proofmark_verifier::encode_verifying_key;
use tempfile::TempDir;

use crate::fixture::{Case, MODEL, fails, finding, model, reopen};

/// Powers of tau, and the sample model's initial key.
struct Begun {
    folder: TempDir,
    circuit: Circuit,
    initial: InitialKey,
    backend: BackendChoice,
}

impl Begun {
    fn new(backend: BackendChoice) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let circuit = compile_folder(&model(MODEL), Some(backend)).unwrap();
        let powers = folder.path().join("powers.ptau");
        let power = domain_power(&circuit).unwrap();
        create(&powers, power, "Ada", true, &NoProgress).unwrap();
        let ptau = Ptau::open(&powers).unwrap();
        let initial = InitialKey::from_ptau(&circuit, &ptau, &NoProgress).unwrap();
        Self {
            folder,
            circuit,
            initial,
            backend,
        }
    }

    fn powers(&self) -> PathBuf {
        self.folder.path().join("powers.ptau")
    }

    /// The package of two contributions, and their hashes.
    fn contributed(&self) -> (Case, Vec<Vec<u8>>) {
        let place = |number| folder::path_of(self.folder.path(), number);
        file::write_initial(&place(0), &self.initial).unwrap();
        let mut hashes = Vec::new();
        for (number, name) in ["Grace", "Edsger"].into_iter().enumerate() {
            let factors = Factors::from_system(self.initial.is_committed()).unwrap();
            let (from, to) = (place(number), place(number + 1));
            let texts = Texts {
                name: name.to_owned(),
                ..Texts::default()
            };
            let made = file::contribute(&from, &to, &factors, texts, &NoProgress).unwrap();
            hashes.push(made.hash.to_vec());
        }
        let verified = folder::verify(self.folder.path(), &self.initial, &[], &NoProgress).unwrap();
        (self.case(verified.key, verified.record), hashes)
    }

    fn case(&self, key: ProvingKey, record: CeremonyRecord) -> Case {
        Case::sealed(|out| seal_ceremony(&model(MODEL), out, self.backend, key, record).unwrap())
    }
}

fn record_of(case: &Case) -> CeremonyRecord {
    let bytes = fs::read(case.package().join("transcript.json")).unwrap();
    Transcript::parse(&bytes).unwrap().ceremony.unwrap()
}

fn key_of(case: &Case, circuit: &Digest) -> ProvingKey {
    let sealed = reopen(&case.package()).sealed().unwrap().clone();
    let path = case.package().join(&sealed.proving_key.file);
    key_file::load(&path, &sealed.proving_key.digest, circuit)
        .unwrap()
        .key
}

/// Exchanges keys and transcript, with every digest made to fit.
fn exchange(case: &mut Case, circuit: &Digest, key: &ProvingKey, record: CeremonyRecord) {
    let path = case.package().join("proving_key.bin");
    let proving = key_file::write(&path, circuit, key).unwrap();
    let bytes = fs::metadata(&path).unwrap().len();
    let verifying = encode_verifying_key(key.verifying_key()).unwrap();
    let verifying = case.exchange("verifying_key.bin", &verifying);
    let transcript = Transcript::of_ceremony(record, *circuit, proving, verifying.digest);
    let transcript = case.exchange("transcript.json", &transcript.to_bytes());
    case.reseal(|manifest| {
        let sealed = manifest.sealed.as_mut().unwrap();
        sealed.proving_key.digest = proving;
        sealed.proving_key.bytes = bytes;
        sealed.verifying_key = verifying;
        sealed.transcript = transcript;
    });
    case.request.pinned = Some(case.digest);
}

fn setup_kind(report: &Report) -> &Finding {
    finding(report, "setup-kind")
}

#[track_caller]
fn says(finding: &Finding, code: &str) {
    let mut values = finding.evidence.iter().map(|evidence| &evidence.value);
    assert!(values.any(|value| value == code), "{code}: {finding:?}");
}

#[test]
fn honest_ceremonies_pass_with_their_powers_of_tau() {
    for backend in [BackendChoice::Plain, BackendChoice::Lookup] {
        let begun = Begun::new(backend);
        let (mut case, hashes) = begun.contributed();
        case.give_honest(1);
        let report = case.audit();
        fails(&report, []);
        assert_eq!(setup_kind(&report).status, Status::NotChecked);
        assert!(
            setup_kind(&report)
                .remedy
                .as_ref()
                .unwrap()
                .contains("--phase1")
        );

        case.request.phase1 = Some(begun.powers());
        case.request.contributions = hashes.clone();
        let report = case.audit();
        fails(&report, []);
        let kind = setup_kind(&report);
        assert_eq!(kind.status, Status::Pass, "{kind:?}");
        assert!(kind.meaning.contains("as long as one of the contributors"));
        says(
            kind,
            &format!("Grace {}", HexBytes(hashes[0].clone()).to_hex()),
        );
        assert_eq!(report.receipts.accepted, 1);
    }
}

/// The transcript of an honest ceremony around keys that the operator made alone.
#[test]
fn keys_of_one_party_behind_the_transcript_of_a_ceremony() {
    for backend in [BackendChoice::Plain, BackendChoice::Lookup] {
        let begun = Begun::new(backend);
        let (mut case, _) = begun.contributed();
        let record = record_of(&case);
        let circuit = begun.circuit.digest();
        let own = proofmark_prover::setup(&begun.circuit, &NoProgress).unwrap();
        exchange(&mut case, &circuit, &own, record.clone());
        let refused = Engine::load(&case.package(), None).err().unwrap();
        assert_eq!(refused.code(), "ceremony-key-mismatch");
        let without = case.audit();
        let [kind] = fails(&without, ["setup-kind"]);
        assert!(kind.meaning.contains("outside of the ceremony"));
        case.request.phase1 = Some(begun.powers());
        fails(&case.audit(), ["setup-kind"]);
        // The verifying key alone shows it.
        fs::remove_file(case.package().join("proving_key.bin")).unwrap();
        fails(&case.audit(), ["setup-kind"]);
    }
}

/// An operator who knows its own powers of tau, and lets the transcript name those of others.
#[test]
fn the_powers_of_others_named_in_the_transcript() {
    let (begun, others) = (
        Begun::new(BackendChoice::Plain),
        Begun::new(BackendChoice::Plain),
    );
    let (mut case, _) = begun.contributed();
    let mut record = record_of(&case);
    record.phase1 = others.initial.phase1;
    let circuit = begun.circuit.digest();
    let key = key_of(&case, &circuit);
    exchange(&mut case, &circuit, &key, record.clone());
    // Nothing contradicts it but the powers themselves.
    assert_eq!(setup_kind(&case.audit()).status, Status::NotChecked);
    case.request.phase1 = Some(others.powers());
    let report = case.audit();
    let [kind] = fails(&report, ["setup-kind"]);
    assert!(kind.meaning.contains("does not follow from circuit"));
    says(kind, "ceremony-mismatch");
    // With the hash of the other initial key, which no contribution answers to.
    record.initial_key = HexBytes(others.initial.hash.to_vec());
    exchange(&mut case, &circuit, &key, record);
    let report = case.audit();
    let [kind] = fails(&report, ["setup-kind"]);
    says(kind, "contribution-invalid");
}

#[test]
fn points_of_the_proving_key_replaced() {
    let begun = Begun::new(BackendChoice::Plain);
    let (mut case, _) = begun.contributed();
    let record = record_of(&case);
    let circuit = begun.circuit.digest();
    let mut key = key_of(&case, &circuit);
    key.groth16.l_query.swap(0, 1);
    exchange(&mut case, &circuit, &key, record);
    case.request.phase1 = Some(begun.powers());
    let report = case.audit();
    let [kind, _] = fails(&report, ["setup-kind", "key-proves-circuit"]);
    says(kind, "ceremony-query-mismatch");
}

#[test]
fn powers_of_tau_that_are_others_damaged_or_not_there() {
    let (begun, others) = (
        Begun::new(BackendChoice::Plain),
        Begun::new(BackendChoice::Plain),
    );
    let (mut case, _) = begun.contributed();
    case.request.phase1 = Some(others.powers());
    let report = case.audit();
    says(fails(&report, ["setup-kind"])[0], "ceremony-mismatch");
    let mut bytes = fs::read(begun.powers()).unwrap();
    let end = bytes.len();
    bytes.copy_within(end - 128..end - 64, end - 64);
    fs::write(others.powers(), bytes).unwrap();
    let report = case.audit();
    let [kind] = fails(&report, ["setup-kind"]);
    assert!(kind.meaning.contains("unsound"));
    says(kind, "ptau-inconsistent");
    case.request.phase1 = Some(begun.folder.path().join("none.ptau"));
    let report = case.audit();
    fails(&report, []);
    assert_eq!(setup_kind(&report).status, Status::NotChecked);
    says(setup_kind(&report), "ceremony-io");
}

#[test]
fn contributions_that_were_dropped_are_missed() {
    let begun = Begun::new(BackendChoice::Plain);
    let (mut case, mut hashes) = begun.contributed();
    hashes.push(vec![7; 64]);
    case.request.contributions = hashes;
    let report = case.audit();
    let [kind] = fails(&report, ["setup-kind"]);
    assert!(kind.meaning.contains("left it out"));
    says(kind, "contribution-missing");
    // Keys of one party have nobody's.
    let mut single = Case::new(BackendChoice::Plain);
    single.request.contributions = vec![vec![7; 64]];
    let report = single.audit();
    says(fails(&report, ["setup-kind"])[0], "contribution-missing");
}

#[test]
fn a_beacon_alone_is_no_ceremony() {
    let begun = Begun::new(BackendChoice::Plain);
    let beacon = BeaconRecord {
        value: HexBytes(vec![1, 2, 3]),
        iterations_log2: 10,
    };
    let factors = Factors::from_beacon(&beacon, false, &NoProgress).unwrap();
    let mut chain = Chain::new(&begun.initial.hash, false);
    let texts = Texts {
        beacon: Some(beacon),
        ..Texts::default()
    };
    let contribution = chain.contribute(&factors, texts, None).unwrap();
    let mut key = begun.initial.key.clone();
    factors.apply(&mut key).unwrap();
    let case = begun.case(
        key,
        CeremonyRecord {
            phase1: begun.initial.phase1,
            initial_key: HexBytes(begun.initial.hash.to_vec()),
            last_file: None,
            contributions: vec![contribution],
        },
    );
    let report = case.audit();
    let [kind] = fails(&report, ["setup-kind"]);
    assert!(kind.meaning.contains("was none"));
    says(kind, "ceremony-no-contribution");
}
