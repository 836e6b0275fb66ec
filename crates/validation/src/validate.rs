//! The validation of a model, and the share of it that is repeated where the model is served.

use ark_bn254::Fr;
use proofmark_gadgets::{Backend, Challenger, Circuit, LowerError};
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
    /// The backend whose circuit the witnesses are of.
    pub backend: Backend,
}

impl Default for TranslationOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            random: 24,
            witnesses: 2,
            backend: Backend::Plain,
        }
    }
}

/// Checks that ONNX Runtime computes what will be proven of a model: each node by itself, each
/// threshold of each requantize, each table entry, the whole model, and some witnesses. The model
/// is given as the bytes that are served; policy and backend say which circuit the witnesses are of.
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
    let (circuit, ranges) = planned.circuit_with_ranges_for(options.backend)?;
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

/// A challenge that depends on nothing but the seed. What is checked is that an honest witness
/// satisfies the rows, which does not rest on who draws the challenge; proofs hash theirs.
struct Drawn<'a>(&'a mut Random);

impl Challenger for Drawn<'_> {
    fn challenge(&mut self, _public: &[Fr], _committed: &[Fr]) -> Result<Fr, LowerError> {
        let mut draw = || Fr::from(self.0.bits());
        Ok(draw() * draw() * draw() * draw())
    }
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
    let context = random.bits().into();
    let mut challenger = Drawn(&mut random);
    let witness = plan.witness_for(circuit.backend, inputs, context, &salts, &mut challenger)?;
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

#[cfg(test)]
mod tests {
    use proofmark_onnx::{Attribute, Graph, Model, encode};
    use proofmark_tensor::ElemType;

    use super::*;
    use crate::testing::{Builder, change_floats, change_ints, evaluator_of};

    /// A model of a convolution, a pool, a transposition, two branches that are stacked, a matrix
    /// product and a bias.
    fn model() -> Model {
        let weights: Vec<i32> = (0..36).map(|i| i * 37 % 256).collect();
        Builder::default()
            .input("x", ElemType::Uint8, &[1, 1, 6, 6])
            .floats("one", &[1.0])
            .floats("scales", &[0.003, 0.011])
            .ints("zero", ElemType::Uint8, &[], &[0])
            .ints("w", ElemType::Uint8, &[2, 1, 3, 3], &weights[..18])
            .ints("w_zero", ElemType::Uint8, &[], &[100])
            .ints("bias", ElemType::Int32, &[2], &[500, -700])
            .node(
                "QLinearConv",
                &[
                    "x", "one", "zero", "w", "scales", "w_zero", "one", "zero", "bias",
                ],
                "conv",
            )
            .node_with(
                "MaxPool",
                &["conv"],
                "pool",
                &[
                    ("kernel_shape", Attribute::Ints(vec![2, 2])),
                    ("strides", Attribute::Ints(vec![2, 2])),
                ],
            )
            .node_with(
                "Transpose",
                &["pool"],
                "left",
                &[("perm", perm(&[0, 1, 3, 2]))],
            )
            .node_with(
                "Transpose",
                &["pool"],
                "right",
                &[("perm", perm(&[0, 1, 2, 3]))],
            )
            .node_with(
                "Concat",
                &["left", "right"],
                "both",
                &[("axis", Attribute::Int(1))],
            )
            .node_with("Flatten", &["both"], "flat", &[("axis", Attribute::Int(1))])
            .ints("m", ElemType::Uint8, &[16, 2], &weights[..32])
            .node("MatMulInteger", &["flat", "m", "zero", "w_zero"], "sums")
            .ints("last", ElemType::Int32, &[2], &[11, -12])
            .node("Add", &["sums", "last"], "y")
            .output("y", ElemType::Int32, &[1, 2])
            .model()
    }

    fn perm(order: &[i64]) -> Attribute {
        Attribute::Ints(order.to_vec())
    }

    type Change<'c> = &'c dyn Fn(&mut Graph);

