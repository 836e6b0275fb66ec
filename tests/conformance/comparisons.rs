//! Operators that compare: pools, clamps, element-wise extrema, the position of a maximum.

use proofmark_onnx::{Attribute, Model};
use proofmark_ops::{OpsError, Policy, plan};
use proofmark_tensor::ElemType;
use proofmark_tests::Random;
use proofmark_tests::build::{Builder, random_tensor};

use crate::run;

const ELEMS: [ElemType; 3] = [ElemType::Uint8, ElemType::Int8, ElemType::Int32];
const SEEDS: u64 = 60;

fn shape(random: &mut Random, most: usize) -> Vec<usize> {
    let rank = random.size(1, most);
    (0..rank).map(|_| *random.pick(&[1, 1, 2, 3, 4])).collect()
}

fn any(random: &mut Random, elem: ElemType) -> i32 {
    random_tensor(random, elem, &[]).data()[0]
}

fn refused(model: &Model) -> bool {
    let policy = Policy::public(model.graph.inputs.len(), model.graph.outputs.len());
    matches!(plan(model, &policy), Err(OpsError::Unsupported(_)))
}

#[test]
fn max_pool() {
    let (mut taken, mut rounded_up) = (0, 0);
    for seed in 0..4 * SEEDS {
        let mut random = Random::new(500 + seed);
        let elem = *random.pick(&ELEMS[..2]);
        let rank = random.size(1, 2);
        let mut list = |lo, hi| {
            (0..rank)
                .map(|_| random.between(lo, hi))
                .collect::<Vec<i64>>()
        };
        let (size, kernel, strides) = (list(1, 6), list(1, 3), list(1, 4));
        let dilations = if seed % 3 == 0 {
            list(1, 2)
        } else {
            vec![1; rank]
        };
        let auto_pad = *random.pick(&["NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]);
        let pads: Vec<i64> = (0..2 * rank)
            .map(|at| match auto_pad {
                "NOTSET" => random.between(0, kernel[at % rank] - 1),
                _ => 0,
            })
            .collect();
        let ceil = random.one_in(2);
        let mut output = vec![1, 2];
        let mut possible = true;
        for d in 0..rank {
            let reach = dilations[d] * (kernel[d] - 1) + 1;
            if auto_pad.starts_with("SAME") {
                output.push((size[d] + strides[d] - 1) / strides[d]);
                continue;
            }
            let free = size[d] + pads[d] + pads[d + rank] - reach;
            possible &= free >= 0;
            let mut windows = free / strides[d] + 1;
            if ceil && free % strides[d] != 0 {
                // Where the last window would begin in the padding it is refused.
                possible &= windows * strides[d] < size[d] + pads[d];
                windows += 1;
                rounded_up += 1;
            }
            output.push(windows);
        }
        if !possible {
            continue;
        }
        let mut b = Builder::new();
        let mut from = vec![1, 2];
        from.extend(size.iter().map(|&d| d as usize));
        let x = b.input(elem, &from);
        let mut attributes = vec![
            ("kernel_shape", Attribute::Ints(kernel)),
            ("strides", Attribute::Ints(strides)),
            ("dilations", Attribute::Ints(dilations)),
            ("auto_pad", Attribute::String(auto_pad.to_owned())),
            ("ceil_mode", Attribute::Int(ceil.into())),
        ];
        if auto_pad == "NOTSET" {
            attributes.push(("pads", Attribute::Ints(pads)));
        }
        let y = b.node("", "MaxPool", &[&x], &attributes);
        b.output(
            &y,
            elem,
            &output.iter().map(|&d| d as usize).collect::<Vec<_>>(),
        );
        let model = b.finish();
        if auto_pad.starts_with("SAME") && refused(&model) {
            continue;
        }
        run(seed, &model, &mut random);
        taken += 1;
    }
    assert!(taken > 2 * SEEDS && rounded_up > 10, "{taken} {rounded_up}");
}

#[test]
fn clip_and_relu() {
    for seed in 0..3 * SEEDS {
        let mut random = Random::new(7000 + seed);
        let elem = *random.pick(&ELEMS);
        let from = shape(&mut random, 4);
        let mut b = Builder::new();
        let x = b.input(elem, &from);
        let mut bound = || {
            let value = any(&mut random, elem);
            match random.between(0, 3) {
                0 => String::new(),
                1 => b.ints(elem, &[1], vec![value]),
                _ => b.int(elem, value),
            }
        };
        let (lo, hi) = (bound(), bound());
        let y = b.node("", "Clip", &[&x, &lo, &hi], &[]);
        b.output(&y, elem, &from);
        if elem != ElemType::Uint8 {
            let y = b.node("", "Relu", &[&x], &[]);
            b.output(&y, elem, &from);
        }
        run(seed, &b.finish(), &mut random);
    }
}

/// Every pair of bounds near the ends and the middle, every byte.
#[test]
fn clip_of_every_byte() {
    for elem in [ElemType::Uint8, ElemType::Int8] {
        let (min, max) = (elem.min(), elem.max());
        let ends = [min, min + 1, min + 127, min + 128, min + 129, max - 1, max];
        for lo in ends {
            for hi in ends {
                let mut b = Builder::new();
                let x = b.input(elem, &[256]);
                let (lo, hi) = (b.int(elem, lo), b.int(elem, hi));
                let y = b.node("", "Clip", &[&x, &lo, &hi], &[]);
                b.output(&y, elem, &[256]);
                let all = proofmark_tensor::IntTensor::new(elem, vec![256], (min..=max).collect());
                let inputs = vec![vec![all.expect("every byte")]];
                assert_eq!(proofmark_tests::three_way(&b.finish(), &inputs), 256);
            }
        }
    }
}

#[test]
fn max_and_min() {
    for seed in 0..2 * SEEDS {
        let mut random = Random::new(8000 + seed);
        let elem = *random.pick(&ELEMS);
        let output = shape(&mut random, 4);
        let mut b = Builder::new();
        let mut operands = Vec::new();
        let mut got = vec![1; output.len()];
        let count = random.size(1, 4);
        for at in 0..count {
            // The first operand has the whole rank.
            let skip = random.size(0, if at == 0 { 0 } else { output.len() });
            let one: Vec<usize> = output[skip..]
                .iter()
                .map(|&d| if random.one_in(3) { 1 } else { d })
                .collect();
            for (d, &size) in one.iter().enumerate() {
                got[skip + d] = got[skip + d].max(size);
            }
            let is_data = at == 0 || random.one_in(2);
            operands.push(if is_data {
                b.input(elem, &one)
            } else {
                let constant = random_tensor(&mut random, elem, &one);
                b.constant(constant.into())
            });
        }
        operands.rotate_left(random.size(0, count - 1));
        let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
        for op_type in ["Max", "Min"] {
            let y = b.node("", op_type, &operands, &[]);
            b.output(&y, elem, &got);
        }
        run(seed, &b.finish(), &mut random);
    }
}

#[test]
fn arg_max() {
    for seed in 0..2 * SEEDS {
        let mut random = Random::new(9000 + seed);
        let elem = *random.pick(&ELEMS);
        let mut from = shape(&mut random, 4);
        let axis = random.size(0, from.len() - 1);
        from[axis] = random.size(1, 7);
        let keep = random.one_in(2);
        let last = random.one_in(2);
        let named = axis as i64
            - if random.one_in(2) {
                from.len() as i64
            } else {
                0
            };
        let mut b = Builder::new();
        // Few different values, so that there are ties.
        let x = b.input(elem, &from);
        let (lo, hi) = (b.int(elem, 0), b.int(elem, 2));
        let few = b.node("", "Clip", &[&x, &lo, &hi], &[]);
        let mut output = from.clone();
        if keep {
            output[axis] = 1;
        } else {
            output.remove(axis);
        }
        for tensor in [&x, &few] {
            let index = b.node(
                "",
                "ArgMax",
                &[tensor],
                &[
                    ("axis", Attribute::Int(named)),
                    ("keepdims", Attribute::Int(keep.into())),
                    ("select_last_index", Attribute::Int(last.into())),
                ],
            );
            let to = *random.pick(&[
                (ElemType::Int32, 6),
                (ElemType::Uint8, 2),
                (ElemType::Int8, 3),
            ]);
            let y = b.node("", "Cast", &[&index], &[("to", Attribute::Int(to.1))]);
            b.output(&y, to.0, &output);
        }
        run(seed, &b.finish(), &mut random);
    }
}

/// An int64 result is no output of a model, and nothing but `Cast` reads it.
#[test]
fn arg_max_without_a_cast_is_refused() {
    let mut b = Builder::new();
    let x = b.input(ElemType::Uint8, &[1, 4]);
    let index = b.node("", "ArgMax", &[&x], &[]);
    b.output(&index, ElemType::Int32, &[1, 4]);
    let mut model = b.finish();
    model.graph.outputs[0].ty = proofmark_onnx::ValueType::Int64;
    let error = plan(&model, &Policy::public(1, 1)).expect_err("refused");
    assert_eq!(error.code(), "model-boundary");

    let mut b = Builder::new();
    let x = b.input(ElemType::Uint8, &[1, 4]);
    let index = b.node("", "ArgMax", &[&x], &[]);
    let moved = b.node("", "Flatten", &[&index], &[]);
    let y = b.node("", "Cast", &[&moved], &[("to", Attribute::Int(6))]);
    b.output(&y, ElemType::Int32, &[1, 4]);
    assert!(refused(&b.finish()));
}
