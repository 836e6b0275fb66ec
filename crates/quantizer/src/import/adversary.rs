//! Inputs that bring out differences between two models: extremes, random ones, and ones next to
//! the thresholds of requantizes.

use std::collections::BTreeMap;

use proofmark_onnx::{Limits, Model, Node, ValueInfo, ValueType, encode};
use proofmark_runtime::{IntSession, OptLevel};
use proofmark_types::manifest::InputSpec;
use proofmark_types::{ElemType, IntTensor};

use crate::Quantized;
use crate::error::QuantizeError;
use crate::num::f64_of;
use crate::samples::Feed;

/// Inputs with one element unlike the others.
const ONE_HOT: usize = 12;
/// Random inputs.
const RANDOM: usize = 96;
/// Starting points of the search, and steps from each.
const STARTS: usize = 6;
const STEPS: usize = 40;

/// A stream of numbers that is the same in every run: what is drawn here is no secret.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> usize {
        // The 64-bit congruence of Knuth's MMIX; its high bits are good enough to pick inputs.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 40).unwrap_or_default()
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() % bound.max(1)
    }

    /// A value of an 8-bit type; of int32 one that products do not overflow with.
    fn value(&mut self, elem: ElemType) -> i32 {
        let low = if elem == ElemType::Int32 {
            -128
        } else {
            elem.min()
        };
        low + i32::try_from(self.below(256)).unwrap_or_default()
    }
}

fn bounds(elem: ElemType) -> (i32, i32) {
    if elem == ElemType::Int32 {
        (-128, 127)
    } else {
        (elem.min(), elem.max())
    }
}

/// Every input from one rule over its type's bounds, its row-major position and its shape.
fn each(inputs: &[InputSpec], rule: impl Fn((i32, i32), usize, &[usize]) -> i32) -> Option<Feed> {
    let data: Vec<Vec<i32>> = inputs
        .iter()
        .map(|spec| {
            let len = spec.shape.iter().product::<usize>();
            (0..len)
                .map(|at| rule(bounds(spec.elem), at, &spec.shape))
                .collect()
        })
        .collect();
    Feed::of_integers(inputs, &data)
}

/// Constant inputs, checkerboards, stripes, ramps, and single elements unlike all others.
pub(super) fn extremes(inputs: &[InputSpec]) -> Vec<Feed> {
    let board = |at: usize, shape: &[usize]| {
        let mut rest = at;
        let mut sum = 0;
        for &dim in shape.iter().rev() {
            sum += rest % dim.max(1);
            rest /= dim.max(1);
        }
        sum % 2 == 0
    };
    let mut made = vec![
        each(inputs, |(low, _), _, _| low),
        each(inputs, |(_, high), _, _| high),
        each(inputs, |(low, high), _, _| low.midpoint(high)),
        each(
            inputs,
            |(low, high), at, shape| if board(at, shape) { low } else { high },
        ),
        each(
            inputs,
            |(low, high), at, shape| if board(at, shape) { high } else { low },
        ),
        each(
            inputs,
            |(low, high), at, _| if at % 2 == 0 { low } else { high },
        ),
        each(inputs, |(low, _), at, _| {
            low + i32::try_from(at % 256).unwrap_or_default()
        }),
        each(inputs, |(_, high), at, _| {
            high - i32::try_from(at % 256).unwrap_or_default()
        }),
    ];
    let longest = inputs
        .iter()
        .map(|spec| spec.shape.iter().product::<usize>());
    let longest = longest.max().unwrap_or_default();
    for which in 0..ONE_HOT.min(longest) {
        let hot = which * longest / ONE_HOT.min(longest);
        made.push(each(
            inputs,
            |(low, high), at, _| if at == hot { high } else { low },
        ));
        made.push(each(
            inputs,
            |(low, high), at, _| if at == hot { low } else { high },
        ));
    }
    made.into_iter().flatten().collect()
}

/// Random inputs over the whole range of the type, some of them with few values.
pub(super) fn random(inputs: &[InputSpec]) -> Vec<Feed> {
    let mut draw = Draw(0x5eed);
    let made = (0..RANDOM).map(|round| {
        let data: Vec<Vec<i32>> = inputs
            .iter()
            .map(|spec| {
                let len = spec.shape.iter().product::<usize>();
                let (low, high) = bounds(spec.elem);
                (0..len)
                    .map(|_| match round % 4 {
                        // Mostly the ends of the type.
                        0 if draw.below(2) == 0 => low,
                        0 => high,
                        _ => draw.value(spec.elem),
                    })
                    .collect()
            })
            .collect();
        Feed::of_integers(inputs, &data)
    });
    made.flatten().collect()
}

