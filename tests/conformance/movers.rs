//! Operators that move elements: random shapes of rank 1 to 5, one-element dimensions among them.

use proofmark_onnx::{Attribute, Model};
use proofmark_ops::{OpsError, Policy, plan};
use proofmark_tensor::ElemType;
use proofmark_tests::Random;
use proofmark_tests::build::Builder;

use crate::run;

const ELEMS: [ElemType; 3] = [ElemType::Uint8, ElemType::Int8, ElemType::Int32];
const SEEDS: u64 = 60;

fn ints(list: &[i64]) -> Attribute {
    Attribute::Ints(list.to_vec())
}

fn text(value: &str) -> Attribute {
    Attribute::String(value.to_owned())
}

fn shape(random: &mut Random, most: usize) -> Vec<usize> {
    let rank = random.size(1, most);
    (0..rank)
        .map(|_| *random.pick(&[1, 1, 2, 3, 4, 5]))
        .collect()
}

/// A model that the compiler refuses is counted, not compared; what it takes must be exact.
/// Returns whether it was taken.
fn taken_exactly(seed: u64, model: &Model, random: &mut Random) -> bool {
    let policy = Policy::public(model.graph.inputs.len(), model.graph.outputs.len());
    match plan(model, &policy) {
        Ok(_) => run(seed, model, random) > 0,
        Err(OpsError::Unsupported(_)) => false,
        Err(error) => panic!("seed {seed}: {error}"),
    }
}

#[test]
fn depth_to_space_and_back() {
    for seed in 0..SEEDS {
        let mut random = Random::new(1000 + seed);
        let elem = *random.pick(&ELEMS[..2]);
        let block = random.size(1, 3);
        let [n, c, h, w] = [(); 4].map(|()| random.size(1, 3));
        let attribute = ("blocksize", Attribute::Int(block as i64));
        let mut b = Builder::new();
        let x = b.input(elem, &[n, c * block * block, h, w]);
        let mode = *random.pick(&["DCR", "CRD"]);
        let mode = ("mode", text(mode));
        let y = b.node("", "DepthToSpace", &[&x], &[attribute.clone(), mode]);
        b.output(&y, elem, &[n, c, h * block, w * block]);
        let z = b.input(elem, &[n, c, h * block, w * block]);
        let back = b.node("", "SpaceToDepth", &[&z], &[attribute]);
        b.output(&back, elem, &[n, c * block * block, h, w]);
        run(seed, &b.finish(), &mut random);
    }
}

#[test]
fn expand_and_identity() {
    for seed in 0..SEEDS {
        let mut random = Random::new(2000 + seed);
        let elem = *random.pick(&ELEMS);
        let output = shape(&mut random, 5);
        // From the right, each dimension of the tensor is the output's or 1; so is the shape's.
        let mut thinned = |rank: usize| -> Vec<usize> {
            let tail = &output[output.len() - rank..];
            tail.iter()
                .map(|&d| if random.one_in(2) { 1 } else { d })
                .collect()
        };
        let from = thinned(output.len());
        let with: Vec<i64> = thinned(output.len())
            .into_iter()
            .map(|d| d as i64)
            .collect();
        let skip = from
            .iter()
            .take_while(|&&d| d == 1)
            .count()
            .min(random.size(0, 2));
        let from = &from[skip..];
        let got: Vec<usize> = (0..output.len())
            .map(|d| {
                let ours = d.checked_sub(skip).map_or(1, |at| from[at]);
                ours.max(with[d] as usize)
            })
            .collect();
        let mut b = Builder::new();
        let x = b.input(elem, from);
        let same = b.node("", "Identity", &[&x], &[]);
        let wanted = b.int64s(&with);
        let y = b.node("", "Expand", &[&same, &wanted], &[]);
        b.output(&y, elem, &got);
        run(seed, &b.finish(), &mut random);
    }
}

/// The result's size along one dimension, from ONNX's text: how many steps fit.
fn sliced(size: i64, start: i64, end: i64, step: i64) -> i64 {
    let from_end = |v: i64| if v < 0 { v + size } else { v };
    let (start, end) = (from_end(start), from_end(end));
    let (start, end) = if step > 0 {
        (start.clamp(0, size), end.clamp(0, size))
    } else {
        (start.clamp(0, size - 1), end.clamp(-1, size - 1))
    };
    ((end - start) as f64 / step as f64).ceil().max(0.0) as i64
}

