//! Small models that reach every operator, encoding and boundary form.

use proofmark_onnx::{Attribute, Model};
use proofmark_ops::{Expect, OPERATORS, OpSpec, Vector};
use proofmark_tensor::ElemType;
use proofmark_tensor::requantize::shift_multiplier;
use proofmark_tests::build::Builder;

use ElemType::{Int8, Int32, Uint8};

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) model: Model,
}

fn case(name: &'static str, b: Builder) -> Case {
    Case {
        name: name.to_owned(),
        model: b.finish(),
    }
}

fn ints(list: &[i64]) -> Attribute {
    Attribute::Ints(list.to_vec())
}

fn shift(k: u32) -> f32 {
    shift_multiplier(k).expect("a shift")
}

/// A fully connected layer as `QLinearMatMul`; `m` and zero points choose the encoding.
fn dense(
    b: &mut Builder,
    x: &str,
    elem: ElemType,
    (depth, columns): (usize, usize),
    m: f32,
    (zx, zw, zy): (i32, i32, i32),
) -> String {
    let span = i64::from(elem.max()) - i64::from(elem.min()) + 1;
    let weights = (0..depth * columns)
        .map(|i| ((i as i64 * 97 + 31) % span) as i32 + elem.min())
        .collect();
    let w = b.ints(elem, &[depth, columns], weights);
    let (one, m) = (b.floats(&[1.0]), b.floats(&[m]));
    let [zx, zw, zy] = [zx, zw, zy].map(|z| b.int(elem, z));
    b.node(
        "",
        "QLinearMatMul",
        &[x, &one, &zx, &w, &m, &zw, &one, &zy],
        &[],
    )
}

