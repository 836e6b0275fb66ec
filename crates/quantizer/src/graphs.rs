//! Small float graphs of every supported shape: reading and the passes keep what they compute, and
//! their integer models stay near it.

use std::collections::BTreeMap;

use proofmark_onnx::{
    Attribute, Dim, Model, Node, Tensor, TensorData, ValueInfo, ValueType, encode,
};
use proofmark_runtime::{FloatSession, FloatTensor, OptLevel};
use proofmark_types::ElemType;
use proofmark_types::manifest::View;

use crate::net::{Net, Op};
use crate::{Calibration, Options, QuantizeError, Quantized, Samples};

/// A float graph under construction, with a stream of random numbers for weights and samples.
pub(crate) struct Build {
    pub(crate) model: Model,
    state: u64,
}

impl Build {
    pub(crate) fn new(input: &[usize]) -> Self {
        let mut model = Model {
            ir_version: 8,
            producer_name: String::new(),
            producer_version: String::new(),
            opsets: BTreeMap::from([(String::new(), 17)]),
            graph: proofmark_onnx::Graph::default(),
            metadata: BTreeMap::new(),
        };
        model.graph.name = "g".to_owned();
        let info = ValueInfo::fixed("x", ValueType::Float, input);
        model.graph.inputs.push(info);
        Self { model, state: 1 }
    }

    /// A number between −1 and 1.
    fn random(&mut self) -> f32 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f32::from(u16::try_from(self.state >> 48).unwrap()) / 32_767.5 - 1.0
    }

    /// A random weight.
    pub(crate) fn weight(&mut self, name: &str, shape: &[usize]) -> &mut Self {
        let data = (0..shape.iter().product::<usize>())
            .map(|_| self.random())
            .collect();
        self.floats(name, shape, data)
    }

    pub(crate) fn floats(&mut self, name: &str, shape: &[usize], data: Vec<f32>) -> &mut Self {
        let tensor = Tensor::new(shape.to_vec(), TensorData::Float(data)).unwrap();
        self.model
            .graph
            .initializers
            .insert(name.to_owned(), tensor);
        self
    }

    pub(crate) fn ints(&mut self, name: &str, data: &[i64]) -> &mut Self {
        let tensor = Tensor::new(vec![data.len()], TensorData::Int64(data.to_vec())).unwrap();
        self.model
            .graph
            .initializers
            .insert(name.to_owned(), tensor);
        self
    }

    /// A stored integer tensor.
    pub(crate) fn quantized(
        &mut self,
        name: &str,
        elem: ElemType,
        shape: &[usize],
        data: Vec<i32>,
    ) -> &mut Self {
        let tensor = proofmark_types::IntTensor::new(elem, shape.to_vec(), data).unwrap();
        self.model
            .graph
            .initializers
            .insert(name.to_owned(), tensor.into());
        self
    }

    /// Random integers of a type.
    pub(crate) fn bytes(&mut self, name: &str, elem: ElemType, shape: &[usize]) -> &mut Self {
        let len = shape.iter().product::<usize>();
        let data = (0..len).map(|_| {
            let at = f64::from(self.random()) * 127.0;
            crate::num::round_to(at, -127, 127) + if elem == ElemType::Uint8 { 127 } else { 0 }
        });
        let data = data.collect();
        self.quantized(name, elem, shape, data)
    }

    /// A node named after its output.
    pub(crate) fn node(
        &mut self,
        op_type: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, Attribute)],
    ) -> &mut Self {
        let mut node = Node::new(format!("{output}_node"), op_type, inputs, &[output]);
        for (name, value) in attributes {
            node = node.with(*name, value.clone());
        }
        self.model.graph.nodes.push(node);
        self
    }

    pub(crate) fn conv(
        &mut self,
        input: &str,
        output: &str,
        shape: &[usize],
        pad: i64,
    ) -> &mut Self {
        let (w, b) = (format!("{output}.w"), format!("{output}.b"));
        self.weight(&w, shape).weight(&b, &shape[..1]);
        self.node(
            "Conv",
            &[input, &w, &b],
            output,
            &[("pads", list(&[pad; 4]))],
        )
    }

    pub(crate) fn gemm(&mut self, input: &str, output: &str, shape: [usize; 2]) -> &mut Self {
        let (w, b) = (format!("{output}.w"), format!("{output}.b"));
        self.weight(&w, &shape).weight(&b, &shape[..1]);
        self.node(
            "Gemm",
            &[input, &w, &b],
            output,
            &[("transB", Attribute::Int(1))],
        )
    }

    pub(crate) fn norm(&mut self, input: &str, output: &str, channels: usize) -> &mut Self {
        let names = ["g", "b", "m", "v"].map(|part| format!("{output}.{part}"));
        for name in &names[..3] {
            self.weight(name, &[channels]);
        }
        let variance = (0..channels).map(|_| self.random().abs() + 0.1).collect();
        self.floats(&names[3], &[channels], variance);
        let [g, b, m, v] = names.each_ref().map(String::as_str);
        self.node("BatchNormalization", &[input, g, b, m, v], output, &[])
    }

    pub(crate) fn output(&mut self, name: &str) -> &mut Self {
        let info = ValueInfo {
            name: name.to_owned(),
            ty: ValueType::Float,
            dims: None,
        };
        self.model.graph.outputs.push(info);
        self
    }

    pub(crate) fn calibration(&mut self, count: usize) -> Calibration {
        let mut inputs = BTreeMap::new();
        for info in self.model.graph.inputs.clone() {
            let dims = info.dims.unwrap_or_default();
            let len = dims.iter().map(|dim| match dim {
                Dim::Static(dim) => *dim,
                Dim::Symbolic(_) => 1,
            });
            let len: usize = len.product();
            let samples = (0..count).map(|_| (0..len).map(|_| self.random()).collect());
            inputs.insert(info.name, samples.collect());
        }
        Calibration { inputs }
    }
}

