//! Networks that are not trained: random weights, for speed, never for accuracy. Batch
//! normalisation is folded where the originals have it.

use anyhow::{Context as _, Result, bail};
use proofmark_onnx::{Model, OnnxError};

use crate::builder::{Builder, Random, Window};

/// Random inputs that ranges are calibrated on.
const CALIBRATION: usize = 32;
/// Random inputs to prove.
const SAMPLES: usize = 8;

/// A float model and random inputs for it.
#[derive(Debug)]
pub(crate) struct Network {
    /// The model.
    pub(crate) model: Model,
    /// Inputs in [0, 1) that ranges are taken from, row-major.
    pub(crate) calibration: Vec<Vec<f32>>,
    /// Other inputs, to prove.
    pub(crate) samples: Vec<Vec<f32>>,
}

/// The networks that the benchmark makes by name.
pub(crate) const MADE: [&str; 4] = ["cnn-264k", "mlp-4m", "ds-cnn", "resnet8"];

/// Layers of the networks whose activations grow at equal weights an activation.
pub(crate) const DEPTHS: [usize; 7] = [4, 8, 16, 32, 64, 128, 256];
/// Groups of the networks whose weights grow tenfold at equal activations.
pub(crate) const GROUPS: [usize; 3] = [100, 10, 1];

/// Name of a network of [`DEPTHS`].
pub(crate) fn depth_name(depth: usize) -> String {
    format!("depth-{depth}")
}

/// Name of a network of [`GROUPS`].
pub(crate) fn groups_name(groups: usize) -> String {
    format!("groups-{groups}")
}

/// Makes a network by name: one of [`MADE`], `depth-N` or `groups-N`.
pub(crate) fn make(name: &str) -> Result<Network> {
    let number = |prefix: &str| name.strip_prefix(prefix)?.parse::<usize>().ok();
    let model = match name {
        "cnn-264k" => cnn()?,
        "mlp-4m" => mlp(name, 1000, &[1000; 4], 10)?,
        "ds-cnn" => ds_cnn()?,
        "resnet8" => resnet8()?,
        _ => {
            if let Some(depth) = number("depth-").filter(|depth| (1..=4096).contains(depth)) {
                mlp(name, 128, &vec![128; depth], 10)?
            } else if let Some(groups) = number("groups-").filter(|&g| g > 0 && 1000 % g == 0) {
                grouped(name, groups)?
            } else {
                bail!("there is no network {name:?}");
            }
        }
    };
    let shape = model
        .graph
        .inputs
        .first()
        .and_then(proofmark_onnx::ValueInfo::static_shape);
    let elements = shape.context("an input of static shape")?.iter().product();
    let mut random = Random::new(elements as u64);
    Ok(Network {
        calibration: (0..CALIBRATION).map(|_| random.units(elements)).collect(),
        samples: (0..SAMPLES).map(|_| random.units(elements)).collect(),
        model,
    })
}

/// Fully connected layers with Relu between them.
fn mlp(name: &str, input: usize, hidden: &[usize], classes: usize) -> Result<Model, OnnxError> {
    let mut b = Builder::new(name, &[1, input]);
    let (mut x, mut width) = ("x".to_owned(), input);
    for (index, &outputs) in hidden.iter().enumerate() {
        x = b.dense(&format!("fc{index}"), &x, width, outputs)?;
        x = b.relu(&format!("relu{index}"), &x);
        width = outputs;
    }
    b.dense("head", &x, width, classes)?;
    Ok(b.finish(classes))
}

/// Two convolutions with pools and two dense layers on 3×32×32: 264,532 parameters.
fn cnn() -> Result<Model, OnnxError> {
    let mut b = Builder::new("cnn-264k", &[1, 3, 32, 32]);
    let x = b.conv("conv1", "x", [3, 16], Window::same(3, 1), 1)?;
    let x = b.relu("relu1", &x);
    let x = b.max_pool("pool1", &x);
    let x = b.conv("conv2", &x, [16, 32], Window::same(3, 1), 1)?;
    let x = b.relu("relu2", &x);
    let x = b.max_pool("pool2", &x);
    let x = b.flatten("flatten", &x);
    let x = b.dense("fc1", &x, 2048, 126)?;
    let x = b.relu("relu3", &x);
    b.dense("fc2", &x, 126, 10)?;
    Ok(b.finish(10))
}

/// MLPerf Tiny's ResNet-8 for CIFAR-10: 3×32×32, three stacks of 16, 32 and 64 channels.
fn resnet8() -> Result<Model, OnnxError> {
    let mut b = Builder::new("resnet8", &[1, 3, 32, 32]);
    let x = b.conv("conv", "x", [3, 16], Window::same(3, 1), 1)?;
    let mut x = b.relu("relu", &x);
    for (stack, channels, stride) in [(1, [16, 16], 1), (2, [16, 32], 2), (3, [32, 64], 2)] {
        let [_, outputs] = channels;
        let name = |part: &str| format!("stack{stack}.{part}");
        let y = b.conv(&name("conv1"), &x, channels, Window::same(3, stride), 1)?;
        let y = b.relu(&name("relu1"), &y);
        let y = b.conv(&name("conv2"), &y, [outputs; 2], Window::same(3, 1), 1)?;
        if stride > 1 {
            x = b.conv(&name("shortcut"), &x, channels, Window::same(1, stride), 1)?;
        }
        let sum = b.add(&name("add"), &x, &y);
        x = b.relu(&name("relu2"), &sum);
    }
    let x = b.global_average_pool("pool", &x);
    let x = b.flatten("flatten", &x);
    b.dense("fc", &x, 64, 10)?;
    Ok(b.finish(10))
}

