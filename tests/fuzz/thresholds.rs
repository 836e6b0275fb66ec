//! Thresholds on purpose. Whether a requantize is right shows at its steps, which random inputs
//! hardly meet. Here, for layers with random weights and multipliers, inputs are *solved for*
//! whose accumulators are a threshold and the accumulator below it.

use std::collections::BTreeSet;
use std::ops::Range;

use proofmark_onnx::{Attribute, Model};
use proofmark_tensor::requantize::{conv_multiplier, gemm_multiplier, shift_multiplier};
use proofmark_tensor::{ElemType, IntTensor, Requantize};
use proofmark_tests::build::{Builder, random_tensor};
use proofmark_tests::{Checked, Random};

use crate::growing::{byte, zero_point};

/// An output channel: `acc = Σ weight · (x − zero point) + bias`.
struct Channel {
    weights: Vec<i64>,
    bias: i64,
    step: Requantize,
}

/// A part of the input that may be chosen freely of all others, and the channels it feeds.
struct Cell {
    positions: Vec<usize>,
    channels: Range<usize>,
}

struct Layer {
    model: Model,
    elem: ElemType,
    shape: Vec<usize>,
    x_zero_point: i64,
    channels: Vec<Channel>,
    cells: Vec<Cell>,
    /// A second operand that is an input too, under the weights' own zero point.
    right: Option<IntTensor>,
}

/// What a run has met.
#[derive(Debug, Default)]
pub(crate) struct Met {
    pub(crate) layers: usize,
    /// Distinct (layer, channel, threshold) of which both neighbours were met.
    pub(crate) thresholds: usize,
    pub(crate) outputs: usize,
    /// Thresholds for which no input was found.
    pub(crate) unsolved: usize,
}

/// Layers until so many thresholds have been met.
pub(crate) fn until(wanted: usize, seed: u64) -> Met {
    let mut met = Met::default();
    while met.thresholds < wanted {
        let mut random = Random::new(seed + met.layers as u64);
        let layer = layer(&mut random, met.layers);
        met.layers += 1;
        meet(&layer, &mut random, &mut met);
    }
    met
}

fn meet(layer: &Layer, random: &mut Random, met: &mut Met) {
    let checked = Checked::new(&layer.model);
    let (lo, hi) = (
        i64::from(layer.elem.min()) - layer.x_zero_point,
        i64::from(layer.elem.max()) - layer.x_zero_point,
    );
    // What each channel has still to meet.
    let mut wanted: Vec<Vec<i64>> = Vec::new();
    for channel in &layer.channels {
        let end = |of: fn(i64, i64) -> i64| -> i64 {
            channel
                .weights
                .iter()
                .map(|w| of(w * lo, w * hi))
                .sum::<i64>()
                + channel.bias
        };
        let (first, last) = (end(i64::min), end(i64::max));
        let narrow = |v: i64| i32::try_from(v).expect("accumulators fit");
        let accs: BTreeSet<i64> = channel
            .step
            .thresholds(narrow(first), narrow(last))
            .iter()
            .flat_map(|t| [i64::from(t.acc), i64::from(t.acc) - 1])
            .collect();
        wanted.push(accs.into_iter().collect());
    }
    let mut reached: Vec<BTreeSet<i64>> = vec![BTreeSet::new(); layer.channels.len()];
    while wanted.iter().any(|accs| !accs.is_empty()) {
        let mut data = random_tensor(random, layer.elem, &layer.shape)
            .data()
            .to_vec();
        let mut here = Vec::new();
        for cell in &layer.cells {
            let Some(at) = cell
                .channels
                .clone()
                .filter(|&c| !wanted[c].is_empty())
                .max_by_key(|&c| wanted[c].len())
            else {
                continue;
            };
            let acc = wanted[at].pop().expect("not empty");
            let channel = &layer.channels[at];
            match solve(&channel.weights, (lo, hi), acc - channel.bias, random) {
                None => met.unsolved += 1,
                Some(x) => {
                    for (&position, &value) in cell.positions.iter().zip(&x) {
                        data[position] = (value + layer.x_zero_point) as i32;
                    }
                    here.push((at, acc));
                }
            }
        }
        let x = IntTensor::new(layer.elem, layer.shape.clone(), data).expect("in range");
        let inputs: Vec<IntTensor> = [x].into_iter().chain(layer.right.clone()).collect();
        met.outputs += checked.check(&inputs);
        for (channel, acc) in here {
            reached[channel].insert(acc);
        }
    }
    for (channel, accs) in layer.channels.iter().zip(&reached) {
        met.thresholds += accs
            .iter()
            .filter(|&&acc| {
                let y = |acc: i64| i32::try_from(acc).map(|a| channel.step.apply(a));
                accs.contains(&(acc - 1)) && y(acc) != y(acc - 1)
            })
            .count();
    }
}

