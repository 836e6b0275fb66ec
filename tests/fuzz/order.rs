//! Generators of operators that compare.

use proofmark_onnx::Attribute;
use proofmark_tensor::ElemType;
use proofmark_tests::Random;

use crate::growing::{Growing, Value, any_shape, byte, image_shape};
use crate::integers::{broadcast, narrower};
use crate::movers;

pub(crate) fn max_pool(g: &mut Growing) -> Option<Value> {
    let x = g.pick(
        |v| {
            let image = v.shape.len() == 3 || v.shape.len() == 4;
            image && v.is_8_bit() && v.shape[0] == 1 && v.len() <= 160
        },
        |random| (byte(random), image_shape(random)),
    )?;
    let random = &mut g.random;
    let ceil = random.one_in(3);
    let mut window = [const { Vec::new() }; 6];
    let [kernel, strides, dilations, begin, end, out] = &mut window;
    for &size in &x.shape[2..] {
        let k = random.size(1, size.min(3));
        let most = if k > 1 {
            ((size - 1) / (k - 1)).min(2)
        } else {
            2
        };
        let (d, s) = (random.size(1, most), random.size(1, 3));
        // The runtime wants pads smaller than the kernel.
        let (b, e) = (random.size(0, k - 1), random.size(0, k - 1));
        kernel.push(k);
        strides.push(s);
        dilations.push(d);
        begin.push(b);
        end.push(e);
        let room = size + b + e - d * (k - 1) - 1;
        let more = ceil && !room.is_multiple_of(s);
        if more && (room / s + 1) * s >= size + b {
            // The last window would begin in the padding.
            return None;
        }
        out.push(room / s + 1 + usize::from(more));
    }
    let [kernel, strides, dilations, begin, end, out] = window;
    let ints = |list: &[usize]| Attribute::Ints(list.iter().map(|&v| v as i64).collect());
    let mut attributes = vec![("kernel_shape", ints(&kernel))];
    if ceil {
        attributes.push(("ceil_mode", Attribute::Int(1)));
    }
    let pads: Vec<usize> = begin.into_iter().chain(end).collect();
    for (name, list, default) in [
        ("strides", strides, 1),
        ("dilations", dilations, 1),
        ("pads", pads, 0),
    ] {
        if list.iter().any(|&v| v != default) || random.one_in(3) {
            attributes.push((name, ints(&list)));
        }
    }
    let mut shape = x.shape[..2].to_vec();
    shape.extend(out);
    let out = (x.elem, shape, x.range);
    Some(g.node(("", "MaxPool"), &[&x.name], &attributes, out))
}

/// Most elements that are compared in one node.
const COMPARED: usize = 96;

fn small(v: &Value) -> bool {
    v.len() <= COMPARED
}

/// 8-bit tensors mostly, int32 ones where the graph has some.
fn any(random: &mut Random) -> (ElemType, Vec<usize>) {
    let elem = if random.one_in(6) {
        ElemType::Int32
    } else {
        byte(random)
    };
    (elem, any_shape(random))
}

/// A bound inside the tensor's range, at its ends, or anywhere in the type.
fn bound(random: &mut Random, x: &Value) -> i32 {
    let (lo, hi) = x.range;
    let ends = [
        lo,
        hi,
        lo + 1,
        hi - 1,
        x.elem.min().into(),
        x.elem.max().into(),
    ];
    let value = match random.between(0, 2) {
        0 => *random.pick(&ends),
        _ => random.between(lo, hi),
    };
    value.clamp(x.elem.min().into(), x.elem.max().into()) as i32
}

pub(crate) fn relu(g: &mut Growing) -> Option<Value> {
    let x = g.pick(
        |v| v.elem != ElemType::Uint8 && small(v),
        |random| (ElemType::Int8, any_shape(random)),
    )?;
    let out = (x.elem, x.shape, (x.range.0.max(0), x.range.1.max(0)));
    Some(g.node(("", "Relu"), &[&x.name], &[], out))
}

