//! Phase 2 of a ceremony, from the draft to receipts under its keys, as its people run it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{MODEL, Ran, json, models, run, sample_file, text};

/// Powers of tau for the sample model, and a folder for contributions.
struct Ceremony {
    root: tempfile::TempDir,
    backend: &'static str,
}

impl Ceremony {
    fn new(backend: &'static str, power: &str) -> Self {
        let ceremony = Self {
            root: tempfile::tempdir().unwrap(),
            backend,
        };
        let powers = ceremony.file("powers.ptau");
        let new = ["phase1", "new", "--power", power, "--prepare", "--name"];
        does(&[&new[..], &["Ada", "--out", &powers]].concat()).ended(0, "");
        ceremony
    }

    fn file(&self, name: &str) -> String {
        text(&self.root.path().join(name))
    }

    fn begin(&self) -> Ran {
        let (powers, folder) = (self.file("powers.ptau"), self.file("C"));
        does(&[
            "new",
            &draft(),
            "--phase1",
            &powers,
            "--backend",
            self.backend,
            "--out",
            &folder,
        ])
    }

    /// A command on the draft (or a package) with the powers and the folder of contributions.
    fn with(&self, command: &str, folder: &str, more: &[&str]) -> Ran {
        let powers = self.file("powers.ptau");
        does(&[&[command, folder, "--phase1", &powers], more].concat())
    }

    fn verify(&self, more: &[&str]) -> Ran {
        let contributions = self.file("C");
        self.with(
            "verify",
            &draft(),
            &[&["--ceremony", &contributions], more].concat(),
        )
    }

    fn finalize(&self, package: &str, more: &[&str]) -> Ran {
        let (contributions, package) = (self.file("C"), self.file(package));
        let given = ["--ceremony", &contributions, "--out", &package];
        self.with("finalize", &draft(), &[&given[..], more].concat())
    }

    fn contribute(&self, name: &str) -> Value {
        let folder = self.file("C");
        let ran = does(&["contribute", &folder, "--name", name]);
        ran.ended(0, "").json()
    }
}

fn draft() -> String {
    text(&models().join(MODEL))
}

fn does(arguments: &[&str]) -> Ran {
    json(&[&["ceremony"], arguments].concat())
}

fn hash(made: &Value) -> String {
    made["hash"].as_str().unwrap().to_owned()
}

