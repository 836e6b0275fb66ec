//! Loading and running: what is checked, what is refused, and that nothing crashes or prints.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Builder, Random, feeds, ints, pool_model};
use proofmark_onnx::{Node, ValueType};
use proofmark_runtime::{
    AnySession, FloatSession, FloatTensor, IntSession, OptLevel, RuntimeError, SessionOptions,
    Value,
};
use proofmark_types::ElemType;

const U8: ElemType = ElemType::Uint8;

fn ramp() -> Vec<i32> {
    (0..16).collect()
}

#[test]
fn an_integer_model_runs() {
    let session = IntSession::load(&pool_model(), OptLevel::DisableAll).unwrap();
    assert_eq!(session.inputs()[0].name, "x");
    assert_eq!(session.inputs()[0].elem, "uint8");
    assert_eq!(
        session.inputs()[0].dims,
        [Some(1), Some(1), Some(4), Some(4)]
    );
    assert_eq!(
        session.outputs()[0].dims,
        [Some(1), Some(1), Some(2), Some(2)]
    );
    let x = ints(U8, &[1, 1, 4, 4], ramp());
    let y = session.run(&feeds([("x", x)])).unwrap();
    assert_eq!(y["y"], ints(U8, &[1, 1, 2, 2], vec![5, 7, 13, 15]));
}

/// The runtime hands the input's own memory out: it must outlive the copy.
#[test]
fn an_output_that_is_an_input_is_that_input() {
    let int8 = ValueType::Int(ElemType::Int8);
    let model = Builder::new()
        .input("x", int8, &[64])
        .output("x", int8, &[64]);
    let session = IntSession::load(&model.bytes(), OptLevel::DisableAll).unwrap();
    for round in 0..50 {
        let x = ints(ElemType::Int8, &[64], (0..64).map(|i| i - round).collect());
        let y = session.run(&feeds([("x", x.clone())])).unwrap();
        assert_eq!(y["x"], x);
    }
}

#[test]
fn inputs_are_checked_before_the_run() {
    let session = IntSession::load(&pool_model(), OptLevel::DisableAll).unwrap();
    let good = ints(U8, &[1, 1, 4, 4], ramp());
    let refuse = |inputs: Vec<(&'static str, proofmark_types::IntTensor)>| {
        session.run(&feeds(inputs)).unwrap_err()
    };
    let cases = [
        (refuse(vec![]), "input-missing", "input \"x\" is missing"),
        (
            refuse(vec![("X", good.clone())]),
            "input-missing",
            "input \"x\" is missing",
        ),
        (
            refuse(vec![("x", good.clone()), ("z", good.clone())]),
            "input-unknown",
            "no input \"z\"",
        ),
        (
            refuse(vec![("x", ints(ElemType::Int8, &[1, 1, 4, 4], ramp()))]),
            "input-type",
            "must be uint8, got int8",
        ),
        (
            refuse(vec![("x", ints(U8, &[1, 1, 16], ramp()))]),
            "input-shape",
            "must have shape [1, 1, 4, 4], got [1, 1, 16]",
        ),
        (
            refuse(vec![("x", ints(U8, &[1, 1, 4, 0], vec![]))]),
            "input-shape",
            "must have shape [1, 1, 4, 4], got [1, 1, 4, 0]",
        ),
    ];
    for (error, code, text) in cases {
        assert_eq!(error.code(), code);
        assert!(error.to_string().contains(text), "{error}");
    }
    // and the session still works
    session.run(&feeds([("x", good)])).unwrap();
}

#[test]
fn ends_of_another_kind_are_refused_by_name_and_type() {
    let error = FloatSession::load(&pool_model(), OptLevel::All)
        .err()
        .unwrap();
    assert_eq!(error.code(), "model-type");
    assert!(
        error
            .to_string()
            .contains("input \"x\" of the model is uint8"),
        "{error}"
    );

    let wide = Builder::new()
        .input("x", ValueType::Int64, &[2])
        .output("y", ValueType::Int64, &[2])
        .node(Node::new("n", "Abs", &["x"], &["y"]))
        .bytes();
    let error = AnySession::load(&wide, OptLevel::DisableAll).err().unwrap();
    assert!(error.to_string().contains("is int64"), "{error}");
}

/// A float `x` is quantized, pooled as integers, and dequantized.
fn mixed_model() -> Vec<u8> {
    let (float, int) = (ValueType::Float, ValueType::Int(U8));
    Builder::new()
        .input("x", float, &[1, 1, 2, 2])
        .float("s", &[], vec![0.5])
        .int("z", U8, &[], vec![10])
        .node(Node::new("q", "QuantizeLinear", &["x", "s", "z"], &["xq"]))
        .node(
            Node::new("pool", "MaxPool", &["xq"], &["yq"])
                .with("kernel_shape", proofmark_onnx::Attribute::Ints(vec![2, 2])),
        )
        .node(Node::new(
            "d",
            "DequantizeLinear",
            &["yq", "s", "z"],
            &["y"],
        ))
        .output("y", float, &[1, 1, 1, 1])
        .output("xq", int, &[1, 1, 2, 2])
        .output("yq", int, &[1, 1, 1, 1])
        .bytes()
}