/// Every operator that allocates a wire, and both boundary forms of every type.
pub(crate) fn operators() -> Vec<Case> {
    let mut out = Vec::new();

    for (name, elem, m, zero_points) in [
        ("matmul: shift, both clamps", Uint8, shift(6), (3, 120, 0)),
        ("matmul: shift, int8", Int8, shift(7), (-1, 5, -128)),
        ("matmul: shift 1", Uint8, shift(1), (0, 0, 0)),
        ("matmul: shift 15", Uint8, shift(15), (0, 0, 0)),
        ("matmul: affine or table", Uint8, 0.0171, (7, 130, 13)),
        ("matmul: affine or table, int8", Int8, 0.0203, (5, -9, 9)),
        ("matmul: steep", Uint8, 60.0, (9, 131, 100)),
        ("matmul: power of two", Int8, 0.125, (0, 0, 0)),
        ("matmul: huge", Uint8, f32::MAX, (0, 128, 17)),
        ("matmul: denormal", Uint8, f32::from_bits(1), (0, 128, 17)),
    ] {
        let mut b = Builder::new();
        let x = b.input(elem, &[1, 3]);
        let y = dense(&mut b, &x, elem, (3, 2), m, zero_points);
        b.output(&y, elem, &[1, 2]);
        out.push(case(name, b));
    }

    let mut b = Builder::new();
    let x = b.input(Uint8, &[1, 11]);
    let y = dense(&mut b, &x, Uint8, (11, 9), shift(9), (128, 100, 0));
    let z = dense(&mut b, &y, Uint8, (9, 2), 0.011, (4, 127, 60));
    b.output(&z, Uint8, &[1, 2]);
    out.push(case("two layers, packed input", b));

    let mut b = Builder::new();
    let x = b.input(Uint8, &[1, 60]);
    let y = dense(&mut b, &x, Uint8, (60, 1), shift(10), (128, 100, 0));
    b.output(&y, Uint8, &[1, 1]);
    out.push(case("sixty terms: explicit low bit", b));

    let mut b = Builder::new();
    let x = b.input(Int8, &[1, 2]);
    let w = b.ints(Int8, &[3, 2], vec![3, -128, 127, 5, -7, 9]);
    let (one, m) = (b.floats(&[1.0]), b.floats(&[shift(5), 0.021, 1.5]));
    let (zx, zy) = (b.int(Int8, -128), b.int(Int8, -128));
    let zw = b.ints(Int8, &[3], vec![4; 3]);
    let c = b.ints(Int32, &[3], vec![-900, 40_000, 7]);
    let y = b.node(
        "com.microsoft",
        "QGemm",
        &[&x, &one, &zx, &w, &m, &zw, &c, &one, &zy],
        &[("transB", Attribute::Int(1))],
    );
    b.output(&y, Int8, &[1, 3]);
    out.push(case("gemm with three encodings", b));

    let mut b = Builder::new();
    let x = b.input(Uint8, &[1, 2, 3, 3]);
    let w = b.ints(Uint8, &[2, 1, 2, 2], vec![3, 250, 128, 9, 0, 255, 77, 130]);
    let (one, m) = (b.floats(&[1.0]), b.floats(&[shift(7), 0.0061]));
    let (zx, zw, zy) = (b.int(Uint8, 3), b.int(Uint8, 128), b.int(Uint8, 0));
    let c = b.ints(Int32, &[2], vec![500, -500]);
    let y = b.node(
        "",
        "QLinearConv",
        &[&x, &one, &zx, &w, &m, &zw, &one, &zy, &c],
        &[
            ("group", Attribute::Int(2)),
            ("kernel_shape", ints(&[2, 2])),
            ("pads", ints(&[1, 0, 0, 0])),
            ("strides", ints(&[2, 1])),
        ],
    );
    b.output(&y, Uint8, &[1, 2, 2, 2]);
    out.push(case("grouped convolution, packed in, raw out", b));

    let mut b = Builder::new();
    let x = b.input(Uint8, &[1, 1, 3]);
    let w = b.ints(Uint8, &[1, 1, 2], vec![200, 3]);
    let (zx, zw) = (b.int(Uint8, 255), b.int(Uint8, 7));
    let y = b.node(
        "",
        "ConvInteger",
        &[&x, &w, &zx, &zw],
        &[("kernel_shape", ints(&[2]))],
    );
    b.output(&y, Int32, &[1, 1, 2]);
    out.push(case("convolution to int32", b));

    let mut b = Builder::new();
    let x = b.input(Uint8, &[1, 2]);
    let w = b.ints(Uint8, &[2, 9], (0..18).map(|i| i * 14).collect());
    let acc = b.node("", "MatMulInteger", &[&x, &w], &[]);
    let c = b.ints(Int32, &[9], (0..9).map(|i| (i - 4) * 500_000_000).collect());
    let y = b.node("", "Add", &[&acc, &c], &[]);
    b.output(&y, Int32, &[1, 9]);
    out.push(case("int32 logits, packed", b));

    for elem in [Uint8, Int8] {
        let mut b = Builder::new();
        let x = b.input(elem, &[1, 1, 2, 3]);
        let y = b.node(
            "",
            "MaxPool",
            &[&x],
            &[
                ("kernel_shape", ints(&[2, 2])),
                ("pads", ints(&[0, 1, 0, 0])),
            ],
        );
        b.output(&y, elem, &[1, 1, 1, 3]);
        out.push(case("max pool", b));
    }

    let mut b = Builder::new();
    let x = b.input(Uint8, &[1, 2]);
    let y = b.node("", "Concat", &[&x, &x], &[("axis", Attribute::Int(1))]);
    let y = b.node("", "Transpose", &[&y], &[]);
    let shape = b.int64s(&[1, 1, 2, 2]);
    let y = b.node("", "Reshape", &[&y, &shape], &[]);
    let y = b.node(
        "",
        "MaxPool",
        &[&y],
        &[
            ("kernel_shape", ints(&[2, 2])),
            ("pads", ints(&[1, 1, 1, 1])),
        ],
    );
    b.output(&y, Uint8, &[1, 1, 3, 3]);
    out.push(case("one tensor twice, maximum of itself, packed out", b));

    let mut b = Builder::new();
    let x = b.input(Int32, &[1, 3]);
    let y = b.node("", "Flatten", &[&x], &[]);
    let zero = b.int64s(&[0]);
    let y = b.node("", "Squeeze", &[&y, &zero], &[]);
    let y = b.node("", "Unsqueeze", &[&y, &zero], &[]);
    b.output(&y, Int32, &[1, 3]);
    out.push(case("int32 moved only", b));

    let mut b = Builder::new();
    let x = b.input(Int32, &[1, 9]);
    let y = b.node("", "Flatten", &[&x], &[]);
    b.output(&y, Int32, &[1, 9]);
    out.push(case("int32 moved only, packed", b));

    out.extend(boundaries());
    out.extend(arithmetic());
    out.extend(tables());
    out.extend(worked_examples());
    out
}