/// Offsets in `lo ..= hi` with `Σ weight · offset = target`, if they are found.
fn solve(
    weights: &[i64],
    (lo, hi): (i64, i64),
    target: i64,
    random: &mut Random,
) -> Option<Vec<i64>> {
    let mut order: Vec<usize> = (0..weights.len()).filter(|&i| weights[i] != 0).collect();
    order.sort_by_key(|&i| -weights[i].abs());
    for _ in 0..8 {
        let mut x: Vec<i64> = weights.iter().map(|_| random.between(lo, hi)).collect();
        let mut rest = target - weights.iter().zip(&x).map(|(w, x)| w * x).sum::<i64>();
        // Large weights first, each as far as it goes towards the target.
        for _ in 0..3 {
            for &i in &order {
                let wanted = (rest as f64 / weights[i] as f64).round() as i64;
                let by = wanted.clamp(lo - x[i], hi - x[i]);
                x[i] += by;
                rest -= by * weights[i];
            }
        }
        // What is left, by two elements together.
        if rest != 0 && !by_two(weights, &order, (lo, hi), &mut x, rest) {
            continue;
        }
        let sum: i64 = weights.iter().zip(&x).map(|(w, x)| w * x).sum();
        assert_eq!(sum, target);
        return Some(x);
    }
    None
}

fn by_two(
    weights: &[i64],
    order: &[usize],
    (lo, hi): (i64, i64),
    x: &mut [i64],
    rest: i64,
) -> bool {
    for (n, &i) in order.iter().enumerate() {
        for &j in &order[n + 1..] {
            for by in lo - x[i]..=hi - x[i] {
                let left = rest - by * weights[i];
                let other = left / weights[j];
                if left % weights[j] == 0 && (lo..=hi).contains(&(x[j] + other)) {
                    x[i] += by;
                    x[j] += other;
                    return true;
                }
            }
        }
    }
    false
}

/// A multiplier that spreads the accumulators over the output, as somebody's exporter would write
/// it, or a canonical shift, or a power of two with its ties.
fn multiplier(random: &mut Random, reach: i64) -> f32 {
    let fit = 64 - i64::from((reach.max(1) as u64).leading_zeros());
    match random.between(0, 7) {
        0 => shift_multiplier((fit - 8).clamp(1, 15) as u32).expect("a shift"),
        1 => f32::from_bits(((127 + 8 - fit) as u32) << 23),
        _ => random.float(7 - fit, 9 - fit),
    }
}

/// Independent cells a layer.
const CELLS: usize = 48;

fn layer(random: &mut Random, number: usize) -> Layer {
    let elem = byte(random);
    let depth = random.size(4, 20);
    let zx = zero_point(random, elem);
    let mut shape = DenseShape {
        elem,
        depth,
        columns: random.size(2, 5),
        groups: 1,
        zx,
    };
    match number % 5 {
        0 => gemm(random, &shape),
        1 => mat_mul(random, &shape, false),
        2 => mat_mul(random, &shape, true),
        3 => conv(random, &shape),
        _ => {
            (shape.groups, shape.depth) = (random.size(2, 4), random.size(3, 7));
            conv(random, &shape)
        }
    }
}

struct DenseShape {
    elem: ElemType,
    depth: usize,
    /// Columns a group.
    columns: usize,
    groups: usize,
    zx: i32,
}

/// Weights `[channels][depth]`, one zero point, and the channels' accumulators without steps.
struct Drawn {
    raw: IntTensor,
    zero: i32,
    centred: Vec<Vec<i64>>,
    bias: Vec<i32>,
    reach: Vec<i64>,
}

