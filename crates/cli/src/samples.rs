//! Files of samples: JSON, `.npy`, `.npz`.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, ReadNpyExt as _};
use proofmark_verify::{Failure, read_bounded};
use serde_json::Value;

/// Largest JSON or `.npy` file that is read, in bytes.
const MAX_FILE_BYTES: usize = 1 << 30;
/// Largest nesting of arrays in JSON.
const MAX_DEPTH: usize = 9;
/// Name under which the sample archives of `models/` keep their inputs.
const INPUTS: &str = "x";
/// Name under which they keep their labels.
const LABELS: &str = "y";

/// An array of numbers, row-major.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Array {
    /// Dimensions, outermost first.
    pub(crate) shape: Vec<usize>,
    /// The elements.
    pub(crate) values: Values,
}

/// Elements as the file has them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    /// Integers.
    Int(Vec<i64>),
    /// Floats; `f64` holds every float32 exactly.
    Float(Vec<f64>),
}

impl Values {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Int(values) => values.len(),
            Self::Float(values) => values.len(),
        }
    }

    /// A part of the elements; empty when it is outside.
    fn slice(&self, from: usize, count: usize) -> Self {
        let range = from..from.saturating_add(count);
        match self {
            Self::Int(values) => Self::Int(values.get(range).unwrap_or_default().to_vec()),
            Self::Float(values) => Self::Float(values.get(range).unwrap_or_default().to_vec()),
        }
    }

    /// As float32, one rounding, half to even; what overflows becomes an infinity, which every
    /// quantizer refuses.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "the rounding is the defined result, the same as the service's"
    )]
    pub(crate) fn floats(&self) -> Vec<f32> {
        match self {
            Self::Int(values) => values.iter().map(|&v| v as f64 as f32).collect(),
            Self::Float(values) => values.iter().map(|&v| v as f32).collect(),
        }
    }

    /// As integers; `None` when one is not.
    pub(crate) fn integers(&self) -> Option<Vec<i32>> {
        match self {
            Self::Int(values) => values.iter().map(|&v| i32::try_from(v).ok()).collect(),
            Self::Float(_) => None,
        }
    }
}

/// What stands in a file of samples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// One array without a name.
    Single(Array),
    /// Arrays by name.
    Named(BTreeMap<String, Array>),
    /// An inference request of the Open Inference Protocol.
    Request(Value),
}

/// Reads a file by its extension.
pub(crate) fn read(path: &Path) -> Result<Content, Failure> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
    match extension.to_ascii_lowercase().as_str() {
        "json" => json(path),
        "npy" => {
            let bytes = read_bounded(path, MAX_FILE_BYTES)?;
            npy(|| bytes.as_slice())
                .map(Content::Single)
                .ok_or_else(|| malformed(path, "it is no array of numbers of at most 64 bits"))
        }
        "npz" => npz(path),
        _ => Err(Failure::usage(
            "input-file-type",
            format!("{} is not .json, .npy or .npz", path.display()),
        )),
    }
}

fn malformed(path: &Path, reason: &str) -> Failure {
    let message = format!("cannot read samples from {}: {reason}", path.display());
    Failure::usage("input-file-malformed", message)
}

/// Tries one element type after another; the header refuses all but the right one.
macro_rules! first_of {
    ($read:ident: $($kind:ident $element:ty),*) => {
        None$(.or_else(|| {
            let array: ArrayD<$element> = $read!($element)?;
            Some(Array {
                shape: array.shape().to_vec(),
                values: Values::$kind(array.iter().map(|&v| v.into()).collect()),
            })
        }))*
    };
}

fn npy<R: std::io::Read>(open: impl Fn() -> R) -> Option<Array> {
    macro_rules! read {
        ($element:ty) => {
            ArrayD::<$element>::read_npy(open()).ok()
        };
    }
    first_of!(read: Float f32, Float f64, Int u8, Int i8, Int u16, Int i16, Int u32, Int i32, Int i64)
}