pub(crate) fn list(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

fn run(model: &Model, calibration: &Calibration, sample: usize) -> BTreeMap<String, FloatTensor> {
    let session = FloatSession::load(&encode(model), OptLevel::DisableAll).unwrap();
    let inputs = model.graph.inputs.iter().map(|info| {
        let shape = info.dims.as_ref().unwrap().iter().map(|dim| match dim {
            Dim::Static(dim) => *dim,
            Dim::Symbolic(_) => 1,
        });
        let data = calibration.inputs[&info.name][sample].clone();
        (
            info.name.clone(),
            FloatTensor::new(shape.collect(), data).unwrap(),
        )
    });
    session.run(&inputs.collect()).unwrap()
}

/// Checks that the network after all passes computes what the model computes, and returns it with
/// the integer model, whose outputs differ by at most `share` of their range.
fn kept(build: &mut Build, share: f64) -> (Net, Quantized) {
    let calibration = build.calibration(60);
    let mut net = crate::read::read(&build.model).unwrap();
    crate::passes::normalise(&mut net).unwrap();
    let mut shown = build.model.clone();
    let fixed = |name: &str| ValueInfo::fixed(name, ValueType::Float, net.shape(name));
    shown.graph.outputs = net.outputs.iter().map(|(name, _)| fixed(name)).collect();
    let mut range = 0.0_f64;
    for sample in 0..5 {
        let wanted = run(&shown, &calibration, sample);
        let got = run(&net.to_onnx(), &calibration, sample);
        for (name, wanted) in &wanted {
            assert_eq!(wanted.shape, got[name].shape, "{name}");
            let most = wanted.data.iter().fold(1e-3_f32, |a, b| a.max(b.abs()));
            range = range.max(f64::from(most));
            for (a, b) in wanted.data.iter().zip(&got[name].data) {
                assert!((a - b).abs() <= 1e-5 * most, "{name}: {a} became {b}");
            }
        }
    }
    let made = crate::quantize(&build.model, &calibration, &Options::default()).unwrap();
    let samples = Samples {
        inputs: calibration.inputs,
        labels: None,
    };
    let report = crate::validate(&build.model, &made, &samples).unwrap();
    let largest = report.largest_output_difference.unwrap();
    assert!(largest <= share * range, "{largest} of {range}");
    let parsed = proofmark_onnx::parse(&made.model, &proofmark_onnx::Limits::default()).unwrap();
    for node in &parsed.graph.nodes {
        assert!(
            matches!(
                node.op_type.as_str(),
                "QLinearConv"
                    | "QGemm"
                    | "MatMulInteger"
                    | "Add"
                    | "MaxPool"
                    | "Concat"
                    | "Reshape"
                    | "Transpose"
            ),
            "{}",
            node.op_type
        );
    }
    (net, made)
}

fn refused(build: &Build) -> Vec<(String, String)> {
    let error = crate::quantize(&build.model, &Calibration::default(), &Options::default());
    match error.unwrap_err() {
        QuantizeError::Unsupported(nodes) => {
            assert!(
                nodes
                    .iter()
                    .all(|n| !n.reason.is_empty() && !n.remedy.is_empty())
            );
            nodes.into_iter().map(|n| (n.name, n.reason)).collect()
        }
        other => panic!("{other}"),
    }
}

#[test]
fn batch_normalisation_folds_back() {
    let mut build = Build::new(&[1, 3, 8, 8]);
    build.conv("x", "c", &[5, 3, 3, 3], 1).norm("c", "n", 5);
    build.node("Relu", &["n"], "y", &[]).output("y");
    let (net, made) = kept(&mut build, 0.05);
    assert_eq!(net.layers.len(), 1);
    assert_eq!(made.outputs[0].elem, ElemType::Uint8);
    assert!(matches!(
        made.outputs[0].views[0],
        View::Dequantize { zero_point: 0, .. }
    ));
}

#[test]
fn batch_normalisation_folds_forward_or_stands_alone() {
    let mut build = Build::new(&[1, 3, 8, 8]);
    build
        .norm("x", "n", 3)
        .conv("n", "y", &[4, 3, 3, 3], 0)
        .output("y");
    let (net, made) = kept(&mut build, 0.06);
    assert_eq!(net.layers.len(), 1);
    let View::Dequantize { zero_point, .. } = made.outputs[0].views[0] else {
        panic!("the first view shows floats")
    };
    assert!(zero_point > 50, "a signed output: {zero_point}");

    // Padding behind a shift is not the shifted padding.
    let mut build = Build::new(&[1, 3, 8, 8]);
    build
        .norm("x", "n", 3)
        .conv("n", "y", &[4, 3, 3, 3], 1)
        .output("y");
    assert_eq!(kept(&mut build, 0.08).0.layers.len(), 2);
}

#[test]
fn products_and_sums_become_gemm() {
    let mut build = Build::new(&[1, 12]);
    build.weight("w", &[12, 7]).weight("b", &[7]);
    build
        .node("MatMul", &["x", "w"], "m", &[])
        .node("Add", &["b", "m"], "a", &[]);
    build.node("Relu", &["a"], "r", &[]);
    build.weight("v", &[7, 4]).weight("c", &[1, 4]);
    let factors = [
        ("alpha", Attribute::Float(0.5)),
        ("beta", Attribute::Float(-2.0)),
    ];
    build.node("Gemm", &["r", "v", "c"], "g", &factors);
    build
        .floats("two", &[], vec![2.0])
        .node("Div", &["g", "two"], "y", &[])
        .output("y");
    let (net, made) = kept(&mut build, 0.06);
    assert_eq!(net.layers.len(), 2);
    assert_eq!(made.outputs[0].elem, ElemType::Int32);
    assert_eq!(made.inputs[0].quantizer.as_ref().unwrap().axis, Some(1));
}

#[test]
fn features_of_very_different_units_keep_their_precision() {
    let mut build = Build::new(&[1, 4]);
    build.gemm("x", "y", [3, 4]).output("y");
    let scales = [1e4_f32, 1.0, 1e-3, 30.0];
    let weights = build.model.graph.initializers.get_mut("y.w").unwrap();
    if let TensorData::Float(values) = &mut weights.data {
        for (index, w) in values.iter_mut().enumerate() {
            *w /= scales[index % 4];
        }
    }
    let mut calibration = build.calibration(50);
    for sample in calibration.inputs.get_mut("x").unwrap() {
        for (v, s) in sample.iter_mut().zip(scales) {
            *v *= s;
        }
    }
    let made = crate::quantize(&build.model, &calibration, &Options::default()).unwrap();
    let samples = Samples {
        inputs: calibration.inputs,
        labels: None,
    };
    let report = crate::validate(&build.model, &made, &samples).unwrap();
    assert!(report.largest_output_difference.unwrap() < 0.05);
}

#[test]
fn convolutions_of_every_geometry() {
    for (shape, attributes) in [
        (
            [4, 2, 3, 3],
            vec![("group", Attribute::Int(2)), ("strides", list(&[2, 1]))],
        ),
        (
            [8, 1, 3, 3],
            vec![("group", Attribute::Int(4)), ("dilations", list(&[2, 2]))],
        ),
        ([3, 4, 2, 5], vec![("pads", list(&[0, 1, 2, 3]))]),
        (
            [3, 4, 3, 3],
            vec![
                ("auto_pad", Attribute::String("SAME_UPPER".into())),
                ("strides", list(&[2, 2])),
            ],
        ),
        (
            [3, 4, 2, 2],
            vec![("auto_pad", Attribute::String("SAME_LOWER".into()))],
        ),
        (
            [3, 4, 2, 2],
            vec![("auto_pad", Attribute::String("VALID".into()))],
        ),
    ] {
        let mut build = Build::new(&[1, 4, 9, 10]);
        build
            .weight("w", &shape)
            .node("Conv", &["x", "w"], "y", &attributes)
            .output("y");
        kept(&mut build, 0.06);
    }
}

#[test]
fn pools_are_exact_or_depthwise() {
    let mut build = Build::new(&[1, 3, 9, 9]);
    build.node(
        "MaxPool",
        &["x"],
        "m",
        &[
            ("kernel_shape", list(&[3, 3])),
            ("pads", list(&[1, 1, 1, 1])),
            ("dilations", list(&[1, 2])),
            ("strides", list(&[1, 2])),
        ],
    );
    build.node(
        "AveragePool",
        &["m"],
        "a",
        &[
            ("kernel_shape", list(&[3, 2])),
            ("pads", list(&[1, 0, 1, 1])),
            ("count_include_pad", Attribute::Int(1)),
        ],
    );
    build
        .node("GlobalAveragePool", &["a"], "g", &[])
        .node("Flatten", &["g"], "y", &[])
        .output("y");
    kept(&mut build, 0.05);

    let mut build = Build::new(&[1, 6, 7, 5]);
    build.node(
        "ReduceMean",
        &["x"],
        "y",
        &[("axes", list(&[-1, 2])), ("keepdims", Attribute::Int(0))],
    );
    build.output("y");
    let (net, made) = kept(&mut build, 0.05);
    assert_eq!(net.shape("y"), [1, 6]);
    assert_eq!(made.outputs[0].shape, [1, 6]);
}

#[test]
fn residual_sums_of_signed_and_clamped_operands() {
    let mut build = Build::new(&[1, 4, 6, 6]);
    build
        .conv("x", "a", &[4, 4, 3, 3], 1)
        .node("Relu", &["a"], "r", &[]);
    build.conv("r", "b", &[4, 4, 3, 3], 1).norm("b", "n", 4);
    build
        .node("Add", &["n", "r"], "s", &[])
        .node("Relu", &["s"], "t", &[]);
    build
        .conv("t", "c", &[4, 4, 3, 3], 1)
        .node("Add", &["c", "s"], "y", &[])
        .output("y");
    let (net, _) = kept(&mut build, 0.08);
    assert_eq!(net.layers.iter().filter(|l| l.op == Op::Concat).count(), 2);

    let mut build = Build::new(&[1, 10]);
    build
        .gemm("x", "a", [10, 10])
        .node("Relu", &["a"], "r", &[])
        .gemm("r", "b", [10, 10]);
    build
        .node("Add", &["b", "r"], "s", &[])
        .gemm("s", "y", [3, 10])
        .output("y");
    kept(&mut build, 0.06);
}

#[test]
fn relu_moves_to_its_layer_or_gets_one() {
    let mut build = Build::new(&[1, 2, 8, 8]);
    build.conv("x", "c", &[3, 2, 3, 3], 1);
    build.node(
        "MaxPool",
        &["c"],
        "p",
        &[("kernel_shape", list(&[2, 2])), ("strides", list(&[2, 2]))],
    );
    build
        .ints("shape", &[0, -1])
        .node("Reshape", &["p", "shape"], "f", &[]);
    build
        .node("Relu", &["f"], "r", &[])
        .node("Relu", &["r"], "rr", &[]);
    build.gemm("rr", "y", [4, 48]).output("y");
    let (net, _) = kept(&mut build, 0.06);
    let fused = |l: &&crate::net::Layer| matches!(&l.op, Op::Conv(c) if c.relu && c.group == 1);
    assert_eq!(net.layers.iter().filter(fused).count(), 1);

    // A value that is also read without Relu keeps its sign for that reader.
    let mut build = Build::new(&[1, 2, 6, 6]);
    build
        .conv("x", "c", &[3, 2, 3, 3], 0)
        .node("Relu", &["c"], "r", &[]);
    build
        .conv("r", "d", &[3, 3, 1, 1], 0)
        .node("Add", &["d", "c"], "y", &[])
        .output("y");
    kept(&mut build, 0.06);

    let mut build = Build::new(&[1, 2, 6, 6]);
    build.node("Relu", &["x"], "y", &[]).output("y");
    kept(&mut build, 0.01);
}

#[test]
fn concatenations_of_different_scales() {
    for pad in [0, 1] {
        let mut build = Build::new(&[1, 2, 6, 6]);
        build
            .conv("x", "a", &[3, 2, 1, 1], 0)
            .conv("x", "b", &[2, 2, 3, 3], 1);
        build.node("Relu", &["b"], "r", &[]);
        build.node("Concat", &["a", "r"], "k", &[("axis", Attribute::Int(-3))]);
        build.conv("k", "y", &[4, 5, 3, 3], pad).output("y");
        let (net, _) = kept(&mut build, 0.06);
        let settled = net.layers.len() == 5;
        assert_eq!(settled, pad == 1);
    }
    let mut build = Build::new(&[1, 2, 6, 6]);
    build.conv("x", "a", &[3, 2, 1, 1], 0);
    build.node("Concat", &["a", "x"], "k", &[("axis", Attribute::Int(1))]);
    build
        .node("Transpose", &["k"], "y", &[("perm", list(&[0, 2, 3, 1]))])
        .output("y")
        .output("k");
    let (_, made) = kept(&mut build, 0.05);
    assert_eq!(
        (made.outputs[0].shape.as_slice(), made.outputs.len()),
        (&[1, 6, 6, 5][..], 2)
    );
}

#[test]
fn exported_shape_arithmetic_and_inert_nodes_vanish() {
    let mut build = Build::new(&[1, 2, 4, 4]);
    build.model.graph.inputs[0].dims.as_mut().unwrap()[0] = Dim::Symbolic("N".into());
    build
        .conv("x", "c", &[3, 2, 3, 3], 0)
        .node("Identity", &["c"], "i", &[]);
    build
        .node("Dropout", &["i"], "d", &[])
        .node("Shape", &["d"], "s", &[]);
    let zero = Tensor::new(vec![], TensorData::Int64(vec![0])).unwrap();
    build.node(
        "Constant",
        &[],
        "zero",
        &[("value", Attribute::Tensor(zero))],
    );
    build.ints("first", &[0]).ints("minus", &[-1]);
    build.node(
        "Gather",
        &["s", "zero"],
        "n",
        &[("axis", Attribute::Int(0))],
    );
    build.node("Unsqueeze", &["n", "first"], "u", &[]);
    build.node(
        "Concat",
        &["u", "minus"],
        "shape",
        &[("axis", Attribute::Int(0))],
    );
    build.node("Reshape", &["d", "shape"], "f", &[]);
    build
        .weight("w", &[5, 12])
        .node("Transpose", &["w"], "wt", &[("perm", list(&[1, 0]))]);
    build
        .node("MatMul", &["f", "wt"], "l", &[])
        .node("Softmax", &["l"], "p", &[]);
    build.output("p").output("l");
    let (net, made) = kept(&mut build, 0.06);
    assert_eq!(net.layers.len(), 3);
    assert_eq!(made.outputs.len(), 1);
    let spec = &made.outputs[0];
    assert_eq!((spec.name.as_str(), spec.views.len()), ("l", 3));
    assert_eq!(spec.views[2], View::Softmax { axis: 1 });
    assert_eq!(
        spec.views[1],
        View::ArgMax {
            labels: ["0", "1", "2", "3", "4"].map(String::from).to_vec()
        }
    );
}

#[test]
fn labels_go_to_the_output_they_fit() {
    let mut build = Build::new(&[1, 6]);
    build.gemm("x", "y", [3, 6]).output("y");
    let calibration = build.calibration(8);
    let labels = |n: usize| Options {
        reference: proofmark_types::manifest::ReferenceLevel::All,
        labels: (0..n).map(|i| format!("class {i}")).collect(),
    };
    let made = crate::quantize(&build.model, &calibration, &labels(3)).unwrap();
    assert_eq!(
        made.outputs[0].views[1],
        View::ArgMax {
            labels: labels(3).labels
        }
    );
    let error = crate::quantize(&build.model, &calibration, &labels(4)).unwrap_err();
    assert_eq!(error.code(), "labels-mismatch");
}

#[test]
fn pools_that_round_up() {
    let mut build = Build::new(&[1, 2, 9, 7]);
    let attributes = [
        ("kernel_shape", list(&[2, 3])),
        ("strides", list(&[2, 2])),
        ("ceil_mode", Attribute::Int(1)),
    ];
    build
        .conv("x", "c", &[3, 2, 3, 3], 1)
        .node("MaxPool", &["c"], "p", &attributes)
        .node("Flatten", &["p"], "f", &[])
        .gemm("f", "y", [4, 45])
        .output("y");
    kept(&mut build, 0.06);
}

#[test]
fn every_refused_node_is_listed_at_once() {
    let mut build = Build::new(&[1, 2, 8, 8]);
    build.node("LeakyRelu", &["x"], "a", &[]);
    build.node(
        "AveragePool",
        &["a"],
        "b",
        &[
            ("kernel_shape", list(&[2, 2])),
            ("pads", list(&[1, 0, 0, 0])),
        ],
    );
    build.node(
        "MaxPool",
        &["x"],
        "c",
        &[
            ("kernel_shape", list(&[2, 2])),
            ("storage_order", Attribute::Int(1)),
        ],
    );
    build.weight("w", &[2, 2, 1, 1]);
    build.node("Conv", &["x", "w"], "d", &[("invented", Attribute::Int(1))]);
    build.node("Conv", &["x", "x"], "e", &[]);
    build
        .node("Softmax", &["x"], "f", &[])
        .node("Relu", &["f"], "g", &[]);
    build.node("Mul", &["x", "x"], "h", &[]);
    build.node("Einsum", &["x"], "i", &[]);
    build.node("Sigmoid", &["i"], "j", &[]);
    for name in ["b", "c", "d", "e", "g", "h", "j"] {
        build.output(name);
    }
    let names: Vec<String> = refused(&build).into_iter().map(|(name, _)| name).collect();
    let wanted = ["a", "b", "c", "d", "e", "f", "h", "i", "j"].map(|n| format!("{n}_node"));
    assert_eq!(names, wanted);
    let calibration = Calibration::default();
    let error = crate::quantize(&build.model, &calibration, &Options::default()).unwrap_err();
    assert_eq!(error.code(), "model-unsupported");
    assert!(
        error
            .to_string()
            .starts_with("9 nodes are not supported: LeakyRelu \"a_node\": ")
    );
}

#[test]
fn inputs_must_be_static_floats_of_one_sample() {
    let input = |dims: Option<Vec<Dim>>, ty: ValueType| {
        let mut build = Build::new(&[1, 2, 4, 4]);
        build.conv("x", "y", &[1, 2, 1, 1], 0).output("y");
        build.model.graph.inputs[0].dims = dims;
        build.model.graph.inputs[0].ty = ty;
        refused(&build).remove(0).1
    };
    let fixed = |dims: &[usize]| Some(dims.iter().map(|&d| Dim::Static(d)).collect());
    assert!(input(None, ValueType::Float).contains("not declared"));
    assert!(input(fixed(&[2, 2, 4, 4]), ValueType::Float).contains("batch"));
    assert!(input(fixed(&[1, 2, 0, 4]), ValueType::Float).contains("shape"));
    assert!(input(fixed(&[1, 2, usize::MAX, 4]), ValueType::Float).contains("shape"));
    assert!(input(fixed(&[1, 2, 4, 4]), ValueType::Double).contains("float32"));
    let mut dims: Vec<Dim> = fixed(&[1, 2, 4, 4]).unwrap();
    dims[2] = Dim::Symbolic("height".into());
    assert!(input(Some(dims), ValueType::Float).contains("\"height\""));
}

fn set(build: &mut Build, name: &str, value: Attribute) {
    build.model.graph.nodes[0]
        .attributes
        .insert(name.to_owned(), value);
}

#[test]
fn hostile_weights_and_attributes_are_refused() {
    let conv = |change: fn(&mut Build)| {
        let mut build = Build::new(&[1, 2, 4, 4]);
        build.conv("x", "y", &[2, 2, 3, 3], 0).output("y");
        change(&mut build);
        refused(&build).remove(0).1
    };
    let nan = conv(|b| _ = b.floats("y.b", &[2], vec![f32::NAN, 0.0]));
    assert!(nan.contains("NaN"), "{nan}");
    conv(|b| set(b, "pads", list(&[-1, 0, 0, 0])));
    conv(|b| set(b, "pads", list(&[i64::MAX; 4])));
    conv(|b| set(b, "strides", list(&[0, 1])));
    conv(|b| set(b, "strides", list(&[1])));
    conv(|b| set(b, "dilations", list(&[1 << 40, 1])));
    conv(|b| set(b, "group", Attribute::Int(0)));
    conv(|b| set(b, "group", Attribute::Int(-7)));
    conv(|b| set(b, "group", Attribute::Float(1.0)));
    conv(|b| set(b, "auto_pad", Attribute::String("SAME".into())));
    conv(|b| set(b, "kernel_shape", list(&[2, 2])));
    conv(|b| _ = b.weight("y.w", &[2, 3, 3, 3]));
    conv(|b| _ = b.weight("y.w", &[2, 2, 9, 9]));
    conv(|b| _ = b.weight("y.b", &[3]));
    conv(|b| _ = b.ints("y.w", &[1, 2]));

    let reshape = |dims: &[i64]| {
        let mut build = Build::new(&[1, 2, 4, 4]);
        build.conv("x", "c", &[2, 2, 1, 1], 0).ints("dims", dims);
        build.node("Reshape", &["c", "dims"], "y", &[]).output("y");
        refused(&build)
    };
    for dims in [
        &[1, 31][..],
        &[-1, -1],
        &[0, 0, 0, 0, 0],
        &[-2, 1],
        &[7, -1],
        &[i64::MAX, i64::MAX, 2],
    ] {
        assert_eq!(reshape(dims).len(), 1, "{dims:?}");
    }
    let mut build = Build::new(&[1, 2]);
    build
        .model
        .graph
        .outputs
        .push(ValueInfo::fixed("x", ValueType::Float, &[1, 2]));
    assert_eq!(refused(&build)[0].0, "x");
    build.model.graph.outputs.clear();
    assert!(refused(&build)[0].1.contains("no output"));
}

#[test]
fn samples_that_do_not_fit_are_refused() {
    let mut build = Build::new(&[1, 3]);
    build.gemm("x", "y", [2, 3]).output("y");
    build.floats("y.w", &[2, 3], vec![3.0; 6]);
    let model = build.model.clone();
    let quantize = |samples: Vec<(&str, Vec<Vec<f32>>)>| {
        let inputs = samples
            .into_iter()
            .map(|(name, s)| (name.to_owned(), s))
            .collect();
        let made = crate::quantize(&model, &Calibration { inputs }, &Options::default());
        made.map_err(|error| error.code())
    };
    let good = vec![1.0, 2.0, 3.0];
    for bad in [
        vec![],
        vec![("x", vec![])],
        vec![("x", vec![vec![1.0]])],
        vec![("x", vec![vec![f32::NAN, 0.0, 0.0]])],
        vec![("x", vec![good.clone()]), ("z", vec![good.clone()])],
    ] {
        assert_eq!(quantize(bad).unwrap_err(), "calibration-invalid");
    }
    assert_eq!(
        quantize(vec![("x", vec![vec![f32::MAX; 3]])]).unwrap_err(),
        "calibration-not-finite"
    );
    assert!(quantize(vec![("x", vec![good])]).is_ok());
    // Nothing but zeros still makes a model.
    assert!(quantize(vec![("x", vec![vec![0.0; 3]])]).is_ok());
}

#[test]
fn extreme_weights_make_a_model_or_an_error() {
    for factor in [0.0_f32, 1e-30, 1e-8, 1e8, 1e30] {
        let mut build = Build::new(&[1, 2, 5, 5]);
        build
            .conv("x", "c", &[3, 2, 3, 3], 1)
            .node("Relu", &["c"], "r", &[]);
        build.conv("r", "y", &[2, 3, 3, 3], 0).output("y");
        let weights = build.model.graph.initializers.get_mut("c.w").unwrap();
        if let TensorData::Float(values) = &mut weights.data {
            values.iter_mut().take(9).for_each(|w| *w *= factor);
        }
        let calibration = build.calibration(20);
        let made = crate::quantize(&build.model, &calibration, &Options::default()).unwrap();
        let samples = Samples {
            inputs: calibration.inputs,
            labels: None,
        };
        crate::validate(&build.model, &made, &samples).unwrap();
    }
    // 70,000 inputs of full range can leave int32.
    let mut build = Build::new(&[1, 70_000]);
    build
        .floats("w", &[70_000, 1], vec![1.0; 70_000])
        .node("MatMul", &["x", "w"], "y", &[])
        .output("y");
    let calibration = Calibration {
        inputs: BTreeMap::from([("x".to_owned(), vec![vec![0.7; 70_000]])]),
    };
    let error = crate::quantize(&build.model, &calibration, &Options::default()).unwrap_err();
    assert_eq!(error.code(), "accumulator-overflow");
}

#[test]
fn small_files_do_not_ask_for_much_memory() {
    let mut build = Build::new(&[1, 5000]);
    build.node("Relu", &["x"], "a", &[]);
    build.node("Relu", &["x"], "b", &[]);
    build.node("Add", &["a", "b"], "y", &[]).output("y");
    let names: Vec<String> = refused(&build).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["y_node", "b_node"]);

    let mut build = Build::new(&[1, 2]);
    let mut last = "x".to_owned();
    for index in 0..2500 {
        let next = format!("r{index}");
        build.node("Relu", &[&last], &next, &[]);
        last = next;
    }
    build.output(&last);
    assert!(refused(&build)[0].1.contains("2500 layers"));
}
