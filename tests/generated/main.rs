//! Generated files are committed; here they are made again and compared. `UPDATE_EXPECT=1`
//! rewrites them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use proofmark_ops::{Expect, OPERATORS, OpSpec};

fn check(file: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, generated).expect("the file can be written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        committed, generated,
        "{file} is stale: run the tests with UPDATE_EXPECT=1"
    );
}

fn domain(spec: &OpSpec) -> &str {
    if spec.domain.is_empty() {
        "ai.onnx"
    } else {
        spec.domain
    }
}

#[test]
fn operators_md() {
    let mut text = String::from(
        "# Operators that can be proven\n\n\
         The integer dialect: what an integer model may consist of. Generated from the list in\n\
         `circuits/ops/src/ops/mod.rs`; a test keeps it current. Every operator is compared with ONNX Runtime\n\
         1.31.1 bit for bit: its worked examples and random parameters in `tests/conformance`, random graphs in\n\
         `tests/fuzz`. All run at `ORT_DISABLE_ALL` on the CPU provider. Whatever is not in this list is refused,\n\
         with the node's name and what to do.\n\n\
         | operator | domain | operator set from | what it computes | worked examples |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    let mut sections = String::new();
    for spec in OPERATORS {
        let vectors = (spec.vectors)();
        let refused = vectors
            .iter()
            .filter(|v| matches!(v.expect, Expect::Refused(_)))
            .count();
        writeln!(
            text,
            "| [`{}`](#{}) | {} | {} | {} | {} and {refused} refusals |",
            spec.op_type,
            spec.op_type.to_lowercase(),
            domain(spec),
            spec.since,
            spec.summary,
            vectors.len() - refused
        )
        .expect("a string takes it");
        writeln!(
            sections,
            "\n## {}\n\n- Limits: {}.\n- Constraints and encodings (plain backend): {}.\n- Portability: {}.",
            spec.op_type, spec.limits, spec.cost, spec.portability
        )
        .expect("a string takes it");
        for vector in &vectors {
            let line = match vector.expect {
                Expect::Output { .. } => format!("- Example: {}.", vector.name),
                Expect::Refused(part) => format!("- Refused: {} (\"{part}\").", vector.name),
            };
            writeln!(sections, "{line}").expect("a string takes it");
        }
    }
    text.push_str(
        "\nA requantize costs the bits of its accumulator's proven interval and at most 4 more where the\n\
         multiplier is a canonical shift (all models of our own quantizer); other multipliers take an affine\n\
         form with corrections or a threshold table, whichever is cheaper. `proofmark inspect` prints the cost\n\
         of each node of a model.\n",
    );
    text.push_str(&sections);
    check("OPERATORS.md", &text);
}