/// From the draft to a receipt that verifies and an audit, with both proof systems.
#[test]
fn a_ceremony_ends_in_a_package_that_serves() {
    for (backend, power) in [("plain", "12"), ("lookup", "12")] {
        let ceremony = Ceremony::new(backend, power);
        let begun = ceremony.begin().ended(0, "").json();
        assert!(begun["constraints"].as_u64().is_some(), "{begun}");
        ceremony.begin().ended(3, "file-unwritable");
        // Without a contribution anyone can forge.
        ceremony.verify(&[]).ended(1, "ceremony-no-contribution");
        let refused = ceremony.finalize("none", &[]);
        refused.ended(1, "ceremony-no-contribution");
        assert!(!Path::new(&ceremony.file("none")).exists());

        let grace = hash(&ceremony.contribute("Grace"));
        // Elsewhere: the file before and the program.
        let elsewhere = tempfile::tempdir().unwrap();
        let at = |name: &str| text(&elsewhere.path().join(name));
        fs::copy(
            ceremony.file("C/0001.contribution"),
            at("0001.contribution"),
        )
        .unwrap();
        let (from, to) = (at("0001.contribution"), at("0002.contribution"));
        does(&["contribute", &from]).ended(2, "contribution-place");
        let statement = ["--statement", "in an aeroplane"];
        let made = does(
            &[
                &["contribute", &from, "--out", &to, "--name", "Edsger"],
                &statement[..],
            ]
            .concat(),
        );
        let edsger = hash(&made.ended(0, "").json());
        fs::copy(&to, ceremony.file("C/0002.contribution")).unwrap();
        let folder = ceremony.file("C");
        let value = "0102030405060708090a0b0c0d0e0f10";
        does(&["beacon", &folder, "--value", value, "--iterations", "9"])
            .ended(2, "beacon-unusable");
        does(&["beacon", &folder, "--value", value, "--iterations", "10"]).ended(0, "");
        does(&["contribute", &folder]).ended(2, "beacon-unusable");

        let demanded = ["--contribution", &grace, "--contribution", &edsger];
        let found = ceremony.verify(&demanded).ended(0, "").json();
        assert_eq!(found["valid"], true);
        assert_eq!(found["contributions"][1]["name"], "Edsger");
        assert_eq!(found["contributions"][1]["hash"], edsger);
        assert_eq!(found["contributions"][2]["beacon"]["iterations_log2"], 10);
        let missing = "ab".repeat(64);
        let dropped = ceremony.verify(&["--contribution", &missing]);
        dropped.ended(1, "contribution-missing");
        assert_eq!(ceremony.verify(&["--contribution", "abcd"]).code, 2);
        // Powers that were verified before are compared.
        let digest = found["phase1"].as_str().unwrap();
        ceremony.verify(&["--phase1-digest", digest]).ended(0, "");
        let other = format!("sha256:{}", "0".repeat(64));
        ceremony
            .verify(&["--phase1-digest", &other])
            .ended(1, "ceremony-mismatch");

        let exports = [ceremony.file("k.zkey"), ceremony.file("c.r1cs")];
        let export = ["--export-zkey", &exports[0], "--export-r1cs", &exports[1]];
        let more: &[&str] = if backend == "plain" { &export } else { &[] };
        let sealed = ceremony.finalize("P", more).ended(0, "").json();
        assert_eq!(sealed["setup"], "ceremony");
        let package = ceremony.file("P");
        let digest = sealed["package_digest"].as_str().unwrap().to_owned();
        ceremony.with("verify", &package, &demanded).ended(0, "");
        ceremony
            .with("verify", &package, &["--ceremony", &folder])
            .ended(0, "");
        if backend == "plain" {
            let [zkey, r1cs] = &exports;
            ceremony
                .with("verify", &package, &["--zkey", zkey])
                .ended(0, "");
            let powers = ceremony.file("powers.ptau");
            let alone = [
                "verify", "--r1cs", r1cs, "--zkey", zkey, "--phase1", &powers,
            ];
            does(&alone).ended(0, "");
        } else {
            ceremony.finalize("Q", &export).ended(1, "zkey-unsupported");
        }
        serves_and_is_audited(&ceremony, &package, &digest, &demanded);
    }
}

fn serves_and_is_audited(ceremony: &Ceremony, package: &str, digest: &str, demanded: &[&str]) {
    let (receipts, receipt) = (ceremony.file("R"), ceremony.file("R/receipt.json"));
    fs::create_dir(&receipts).unwrap();
    let (input, data) = (sample_file("heldout.npz"), ceremony.file("data"));
    json(&[
        "prove",
        "--package",
        package,
        "--input",
        &input,
        "--sample",
        "3",
        "--receipt",
        &receipt,
        "--data",
        &data,
    ])
    .ended(0, "");
    let verified = json(&[
        "verify",
        &receipt,
        "--package",
        package,
        "--package-digest",
        digest,
    ]);
    assert_eq!(verified.ended(0, "").json()["setup"], "ceremony");
    let (powers, report) = (ceremony.file("powers.ptau"), ceremony.file("report"));
    let audit = [
        "audit",
        "--package",
        package,
        "--package-digest",
        digest,
        "--receipts",
        &receipts,
        "--report",
        &report,
        "--phase1",
        &powers,
    ];
    let found = json(&[&audit[..], demanded].concat()).ended(0, "").json();
    assert!(found["pass"].to_string().contains("setup-kind"), "{found}");
    assert_eq!(found["fail"], serde_json::json!([]));
}