/// MLPerf Tiny's DS-CNN for keyword spotting: 49 frames of 10 cepstra, four depthwise-separable
/// blocks of 64 channels, 12 words.
fn ds_cnn() -> Result<Model, OnnxError> {
    let mut b = Builder::new("ds-cnn", &[1, 1, 49, 10]);
    // TensorFlow's "same" padding at stride 2: 49×10 becomes 25×5.
    let first = Window {
        kernel: [10, 4],
        strides: [2, 2],
        pads: [4, 1, 5, 1],
    };
    let x = b.conv("conv", "x", [1, 64], first, 1)?;
    let mut x = b.relu("relu", &x);
    for block in 1..=4 {
        let name = |part: &str| format!("block{block}.{part}");
        x = b.conv(&name("depthwise"), &x, [64, 64], Window::same(3, 1), 64)?;
        x = b.relu(&name("relu1"), &x);
        x = b.conv(&name("pointwise"), &x, [64, 64], Window::same(1, 1), 1)?;
        x = b.relu(&name("relu2"), &x);
    }
    let x = b.global_average_pool("pool", &x);
    let x = b.flatten("flatten", &x);
    b.dense("fc", &x, 64, 12)?;
    Ok(b.finish(12))
}

/// Four layers of 1,000 activations whose channels are connected in `groups`: 1,000,000 / `groups`
/// weights a layer.
fn grouped(name: &str, groups: usize) -> Result<Model, OnnxError> {
    let mut b = Builder::new(name, &[1, 1000, 1, 1]);
    let mut x = "x".to_owned();
    for layer in 1..=4 {
        x = b.conv(
            &format!("conv{layer}"),
            &x,
            [1000; 2],
            Window::same(1, 1),
            groups,
        )?;
        x = b.relu(&format!("relu{layer}"), &x);
    }
    // Ten sums over a tenth of the channels each, the same at any number of groups.
    let x = b.conv("head", &x, [1000, 10], Window::same(1, 1), 10)?;
    b.flatten("flatten", &x);
    Ok(b.finish(10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::parameters;
    use proofmark_onnx::{Limits, encode, parse};
    use proofmark_runtime::{FloatSession, FloatTensor, OptLevel};

    fn run(network: &Network, sample: &[f32]) -> Vec<f32> {
        proofmark_runtime::init().unwrap();
        let session = FloatSession::load(&encode(&network.model), OptLevel::DisableAll).unwrap();
        let shape = network.model.graph.inputs[0].static_shape().unwrap();
        let x = FloatTensor::new(shape, sample.to_vec()).unwrap();
        let outputs = session.run(&[("x".to_owned(), x)].into()).unwrap();
        outputs["logits"].data.clone()
    }

    #[test]
    fn networks_have_the_shapes_and_sizes_they_are_named_for() {
        for (name, input, classes, size) in [
            ("cnn-264k", vec![1, 3, 32, 32], 10, 264_532),
            ("resnet8", vec![1, 3, 32, 32], 10, 77_706),
            ("ds-cnn", vec![1, 1, 49, 10], 12, 22_604),
            ("mlp-4m", vec![1, 1000], 10, 4_014_010),
            ("depth-4", vec![1, 128], 10, 4 * 129 * 128 + 129 * 10),
            ("groups-100", vec![1, 1000, 1, 1], 10, 4 * 11_000 + 1_010),
            ("groups-10", vec![1, 1000, 1, 1], 10, 4 * 101_000 + 1_010),
            ("groups-1", vec![1, 1000, 1, 1], 10, 4 * 1_001_000 + 1_010),
        ] {
            let network = make(name).unwrap();
            assert_eq!(network.model.graph.inputs[0].static_shape(), Some(input));
            let output = network.model.graph.outputs[0].static_shape();
            assert_eq!(output, Some(vec![1, classes]), "{name}");
            assert_eq!(parameters(&network.model), size, "{name}");
            let again = parse(&encode(&network.model), &Limits::default()).unwrap();
            assert_eq!(again, network.model, "{name}");
        }
        for bad in ["", "resnet", "depth-0", "depth-x", "groups-3", "groups-0"] {
            assert!(make(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn outputs_depend_on_inputs_and_stay_of_their_size() {
        for name in ["cnn-264k", "resnet8", "ds-cnn", "depth-64", "groups-100"] {
            let network = make(name).unwrap();
            let outputs: Vec<Vec<f32>> = network.samples[..2]
                .iter()
                .map(|s| run(&network, s))
                .collect();
            assert_ne!(outputs[0], outputs[1], "{name}");
            for output in &outputs {
                let largest = output.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
                assert!((1e-3..1e3).contains(&largest), "{name}: {output:?}");
            }
        }
    }

    #[test]
    fn a_network_is_the_same_each_time() {
        let (one, other) = (make("ds-cnn").unwrap(), make("ds-cnn").unwrap());
        assert_eq!(one.model, other.model);
        assert_eq!(one.samples, other.samples);
        assert_ne!(one.samples[0], one.calibration[0]);
    }
}
