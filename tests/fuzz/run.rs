//! Running many graphs through all three, counting, and reporting what went wrong.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use proofmark_onnx::{Model, ValueType};
use proofmark_tensor::{ElemType, IntTensor};
use proofmark_tests::{Checked, Failure, Random};

use crate::growing::{Case, points};
use crate::shrink::shrink;

/// What a run has done.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) graphs: usize,
    pub(crate) inferences: usize,
    pub(crate) outputs: usize,
    /// Outputs of operators that compute, not only move.
    pub(crate) computed: usize,
    pub(crate) constraints: usize,
    /// Graphs that the compiler refused, by code and reason.
    pub(crate) refused: BTreeMap<String, usize>,
    /// Nodes in graphs that were compared, by operator.
    pub(crate) operators: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.graphs += other.graphs;
        self.inferences += other.inferences;
        self.outputs += other.outputs;
        self.computed += other.computed;
        self.constraints += other.constraints;
        for (from, into) in [
            (other.refused, &mut self.refused),
            (other.operators, &mut self.operators),
        ] {
            for (key, count) in from {
                *into.entry(key).or_default() += count;
            }
        }
    }

    /// Graphs that were refused.
    pub(crate) fn refusals(&self) -> usize {
        self.refused.values().sum()
    }

    pub(crate) fn print(&self, what: &str) {
        println!(
            "{what}: {} graphs, {} inferences, {} outputs equal in runtime, evaluator and witness \
             ({} of them computed, not moved), {} constraints; {} graphs refused",
            self.graphs,
            self.inferences,
            self.outputs,
            self.computed,
            self.constraints,
            self.refusals()
        );
        println!("  nodes: {:?}", self.operators);
        let mut refused: Vec<_> = self.refused.iter().collect();
        refused.sort_by_key(|(_, count)| Reverse(**count));
        for (reason, count) in refused.iter().take(30) {
            println!("  {count:5} × {reason}");
        }
        if refused.len() > 30 {
            println!("  and {} further reasons", refused.len() - 30);
        }
    }
}

/// Loads and compares; a panic is a failure like any other.
pub(crate) fn attempt<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let words = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("without words");
        Err(Failure::Differ(format!("panicked: {words}")))
    })
}

/// All inputs of one model. The failing input comes with the failure, where it is known.
pub(crate) fn compare(
    model: &Model,
    inputs: &[Vec<IntTensor>],
) -> Result<Tally, (Failure, Option<Vec<IntTensor>>)> {
    let bytes = proofmark_onnx::encode(model);
    let checked = attempt(|| Checked::compile(&bytes)).map_err(|failure| (failure, None))?;
    let mut tally = Tally {
        graphs: 1,
        constraints: checked.circuit.r1cs.num_constraints(),
        ..Tally::default()
    };
    let producers = model.graph.producers();
    let computed = |name: &str| {
        let node = producers.get(name).map(|&at| &model.graph.nodes[at]);
        node.is_some_and(|node| crate::generators::computes(&node.op_type))
    };
    let per_inference: usize = checked
        .plan
        .outputs()
        .iter()
        .filter(|info| computed(&info.name))
        .map(|info| info.fact.len())
        .sum();
    for point in inputs {
        tally.outputs +=
            attempt(|| checked.compare(point)).map_err(|f| (f, Some(point.clone())))?;
        tally.computed += per_inference;
        tally.inferences += 1;
    }
    for node in &model.graph.nodes {
        *tally.operators.entry(node.op_type.clone()).or_default() += 1;
    }
    Ok(tally)
}

/// A refusal without what differs from graph to graph, so that refusals can be counted.
pub(crate) fn kind(reason: &str) -> String {
    let mut words = String::new();
    let (mut depth, mut quoted) = (0_usize, false);
    for c in reason.split(" | ").next().unwrap_or_default().chars() {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            '"' => quoted = !quoted,
            _ if depth > 0 || quoted || c.is_ascii_digit() => {}
            _ => words.push(c),
        }
    }
    words.chars().take(200).collect()
}

/// How much a run has to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal {
    pub(crate) graphs: usize,
    pub(crate) outputs: usize,
}

impl Goal {
    fn reached(self, tally: &Tally) -> bool {
        tally.graphs >= self.graphs && tally.outputs >= self.outputs
    }
}

/// Works on one seed after the other on all processors until the goal is reached.
///
/// # Panics
/// With the report of the first failure.
fn each_seed(
    goal: Goal,
    first_seed: u64,
    work: impl Fn(u64) -> Result<Tally, String> + Sync,
) -> Tally {
    let total = Mutex::new(Tally::default());
    let failed = Mutex::new(None);
    let next = AtomicU64::new(first_seed);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let done = || {
        let failed = failed.lock().is_ok_and(|f| f.is_some());
        failed || total.lock().is_ok_and(|t| goal.reached(&t))
    };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while !done() {
                    match work(next.fetch_add(1, Ordering::Relaxed)) {
                        Ok(tally) => total.lock().expect("no worker panics").add(tally),
                        Err(report) => *failed.lock().expect("no worker panics") = Some(report),
                    }
                }
            });
        }
    });
    if let Some(report) = failed.into_inner().expect("no worker panics") {
        panic!("{report}");
    }
    total.into_inner().expect("no worker panics")
}

