//! Generators of the multiply-accumulate operators.

use proofmark_onnx::Attribute;
use proofmark_tensor::ElemType;
use proofmark_tensor::requantize::shift_multiplier;
use proofmark_tests::Random;
use proofmark_tests::build::random_tensor;

use crate::growing::{Growing, Value, byte, image_shape, zero_point};
use crate::integers::{broadcast, narrower};

/// Most output elements of one requantizing node.
const OUTPUTS: usize = 96;

/// Multipliers from canonical and sane to hostile.
fn multiplier(random: &mut Random, reach: i64) -> f32 {
    let fit = 64 - i64::from((reach.max(1) as u64).leading_zeros());
    let power = |e: i64| f32::from_bits(((e + 127) as u32) << 23);
    match random.between(0, 11) {
        0 | 1 => shift_multiplier(random.between(1, 15) as u32).expect("a shift"),
        // A power of two, where ties are met, and its neighbours.
        2 => {
            let two = power(random.between(-20, 2)).to_bits();
            f32::from_bits(two + random.between(0, 2) as u32 - 1)
        }
        3 => {
            let denormal = random.between(1, 1 << 23) as u32;
            *random.pick(&[
                f32::from_bits(1),
                f32::from_bits(denormal),
                f32::MIN_POSITIVE,
                power(100),
                f32::MAX,
                1.0,
            ])
        }
        4 => random.float(-126, 100),
        _ => random.float(-fit + 4, -fit + 10),
    }
}

/// `x_scale`, one weight scale or one a channel, and `y_scale`: canonical ones, or three real
/// scales as an exporter writes them.
fn scales(random: &mut Random, channels: usize, reach: i64) -> (f32, Vec<f32>, f32) {
    let count = if random.one_in(2) { channels } else { 1 };
    let multipliers: Vec<f32> = (0..count).map(|_| multiplier(random, reach)).collect();
    if random.one_in(2) {
        return (1.0, multipliers, 1.0);
    }
    let (x, y) = (random.float(-9, -2), random.float(-9, -2));
    let real = multipliers
        .into_iter()
        .map(|m| (f64::from(m) * f64::from(y) / f64::from(x)) as f32)
        // Ends of float32 stay what they are; the runtime's own arithmetic does the rest.
        .map(|w| w.clamp(f32::from_bits(1), power_of_two_100()))
        .collect();
    (x, real, y)
}

fn power_of_two_100() -> f32 {
    f32::from_bits((100 + 127) << 23)
}

/// A bias a channel so that every accumulator of `ranges` fits int32: none, sane, or at an end.
fn bias(random: &mut Random, ranges: &[(i64, i64)]) -> Vec<i32> {
    let hostile = random.one_in(5);
    ranges
        .iter()
        .map(|&(lo, hi)| {
            let least = i64::from(i32::MIN) - lo.min(0);
            let most = i64::from(i32::MAX) - hi.max(0);
            let value = if hostile {
                match random.between(0, 2) {
                    0 => least,
                    1 => most,
                    _ => random.between(least, most),
                }
            } else {
                random.between(lo.min(-1), hi.max(1)).clamp(least, most)
            };
            value as i32
        })
        .collect()
}

/// Range of `Σ (x − zx)·w` where any subset of the terms may be padding.
fn range(weights: &[i64], elem: ElemType, x_zero_point: i32) -> (i64, i64) {
    let ends = [elem.min(), elem.max()].map(|e| i64::from(e) - i64::from(x_zero_point));
    weights.iter().fold((0, 0), |(lo, hi), w| {
        let (a, b) = (w * ends[0], w * ends[1]);
        (lo + a.min(b).min(0), hi + a.max(b).max(0))
    })
}

struct Weights {
    name: String,
    zero_point_name: String,
    /// Range of each channel's products.
    ranges: Vec<(i64, i64)>,
}

