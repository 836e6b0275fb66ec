//! Models that somebody would send to break the compiler: each is refused with a code, or proven
//! exactly. None may panic or take the memory that it claims.

use proofmark_onnx::{Attribute, Limits, Model, Tensor, TensorData, ValueInfo, ValueType};
use proofmark_ops::{Policy, plan};
use proofmark_tensor::{ElemType, IntTensor};
use proofmark_tests::build::{Builder, random_tensor};
use proofmark_tests::{Checked, Random};

use ElemType::{Int8, Int32, Uint8};

/// Error code of the whole way from bytes to circuit; `None` when there is a circuit.
fn refusal(model: &Model) -> Option<&'static str> {
    let bytes = proofmark_onnx::encode(model);
    let parsed = match proofmark_onnx::parse(&bytes, &Limits::default()) {
        Ok(parsed) => parsed,
        Err(error) => return Some(error.code()),
    };
    let policy = Policy::public(parsed.graph.inputs.len(), parsed.graph.outputs.len());
    match plan(&parsed, &policy).and_then(|plan| plan.circuit()) {
        Ok(_) => None,
        Err(error) => Some(error.code()),
    }
}

fn proven_exactly(name: &str, model: &Model) {
    assert_eq!(refusal(model), None, "{name}");
    let checked = Checked::new(model);
    let mut random = Random::new(9);
    for _ in 0..4 {
        let inputs: Vec<IntTensor> = checked
            .plan
            .inputs()
            .iter()
            .map(|info| random_tensor(&mut random, info.fact.elem, &info.fact.shape))
            .collect();
        assert!(checked.check(&inputs) > 0, "{name}");
    }
}

fn ints(list: &[i64]) -> Attribute {
    Attribute::Ints(list.to_vec())
}

#[test]
fn odd_outputs() {
    // The output is the input itself.
    let mut b = Builder::new();
    let x = b.input(Int8, &[3]);
    b.output(&x, Int8, &[3]);
    let same = b.finish();

    // One tensor as two outputs of one name.
    let mut b = Builder::new();
    let x = b.input(Uint8, &[1, 2]);
    let y = b.node("", "Flatten", &[&x], &[]);
    b.output(&y, Uint8, &[1, 2]);
    b.output(&y, Uint8, &[1, 2]);
    let twice = b.finish();

    // A constant as the output.
    let mut b = Builder::new();
    let x = b.input(Uint8, &[1, 2]);
    let y = b.node("", "Flatten", &[&x], &[]);
    let c = b.ints(Uint8, &[1], vec![7]);
    b.output(&y, Uint8, &[1, 2]);
    b.output(&c, Uint8, &[1]);
    let constant = b.finish();

    // An initializer under the name of an input: a default that the caller may override.
    let mut b = Builder::new();
    let x = b.input(Uint8, &[1, 2]);
    let y = b.node("", "Flatten", &[&x], &[]);
    b.output(&y, Uint8, &[1, 2]);
    let mut default = b.finish();
    let tensor = IntTensor::new(Uint8, vec![1, 2], vec![1, 2]).expect("a tensor");
    default.graph.initializers.insert(x, tensor.into());

    // Declared with another type or shape than computed.
    let mut b = Builder::new();
    let x = b.input(Uint8, &[1, 2]);
    let y = b.node("", "Flatten", &[&x], &[]);
    b.output(&y, Int8, &[1, 2]);
    let declared = b.finish();

    // No output, no input.
    let mut b = Builder::new();
    b.input(Uint8, &[1, 2]);
    let mut nothing = b.finish();
    nothing
        .graph
        .outputs
        .push(ValueInfo::fixed("ghost", ValueType::Int(Uint8), &[1]));

    for (name, model, code) in [
        ("a constant output", &constant, Some("model-boundary")),
        ("another type", &declared, Some("model-boundary")),
    ] {
        assert_eq!(refusal(model), code, "{name}");
    }
    for (name, model) in [
        ("twice", &twice),
        ("default", &default),
        ("nothing", &nothing),
    ] {
        assert!(refusal(model).is_some(), "{name}");
    }
    proven_exactly("the input itself", &same);
}