/// The accumulators of one requantize of the integer model.
struct Probe {
    /// The tensor that holds them.
    name: String,
    /// One multiplier, or one a channel.
    multipliers: Vec<f32>,
    /// One a channel, or none.
    bias: Vec<i32>,
    /// Elements between two of one channel: those of a plane, or 1 where the channels are last.
    inner: usize,
}

impl Probe {
    /// How near accumulators are to a threshold, higher is nearer; and how many were looked at.
    fn score(&self, accumulators: &IntTensor) -> f64 {
        let channel = |at: usize, len: usize| if len == 1 { 0 } else { at / self.inner % len };
        let each = accumulators.data().iter().enumerate().map(|(at, &acc)| {
            let m = self.multipliers.get(channel(at, self.multipliers.len()));
            let bias = match self.bias.len() {
                0 => 0,
                len => self.bias.get(channel(at, len)).copied().unwrap_or(0),
            };
            let real = (f64::from(acc) + f64::from(bias)) * f64::from(m.copied().unwrap_or(0.0));
            // Far outside of 8 bits all results are the same.
            if real.abs() > 300.0 {
                return 0.0;
            }
            let from_half = (real - real.floor() - 0.5).abs();
            1.0 / (from_half + 1e-3)
        });
        each.sum::<f64>() / f64_of(accumulators.len().max(1))
    }
}

/// The integer model with the accumulators of its requantizes as outputs. A node whose constants
/// have a form that the runtime's integer products do not take is left out.
fn probed(imported: &Quantized) -> Option<(Model, Vec<Probe>)> {
    let mut model = proofmark_onnx::parse(&imported.model, &Limits::default()).ok()?;
    let mut probes = Vec::new();
    let mut nodes = Vec::new();
    let mut outputs = Vec::new();
    for (index, node) in model.graph.nodes.clone().into_iter().enumerate() {
        let name = format!("\u{1}accumulators.{index}");
        if let Some(probe) = probe(&mut model, &node, &name, &mut nodes) {
            outputs.push(ValueInfo {
                name,
                ty: ValueType::Int(ElemType::Int32),
                dims: None,
            });
            probes.push(probe);
        }
        nodes.push(node);
    }
    model.graph.nodes = nodes;
    model.graph.outputs = outputs;
    (!probes.is_empty()).then_some((model, probes))
}

/// The integer product in front of a requantize.
fn probe(model: &mut Model, node: &Node, name: &str, nodes: &mut Vec<Node>) -> Option<Probe> {
    let conv = node.op_type == "QLinearConv";
    let gemm = node.op_type == "QGemm";
    if !conv && !gemm && node.op_type != "QLinearMatMul" {
        return None;
    }
    let graph = &model.graph;
    let multipliers = graph.initializer(node.input(4)?)?.floats()?.to_vec();
    let weights = graph.initializer(node.input(3)?)?.clone();
    let zeros = graph.initializer(node.input(5)?)?.ints()?;
    let zero = *zeros.data().first()?;
    if zeros.data().iter().any(|&other| other != zero) {
        return None;
    }
    let zero = IntTensor::new(zeros.elem(), Vec::new(), vec![zero]).ok()?;
    let bias = match node.input(if conv { 8 } else { 6 }) {
        Some(bias) if conv || gemm => graph.initializer(bias)?.ints()?.data().to_vec(),
        _ => Vec::new(),
    };
    let mut made = Node::new(format!("{name}.node"), "MatMulInteger", &[], &[]);
    if conv {
        "ConvInteger".clone_into(&mut made.op_type);
        made.attributes.clone_from(&node.attributes);
    }
    let transposed = gemm && node.attr_int("transB").ok()?.unwrap_or(0) != 0;
    let weights = if transposed {
        crate::read::transposed(&weights, &[1, 0])?
    } else {
        weights
    };
    let (w, w_zero) = (format!("{name}.weight"), format!("{name}.zero"));
    made.inputs = vec![
        node.input(0)?.to_owned(),
        w.clone(),
        node.input(2)?.to_owned(),
        w_zero.clone(),
    ];
    made.outputs = vec![name.to_owned()];
    nodes.push(made);
    model.graph.initializers.insert(w, weights);
    model.graph.initializers.insert(w_zero, zero.into());
    Some(Probe {
        name: name.to_owned(),
        multipliers,
        bias,
        // Set from the first result of a convolution.
        inner: usize::from(!conv),
    })
}

