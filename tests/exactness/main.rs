//! Every threshold of a requantize, and both neighbours, through all three: ONNX Runtime, the
//! integer evaluator and the circuit. The accumulators are constructed, not random: a fully
//! connected layer with weights 255 and 1 lets the input reach any wanted accumulator.

use proofmark_gadgets::requantize::{self, Kind};
use proofmark_onnx::{Attribute, Model};
use proofmark_tensor::requantize::shift_multiplier;
use proofmark_tensor::{ElemType, IntTensor, Requantize};
use proofmark_tests::build::Builder;
use proofmark_tests::{Checked, Random};

/// Inputs with weight 255; one more has weight 1.
const COARSE: usize = 140;
/// Accumulators reach 0 … this, before the bias is added.
const REACH: i32 = (COARSE as i32) * 255 * 255 + 255;

/// One column, weights 255 … 255, 1, the given bias and step.
fn layer(step: &Requantize, bias: i32) -> Model {
    let mut b = Builder::new();
    let x = b.input(ElemType::Uint8, &[1, COARSE + 1]);
    let mut weights = vec![255; COARSE];
    weights.push(1);
    let w = b.ints(ElemType::Uint8, &[1, COARSE + 1], weights);
    let one = b.floats(&[1.0]);
    let m = b.floats(&[step.multiplier()]);
    let x_zp = b.int(ElemType::Uint8, 0);
    // QGemm's output type is that of its input, so an int8 output comes from an int8 layer.
    let y_zp = b.int(step.elem(), step.zero_point());
    let c = b.ints(ElemType::Int32, &[1], vec![bias]);
    let y = b.node(
        "com.microsoft",
        "QGemm",
        &[&x, &one, &x_zp, &w, &m, &x_zp, &c, &one, &y_zp],
        &[
            ("transB", Attribute::Int(1)),
            ("alpha", Attribute::Float(1.0)),
        ],
    );
    b.output(&y, step.elem(), &[1, 1]);
    b.finish()
}

/// The input that reaches `acc` (before the bias), 0 ≤ acc ≤ REACH.
fn reaching(acc: i32) -> IntTensor {
    assert!((0..=REACH).contains(&acc));
    let mut left = acc;
    let mut data: Vec<i32> = (0..COARSE)
        .map(|_| {
            let x = (left / 255).min(255);
            left -= 255 * x;
            x
        })
        .collect();
    assert!(left <= 255);
    data.push(left);
    IntTensor::new(ElemType::Uint8, vec![1, COARSE + 1], data).expect("values are in range")
}

/// All steps inside the layer's reach, ±1, and the ends. Returns how many accumulators.
fn every_threshold(step: &Requantize, bias: i32) -> usize {
    let checked = Checked::new(&layer(step, bias));
    let (lo, hi) = (bias, bias + REACH);
    let mut accs: Vec<i32> = vec![lo, lo + 1, hi - 1, hi];
    for threshold in step.thresholds(lo, hi) {
        accs.extend([threshold.acc - 1, threshold.acc, threshold.acc + 1]);
    }
    accs.retain(|acc| (lo..=hi).contains(acc));
    accs.sort_unstable();
    accs.dedup();
    for &acc in &accs {
        checked.check(&[reaching(acc - bias)]);
    }
    accs.len()
}

#[test]
fn every_shift() {
    for k in 1..=15 {
        let step = Requantize::new(shift_multiplier(k).expect("a shift"), 0, ElemType::Uint8)
            .expect("a step function");
        // Both saturations lie inside: all 255 steps are met.
        assert!(every_threshold(&step, -(2 << k)) >= 500, "k {k}");
    }
}

#[test]
fn affine_forms_and_threshold_tables() {
    let mut random = Random::new(2026);
    let (mut affine, mut table) = (0, 0);
    for case in 0..14 {
        let zero_point = random.between(0, 255) as i32;
        // From a few steps over the whole reach to a few accumulators a step.
        let m = random.float(-20, -8);
        let step = Requantize::new(m, zero_point, ElemType::Uint8).expect("a step function");
        let bias = -random.between(0, i64::from(REACH)) as i32;
        let encoding = requantize::plan(&step, bias, bias + REACH);
        match encoding.map(|e| e.kind().clone()) {
            Ok(Kind::Affine(_)) => affine += 1,
            Ok(Kind::Table(_)) => table += 1,
            Ok(_) => {}
            Err(error) => panic!("case {case}: {error}"),
        }
        assert!(every_threshold(&step, bias) >= 4, "case {case}");
    }
    assert!(affine + table >= 10, "affine {affine}, table {table}");
}

#[test]
fn the_ends_of_int32() {
    for (m, bias) in [
        (3.0e-7, i32::MAX - REACH),
        (3.0e-7, i32::MIN),
        (5.9e-8, i32::MAX - REACH),
        (5.9e-8, i32::MIN),
    ] {
        let step = Requantize::new(m, 128, ElemType::Uint8).expect("a step function");
        assert!(every_threshold(&step, bias) >= 4);
    }
}

/// The experiment of the design: taken as an exact rational, M would round 78.50000079 up; the
/// runtime rounds the product to float32 first and answers 78.
#[test]
fn product_is_rounded_to_float32_first() {
    let step = Requantize::new(0.000_231_593_48, 0, ElemType::Uint8).expect("a step function");
    let checked = Checked::new(&layer(&step, 0));
    let input = [reaching(338_956)];
    assert_eq!(checked.run(&input)[0].data(), [78]);
    checked.check(&input);
}
