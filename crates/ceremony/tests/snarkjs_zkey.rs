//! snarkjs, an independent implementation, and we accept each other's keys of ceremonies.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use ark_bn254::Fr;
use proofmark_ceremony::NoProgress;
use proofmark_ceremony::phase1::{Ptau, create};
use proofmark_ceremony::phase2::{Factors, InitialKey, Texts, file, folder};
use proofmark_ceremony::zkey::{self, Zkey};
use proofmark_gadgets::Circuit;
use proofmark_prover::ceremony::{BeaconRecord, HexBytes};
use proofmark_prover::testing::random_circuit;
use proofmark_prover::{Prover, snarkjs};

#[path = "../../prover/tests/js/mod.rs"]
mod js;

/// Gates of a circuit for powers of 7, so that many files can be tried.
const SMALL: usize = 90;

/// A folder with a circuit and powers of tau, and snarkjs to run in it.
struct Bench {
    cli: PathBuf,
    folder: tempfile::TempDir,
    circuit: Circuit,
    assignment: Vec<Fr>,
    initial: InitialKey,
}

impl Bench {
    /// A circuit of so many gates, powers of so much.
    fn new(gates: usize, power: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (circuit, assignment) = random_circuit(11, 3, gates);
        let mut bytes = Vec::new();
        circuit.r1cs.write_iden3(&mut bytes).unwrap();
        fs::write(folder.path().join("circuit.r1cs"), bytes).unwrap();
        let powers = folder.path().join("powers.ptau");
        create(&powers, power, "Ada", true, &NoProgress).unwrap();
        let ptau = Ptau::open(&powers).unwrap();
        let initial = InitialKey::from_ptau(&circuit, &ptau, &NoProgress).unwrap();
        Self {
            cli: js::installed(),
            folder,
            circuit,
            assignment,
            initial,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `snarkjs …`; whether it succeeded, and what it said.
    fn snarkjs(&self, arguments: &[&str]) -> (bool, String) {
        let output = js::run(
            Command::new("node")
                .arg(&self.cli)
                .args(arguments)
                .current_dir(self.folder.path()),
        );
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        (output.status.success(), text)
    }

    fn does(&self, arguments: &[&str]) {
        let (success, text) = self.snarkjs(arguments);
        assert!(success, "{arguments:?}: {text}");
    }

    /// snarkjs's verdict about a key.
    fn accepts(&self, zkey: &str) -> bool {
        let (success, text) =
            self.snarkjs(&["zkey", "verify", "circuit.r1cs", "powers.ptau", zkey]);
        assert_eq!(success, text.contains("ZKey Ok!"), "{text}");
        success
    }

    /// Our verdict about a key: its code.
    fn judged(&self, zkey: &str) -> Result<Zkey, &'static str> {
        let read = Zkey::read(&self.path(zkey), &NoProgress).map_err(|e| e.code())?;
        match read.verify(&self.circuit, &self.initial, &NoProgress) {
            Ok(_) => Ok(read),
            Err(error) => Err(error.code()),
        }
    }

    fn proves_under(&self, zkey: Zkey) {
        let prover = Prover::new(&self.circuit, zkey.key).unwrap();
        let proof = prover.prove(&self.assignment, None).unwrap().groth16;
        for (name, value) in [
            (
                "key.json",
                snarkjs::verification_key(&prover.verifying_key().groth16),
            ),
            ("proof.json", snarkjs::proof(&proof)),
            ("public.json", snarkjs::public(&self.assignment[1..4])),
        ] {
            fs::write(self.path(name), serde_json::to_vec(&value).unwrap()).unwrap();
        }
        self.does(&["groth16", "verify", "key.json", "public.json", "proof.json"]);
    }
}

fn texts(name: &str) -> Texts {
    Texts {
        name: name.to_owned(),
        ..Texts::default()
    }
}

/// Two contributions and a beacon of ours, as a folder and as a file for snarkjs.
fn ours(bench: &Bench) {
    let place = |number| folder::path_of(bench.folder.path(), number);
    file::write_initial(&place(0), &bench.initial).unwrap();
    for (number, name) in ["Grace", "Edsger"].into_iter().enumerate() {
        let factors = Factors::from_system(false).unwrap();
        let (from, to) = (place(number), place(number + 1));
        file::contribute(&from, &to, &factors, texts(name), &NoProgress).unwrap();
    }
    let beacon = BeaconRecord {
        value: HexBytes((1..=32).collect()),
        iterations_log2: 10,
    };
    let factors = Factors::from_beacon(&beacon, false, &NoProgress).unwrap();
    let texts = Texts {
        beacon: Some(beacon),
        ..texts("block")
    };
    file::contribute(&place(2), &place(3), &factors, texts, &NoProgress).unwrap();
    let verified = folder::verify(bench.folder.path(), &bench.initial, &[], &NoProgress).unwrap();
    zkey::write(
        &bench.path("ours.zkey"),
        &bench.circuit,
        &bench.initial,
        &verified.key,
        &verified.record.contributions,
    )
    .unwrap();
}

#[test]
fn snarkjs_accepts_our_keys() {
    // Powers of the circuit's own size, and of a larger one.
    for power in [11, 12] {
        let bench = Bench::new(1500, power);
        // Before any contribution: the same bytes.
        let initial = &bench.initial;
        let write = |name: &str| {
            zkey::write(
                &bench.path(name),
                &bench.circuit,
                initial,
                &initial.key,
                &[],
            )
            .unwrap();
        };
        write("initial.zkey");
        bench.does(&["zkey", "new", "circuit.r1cs", "powers.ptau", "theirs.zkey"]);
        let read = |name: &str| fs::read(bench.path(name)).unwrap();
        assert!(read("initial.zkey") == read("theirs.zkey"), "power {power}");

        ours(&bench);
        assert!(bench.accepts("ours.zkey"));
        let zkey = bench.judged("ours.zkey").unwrap();
        let names: Vec<&str> = zkey.contributions.iter().map(|c| &c.name[..]).collect();
        assert_eq!(names, ["Grace", "Edsger", "block"]);
        // What snarkjs reads from it is the verifying key.
        bench.does(&[
            "zkey",
            "export",
            "verificationkey",
            "ours.zkey",
            "exported.json",
        ]);
        let mut exported: serde_json::Value =
            serde_json::from_slice(&read("exported.json")).unwrap();
        exported.as_object_mut().unwrap().remove("vk_alphabeta_12");
        assert_eq!(exported, snarkjs::verification_key(&zkey.key.groth16.vk));
        bench.proves_under(zkey);
    }
}

#[test]
fn we_accept_snarkjs_keys_and_both_go_on_where_the_other_stopped() {
    let bench = Bench::new(SMALL, 7);
    bench.does(&["zkey", "new", "circuit.r1cs", "powers.ptau", "0.zkey"]);
    assert_eq!(
        bench.judged("0.zkey").unwrap_err(),
        "ceremony-no-contribution"
    );
    bench.does(&[
        "zkey",
        "contribute",
        "0.zkey",
        "1.zkey",
        "--name=Ada",
        "-e=x",
    ]);
    bench.does(&["zkey", "contribute", "1.zkey", "2.zkey", "-e=y"]);
    let value = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    bench.does(&[
        "zkey", "beacon", "2.zkey", "3.zkey", value, "10", "-n=block",
    ]);
    let zkey = bench.judged("3.zkey").unwrap();
    let names: Vec<&str> = zkey.contributions.iter().map(|c| &c.name[..]).collect();
    assert_eq!(names, ["Ada", "", "block"]);
    assert!(zkey.contributions[2].beacon.is_some());
    bench.proves_under(zkey);
    // A beacon alone: everybody knows its factor.
    bench.does(&["zkey", "beacon", "0.zkey", "beacon.zkey", value, "10"]);
    assert_eq!(
        bench.judged("beacon.zkey").unwrap_err(),
        "ceremony-no-contribution"
    );
    // snarkjs contributes to a key of ours.
    ours(&bench);
    bench.does(&[
        "zkey",
        "contribute",
        "ours.zkey",
        "more.zkey",
        "--name=Tony",
        "-e=z",
    ]);
    assert!(bench.accepts("more.zkey"));
    assert_eq!(bench.judged("more.zkey").unwrap().contributions.len(), 4);
}

#[test]
fn both_refuse_what_a_coordinator_replaced() {
    let bench = Bench::new(SMALL, 7);
    ours(&bench);
    let bytes = fs::read(bench.path("ours.zkey")).unwrap();
    // Sections: number, length, content.
    let mut sections = std::collections::BTreeMap::new();
    let mut at = 12;
    while at < bytes.len() {
        let number = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let length = u64::from_le_bytes(bytes[at + 4..at + 12].try_into().unwrap());
        sections.insert(number, at + 12);
        at += 12 + usize::try_from(length).unwrap();
    }
    let header = sections[&2];
    let contributions = sections[&10];
    // Moves a point over another one, of so many bytes, from and to these places in a section.
    let cases: [(&str, &str, usize, usize, usize); 9] = [
        (
            "alpha",
            "ceremony-key-mismatch",
            64,
            header + 84,
            header + 148,
        ),
        (
            "delta in G1",
            "ceremony-key-mismatch",
            64,
            header + 84 + 2 * 64 + 2 * 128,
            header + 84,
        ),
        (
            "IC",
            "ceremony-key-mismatch",
            64,
            sections[&3],
            sections[&3] + 64,
        ),
        (
            "query A",
            "ceremony-key-mismatch",
            64,
            sections[&5],
            sections[&5] + 64,
        ),
        (
            "query B in G1",
            "ceremony-key-mismatch",
            64,
            sections[&6] + 64 * 5,
            sections[&5],
        ),
        (
            "query B in G2",
            "ceremony-key-mismatch",
            128,
            sections[&7] + 128 * 5,
            header + 84 + 128,
        ),
        (
            "query L",
            "ceremony-query-mismatch",
            64,
            sections[&8],
            sections[&8] + 64,
        ),
        (
            "query H",
            "ceremony-query-mismatch",
            64,
            sections[&9],
            sections[&9] + 64,
        ),
        (
            "delta after the first",
            "contribution-invalid",
            64,
            contributions + 68,
            header + 84,
        ),
    ];
    for (what, code, length, to, from) in cases {
        let mut spoiled = bytes.clone();
        spoiled.copy_within(from..from + length, to);
        assert_ne!(spoiled, bytes, "{what}");
        fs::write(bench.path("spoiled.zkey"), spoiled).unwrap();
        assert_eq!(bench.judged("spoiled.zkey").unwrap_err(), code, "{what}");
        assert!(!bench.accepts("spoiled.zkey"), "{what}");
    }
    // Files that are none.
    for (what, edit) in [
        (
            "short",
            (|b: &mut Vec<u8>| b.truncate(b.len() - 1)) as fn(&mut Vec<u8>),
        ),
        ("long", |b| b.push(0)),
        ("magic", |b| b[0] ^= 1),
        ("version", |b| b[4] = 3),
        ("sections", |b| b[8] = 9),
        ("missing section", |b| b[8] = 11),
        ("many sections", |b| b[8..12].fill(0xff)),
        ("section length", |b| b[16..24].fill(0xff)),
        ("protocol", |b| b[24] = 2),
        ("curve", |b| b[44] ^= 1),
    ] {
        let mut spoiled = bytes.clone();
        edit(&mut spoiled);
        fs::write(bench.path("spoiled.zkey"), spoiled).unwrap();
        assert_eq!(
            bench.judged("spoiled.zkey").unwrap_err(),
            "zkey-malformed",
            "{what}"
        );
    }
    for at in [
        header + 72,
        header + 76,
        header + 80,
        header + 84,
        header + 84 + 128,
        sections[&7],
        sections[&9],
        contributions + 64,
    ] {
        let mut spoiled = bytes.clone();
        spoiled[at] ^= 1;
        fs::write(bench.path("spoiled.zkey"), spoiled).unwrap();
        assert_eq!(
            bench.judged("spoiled.zkey").unwrap_err(),
            "zkey-malformed",
            "{at}"
        );
    }
    // The key of another circuit of the same size.
    let (other, _) = random_circuit(12, 3, SMALL);
    let ptau = Ptau::open(&bench.path("powers.ptau")).unwrap();
    let initial = InitialKey::from_ptau(&other, &ptau, &NoProgress).unwrap();
    let zkey = Zkey::read(&bench.path("ours.zkey"), &NoProgress).unwrap();
    for circuit in [&other, &bench.circuit] {
        let refused = zkey.verify(circuit, &initial, &NoProgress).unwrap_err();
        assert_eq!(refused.code(), "ceremony-mismatch");
    }
    // The right points, with entries for snarkjs's prover that are another circuit's; in the wrong
    // order, twice, or of no matrix.
    let entries = sections[&4] + 4;
    for (what, code, edit) in [
        (
            "value",
            "ceremony-mismatch",
            &(|b: &mut Vec<u8>| b[entries + 12] ^= 1) as &dyn Fn(&mut Vec<u8>),
        ),
        ("wire", "ceremony-mismatch", &|b| b[entries + 8] ^= 1),
        ("matrix", "zkey-malformed", &|b| b[entries] = 2),
        ("row", "zkey-malformed", &|b| b[entries + 7] = 1),
        ("value too large", "zkey-malformed", &|b| {
            b[entries + 12..entries + 44].fill(0xff);
        }),
        ("count", "zkey-malformed", &|b| b[entries - 4] ^= 1),
        ("twice", "zkey-malformed", &|b| {
            b.copy_within(entries..entries + 44, entries + 44);
        }),
    ] {
        let mut spoiled = bytes.clone();
        edit(&mut spoiled);
        fs::write(bench.path("spoiled.zkey"), spoiled).unwrap();
        assert_eq!(bench.judged("spoiled.zkey").unwrap_err(), code, "{what}");
        // snarkjs takes seconds for each.
        assert!(what != "value" || !bench.accepts("spoiled.zkey"), "{what}");
    }
}