fn npz(path: &Path) -> Result<Content, Failure> {
    let file = File::open(path).map_err(|error| {
        let message = format!("cannot read {}", path.display());
        let mut failure = Failure::environment("file-unreadable", message);
        failure.causes.push(error.to_string());
        failure
    })?;
    let mut archive = NpzReader::new(file).map_err(|error| malformed(path, &error.to_string()))?;
    let names = archive
        .names()
        .map_err(|error| malformed(path, &error.to_string()))?;
    let mut arrays = BTreeMap::new();
    for name in names {
        macro_rules! read {
            ($element:ty) => {
                archive.by_name::<OwnedRepr<$element>, IxDyn>(&name).ok()
            };
        }
        let array = first_of!(read: Float f32, Float f64, Int u8, Int i8, Int u16, Int i16, Int u32, Int i32, Int i64);
        let refuse = || {
            malformed(
                path,
                &format!("{name:?} is no array of numbers of at most 64 bits"),
            )
        };
        arrays.insert(name.clone(), array.ok_or_else(refuse)?);
    }
    Ok(Content::Named(arrays))
}

fn json(path: &Path) -> Result<Content, Failure> {
    let bytes = read_bounded(path, MAX_FILE_BYTES)?;
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|error| malformed(path, &error.to_string()))?;
    match value {
        Value::Object(members) if members.get("inputs").is_some_and(Value::is_array) => {
            Ok(Content::Request(Value::Object(members)))
        }
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| Some((name.clone(), nested(value)?)))
            .collect::<Option<_>>()
            .map(Content::Named)
            .ok_or_else(|| malformed(path, "a member is no regular array of numbers")),
        value => nested(&value)
            .map(Content::Single)
            .ok_or_else(|| malformed(path, "it is no regular array of numbers")),
    }
}

/// A nested JSON array as an array; `None` when it is ragged or holds anything but numbers.
pub(crate) fn nested(value: &Value) -> Option<Array> {
    let mut shape = Vec::new();
    let mut inner = value;
    while let Value::Array(list) = inner {
        shape.push(list.len());
        if shape.len() > MAX_DEPTH {
            return None;
        }
        inner = list.first()?;
    }
    if shape.is_empty() {
        return None;
    }
    let mut numbers = Vec::new();
    flatten(value, &shape, &mut numbers)?;
    let integers: Option<Vec<i64>> = numbers.iter().map(|n| n.as_i64()).collect();
    let values = match integers {
        Some(integers) => Values::Int(integers),
        None => Values::Float(numbers.iter().map(|n| n.as_f64()).collect::<Option<_>>()?),
    };
    Some(Array { shape, values })
}

fn flatten<'v>(
    value: &'v Value,
    shape: &[usize],
    into: &mut Vec<&'v serde_json::Number>,
) -> Option<()> {
    match (value, shape.split_first()) {
        (Value::Array(list), Some((&length, rest))) if list.len() == length => {
            list.iter().try_for_each(|item| flatten(item, rest, into))
        }
        (Value::Number(number), None) => {
            into.push(number);
            Some(())
        }
        _ => None,
    }
}

impl Content {
    /// The array for an input: by its name, or the only candidate for a model's only input.
    pub(crate) fn array(&self, input: &str, only_input: bool) -> Option<&Array> {
        match self {
            Self::Single(array) => only_input.then_some(array),
            Self::Named(arrays) => arrays.get(input).or_else(|| {
                let only = (arrays.len() == 1)
                    .then(|| arrays.values().next())
                    .flatten();
                only_input.then(|| arrays.get(INPUTS).or(only)).flatten()
            }),
            Self::Request(_) => None,
        }
    }

    /// The labels of the samples, when the file has some.
    pub(crate) fn labels(&self) -> Option<Vec<usize>> {
        let Self::Named(arrays) = self else {
            return None;
        };
        match &arrays.get(LABELS)?.values {
            Values::Int(labels) => labels.iter().map(|&l| usize::try_from(l).ok()).collect(),
            Values::Float(_) => None,
        }
    }
}

/// Why a sample cannot be taken from an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SampleError {
    /// The array holds no whole number of samples.
    Shape,
    /// It holds several, and none was chosen.
    Choose(usize),
    /// It holds only so many.
    Missing(usize),
}

impl Array {
    /// How many samples of `count` elements the array holds: one when it is as large, else as many
    /// as its first dimension says.
    pub(crate) fn samples(&self, count: usize) -> Option<usize> {
        let len = self.values.len();
        let rows = self.shape.first().copied().unwrap_or(1);
        if count > 0 && len == count {
            Some(1)
        } else {
            (count > 0 && rows.checked_mul(count) == Some(len)).then_some(rows)
        }
    }