    fn quick() -> TranslationOptions {
        TranslationOptions {
            seed: 9,
            random: 5,
            witnesses: 3,
            backend: Backend::Plain,
        }
    }

    fn validated(compile: Compile<'_>) -> Result<TranslationReport, ValidationError> {
        validate_with(&encode(&model()), &Policy::public(1, 1), &quick(), compile)
    }

    #[test]
    fn a_report_says_what_was_compared_and_is_always_the_same() {
        let bytes = encode(&model());
        let report = validate_translation(&bytes, &Policy::public(1, 1), &quick()).unwrap();
        assert_eq!(report, validated(&plan).unwrap());
        assert_eq!(report.integer_model, Digest::of(&bytes));
        let names: Vec<&str> = report.nodes.iter().map(|n| n.node.as_str()).collect();
        assert_eq!(
            names,
            ["conv", "pool", "left", "right", "both", "flat", "sums", "y"]
        );
        assert_eq!(report.nodes[0].steps, 2);
        assert!(report.nodes[0].thresholds > 100);
        assert!(report.nodes.iter().all(|n| n.runs == 10 && n.compared > 0));
        assert_eq!((report.model.runs, report.model.witnesses), (12, 3));
        assert_eq!(report.model.compared, 24);
        let other = TranslationOptions {
            seed: 10,
            ..quick()
        };
        let other = validate_translation(&bytes, &Policy::public(1, 1), &other).unwrap();
        assert_eq!(report.sample[..3], other.sample[..3]);
        assert_ne!(report.sample[3..], other.sample[3..]);
    }

    #[test]
    fn hidden_tensors_are_validated_in_their_own_circuit() {
        let policy = Policy {
            inputs: vec![Visibility::Private],
            outputs: vec![Visibility::Hashed],
        };
        let bytes = encode(&model());
        let hidden = validate_translation(&bytes, &policy, &quick()).unwrap();
        let public = validated(&plan).unwrap();
        assert_ne!(hidden.circuit, public.circuit);
        assert_eq!(hidden.nodes, public.nodes);
        assert_eq!(hidden.sample, public.sample);
    }

    #[test]
    fn each_backend_is_validated_in_its_own_circuit() {
        let bytes = encode(&model());
        let committed = TranslationOptions {
            backend: Backend::Committed,
            ..quick()
        };
        let committed = validate_translation(&bytes, &Policy::public(1, 1), &committed).unwrap();
        let plain = validated(&plan).unwrap();
        let planned = plan(&model(), &Policy::public(1, 1)).unwrap();
        let circuit = planned.circuit_for(Backend::Committed).unwrap();
        assert_eq!(committed.circuit, circuit.digest());
        assert_ne!(committed.circuit, plain.circuit);
        assert_eq!(committed.model.witnesses, plain.model.witnesses);
        assert_eq!(committed.sample, plain.sample);
    }