/// What every operator's own file shows.
fn worked_examples() -> Vec<Case> {
    let shown = |spec: &'static OpSpec| {
        let op_type = spec.op_type;
        let computes = |vector: &Vector| matches!(vector.expect, Expect::Output { .. });
        let case = move |vector: Vector| Case {
            name: format!("{op_type}: {}", vector.name),
            model: vector.model(),
        };
        (spec.vectors)().into_iter().filter(computes).map(case)
    };
    OPERATORS
        .iter()
        .flat_map(|spec| shown(spec).collect::<Vec<_>>())
        .collect()
}

/// An 8-bit tensor as int32.
fn wide(b: &mut Builder, x: &str) -> String {
    b.node("", "Cast", &[x], &[("to", Attribute::Int(6))])
}

/// Products of computed tensors, quotients, choices.
fn arithmetic() -> Vec<Case> {
    let mut out = Vec::new();

    let mut b = Builder::new();
    let left = b.input(Uint8, &[1, 2]);
    let right = b.input(Uint8, &[2, 2]);
    let (one, m) = (b.floats(&[1.0]), b.floats(&[0.0021]));
    let [zl, zr, zy] = [7, 130, 20].map(|z| b.int(Uint8, z));
    let inputs = [left.as_str(), &one, &zl, &right, &m, &zr, &one, &zy];
    let y = b.node("", "QLinearMatMul", &inputs, &[]);
    b.output(&y, Uint8, &[1, 2]);
    out.push(case("product of two computed tensors", b));

    let mut b = Builder::new();
    let x = b.input(Int8, &[1, 2]);
    let wide_x = wide(&mut b, &x);
    let square = b.node("", "Mul", &[&wide_x, &wide_x], &[]);
    let axis = b.int64s(&[1]);
    let y = b.node("", "ReduceSum", &[&square, &axis], &[]);
    b.output(&y, Int32, &[1, 1]);
    out.push(case("sum of squares", b));

    for (name, divisor) in [
        ("a power of two", Some(16)),
        ("7", Some(7)),
        ("a tensor", None),
    ] {
        let mut b = Builder::new();
        let x = b.input(Uint8, &[2]);
        let x = wide(&mut b, &x);
        let d = match divisor {
            Some(d) => b.int(Int32, d),
            None => {
                let d = b.input(Uint8, &[1]);
                let d = wide(&mut b, &d);
                let one = b.int(Int32, 1);
                b.node("", "Add", &[&d, &one], &[])
            }
        };
        let y = b.node("", "Div", &[&x, &d], &[]);
        b.output(&y, Int32, &[2]);
        out.push(Case {
            name: format!("division by {name}"),
            ..case("", b)
        });
    }
    out
}