/// Constant weights; `of` lists the flat positions of a channel's weights.
fn weights(
    g: &mut Growing,
    (elem, shape): (ElemType, &[usize]),
    channels: usize,
    x_zero_point: i32,
    one_zero_point: bool,
    of: impl Fn(usize) -> Vec<usize>,
) -> Weights {
    let mut tensor = random_tensor(&mut g.random, elem, shape);
    if g.random.one_in(4) {
        // Small ones, as trained layers mostly have.
        let data = tensor
            .data()
            .iter()
            .map(|v| (v % 7).clamp(elem.min(), elem.max()))
            .collect();
        tensor = proofmark_tensor::IntTensor::new(elem, shape.to_vec(), data).expect("in range");
    }
    let count = if one_zero_point { 1 } else { channels };
    let zero_points: Vec<i32> = (0..count)
        .map(|_| zero_point(&mut g.random, elem))
        .collect();
    let ranges = (0..channels)
        .map(|c| {
            let zero = i64::from(zero_points[if one_zero_point { 0 } else { c }]);
            let centred: Vec<i64> = of(c)
                .into_iter()
                .map(|at| i64::from(tensor.data()[at]) - zero)
                .collect();
            range(&centred, elem, x_zero_point)
        })
        .collect();
    let zero_point_name = if one_zero_point {
        g.b.int(elem, zero_points[0])
    } else {
        g.b.ints(elem, &[channels], zero_points)
    };
    Weights {
        name: g.b.constant(tensor.into()),
        zero_point_name,
        ranges,
    }
}

fn reach(ranges: &[(i64, i64)]) -> i64 {
    ranges.iter().map(|(lo, hi)| hi - lo).max().unwrap_or(1)
}

fn ints(list: &[usize]) -> Attribute {
    Attribute::Ints(list.iter().map(|&v| v as i64).collect())
}