#[test]
fn mixed_ends_and_integer_intermediates_come_back() {
    let session = AnySession::load(&mixed_model(), OptLevel::DisableAll).unwrap();
    let x = FloatTensor::new(vec![1, 1, 2, 2], vec![-1.0, 0.25, 0.75, 1000.0]).unwrap();
    let y = session.run(&feeds([("x", Value::Float(x))])).unwrap();
    // 0.25/0.5 and 0.75/0.5 are ties, to even: 0 and 2
    assert_eq!(
        y["xq"],
        Value::Int(ints(U8, &[1, 1, 2, 2], vec![8, 10, 12, 255]))
    );
    assert_eq!(y["yq"], Value::Int(ints(U8, &[1, 1, 1, 1], vec![255])));
    assert_eq!(y["y"].clone().into_float().unwrap().data, [122.5]);

    let short = FloatTensor {
        shape: vec![1, 1, 2, 2],
        data: vec![0.0; 3],
    };
    let error = session
        .run(&feeds([("x", Value::Float(short))]))
        .unwrap_err();
    assert_eq!(error.code(), "input-length");
    let integer = Value::Int(ints(U8, &[1, 1, 2, 2], vec![0; 4]));
    assert_eq!(
        session.run(&feeds([("x", integer)])).unwrap_err().code(),
        "input-type"
    );
}

#[test]
fn a_float_model_runs_at_every_level() {
    let model = Builder::new()
        .input("x", ValueType::Float, &[1, 2])
        .float("w", &[2, 2], vec![1.0, 2.0, 3.0, 4.0])
        .float("b", &[2], vec![0.5, -100.0])
        .node(Node::new("g", "Gemm", &["x", "w", "b"], &["g"]))
        .node(Node::new("r", "Relu", &["g"], &["y"]))
        .output("y", ValueType::Float, &[1, 2])
        .bytes();
    for opt in [
        OptLevel::DisableAll,
        OptLevel::Basic,
        OptLevel::Extended,
        OptLevel::All,
    ] {
        let session = FloatSession::load(&model, opt).unwrap();
        let x = FloatTensor::new(vec![1, 2], vec![1.0, 2.0]).unwrap();
        assert_eq!(
            session.run(&feeds([("x", x)])).unwrap()["y"].data,
            [7.5, 0.0],
            "{opt:?}"
        );
    }
}

#[test]
fn threads_share_a_session() {
    let options = SessionOptions {
        max_parallel: 2,
        intra_threads: 2,
        ..SessionOptions::new(OptLevel::DisableAll)
    };
    let session = IntSession::load_with(&pool_model(), &options).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let session = &session;
            scope.spawn(move || {
                for round in 0..50 {
                    let top = thread * 20 + round % 10;
                    let mut data = vec![0; 16];
                    data[5] = top;
                    let y = session
                        .run(&feeds([("x", ints(U8, &[1, 1, 4, 4], data))]))
                        .unwrap();
                    assert_eq!(y["y"].data(), [top, 0, 0, 0]);
                }
            });
        }
    });
}

#[test]
fn every_truncation_of_a_model_is_refused() {
    let model = mixed_model();
    for length in 0..model.len() {
        match AnySession::load(&model[..length], OptLevel::DisableAll) {
            Err(RuntimeError::Model { source }) => assert!(!source.to_string().is_empty()),
            Err(other) => panic!("{length} of {} bytes: {other:?}", model.len()),
            Ok(_) => panic!("{length} of {} bytes were accepted", model.len()),
        }
    }
}

#[test]
fn damaged_and_foreign_bytes_do_not_crash() {
    let mut random = Random(1);
    let model = mixed_model();
    let mut refused = 0;
    for _ in 0..2_000 {
        let mut bytes = model.clone();
        for _ in 0..random.between(1, 4) {
            let at = usize::try_from(random.bits() % model.len() as u64).unwrap();
            bytes[at] = random.bits().to_le_bytes()[0];
        }
        refused += i32::from(AnySession::load(&bytes, OptLevel::DisableAll).is_err());
    }
    // a changed name or weight is still a model
    assert!((1..2_000).contains(&refused), "{refused} of 2000 refused");

    for _ in 0..200 {
        let bytes: Vec<u8> = (0..64).map(|_| random.bits().to_le_bytes()[0]).collect();
        assert!(AnySession::load(&bytes, OptLevel::DisableAll).is_err());
    }
    // ONNX Runtime's own format (a flat buffer whose identifier stands at byte 4) is not ONNX
    let own_format = [&[0x18, 0, 0, 0][..], b"ORTM", &[0; 64]].concat();
    assert!(AnySession::load(&own_format, OptLevel::DisableAll).is_err());
}

#[test]
fn the_runtimes_own_words_are_the_cause() {
    let model = Builder::new()
        .input("x", ValueType::Float, &[1])
        .node(Node::new("n", "NoSuchOperator", &["x"], &["y"]))
        .output("y", ValueType::Float, &[1])
        .bytes();
    let error = FloatSession::load(&model, OptLevel::DisableAll)
        .err()
        .unwrap();
    assert_eq!(error.code(), "model-refused");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("NoSuchOperator"), "{cause}");
}
