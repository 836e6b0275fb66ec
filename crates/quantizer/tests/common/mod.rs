//! Sample models and their data.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test binary uses a part of this"
)]

use std::fs::File;
use std::path::PathBuf;

use ndarray::{ArrayD, OwnedRepr};
use ndarray_npy::NpzReader;
use proofmark_onnx::{Limits, Model};

/// A sample model's folder.
pub(crate) fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../models")
        .join(name)
}

/// Its float model.
pub(crate) fn float_model(name: &str) -> Model {
    proofmark_onnx::load(&folder(name).join("float.onnx"), &Limits::default()).unwrap()
}

/// The samples of a data file, one row-major vector each.
pub(crate) fn samples(name: &str, file: &str) -> Vec<Vec<f32>> {
    let path = folder(name).join(file);
    let mut npz = NpzReader::new(File::open(path).unwrap()).unwrap();
    let x: ArrayD<f32> = match npz.by_name::<OwnedRepr<f32>, _>("x") {
        Ok(x) => x,
        Err(_) => npz
            .by_name::<OwnedRepr<u8>, ndarray::IxDyn>("x")
            .unwrap()
            .mapv(f32::from),
    };
    x.outer_iter()
        .map(|row| row.iter().copied().collect())
        .collect()
}

/// The classes of the held-out samples.
pub(crate) fn labels(name: &str) -> Vec<usize> {
    let path = folder(name).join("heldout.npz");
    let mut npz = NpzReader::new(File::open(path).unwrap()).unwrap();
    let y: ArrayD<i64> = npz.by_name::<OwnedRepr<i64>, _>("y").unwrap();
    y.iter().map(|&y| usize::try_from(y).unwrap()).collect()
}