#[test]
fn tensors_that_grow_without_bound_are_refused() {
    // Each Concat doubles.
    let mut b = Builder::new();
    let mut x = b.input(Uint8, &[1, 2]);
    for _ in 0..60 {
        x = b.node("", "Concat", &[&x, &x], &[("axis", Attribute::Int(1))]);
    }
    b.output(&x, Uint8, &[1, 2]);
    assert!(refusal(&b.finish()).is_some(), "concat");

    // A broadcast of two long vectors is a huge matrix.
    let mut b = Builder::new();
    let x = b.input(Int32, &[1 << 17, 1]);
    let y = b.input(Int32, &[1, 1 << 17]);
    let sum = b.node("", "Add", &[&x, &y], &[]);
    b.output(&sum, Int32, &[1, 1]);
    assert!(refusal(&b.finish()).is_some(), "broadcast");

    // Padding beyond every input.
    for op in ["MaxPool", "ConvInteger"] {
        let mut b = Builder::new();
        let x = b.input(Uint8, &[1, 1, 2, 2]);
        let w = b.ints(Uint8, &[1, 1, 1, 1], vec![1]);
        let wide = [
            ("kernel_shape", ints(&[1, 1])),
            ("pads", ints(&[1 << 24, 1 << 24, 1 << 24, 1 << 24])),
        ];
        let inputs: &[&str] = if op == "MaxPool" { &[&x] } else { &[&x, &w] };
        let y = b.node("", op, inputs, &wide);
        b.output(&y, Uint8, &[1, 1, 2, 2]);
        assert!(refusal(&b.finish()).is_some(), "{op}");
    }

    // A product with a long side each.
    let mut b = Builder::new();
    let x = b.input(Uint8, &[1 << 20, 1]);
    let w = b.ints(Uint8, &[1, 1 << 14], vec![1; 1 << 14]);
    let y = b.node("", "MatMulInteger", &[&x, &w], &[]);
    b.output(&y, Int32, &[1, 1]);
    assert!(refusal(&b.finish()).is_some(), "product");
}

#[test]
fn malformed_attributes_are_refused() {
    let pool = |attributes: &[(&str, Attribute)]| {
        let mut b = Builder::new();
        let x = b.input(Uint8, &[1, 1, 3, 3]);
        let y = b.node("", "MaxPool", &[&x], attributes);
        b.output(&y, Uint8, &[1, 1, 3, 3]);
        refusal(&b.finish())
    };
    let kernel = ("kernel_shape", ints(&[1, 1]));
    for bad in [
        ("strides", ints(&[0, 1])),
        ("strides", ints(&[1])),
        ("strides", ints(&[i64::MAX, 1])),
        ("dilations", ints(&[-1, 1])),
        ("dilations", ints(&[0, 0])),
        ("pads", ints(&[-1, 0, 0, 0])),
        ("pads", ints(&[0, 0])),
        ("pads", ints(&[i64::MIN; 4])),
        ("auto_pad", Attribute::String("SAME".to_owned())),
        ("ceil_mode", Attribute::Int(2)),
        ("unheard_of", Attribute::Int(1)),
    ] {
        let name = format!("{bad:?}");
        assert_eq!(
            pool(&[kernel.clone(), bad]),
            Some("unsupported-node"),
            "{name}"
        );
    }
    for bad in [
        ints(&[0, 1]),
        ints(&[4, 1]),
        ints(&[1]),
        ints(&[i64::MAX, i64::MAX]),
    ] {
        assert_eq!(pool(&[("kernel_shape", bad)]), Some("unsupported-node"));
    }

    let moved = |op: &str, list: Option<&[i64]>, attributes: &[(&str, Attribute)]| {
        let mut b = Builder::new();
        let x = b.input(Uint8, &[1, 2, 3]);
        let list = list.map(|l| b.int64s(l));
        let mut inputs = vec![x.as_str()];
        inputs.extend(list.as_deref());
        let y = b.node("", op, &inputs, attributes);
        b.output(&y, Uint8, &[1, 2, 3]);
        refusal(&b.finish())
    };
    for (op, list) in [
        ("Reshape", vec![-2, 3]),
        ("Reshape", vec![-1, -1]),
        ("Reshape", vec![i64::MAX, i64::MAX]),
        ("Reshape", vec![0, 0, 0, 0]),
        ("Reshape", vec![4, 2]),
        ("Squeeze", vec![1]),
        ("Squeeze", vec![i64::MIN]),
        ("Unsqueeze", vec![0, 0]),
        ("Unsqueeze", vec![9]),
        ("Unsqueeze", vec![0, -5]),
    ] {
        let code = moved(op, Some(&list), &[]);
        assert_eq!(code, Some("unsupported-node"), "{op} {list:?}");
    }
    for perm in [vec![0, 0, 1], vec![0, 1], vec![-1, 0, 1], vec![0, 1, 3]] {
        let code = moved("Transpose", None, &[("perm", ints(&perm))]);
        assert_eq!(code, Some("unsupported-node"), "{perm:?}");
    }
    for axis in [3, -4, i64::MIN, i64::MAX] {
        let attribute = [("axis", Attribute::Int(axis))];
        let code = moved("Concat", None, &attribute);
        assert_eq!(code, Some("unsupported-node"), "Concat {axis}");
        if axis != 3 {
            let code = moved("Flatten", None, &attribute);
            assert_eq!(code, Some("unsupported-node"), "Flatten {axis}");
        }
    }
}