/// Tables of one 8-bit tensor and of two, in every form that they take.
fn tables() -> Vec<Case> {
    let mut out = Vec::new();
    let noise = |i: i32| (i * i * i + 41 * i).rem_euclid(256);
    let clamped = |i: i32| i.clamp(30, 200);
    let curve = |i: i32| (255.0 / (1.0 + (-f64::from(i - 120) / 25.0).exp())).round() as i32;
    for (name, of) in [
        ("noise", &noise as &dyn Fn(i32) -> i32),
        ("a clamp", &clamped),
        ("a curve", &curve),
        ("a line", &|i| 255 - i),
    ] {
        let mut b = Builder::new();
        let x = b.input(Int8, &[2]);
        let index = wide(&mut b, &x);
        let offset = b.int(Int32, 128);
        let index = b.node("", "Add", &[&index, &offset], &[]);
        let table = b.ints(Uint8, &[256], (0..256).map(of).collect());
        let y = b.node("", "Gather", &[&table, &index], &[]);
        b.output(&y, Uint8, &[2]);
        out.push(Case {
            name: format!("table: {name}"),
            ..case("", b)
        });
    }

    let rounded = |v: f32| (v.round_ties_even() as i32).clamp(0, 255);
    let sum =
        |a: i32, b: i32| rounded(0.713_427 * (a - 9) as f32 + 0.339_157 * (b - 100) as f32 + 40.0);
    let even = |a: i32, b: i32| rounded((a + b) as f32 / 2.0);
    let product = |a: i32, b: i32| rounded((a - 128) as f32 * (b - 30) as f32 * 0.007_131 + 100.0);
    for (name, of) in [
        ("a sum", &sum as &dyn Fn(i32, i32) -> i32),
        ("a mean, halves to even", &even),
        ("a product", &product),
    ] {
        let mut b = Builder::new();
        let left = b.input(Uint8, &[1]);
        let right = b.input(Uint8, &[1]);
        let (left, right) = (wide(&mut b, &left), wide(&mut b, &right));
        let row = b.int(Int32, 256);
        let high = b.node("", "Mul", &[&left, &row], &[]);
        let index = b.node("", "Add", &[&high, &right], &[]);
        let entries = (0..65_536).map(|at| of(at >> 8, at & 255)).collect();
        let table = b.ints(Uint8, &[65_536], entries);
        let y = b.node("", "Gather", &[&table, &index], &[]);
        b.output(&y, Uint8, &[1]);
        out.push(Case {
            name: format!("table of two: {name}"),
            ..case("", b)
        });
    }
    out
}

/// Odd graphs that are inside the dialect.
fn boundaries() -> Vec<Case> {
    let mut out = Vec::new();

    let mut b = Builder::new();
    let x = b.input(Uint8, &[2]);
    let unused = b.input(Int8, &[3]);
    let packed = b.input(Int8, &[10]);
    let y = b.node("", "Flatten", &[&x], &[("axis", Attribute::Int(0))]);
    b.output(&y, Uint8, &[1, 2]);
    assert_ne!(unused, packed);
    out.push(case("inputs that nothing reads", b));

    let mut b = Builder::new();
    let x = b.input(Uint8, &[1, 2]);
    let left = b.node("", "Flatten", &[&x], &[]);
    let right = b.node("", "Transpose", &[&x], &[]);
    b.output(&left, Uint8, &[1, 2]);
    b.output(&right, Uint8, &[2, 1]);
    out.push(case("one input, two outputs", b));

    let mut b = Builder::new();
    let x = b.input(Uint8, &[1, 2]);
    let dead = dense(&mut b, &x, Uint8, (2, 1), shift(4), (0, 100, 0));
    let y = dense(&mut b, &x, Uint8, (2, 1), 1e-30, (0, 0, 77));
    b.output(&y, Uint8, &[1, 1]);
    assert_ne!(dead, y);
    out.push(case("a constant output and a dead layer", b));

    let mut b = Builder::new();
    let x = b.input(Uint8, &[1, 2]);
    let y = dense(&mut b, &x, Uint8, (2, 1), shift(3), (0, 100, 0));
    let z = dense(&mut b, &y, Uint8, (1, 1), shift(2), (1, 29, 0));
    b.output(&y, Uint8, &[1, 1]);
    b.output(&z, Uint8, &[1, 1]);
    out.push(case("an inner tensor is an output too", b));

    out
}
