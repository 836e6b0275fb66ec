//! The validation of a model, and the share of it that is repeated where the model is served.

use ark_bn254::Fr;
use proofmark_gadgets::Circuit;
use proofmark_onnx::Limits;
use proofmark_ops::{OpsError, Plan, Policy, Salts, TensorInfo, plan};
use proofmark_runtime::{IntSession, RuntimeError};
use proofmark_tensor::IntTensor;
use proofmark_types::Digest;
use proofmark_types::digest::DigestStream;
use proofmark_types::manifest::{RuntimePin, Visibility};

use crate::error::ValidationError;
use crate::inputs::{Pattern, Slot};
use crate::machine::Machine;
use crate::nodes;
use crate::pair::{Compile, Pair, Subject, elements};
use crate::part::Whole;
use crate::random::Random;
use crate::report::{ModelReport, NodeReport, TRANSLATION_FORMAT, TranslationReport};
use crate::{steps, tables};

/// The vectors of the sample that is checked again at start-up.
const SAMPLE: [Pattern; 6] = [
    Pattern::Lowest,
    Pattern::Highest,
    Pattern::Alternating(0),
    Pattern::Random(0),
    Pattern::Random(1),
    Pattern::Random(2),
];
/// Random streams of the whole model and of salts; those of nodes are counted from 1.
const MODEL_STREAM: u64 = 0;
const SALT_STREAM: u64 = u64::MAX;

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TranslationOptions {
    /// Seed of all random inputs; recorded in the report.
    pub seed: u32,
    /// Random vectors that the whole model is run on, beside the extreme ones; at least 3.
    pub random: u64,
    /// Vectors that go through the witness as well: all inputs at their minimum, then random ones.
    pub witnesses: u64,
}

impl Default for TranslationOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            random: 24,
            witnesses: 2,
        }
    }
}

/// Checks that ONNX Runtime computes what will be proven of a model: each node by itself, each
/// threshold of each requantize, each table entry, the whole model, and some witnesses. The model
/// is given as the bytes that are served; the policy says which circuit the witnesses are of.
///
/// # Errors
/// [`ValidationError::Divergence`] at the first difference, [`ValidationError::Witness`] when a
/// witness does not satisfy the circuit; others when the model cannot be read, compiled or run.
pub fn validate_translation(
    model: &[u8],
    policy: &Policy,
    options: &TranslationOptions,
) -> Result<TranslationReport, ValidationError> {
    validate_with(model, policy, options, &plan)
}

/// As [`validate_translation`], with an evaluator of choice.
fn validate_with(
    bytes: &[u8],
    policy: &Policy,
    options: &TranslationOptions,
    compile: Compile<'_>,
) -> Result<TranslationReport, ValidationError> {
    let runtime = proofmark_runtime::init()?;
    let model = proofmark_onnx::parse(bytes, &Limits::default())?;
    let planned = compile(&model, policy)?;
    let (circuit, ranges) = planned.circuit_with_ranges()?;
    let whole = Whole::new(&model, &planned);
    let mut nodes = Vec::with_capacity(model.graph.nodes.len());
    for (index, node) in model.graph.nodes.iter().enumerate() {
        let probed = steps::check(&whole, &ranges, index, compile)?;
        let table = tables::check(&whole, &ranges, index, compile)?;
        let alone = nodes::check(&whole, &ranges, index, options.seed, compile)?;
        nodes.push(NodeReport {
            node: node.name.clone(),
            op_type: node.op_type.clone(),
            steps: probed.steps,
            thresholds: probed.thresholds,
            probes: probed.probes,
            table_entries: table.entries,
            runs: alone.runs,
            compared: probed.probes + table.compared + alone.compared,
            different: 0,
        });
    }
    let pair = Pair::new(Subject::MODEL, bytes, planned)?;
    let (model, sample) = check_model(&pair, &circuit, options)?;
    Ok(TranslationReport {
        format: TRANSLATION_FORMAT.to_owned(),
        integer_model: Digest::of(bytes),
        circuit: circuit.digest(),
        runtime: RuntimePin::current(),
        library: runtime.library_digest,
        machine: Machine::current(),
        seed: options.seed,
        nodes,
        model,
        sample,
    })
}

