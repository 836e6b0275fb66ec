//! Differential fuzzing: random graphs of every operator of the dialect, with parameters from
//! sane to hostile and inputs that favour the ends, through ONNX Runtime, the integer evaluator
//! and the circuit. A seed names a graph on every machine. `PROOFMARK_DEEP=1` takes more.
//!
//! Beside it the corpus of the byte fuzzers is replayed ([`replay`]).

#[expect(
    unreachable_pub,
    reason = "the fuzz targets are another crate, which includes the file"
)]
mod decoders;
mod generators;
mod growing;
mod import;
mod integers;
mod layers;
mod layout;
mod movers;
mod mutate;
mod order;
mod original;
mod replay;
mod run;
mod seeds;
mod shrink;
mod tables;
mod thresholds;

use proofmark_ops::OPERATORS;
use run::Goal;

fn deep() -> bool {
    std::env::var_os("PROOFMARK_DEEP").is_some_and(|v| v == "1")
}

#[test]
fn every_operator_of_the_list_has_a_generator() {
    let without: Vec<&str> = OPERATORS
        .iter()
        .filter(|spec| generators::generator(spec).is_none())
        .map(|spec| spec.op_type)
        .collect();
    assert_eq!(without, Vec::<&str>::new());
}

#[test]
fn random_graphs() {
    let goal = if deep() {
        Goal {
            graphs: 20_000,
            outputs: 1_000_000,
        }
    } else {
        Goal {
            graphs: 1_000,
            outputs: 100_000,
        }
    };
    let tally = run::until(goal, if deep() { 1 << 32 } else { 0 }, generators::grow);
    tally.print("random graphs");
    // A fuzzer whose graphs are refused finds nothing.
    assert!(tally.refusals() * 20 < tally.graphs, "{:?}", tally.refused);
    assert!(tally.computed * 4 > tally.outputs);
    for spec in OPERATORS {
        let count = tally
            .operators
            .get(spec.op_type)
            .copied()
            .unwrap_or_default();
        assert!(
            count >= goal.graphs / 20,
            "{} stood in {count} nodes only",
            spec.op_type
        );
    }
}

/// Attributes, constants, wiring, types, shapes and operator sets that nobody should write: all
/// three agree or one refuses.
#[test]
fn spoilt_graphs() {
    let graphs = if deep() { 50_000 } else { 3_000 };
    let goal = Goal { graphs, outputs: 0 };
    let tally = run::spoilt(goal, 1 << 40, generators::grow, mutate::mutate);
    tally.print("spoilt graphs");
    // Some of the changes do no harm, most do.
    let exact = tally.graphs - tally.refusals();
    assert!(exact * 20 > tally.graphs && tally.refusals() * 4 > tally.graphs);
}

#[test]
fn tensors_without_elements_are_refused() {
    let goal = Goal {
        graphs: if deep() { 20_000 } else { 1_000 },
        outputs: 0,
    };
    let tally = run::spoilt(goal, 1 << 41, generators::grow, mutate::zero_size);
    tally.print("graphs with an empty tensor");
    // What stays is an optional empty constant or an unread one.
    assert!(tally.refusals() * 10 > tally.graphs * 9, "{tally:?}");
}

#[test]
fn thresholds_solved_for() {
    let wanted = if deep() { 100_000 } else { 5_000 };
    let met = thresholds::until(wanted, 77);
    println!("thresholds: {met:?}");
    assert!(met.unsolved * 4 < met.thresholds, "{met:?}");
}

#[test]
fn imported_models() {
    let goal = if deep() {
        Goal {
            graphs: 10_000,
            outputs: 1_000_000,
        }
    } else {
        Goal {
            graphs: 300,
            outputs: 50_000,
        }
    };
    let imports = import::until(goal, if deep() { 1 << 32 } else { 0 });
    imports.print();
    assert!(
        imports.refusals() + imports.not_run < imports.exact,
        "{imports:?}"
    );
}
