//! A model's inputs out of a file: as integers to prove, and as a request to send.

use std::collections::BTreeMap;
use std::path::Path;

use proofmark_recipient::{Input, read_request};
use proofmark_types::manifest::InputSpec;
use proofmark_types::{IntTensor, Manifest};
use proofmark_verify::Failure;

use crate::samples::{self, Array, Content, SampleError, Values};

/// How a file is to be understood.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reading {
    /// Which sample.
    pub(crate) sample: Option<usize>,
    /// The values are the integers of the integer model.
    pub(crate) quantized: bool,
}

/// Reads every input of a manifest from a file.
pub(crate) fn read(
    path: &Path,
    manifest: &Manifest,
    reading: Reading,
) -> Result<Vec<Input>, Failure> {
    resolve(&samples::read(path)?, manifest, reading)
}

/// The inputs by name.
pub(crate) fn tensors(inputs: &[Input]) -> BTreeMap<String, IntTensor> {
    inputs
        .iter()
        .map(|input| (input.name.clone(), input.tensor.clone()))
        .collect()
}

fn resolve(
    content: &Content,
    manifest: &Manifest,
    reading: Reading,
) -> Result<Vec<Input>, Failure> {
    if let Content::Request(request) = content {
        return Ok(read_request(manifest, request)?);
    }
    let only = manifest.inputs.len() == 1;
    manifest
        .inputs
        .iter()
        .map(|spec| {
            let array = content.array(&spec.name, only).ok_or_else(|| {
                let message = format!("the file has no array for input {:?}", spec.name);
                Failure::usage("input-missing", message)
                    .hint("name the array after the input, or give a file with one array")
            })?;
            let count = spec.shape.iter().product();
            let values = array
                .sample(count, reading.sample)
                .map_err(|error| sample_failure(spec, array, &error))?;
            one(spec, &values, reading.quantized || spec.quantizer.is_none())
        })
        .collect()
}

fn sample_failure(spec: &InputSpec, array: &Array, error: &SampleError) -> Failure {
    let name = &spec.name;
    match error {
        SampleError::Shape => Failure::usage(
            "input-shape",
            format!(
                "input {name:?} takes {:?}, the file has {:?}",
                spec.shape, array.shape
            ),
        ),
        SampleError::Choose(samples) => Failure::usage(
            "sample-missing",
            format!("the file has {samples} samples of input {name:?}"),
        )
        .hint("choose one with --sample N, from 0"),
        SampleError::Missing(samples) => Failure::usage(
            "sample-missing",
            format!("the file has {samples} samples of input {name:?}, counted from 0"),
        ),
    }
}

fn one(spec: &InputSpec, values: &Values, integers: bool) -> Result<Input, Failure> {
    if spec.quantizer.is_some() && !integers {
        return Ok(Input::of_floats(spec, &values.floats())?);
    }
    let integers = values.integers().ok_or_else(|| {
        let message = format!("input {:?}: it takes integers of {}", spec.name, spec.elem);
        Failure::usage("input-type", message)
    })?;
    Ok(Input::of_integers(spec, integers)?)
}

#[cfg(test)]
mod tests {
    use proofmark_types::Digest;
    use proofmark_types::ElemType;
    use proofmark_types::manifest::{
        Backend, CompilerPin, InputQuantizer, MANIFEST_FORMAT, ModelFile, OutputSpec, RuntimePin,
        ValidationReport, Visibility,
    };
    use serde_json::{Value, json};

    use super::*;

    fn manifest(quantized: bool) -> Manifest {
        Manifest {
            format: MANIFEST_FORMAT.to_owned(),
            name: "m".to_owned(),
            version: "1".to_owned(),
            description: String::new(),
            licence: String::new(),
            float_model: None,
            integer_model: ModelFile {
                file: "integer.onnx".to_owned(),
                digest: Digest::of(b""),
                bytes: 0,
            },
            runtime: RuntimePin::current(),
            inputs: vec![InputSpec {
                name: "x".to_owned(),
                elem: ElemType::Uint8,
                shape: vec![1, 2],
                visibility: Visibility::Public,
                quantizer: quantized.then(|| InputQuantizer::per_tensor(0.5, 3)),
            }],
            outputs: vec![OutputSpec {
                name: "y".to_owned(),
                elem: ElemType::Int32,
                shape: vec![1, 1],
                visibility: Visibility::Public,
                views: Vec::new(),
            }],
            compiler: CompilerPin {
                epoch: 1,
                backend: Backend::Groth16,
            },
            validation: ValidationReport::default(),
            translation: None,
            sealed: None,
        }
    }

