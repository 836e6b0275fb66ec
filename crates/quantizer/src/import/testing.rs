//! What the importer's tests share: graphs of quantized nodes, every input of a function, and the
//! comparison with the original.

use proofmark_onnx::Model;
use proofmark_types::{ElemType, IntTensor};

use super::small::Found;
use super::{import_quantized, is_quantized};
use crate::graphs::Build;
use crate::{Options, QuantizeError, Quantized, Samples, drift};

/// Scalars that every quantized test graph uses, and a quantized input `q`.
pub(super) fn start(shape: &[usize], elem: ElemType) -> Build {
    let mut build = Build::new(shape);
    build.model.opsets.insert("com.microsoft".to_owned(), 1);
    build.floats("sx", &[], vec![0.0123]);
    build.quantized("zx", elem, &[], vec![7]);
    build.floats("sw", &[], vec![0.0071]);
    build.floats("sy", &[], vec![0.031]);
    build.quantized("zy", elem, &[], vec![11]);
    build.node("QuantizeLinear", &["x", "sx", "zx"], "q", &[]);
    build
}

pub(super) fn show(build: &mut Build, integers: &str) {
    build.node("DequantizeLinear", &[integers, "sy", "zy"], "y", &[]);
    build.output("y");
}

pub(super) fn microsoft(build: &mut Build) {
    let node = build.model.graph.nodes.last_mut().unwrap();
    node.domain = "com.microsoft".to_owned();
}

/// Imports and checks on random inputs that no integer changed.
pub(super) fn exact(build: &mut Build) -> (Model, Quantized) {
    let inputs = build.calibration(200).inputs;
    let wide = |v: &mut f32| *v *= 4.0;
    let inputs = inputs.into_iter().map(|(name, mut samples)| {
        samples.iter_mut().flatten().for_each(wide);
        (name, samples)
    });
    let samples = Samples {
        inputs: inputs.collect(),
        labels: None,
    };
    assert!(is_quantized(&build.model));
    let made = import_quantized(&build.model, &Options::default()).unwrap();
    let found = drift(&build.model, &made, &samples).unwrap();
    assert!(found.compared >= 200 && found.different == 0, "{found:?}");
    let model = proofmark_onnx::parse(&made.model, &proofmark_onnx::Limits::default());
    (model.unwrap(), made)
}

pub(super) fn refused(build: &Build) -> Vec<(String, String)> {
    match import_quantized(&build.model, &Options::default()).unwrap_err() {
        QuantizeError::Unsupported(nodes) => {
            nodes.into_iter().map(|n| (n.name, n.reason)).collect()
        }
        other => panic!("{other}"),
    }
}

/// One feed with every value of a type, for an input of shape `[1, 256]`.
pub(super) fn every_value(elem: ElemType) -> Vec<Vec<IntTensor>> {
    let data = (elem.min()..=elem.max()).collect();
    vec![vec![IntTensor::new(elem, vec![1, 256], data).unwrap()]]
}

/// Feeds with every pair of values of a type, for two inputs of shape `[1, 256]`.
pub(super) fn every_pair(elem: ElemType) -> Vec<Vec<IntTensor>> {
    let mut feeds = every_value(elem);
    let first = feeds.remove(0).remove(0);
    for second in elem.min()..=elem.max() {
        let second = IntTensor::new(elem, vec![1, 256], vec![second; 256]).unwrap();
        feeds.push(vec![first.clone(), second]);
    }
    feeds
}

/// The operators of an imported model, in order.
pub(super) fn operators(found: &Found) -> Vec<&str> {
    let nodes = found.model.iter().flat_map(|model| &model.graph.nodes);
    nodes.map(|node| node.op_type.as_str()).collect()
}
