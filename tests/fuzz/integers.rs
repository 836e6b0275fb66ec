//! Generators of int32 arithmetic and of casts.

use proofmark_onnx::Attribute;
use proofmark_tensor::ElemType;
use proofmark_tests::Random;

use crate::growing::{Growing, MOST, Value, any_shape, byte};

const INT32: (i64, i64) = (i32::MIN as i64, i32::MAX as i64);

fn int32(v: &Value) -> bool {
    v.elem == ElemType::Int32
}

/// An int32 tensor of bounded range, made of an 8-bit one where there is none.
fn bounded(g: &mut Growing, fits: impl Fn(&Value) -> bool) -> Option<Value> {
    let narrow = |v: &Value| int32(v) && v.range.1 - v.range.0 < 1 << 32;
    if g.random.one_in(2) && !g.all(|v| narrow(v) && fits(v)).is_empty() {
        return g.pick(|v| narrow(v) && fits(v), |_| unreachable!("one fits"));
    }
    let x = g.pick(
        |v| v.is_8_bit() && fits(v),
        |random| (byte(random), any_shape(random)),
    )?;
    Some(widened(g, &x))
}

/// `Cast` of an 8-bit tensor to int32.
pub(crate) fn widened(g: &mut Growing, x: &Value) -> Value {
    let to = [("to", Attribute::Int(6))];
    let out = (ElemType::Int32, x.shape.clone(), x.range);
    g.node(("", "Cast"), &[&x.name], &to, out)
}

pub(crate) fn cast(g: &mut Growing) -> Option<Value> {
    let fits = |v: &Value, elem: ElemType| {
        int32(v) && v.range.0 >= elem.min().into() && v.range.1 <= elem.max().into()
    };
    for elem in [ElemType::Uint8, ElemType::Int8] {
        if g.random.one_in(2) && !g.all(|v| fits(v, elem)).is_empty() {
            let x = g.pick(|v| fits(v, elem), |_| unreachable!("one fits"))?;
            let to = if elem == ElemType::Uint8 { 2 } else { 3 };
            let out = (elem, x.shape.clone(), x.range);
            return Some(g.node(("", "Cast"), &[&x.name], &[("to", Attribute::Int(to))], out));
        }
    }
    let x = g.pick(Value::is_8_bit, |random| (byte(random), any_shape(random)))?;
    Some(widened(g, &x))
}

/// A shape that broadcasts with `shape` and does not change it: some dimensions 1, leading ones
/// left out.
pub(crate) fn narrower(random: &mut Random, shape: &[usize]) -> Vec<usize> {
    let from = if random.one_in(3) {
        random.size(0, shape.len())
    } else {
        0
    };
    shape[from..]
        .iter()
        .map(|&d| if random.one_in(3) { 1 } else { d })
        .collect()
}

/// Numpy's broadcast of two shapes.
pub(crate) fn broadcast(left: &[usize], right: &[usize]) -> Option<Vec<usize>> {
    let rank = left.len().max(right.len());
    let dim = |s: &[usize], d: usize| (d + s.len()).checked_sub(rank).map_or(1, |at| s[at]);
    (0..rank)
        .map(|d| match (dim(left, d), dim(right, d)) {
            (a, b) if a == b => Some(a),
            (1, b) => Some(b),
            (a, 1) => Some(a),
            _ => None,
        })
        .collect()
}

/// Another int32 tensor that broadcasts with this one.
fn partner(g: &mut Growing, x: &Value) -> Option<Value> {
    let fits = |v: &Value| {
        broadcast(&v.shape, &x.shape).is_some_and(|s| s.iter().product::<usize>() <= MOST)
    };
    let narrow = |v: &Value| int32(v) && v.range.1 - v.range.0 < 1 << 32;
    let all = g.all(|v| narrow(v) && fits(v));
    if !all.is_empty() && g.random.one_in(2) {
        return Some(g.random.pick(&all).clone());
    }
    let shape = narrower(&mut g.random, &x.shape);
    let y = g.pick(
        |v| v.is_8_bit() && fits(v),
        |random| (byte(random), if shape.is_empty() { vec![1] } else { shape }),
    )?;
    Some(widened(g, &y))
}

