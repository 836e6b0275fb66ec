//! Whole models through the importer.

use proofmark_onnx::{Attribute, Dim};

use super::testing::{exact, microsoft, refused, show, start};
use super::*;
use crate::graphs::{Build, list};

#[test]
fn every_layer_keeps_its_integers() {
    let u8s = ElemType::Uint8;
    let mut build = start(&[1, 4, 6, 6], u8s);
    build.bytes("w", ElemType::Int8, &[4, 2, 3, 3]);
    build.quantized("zw", ElemType::Int8, &[], vec![0]);
    build.quantized("b", ElemType::Int32, &[4], vec![-900, 0, 70, 12_000]);
    let inputs = ["q", "sx", "zx", "w", "sw", "zw", "sy", "zy", "b"];
    build.node(
        "QLinearConv",
        &inputs,
        "c",
        &[("group", Attribute::Int(2)), ("pads", list(&[1; 4]))],
    );
    build.node(
        "MaxPool",
        &["c"],
        "p",
        &[("kernel_shape", list(&[2, 2])), ("strides", list(&[2, 2]))],
    );
    build.node("Transpose", &["p"], "t", &[("perm", list(&[0, 2, 3, 1]))]);
    build
        .ints("shape", &[0, -1])
        .node("Reshape", &["t", "shape"], "f", &[]);
    build.bytes("v", u8s, &[36, 5]).bytes("zv", u8s, &[5]);
    build.floats("sv", &[5], vec![0.003, 0.001, 0.02, 0.011, 0.0007]);
    let inputs = ["f", "sy", "zy", "v", "sv", "zv", "sx", "zx"];
    build.node("QLinearMatMul", &inputs, "m", &[]);
    build.node("Concat", &["m", "m"], "k", &[("axis", Attribute::Int(-1))]);
    show(&mut build, "k");
    let (model, made) = exact(&mut build);
    assert_eq!(made.notes.len(), 1);
    assert_eq!(made.outputs[0].shape, [1, 10]);
    let scales = |node: &Node, at: usize| {
        let tensor = model.graph.initializer(node.input(at).unwrap()).unwrap();
        tensor.floats().unwrap().to_vec()
    };
    for node in &model.graph.nodes {
        if node.op_type == "QLinearConv" || node.op_type == "QLinearMatMul" {
            assert_eq!((scales(node, 1), scales(node, 6)), (vec![1.0], vec![1.0]));
        }
    }
    let conv = &model.graph.nodes[0];
    assert_eq!(scales(conv, 4), [0.0123_f32 * 0.0071 / 0.031]);
}

#[test]
fn gemm_with_alpha_int8_and_float_output() {
    for transposed in [0, 1] {
        let mut build = start(&[1, 9], ElemType::Int8);
        let shape: &[usize] = if transposed == 1 { &[6, 9] } else { &[9, 6] };
        build.bytes("w", ElemType::Int8, shape);
        build.quantized("zw", ElemType::Int8, &[], vec![3]);
        let inputs = ["q", "sx", "zx", "w", "sw", "zw", "", "sy", "zy"];
        let attributes = [
            ("transB", Attribute::Int(transposed)),
            ("alpha", Attribute::Float(0.3)),
        ];
        build.node("QGemm", &inputs, "g", &attributes);
        microsoft(&mut build);
        show(&mut build, "g");
        let (_, made) = exact(&mut build);
        assert_eq!(made.outputs[0].elem, ElemType::Int8);

        let mut build = start(&[1, 9], ElemType::Uint8);
        build.bytes("w", ElemType::Int8, shape);
        build.quantized("zw", ElemType::Int8, &[], vec![0]);
        build.quantized("b", ElemType::Int32, &[6], vec![5, -5, 1000, -1000, 0, 1]);
        build.node(
            "QGemm",
            &["q", "sx", "zx", "w", "sw", "zw", "b"],
            "g",
            &attributes,
        );
        microsoft(&mut build);
        build.output("g");
        let (model, made) = exact(&mut build);
        assert_eq!(made.outputs[0].elem, ElemType::Int32);
        assert_eq!(made.outputs[0].name, "g");
        assert_eq!(model.graph.nodes[1].op_type, "Add");
    }
}

#[test]
fn accumulators_and_heads() {
    let mut build = start(&[1, 2, 4, 4], ElemType::Uint8);
    build.model.graph.inputs[0].dims.as_mut().unwrap()[0] = Dim::Symbolic("N".into());
    build.bytes("w", ElemType::Uint8, &[3, 2, 3, 3]);
    build.quantized("zw", ElemType::Uint8, &[], vec![130]);
    build.node("ConvInteger", &["q", "w", "zx", "zw"], "a", &[]);
    build.quantized("b", ElemType::Int32, &[1, 3, 1, 1], vec![9, -9, 0]);
    build
        .node("Add", &["b", "a"], "s", &[])
        .node("Add", &["s", "a"], "d", &[]);
    build.node("Flatten", &["d"], "f", &[]);
    build.node("DequantizeLinear", &["f", "sy"], "l", &[]);
    build.node("Softmax", &["l"], "p", &[]);
    build.node("ArgMax", &["p"], "k", &[("axis", Attribute::Int(1))]);
    build.output("l").output("k");
    let (_, made) = exact(&mut build);
    assert_eq!(made.outputs.len(), 1);
    assert_eq!(made.outputs[0].shape, [1, 12]);
    assert_eq!(made.outputs[0].views.len(), 3);
    assert_eq!(made.inputs[0].shape, [1, 2, 4, 4]);
}

