//! The architecture's invariants, over `cargo metadata`. `ARCHITECTURE.md` states them.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

/// Floor of each crate; a crate depends on lower floors only, or on its own floor's exceptions.
const FLOORS: &[(&str, u32)] = &[
    ("proofmark-types", 0),
    ("proofmark-tensor", 0),
    ("proofmark-lanes", 0),
    ("proofmark-tlog", 0),
    ("proofmark-fft", 1),
    ("proofmark-log", 1),
    ("proofmark-msm", 1),
    ("proofmark-onnx", 1),
    ("proofmark-gadgets", 1),
    ("proofmark-verifier", 1),
    ("proofmark-ops", 2),
    ("proofmark-recipient", 2),
    ("proofmark-ceremony", 3),
    ("proofmark-http", 3),
    ("proofmark-package", 3),
    ("proofmark-prover", 3),
    ("proofmark-quantizer", 3),
    ("proofmark-runtime", 3),
    ("proofmark-store", 3),
    ("proofmark-validation", 3),
    ("proofmark-engine", 4),
    ("proofmark-evm", 4),
    ("proofmark-relay", 4),
    ("proofmark-audit", 4),
    ("proofmark-proxy", 4),
    ("proofmark-server", 4),
    ("proofmark", 5),
    ("proofmark-python", 5),
    ("proofmark-wasm", 5),
    ("proofmark-verify", 5),
    ("xtask", 5),
    ("proofmark-bench", 5),
    ("proofmark-tests", 6),
];

/// Edges inside one floor that are allowed, with the reason.
const SAME_FLOOR: &[(&str, &str, &str)] = &[
    (
        "proofmark-tensor",
        "proofmark-types",
        "the tensor type is a word of the wire format",
    ),
    (
        "proofmark-ceremony",
        "proofmark-prover",
        "a ceremony makes the keys that the prover proves under",
    ),
    (
        "proofmark-quantizer",
        "proofmark-runtime",
        "calibration runs the float model",
    ),
    (
        "proofmark-validation",
        "proofmark-runtime",
        "what is validated is the runtime's arithmetic",
    ),
    (
        "proofmark-audit",
        "proofmark-engine",
        "an audit repeats what sealing a package did",
    ),
    (
        "proofmark-relay",
        "proofmark-engine",
        "a relay proves what is requested",
    ),
    (
        "proofmark",
        "proofmark-verify",
        "one wording of a verdict and of failures in both tools",
    ),
];

/// Third-party crates that only one crate may know.
const ONLY: &[(&str, &[&str])] = &[
    ("prost", &["proofmark-onnx"]),
    ("ort", &["proofmark-runtime"]),
    ("pyo3", &["proofmark-python"]),
    ("sqlx", &["proofmark-store"]),
    (
        "axum",
        &["proofmark-http", "proofmark-proxy", "proofmark-server"],
    ),
    (
        "clap",
        &["proofmark", "proofmark-verify", "proofmark-bench", "xtask"],
    ),
];

fn metadata() -> Metadata {
    // Only what this platform builds is certain to be in the package cache.
    let rustc = std::process::Command::new("rustc")
        .arg("-vV")
        .output()
        .expect("rustc runs");
    let version = String::from_utf8(rustc.stdout).expect("text");
    let host = version
        .lines()
        .find_map(|l| l.strip_prefix("host: "))
        .expect("a host");
    let platform = format!("--filter-platform={host}");
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .other_options(vec![
            "--offline".to_owned(),
            "--locked".to_owned(),
            platform,
        ])
        .exec()
        .expect("cargo metadata runs")
}

fn normal_dependencies(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    metadata
        .workspace_packages()
        .iter()
        .map(|package| {
            let names = package
                .dependencies
                .iter()
                .filter(|d| d.kind == DependencyKind::Normal)
                .map(|d| d.name.clone())
                .collect();
            (package.name.to_string(), names)
        })
        .collect()
}

#[test]
fn every_crate_has_a_floor_and_dependencies_point_down() {
    let floors: BTreeMap<&str, u32> = FLOORS.iter().copied().collect();
    let dependencies = normal_dependencies(&metadata());
    let listed: BTreeSet<&str> = floors.keys().copied().collect();
    let present: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    assert_eq!(
        listed, present,
        "the table of floors lists the workspace's crates"
    );
    for (from, names) in &dependencies {
        for to in names {
            let (Some(&from_floor), Some(&to_floor)) =
                (floors.get(from.as_str()), floors.get(to.as_str()))
            else {
                continue;
            };
            let excepted = SAME_FLOOR.iter().any(|&(a, b, _)| a == from && b == to);
            assert!(
                to_floor < from_floor || (to_floor == from_floor && excepted),
                "{from} (floor {from_floor}) depends on {to} (floor {to_floor})"
            );
        }
    }
}

#[test]
fn each_foreign_kind_of_knowledge_has_one_home() {
    for (from, names) in normal_dependencies(&metadata()) {
        for (what, homes) in ONLY {
            assert!(
                !names.contains(*what)
                    || homes.contains(&from.as_str())
                    || from == "proofmark-tests",
                "{from} depends on {what}, which belongs to {homes:?}"
            );
        }
    }
}

#[test]
fn a_receipts_recipient_needs_no_runtime_prover_server_or_database() {
    let metadata = metadata();
    let resolve = metadata.resolve.as_ref().expect("resolved");
    let name = |id: &PackageId| metadata[id].name.to_string();
    let start = metadata
        .workspace_packages()
        .into_iter()
        .find(|p| p.name.as_str() == "proofmark-verify")
        .expect("the small verifier");
    let mut seen = BTreeSet::from([start.id.clone()]);
    let mut queue = vec![start.id.clone()];
    while let Some(id) = queue.pop() {
        let node = resolve.nodes.iter().find(|n| n.id == id).expect("a node");
        for dependency in &node.deps {
            let normal = dependency
                .dep_kinds
                .iter()
                .any(|k| k.kind == DependencyKind::Normal);
            if normal && seen.insert(dependency.pkg.clone()) {
                queue.push(dependency.pkg.clone());
            }
        }
    }
    let names: BTreeSet<String> = seen.iter().map(name).collect();
    for forbidden in [
        "ort",
        "sqlx",
        "tokio",
        "axum",
        "proofmark-ops",
        "proofmark-gadgets",
        "proofmark-prover",
        "proofmark-runtime",
        "proofmark-onnx",
    ] {
        assert!(
            !names.contains(forbidden),
            "proofmark-verify reaches {forbidden}"
        );
    }
}

#[test]
fn unsafe_code_has_one_home() {
    for package in metadata().workspace_packages() {
        let roots = package
            .targets
            .iter()
            .filter(|target| target.is_lib() || target.is_bin());
        for root in roots {
            let text = std::fs::read_to_string(&root.src_path).expect("a crate's root");
            let forbidden = text.contains("#![forbid(unsafe_code)]");
            let home = package.name.as_str() == "proofmark-lanes";
            assert_eq!(
                !forbidden, home,
                "{}: every crate but proofmark-lanes forbids unsafe code",
                root.src_path
            );
        }
    }
}