/// A layer with one scale; `None` leaves the others 1.
fn scaled(x_scale: f32, w_scale: f32, y_scale: f32, alpha: Option<f32>) -> Model {
    let mut b = Builder::new();
    let x = b.input(Uint8, &[1, 2]);
    let w = b.ints(Uint8, &[2, 2], vec![255, 3, 0, 200]);
    let scales = [x_scale, w_scale, y_scale].map(|s| b.floats(&[s]));
    let [zx, zw, zy] = [7, 100, 19].map(|z| b.int(Uint8, z));
    let c = b.ints(Int32, &[2], vec![3, -70_000]);
    let attributes: Vec<(&str, Attribute)> = alpha
        .map(|a| ("alpha", Attribute::Float(a)))
        .into_iter()
        .collect();
    let y = b.node(
        "com.microsoft",
        "QGemm",
        &[
            &x, &scales[0], &zx, &w, &scales[1], &zw, &c, &scales[2], &zy,
        ],
        &attributes,
    );
    b.output(&y, Uint8, &[1, 2]);
    b.finish()
}

#[test]
fn scales_at_the_ends_of_float32() {
    let tiny = f32::from_bits(1);
    for (name, model) in [
        ("largest", scaled(f32::MAX, 1.0, 1.0, None)),
        ("denormal", scaled(tiny, 1.0, 1.0, None)),
        ("vanishes", scaled(tiny, tiny, 1.0, None)),
        ("denormal product", scaled(1e-30, 1e-12, 1.0, None)),
        (
            "denormal times a sum",
            scaled(f32::MIN_POSITIVE, 0.3, 1.0, None),
        ),
        ("divided by a denormal", scaled(1e-38, 1.0, tiny, None)),
        ("alpha 0", scaled(1.0, 1.0, 1.0, Some(0.0))),
        ("alpha", scaled(0.1, 0.7, 3.0, Some(0.3))),
        ("minus 0", scaled(1.0, 1.0, 1.0, Some(-0.0))),
        ("a half", scaled(1.0, 0.5, 1.0, None)),
        (
            "below 2^-16",
            scaled(1.0, f32::from_bits(0x377f_ffff), 1.0, None),
        ),
    ] {
        proven_exactly(name, &model);
    }
    for (name, model) in [
        ("infinite product", scaled(f32::MAX, 2.0, 1.0, None)),
        ("infinite", scaled(f32::INFINITY, 1.0, 1.0, None)),
        ("not a number", scaled(f32::NAN, 1.0, 1.0, None)),
        ("zero", scaled(0.0, 1.0, 1.0, None)),
        ("negative", scaled(-1.0, 1.0, 1.0, None)),
        ("negative alpha", scaled(1.0, 1.0, 1.0, Some(-1.0))),
        ("alpha not a number", scaled(1.0, 1.0, 1.0, Some(f32::NAN))),
        ("infinite quotient", scaled(1.0, 1.0, tiny, None)),
    ] {
        assert_eq!(refusal(&model), Some("unsupported-node"), "{name}");
    }
}