fn draw(random: &mut Random, shape: &DenseShape) -> Drawn {
    let channels = shape.columns * shape.groups;
    let elem = shape.elem;
    let zero = zero_point(random, elem);
    let raw = random_tensor(random, elem, &[channels, shape.depth]);
    let centred: Vec<Vec<i64>> = raw
        .data()
        .chunks(shape.depth)
        .map(|row| {
            row.iter()
                .map(|&v| i64::from(v) - i64::from(zero))
                .collect()
        })
        .collect();
    let mut bias = Vec::new();
    let mut reach = Vec::new();
    for row in &centred {
        let most: i64 = row.iter().map(|w| w.abs() * 255).sum();
        reach.push(most);
        bias.push(random.between(-most, most) as i32);
    }
    Drawn {
        raw,
        zero,
        centred,
        bias,
        reach,
    }
}

struct Scales {
    x: f32,
    w: Vec<f32>,
    y: f32,
    zero: i32,
}

fn scales(random: &mut Random, elem: ElemType, reach: &[i64]) -> Scales {
    let multipliers: Vec<f32> = reach.iter().map(|&r| multiplier(random, r)).collect();
    let (x, y) = if random.one_in(2) {
        (1.0, 1.0)
    } else {
        (random.float(-9, -3), random.float(-9, -3))
    };
    let zero = if random.one_in(3) {
        elem.min()
    } else {
        zero_point(random, elem)
    };
    let w = multipliers.iter().map(|m| m * y / x).collect();
    Scales { x, w, y, zero }
}

fn channels(drawn: &Drawn, multipliers: &[f32], zero: i32, elem: ElemType) -> Vec<Channel> {
    drawn
        .centred
        .iter()
        .zip(&drawn.bias)
        .zip(multipliers)
        .map(|((weights, &bias), &m)| Channel {
            weights: weights.clone(),
            bias: bias.into(),
            step: Requantize::new(m, zero, elem).expect("a step function"),
        })
        .collect()
}

fn rows(depth: usize, channels: usize) -> Vec<Cell> {
    (0..CELLS)
        .map(|row| Cell {
            positions: (row * depth..(row + 1) * depth).collect(),
            channels: 0..channels,
        })
        .collect()
}

fn gemm(random: &mut Random, shape: &DenseShape) -> Layer {
    let (elem, depth) = (shape.elem, shape.depth);
    let drawn = draw(random, shape);
    let scales = scales(random, elem, &drawn.reach);
    let count = drawn.bias.len();
    let alpha = if random.one_in(2) { 1.0 } else { 1.3 };
    let multipliers: Vec<f32> = scales
        .w
        .iter()
        .map(|&w| gemm_multiplier(alpha, scales.x, w, scales.y))
        .collect();
    let mut b = Builder::new();
    let x = b.input(elem, &[CELLS, depth]);
    let w = b.constant(drawn.raw.clone().into());
    let c = b.ints(ElemType::Int32, &[count], drawn.bias.clone());
    let [sx, sy] = [scales.x, scales.y].map(|s| b.floats(&[s]));
    let sw = b.floats(&scales.w);
    let [zx, zy] = [shape.zx, scales.zero].map(|z| b.int(elem, z));
    let zw = b.ints(elem, &[count], vec![drawn.zero; count]);
    let y = b.node(
        "com.microsoft",
        "QGemm",
        &[&x, &sx, &zx, &w, &sw, &zw, &c, &sy, &zy],
        &[
            ("transB", Attribute::Int(1)),
            ("alpha", Attribute::Float(alpha)),
        ],
    );
    b.output(&y, elem, &[CELLS, count]);
    Layer {
        model: b.finish(),
        elem,
        shape: vec![CELLS, depth],
        x_zero_point: shape.zx.into(),
        channels: channels(&drawn, &multipliers, scales.zero, elem),
        cells: rows(depth, count),
        right: None,
    }
}

