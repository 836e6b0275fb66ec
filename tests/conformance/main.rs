//! Every operator of the dialect: ONNX Runtime == integer evaluator == witness, on random
//! parameters and inputs that favour the extremes.

mod arithmetic;
mod comparisons;
mod movers;
mod tables;
mod vectors;

use proofmark_onnx::{Attribute, Model};
use proofmark_ops::{OPERATORS, OpsError, Policy, plan};
use proofmark_tensor::requantize::shift_multiplier;
use proofmark_tensor::{ElemType, IntTensor};
use proofmark_tests::build::{Builder, random_tensor};
use proofmark_tests::{Random, three_way};

const ELEMS: [ElemType; 2] = [ElemType::Uint8, ElemType::Int8];

fn zero_point(random: &mut Random, elem: ElemType) -> i32 {
    let choice = [
        elem.min(),
        elem.max(),
        0,
        random.between(elem.min().into(), elem.max().into()) as i32,
    ];
    *random.pick(&choice)
}

/// A multiplier that spreads `reach`-sized accumulators over the output range, or a canonical
/// shift, or a hostile one.
fn multiplier(random: &mut Random, reach: i64) -> f32 {
    let fit = 64 - (reach.max(1) as u64).leading_zeros() as i64;
    match random.between(0, 4) {
        0 => shift_multiplier(random.between(1, 15) as u32).expect("a shift"),
        1 => random.float(-126, 3),
        _ => random.float(-fit + 4, -fit + 9),
    }
}

fn bias(random: &mut Random, channels: usize, reach: i64) -> Vec<i32> {
    (0..channels)
        .map(|_| random.between(-reach, reach) as i32)
        .collect()
}

fn run(seed: u64, model: &Model, random: &mut Random) -> usize {
    let inputs: Vec<Vec<IntTensor>> = (0..3)
        .map(|_| {
            model
                .graph
                .inputs
                .iter()
                .map(|info| {
                    let elem = match info.ty {
                        proofmark_onnx::ValueType::Int(elem) => elem,
                        _ => unreachable!("integer inputs only"),
                    };
                    random_tensor(random, elem, &info.static_shape().expect("static"))
                })
                .collect()
        })
        .collect();
    let compared = three_way(model, &inputs);
    assert!(compared > 0, "seed {seed} compared nothing");
    compared
}

struct ConvCase {
    x: String,
    w: String,
    x_zero_point: String,
    w_zero_point: String,
    one_zero_point: bool,
    attributes: Vec<(&'static str, Attribute)>,
    elem: ElemType,
    out_shape: Vec<usize>,
    reach: i64,
}

fn conv_case(random: &mut Random, builder: &mut Builder) -> ConvCase {
    let elem = *random.pick(&ELEMS);
    let rank = random.size(1, 2);
    let groups = *random.pick(&[1, 1, 2, 3]);
    let per_group = random.size(1, 2);
    let out_channels = groups * random.size(1, 2);
    let mut list = |lo, hi| {
        (0..rank)
            .map(|_| random.between(lo, hi))
            .collect::<Vec<i64>>()
    };
    let (spatial, kernel, strides, dilations) = (list(3, 6), list(1, 3), list(1, 2), list(1, 2));
    let (begin, end) = (list(0, 2), list(0, 2));
    let mut out = Vec::new();
    for d in 0..rank {
        let reach = dilations[d] * (kernel[d] - 1) + 1;
        let padded = spatial[d] + begin[d] + end[d];
        if reach > padded {
            return conv_case(random, builder);
        }
        out.push(((padded - reach) / strides[d] + 1) as usize);
    }
    let mut x_shape = vec![1, groups * per_group];
    x_shape.extend(spatial.iter().map(|&d| d as usize));
    let mut w_shape = vec![out_channels, per_group];
    w_shape.extend(kernel.iter().map(|&d| d as usize));
    let x = builder.input(elem, &x_shape);
    let weights = random_tensor(random, elem, &w_shape);
    let w = builder.constant(weights.into());
    let x_zero_point = zero_point(random, elem);
    let each: Vec<i32> = (0..out_channels)
        .map(|_| zero_point(random, elem))
        .collect();
    let one_zero_point = random.one_in(2);
    let w_zero_point = if one_zero_point {
        builder.int(elem, each[0])
    } else {
        builder.ints(elem, &[out_channels], each)
    };
    let mut out_shape = vec![1, out_channels];
    out_shape.extend(&out);
    let taps: i64 = kernel.iter().product::<i64>() * per_group as i64;
    ConvCase {
        x,
        w,
        x_zero_point: builder.int(elem, x_zero_point),
        w_zero_point,
        one_zero_point,
        attributes: vec![
            ("kernel_shape", Attribute::Ints(kernel)),
            ("strides", Attribute::Ints(strides)),
            ("dilations", Attribute::Ints(dilations)),
            (
                "pads",
                Attribute::Ints(begin.into_iter().chain(end).collect()),
            ),
            ("group", Attribute::Int(groups as i64)),
        ],
        elem,
        out_shape,
        reach: taps * 255 * 128,
    }
}

#[test]
fn q_linear_conv() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let mut b = Builder::new();
        let case = conv_case(&mut random, &mut b);
        let channels = case.out_shape[1];
        let scales = if random.one_in(2) { channels } else { 1 };
        let multipliers: Vec<f32> = (0..scales)
            .map(|_| multiplier(&mut random, case.reach))
            .collect();
        let one = b.floats(&[1.0]);
        let m = b.floats(&multipliers);
        let y_zero_point = zero_point(&mut random, case.elem);
        let y_zp = b.int(case.elem, y_zero_point);
        let biases = bias(&mut random, channels, case.reach);
        let c = b.ints(ElemType::Int32, &[channels], biases);
        let mut inputs = vec![
            &case.x,
            &one,
            &case.x_zero_point,
            &case.w,
            &m,
            &case.w_zero_point,
            &one,
            &y_zp,
        ];
        if random.one_in(2) {
            inputs.push(&c);
        }
        let inputs: Vec<&str> = inputs.into_iter().map(String::as_str).collect();
        let y = b.node("", "QLinearConv", &inputs, &case.attributes);
        b.output(&y, case.elem, &case.out_shape);
        run(seed, &b.finish(), &mut random);
    }
}