fn refused(code: &str, reason: &str) -> Tally {
    Tally {
        refused: [(kind(&format!("{code}: {reason}")), 1)].into(),
        ..Tally::default()
    }
}

/// Grows and compares graphs until the goal is reached.
///
/// # Panics
/// At the first failure, with the seed, a shrunk graph, and where its file is.
pub(crate) fn until(goal: Goal, first_seed: u64, grow: impl Fn(u64) -> Case + Sync) -> Tally {
    each_seed(goal, first_seed, |seed| {
        let case = grow(seed);
        let infos = integer_inputs(&case.model).ok_or("inputs of other types")?;
        let inputs = points(&infos, &mut Random::new(!seed), 2);
        match compare(&case.model, &inputs) {
            Ok(tally) => Ok(tally),
            Err((Failure::Refused { code, reason }, None)) => Ok(refused(code, &reason)),
            Err((failure, point)) => Err(report(&case, &failure, point, &inputs)),
        }
    })
}

/// As [`until`], for graphs that are spoilt before they are loaded. Compiler and runtime may
/// refuse them.
///
/// # Panics
/// When one of the three panics, or two of them disagree.
pub(crate) fn spoilt(
    goal: Goal,
    first_seed: u64,
    grow: impl Fn(u64) -> Case + Sync,
    spoil: impl Fn(&mut Model, &mut Random) + Sync,
) -> Tally {
    each_seed(goal, first_seed, |seed| {
        let mut case = grow(seed);
        let mut random = Random::new(!seed);
        spoil(&mut case.model, &mut random);
        let inputs = integer_inputs(&case.model)
            .map(|infos| points(&infos, &mut random, 1))
            .unwrap_or_default();
        match compare(&case.model, &inputs) {
            Ok(tally) => Ok(tally),
            Err((Failure::Refused { code, reason }, _)) => Ok(Tally {
                graphs: 1,
                ..refused(code, &reason)
            }),
            Err((Failure::Runtime(words), _)) => Ok(Tally {
                graphs: 1,
                ..refused("runtime", &words)
            }),
            Err((failure, point)) => Err(report(&case, &failure, point, &inputs)),
        }
    })
}

/// Types and shapes of a model's inputs, where all are static integer tensors.
fn integer_inputs(model: &Model) -> Option<Vec<(ElemType, Vec<usize>)>> {
    let small = |shape: &Vec<usize>| shape.iter().product::<usize>() < 1 << 16;
    model
        .graph
        .inputs
        .iter()
        .map(|info| match info.ty {
            ValueType::Int(elem) => Some((elem, info.static_shape().filter(small)?)),
            _ => None,
        })
        .collect()
}

/// Shrinks a failing case, saves it, and says everything that is needed to look at it.
pub(crate) fn report(
    case: &Case,
    failure: &Failure,
    point: Option<Vec<IntTensor>>,
    inputs: &[Vec<IntTensor>],
) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    fs::create_dir_all(&folder).expect("a folder for findings");
    let save = |suffix: &str, model: &Model| {
        let path = folder.join(format!("{}-{suffix}.onnx", case.seed));
        fs::write(&path, proofmark_onnx::encode(model)).expect("a file");
        path
    };
    let whole = save("whole", &case.model);
    let point = point.unwrap_or_else(|| inputs.first().cloned().unwrap_or_default());
    let (model, point, failure) = shrink(case, point, failure.clone());
    let small = save("small", &model);
    format!(
        "seed {}: {failure}\n{}\n  inputs {:?}\n  saved as {} and {}",
        case.seed,
        describe(&model),
        point,
        whole.display(),
        small.display()
    )
}

/// The nodes and constants of a model, for people.
pub(crate) fn describe(model: &Model) -> String {
    let nodes: Vec<String> = model
        .graph
        .nodes
        .iter()
        .map(|n| {
            format!(
                "    {} = {}.{}({}) {:?}",
                n.outputs.join(", "),
                n.domain,
                n.op_type,
                n.inputs.join(", "),
                n.attributes
            )
        })
        .collect();
    let constants: Vec<String> = model
        .graph
        .initializers
        .iter()
        .map(|(name, tensor)| format!("    {name}: {:?} {:?}", tensor.shape, tensor.data))
        .map(|line| line.chars().take(600).collect())
        .collect();
    format!(
        "  nodes\n{}\n  constants\n{}",
        nodes.join("\n"),
        constants.join("\n")
    )
}