#[test]
fn accumulators_reach_the_last_int32_and_no_further() {
    // 255·255·k + c, exactly at the end and one beyond.
    let model = |bias: i32| {
        let mut b = Builder::new();
        let x = b.input(Uint8, &[1, 2]);
        let w = b.ints(Uint8, &[2, 1], vec![255, 255]);
        let acc = b.node("", "MatMulInteger", &[&x, &w], &[]);
        let c = b.ints(Int32, &[1], vec![bias]);
        let y = b.node("", "Add", &[&acc, &c], &[]);
        b.output(&y, Int32, &[1, 1]);
        b.finish()
    };
    let last = i32::MAX - 2 * 255 * 255;
    proven_exactly("the last", &model(last));
    proven_exactly("the first", &model(i32::MIN));
    assert_eq!(refusal(&model(last + 1)), Some("accumulator-overflow"));

    // Full-range int32 inputs admit no sum at all.
    let mut b = Builder::new();
    let x = b.input(Int32, &[2]);
    let y = b.node("", "Add", &[&x, &x], &[]);
    b.output(&y, Int32, &[2]);
    assert_eq!(refusal(&b.finish()), Some("accumulator-overflow"));
}

#[test]
fn tensors_without_elements_are_refused() {
    let mut b = Builder::new();
    let x = b.input(Uint8, &[1, 0]);
    let y = b.node("", "Flatten", &[&x], &[]);
    b.output(&y, Uint8, &[1, 0]);
    assert_eq!(refusal(&b.finish()), Some("model-boundary"));

    // Empty in the middle, gone at the end: sizes multiply to 0 in one order only.
    let mut b = Builder::new();
    let x = b.input(Uint8, &[1, 2]);
    let w = b.constant(Tensor::from(
        IntTensor::new(Uint8, vec![2, 0], Vec::new()).expect("a tensor"),
    ));
    let none = b.node("", "MatMulInteger", &[&x, &w], &[]);
    let w = b.ints(Uint8, &[2, 1], vec![3, 4]);
    let some = b.node("", "MatMulInteger", &[&x, &w], &[]);
    let y = b.node(
        "",
        "Concat",
        &[&none, &some],
        &[("axis", Attribute::Int(1))],
    );
    b.output(&y, Int32, &[1, 1]);
    let model = b.finish();
    assert_eq!(refusal(&model), Some("unsupported-node"));
}

