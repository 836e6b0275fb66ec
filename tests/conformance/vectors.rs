//! The worked examples of every operator, as its own file gives them: ONNX Runtime == what was
//! worked out by hand == evaluator == witness, and every refusal for its reason.

use proofmark_ops::{Expect, OPERATORS, OpSpec, OpsError, Policy, Vector, plan};
use proofmark_tensor::ElemType;
use proofmark_tests::Checked;

/// Operators that requantize: their results saturate at the ends of a type.
const REQUANTIZE: [&str; 3] = ["QGemm", "QLinearConv", "QLinearMatMul"];

/// Operators that clamp to bounds of their own.
const CLAMP: [&str; 2] = ["Clip", "Relu"];

fn saturates(spec: &OpSpec) -> bool {
    REQUANTIZE.contains(&spec.op_type) || CLAMP.contains(&spec.op_type)
}

fn each(mut work: impl FnMut(&str, &OpSpec, &Vector)) {
    for spec in OPERATORS {
        for vector in (spec.vectors)() {
            work(&format!("{}: {}", spec.op_type, vector.name), spec, &vector);
        }
    }
}

#[test]
fn what_was_worked_out_by_hand_comes_out_of_all_three() {
    let mut count = 0;
    each(|name, _, vector| {
        let Expect::Output { elem, shape, data } = &vector.expect else {
            return;
        };
        let inputs = vector
            .inputs()
            .unwrap_or_else(|| panic!("{name}: inputs do not fit"));
        let bytes = proofmark_onnx::encode(&vector.model());
        let checked = Checked::compile(&bytes).unwrap_or_else(|f| panic!("{name}: {f}"));
        let outputs = checked.run(&inputs);
        let [output] = outputs.as_slice() else {
            panic!("{name}: {} outputs", outputs.len());
        };
        assert_eq!(output.elem(), *elem, "{name}");
        assert_eq!(output.shape(), shape, "{name}");
        assert_eq!(
            output.data(),
            data,
            "{name}: the runtime computes something else"
        );
        checked
            .compare(&inputs)
            .unwrap_or_else(|f| panic!("{name}: {f}"));
        count += 1;
    });
    println!("{count} worked examples");
}

#[test]
fn what_is_refused_is_refused_for_its_reason() {
    let mut count = 0;
    each(|name, spec, vector| {
        let Expect::Refused(part) = vector.expect else {
            return;
        };
        assert!(part.len() > 3, "{name}: no reason given");
        let model = vector.model();
        let policy = Policy::public(model.graph.inputs.len(), model.graph.outputs.len());
        // A refusal that needs proven intervals comes with the circuit.
        let error = plan(&model, &policy)
            .and_then(|plan| plan.circuit())
            .expect_err(name);
        assert!(error.to_string().contains(part), "{name}: {error}");
        if let OpsError::Unsupported(nodes) = &error {
            let [node] = nodes.as_slice() else {
                panic!("{name}: {} nodes are refused", nodes.len());
            };
            assert!(node.op_type.ends_with(spec.op_type), "{name}: {error}");
            assert!(!node.remedy.is_empty(), "{name}");
        }
        count += 1;
    });
    println!("{count} refusals");
}

/// A requantize that saturates ends at an end of its type.
#[test]
fn saturating_examples_saturate() {
    each(|name, spec, vector| {
        if !vector.saturates {
            return;
        }
        assert!(saturates(spec), "{name}: it neither requantizes nor clamps");
        let Expect::Output { elem, data, .. } = &vector.expect else {
            panic!("{name} is refused");
        };
        let ends = [ElemType::min(*elem), ElemType::max(*elem)];
        let at_an_end = data.iter().any(|v| ends.contains(v));
        assert!(
            at_an_end || CLAMP.contains(&spec.op_type),
            "{name}: {data:?}"
        );
    });
}

#[test]
fn every_operator_of_the_list_has_its_examples() {
    let mut lacking = Vec::new();
    for spec in OPERATORS {
        let vectors = (spec.vectors)();
        let outputs = vectors
            .iter()
            .filter(|v| matches!(v.expect, Expect::Output { .. }))
            .count();
        let saturating = vectors.iter().any(|v| v.saturates);
        if outputs == 0 || outputs == vectors.len() || (saturates(spec) && !saturating) {
            lacking.push(format!(
                "{}: {outputs} outputs, {} refusals, saturating {saturating}",
                spec.op_type,
                vectors.len() - outputs
            ));
        }
        let mut names: Vec<&str> = vectors.iter().map(|v| v.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(
            names.len(),
            vectors.len(),
            "{}: one name twice",
            spec.op_type
        );
    }
    assert_eq!(lacking, Vec::<String>::new());
}
