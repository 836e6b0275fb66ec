//! Generated files are committed; here they are made again and compared. `UPDATE_EXPECT=1`
//! rewrites them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use proofmark_ops::OPERATORS;

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

#[test]
fn operators_md() {
    let mut text = String::from(
        "# Operators that can be proven\n\n\
         The integer dialect: what an integer model may consist of. Generated from the list in\n\
         `circuits/ops/src/ops/mod.rs`; a test keeps it current. Every operator is compared with ONNX\n\
         Runtime 1.31.1 bit for bit in `tests/conformance`. All run at `ORT_DISABLE_ALL` on the CPU provider.\n\
         Whatever is not in this table is refused, with the node's name and what to do.\n\n\
         | operator | domain | operator set from | what it computes | limits | constraints (plain backend) |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for spec in OPERATORS {
        let domain = if spec.domain.is_empty() {
            "ai.onnx"
        } else {
            spec.domain
        };
        writeln!(
            text,
            "| `{}` | {domain} | {} | {} | {} | {} |",
            spec.op_type, spec.since, spec.summary, spec.limits, spec.cost
        )
        .expect("a string takes it");
    }
    text.push_str(
        "\nA requantize costs the bits of its accumulator's proven interval and at most 4 more where the\n\
         multiplier is a canonical shift (all models of our own quantizer); other multipliers take an affine\n\
         form with corrections or a threshold table, whichever is cheaper. `proofmark inspect` prints the cost\n\
         of each node of a model.\n",
    );
    check("OPERATORS.md", &text);
}
