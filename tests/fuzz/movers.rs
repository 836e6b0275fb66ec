//! Generators of operators that move elements.

use proofmark_onnx::Attribute;
use proofmark_tensor::ElemType;
use proofmark_tests::Random;

use crate::growing::{Growing, MOST, Value, any_shape, byte};

fn ints(list: &[i64]) -> Attribute {
    Attribute::Ints(list.to_vec())
}

/// Any type; int32 as a graph input sometimes.
fn any(random: &mut Random) -> (ElemType, Vec<usize>) {
    let elem = if random.one_in(5) {
        ElemType::Int32
    } else {
        byte(random)
    };
    (elem, any_shape(random))
}

pub(crate) fn pick(g: &mut Growing, fits: impl Fn(&Value) -> bool) -> Option<Value> {
    g.pick(fits, any)
}

/// An axis as ONNX lets one write it: from the front or from the back.
pub(crate) fn axis(random: &mut Random, at: usize, rank: usize) -> i64 {
    at as i64 - if random.one_in(2) { rank as i64 } else { 0 }
}

pub(crate) fn moved(
    g: &mut Growing,
    op: &str,
    inputs: &[&str],
    attributes: &[(&str, Attribute)],
    (x, shape): (&Value, Vec<usize>),
) -> Value {
    g.node(("", op), inputs, attributes, (x.elem, shape, x.range))
}

pub(crate) fn concat(g: &mut Growing) -> Option<Value> {
    let first = pick(g, |v| v.len() <= MOST / 2 && !v.shape.is_empty())?;
    let at = g.random.size(0, first.shape.len() - 1);
    let fits = |v: &Value| {
        v.elem == first.elem
            && v.shape.len() == first.shape.len()
            && (0..v.shape.len()).all(|d| d == at || v.shape[d] == first.shape[d])
    };
    let all = g.all(fits);
    let mut inputs = vec![first.clone()];
    let mut shape = first.shape.clone();
    for _ in 0..g.random.size(0, 2) {
        let next = g.random.pick(&all).clone();
        shape[at] += next.shape[at];
        inputs.push(next);
        if shape.iter().product::<usize>() > MOST {
            return None;
        }
    }
    let range = inputs
        .iter()
        .fold(first.range, |r, v| (r.0.min(v.range.0), r.1.max(v.range.1)));
    let names: Vec<&str> = inputs.iter().map(|v| v.name.as_str()).collect();
    let axis = axis(&mut g.random, at, shape.len());
    let attributes = [("axis", Attribute::Int(axis))];
    Some(g.node(
        ("", "Concat"),
        &names,
        &attributes,
        (first.elem, shape, range),
    ))
}

pub(crate) fn flatten(g: &mut Growing) -> Option<Value> {
    let x = pick(g, |_| true)?;
    let rank = x.shape.len();
    let at = g.random.size(0, rank);
    let shape = vec![
        x.shape[..at].iter().product(),
        x.shape[at..].iter().product(),
    ];
    let axis = if at == rank {
        at as i64
    } else {
        axis(&mut g.random, at, rank)
    };
    let attributes = if at == 1 && rank > 1 && g.random.one_in(2) {
        vec![]
    } else {
        vec![("axis", Attribute::Int(axis))]
    };
    Some(moved(g, "Flatten", &[&x.name], &attributes, (&x, shape)))
}

pub(crate) fn reshape(g: &mut Growing) -> Option<Value> {
    let x = pick(g, |_| true)?;
    // Prime factors dealt out to dimensions.
    let mut shape = vec![1; g.random.size(1, 5)];
    let mut left = x.len();
    let mut factor = 2;
    while left > 1 {
        while left.is_multiple_of(factor) {
            let at = g.random.size(0, shape.len() - 1);
            shape[at] *= factor;
            left /= factor;
        }
        factor += 1;
    }
    let mut wanted: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
    for (d, size) in wanted.iter_mut().enumerate() {
        if x.shape.get(d) == Some(&shape[d]) && g.random.one_in(3) {
            *size = 0;
        }
    }
    if g.random.one_in(2) {
        let at = g.random.size(0, shape.len() - 1);
        wanted[at] = -1;
    }
    let wanted = g.b.int64s(&wanted);
    Some(moved(g, "Reshape", &[&x.name, &wanted], &[], (&x, shape)))
}

pub(crate) fn squeeze(g: &mut Growing) -> Option<Value> {
    let x = pick(g, |v| v.shape.contains(&1))?;
    let rank = x.shape.len();
    let ones: Vec<usize> = (0..rank).filter(|&d| x.shape[d] == 1).collect();
    let dropped: Vec<usize> = ones
        .iter()
        .copied()
        .filter(|_| g.random.one_in(2))
        .collect();
    let all = dropped.is_empty();
    let gone = if all { &ones } else { &dropped };
    let shape = (0..rank)
        .filter(|d| !gone.contains(d))
        .map(|d| x.shape[d])
        .collect();
    if all {
        return Some(moved(g, "Squeeze", &[&x.name], &[], (&x, shape)));
    }
    let axes: Vec<i64> = dropped
        .iter()
        .map(|&d| axis(&mut g.random, d, rank))
        .collect();
    let axes = g.b.int64s(&axes);
    Some(moved(g, "Squeeze", &[&x.name, &axes], &[], (&x, shape)))
}

pub(crate) fn unsqueeze(g: &mut Growing) -> Option<Value> {
    let x = pick(g, |v| v.shape.len() <= 4)?;
    let more = g.random.size(1, 5 - x.shape.len());
    let rank = x.shape.len() + more;
    let mut places: Vec<usize> = (0..rank).collect();
    while places.len() > more {
        let at = g.random.size(0, places.len() - 1);
        places.remove(at);
    }
    let mut old = x.shape.iter().copied();
    let shape = (0..rank)
        .map(|d| {
            if places.contains(&d) {
                1
            } else {
                old.next().expect("as many")
            }
        })
        .collect();
    let mut axes: Vec<i64> = places
        .iter()
        .map(|&d| axis(&mut g.random, d, rank))
        .collect();
    if g.random.one_in(2) {
        axes.reverse();
    }
    let axes = g.b.int64s(&axes);
    Some(moved(g, "Unsqueeze", &[&x.name, &axes], &[], (&x, shape)))
}

pub(crate) fn transpose(g: &mut Growing) -> Option<Value> {
    let x = pick(g, |v| !v.shape.is_empty())?;
    let rank = x.shape.len();
    let mut left: Vec<usize> = (0..rank).collect();
    let mut perm = Vec::new();
    while !left.is_empty() {
        let at = g.random.size(0, left.len() - 1);
        perm.push(left.remove(at));
    }
    let reversed = perm.iter().rev().copied().eq(0..rank);
    let shape = perm.iter().map(|&p| x.shape[p]).collect();
    let list: Vec<i64> = perm.iter().map(|&p| p as i64).collect();
    let attributes = if reversed {
        vec![]
    } else {
        vec![("perm", ints(&list))]
    };
    Some(moved(g, "Transpose", &[&x.name], &attributes, (&x, shape)))
}