    /// One sample of `count` elements.
    pub(crate) fn sample(
        &self,
        count: usize,
        chosen: Option<usize>,
    ) -> Result<Values, SampleError> {
        let samples = self.samples(count).ok_or(SampleError::Shape)?;
        let index = match chosen {
            Some(index) if index < samples => index,
            Some(_) => return Err(SampleError::Missing(samples)),
            None if samples == 1 => 0,
            None => return Err(SampleError::Choose(samples)),
        };
        Ok(self.values.slice(index.saturating_mul(count), count))
    }

    /// Every sample as float32.
    pub(crate) fn all_samples(&self, count: usize) -> Option<Vec<Vec<f32>>> {
        self.samples(count)?;
        Some(
            self.values
                .floats()
                .chunks_exact(count)
                .map(<[f32]>::to_vec)
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2};
    use ndarray_npy::{NpzWriter, WriteNpyExt as _};
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_arrays_are_regular_or_refused() {
        let array = nested(&json!([[1, 2, 3], [4, 5, 6]])).unwrap();
        assert_eq!(array.shape, [2, 3]);
        assert_eq!(array.values, Values::Int(vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(
            nested(&json!([1, 2.5])).unwrap().values,
            Values::Float(vec![1.0, 2.5])
        );
        for bad in [
            json!(1),
            json!([]),
            json!([[1], [1, 2]]),
            json!([[1], 2]),
            json!(["1"]),
            json!([null]),
            json!([[[[[[[[[[1]]]]]]]]]]),
        ] {
            assert_eq!(nested(&bad), None, "{bad}");
        }
    }

    #[test]
    fn one_sample_of_many() {
        let array = nested(&json!([[1, 2], [3, 4], [5, 6]])).unwrap();
        assert_eq!(array.sample(2, Some(1)), Ok(Values::Int(vec![3, 4])));
        assert_eq!(array.sample(2, None), Err(SampleError::Choose(3)));
        assert_eq!(array.sample(2, Some(3)), Err(SampleError::Missing(3)));
        assert_eq!(array.sample(4, Some(0)), Err(SampleError::Shape));
        assert_eq!(array.sample(0, Some(0)), Err(SampleError::Shape));
        assert_eq!(array.sample(6, None).unwrap().len(), 6);
        assert_eq!(array.all_samples(2).unwrap().len(), 3);
    }

    #[test]
    fn numpy_files_of_every_element_type() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let mut archive = NpzWriter::new_compressed(File::create(&path).unwrap());
        let pixels = Array2::<u8>::from_shape_vec((2, 2), vec![0, 1, 254, 255]).unwrap();
        archive.add_array("x", &pixels).unwrap();
        archive
            .add_array("y", &Array1::<i64>::from(vec![7, 3]))
            .unwrap();
        archive.finish().unwrap();
        let content = read(&path).unwrap();
        assert_eq!(content.labels(), Some(vec![7, 3]));
        let array = content.array("pixels", true).unwrap();
        assert_eq!(array.sample(2, Some(1)), Ok(Values::Int(vec![254, 255])));
        assert_eq!(content.array("pixels", false), None);
        assert!(content.array("x", false).is_some());

        let path = folder.path().join("b.npy");
        let floats = Array1::<f32>::from(vec![0.1, -2.0]);
        floats.write_npy(File::create(&path).unwrap()).unwrap();
        let content = read(&path).unwrap();
        let array = content.array("anything", true).unwrap();
        assert_eq!(array.values.floats(), [0.1, -2.0]);
        assert_eq!(array.values.integers(), None);
        let transposed = pixels.t().to_owned();
        let path = folder.path().join("c.npy");
        transposed.write_npy(File::create(&path).unwrap()).unwrap();
        let Content::Single(array) = read(&path).unwrap() else {
            unreachable!()
        };
        assert_eq!(array.values, Values::Int(vec![0, 254, 1, 255]));
    }

    #[test]
    fn what_is_no_file_of_samples_says_why() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content, code) in [
            ("a.npy", "no array", "input-file-malformed"),
            ("a.npz", "no archive", "input-file-malformed"),
            ("a.json", "[1, 2", "input-file-malformed"),
            ("b.json", "{\"x\": \"text\"}", "input-file-malformed"),
            ("a.txt", "1 2 3", "input-file-type"),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            let failure = read(&path).unwrap_err();
            assert_eq!(failure.code, code, "{name}");
            assert_eq!(failure.exit.code(), 2);
        }
        let failure = read(&folder.path().join("missing.npz")).unwrap_err();
        assert_eq!(failure.exit.code(), 3);
    }
}