pub(crate) fn clip(g: &mut Growing) -> Option<Value> {
    let x = g.pick(small, any)?;
    let (lo, hi) = (bound(&mut g.random, &x), bound(&mut g.random, &x));
    let mut inputs = vec![x.name.clone()];
    let (mut least, mut most) = x.range;
    for (given, value, low) in [
        (!g.random.one_in(4), lo, true),
        (!g.random.one_in(4), hi, false),
    ] {
        if !given {
            inputs.push(String::new());
            continue;
        }
        let value_wide = i64::from(value);
        (least, most) = if low {
            (least.max(value_wide), most.max(value_wide))
        } else {
            (least.min(value_wide), most.min(value_wide))
        };
        inputs.push(g.b.int(x.elem, value));
    }
    while inputs.last().is_some_and(String::is_empty) {
        inputs.pop();
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let out = (x.elem, x.shape, (least, most));
    Some(g.node(("", "Clip"), &inputs, &[], out))
}

pub(crate) fn max(g: &mut Growing) -> Option<Value> {
    extremum(g, "Max", i64::max)
}

pub(crate) fn min(g: &mut Growing) -> Option<Value> {
    extremum(g, "Min", i64::min)
}

/// One to three operands, tensors and constants, broadcast.
fn extremum(g: &mut Growing, op: &str, of: fn(i64, i64) -> i64) -> Option<Value> {
    let x = g.pick(small, any)?;
    let mut inputs = vec![x.name.clone()];
    let mut shape = x.shape.clone();
    let mut range = x.range;
    for _ in 0..g.random.size(0, 2) {
        if g.random.one_in(2) {
            let partners = g.all(|v| v.elem == x.elem && broadcast(&v.shape, &shape).is_some());
            let y = g.random.pick(&partners).clone();
            shape = broadcast(&y.shape, &shape)?;
            range = (of(range.0, y.range.0), of(range.1, y.range.1));
            inputs.push(y.name);
        } else {
            let of_shape = narrower(&mut g.random, &shape);
            let data: Vec<i32> = (0..of_shape.iter().product())
                .map(|_| bound(&mut g.random, &x))
                .collect();
            let (lo, hi) = (data.iter().min().copied()?, data.iter().max().copied()?);
            range = (of(range.0, lo.into()), of(range.1, hi.into()));
            inputs.push(g.b.ints(x.elem, &of_shape, data));
        }
        if shape.iter().product::<usize>() > COMPARED {
            return None;
        }
    }
    let at = g.random.size(0, inputs.len() - 1);
    inputs.swap(0, at);
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    Some(g.node(("", op), &inputs, &[], (x.elem, shape, range)))
}

/// `ArgMax`, and the `Cast` that alone may read it.
pub(crate) fn arg_max(g: &mut Growing) -> Option<Value> {
    let x = g.pick(|v| small(v) && !v.shape.is_empty(), any)?;
    let rank = x.shape.len();
    let at = g.random.size(0, rank - 1);
    let axis = movers::axis(&mut g.random, at, rank);
    let mut attributes = Vec::new();
    if at != 0 || g.random.one_in(2) {
        attributes.push(("axis", Attribute::Int(axis)));
    }
    let mut shape = x.shape.clone();
    let last = shape[at] as i64 - 1;
    if g.random.one_in(2) {
        attributes.push(("keepdims", Attribute::Int(0)));
        shape.remove(at);
    } else {
        shape[at] = 1;
    }
    if g.random.one_in(2) {
        attributes.push(("select_last_index", Attribute::Int(1)));
    }
    let wide = g.b.node("", "ArgMax", &[&x.name], &attributes);
    g.reads(&x.name);
    let elem = if last <= 255 && g.random.one_in(3) {
        ElemType::Uint8
    } else {
        ElemType::Int32
    };
    let to = if elem == ElemType::Uint8 { 2 } else { 6 };
    let out = (elem, shape, (0, last));
    Some(g.node(("", "Cast"), &[&wide], &[("to", Attribute::Int(to))], out))
}
