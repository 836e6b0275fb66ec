//! snarkjs, an independent implementation, and we accept each other's powers of tau.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use proofmark_ceremony::NoProgress;
use proofmark_ceremony::phase1::{Origin, Ptau, contribute, create, prepare, verify};

#[path = "../../prover/tests/js/mod.rs"]
mod js;

/// A folder, and snarkjs to run in it.
struct Bench {
    cli: PathBuf,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self {
            cli: js::installed(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `snarkjs powersoftau …`; whether it succeeded, and what it said.
    fn snarkjs(&self, arguments: &[&str]) -> (bool, String) {
        let output = js::run(
            Command::new("node")
                .arg(&self.cli)
                .arg("powersoftau")
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

    /// snarkjs's verdict about a file.
    fn accepts(&self, file: &str) -> bool {
        let (success, text) = self.snarkjs(&["verify", file]);
        assert_eq!(success, text.contains("Powers of Tau Ok!"), "{text}");
        success
    }
}

fn open(path: &Path) -> Ptau {
    Ptau::open(path).unwrap()
}

#[test]
fn snarkjs_accepts_our_files() {
    let bench = Bench::new();
    let path = |name: &str| bench.path(name);
    // Made, contributed to, prepared.
    create(&path("1.ptau"), 6, "Ada", false, &NoProgress).unwrap();
    assert!(bench.accepts("1.ptau"));
    contribute(&open(&path("1.ptau")), &path("2.ptau"), "", &NoProgress).unwrap();
    assert!(bench.accepts("2.ptau"));
    prepare(&open(&path("2.ptau")), &path("3.ptau"), &NoProgress).unwrap();
    assert!(bench.accepts("3.ptau"));
    // Prepared in the making, by numbers instead of points; a larger one.
    create(&path("4.ptau"), 10, "Grace", true, &NoProgress).unwrap();
    assert!(bench.accepts("4.ptau"));
    // And goes on where we stopped.
    bench.does(&["contribute", "2.ptau", "5.ptau", "--name=Edsger", "-e=x"]);
    assert!(bench.accepts("5.ptau"));
    let verified = verify(&path("5.ptau"), &NoProgress).unwrap();
    let names: Vec<_> = verified
        .contributions
        .iter()
        .map(|c| c.name.as_deref())
        .collect();
    assert_eq!(names, [Some("Ada"), None, Some("Edsger")]);

    // Its verdict can be no: one point of the Lagrange points is another's.
    let mut bytes = fs::read(path("3.ptau")).unwrap();
    let end = bytes.len();
    bytes.copy_within(end - 128..end - 64, end - 64);
    fs::write(path("6.ptau"), bytes).unwrap();
    assert!(!bench.accepts("6.ptau"));
    let refused = verify(&path("6.ptau"), &NoProgress).unwrap_err();
    assert_eq!(refused.code(), "ptau-inconsistent");
}

#[test]
fn we_accept_snarkjs_files_and_prepare_them_to_the_same_bytes() {
    let bench = Bench::new();
    let path = |name: &str| bench.path(name);
    bench.does(&["new", "bn128", "5", "0.ptau"]);
    // Nobody contributed: neither accepts it.
    assert!(!bench.accepts("0.ptau"));
    let refused = verify(&path("0.ptau"), &NoProgress).unwrap_err();
    assert_eq!(refused.code(), "ptau-unsuitable");

    // A beacon alone, whose secrets everybody computes: snarkjs accepts it, we do not.
    let beacon = "0102030405060708090a0b0c0d0e0f10";
    bench.does(&["beacon", "0.ptau", "beacon.ptau", beacon, "10", "-n=alone"]);
    let refused = verify(&path("beacon.ptau"), &NoProgress).unwrap_err();
    assert_eq!(refused.code(), "ptau-unsuitable");

    bench.does(&[
        "contribute",
        "0.ptau",
        "1.ptau",
        "--name=Ada",
        "-e=some text",
    ]);
    // We contribute in between.
    let ours = contribute(
        &open(&path("1.ptau")),
        &path("2.ptau"),
        "Grace",
        &NoProgress,
    )
    .unwrap();
    bench.does(&["beacon", "2.ptau", "3.ptau", beacon, "10", "-n=last"]);
    bench.does(&["prepare", "phase2", "3.ptau", "4.ptau"]);

    let verified = verify(&path("4.ptau"), &NoProgress).unwrap();
    assert!(verified.prepared && verified.hashes_compared);
    assert_eq!((verified.power, verified.ceremony_power), (5, 5));
    let contributions = &verified.contributions;
    let names: Vec<_> = contributions.iter().map(|c| c.name.as_deref()).collect();
    assert_eq!(names, [Some("Ada"), Some("Grace"), Some("last")]);
    assert_eq!(contributions[1].response_hash, ours.response_hash);
    let origin = Origin::Beacon {
        iterations_log2: 10,
        value: (1..=16).collect(),
    };
    assert_eq!(contributions[2].origin, origin);
    assert_eq!(contributions[0].origin, Origin::Person);

    // The same preparation, byte for byte.
    prepare(&open(&path("3.ptau")), &path("5.ptau"), &NoProgress).unwrap();
    let [theirs, ours] = ["4.ptau", "5.ptau"].map(|name| fs::read(path(name)).unwrap());
    assert!(theirs == ours, "the prepared files differ");

    // And for each domain, whether the file is prepared or not. Of the largest alone the odd points
    // lack a power.
    for power in 0..=5 {
        let prepared = open(&path("4.ptau")).lagrange(power, &NoProgress).unwrap();
        let computed = open(&path("3.ptau")).lagrange(power, &NoProgress).unwrap();
        assert_eq!(prepared, computed, "{power}");
    }

    // The beginning of a file, as snarkjs cuts it.
    bench.does(&["truncate", "4.ptau"]);
    let cut = fs::read_dir(bench.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains("03.ptau"))
        .unwrap_or_else(|| panic!("truncate wrote no file of power 3"));
    let verified = verify(&cut, &NoProgress).unwrap();
    assert_eq!((verified.power, verified.ceremony_power), (3, 5));
    assert!(verified.prepared && !verified.hashes_compared);
    let refused = contribute(&open(&cut), &path("7.ptau"), "", &NoProgress).unwrap_err();
    assert_eq!(refused.code(), "ptau-unsuitable");
    assert!(!path("7.ptau").exists());
}
