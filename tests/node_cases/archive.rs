//! The archive that `collect.py` writes: the models of the ONNX project's backend node cases and
//! the data that the harness needs of them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read as _};
use std::path::Path;

use ndarray::ArrayD;
use ndarray_npy::{ReadNpyExt as _, ReadableElement};
use proofmark_onnx::{Tensor, TensorData};
use proofmark_tensor::{ElemType, IntTensor};
use proofmark_types::Digest;
use zip::ZipArchive;

/// The release of the `onnx` package whose cases these are.
pub(crate) const ONNX_VERSION: &str = "1.23.2";
/// How many there are.
pub(crate) const COUNT: usize = 1_884;
/// SHA-256 of the stored archive inside `cases.zip`, as `collect.py` prints it.
const DIGEST: &str = "7f4afe9357862c39bf80c7e5c3fec098151d599cece5d581ed8a9734d974bfec";

/// One case.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// The suite's name, `test_add`.
    pub(crate) name: String,
    /// The model's bytes.
    pub(crate) model: Vec<u8>,
    /// Inputs by their place in the graph, where the archive has them.
    pub(crate) inputs: BTreeMap<usize, Tensor>,
    /// Outputs that the suite expects, likewise.
    pub(crate) outputs: BTreeMap<usize, Tensor>,
}

/// All cases, in the order of their names.
pub(crate) fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("node_cases/cases.zip");
    let outer = fs::read(&path).expect("the committed archive");
    let mut outer = ZipArchive::new(Cursor::new(outer)).expect("a zip archive");
    let mut stored = Vec::new();
    outer
        .by_name("cases.stored.zip")
        .expect("one member")
        .read_to_end(&mut stored)
        .expect("it inflates");
    assert_eq!(
        Digest::of(&stored).to_string(),
        format!("sha256:{DIGEST}"),
        "cases.zip is not what collect.py wrote; run it again with onnx {ONNX_VERSION}"
    );
    let mut archive = ZipArchive::new(Cursor::new(stored)).expect("a zip archive");
    let mut cases: BTreeMap<String, Case> = BTreeMap::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).expect("a member");
        let path = file.name().expect("a UTF-8 name").into_owned();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).expect("it reads");
        if let Some(name) = path.strip_suffix(".onnx") {
            let case = Case {
                name: name.to_owned(),
                model: bytes,
                inputs: BTreeMap::new(),
                outputs: BTreeMap::new(),
            };
            cases.insert(name.to_owned(), case);
            continue;
        }
        let (name, rest) = path.split_once('/').expect("NAME/STEM_I.npy");
        let (stem, number) = rest
            .strip_suffix(".npy")
            .and_then(|rest| rest.split_once('_'))
            .expect("STEM_I.npy");
        let case = cases.get_mut(name).expect("the model stands first");
        let place = number.parse().expect("a number");
        let side = if stem == "in" {
            &mut case.inputs
        } else {
            &mut case.outputs
        };
        side.insert(place, tensor(&bytes));
    }
    cases.into_values().collect()
}

/// A tensor of any type that `collect.py` keeps.
fn tensor(npy: &[u8]) -> Tensor {
    if let Some((shape, data)) = array::<f32>(npy) {
        return Tensor::new(shape, TensorData::Float(data)).expect("a tensor");
    }
    if let Some((shape, data)) = array::<i64>(npy) {
        return Tensor::new(shape, TensorData::Int64(data)).expect("a tensor");
    }
    if let Some((shape, data)) = array::<bool>(npy) {
        return Tensor::new(shape, TensorData::Bool(data)).expect("a tensor");
    }
    let ints = array::<u8>(npy)
        .map(|(shape, data)| {
            (
                ElemType::Uint8,
                shape,
                data.into_iter().map(i32::from).collect(),
            )
        })
        .or_else(|| {
            let (shape, data) = array::<i8>(npy)?;
            Some((
                ElemType::Int8,
                shape,
                data.into_iter().map(i32::from).collect(),
            ))
        })
        .or_else(|| {
            let (shape, data) = array::<i32>(npy)?;
            Some((ElemType::Int32, shape, data))
        });
    let (elem, shape, data): (_, _, Vec<i32>) = ints.expect("a kept element type");
    IntTensor::new(elem, shape, data).expect("a tensor").into()
}

/// Shape and elements, row-major, if they are of this type.
fn array<T: ReadableElement>(npy: &[u8]) -> Option<(Vec<usize>, Vec<T>)> {
    let array = ArrayD::<T>::read_npy(npy).ok()?;
    Some((array.shape().to_vec(), array.into_raw_vec_and_offset().0))
}