#[test]
fn conv_integer() {
    for seed in 100..120 {
        let mut random = Random::new(seed);
        // The runtime's ConvInteger knows uint8 inputs and one weight zero point only.
        let (case, mut b) = loop {
            let mut fresh = Builder::new();
            let case = conv_case(&mut random, &mut fresh);
            if case.elem == ElemType::Uint8 && case.one_zero_point {
                break (case, fresh);
            }
        };
        let inputs = [
            case.x.as_str(),
            &case.w,
            &case.x_zero_point,
            &case.w_zero_point,
        ];
        let y = b.node("", "ConvInteger", &inputs, &case.attributes);
        b.output(&y, ElemType::Int32, &case.out_shape);
        run(seed, &b.finish(), &mut random);
    }
}

#[test]
fn q_gemm() {
    for seed in 200..260 {
        let mut random = Random::new(seed);
        let mut b = Builder::new();
        let elem = *random.pick(&ELEMS);
        let (depth, columns) = (random.size(1, 40), random.size(1, 12));
        let x = b.input(elem, &[1, depth]);
        let transposed = random.one_in(2);
        let shape = if transposed {
            [columns, depth]
        } else {
            [depth, columns]
        };
        let weights = random_tensor(&mut random, elem, &shape);
        let w = b.constant(weights.into());
        let reach = depth as i64 * 255 * 128;
        let scales = if random.one_in(2) { columns } else { 1 };
        let multipliers: Vec<f32> = (0..scales)
            .map(|_| multiplier(&mut random, reach))
            .collect();
        let one = b.floats(&[1.0]);
        let m = b.floats(&multipliers);
        let zps: Vec<i32> = (0..3).map(|_| zero_point(&mut random, elem)).collect();
        let x_zp = b.int(elem, zps[0]);
        // Per-channel weights may have a zero point each.
        let w_zp = if scales == 1 {
            b.int(elem, zps[1])
        } else {
            let each = (0..columns)
                .map(|_| zero_point(&mut random, elem))
                .collect();
            b.ints(elem, &[columns], each)
        };
        let y_zp = b.int(elem, zps[2]);
        let biases = bias(&mut random, columns, reach);
        let c = b.ints(ElemType::Int32, &[columns], biases);
        let c = if random.one_in(3) { String::new() } else { c };
        let y = b.node(
            "com.microsoft",
            "QGemm",
            &[&x, &one, &x_zp, &w, &m, &w_zp, &c, &one, &y_zp],
            &[
                ("transB", Attribute::Int(transposed.into())),
                ("alpha", Attribute::Float(1.0)),
            ],
        );
        b.output(&y, elem, &[1, columns]);
        run(seed, &b.finish(), &mut random);
    }
}

#[test]
fn q_linear_mat_mul() {
    for seed in 300..330 {
        let mut random = Random::new(seed);
        let mut b = Builder::new();
        let elem = *random.pick(&ELEMS);
        let (rows, depth, columns) = (random.size(1, 3), random.size(1, 20), random.size(1, 8));
        let x = b.input(elem, &[rows, depth]);
        let weights = random_tensor(&mut random, elem, &[depth, columns]);
        let w = b.constant(weights.into());
        let one = b.floats(&[1.0]);
        let m = multiplier(&mut random, depth as i64 * 255 * 128);
        let m = b.floats(&[m]);
        let zps: Vec<i32> = (0..3).map(|_| zero_point(&mut random, elem)).collect();
        let zps: Vec<String> = zps.iter().map(|&z| b.int(elem, z)).collect();
        let y = b.node(
            "",
            "QLinearMatMul",
            &[&x, &one, &zps[0], &w, &m, &zps[1], &one, &zps[2]],
            &[],
        );
        b.output(&y, elem, &[rows, columns]);
        run(seed, &b.finish(), &mut random);
    }
}