    #[test]
    fn an_evaluator_of_a_slightly_different_model_is_caught_at_the_node_that_differs() {
        let swap = |graph: &mut Graph, node: &str, order: &[i64]| {
            if let Some(node) = graph.nodes.iter_mut().find(|n| n.name == node) {
                node.attributes.insert("perm".to_owned(), perm(order));
            }
        };
        let cases: [(&str, &str, Change<'_>); 6] = [
            ("conv", "accumulator", &|g| {
                change_floats(g, "probe.w_scale", |scales| {
                    for scale in scales {
                        *scale *= 1.001;
                    }
                });
            }),
            ("conv", "minimum", &|g| {
                change_ints(g, "bias", |b| b[0] += 400);
            }),
            ("conv", "", &|g| change_ints(g, "w", |w| w[4] ^= 64)),
            ("left", "alternating", &|g| swap(g, "left", &[0, 1, 2, 3])),
            ("both", "random", &|g| {
                if let Some(node) = g.nodes.iter_mut().find(|n| n.name == "both") {
                    node.inputs.reverse();
                }
            }),
            ("y", "minimum", &|g| change_ints(g, "last", |b| b[0] += 1)),
        ];
        for (expected, words, change) in cases {
            let error = validated(&evaluator_of(change)).unwrap_err();
            let text = error.to_string();
            let ValidationError::Divergence { node, input, .. } = error else {
                panic!("{expected}: {text}")
            };
            assert_eq!(node, expected, "{text}");
            assert!(input.contains(words), "{expected}: {text}");
        }
    }

    #[test]
    fn a_wrong_wire_between_right_nodes_is_caught_on_the_whole_model() {
        let wrong = evaluator_of(|graph| {
            let whole = graph.nodes.len() > 1;
            let node = graph.nodes.iter_mut().find(|n| whole && n.name == "both");
            if let Some(node) = node {
                node.inputs = vec!["right".to_owned(), "left".to_owned()];
            }
        });
        let error = validated(&wrong).unwrap_err();
        assert_eq!(error.code(), "translation-divergence");
        assert!(error.to_string().contains("\"(model)\""), "{error}");
    }

    #[test]
    fn the_sample_is_computed_again_and_must_be_the_same() {
        let bytes = encode(&model());
        let report = validated(&plan).unwrap();
        let planned = plan(&model(), &Policy::public(1, 1)).unwrap();
        let session = IntSession::load(&bytes, proofmark_runtime::OptLevel::DisableAll).unwrap();
        recheck(&report, &planned, &session).unwrap();
        // A session that computes other integers stands for another processor.
        let mut other = model();
        change_ints(&mut other.graph, "last", |b| b[1] += 1);
        let session =
            IntSession::load(&encode(&other), proofmark_runtime::OptLevel::DisableAll).unwrap();
        let error = recheck(&report, &planned, &session).unwrap_err();
        assert_eq!(error.code(), "runtime-divergence");
        assert!(error.to_string().contains(&report.machine.architecture));
        let mut short = report.clone();
        short.sample.pop();
        let error = recheck(&short, &planned, &session).unwrap_err();
        assert_eq!(error.code(), "translation-malformed");

        check_report(&report, Digest::of(&bytes), report.circuit).unwrap();
        let error = check_report(&report, Digest::of(b"other"), report.circuit).unwrap_err();
        assert_eq!(error.code(), "translation-mismatch");
    }

    #[test]
    fn what_cannot_be_compiled_is_refused_as_by_the_compiler() {
        let error = validate_translation(b"no model", &Policy::public(1, 1), &quick()).unwrap_err();
        assert!(matches!(error, ValidationError::Onnx(_)), "{error}");
        let error = validate_translation(&encode(&model()), &Policy::public(2, 1), &quick());
        assert_eq!(error.unwrap_err().code(), "policy-mismatch");
    }

    #[test]
    fn hundreds_of_step_functions_are_probed_in_few_models() {
        let channels = 800_u16;
        let scales: Vec<f32> = (0..channels).map(|c| 0.002 + f32::from(c) * 1e-6).collect();
        let channels = usize::from(channels);
        let model = Builder::default()
            .input("x", ElemType::Uint8, &[1, 1, 1, 1])
            .floats("one", &[1.0])
            .floats("scales", &scales)
            .ints("zero", ElemType::Uint8, &[], &[0])
            .ints(
                "w",
                ElemType::Uint8,
                &[channels, 1, 1, 1],
                &vec![255; channels],
            )
            .node(
                "QLinearConv",
                &["x", "one", "zero", "w", "scales", "zero", "one", "zero"],
                "y",
            )
            .output("y", ElemType::Uint8, &[1, channels, 1, 1])
            .model();
        let report =
            validate_translation(&encode(&model), &Policy::public(1, 1), &quick()).unwrap();
        assert_eq!(report.nodes[0].steps, channels as u64);
        assert!(report.nodes[0].thresholds > 100_000);
    }
}