/// Inputs found by changing random ones towards thresholds, element by element.
pub(super) fn search(imported: &Quantized) -> Result<Vec<Feed>, QuantizeError> {
    let inputs = &imported.inputs;
    let Some((model, mut probes)) = probed(imported) else {
        return Ok(Vec::new());
    };
    let session = IntSession::load(&encode(&model), OptLevel::DisableAll)?;
    let mut draw = Draw(0x7e57);
    let mut found = Vec::new();
    for _ in 0..STARTS {
        let mut best: Vec<Vec<i32>> = inputs
            .iter()
            .map(|spec| {
                let len = spec.shape.iter().product::<usize>();
                (0..len).map(|_| draw.value(spec.elem)).collect()
            })
            .collect();
        let mut best_score = f64::NEG_INFINITY;
        for _ in 0..STEPS {
            let mut next = best.clone();
            if best_score.is_finite() {
                let which = draw.below(next.len());
                let elem = inputs.get(which).map_or(ElemType::Uint8, |spec| spec.elem);
                if let Some(data) = next.get_mut(which) {
                    for _ in 0..=draw.below(3) {
                        let at = draw.below(data.len());
                        if let Some(slot) = data.get_mut(at) {
                            *slot = draw.value(elem);
                        }
                    }
                }
            }
            let Some(feed) = Feed::of_integers(inputs, &next) else {
                continue;
            };
            let made = session.run(&feed.integers)?;
            let score = total(&mut probes, &made);
            if score > best_score {
                (best, best_score) = (next, score);
                found.push(feed);
            }
        }
    }
    Ok(found)
}

fn total(probes: &mut [Probe], made: &BTreeMap<String, IntTensor>) -> f64 {
    let mut total = 0.0;
    for probe in probes {
        if let Some(accumulators) = made.get(&probe.name) {
            if probe.inner == 0 {
                let planes = accumulators.shape().iter().skip(2);
                probe.inner = planes.product::<usize>().max(1);
            }
            total += probe.score(accumulators);
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphs::Build;
    use crate::{Options, import_quantized};

    #[test]
    fn the_search_comes_nearer_to_thresholds() {
        let mut build = Build::new(&[1, 2, 5, 5]);
        build.floats("s", &[], vec![0.05]);
        build.quantized("z", ElemType::Uint8, &[], vec![100]);
        build.bytes("w", ElemType::Uint8, &[3, 2, 3, 3]);
        build.floats("sy", &[], vec![7.0]);
        build.node("QuantizeLinear", &["x", "s", "z"], "q", &[]);
        let inputs = ["q", "s", "z", "w", "s", "z", "sy", "z"];
        build.node("QLinearConv", &inputs, "c", &[]);
        build
            .node("DequantizeLinear", &["c", "sy", "z"], "y", &[])
            .output("y");
        let made = import_quantized(&build.model, &Options::default()).unwrap();
        let (model, mut probes) = probed(&made).unwrap();
        let session = IntSession::load(&encode(&model), OptLevel::DisableAll).unwrap();
        let mut score = |feeds: &[Feed]| {
            let scores = feeds
                .iter()
                .map(|feed| total(&mut probes, &session.run(&feed.integers).unwrap()));
            scores.fold(0.0, f64::max)
        };
        let (plain, found) = (random(&made.inputs), search(&made).unwrap());
        assert!(found.len() > STARTS, "no step was an improvement");
        assert!(score(&found) > 1.2 * score(&plain));
    }

    #[test]
    fn extremes_reach_both_ends_of_the_type() {
        let spec = |elem, shape: &[usize]| InputSpec {
            name: "x".to_owned(),
            elem,
            shape: shape.to_vec(),
            visibility: proofmark_types::manifest::Visibility::Public,
            quantizer: None,
        };
        for elem in [ElemType::Uint8, ElemType::Int8] {
            let made = extremes(&[spec(elem, &[1, 3, 4])]);
            assert_eq!(made.len(), 8 + 24);
            let data = |at: usize| made[at].integers["x"].data().to_vec();
            assert_eq!(
                (data(0), data(1)),
                (vec![elem.min(); 12], vec![elem.max(); 12])
            );
            assert_eq!(
                data(3)[..5],
                [elem.min(), elem.max(), elem.min(), elem.max(), elem.max()]
            );
        }
        let made = extremes(&[spec(ElemType::Uint8, &[1])]);
        assert_eq!(made.len(), 10);
    }
}