/// `QLinearMatMul`, which has no bias; the right side constant, or an input too.
fn mat_mul(random: &mut Random, shape: &DenseShape, computed: bool) -> Layer {
    let (elem, depth) = (shape.elem, shape.depth);
    let mut drawn = draw(random, shape);
    drawn.bias.fill(0);
    let scales = scales(random, elem, &drawn.reach);
    let count = drawn.bias.len();
    let multipliers: Vec<f32> = scales
        .w
        .iter()
        .map(|&w| conv_multiplier(scales.x, w, scales.y))
        .collect();
    let transposed: Vec<i32> = (0..depth)
        .flat_map(|d| (0..count).map(move |c| (c, d)))
        .map(|(c, d)| drawn.raw.data()[c * depth + d])
        .collect();
    let mut b = Builder::new();
    let x = b.input(elem, &[CELLS, depth]);
    let right = IntTensor::new(elem, vec![depth, count], transposed).expect("as many");
    let w = if computed {
        b.input(elem, &[depth, count])
    } else {
        b.constant(right.clone().into())
    };
    let [sx, sy] = [scales.x, scales.y].map(|s| b.floats(&[s]));
    let sw = b.floats(&scales.w);
    let [zx, zy] = [shape.zx, scales.zero].map(|z| b.int(elem, z));
    let zw = b.ints(elem, &[count], vec![drawn.zero; count]);
    let y = b.node(
        "",
        "QLinearMatMul",
        &[&x, &sx, &zx, &w, &sw, &zw, &sy, &zy],
        &[],
    );
    b.output(&y, elem, &[CELLS, count]);
    Layer {
        model: b.finish(),
        elem,
        shape: vec![CELLS, depth],
        x_zero_point: shape.zx.into(),
        channels: channels(&drawn, &multipliers, scales.zero, elem),
        cells: rows(depth, count),
        right: computed.then_some(right),
    }
}

/// A convolution whose windows do not overlap: one or two channels in, a kernel as wide as its
/// stride.
fn conv(random: &mut Random, shape: &DenseShape) -> Layer {
    let elem = shape.elem;
    let per_group = if shape.depth.is_multiple_of(2) { 2 } else { 1 };
    let kernel = shape.depth / per_group;
    let drawn = draw(random, shape);
    let scales = scales(random, elem, &drawn.reach);
    let count = drawn.bias.len();
    let multipliers: Vec<f32> = scales
        .w
        .iter()
        .map(|&w| conv_multiplier(scales.x, w, scales.y))
        .collect();
    let windows = CELLS / shape.groups;
    let (width, inputs) = (windows * kernel, per_group * shape.groups);
    let weights = IntTensor::new(
        elem,
        vec![count, per_group, 1, kernel],
        drawn.raw.data().to_vec(),
    );
    let mut b = Builder::new();
    let x = b.input(elem, &[1, inputs, 1, width]);
    let w = b.constant(weights.expect("as many").into());
    let c = b.ints(ElemType::Int32, &[count], drawn.bias.clone());
    let [sx, sy] = [scales.x, scales.y].map(|s| b.floats(&[s]));
    let sw = b.floats(&scales.w);
    let [zx, zw, zy] = [shape.zx, drawn.zero, scales.zero].map(|z| b.int(elem, z));
    let y = b.node(
        "",
        "QLinearConv",
        &[&x, &sx, &zx, &w, &sw, &zw, &sy, &zy, &c],
        &[
            ("group", Attribute::Int(shape.groups as i64)),
            ("strides", Attribute::Ints(vec![1, kernel as i64])),
        ],
    );
    b.output(&y, elem, &[1, count, 1, windows]);
    let cells = (0..shape.groups)
        .flat_map(|group| (0..windows).map(move |window| (group, window)))
        .map(|(group, window)| Cell {
            positions: (0..per_group)
                .flat_map(|c| (0..kernel).map(move |k| (c, k)))
                .map(|(c, k)| (group * per_group + c) * width + window * kernel + k)
                .collect(),
            channels: group * shape.columns..(group + 1) * shape.columns,
        })
        .collect();
    Layer {
        model: b.finish(),
        elem,
        shape: vec![1, inputs, 1, width],
        x_zero_point: shape.zx.into(),
        channels: channels(&drawn, &multipliers, scales.zero, elem),
        cells,
        right: None,
    }
}