fn check_model(
    pair: &Pair<'_>,
    circuit: &Circuit,
    options: &TranslationOptions,
) -> Result<(ModelReport, Vec<Digest>), ValidationError> {
    let slots = slots(pair.plan.inputs());
    let mut report = ModelReport {
        runs: 0,
        compared: 0,
        different: 0,
        witnesses: 0,
        constraints: circuit.r1cs.num_constraints() as u64,
    };
    let mut sample = vec![Digest::of(b""); SAMPLE.len()];
    for pattern in Pattern::list(options.random.max(3)) {
        let inputs = vector(pattern, &slots, options.seed)?;
        let words = || pattern.words(options.seed);
        let outputs = pair
            .run(&inputs)?
            .map_err(|difference| difference.error(&pair.subject, words()))?;
        report.runs += 1;
        report.compared += elements(&outputs);
        let drawn = SAMPLE.iter().position(|p| *p == pattern);
        if let Some(slot) = drawn.and_then(|at| sample.get_mut(at)) {
            *slot = outputs_digest(&pair.plan, &outputs);
        }
        let number = match pattern {
            Pattern::Lowest => 0,
            Pattern::Random(number) => number + 1,
            _ => u64::MAX,
        };
        if number < options.witnesses {
            check_witness(&pair.plan, circuit, &inputs, options.seed, words)?;
            report.witnesses += 1;
        }
    }
    Ok((report, sample))
}

fn check_witness(
    plan: &Plan,
    circuit: &Circuit,
    inputs: &[IntTensor],
    seed: u32,
    words: impl Fn() -> String,
) -> Result<(), ValidationError> {
    let mut random = Random::new(seed, SALT_STREAM);
    let mut salts = |infos: &[TensorInfo]| -> Vec<Option<Fr>> {
        infos
            .iter()
            .map(|info| (info.visibility == Visibility::Private).then(|| random.bits().into()))
            .collect()
    };
    let salts = Salts {
        inputs: salts(plan.inputs()),
        outputs: salts(plan.outputs()),
    };
    let witness = plan.witness(inputs, random.bits().into(), &salts)?;
    let violated = circuit.r1cs.violated(&witness.assignment);
    match violated.first() {
        Some(&first) => Err(ValidationError::Witness {
            input: words(),
            violated: violated.len(),
            constraint: circuit.labels.constraint(first),
        }),
        None => Ok(()),
    }
}

fn slots(inputs: &[TensorInfo]) -> Vec<Slot> {
    inputs.iter().map(|info| Slot::whole(&info.fact)).collect()
}

fn vector(pattern: Pattern, slots: &[Slot], seed: u32) -> Result<Vec<IntTensor>, ValidationError> {
    let tensors = pattern.tensors(slots, seed, MODEL_STREAM);
    Ok(tensors.map_err(OpsError::from)?)
}

fn outputs_digest(plan: &Plan, outputs: &[IntTensor]) -> Digest {
    let mut digest = DigestStream::new();
    for (info, tensor) in plan.outputs().iter().zip(outputs) {
        digest.update(&tensor.encode(&info.name));
    }
    digest.finish()
}

/// That a report is of this model and this circuit.
///
/// # Errors
/// [`ValidationError::Mismatch`].
pub fn check_report(
    report: &TranslationReport,
    integer_model: Digest,
    circuit: Digest,
) -> Result<(), ValidationError> {
    let pairs = [
        ("model", integer_model, report.integer_model),
        ("circuit", circuit, report.circuit),
    ];
    match pairs.into_iter().find(|(_, expected, got)| expected != got) {
        Some((what, expected, got)) => Err(ValidationError::Mismatch {
            what,
            expected,
            got,
        }),
        None => Ok(()),
    }
}

/// Runs the report's sample in the session that will serve: this processor and this library must
/// compute the integers that were validated, wherever that was.
///
/// # Errors
/// [`ValidationError::RuntimeDivergence`] when they do not; [`ValidationError::Malformed`] when
/// the report has no sample of the expected size.
pub fn recheck(
    report: &TranslationReport,
    plan: &Plan,
    session: &IntSession,
) -> Result<(), ValidationError> {
    if report.sample.len() != SAMPLE.len() {
        return Err(ValidationError::Malformed {
            reason: format!(
                "its sample has {} vectors instead of {}",
                report.sample.len(),
                SAMPLE.len()
            ),
        });
    }
    let slots = slots(plan.inputs());
    for (number, (pattern, &expected)) in SAMPLE.into_iter().zip(&report.sample).enumerate() {
        let inputs = vector(pattern, &slots, report.seed)?;
        let named = plan.inputs().iter().zip(inputs);
        let named = named.map(|(info, tensor)| (info.name.clone(), tensor));
        let failed = |error| Subject::MODEL.failed(error);
        let mut computed = session.run(&named.collect()).map_err(failed)?;
        let outputs = plan.outputs().iter().map(|info| {
            computed
                .remove(&info.name)
                .ok_or_else(|| RuntimeError::Output {
                    name: info.name.clone(),
                    reason: "it is absent".to_owned(),
                })
        });
        let outputs = outputs.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let got = outputs_digest(plan, &outputs);
        if got != expected {
            let Machine {
                architecture,
                features,
            } = &report.machine;
            return Err(ValidationError::RuntimeDivergence {
                vector: number,
                expected,
                got,
                machine: format!("{architecture} {}", features.join(" ")),
            });
        }
    }
    Ok(())
}