struct Conv {
    x: Value,
    x_zero_point: String,
    weights: Weights,
    attributes: Vec<(&'static str, Attribute)>,
    shape: Vec<usize>,
    channels: usize,
}

fn conv(g: &mut Growing, integer: bool) -> Option<Conv> {
    let x = g.pick(
        |v| {
            let image = v.shape.len() == 3 || v.shape.len() == 4;
            image && v.is_8_bit() && v.shape[0] == 1
        },
        |random| (byte(random), image_shape(random)),
    )?;
    let random = &mut g.random;
    let channels_in = x.shape[1];
    let divisors: Vec<usize> = (1..=channels_in)
        .filter(|d| channels_in.is_multiple_of(*d))
        .collect();
    let groups = *random.pick(&divisors);
    let per_group = channels_in / groups;
    let channels = groups * random.size(1, (6 / groups).max(1));
    let spatial = &x.shape[2..];
    let rank = spatial.len();
    let mut window = [const { Vec::new() }; 6];
    let [kernel, strides, dilations, begin, end, out] = &mut window;
    let same = random.one_in(6);
    let upper = random.one_in(2);
    for &size in spatial {
        if same {
            let (k, s) = (random.size(1, 3), random.size(1, 2));
            let total = ((size.div_ceil(s) - 1) * s + k).checked_sub(size)?;
            kernel.push(k);
            strides.push(s);
            dilations.push(1);
            begin.push(if upper { total / 2 } else { total.div_ceil(2) });
            end.push(total - begin.last()?);
            out.push(size.div_ceil(s));
            continue;
        }
        let (b, e) = (random.size(0, 2), random.size(0, 2));
        let padded = size + b + e;
        let k = random.size(1, padded.min(3));
        let most = if k > 1 {
            ((padded - 1) / (k - 1)).min(3)
        } else {
            3
        };
        let (d, s) = (random.size(1, most), random.size(1, 3));
        kernel.push(k);
        strides.push(s);
        dilations.push(d);
        begin.push(b);
        end.push(e);
        out.push((padded - d * (k - 1) - 1) / s + 1);
    }
    let [kernel, strides, dilations, begin, end, out] = window;
    let mut shape = vec![1, channels];
    shape.extend(&out);
    if shape.iter().product::<usize>() > OUTPUTS {
        return None;
    }
    let mut w_shape = vec![channels, per_group];
    w_shape.extend(&kernel);
    let row: usize = w_shape[1..].iter().product();
    let mut attributes = Vec::new();
    let plain = |list: &[usize], v: usize| list.iter().all(|&l| l == v);
    let pads: Vec<usize> = begin.iter().chain(&end).copied().collect();
    // The runtime takes one of auto_pad and pads.
    let valid = !same && plain(&pads, 0) && random.one_in(4);
    for (name, list, default) in [
        ("strides", &strides, 1),
        ("dilations", &dilations, 1),
        ("pads", &pads, 0),
    ] {
        let needed = !plain(list, default) || random.one_in(3);
        if needed && !((valid || same) && name == "pads") {
            attributes.push((name, ints(list)));
        }
    }
    if valid || same {
        let way = match (valid, upper) {
            (true, _) => "VALID",
            (_, true) => "SAME_UPPER",
            _ => "SAME_LOWER",
        };
        attributes.push(("auto_pad", Attribute::String(way.to_owned())));
    }
    if random.one_in(2) {
        attributes.push(("kernel_shape", ints(&kernel)));
    }
    if groups > 1 {
        attributes.push(("group", Attribute::Int(groups as i64)));
    }
    assert_eq!(rank, out.len());
    let zero = zero_point(random, x.elem);
    let one = integer || random.one_in(2);
    let x_zero_point = g.b.int(x.elem, zero);
    let weights = weights(g, (x.elem, &w_shape), channels, zero, one, |c| {
        (c * row..(c + 1) * row).collect()
    });
    Some(Conv {
        x,
        x_zero_point,
        weights,
        attributes,
        shape,
        channels,
    })
}

pub(crate) fn q_linear_conv(g: &mut Growing) -> Option<Value> {
    let conv = conv(g, false)?;
    let ranges = &conv.weights.ranges;
    let (x_scale, w_scales, y_scale) = scales(&mut g.random, conv.channels, reach(ranges));
    let [x_scale, y_scale] = [x_scale, y_scale].map(|s| g.b.floats(&[s]));
    let w_scale = g.b.floats(&w_scales);
    let elem = conv.x.elem;
    let zero = zero_point(&mut g.random, elem);
    let y_zero_point = g.b.int(elem, zero);
    let mut inputs = vec![
        conv.x.name.clone(),
        x_scale,
        conv.x_zero_point,
        conv.weights.name.clone(),
        w_scale,
        conv.weights.zero_point_name.clone(),
        y_scale,
        y_zero_point,
    ];
    if !g.random.one_in(3) {
        let values = bias(&mut g.random, ranges);
        inputs.push(g.b.ints(ElemType::Int32, &[conv.channels], values));
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let out = (elem, conv.shape);
    Some(g.bytes(("", "QLinearConv"), &inputs, &conv.attributes, out))
}

pub(crate) fn conv_integer(g: &mut Growing) -> Option<Value> {
    let conv = conv(g, true)?;
    let range = hull(&conv.weights.ranges);
    let inputs = [
        conv.x.name.as_str(),
        &conv.weights.name,
        &conv.x_zero_point,
        &conv.weights.zero_point_name,
    ];
    let out = (ElemType::Int32, conv.shape, range);
    Some(g.node(("", "ConvInteger"), &inputs, &conv.attributes, out))
}

fn hull(ranges: &[(i64, i64)]) -> (i64, i64) {
    ranges
        .iter()
        .fold((0, 0), |(lo, hi), r| (lo.min(r.0), hi.max(r.1)))
}

struct Dense {
    x: Value,
    x_zero_point: String,
    weights: Weights,
    shape: Vec<usize>,
    columns: usize,
    one_zero_point: bool,
    transposed: bool,
}

/// A product with a constant matrix.
fn dense(g: &mut Growing, rank_2: bool, may_transpose: bool) -> Option<Dense> {
    let x = g.pick(
        |v| {
            let rank = if rank_2 {
                v.shape.len() == 2
            } else {
                v.shape.len() >= 2
            };
            rank && v.is_8_bit() && v.len() / v.shape[v.shape.len() - 1] <= OUTPUTS
        },
        |random| (byte(random), vec![random.size(1, 4), random.size(1, 40)]),
    )?;
    let random = &mut g.random;
    let depth = x.shape[x.shape.len() - 1];
    let rows = x.len() / depth;
    let columns = random.size(1, (OUTPUTS / rows).clamp(1, 12));
    let transposed = may_transpose && random.one_in(2);
    let zero = zero_point(random, x.elem);
    let one = columns == 1 || random.one_in(2);
    let x_zero_point = g.b.int(x.elem, zero);
    let w_shape = if transposed {
        [columns, depth]
    } else {
        [depth, columns]
    };
    let weights = weights(g, (x.elem, &w_shape), columns, zero, one, |c| {
        (0..depth)
            .map(|d| {
                if transposed {
                    c * depth + d
                } else {
                    d * columns + c
                }
            })
            .collect()
    });
    let mut shape = x.shape.clone();
    *shape.last_mut().expect("rank 2 or more") = columns;
    Some(Dense {
        x,
        x_zero_point,
        weights,
        shape,
        columns,
        one_zero_point: one,
        transposed,
    })
}

pub(crate) fn q_gemm(g: &mut Growing) -> Option<Value> {
    let dense = dense(g, true, true)?;
    let ranges = dense.weights.ranges.clone();
    let (x_scale, mut w_scales, y_scale) = scales(&mut g.random, dense.columns, reach(&ranges));
    // The runtime wants scales and zero points of B in one shape.
    let first = w_scales[0];
    w_scales.resize(
        if dense.one_zero_point {
            1
        } else {
            dense.columns
        },
        first,
    );
    let alpha = if g.random.one_in(3) {
        g.random.float(-2, 2)
    } else {
        1.0
    };
    let elem = dense.x.elem;
    let zero = zero_point(&mut g.random, elem);
    let [x_scale, y_scale] = [x_scale, y_scale].map(|s| g.b.floats(&[s]));
    let w_scale = g.b.floats(&w_scales);
    let y_zero_point = g.b.int(elem, zero);
    let bias = if g.random.one_in(3) {
        String::new()
    } else {
        let values = bias(&mut g.random, &ranges);
        let shape = if g.random.one_in(2) {
            vec![dense.columns]
        } else {
            vec![1, dense.columns]
        };
        g.b.ints(ElemType::Int32, &shape, values)
    };
    let inputs = [
        dense.x.name.as_str(),
        &x_scale,
        &dense.x_zero_point,
        &dense.weights.name,
        &w_scale,
        &dense.weights.zero_point_name,
        &bias,
        &y_scale,
        &y_zero_point,
    ];
    let attributes = [
        ("transB", Attribute::Int(dense.transposed.into())),
        ("alpha", Attribute::Float(alpha)),
    ];
    Some(g.bytes(
        ("com.microsoft", "QGemm"),
        &inputs,
        &attributes,
        (elem, dense.shape),
    ))
}

/// A product of two tensors that are both computed: operands and shape, and the range of an
/// accumulator.
struct Pair {
    operands: [String; 2],
    zero_points: [String; 2],
    elem: ElemType,
    shape: Vec<usize>,
    range: (i64, i64),
}

fn pair(g: &mut Growing) -> Option<Pair> {
    let fits = |v: &Value| v.shape.len() >= 2 && v.is_8_bit() && v.len() <= OUTPUTS;
    let a = g.pick(fits, |random| {
        (byte(random), vec![random.size(1, 4), random.size(1, 12)])
    })?;
    let (rows, depth) = (a.shape[a.shape.len() - 2], a.shape[a.shape.len() - 1]);
    let batch = &a.shape[..a.shape.len() - 2];
    let b = g.pick(
        |v| {
            let rank = v.shape.len();
            let inner = v.elem == a.elem && rank >= 2 && v.shape[rank - 2] == depth;
            inner && broadcast(&v.shape[..rank - 2], batch).is_some()
        },
        |random| {
            let mut shape = narrower(random, batch);
            shape.extend([depth, random.size(1, 5)]);
            (a.elem, shape)
        },
    )?;
    let rank = b.shape.len();
    let columns = b.shape[rank - 1];
    let mut shape = broadcast(batch, &b.shape[..rank - 2])?;
    shape.extend([rows, columns]);
    let count: usize = shape.iter().product();
    if count > OUTPUTS || count * depth > 600 {
        return None;
    }
    let ends = |zero: i32| [a.elem.min(), a.elem.max()].map(|e| i64::from(e) - i64::from(zero));
    let left = zero_point(&mut g.random, a.elem);
    let each = rank == 2 && columns > 1 && g.random.one_in(2);
    let right: Vec<i32> = (0..if each { columns } else { 1 })
        .map(|_| zero_point(&mut g.random, a.elem))
        .collect();
    let products: Vec<i64> = right
        .iter()
        .flat_map(|&z| ends(z))
        .flat_map(|r| ends(left).map(|l| l * r))
        .collect();
    let depth = depth as i64;
    let range = (
        products.iter().min()?.min(&0) * depth,
        products.iter().max()?.max(&0) * depth,
    );
    let right = if each {
        g.b.ints(a.elem, &[columns], right)
    } else {
        g.b.int(a.elem, right[0])
    };
    Some(Pair {
        operands: [a.name, b.name],
        zero_points: [g.b.int(a.elem, left), right],
        elem: a.elem,
        shape,
        range,
    })
}

fn q_linear_pair(g: &mut Growing) -> Option<Value> {
    let pair = pair(g)?;
    let reach = pair.range.1 - pair.range.0;
    let (a_scale, b_scales, y_scale) = scales(&mut g.random, 1, reach);
    let [a_scale, b_scale, y_scale] = [a_scale, b_scales[0], y_scale].map(|s| g.b.floats(&[s]));
    let zero = zero_point(&mut g.random, pair.elem);
    let y_zero_point = g.b.int(pair.elem, zero);
    let inputs = [
        pair.operands[0].as_str(),
        &a_scale,
        &pair.zero_points[0],
        &pair.operands[1],
        &b_scale,
        &pair.zero_points[1],
        &y_scale,
        &y_zero_point,
    ];
    let out = (pair.elem, pair.shape.clone());
    Some(g.bytes(("", "QLinearMatMul"), &inputs, &[], out))
}

pub(crate) fn q_linear_mat_mul(g: &mut Growing) -> Option<Value> {
    if g.random.one_in(2) {
        return q_linear_pair(g);
    }
    let dense = dense(g, false, false)?;
    let ranges = &dense.weights.ranges;
    let (x_scale, w_scales, y_scale) = scales(&mut g.random, dense.columns, reach(ranges));
    let [x_scale, y_scale] = [x_scale, y_scale].map(|s| g.b.floats(&[s]));
    let w_scale = g.b.floats(&w_scales);
    let elem = dense.x.elem;
    let zero = zero_point(&mut g.random, elem);
    let y_zero_point = g.b.int(elem, zero);
    let inputs = [
        dense.x.name.as_str(),
        &x_scale,
        &dense.x_zero_point,
        &dense.weights.name,
        &w_scale,
        &dense.weights.zero_point_name,
        &y_scale,
        &y_zero_point,
    ];
    Some(g.bytes(("", "QLinearMatMul"), &inputs, &[], (elem, dense.shape)))
}

pub(crate) fn mat_mul_integer(g: &mut Growing) -> Option<Value> {
    if g.random.one_in(2) {
        let pair = pair(g)?;
        let [a, b] = &pair.operands;
        let [za, zb] = &pair.zero_points;
        let out = (ElemType::Int32, pair.shape.clone(), pair.range);
        return Some(g.node(("", "MatMulInteger"), &[a, b, za, zb], &[], out));
    }
    let dense = dense(g, false, false)?;
    let range = hull(&dense.weights.ranges);
    let inputs = [
        dense.x.name.as_str(),
        &dense.weights.name,
        &dense.x_zero_point,
        &dense.weights.zero_point_name,
    ];
    let out = (ElemType::Int32, dense.shape, range);
    Some(g.node(("", "MatMulInteger"), &inputs, &[], out))
}