fn in_order(g: &mut Growing, x: &str, y: &str, swap: bool) -> [String; 2] {
    if swap && g.random.one_in(2) {
        [y.to_owned(), x.to_owned()]
    } else {
        [x.to_owned(), y.to_owned()]
    }
}

pub(crate) fn add(g: &mut Growing) -> Option<Value> {
    sum(g, "Add", 1)
}

pub(crate) fn sub(g: &mut Growing) -> Option<Value> {
    sum(g, "Sub", -1)
}

fn sum(g: &mut Growing, op: &str, sign: i64) -> Option<Value> {
    let x = bounded(g, |_| true)?;
    let scaled = |(lo, hi): (i64, i64)| if sign > 0 { (lo, hi) } else { (-hi, -lo) };
    if g.random.one_in(2) {
        let y = partner(g, &x)?;
        let second = scaled(y.range);
        let range = (x.range.0 + second.0, x.range.1 + second.1);
        if range.0 < INT32.0 || range.1 > INT32.1 {
            return None;
        }
        let shape = broadcast(&x.shape, &y.shape)?;
        let out = (ElemType::Int32, shape, range);
        return Some(g.node(("", op), &[&x.name, &y.name], &[], out));
    }
    // A constant so that the result still fits, often at an end.
    let constant_first = sign < 0 && g.random.one_in(2);
    let x_range = if constant_first {
        scaled(x.range)
    } else {
        x.range
    };
    let (least, most) = (INT32.0 - x_range.0, INT32.1 - x_range.1);
    let (least, most) = (least.max(INT32.0 + 1), most.min(INT32.1));
    if least > most {
        return None;
    }
    let hostile = g.random.one_in(4);
    let shape = narrower(&mut g.random, &x.shape);
    let addends: Vec<i64> = (0..shape.iter().product())
        .map(
            |_| match g.random.between(0, if hostile { 2 } else { 30 }) {
                0 => least,
                1 => most,
                _ => g.random.between(-70_000, 70_000).clamp(least, most),
            },
        )
        .collect();
    let stored = |a: &i64| (if constant_first { *a } else { sign * a }) as i32;
    let (lo, hi) = addends
        .iter()
        .fold((i64::MAX, i64::MIN), |(l, h), &a| (l.min(a), h.max(a)));
    if !constant_first && sign < 0 && lo == INT32.0 {
        return None;
    }
    let range = (x_range.0 + lo, x_range.1 + hi);
    let data = addends.iter().map(stored).collect();
    let constant = g.b.ints(ElemType::Int32, &shape, data);
    let out = (ElemType::Int32, x.shape.clone(), range);
    let inputs = if constant_first {
        [constant, x.name]
    } else {
        in_order(g, &x.name, &constant, sign > 0)
    };
    Some(g.node(("", op), &[&inputs[0], &inputs[1]], &[], out))
}

fn product((a, b): (i64, i64), (c, d): (i64, i64)) -> (i64, i64) {
    let all = [a * c, a * d, b * c, b * d];
    let pick = |f: fn(i64, i64) -> i64| all.into_iter().reduce(f).expect("four");
    (pick(i64::min), pick(i64::max))
}

pub(crate) fn mul(g: &mut Growing) -> Option<Value> {
    let x = bounded(g, |_| true)?;
    if g.random.one_in(2) {
        let y = partner(g, &x)?;
        let range = product(x.range, y.range);
        let shape = broadcast(&x.shape, &y.shape)?;
        if range.0 < INT32.0 || range.1 > INT32.1 || shape.iter().product::<usize>() > 96 {
            return None;
        }
        let out = (ElemType::Int32, shape, range);
        return Some(g.node(("", "Mul"), &[&x.name, &y.name], &[], out));
    }
    let reach = x.range.0.abs().max(x.range.1.abs()).max(1);
    let most = INT32.1 / reach;
    let shape = narrower(&mut g.random, &x.shape);
    let factors: Vec<i64> = (0..shape.iter().product())
        .map(|_| match g.random.between(0, 7) {
            0 => most,
            1 => -most,
            2 => 0,
            _ => g.random.between(-300, 300).clamp(-most, most),
        })
        .collect();
    let range = factors
        .iter()
        .map(|&f| product(x.range, (f, f)))
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
    let data = factors.iter().map(|&f| f as i32).collect();
    let constant = g.b.ints(ElemType::Int32, &shape, data);
    let out = (ElemType::Int32, x.shape.clone(), range);
    let inputs = in_order(g, &x.name, &constant, true);
    Some(g.node(("", "Mul"), &[&inputs[0], &inputs[1]], &[], out))
}