#[test]
fn mat_mul_integer_and_add() {
    for seed in 400..430 {
        let mut random = Random::new(seed);
        let mut b = Builder::new();
        let (depth, columns) = (random.size(1, 40), random.size(1, 40));
        let x = b.input(ElemType::Uint8, &[1, depth]);
        let weights = random_tensor(&mut random, ElemType::Uint8, &[depth, columns]);
        let w = b.constant(weights.into());
        let zps = [
            zero_point(&mut random, ElemType::Uint8),
            zero_point(&mut random, ElemType::Uint8),
        ];
        let x_zp = b.int(ElemType::Uint8, zps[0]);
        let w_zp = if random.one_in(2) {
            b.int(ElemType::Uint8, zps[1])
        } else {
            let each = (0..columns)
                .map(|_| zero_point(&mut random, ElemType::Uint8))
                .collect();
            b.ints(ElemType::Uint8, &[columns], each)
        };
        let acc = b.node("", "MatMulInteger", &[&x, &w, &x_zp, &w_zp], &[]);
        let biases = bias(&mut random, columns, 1 << 30);
        let c = b.ints(ElemType::Int32, &[columns], biases);
        let sum = if random.one_in(2) {
            b.node("", "Add", &[&acc, &c], &[])
        } else {
            b.node("", "Add", &[&c, &acc], &[])
        };
        b.output(&sum, ElemType::Int32, &[1, columns]);
        run(seed, &b.finish(), &mut random);
    }
}

#[test]
fn add_of_two_tensors_broadcasts() {
    let mut random = Random::new(7);
    let mut b = Builder::new();
    let x = b.input(ElemType::Uint8, &[3, 2]);
    let y = b.input(ElemType::Uint8, &[1, 2]);
    let identity = b.ints(ElemType::Uint8, &[2, 2], vec![1, 0, 0, 1]);
    let left = b.node("", "MatMulInteger", &[&x, &identity], &[]);
    let right = b.node("", "MatMulInteger", &[&y, &identity], &[]);
    let sum = b.node("", "Add", &[&left, &right], &[]);
    b.output(&sum, ElemType::Int32, &[3, 2]);
    run(7, &b.finish(), &mut random);
}

#[test]
fn every_operator_of_the_list_has_a_case_here() {
    let source = concat!(
        include_str!("main.rs"),
        include_str!("arithmetic.rs"),
        include_str!("comparisons.rs"),
        include_str!("movers.rs"),
    );
    for spec in OPERATORS {
        assert!(
            source.contains(&format!("\"{}\"", spec.op_type)),
            "{} has no case",
            spec.op_type
        );
    }
}

#[test]
fn all_refused_nodes_are_listed_at_once() {
    let mut b = Builder::new();
    let x = b.input(ElemType::Uint8, &[1, 4]);
    let relu = b.node("", "Relu", &[&x], &[]);
    let sum = b.node("", "Add", &[&x, &x], &[]);
    let behind = b.node("", "Flatten", &[&relu], &[]);
    b.output(&sum, ElemType::Uint8, &[1, 4]);
    b.output(&behind, ElemType::Uint8, &[1, 4]);
    let Err(OpsError::Unsupported(nodes)) = plan(&b.finish(), &Policy::public(1, 2)) else {
        panic!("the model is refused");
    };
    let names: Vec<&str> = nodes.iter().map(|n| n.op_type.as_str()).collect();
    assert_eq!(names, ["Relu", "Add"]);
    assert!(
        nodes
            .iter()
            .all(|n| !n.reason.is_empty() && !n.remedy.is_empty())
    );
}

#[test]
fn a_product_that_saturates_on_some_processors_is_refused() {
    let mut b = Builder::new();
    let x = b.input(ElemType::Uint8, &[1, 2]);
    let w = b.ints(ElemType::Int8, &[2, 1], vec![1, -1]);
    let y = b.node("", "MatMulInteger", &[&x, &w], &[]);
    b.output(&y, ElemType::Int32, &[1, 1]);
    let error = plan(&b.finish(), &Policy::public(1, 1)).expect_err("refused");
    assert_eq!(error.code(), "unsupported-node");
    assert!(error.to_string().contains("depends on the processor"));
}

#[test]
fn an_accumulator_that_may_wrap_is_refused() {
    let mut b = Builder::new();
    let x = b.input(ElemType::Uint8, &[1, 1]);
    let w = b.ints(ElemType::Uint8, &[1, 1], vec![1]);
    let acc = b.node("", "MatMulInteger", &[&x, &w], &[]);
    let c = b.ints(ElemType::Int32, &[1], vec![i32::MAX - 100]);
    let sum = b.node("", "Add", &[&acc, &c], &[]);
    b.output(&sum, ElemType::Int32, &[1, 1]);
    let plan = plan(&b.finish(), &Policy::public(1, 1)).expect("in the dialect");
    assert_eq!(
        plan.circuit().expect_err("refused").code(),
        "accumulator-overflow"
    );
}