#[test]
fn an_own_model_imports_as_it_is() {
    let mut build = Build::new(&[1, 2, 6, 6]);
    build
        .conv("x", "c", &[3, 2, 3, 3], 1)
        .node("Relu", &["c"], "r", &[]);
    build
        .node("Flatten", &["r"], "f", &[])
        .gemm("f", "y", [4, 108])
        .output("y");
    let calibration = build.calibration(10);
    let own = crate::quantize(&build.model, &calibration, &Options::default()).unwrap();
    let model = proofmark_onnx::parse(&own.model, &proofmark_onnx::Limits::default()).unwrap();
    let again = import_quantized(&model, &Options::default()).unwrap();
    assert_eq!(again.inputs[0].quantizer, None);
    assert_eq!(again.outputs[0].elem, own.outputs[0].elem);
    let session = |bytes: &[u8]| proofmark_runtime::IntSession::load(bytes, OptLevel::DisableAll);
    let spec = &own.inputs[0];
    for sample in &calibration.inputs["x"] {
        let quantizer = spec.quantizer.as_ref().unwrap();
        let x = quantizer.quantize(sample, &spec.shape, spec.elem).unwrap();
        let feed = BTreeMap::from([("x".to_owned(), x)]);
        let [a, b] = [&own.model, &again.model].map(|m| session(m).unwrap().run(&feed).unwrap());
        assert_eq!(a, b);
    }
}

#[test]
fn what_has_no_exact_form_is_listed_at_once() {
    let mut build = start(&[1, 4], ElemType::Uint8);
    build.node("DequantizeLinear", &["q", "sx", "zx"], "d", &[]);
    build.floats("bad", &[], vec![-1.0]);
    build.weight("float", &[4, 2]);
    build
        .node("QuantizeLinear", &["d", "bad", "zx"], "e", &[])
        .node("MatMul", &["d", "float"], "m", &[])
        .node("DynamicQuantizeLinear", &["x"], "n", &[])
        .node("Add", &["q", "d"], "a", &[])
        .node("NonMaxSuppression", &["d"], "u", &[])
        .node("Sigmoid", &["u"], "behind", &[]);
    for name in ["e", "m", "n", "a", "u", "behind"] {
        build.output(name);
    }
    let found = refused(&build);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    let wanted = ["e_node", "m_node", "n_node", "a_node", "u_node"];
    assert_eq!(names, wanted);
    assert!(found[1].1.contains("weights are floats"), "{found:?}");

    let mut build = start(&[1, 4], ElemType::Uint8);
    build
        .node("DequantizeLinear", &["q", "sx", "zx"], "d", &[])
        .node("Sigmoid", &["d"], "s", &[])
        .output("d")
        .output("s");
    let found = refused(&build);
    assert!(found[0].1.contains("input of the model"));
    assert!(found[1].1.contains("no QuantizeLinear"), "{found:?}");
    let mut build = start(&[1, 4], ElemType::Uint8);
    build.output("q");
    let dims = &mut build.model.graph.inputs[0].dims;
    *dims = Some(vec![Dim::Static(1), Dim::Symbolic("n".to_owned())]);
    assert!(refused(&build)[0].1.contains("not fixed"));
}

#[test]
fn hostile_scales_and_zero_points_are_refused() {
    let gemm = |change: &dyn Fn(&mut Build)| {
        let mut build = start(&[1, 4], ElemType::Uint8);
        build.bytes("w", ElemType::Uint8, &[4, 2]);
        build.quantized("zw", ElemType::Uint8, &[], vec![128]);
        build.quantized("b", ElemType::Int32, &[2], vec![1, 2]);
        let inputs = ["q", "sx", "zx", "w", "sw", "zw", "b", "sy", "zy"];
        build.node("QGemm", &inputs, "g", &[]);
        microsoft(&mut build);
        show(&mut build, "g");
        change(&mut build);
        import_quantized(&build.model, &Options::default())
    };
    assert!(gemm(&|_| {}).is_ok());
    for scale in [f32::NAN, f32::INFINITY, 0.0, -0.5] {
        for name in ["sx", "sw", "sy"] {
            assert!(gemm(&|b| _ = b.floats(name, &[], vec![scale])).is_err());
        }
    }
    // A multiplier that underflows or overflows float32.
    assert!(gemm(&|b| _ = b.floats("sw", &[], vec![1e-44])).is_err());
    assert!(
        gemm(&|b| _ = b
            .floats("sy", &[], vec![1e-44])
            .floats("sw", &[], vec![1e30]))
        .is_err()
    );
    assert!(gemm(&|b| _ = b.floats("sw", &[3], vec![0.1; 3])).is_err());
    assert!(gemm(&|b| _ = b.floats("sx", &[2], vec![0.1; 2])).is_err());
    assert!(gemm(&|b| _ = b.bytes("zw", ElemType::Int8, &[])).is_err());
    assert!(gemm(&|b| _ = b.bytes("zy", ElemType::Int8, &[])).is_err());
    assert!(gemm(&|b| _ = b.quantized("b", ElemType::Int32, &[3], vec![0; 3])).is_err());
    assert!(gemm(&|b| _ = b.floats("b", &[2], vec![0.0; 2])).is_err());
    assert!(gemm(&|b| _ = b.bytes("w", ElemType::Uint8, &[5, 2])).is_err());
    assert!(gemm(&|b| _ = b.bytes("w", ElemType::Uint8, &[4, 0])).is_err());
    assert!(gemm(&|b| _ = b.weight("w", &[4, 2])).is_err());
}
