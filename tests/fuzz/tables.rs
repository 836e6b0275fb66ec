//! Generators of `Gather`: tables with computed indices, and elements at constant indices.

use proofmark_onnx::{Attribute, Tensor, TensorData};
use proofmark_tensor::ElemType;
use proofmark_tests::Random;

use crate::growing::{Growing, MOST, Value, any_shape, byte};
use crate::integers::{broadcast, narrower, widened};
use crate::movers;

/// Different tables of pairs.
const TABLES: i64 = 40;

/// Most elements that go through a table in one node.
const LOOKUPS: usize = 64;

pub(crate) fn gather(g: &mut Growing) -> Option<Value> {
    match g.random.between(0, 4) {
        0 | 1 => picked(g),
        2 => binary(g),
        _ => unary(g),
    }
}

/// Elements of a computed tensor at constant indices.
fn picked(g: &mut Growing) -> Option<Value> {
    let x = movers::pick(g, |v| !v.shape.is_empty())?;
    let at = g.random.size(0, x.shape.len() - 1);
    let length = x.shape[at] as i64;
    let shape: Vec<usize> = match g.random.between(0, 3) {
        0 => vec![],
        1 => vec![g.random.size(1, 3), g.random.size(1, 2)],
        _ => vec![g.random.size(1, 5)],
    };
    let indices: Vec<i64> = (0..shape.iter().product::<usize>())
        .map(|_| g.random.between(-length, length - 1))
        .collect();
    let mut out = x.shape[..at].to_vec();
    out.extend(&shape);
    out.extend(&x.shape[at + 1..]);
    if out.len() > 5 || out.iter().product::<usize>() > MOST {
        return None;
    }
    let data = if g.random.one_in(2) {
        TensorData::Int64(indices)
    } else {
        let narrow = indices.iter().map(|&i| i as i32).collect();
        let tensor = proofmark_tensor::IntTensor::new(ElemType::Int32, shape.clone(), narrow);
        TensorData::Int(tensor.expect("in range"))
    };
    let indices = g.b.constant(Tensor::new(shape, data).expect("as many"));
    let axis = movers::axis(&mut g.random, at, x.shape.len());
    let attributes = if at == 0 && g.random.one_in(2) {
        vec![]
    } else {
        vec![("axis", Attribute::Int(axis))]
    };
    let out = (x.elem, out, x.range);
    Some(g.node(("", "Gather"), &[&x.name, &indices], &attributes, out))
}

/// Any function of an 8-bit tensor, one or one a channel.
fn unary(g: &mut Growing) -> Option<Value> {
    let x = g.pick(
        |v| v.is_8_bit() && v.len() <= LOOKUPS,
        |random| (byte(random), any_shape(random)),
    )?;
    let mut index = offset_binary(g, &x);
    let rank = x.shape.len();
    let mut functions = 1;
    if rank > 1 && x.shape[1] <= 6 && g.random.one_in(3) {
        functions = x.shape[1];
        let first = (0..functions).map(|c| 256 * c as i32).collect();
        let mut shape = vec![1; rank];
        shape[1] = functions;
        let first = g.b.ints(ElemType::Int32, &shape, first);
        let range = (0, 256 * functions as i64 - 1);
        let out = (ElemType::Int32, x.shape.clone(), range);
        index = g.node(("", "Add"), &[&index.name, &first], &[], out);
    }
    let elem = *g.random.pick(&[
        ElemType::Uint8,
        ElemType::Uint8,
        ElemType::Int8,
        ElemType::Int32,
    ]);
    let entries: Vec<i32> = (0..functions)
        .flat_map(|_| function(&mut g.random, elem))
        .collect();
    let least = *entries.iter().min().expect("entries");
    let most = *entries.iter().max().expect("entries");
    let table = g.b.ints(elem, &[entries.len()], entries);
    let out = (elem, x.shape, (least.into(), most.into()));
    Some(g.node(("", "Gather"), &[&table, &index.name], &[], out))
}

