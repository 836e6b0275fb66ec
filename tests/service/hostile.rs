//! Hostile ONNX files: refused quickly, in little memory, with a code and all reasons at once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use proofmark_onnx::{Attribute, Graph, Model, Node, Tensor, TensorData, ValueInfo, ValueType};
use proofmark_tests::samples;
use proofmark_tests::service::{Ended, program, proofmark, run};

use crate::RISK;

/// Address space that the program may take when it refuses a file: enough for itself, not for a
/// claim of two gigabytes that was believed.
const MEMORY_KIB: u64 = 3 << 19;
const TIME: Duration = Duration::from_secs(15);

/// Runs `proofmark` with its address space bounded and its time measured.
fn bounded(arguments: &[&str]) -> Ended {
    let program = program("proofmark");
    let mut command = if cfg!(target_os = "linux") {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("ulimit -v {MEMORY_KIB} && exec \"$0\" \"$@\""))
            .arg(program)
            // Each of them reserves address space on machines of many cores.
            .envs([("MALLOC_ARENA_MAX", "2"), ("RAYON_NUM_THREADS", "2")]);
        command
    } else {
        Command::new(program)
    };
    let start = Instant::now();
    let ended = run(command.args(arguments).stdin(Stdio::null()));
    assert!(start.elapsed() < TIME, "{ended:?}");
    ended
}

/// Runs `proofmark` on what it is not to refuse.
fn unbounded(arguments: &[&str]) -> Ended {
    run(&mut proofmark(arguments))
}

/// `inspect` and `import` refuse the file with this code and leave nothing behind; their details.
fn refused(file: &Path, exit: i32, code: &str) -> String {
    let file = file.to_str().unwrap();
    let detail = bounded(&["inspect", file, "--json"]).refused(exit, code);
    import(file).refused(exit, code);
    detail
}

/// `import` with samples of four numbers. A draft is there exactly when it succeeded.
fn import(file: &str) -> Ended {
    import_by(bounded, file)
}

fn import_by(run: fn(&[&str]) -> Ended, file: &str) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("draft");
    let calibration = folder.path().join("samples.json");
    fs::write(&calibration, "[[1, 2, 3, 4], [4, -3, 2, 1]]").unwrap();
    let ended = run(&[
        "import",
        file,
        "--calibration",
        calibration.to_str().unwrap(),
        "--name",
        "hostile",
        "--out",
        out.to_str().unwrap(),
        "--json",
    ]);
    assert_eq!(out.exists(), ended.exit == 0, "nothing half done is left");
    ended
}

fn written(folder: &tempfile::TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("model.onnx");
    fs::write(&path, bytes).unwrap();
    path
}

/// A float model over `x` of shape [1, 4] with these nodes; `y` is its output.
fn model(nodes: Vec<Node>) -> Model {
    let matrix = Tensor::new(vec![4, 4], TensorData::Float(vec![0.5; 16])).unwrap();
    Model {
        ir_version: 10,
        producer_name: String::new(),
        producer_version: String::new(),
        opsets: [(String::new(), 21)].into(),
        graph: Graph {
            name: "hostile".to_owned(),
            nodes,
            initializers: BTreeMap::from([("w".to_owned(), matrix)]),
            inputs: vec![ValueInfo::fixed("x", ValueType::Float, &[1, 4])],
            outputs: vec![ValueInfo::fixed("y", ValueType::Float, &[1, 4])],
            value_info: BTreeMap::new(),
        },
        metadata: BTreeMap::new(),
    }
}

/// Protocol Buffers by hand, for what no honest writer writes.
mod wire {
    pub(super) fn varint(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let byte = (value & 0x7f) as u8;
            value >>= 7;
            if value == 0 {
                bytes.push(byte);
                return bytes;
            }
            bytes.push(byte | 0x80);
        }
    }

    pub(super) fn number(field: u64, value: u64) -> Vec<u8> {
        [varint(field << 3), varint(value)].concat()
    }

    pub(super) fn bytes(field: u64, contents: &[u8]) -> Vec<u8> {
        [claimed(field, contents.len() as u64), contents.to_vec()].concat()
    }

    /// The head of a field that claims to be this long.
    pub(super) fn claimed(field: u64, length: u64) -> Vec<u8> {
        [varint(field << 3 | 2), varint(length)].concat()
    }

    /// `TensorProto` of floats: name, dims, and what else.
    pub(super) fn tensor(name: &str, dims: &[u64], rest: &[u8]) -> Vec<u8> {
        let mut tensor: Vec<u8> = dims.iter().flat_map(|&dim| number(1, dim)).collect();
        tensor.extend(number(2, 1));
        tensor.extend(bytes(8, name.as_bytes()));
        tensor.extend(rest);
        tensor
    }

    /// A model whose graph multiplies `x` by this stored tensor, which is named `w`.
    pub(super) fn model(tensor: &[u8]) -> Vec<u8> {
        let honest = proofmark_onnx::encode(&super::model(vec![super::Node::new(
            "multiply",
            "MatMul",
            &["x", "w"],
            &["y"],
        )]));
        let parsed = proofmark_onnx::parse(&honest, &proofmark_onnx::Limits::default());
        let mut bare = parsed.unwrap();
        bare.graph.initializers.clear();
        // A message that stands twice is merged: the second graph adds the stored tensor.
        let mut model = proofmark_onnx::encode(&bare);
        model.extend(bytes(7, &bytes(5, tensor)));
        model
    }
}

