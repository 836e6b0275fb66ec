//! The sample models of `models/` and their data.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::NpzReader;
use proofmark_tensor::IntTensor;
use proofmark_types::manifest::Manifest;

/// Folder names of the sample models.
pub const SAMPLES: [&str; 4] = [
    "risk-classifier",
    "digits-mlp",
    "lenet5-mnist",
    "resnet-animals",
];

/// A sample model's folder.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../models")
        .join(name)
}

/// Its committed manifest.
///
/// # Panics
/// When it is missing or malformed.
pub fn manifest(name: &str) -> Manifest {
    let bytes = fs::read(folder(name).join("manifest.json")).expect("a manifest");
    Manifest::parse(&bytes).expect("a manifest in strict form")
}

/// Its committed integer model.
///
/// # Panics
/// When it is missing.
pub fn integer_model(name: &str) -> Vec<u8> {
    fs::read(folder(name).join("integer.onnx")).expect("an integer model")
}

/// Held-out inputs as floats, one vector a sample, and their labels.
///
/// # Panics
/// When the archive is malformed.
pub fn heldout(name: &str) -> (Vec<Vec<f32>>, Vec<usize>) {
    let path = folder(name).join("heldout.npz");
    let mut archive = NpzReader::new(File::open(path).expect("held-out data")).expect("an archive");
    let x: ArrayD<f32> = match archive.by_name::<OwnedRepr<f32>, IxDyn>("x") {
        Ok(floats) => floats,
        Err(_) => archive
            .by_name::<OwnedRepr<u8>, IxDyn>("x")
            .expect("x")
            .mapv(f32::from),
    };
    let y: ArrayD<i64> = archive.by_name::<OwnedRepr<i64>, IxDyn>("y").expect("y");
    let x = x
        .outer_iter()
        .map(|sample| sample.iter().copied().collect())
        .collect();
    (x, y.iter().map(|&label| label as usize).collect())
}

/// A sample, quantized as the manifest says.
///
/// # Panics
/// When the manifest has no quantizer for its first input.
pub fn quantized(manifest: &Manifest, values: &[f32]) -> IntTensor {
    let spec = &manifest.inputs[0];
    let quantizer = spec.quantizer.as_ref().expect("a quantizer");
    quantizer
        .quantize(values, &spec.shape, spec.elem)
        .expect("finite values")
}

/// Index of the largest element; of equal ones the lowest.
pub fn arg_max(tensor: &IntTensor) -> usize {
    let mut best = 0;
    for (index, value) in tensor.data().iter().enumerate() {
        if *value > tensor.data()[best] {
            best = index;
        }
    }
    best
}