/// An 8-bit tensor as an index 0 ..= 255: value − type minimum.
pub(crate) fn offset_binary(g: &mut Growing, x: &Value) -> Value {
    let wide = widened(g, x);
    if x.elem == ElemType::Uint8 {
        return wide;
    }
    let offset = g.b.int(ElemType::Int32, 128);
    let range = (wide.range.0 + 128, wide.range.1 + 128);
    let out = (ElemType::Int32, x.shape.clone(), range);
    g.node(("", "Add"), &[&wide.name, &offset], &[], out)
}

/// A sum or a product of two quantized tensors, rounded in float32, as a table of all pairs.
fn binary(g: &mut Growing) -> Option<Value> {
    let a = g.pick(
        |v| v.is_8_bit() && v.len() <= LOOKUPS,
        |random| (byte(random), any_shape(random)),
    )?;
    let fits = |v: &Value| {
        let shape = broadcast(&v.shape, &a.shape);
        v.is_8_bit() && shape.is_some_and(|s| s.iter().product::<usize>() <= LOOKUPS)
    };
    let shape = narrower(&mut g.random, &a.shape);
    let b = g.pick(fits, |random| {
        (byte(random), if shape.is_empty() { vec![1] } else { shape })
    })?;
    let shape = broadcast(&a.shape, &b.shape)?;
    let (first, second) = (offset_binary(g, &a), offset_binary(g, &b));
    let row = g.b.int(ElemType::Int32, 256);
    let out = (ElemType::Int32, first.shape.clone(), (0, 255 * 256));
    let high = g.node(("", "Mul"), &[&first.name, &row], &[], out);
    let out = (ElemType::Int32, shape.clone(), (0, 65_535));
    let index = g.node(("", "Add"), &[&high.name, &second.name], &[], out);
    let elem = byte(&mut g.random);
    let entries = pairs(&mut g.random, elem);
    let table = g.b.ints(elem, &[entries.len()], entries);
    let out = (elem, shape);
    Some(g.bytes(("", "Gather"), &[&table, &index.name], &[], out))
}

/// 65,536 entries.
fn pairs(random: &mut Random, elem: ElemType) -> Vec<i32> {
    // A whole table takes the compiler a while, so that there are few different ones.
    let mut random = Random::new(u64::from(random.between(0, TABLES) as u32));
    let ratio = |random: &mut Random| random.float(-2, -1);
    let [za, zb, zy] = [0; 3].map(|_| random.between(0, 255) as f32);
    let (ra, rb) = (ratio(&mut random), ratio(&mut random));
    let product = random.one_in(2);
    let scale = ratio(&mut random) / 64.0;
    let (lo, hi) = (elem.min() as f32, elem.max() as f32);
    (0..1 << 16)
        .map(|at: u32| {
            let (x, y) = ((at >> 8) as f32 - za, (at & 255) as f32 - zb);
            let value = if product {
                x * y * scale
            } else {
                ra * x + rb * y
            };
            (value.round_ties_even() + zy + lo).clamp(lo, hi) as i32
        })
        .collect()
}

/// 256 entries: noise, a step, a line with clamps, a rising curve, a constant.
fn function(random: &mut Random, elem: ElemType) -> Vec<i32> {
    let (lo, hi) = match elem {
        ElemType::Int32 => (-70_000, 70_000),
        _ => (i64::from(elem.min()), i64::from(elem.max())),
    };
    let curve = random.between(0, 4);
    let (a, b) = (random.between(-300, 300), random.between(lo, hi));
    let edge = random.between(0, 256);
    (0..256)
        .map(|i: i64| {
            let value = match curve {
                0 => random.between(lo, hi),
                1 => i64::from(i >= edge) * (hi - lo) + lo,
                2 => b + a * (i - edge) / 64,
                3 => {
                    let t = (i - edge) as f64 / 24.0;
                    lo + ((hi - lo) as f64 / (1.0 + (-t).exp())).round_ties_even() as i64
                }
                _ => b,
            };
            value.clamp(lo, hi) as i32
        })
        .collect()
}