#[test]
fn one_value_is_never_two_things() {
    // A node writes a value that is an initializer as well.
    let mut b = Builder::new();
    let x = b.input(Int32, &[2]);
    let c = b.ints(Int32, &[2], vec![0, 0]);
    let y = b.node("", "Add", &[&x, &c], &[]);
    b.output(&y, Int32, &[2]);
    let mut model = b.finish();
    model.graph.nodes[0].outputs = vec![c.clone()];
    model.graph.outputs[0].name = c;
    assert!(refusal(&model).is_some(), "written constant");

    // Two nodes write one value.
    let mut b = Builder::new();
    let x = b.input(Uint8, &[1, 2]);
    let y = b.node("", "Flatten", &[&x], &[]);
    let z = b.node("", "Transpose", &[&x], &[]);
    b.output(&y, Uint8, &[1, 2]);
    let mut model = b.finish();
    model.graph.nodes[1].outputs = vec![y.clone()];
    assert!(refusal(&model).is_some(), "written twice");

    // A value read before it is made, by itself.
    let mut b = Builder::new();
    let x = b.input(Uint8, &[1, 2]);
    let y = b.node("", "Concat", &[&x, &z], &[("axis", Attribute::Int(1))]);
    b.output(&y, Uint8, &[1, 4]);
    let mut model = b.finish();
    model.graph.nodes[0].inputs[1] = y;
    assert!(refusal(&model).is_some(), "a loop");

    // Another type where a constant belongs.
    let mut b = Builder::new();
    let x = b.input(Uint8, &[1, 2]);
    let shape = b.constant(Tensor::new(vec![1], TensorData::Float(vec![2.0])).expect("a tensor"));
    let y = b.node("", "Reshape", &[&x, &shape], &[]);
    b.output(&y, Uint8, &[2]);
    assert_eq!(refusal(&b.finish()), Some("unsupported-node"));
}

/// Weight scales and zero points in shapes that some exporter or attacker may write: what is
/// accepted runs, and agrees.
#[test]
fn shapes_of_scales_and_zero_points() {
    let shapes: [&[usize]; 5] = [&[], &[1], &[2], &[1, 2], &[1, 1]];
    let (mut accepted, mut disagree) = (0, Vec::new());
    for op in ["QGemm", "QLinearMatMul", "QLinearConv"] {
        for scale_shape in shapes {
            for zero_shape in shapes {
                for x_shape in [&[][..], &[1], &[1, 1]] {
                    let mut b = Builder::new();
                    let conv = op == "QLinearConv";
                    let (x_dims, w_dims): (&[usize], &[usize]) = if conv {
                        (&[1, 2, 3], &[2, 2, 1])
                    } else {
                        (&[1, 2], &[2, 2])
                    };
                    let x = b.input(Uint8, x_dims);
                    let w = b.ints(Uint8, w_dims, vec![255, 3, 0, 200]);
                    let count = |shape: &[usize]| shape.iter().product::<usize>();
                    let data = [0.011, 0.05][..count(scale_shape)].to_vec();
                    let w_scale = b.constant(
                        Tensor::new(scale_shape.to_vec(), TensorData::Float(data)).expect("scales"),
                    );
                    let w_zero = b.ints(Uint8, zero_shape, vec![100; count(zero_shape)]);
                    let x_scale = b.constant(
                        Tensor::new(x_shape.to_vec(), TensorData::Float(vec![0.7])).expect("scale"),
                    );
                    let x_zero = b.ints(Uint8, x_shape, vec![3]);
                    let (one, zy) = (b.floats(&[1.0]), b.int(Uint8, 19));
                    let y = if op == "QGemm" {
                        let c = b.ints(Int32, &[2], vec![5, -5]);
                        let inputs = [&x, &x_scale, &x_zero, &w, &w_scale, &w_zero, &c, &one, &zy];
                        b.node("com.microsoft", op, &inputs.map(String::as_str), &[])
                    } else {
                        let inputs = [&x, &x_scale, &x_zero, &w, &w_scale, &w_zero, &one, &zy];
                        b.node("", op, &inputs.map(String::as_str), &[])
                    };
                    b.output(&y, Uint8, x_dims);
                    let model = b.finish();
                    if refusal(&model).is_some() {
                        continue;
                    }
                    accepted += 1;
                    let name = format!("{op} {scale_shape:?} {zero_shape:?} {x_shape:?}");
                    let checked = std::panic::catch_unwind(|| proven_exactly(&name, &model));
                    if checked.is_err() {
                        disagree.push(name);
                    }
                }
            }
        }
    }
    assert!(accepted > 20);
    assert!(
        disagree.is_empty(),
        "{} of {accepted}: {disagree:#?}",
        disagree.len()
    );
}
