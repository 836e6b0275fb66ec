//! The benchmark itself, on its smallest model: every system that needs no Python.
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn the_smallest_model_is_measured_side_by_side() {
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
    let output = Command::new(env!("CARGO_BIN_EXE_proofmark-bench"))
        .args(["run", "--models", "risk-classifier", "--runs", "2"])
        .args(["--systems", "plain,stock,snarkjs", "--rounds", "1"])
        .arg("--work")
        .arg(&work)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");

    let mut reader = csv::Reader::from_path(work.join("results.csv")).unwrap();
    let rows: Vec<BTreeMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    let systems: Vec<&str> = rows.iter().map(|row| row["system"].as_str()).collect();
    assert_eq!(systems, ["plain", "stock", "snarkjs"]);
    for row in &rows {
        assert_eq!(row["status"], "done", "{row:?}\n{text}");
        let figure = |name: &str| row[name].parse::<f64>().unwrap_or(0.0);
        for name in [
            "setup_s",
            "cold_s",
            "proving_s",
            "request_s",
            "verifying_s",
            "proving_key_bytes",
            "verifying_key_bytes",
            "setup_peak_bytes",
            "proving_peak_bytes",
            "agreement",
        ] {
            assert!(figure(name) > 0.0, "{name}: {row:?}");
        }
        assert!(figure("proving_s") < figure("request_s"), "{row:?}");
        // All three prove one and the same circuit, whose size is pinned.
        assert_eq!(row["rows"], "2298");
        assert_eq!(row["proof_bytes"], "256");
        // Two proofs, of which the first warms up.
        assert_eq!(row["runs"], "1");
    }
    assert!(
        text.contains("| risk-classifier | ark-groth16 | 2,298 |"),
        "{text}"
    );
    for picture in ["proving", "memory", "keys"] {
        let svg = fs::read_to_string(work.join(format!("results-{picture}.svg"))).unwrap();
        assert!(svg.contains("risk-classifier"), "{picture}");
    }
}

#[test]
fn an_unknown_model_is_refused_with_those_that_exist() {
    let work = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_proofmark-bench"))
        .args(["run", "--models", "no-such-model", "--work"])
        .arg(work.path())
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    for part in ["no-such-model", "lenet5-mnist", "resnet8", "unet-torch-fx"] {
        assert!(errors.contains(part), "{errors}");
    }
}