#[test]
fn slice() {
    let (mut taken, mut empty) = (0, 0);
    for seed in 0..4 * SEEDS {
        let mut random = Random::new(3000 + seed);
        let elem = *random.pick(&ELEMS);
        let from = shape(&mut random, 5);
        let mut axes: Vec<usize> = (0..from.len()).filter(|_| random.one_in(2)).collect();
        if axes.is_empty() {
            axes.push(random.size(0, from.len() - 1));
        }
        if random.one_in(2) {
            axes.reverse();
        }
        let mut output: Vec<i64> = from.iter().map(|&d| d as i64).collect();
        let mut lists = [(); 4].map(|()| Vec::new());
        for &axis in &axes {
            let size = from[axis] as i64;
            let step = *random.pick(&[1, 1, 2, -1, -2, 7, -7, i64::from(i32::MAX)]);
            let mut edge = |far: i64| match random.between(0, 3) {
                0 => far,
                1 => -far,
                _ => random.between(-size - 1, size + 1),
            };
            let (start, end) = (edge(1 << 40), edge(i64::from(i32::MAX)));
            output[axis] = sliced(size, start, end, step);
            let named = if random.one_in(2) {
                axis as i64
            } else {
                axis as i64 - from.len() as i64
            };
            for (list, value) in lists.iter_mut().zip([start, end, named, step]) {
                list.push(value);
            }
        }
        let mut b = Builder::new();
        let x = b.input(elem, &from);
        let [starts, ends, axes, steps] = lists.map(|list| b.int64s(&list));
        let y = b.node("", "Slice", &[&x, &starts, &ends, &axes, &steps], &[]);
        let output: Vec<usize> = output.into_iter().map(|d| d as usize).collect();
        b.output(&y, elem, &output);
        let model = b.finish();
        if output.contains(&0) {
            assert!(
                !taken_exactly(seed, &model, &mut random),
                "seed {seed}: no element is left"
            );
            empty += 1;
        } else {
            run(seed, &model, &mut random);
            taken += 1;
        }
    }
    assert!(taken > 60 && empty > 10, "{taken} {empty}");
}

#[test]
fn slice_with_int32_indices_and_without_axes() {
    let mut random = Random::new(3900);
    let mut b = Builder::new();
    let x = b.input(ElemType::Int8, &[3, 4]);
    let starts = b.ints(ElemType::Int32, &[2], vec![-1, 1]);
    let ends = b.ints(ElemType::Int32, &[2], vec![i32::MAX, -1]);
    let y = b.node("", "Slice", &[&x, &starts, &ends], &[]);
    b.output(&y, ElemType::Int8, &[1, 2]);
    run(3900, &b.finish(), &mut random);
}