/// A non-negative tensor: shifted by a constant where needed.
fn from(g: &mut Growing, x: Value, least: i64) -> Option<Value> {
    if x.range.0 >= least {
        return Some(x);
    }
    let by = least - x.range.0;
    let range = (least, x.range.1 + by);
    if range.1 > INT32.1 || by > INT32.1 {
        return None;
    }
    let constant = g.b.int(ElemType::Int32, by as i32);
    let out = (ElemType::Int32, x.shape.clone(), range);
    Some(g.node(("", "Add"), &[&x.name, &constant], &[], out))
}

pub(crate) fn div(g: &mut Growing) -> Option<Value> {
    let x = bounded(g, |v| v.len() <= 96)?;
    let x = from(g, x, 0)?;
    if g.random.one_in(2) {
        let y = partner(g, &x)?;
        let y = from(g, y, 1)?;
        let shape = broadcast(&x.shape, &y.shape)?;
        if shape.iter().product::<usize>() > 96 {
            return None;
        }
        let out = (
            ElemType::Int32,
            shape,
            (x.range.0 / y.range.1, x.range.1 / y.range.0),
        );
        return Some(g.node(("", "Div"), &[&x.name, &y.name], &[], out));
    }
    let shape = narrower(&mut g.random, &x.shape);
    let divisors: Vec<i32> = (0..shape.iter().product())
        .map(|_| match g.random.between(0, 5) {
            0 => 1,
            1 => i32::MAX,
            2 => 1 << g.random.between(0, 30),
            _ => g.random.between(1, x.range.1.clamp(1, INT32.1)) as i32,
        })
        .collect();
    let (lo, hi) = (*divisors.iter().max()?, *divisors.iter().min()?);
    let range = (x.range.0 / i64::from(lo), x.range.1 / i64::from(hi));
    let constant = g.b.ints(ElemType::Int32, &shape, divisors);
    let out = (ElemType::Int32, x.shape.clone(), range);
    Some(g.node(("", "Div"), &[&x.name, &constant], &[], out))
}

pub(crate) fn reduce_sum(g: &mut Growing) -> Option<Value> {
    let x = bounded(g, |_| true)?;
    let rank = x.shape.len();
    let axes: Vec<usize> = (0..rank).filter(|_| g.random.one_in(2)).collect();
    let keep = g.random.one_in(2);
    let reduced: Vec<usize> = if axes.is_empty() {
        (0..rank).collect()
    } else {
        axes.clone()
    };
    let count: usize = reduced.iter().map(|&a| x.shape[a]).product();
    let range = (x.range.0 * count as i64, x.range.1 * count as i64);
    if range.0 < INT32.0 || range.1 > INT32.1 {
        return None;
    }
    let shape: Vec<usize> = (0..rank)
        .filter(|d| keep || !reduced.contains(d))
        .map(|d| if reduced.contains(&d) { 1 } else { x.shape[d] })
        .collect();
    let mut inputs = vec![x.name.clone()];
    if !axes.is_empty() {
        let axes: Vec<i64> = axes
            .iter()
            .map(|&a| a as i64 - if g.random.one_in(3) { rank as i64 } else { 0 })
            .collect();
        inputs.push(g.b.int64s(&axes));
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let attributes = [("keepdims", Attribute::Int(keep.into()))];
    let out = (ElemType::Int32, shape, range);
    Some(g.node(("", "ReduceSum"), &inputs, &attributes, out))
}