/// A coordinator who cheats, and what it is told.
#[test]
fn a_cheating_coordinator_is_told_what_is_wrong() {
    let ceremony = Ceremony::new("lookup", "12");
    ceremony.begin().ended(0, "");
    let grace = hash(&ceremony.contribute("Grace"));
    ceremony.contribute("Edsger");
    ceremony.verify(&[]).ended(0, "");
    let file = |number: usize| ceremony.file(&format!("C/{number:04}.contribution"));
    let good: Vec<Vec<u8>> = (0..3)
        .map(|number| fs::read(file(number)).unwrap())
        .collect();
    let restore = || (0..3).for_each(|number| fs::write(file(number), &good[number]).unwrap());
    let edit = |number: usize, edit: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good[number].clone();
        edit(&mut bytes);
        assert_ne!(bytes, good[number]);
        fs::write(file(number), bytes).unwrap();
    };
    let refused = |code: &str| {
        ceremony.verify(&[]).ended(1, code);
        ceremony.finalize("P", &[]).ended(1, code);
        assert!(!Path::new(&ceremony.file("P")).exists());
        restore();
    };
    // Points of a query replaced.
    edit(2, &|bytes| {
        let end = bytes.len();
        bytes.copy_within(end - 128..end - 64, end - 64);
    });
    refused("ceremony-query-mismatch");
    // An earlier contributor's name changed.
    edit(2, &|bytes| {
        let at = bytes.windows(7).position(|w| w == b"\"Grace\"").unwrap();
        bytes[at + 1] = b'T';
    });
    refused("ceremony-mismatch");
    // An earlier file exchanged.
    fs::write(file(1), &good[0]).unwrap();
    refused("ceremony-mismatch");
    // A file damaged on the way.
    edit(2, &|bytes| bytes.truncate(bytes.len() - 1));
    refused("contribution-malformed");
    // The last contribution under another number.
    fs::remove_file(file(1)).unwrap();
    fs::rename(file(2), file(1)).unwrap();
    ceremony.verify(&[]).ended(1, "ceremony-mismatch");
    restore();
    // Contributions dropped: nobody notices but their makers.
    fs::remove_file(file(1)).unwrap();
    fs::remove_file(file(2)).unwrap();
    ceremony.contribute("Sybil");
    ceremony.verify(&[]).ended(0, "");
    ceremony
        .verify(&["--contribution", &grace])
        .ended(1, "contribution-missing");
    fs::remove_file(file(1)).unwrap();
    restore();
    // Other powers of tau.
    let other = Ceremony::new("lookup", "12");
    fs::rename(ceremony.file("powers.ptau"), ceremony.file("kept.ptau")).unwrap();
    fs::copy(other.file("powers.ptau"), ceremony.file("powers.ptau")).unwrap();
    refused("ceremony-mismatch");
    fs::rename(ceremony.file("kept.ptau"), ceremony.file("powers.ptau")).unwrap();

    // A package of other contributions, or of one party, beside the folder.
    ceremony.finalize("P", &[]).ended(0, "");
    fs::remove_file(file(2)).unwrap();
    ceremony.contribute("Sybil");
    let package = ceremony.file("P");
    let folder = ceremony.file("C");
    let beside = ceremony.with("verify", &package, &["--ceremony", &folder]);
    beside.ended(1, "ceremony-mismatch");
    let single = ceremony.file("single");
    json(&["setup", &draft(), "--out", &single]).ended(0, "");
    ceremony
        .with("verify", &single, &[])
        .ended(1, "ceremony-no-contribution");
}

#[test]
fn what_is_missing_is_said_before_minutes_are_spent() {
    let ceremony = Ceremony::new("plain", "5");
    let begun = ceremony.begin().ended(1, "ptau-unsuitable").json();
    let hint = begun["remedy"].to_string() + &begun.to_string();
    assert!(hint.contains("--power 12"), "{begun}");
    ceremony
        .with("verify", &draft(), &[])
        .ended(2, "circuit-missing");
    let package = ceremony.file("P");
    assert_eq!(
        ceremony
            .with("finalize", &draft(), &["--out", &package])
            .code,
        2
    );
    does(&["contribute", &ceremony.file("none")]).ended(2, "contribution-place");
    let out = ceremony.file("out");
    does(&["contribute", &ceremony.file("none"), "--out", &out]).ended(3, "ceremony-io");
    let help = run(&["ceremony", "contribute", "--help"]).stdout;
    assert!(
        help.contains("--statement") && help.contains("--out"),
        "{help}"
    );
}