#[test]
fn pad() {
    let mut taken = 0;
    for seed in 0..4 * SEEDS {
        let mut random = Random::new(4000 + seed);
        let elem = *random.pick(&ELEMS);
        let from = shape(&mut random, 5);
        let rank = from.len();
        let mode = *random.pick(&["constant", "edge", "reflect", "wrap"]);
        let mut axes: Vec<usize> = (0..rank).collect();
        let named = random.one_in(3);
        if named {
            axes.retain(|_| random.one_in(2));
            if axes.is_empty() {
                axes.push(rank - 1);
            }
        }
        let mut one = |size: usize| -> i64 {
            if random.one_in(4) {
                return -random.between(0, size as i64 / 2);
            }
            let most = if mode == "reflect" {
                size as i64 / 2
            } else {
                3
            };
            random.between(0, most)
        };
        let begins: Vec<i64> = axes.iter().map(|&axis| one(from[axis])).collect();
        let ends: Vec<i64> = axes.iter().map(|&axis| one(from[axis])).collect();
        let mut output: Vec<i64> = from.iter().map(|&d| d as i64).collect();
        for ((&axis, begin), end) in axes.iter().zip(&begins).zip(&ends) {
            output[axis] += begin + end;
        }
        if output.iter().any(|&d| d <= 0) {
            continue;
        }
        let mut b = Builder::new();
        let x = b.input(elem, &from);
        let pads = b.int64s(&[begins, ends].concat());
        let value = random.between(elem.min().into(), elem.max().into()) as i32;
        let value = match random.between(0, 2) {
            0 => String::new(),
            1 => b.int(elem, value),
            _ => b.ints(elem, &[1], vec![value]),
        };
        let mut inputs = vec![x, pads, value];
        if named {
            let list: Vec<i64> = axes.iter().map(|&at| at as i64 - rank as i64).collect();
            inputs.push(b.int64s(&list));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let y = b.node("", "Pad", &inputs, &[("mode", text(mode))]);
        b.output(
            &y,
            elem,
            &output.iter().map(|&d| d as usize).collect::<Vec<_>>(),
        );
        taken += u64::from(taken_exactly(seed, &b.finish(), &mut random));
    }
    assert!(taken > 2 * SEEDS, "{taken} taken");
}

/// A random `Resize`; `None` where the drawn sizes make no model.
fn resize_case(random: &mut Random, seed: u64) -> Option<Model> {
    let elem = *random.pick(&ELEMS);
    let large = random.one_in(4);
    let from = if large {
        let rank = random.size(1, 2);
        (0..rank).map(|_| random.size(1, 60)).collect()
    } else {
        shape(random, 5)
    };
    let axes: Option<Vec<usize>> = random
        .one_in(3)
        .then(|| (0..from.len()).filter(|_| random.one_in(2)).collect())
        .filter(|axes: &Vec<usize>| !axes.is_empty());
    let resized = axes.clone().unwrap_or_else(|| (0..from.len()).collect());
    let mut output = from.clone();
    let mut b = Builder::new();
    let x = b.input(elem, &from);
    let inputs = if random.one_in(2) {
        let scales: Vec<f32> = resized
            .iter()
            .map(|_| {
                let common = [
                    1.0,
                    2.0,
                    3.0,
                    0.5,
                    0.25,
                    1.5,
                    0.75,
                    1.1,
                    2.0 / 3.0,
                    1.0 / 3.0,
                ];
                if random.one_in(3) {
                    random.float(-2, 1)
                } else {
                    *random.pick(&common)
                }
            })
            .collect();
        for (&axis, &scale) in resized.iter().zip(&scales) {
            output[axis] = (scale * from[axis] as f32).floor() as usize;
        }
        // As a list even where there is one.
        let data = proofmark_onnx::TensorData::Float(scales.clone());
        let tensor = proofmark_onnx::Tensor::new(vec![scales.len()], data).expect("a list");
        vec![x, String::new(), b.constant(tensor)]
    } else {
        for &axis in &resized {
            output[axis] = *random.pick(&[
                from[axis],
                2 * from[axis],
                random.clone().size(1, 3 * from[axis]),
            ]);
        }
        let sizes: Vec<i64> = resized.iter().map(|&axis| output[axis] as i64).collect();
        vec![x, String::new(), String::new(), b.int64s(&sizes)]
    };
    if output.contains(&0) || output.iter().product::<usize>() > 3000 {
        return None;
    }
    let modes = [
        "asymmetric",
        "half_pixel",
        "pytorch_half_pixel",
        "align_corners",
    ];
    let nearest = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"];
    let mut attributes = vec![
        (
            "coordinate_transformation_mode",
            text(modes[seed as usize % 4]),
        ),
        ("nearest_mode", text(nearest[seed as usize / 4 % 4])),
    ];
    if let Some(axes) = axes {
        attributes.push((
            "axes",
            ints(&axes.iter().map(|&at| at as i64).collect::<Vec<_>>()),
        ));
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let y = b.node("", "Resize", &inputs, &attributes);
    b.output(&y, elem, &output);
    Some(b.finish())
}

#[test]
fn resize() {
    let mut taken = 0;
    for seed in 0..8 * SEEDS {
        let mut random = Random::new(5000 + seed);
        if let Some(model) = resize_case(&mut random, seed) {
            taken += u64::from(taken_exactly(seed, &model, &mut random));
        }
    }
    assert!(taken > 4 * SEEDS, "{taken} taken");
}

#[test]
fn concat_transpose_and_reshape() {
    for seed in 0..SEEDS {
        let mut random = Random::new(6000 + seed);
        let elem = *random.pick(&ELEMS);
        let first = shape(&mut random, 4);
        let axis = random.size(0, first.len() - 1);
        let mut joined = first.clone();
        joined[axis] = 0;
        let mut b = Builder::new();
        let mut inputs = Vec::new();
        for _ in 0..random.size(1, 3) {
            let mut one = first.clone();
            one[axis] = random.size(1, 3);
            joined[axis] += one[axis];
            inputs.push(b.input(elem, &one));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let named = axis as i64
            - if random.one_in(2) {
                first.len() as i64
            } else {
                0
            };
        let y = b.node("", "Concat", &inputs, &[("axis", Attribute::Int(named))]);
        let mut perm: Vec<usize> = (0..joined.len()).collect();
        for at in (1..perm.len()).rev() {
            perm.swap(at, random.size(0, at));
        }
        let list: Vec<i64> = perm.iter().map(|&at| at as i64).collect();
        let y = b.node("", "Transpose", &[&y], &[("perm", ints(&list))]);
        let turned: Vec<usize> = perm.iter().map(|&at| joined[at]).collect();
        let split = random.size(0, turned.len());
        let y = b.node(
            "",
            "Flatten",
            &[&y],
            &[("axis", Attribute::Int(split as i64))],
        );
        let (left, right) = turned.split_at(split);
        let (left, right): (usize, usize) = (left.iter().product(), right.iter().product());
        let middle = b.int64s(&[-1, 1, right as i64]);
        let y = b.node("", "Reshape", &[&y, &middle], &[]);
        let one = b.int64s(&[1]);
        let y = b.node("", "Squeeze", &[&y, &one], &[]);
        let ends = b.int64s(&[-1, 0]);
        let y = b.node("", "Unsqueeze", &[&y, &ends], &[]);
        b.output(&y, elem, &[1, left, right, 1]);
        run(seed, &b.finish(), &mut random);
    }
}

/// What a mover makes of a constant border is a constant in the circuit: nothing is proven twice.
#[test]
fn movers_cost_nothing() {
    let mut b = Builder::new();
    let x = b.input(ElemType::Int8, &[1, 3]);
    let pads = b.int64s(&[0, 1, 0, 1]);
    let value = b.int(ElemType::Int8, -7);
    let padded = b.node("", "Pad", &[&x, &pads, &value], &[]);
    b.output(&padded, ElemType::Int8, &[1, 5]);
    let model = b.finish();
    let (_, costs) = plan(&model, &Policy::public(1, 1))
        .expect("in the dialect")
        .circuit_with_costs()
        .expect("compiles");
    let pad = costs
        .iter()
        .find(|cost| cost.op_type == "Pad")
        .expect("the node");
    assert_eq!(pad.constraints, 0);
}

#[test]
fn movers_behind_one_another() {
    let mut random = Random::new(11);
    let mut b = Builder::new();
    let x = b.input(ElemType::Uint8, &[1, 2, 3, 4]);
    let z = b.input(ElemType::Uint8, &[1, 3, 3, 4]);
    let joined = b.node("", "Concat", &[&x, &z], &[("axis", Attribute::Int(1))]);
    let turned = b.node(
        "",
        "Transpose",
        &[&joined],
        &[("perm", Attribute::Ints(vec![0, 2, 3, 1]))],
    );
    let flat = b.node("", "Flatten", &[&turned], &[("axis", Attribute::Int(2))]);
    let shape = b.int64s(&[0, -1, 1, 2]);
    let shaped = b.node("", "Reshape", &[&flat, &shape], &[]);
    let two = b.int64s(&[2]);
    let squeezed = b.node("", "Squeeze", &[&shaped, &two], &[]);
    let zero = b.int64s(&[0, -1]);
    let out = b.node("", "Unsqueeze", &[&squeezed, &zero], &[]);
    b.output(&out, ElemType::Uint8, &[1, 3, 10, 2, 1]);
    run(11, &b.finish(), &mut random);
}
