//! What is written is read back as it was, and no change to the bytes makes the reader panic.

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proofmark_onnx::{
        Attribute, Dim, Graph, Limits, Model, Node, Tensor, TensorData, ValueInfo, ValueType,
        encode, parse,
    };
    use proofmark_types::{ElemType, IntTensor};
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// One of everything that the graph can hold.
    fn full() -> Model {
        let int = |elem, data: Vec<i32>| IntTensor::new(elem, vec![3], data).unwrap();
        let tensor = |shape: Vec<usize>, data| Tensor::new(shape, data).unwrap();
        let symbolic = |name: &str| Dim::Symbolic(name.to_owned());
        Model {
            ir_version: 10,
            producer_name: "proofmark".to_owned(),
            producer_version: "0.1.0".to_owned(),
            opsets: BTreeMap::from([(String::new(), 21), ("com.microsoft".to_owned(), 1)]),
            graph: Graph {
                name: "main".to_owned(),
                nodes: vec![
                    Node::new("c", "Conv", &["x", "f", ""], &["h"])
                        .with("group", Attribute::Int(-1))
                        .with("alpha", Attribute::Float(0.1))
                        .with("auto_pad", Attribute::String("SAME_UPPER".to_owned()))
                        .with("pads", Attribute::Ints(vec![0, i64::MIN, i64::MAX]))
                        .with("scales", Attribute::Floats(vec![-0.0, 1e-38]))
                        .with(
                            "names",
                            Attribute::Strings(vec!["ä".to_owned(), String::new()]),
                        )
                        .with("none", Attribute::Ints(vec![]))
                        .with(
                            "value",
                            Attribute::Tensor(int(ElemType::Int8, vec![-1, 0, 1]).into()),
                        )
                        .with("body", Attribute::Unsupported("graph")),
                    Node {
                        domain: "com.microsoft".to_owned(),
                        ..Node::new("q", "QGemm", &["h", "u", "i"], &["y", "", "z"])
                    },
                ],
                initializers: BTreeMap::from([
                    (
                        "f".to_owned(),
                        tensor(vec![2, 1], TensorData::Float(vec![f32::MIN, -0.0])),
                    ),
                    (
                        "d".to_owned(),
                        tensor(vec![], TensorData::Double(vec![1e300])),
                    ),
                    (
                        "l".to_owned(),
                        tensor(vec![1], TensorData::Int64(vec![i64::MIN])),
                    ),
                    ("u".to_owned(), int(ElemType::Uint8, vec![0, 1, 255]).into()),
                    (
                        "i".to_owned(),
                        int(ElemType::Int32, vec![i32::MIN, 0, i32::MAX]).into(),
                    ),
                    (
                        "b".to_owned(),
                        tensor(vec![2], TensorData::Bool(vec![true, false])),
                    ),
                    (
                        "e".to_owned(),
                        tensor(vec![0, 4], TensorData::Float(vec![])),
                    ),
                    (
                        "h16".to_owned(),
                        tensor(vec![2], TensorData::Unsupported(10)),
                    ),
                ]),
                inputs: vec![ValueInfo {
                    name: "x".to_owned(),
                    ty: ValueType::Float,
                    dims: Some(vec![symbolic("batch"), Dim::Static(3), symbolic("")]),
                }],
                outputs: vec![
                    ValueInfo::fixed("y", ValueType::Int(ElemType::Uint8), &[]),
                    ValueInfo {
                        name: "z".to_owned(),
                        ty: ValueType::Bool,
                        dims: None,
                    },
                ],
                value_info: BTreeMap::from([(
                    "h".to_owned(),
                    ValueInfo::fixed("h", ValueType::Other(16), &[1, 2]),
                )]),
            },
            metadata: BTreeMap::from([("author".to_owned(), String::new())]),
        }
    }

    #[test]
    fn the_full_model_is_read_back_as_it_was() {
        let bytes = encode(&full());
        let model = parse(&bytes, &Limits::default()).unwrap();
        assert_eq!(model, full());
        assert_eq!(encode(&model), bytes);
    }

    #[test]
    fn formats_before_pure_initializers_are_read_back_too() {
        for ir_version in [1, 3, 4, 14] {
            let model = Model {
                ir_version,
                ..full()
            };
            assert_eq!(parse(&encode(&model), &Limits::default()).unwrap(), model);
        }
    }

    #[test]
    fn a_file_cut_off_anywhere_never_panics() {
        let bytes = encode(&full());
        let whole = full();
        for length in 0..bytes.len() {
            if let Ok(part) = parse(&bytes[..length], &Limits::default()) {
                assert_ne!(part, whole, "cut at {length}");
            }
        }
    }

    fn tensor() -> impl Strategy<Value = Tensor> {
        vec(0_usize..4, 0..4).prop_flat_map(|shape| {
            let n = shape.iter().product::<usize>();
            let int = |elem: ElemType, shape: Vec<usize>| {
                vec(elem.min()..=elem.max(), n).prop_map(move |data| {
                    TensorData::Int(IntTensor::new(elem, shape.clone(), data).unwrap())
                })
            };
            prop_oneof![
                vec(-1e30_f32..1e30, n).prop_map(TensorData::Float),
                vec(-1e300_f64..1e300, n).prop_map(TensorData::Double),
                vec(any::<i64>(), n).prop_map(TensorData::Int64),
                vec(any::<bool>(), n).prop_map(TensorData::Bool),
                int(ElemType::Uint8, shape.clone()),
                int(ElemType::Int8, shape.clone()),
                int(ElemType::Int32, shape.clone()),
                (12_i32..30).prop_map(TensorData::Unsupported),
            ]
            .prop_map(move |data| Tensor {
                shape: shape.clone(),
                data,
            })
        })
    }

    fn attribute() -> impl Strategy<Value = Attribute> {
        prop_oneof![
            any::<i64>().prop_map(Attribute::Int),
            (-1e30_f32..1e30).prop_map(Attribute::Float),
            ".{0,8}".prop_map(Attribute::String),
            tensor().prop_map(Attribute::Tensor),
            vec(any::<i64>(), 0..4).prop_map(Attribute::Ints),
            vec(-1e30_f32..1e30, 0..4).prop_map(Attribute::Floats),
            vec(".{0,8}", 0..4).prop_map(Attribute::Strings),
            prop::sample::select(&["graph", "graphs", "tensors", "type_proto", "sparse_tensor"])
                .prop_map(Attribute::Unsupported),
        ]
    }

    /// A chain with side inputs: node `i` makes `v<i+1>` out of two earlier values.
    fn model() -> impl Strategy<Value = Model> {
        let node = (
            any::<prop::sample::Index>(),
            any::<prop::sample::Index>(),
            attribute(),
        );
        (vec(node, 1..8), tensor(), 1_i64..=14).prop_map(|(steps, weight, ir_version)| {
            let mut model = Model {
                ir_version,
                ..full()
            };
            let graph = &mut model.graph;
            graph.initializers = BTreeMap::from([("v0".to_owned(), weight)]);
            graph.nodes = steps
                .into_iter()
                .enumerate()
                .map(|(i, (a, b, attribute))| {
                    let (a, b) = (
                        format!("v{}", a.index(i + 1)),
                        format!("v{}", b.index(i + 1)),
                    );
                    Node::new(
                        format!("n{i}"),
                        "Add",
                        &[&a, "", &b],
                        &[&format!("v{}", i + 1)],
                    )
                    .with("a", attribute)
                })
                .collect();
            graph.outputs = vec![ValueInfo::fixed("v1", ValueType::Double, &[2])];
            model
        })
    }

    /// Small, so that a change of a length soon meets a limit.
    fn tight() -> Limits {
        Limits {
            max_file_bytes: 1 << 14,
            max_decoded_bytes: 1 << 16,
            max_elements: 64,
            max_total_tensor_bytes: 1 << 10,
            max_string: 64,
            max_name: 32,
            ..Limits::default()
        }
    }

    /// Nothing that is read is larger than the limits say.
    fn check_within(model: &Model, limits: &Limits) {
        let graph = &model.graph;
        let attributes = graph.nodes.iter().flat_map(|node| node.attributes.values());
        let in_attributes = attributes.filter_map(|attribute| match attribute {
            Attribute::Tensor(tensor) => Some(tensor),
            _ => None,
        });
        let mut bytes = 0;
        for tensor in graph.initializers.values().chain(in_attributes) {
            assert!(tensor.shape.len() <= limits.max_rank);
            let elements = tensor.shape.iter().product::<usize>();
            assert!(elements as u64 <= limits.max_elements);
            if let Some(held) = tensor.data.element_count() {
                assert_eq!(held, elements);
                bytes += held as u64
                    * match tensor.data {
                        TensorData::Double(_) | TensorData::Int64(_) => 8,
                        TensorData::Bool(_) => 1,
                        _ => 4,
                    };
            }
        }
        assert!(bytes <= limits.max_total_tensor_bytes);
        let producers = graph.producers();
        for (index, node) in graph.nodes.iter().enumerate() {
            assert!(node.name.len() <= limits.max_name);
            for input in node.inputs.iter().filter(|name| !name.is_empty()) {
                let given = graph.initializers.contains_key(input) || graph.input(input).is_some();
                assert!(given || producers[input.as_str()] < index);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

        #[test]
        fn any_model_is_read_back_as_it_was(model in model()) {
            let bytes = encode(&model);
            let back = parse(&bytes, &Limits::default()).unwrap();
            prop_assert_eq!(&back, &model);
            prop_assert_eq!(encode(&back), bytes);
        }

        #[test]
        fn changed_bytes_never_panic_and_never_exceed_the_limits(
            model in model(),
            changes in vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..6),
        ) {
            let mut bytes = encode(&model);
            for (at, byte, how) in changes {
                let at = at.index(bytes.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => bytes[at] ^= 1 << (byte % 8),
                    2 => bytes.insert(at, byte),
                    _ if bytes.len() > 1 => { bytes.remove(at); }
                    _ => {}
                }
            }
            for limits in [Limits::default(), tight()] {
                if let Ok(model) = parse(&bytes, &limits) {
                    check_within(&model, &limits);
                    // whatever was read can be written and is read the same
                    let again = encode(&model);
                    prop_assert_eq!(encode(&parse(&again, &Limits::default()).unwrap()), again);
                }
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..256)) {
            if let Ok(model) = parse(&bytes, &Limits::default()) {
                check_within(&model, &Limits::default());
            }
        }
    }
}
