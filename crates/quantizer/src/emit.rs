//! Writes the integer model: quantizes layer by layer, in order.

use std::collections::{BTreeMap, BTreeSet};

use proofmark_onnx::{
    Attribute, Graph, Model, Node, Tensor, TensorData, ValueInfo, ValueType, encode,
};
use proofmark_tensor::requantize::shift_multiplier;
use proofmark_types::manifest::{InputQuantizer, InputSpec, OutputSpec, View, Visibility};
use proofmark_types::{ElemType, IntTensor};

use crate::error::QuantizeError;
use crate::net::{Head, Layer, Net, Op};
use crate::num::{f32_of, i64_of_dim};
use crate::observe::Stats;
use crate::scheme::{Linear, Quant, Quantized, input_parameters};
use crate::{Calibration, Options};

/// Version of ONNX's own operators in every model that is written.
pub(crate) const OPSET: i64 = 17;
/// Version of the file format that goes with it.
pub(crate) const IR_VERSION: i64 = 8;
/// The domain of `QGemm`.
pub(crate) const MICROSOFT: &str = "com.microsoft";
/// Weights are stored with this offset, so that products are of two uint8.
const WEIGHT_OFFSET: i32 = 128;

/// A graph of the dialect in the making.
pub(crate) struct Writer {
    pub(crate) graph: Graph,
    taken: BTreeSet<String>,
}

impl Writer {
    /// A writer that keeps the given value names free for values.
    pub(crate) fn new<'a>(reserved: impl Iterator<Item = &'a String>) -> Self {
        Self {
            graph: Graph {
                name: "integer".to_owned(),
                ..Graph::default()
            },
            taken: reserved.cloned().collect(),
        }
    }

    /// A name that is not taken yet.
    pub(crate) fn fresh(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut number = 2_usize;
        while !self.taken.insert(name.clone()) {
            name = format!("{wanted}_{number}");
            number += 1;
        }
        name
    }

    /// Stores a constant under a free name.
    pub(crate) fn constant(&mut self, wanted: &str, tensor: Tensor) -> String {
        let name = self.fresh(wanted);
        self.graph.initializers.insert(name.clone(), tensor);
        name
    }

    /// A constant that is stored once: the same name always holds the same tensor.
    pub(crate) fn shared(&mut self, name: &str, tensor: Tensor) -> String {
        if self.graph.initializers.get(name) == Some(&tensor) {
            return name.to_owned();
        }
        self.constant(name, tensor)
    }

    /// The scale 1.
    pub(crate) fn one(&mut self) -> String {
        let tensor = Tensor {
            shape: Vec::new(),
            data: TensorData::Float(vec![1.0]),
        };
        self.shared("scale_1", tensor)
    }

    /// A scalar zero point.
    pub(crate) fn zero_point(
        &mut self,
        elem: ElemType,
        value: i32,
    ) -> Result<String, QuantizeError> {
        let tensor = ints(elem, Vec::new(), vec![value])?;
        Ok(self.shared(&format!("zero_point_{elem}_{value}"), tensor))
    }

    /// The same zero point once a channel.
    pub(crate) fn zero_points(
        &mut self,
        elem: ElemType,
        value: i32,
        channels: usize,
    ) -> Result<String, QuantizeError> {
        let tensor = ints(elem, vec![channels], vec![value; channels])?;
        Ok(self.shared(&format!("zero_point_{elem}_{value}_x{channels}"), tensor))
    }

    /// Adds a node.
    pub(crate) fn node(&mut self, mut node: Node, inputs: Vec<String>, output: &str) {
        node.inputs = inputs;
        node.outputs = vec![output.to_owned()];
        self.graph.nodes.push(node);
    }

    /// Adds a `Reshape` to a fixed shape.
    pub(crate) fn reshape(&mut self, name: &str, input: &str, output: &str, shape: &[usize]) {
        let tensor = Tensor {
            shape: vec![shape.len()],
            data: TensorData::Int64(shape.iter().map(|&dim| i64_of_dim(dim)).collect()),
        };
        let dims = self.constant(&format!("{name}.shape"), tensor);
        let node = Node::new(name, "Reshape", &[], &[]);
        self.node(node, vec![input.to_owned(), dims], output);
    }

    /// Drops nodes that no output needs, and constants that no node reads.
    pub(crate) fn drop_dead(&mut self) {
        let graph = &mut self.graph;
        let outputs = graph.outputs.iter().map(|info| info.name.clone());
        let mut needed: BTreeSet<String> = outputs.collect();
        for node in graph.nodes.iter().rev() {
            if node.outputs.iter().any(|output| needed.contains(output)) {
                needed.extend(node.inputs.iter().cloned());
            }
        }
        let reaches = |node: &Node| node.outputs.iter().any(|output| needed.contains(output));
        graph.nodes.retain(reaches);
        graph.initializers.retain(|name, _| needed.contains(name));
    }

    /// The model.
    pub(crate) fn finish(self) -> Model {
        let mut opsets = BTreeMap::from([(String::new(), OPSET)]);
        if self.graph.nodes.iter().any(|node| node.domain == MICROSOFT) {
            opsets.insert(MICROSOFT.to_owned(), 1);
        }
        Model {
            ir_version: IR_VERSION,
            producer_name: "proofmark".to_owned(),
            producer_version: "1".to_owned(),
            opsets,
            graph: self.graph,
            metadata: BTreeMap::new(),
        }
    }
}