    fn single(value: &Value) -> Content {
        Content::Single(samples::nested(value).unwrap())
    }

    #[test]
    fn values_are_floats_where_the_model_has_a_quantizer() {
        let manifest = manifest(true);
        let content = single(&json!([[1, 2], [3, 4]]));
        let reading = Reading {
            sample: Some(1),
            quantized: false,
        };
        let inputs = resolve(&content, &manifest, reading).unwrap();
        // 3 / 0.5 + 3 and 4 / 0.5 + 3.
        assert_eq!(inputs[0].tensor.data(), [9, 11]);
        assert_eq!(
            inputs[0].wire,
            json!({"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [3.0, 4.0]})
        );
        let reading = Reading {
            quantized: true,
            ..reading
        };
        let inputs = resolve(&content, &manifest, reading).unwrap();
        assert_eq!(inputs[0].tensor.data(), [3, 4]);
        assert_eq!(inputs[0].wire["datatype"], "UINT8");
    }

    #[test]
    fn integers_stay_integers_where_it_has_none() {
        let manifest = manifest(false);
        let reading = Reading::default();
        let inputs = resolve(&single(&json!([7, 255])), &manifest, reading).unwrap();
        assert_eq!(inputs[0].tensor.data(), [7, 255]);
        for bad in [json!([7, 256]), json!([-1, 0]), json!([1.5, 2])] {
            assert!(resolve(&single(&bad), &manifest, reading).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_request_of_the_protocol_is_read_as_the_service_reads_it() {
        let manifest = manifest(true);
        let request = |datatype: &str, data: Value| {
            let input = json!({"name": "x", "shape": [1, 2], "datatype": datatype, "data": data});
            Content::Request(json!({ "inputs": [input] }))
        };
        let read = |content: &Content| resolve(content, &manifest, Reading::default());
        let floats = read(&request("FP32", json!([1.0, 2.0]))).unwrap();
        assert_eq!(floats[0].tensor.data(), [5, 7]);
        let nested = read(&request("FP32", json!([[1.0, 2.0]]))).unwrap();
        assert_eq!(nested, floats);
        let integers = read(&request("UINT8", json!([1, 2]))).unwrap();
        assert_eq!(integers[0].tensor.data(), [1, 2]);
        for (content, code) in [
            (request("FP64", json!([1, 2])), "input-type"),
            (request("INT8", json!([1, 2])), "input-type"),
            (request("FP32", json!([1])), "tensor-length-mismatch"),
            (request("FP32", json!([[1], [2]])), "tensor-length-mismatch"),
            (request("FP32", json!([1e39, 2])), "input-not-finite"),
            (
                request("UINT8", json!([1, 256])),
                "tensor-value-out-of-range",
            ),
            (Content::Request(json!({"inputs": []})), "input-missing"),
            (
                Content::Request(json!({"inputs": [{"name": "z"}]})),
                "input-unknown",
            ),
            (
                Content::Request(json!({"inputs": [{"name": "x"}, {"name": "x"}]})),
                "input-duplicate",
            ),
            (
                Content::Request(json!({"inputs": [{"name": "x", "shape": [2]}]})),
                "input-shape",
            ),
        ] {
            assert_eq!(read(&content).unwrap_err().code, code);
        }
    }

    #[test]
    fn the_sample_requests_are_the_first_held_out_samples() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
        for model in [
            "risk-classifier",
            "digits-mlp",
            "lenet5-mnist",
            "resnet-animals",
        ] {
            let folder = models.join(model);
            let manifest = std::fs::read(folder.join("manifest.json")).unwrap();
            let manifest = Manifest::parse(&manifest).unwrap();
            let request = folder.join("request.json");
            let request = read(&request, &manifest, Reading::default()).unwrap();
            let first = Reading {
                sample: Some(0),
                quantized: false,
            };
            let heldout = read(&folder.join("heldout.npz"), &manifest, first).unwrap();
            assert_eq!(request, heldout, "{model}");
        }
    }
}