#[test]
fn a_file_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(samples::folder(RISK).join("float.onnx")).unwrap();
    for part in 1..6 {
        let path = written(&folder, &whole[..whole.len() * part / 6]);
        let ended = bounded(&["inspect", path.to_str().unwrap(), "--json"]);
        assert_eq!(ended.exit, 1, "{ended:?}");
        let code = ended.json()["code"].as_str().unwrap().to_owned();
        assert!(code.starts_with("onnx-"), "{code}");
        import(path.to_str().unwrap()).refused(1, &code);
    }
    let path = written(&folder, &whole[..whole.len() - 1]);
    refused(&path, 1, "onnx-malformed");
}

#[test]
fn files_that_are_no_models() {
    let folder = tempfile::tempdir().unwrap();
    for bytes in [
        &b""[..],
        b"\x00",
        b"PK\x03\x04",
        b"<html></html>",
        &[0xff; 4096],
    ] {
        let path = written(&folder, bytes);
        let ended = bounded(&["inspect", path.to_str().unwrap(), "--json"]);
        assert_eq!(ended.exit, 1, "{ended:?}");
        let problem = ended.json();
        assert!(
            problem["code"].as_str().unwrap().starts_with("onnx-"),
            "{problem}"
        );
    }
    refused(&folder.path().join("gone.onnx"), 3, "onnx-io");
}

#[test]
fn a_length_of_two_gigabytes_in_a_small_file() {
    let folder = tempfile::tempdir().unwrap();
    for length in [1_u64 << 31, (1 << 31) - 1, 1 << 40, u64::MAX] {
        // The whole graph, and the raw data of one tensor.
        let graph = [wire::number(1, 10), wire::claimed(7, length), vec![0; 100]].concat();
        refused(&written(&folder, &graph), 1, "onnx-malformed");
        let raw = [wire::claimed(9, length), vec![0; 100]].concat();
        let model = wire::model(&wire::tensor("w", &[4, 4], &raw));
        refused(&written(&folder, &model), 1, "onnx-malformed");
    }
}

#[test]
fn huge_dimensions_without_data() {
    let folder = tempfile::tempdir().unwrap();
    for dims in [
        vec![1 << 31],
        vec![1 << 29],
        vec![65_536, 65_536],
        vec![1 << 32, 1 << 32],
        vec![u64::MAX],
        vec![1 << 62, 4, 4],
    ] {
        let model = wire::model(&wire::tensor("w", &dims, &[]));
        let path = written(&folder, &model);
        let ended = bounded(&["inspect", path.to_str().unwrap(), "--json"]);
        assert_eq!(ended.exit, 1, "{dims:?}: {ended:?}");
        let code = ended.json()["code"].as_str().unwrap().to_owned();
        assert!(
            ["onnx-limit-exceeded", "onnx-invalid-tensor"].contains(&code.as_str()),
            "{dims:?}: {ended:?}"
        );
        import(path.to_str().unwrap()).refused(1, &code);
    }
    // The handmade model is right when its tensor is.
    let data: Vec<u8> = std::iter::repeat_n(0.5_f32.to_le_bytes(), 16)
        .flatten()
        .collect();
    let model = wire::model(&wire::tensor("w", &[4, 4], &wire::bytes(9, &data)));
    let path = written(&folder, &model);
    let ended = unbounded(&["inspect", path.to_str().unwrap(), "--json"]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    assert_eq!(ended.json()["provable"], true);
    let imported = import_by(unbounded, path.to_str().unwrap());
    assert_eq!(imported.exit, 0, "{imported:?}");
}

#[test]
fn a_cycle() {
    let folder = tempfile::tempdir().unwrap();
    let cyclic = model(vec![
        Node::new("first", "Add", &["x", "b"], &["a"]),
        Node::new("second", "Relu", &["a"], &["b"]),
        Node::new("last", "Relu", &["b"], &["y"]),
    ]);
    let path = written(&folder, &proofmark_onnx::encode(&cyclic));
    let detail = refused(&path, 1, "onnx-cycle");
    assert!(
        detail.contains("first") || detail.contains("second"),
        "{detail}"
    );
    let own = model(vec![Node::new("self", "Add", &["x", "y"], &["y"])]);
    let path = written(&folder, &proofmark_onnx::encode(&own));
    refused(&path, 1, "onnx-cycle");
}

#[test]
fn external_data_outside_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("model");
    fs::create_dir(&inner).unwrap();
    let secret = folder.path().join("secret.bin");
    fs::write(&secret, [0; 64]).unwrap();
    let external = |location: &str| {
        let entry = [
            wire::bytes(1, b"location"),
            wire::bytes(2, location.as_bytes()),
        ]
        .concat();
        let rest = [wire::bytes(13, &entry), wire::number(14, 1)].concat();
        let path = inner.join("model.onnx");
        fs::write(&path, wire::model(&wire::tensor("w", &[4, 4], &rest))).unwrap();
        path
    };
    let absolute = secret.to_str().unwrap().to_owned();
    let mut outside = vec![
        "../secret.bin",
        "a/../../secret.bin",
        &absolute,
        "/etc/passwd",
        "",
    ];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&secret, inner.join("link.bin")).unwrap();
        outside.push("link.bin");
    }
    for location in outside {
        let detail = refused(&external(location), 1, "onnx-external-data-path");
        assert!(detail.contains(location), "{detail}");
    }
    // Inside of the folder it is read.
    let data: Vec<u8> = std::iter::repeat_n(0.5_f32.to_le_bytes(), 16)
        .flatten()
        .collect();
    fs::write(inner.join("weights.bin"), data).unwrap();
    let path = external("weights.bin");
    let ended = unbounded(&["inspect", path.to_str().unwrap(), "--json"]);
    assert_eq!(ended.exit, 0, "{ended:?}");
}