/// An integer constant.
pub(crate) fn ints(
    elem: ElemType,
    shape: Vec<usize>,
    data: Vec<i32>,
) -> Result<Tensor, QuantizeError> {
    IntTensor::new(elem, shape, data)
        .map(Tensor::from)
        .map_err(|error| QuantizeError::Internal {
            reason: error.to_string(),
        })
}

/// Quantizes a normalised network.
pub(crate) fn emit(
    net: &Net,
    stats: &BTreeMap<String, Stats>,
    calibration: &Calibration,
    options: &Options,
) -> Result<crate::Quantized, QuantizeError> {
    let mut emitter = Emitter {
        net,
        stats,
        writer: Writer::new(net.shapes.keys().chain(net.layers.iter().map(|l| &l.name))),
        quants: BTreeMap::new(),
        notes: Vec::new(),
    };
    let mut inputs = Vec::with_capacity(net.inputs.len());
    for name in &net.inputs {
        inputs.push(emitter.input(name, calibration));
    }
    for layer in &net.layers {
        emitter.layer(layer)?;
    }
    let mut outputs = Vec::with_capacity(net.outputs.len());
    for (name, head) in &net.outputs {
        outputs.push(emitter.output(name, head, options)?);
    }
    let labels = options.labels.len();
    let labelled = |spec: &OutputSpec| spec.views.iter().any(|v| matches!(v, View::ArgMax { .. }));
    if labels > 0 && !outputs.iter().any(labelled) {
        return Err(QuantizeError::Labels { labels });
    }
    Ok(crate::Quantized {
        model: encode(&emitter.writer.finish()),
        inputs,
        outputs,
        notes: emitter.notes,
        reference: None,
        inexact: Vec::new(),
    })
}

/// The views of an output with `scale · (q − zero_point)` as its real value.
pub(crate) fn views(
    shape: &[usize],
    (scale, zero_point): (f64, i32),
    head: &Head,
    labels: &[String],
) -> Vec<View> {
    let mut views = vec![View::Dequantize {
        scale: f32_of(scale),
        zero_point,
    }];
    let last = shape.last().copied().unwrap_or_default();
    if !labels.is_empty() && last == labels.len() {
        views.push(View::ArgMax {
            labels: labels.to_vec(),
        });
    } else if labels.is_empty() && (head.arg_max || head.softmax.is_some()) {
        views.push(View::ArgMax {
            labels: (0..last).map(|index| index.to_string()).collect(),
        });
    }
    if let Some(axis) = head.softmax {
        views.push(View::Softmax { axis });
    }
    views
}

struct Emitter<'a> {
    net: &'a Net,
    stats: &'a BTreeMap<String, Stats>,
    writer: Writer,
    quants: BTreeMap<String, Quant>,
    notes: Vec<String>,
}

