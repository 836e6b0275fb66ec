//! Models that others quantized with the ecosystem's own tools: each is imported, compared with its
//! original, run through ONNX Runtime, evaluator and witness, and proven.
//!
//! `models/third-party/circuits.csv` pins what each became; `UPDATE_EXPECT=1` writes it again.
//! `PROOFMARK_DEEP=1` runs 1,000 inputs a model through all three and proves every model of at most
//! 2^18 constraints, and imports each twice; else it is a share, one small proof, and no `LONG` model.

mod catalogue;
mod examine;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

use catalogue::MODELS;
use examine::{Row, deep, examine, imported, multiplies_exactly, original};
use proofmark_quantizer::{Samples, drift};
use proofmark_tests::samples::folder;

const HEADER: &str = "model,format,constraints,inexact nodes,drift rate,circuit digest,proven by\n";
/// Importing these takes as long as importing all others, so the short run leaves them out.
const LONG: [&str; 5] = [
    "mobilenetv3-qdq-u8s8-perchannel",
    "mobilenetv3-torch-fx",
    "resnet-qdq-s8s8",
    "resnet8-torch-fx",
    "transformer-qop-u8s8",
];
/// The column of the drift.
const DRIFT: usize = 4;

#[test]
fn every_file_is_in_the_catalogue() {
    let mut files: Vec<String> = fs::read_dir(folder("third-party"))
        .expect("the folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter_map(|name| name.strip_suffix(".onnx").map(str::to_owned))
        .collect();
    files.sort();
    assert!(MODELS.is_sorted_by_key(|model| model.name));
    assert_eq!(files, MODELS.map(|model| model.name));
}

/// Whatever changes a circuit, a drift or a refusal is seen here.
#[test]
fn imported_exact_and_pinned() {
    let path = folder("third-party/circuits.csv");
    let pinned = fs::read_to_string(&path).unwrap_or_default();
    let whole = deep() || std::env::var_os("UPDATE_EXPECT").is_some();
    let examined = |name: &str| whole || !LONG.contains(&name);
    let next = Mutex::new(MODELS.iter().filter(|model| examined(model.name)));
    let rows = Mutex::new(Vec::new());
    let failed = Mutex::new(Vec::new());
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(model) = next.lock().map_or(None, |mut next| next.next()) {
                    match catch_unwind(AssertUnwindSafe(|| examine(model))) {
                        Ok(row) => rows.lock().expect("unpoisoned").push(row),
                        Err(_) => failed.lock().expect("unpoisoned").push(model.name),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("unpoisoned");
    assert!(failed.is_empty(), "failed: {failed:?}");
    let mut rows: Vec<Row> = rows.into_inner().expect("unpoisoned");
    rows.sort_by_key(|row| row.model);
    let text = HEADER.to_owned() + &rows.iter().map(Row::line).collect::<String>();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &text).expect("the file can be written");
        return;
    }
    // Every model has a line, and the lines of those that were examined are what came of them.
    let name = |line: &str| line.split(',').next().unwrap_or_default().to_owned();
    let names: Vec<String> = pinned.lines().skip(1).map(name).collect();
    assert_eq!(names, MODELS.map(|model| model.name));
    let pinned: String = pinned
        .split_inclusive('\n')
        .filter(|line| examined(&name(line)))
        .collect();
    assert_eq!(
        comparable(&pinned),
        comparable(&text),
        "a circuit, drift or refusal changed: if that is meant, run with UPDATE_EXPECT=1"
    );
}

/// The table, without the drift where the processor computes originals otherwise.
fn comparable(table: &str) -> String {
    if multiplies_exactly() {
        return table.to_owned();
    }
    let without = |line: &str| {
        let cells = line.split(',').enumerate();
        let kept: Vec<&str> = cells
            .filter(|(at, _)| *at != DRIFT)
            .map(|(_, cell)| cell)
            .collect();
        kept.join(",") + "\n"
    };
    table.lines().map(without).collect()
}

#[test]
fn drift_sees_another_models_integers() {
    let [one, other] = ["mlp-qop-u8u8", "mlp-qop-u8s8"].map(|name| {
        MODELS
            .iter()
            .find(|model| model.name == name)
            .expect("there")
    });
    let samples = Samples {
        inputs: BTreeMap::from([("pixels".to_owned(), one.heldout().x)]),
        labels: None,
    };
    let other = imported(other).expect("imports");
    let found = drift(&original(one), &other, &samples).expect("runs");
    assert!(found.different > 0 && found.largest_step > 0 && found.rate() > 0.0);
}