#[test]
fn every_node_that_cannot_be_proven_is_listed_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let unsupported = model(vec![
        Node::new("one", "MatMul", &["x", "w"], &["a"]),
        Node::new("two", "Erf", &["a"], &["b"]),
        Node::new("three", "Relu", &["b"], &["c"]),
        Node::new("four", "TopK", &["c"], &["d"]).with("axis", Attribute::Int(1)),
        Node::new("five", "NonZero", &["d"], &["e"]),
        Node::new("six", "Frobnicate", &["e"], &["y"]),
    ]);
    let path = written(&folder, &proofmark_onnx::encode(&unsupported));
    let file = path.to_str().unwrap();
    let named = ["two", "four", "five", "six"];
    let inspected = bounded(&["inspect", file, "--json"]);
    assert_eq!(inspected.exit, 1, "{inspected:?}");
    let lines: Vec<&str> = inspected.stdout.lines().collect();
    assert_eq!(lines.len(), 1, "one JSON object: {inspected:?}");
    let report = inspected.json();
    let text = report.to_string();
    for name in named {
        assert!(text.contains(name), "{name}: {text}");
    }
    assert!(
        !text.contains("\"three\"") && !text.contains("\"one\""),
        "what can be proven is not listed: {text}"
    );
    let people = bounded(&["inspect", file]);
    assert_eq!(people.exit, 1, "{people:?}");
    for name in named {
        assert!(people.stderr.contains(name), "{name}: {people:?}");
    }
    assert_eq!(
        people.stderr.matches("replace it by").count(),
        named.len(),
        "{people:?}"
    );
    let detail = import(file).refused(1, "model-unsupported");
    for name in named {
        assert!(detail.contains(name), "{name}: {detail}");
    }
}

#[test]
fn calibration_that_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let model = samples::folder(RISK).join("float.onnx");
    let out = folder.path().join("draft");
    let import = |calibration: &Path| {
        unbounded(&[
            "import",
            model.to_str().unwrap(),
            "--calibration",
            calibration.to_str().unwrap(),
            "--name",
            RISK,
            "--out",
            out.to_str().unwrap(),
            "--json",
        ])
    };
    let exit_of = |bytes: &[u8], name: &str| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let ended = import(&path);
        assert!(!out.exists());
        assert!(ended.json()["detail"].as_str().is_some(), "{ended:?}");
        ended.exit
    };
    assert_eq!(exit_of(b"[[1, 2, 3]]", "short.json"), 2);
    assert_eq!(exit_of(b"not json", "broken.json"), 2);
    assert_eq!(exit_of(b"PK\x03\x04", "broken.npz"), 2);
    assert_eq!(exit_of(b"\x93NUMPY\x01\x00\xff\xff", "broken.npy"), 2);
    let row = vec!["1e39"; 30].join(",");
    let code = exit_of(format!("[[{row}]]").as_bytes(), "huge.json");
    assert_ne!(code, 0);
    import(&folder.path().join("gone.npz")).refused(3, "file-unreadable");
    let digits = samples::folder("digits-mlp").join("calibration.npz");
    let ended = import(&digits);
    assert_eq!(ended.exit, 2, "{ended:?}");
}