impl Emitter<'_> {
    fn internal(layer: &Layer, reason: &str) -> QuantizeError {
        QuantizeError::Internal {
            reason: format!("layer {:?}: {reason}", layer.name),
        }
    }

    fn input(&mut self, name: &str, calibration: &Calibration) -> InputSpec {
        let shape = self.net.shape(name).to_vec();
        let samples = calibration.inputs.get(name).map_or(&[][..], Vec::as_slice);
        let whole = input_parameters(&samples.iter().flatten().copied());
        let dense = |&reader: &usize| matches!(self.net.layers[reader].op, Op::Dense(_));
        // Features of different units get a scale each, which the first weights take in.
        let by_feature =
            shape.len() == 2 && !whole.lossless && self.net.readers(name).iter().all(dense);
        let features = shape.get(1).copied().unwrap_or_default();
        let parameters: Vec<_> = if by_feature {
            let values = |f: usize| samples.iter().filter_map(move |s| s.get(f).copied());
            (0..features)
                .map(|f| input_parameters(&values(f)))
                .collect()
        } else {
            vec![whole]
        };
        let quantizer = InputQuantizer {
            scale: parameters.iter().map(|p| p.scale).collect(),
            zero_point: parameters.iter().map(|p| p.zero).collect(),
            axis: by_feature.then_some(1),
        };
        let coarse: Vec<usize> = (0..parameters.len())
            .filter(|&index| !parameters[index].lossless && parameters[index].used < 0.1)
            .collect();
        if let Some(first) = coarse.first() {
            self.notes.push(format!(
                "input {name:?}: {} of {} scales are coarse (the first at index {first}), because \
                 the values lie far from 0 for how little they vary; subtract their mean before \
                 the model",
                coarse.len(),
                parameters.len()
            ));
        }
        let quant = Quant {
            scale: quantizer.scale.iter().map(|&s| f64::from(s)).collect(),
            zero: quantizer.zero_point.clone(),
        };
        self.quants.insert(name.to_owned(), quant);
        let ty = ValueType::Int(ElemType::Uint8);
        self.writer
            .graph
            .inputs
            .push(ValueInfo::fixed(name, ty, &shape));
        InputSpec {
            name: name.to_owned(),
            elem: ElemType::Uint8,
            shape,
            visibility: Visibility::Public,
            quantizer: Some(quantizer),
        }
    }

    fn output(
        &mut self,
        name: &str,
        head: &Head,
        options: &Options,
    ) -> Result<OutputSpec, QuantizeError> {
        let shape = self.net.shape(name).to_vec();
        let quant = self.quants.get(name).and_then(Quant::single);
        let quant = quant.ok_or_else(|| QuantizeError::Internal {
            reason: format!("output {name:?} has several scales"),
        })?;
        let elem = if self.is_logits(name) {
            ElemType::Int32
        } else {
            ElemType::Uint8
        };
        let info = ValueInfo::fixed(name, ValueType::Int(elem), &shape);
        self.writer.graph.outputs.push(info);
        Ok(OutputSpec {
            name: name.to_owned(),
            elem,
            views: views(&shape, quant, head, &options.labels),
            shape,
            visibility: Visibility::Public,
        })
    }

    /// Whether a value is served as int32: made by a matrix product without Relu, and only served.
    fn is_logits(&self, name: &str) -> bool {
        let made = self
            .net
            .producer(name)
            .map(|index| &self.net.layers[index].op);
        self.net.is_output(name)
            && self.net.readers(name).is_empty()
            && matches!(made, Some(Op::Dense(dense)) if !dense.relu)
    }

    fn layer(&mut self, layer: &Layer) -> Result<(), QuantizeError> {
        let input = layer
            .inputs
            .first()
            .ok_or_else(|| Self::internal(layer, "it has no input"))?;
        let quant = |name: &String| {
            let known = self.quants.get(name).cloned();
            known.ok_or_else(|| Self::internal(layer, "its input has no scale"))
        };
        let x = quant(input)?;
        let shape = self.net.shape(&layer.output).to_vec();
        let inputs = layer.inputs.clone();
        let y = match &layer.op {
            Op::Conv(_) | Op::Dense(_) => self.linear(layer, input, &x)?,
            Op::MaxPool(window) => {
                let node = window.attributes(Node::new(layer.name.clone(), "MaxPool", &[], &[]));
                self.writer.node(node, inputs, &layer.output);
                x
            }
            Op::Reshape(to) => {
                let y = relabelled(&x, self.net.shape(input), to).ok_or_else(|| {
                    Self::internal(layer, "it mixes channels of different scales")
                })?;
                self.writer.reshape(&layer.name, input, &layer.output, to);
                y
            }
            Op::Transpose(perm) => {
                if x.single().is_none() && perm.get(1) != Some(&1) {
                    return Err(Self::internal(
                        layer,
                        "it moves channels of different scales",
                    ));
                }
                let perm = perm.iter().map(|&axis| i64_of_dim(axis)).collect();
                let node = Node::new(layer.name.clone(), "Transpose", &[], &[])
                    .with("perm", Attribute::Ints(perm));
                self.writer.node(node, inputs, &layer.output);
                x
            }
            Op::Concat => {
                let mut all = Quant {
                    scale: Vec::new(),
                    zero: Vec::new(),
                };
                for name in &layer.inputs {
                    let part = quant(name)?;
                    for channel in 0..self.net.shape(name).get(1).copied().unwrap_or(1) {
                        let (scale, zero) = part.at(channel);
                        all.scale.push(scale);
                        all.zero.push(zero);
                    }
                }
                let node = Node::new(layer.name.clone(), "Concat", &[], &[])
                    .with("axis", Attribute::Int(1));
                self.writer.node(node, inputs, &layer.output);
                all
            }
            Op::Affine(_) | Op::Relu | Op::AveragePool(_) | Op::Add => {
                return Err(Self::internal(layer, "it was not rewritten"));
            }
        };
        debug_assert!(y.scale.len() == 1 || Some(&y.scale.len()) == shape.get(1));
        self.quants.insert(layer.output.clone(), y);
        Ok(())
    }

    fn linear(&mut self, layer: &Layer, input: &str, x: &Quant) -> Result<Quant, QuantizeError> {
        let stats = |name: &str| {
            let known = self.stats.get(name);
            known.ok_or_else(|| Self::internal(layer, "a tensor was not observed"))
        };
        let (input_stats, output_stats) = (stats(input)?, stats(&layer.output)?);
        let (linear, shape) = match &layer.op {
            Op::Conv(conv) => (
                Linear {
                    weight: &conv.weight,
                    bias: &conv.bias,
                    taps: conv.window.kernel[0] * conv.window.kernel[1],
                    outputs_per_group: conv.outputs / conv.group,
                    padded: conv.window.padded(),
                    relu: conv.relu,
                    input: x,
                    input_stats,
                },
                vec![
                    conv.outputs,
                    conv.inputs / conv.group,
                    conv.window.kernel[0],
                    conv.window.kernel[1],
                ],
            ),
            Op::Dense(dense) => (
                Linear {
                    weight: &dense.weight,
                    bias: &dense.bias,
                    taps: 1,
                    outputs_per_group: dense.outputs,
                    padded: false,
                    relu: dense.relu,
                    input: x,
                    input_stats,
                },
                vec![dense.outputs, dense.inputs],
            ),
            _ => return Err(Self::internal(layer, "it is not linear")),
        };
        if self.is_logits(&layer.output) {
            let made = linear.to_int32(&layer.name)?;
            return self.logits(layer, input, made, &shape);
        }
        let made = linear.to_uint8(&layer.name, output_stats)?;
        let channels = made.bias.len();
        let multipliers: Option<Vec<f32>> = made
            .shifts
            .iter()
            .map(|&shift| shift_multiplier(shift))
            .collect();
        let multipliers =
            multipliers.ok_or_else(|| Self::internal(layer, "a shift is outside 1 … 15"))?;
        let name = &layer.name;
        let writer = &mut self.writer;
        let one = writer.one();
        let x_zero = writer.zero_point(ElemType::Uint8, made.input_zero)?;
        let y_zero = writer.zero_point(ElemType::Uint8, 0)?;
        let offset = made.weight.iter().map(|w| w + WEIGHT_OFFSET).collect();
        let weight = ints(ElemType::Uint8, shape, offset)?;
        let weight = writer.constant(&format!("{name}.weight"), weight);
        let multiplier = Tensor {
            shape: vec![channels],
            data: TensorData::Float(multipliers),
        };
        let multiplier = writer.constant(&format!("{name}.multiplier"), multiplier);
        let w_zero = writer.zero_points(ElemType::Uint8, WEIGHT_OFFSET, channels)?;
        let bias = ints(ElemType::Int32, vec![channels], made.bias)?;
        let bias = writer.constant(&format!("{name}.bias"), bias);
        let (x, one_y) = (input.to_owned(), one.clone());
        let (node, inputs) = if let Op::Conv(conv) = &layer.op {
            let node = conv
                .window
                .attributes(Node::new(name.clone(), "QLinearConv", &[], &[]))
                .with("group", Attribute::Int(i64_of_dim(conv.group)));
            let inputs = vec![
                x, one, x_zero, weight, multiplier, w_zero, one_y, y_zero, bias,
            ];
            (node, inputs)
        } else {
            let mut node =
                Node::new(name.clone(), "QGemm", &[], &[]).with("transB", Attribute::Int(1));
            MICROSOFT.clone_into(&mut node.domain);
            let inputs = vec![
                x, one, x_zero, weight, multiplier, w_zero, bias, one_y, y_zero,
            ];
            (node, inputs)
        };
        writer.node(node, inputs, &layer.output);
        Ok(made.output)
    }

    /// `MatMulInteger` and `Add`: accumulators as they are.
    fn logits(
        &mut self,
        layer: &Layer,
        input: &str,
        made: Quantized,
        shape: &[usize],
    ) -> Result<Quant, QuantizeError> {
        let &[outputs, depth] = shape else {
            return Err(Self::internal(layer, "it is no matrix product"));
        };
        let name = &layer.name;
        let writer = &mut self.writer;
        let at = |d: usize, o: usize| {
            made.weight
                .get(o * depth + d)
                .map_or(0, |w| w + WEIGHT_OFFSET)
        };
        let turned = (0..depth).flat_map(|d| (0..outputs).map(move |o| (d, o)));
        let turned = turned.map(|(d, o)| at(d, o)).collect();
        let weight = ints(ElemType::Uint8, vec![depth, outputs], turned)?;
        let weight = writer.constant(&format!("{name}.weight"), weight);
        let x_zero = writer.zero_point(ElemType::Uint8, made.input_zero)?;
        let w_zero = writer.zero_point(ElemType::Uint8, WEIGHT_OFFSET)?;
        let bias = ints(ElemType::Int32, vec![outputs], made.bias)?;
        let bias = writer.constant(&format!("{name}.bias"), bias);
        let product = writer.fresh(&format!("{name}.product"));
        let sum = writer.fresh(&format!("{name}.add_bias"));
        let node = Node::new(name.clone(), "MatMulInteger", &[], &[]);
        writer.node(
            node,
            vec![input.to_owned(), weight, x_zero, w_zero],
            &product,
        );
        let node = Node::new(sum, "Add", &[], &[]);
        writer.node(node, vec![product, bias], &layer.output);
        Ok(made.output)
    }
}

/// Scales per index of dimension 1 after a reshape; `None` where an index would mix scales.
fn relabelled(x: &Quant, from: &[usize], to: &[usize]) -> Option<Quant> {
    if x.single().is_some() {
        return Some(x.clone());
    }
    let (&[1, _, ref old @ ..], &[1, channels, ref new @ ..]) = (from, to) else {
        return None;
    };
    let (old, new) = (old.iter().product::<usize>(), new.iter().product::<usize>());
    if new == 0 || !old.is_multiple_of(new) {
        return None;
    }
    let (scale, zero) = (0..channels)
        .map(|channel| x.at(channel * new / old))
        .unzip();
    Some(Quant { scale, zero })
}
