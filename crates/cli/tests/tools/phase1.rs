//! ceremony phase1.

use std::fs;

use crate::support::{json, run, text};

#[test]
fn powers_of_tau_are_made_contributed_to_prepared_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| text(&folder.path().join(name));
    let phase1 = |arguments: &[&str]| json(&[&["ceremony", "phase1"], arguments].concat());
    let (first, second, third) = (file("1.ptau"), file("2.ptau"), file("3.ptau"));
    let made = phase1(&["new", "--power", "5", "--out", &first, "--name", "Ada"]);
    let made = made.ended(0, "").json();
    let contributed = phase1(&["contribute", &first, "--out", &second, "--name", "Grace"]);
    let contributed = contributed.ended(0, "").json();
    let prepared = phase1(&["prepare", &second, "--out", &third])
        .ended(0, "")
        .json();
    assert_eq!(prepared["power"], 5);

    let found = phase1(&["verify", &third]).ended(0, "").json();
    assert_eq!(found["valid"], true);
    assert_eq!(found["prepared"], true);
    assert_eq!(found["hashes_compared"], true);
    assert_eq!(found["contributions"][0]["name"], "Ada");
    assert_eq!(found["contributions"][1]["name"], "Grace");
    for (contribution, by) in found["contributions"]
        .as_array()
        .unwrap()
        .iter()
        .zip([&made, &contributed])
    {
        assert_eq!(contribution["response_hash"], by["response_hash"]);
    }
    let text = run(&["ceremony", "phase1", "verify", &third]).stdout;
    for word in [
        "power 5",
        "Ada",
        "Grace",
        "sha256:",
        "Compare the response hashes",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }

    // Prepared at once, which is as valid.
    let at_once = file("4.ptau");
    phase1(&["new", "--power", "5", "--prepare", "--out", &at_once]).ended(0, "");
    let found = phase1(&["verify", &at_once]).ended(0, "").json();
    assert_eq!(found["prepared"], true);
    assert_eq!(found["contributions"][0]["name"], serde_json::Value::Null);

    let mut bytes = fs::read(&third).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&first, bytes).unwrap();
    phase1(&["verify", &first]).ended(1, "ptau-malformed");
    phase1(&["verify", &file("none")]).ended(3, "ceremony-io");
    let new = file("5.ptau");
    phase1(&["new", "--power", "28", "--out", &new]).ended(1, "ptau-unsuitable");
    let long = "x".repeat(65);
    let named = phase1(&["contribute", &second, "--out", &new, "--name", &long]);
    named.ended(2, "ceremony-name-invalid");
    // Nothing is written over, not even what is contributed to.
    for taken in [&second, &third] {
        let before = fs::read(taken).unwrap();
        phase1(&["new", "--power", "5", "--out", taken]).ended(3, "file-unwritable");
        phase1(&["contribute", &second, "--out", taken]).ended(3, "file-unwritable");
        phase1(&["prepare", &second, "--out", taken]).ended(3, "file-unwritable");
        assert!(fs::read(taken).unwrap() == before);
    }
}
