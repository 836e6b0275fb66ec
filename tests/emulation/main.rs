//! The integers that ONNX Runtime computes for every operator of the dialect, as one digest an
//! operator. `cargo xtask emulation` runs this program as it is and under emulated processors and
//! compares what it prints; by itself it holds the runtime to the integer evaluator.
//!
//! With `PROOFMARK_DUMP=FOLDER` every model, its inputs and its outputs are written there, for
//! `replay.py`, which runs them in the runtime of another processor family.

mod layers;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use ndarray::ArrayD;
use ndarray_npy::WriteNpyExt as _;
use proofmark_onnx::{Model, ValueType, encode};
use proofmark_ops::{Expect, OPERATORS, Plan, Policy, plan};
use proofmark_runtime::{IntSession, OptLevel};
use proofmark_tensor::IntTensor;
use proofmark_tests::Random;
use proofmark_tests::build::random_tensor;
use proofmark_tests::samples::{SAMPLES, integer_model};
use proofmark_types::digest::DigestStream;

/// Random inputs for the model of each worked example.
const RANDOM_INPUTS: u64 = 8;
/// Random layers of each multiplying operator, wide enough to reach the runtime's vector loops.
const LAYERS: u64 = 12;

/// A model in the runtime and in the evaluator, without a circuit.
struct Pair {
    plan: Plan,
    session: IntSession,
    model: Vec<u8>,
}

impl Pair {
    fn new(bytes: &[u8]) -> Self {
        let model = proofmark_onnx::parse(bytes, &proofmark_onnx::Limits::default());
        let model = model.expect("the model parses");
        let policy = Policy::public(model.graph.inputs.len(), model.graph.outputs.len());
        Self {
            plan: plan(&model, &policy).expect("the model is in the dialect"),
            session: IntSession::load(bytes, OptLevel::DisableAll).expect("the runtime loads it"),
            model: bytes.to_vec(),
        }
    }

    /// The runtime's outputs, which must be the evaluator's.
    fn run(&self, inputs: &[IntTensor]) -> Vec<IntTensor> {
        let infos = self.plan.inputs().iter();
        let named: BTreeMap<String, IntTensor> = infos
            .zip(inputs)
            .map(|(info, tensor)| (info.name.clone(), tensor.clone()))
            .collect();
        let mut outputs = self.session.run(&named).expect("the runtime runs it");
        let outputs: Vec<IntTensor> = self
            .plan
            .outputs()
            .iter()
            .map(|info| outputs.remove(&info.name).expect("an output"))
            .collect();
        let evaluated = self.plan.evaluate(inputs).expect("the evaluator runs it");
        assert_eq!(outputs, evaluated, "the runtime and the evaluator differ");
        if let Some(folder) = std::env::var_os("PROOFMARK_DUMP") {
            dump(&PathBuf::from(folder), &self.model, inputs, &outputs)
                .expect("the dump is written");
        }
        outputs
    }

    fn random_inputs(&self, random: &mut Random) -> Vec<IntTensor> {
        let infos = self.plan.inputs().iter();
        infos
            .map(|info| random_tensor(random, info.fact.elem, &info.fact.shape))
            .collect()
    }
}

/// Writes `N/model.onnx`, `N/in_I.npy` and `N/out_I.npy`, as int32.
fn dump(
    folder: &std::path::Path,
    model: &[u8],
    inputs: &[IntTensor],
    outputs: &[IntTensor],
) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(folder)?;
    let place = folder.join(fs::read_dir(folder)?.count().to_string());
    fs::create_dir(&place)?;
    File::create(place.join("model.onnx"))?.write_all(model)?;
    for (stem, tensors) in [("in", inputs), ("out", outputs)] {
        for (at, tensor) in tensors.iter().enumerate() {
            let array = ArrayD::from_shape_vec(tensor.shape().to_vec(), tensor.data().to_vec())?;
            array.write_npy(File::create(place.join(format!("{stem}_{at}.npy")))?)?;
        }
    }
    Ok(())
}

/// Outputs of one operator or model.
#[derive(Default)]
struct Outputs {
    elements: usize,
    digest: DigestStream,
}

impl Outputs {
    fn add(&mut self, tensors: &[IntTensor]) {
        for tensor in tensors {
            self.elements += tensor.len();
            self.digest.update(&tensor.encode("y"));
        }
    }

    /// The line that `cargo xtask emulation` compares.
    fn print(self, of: &str) {
        println!(
            "integers {of}: {} outputs, {}",
            self.elements,
            self.digest.finish()
        );
    }
}

#[test]
fn every_operator() {
    for spec in OPERATORS {
        let mut all = Outputs::default();
        for vector in (spec.vectors)() {
            let Expect::Output { elem, shape, data } = &vector.expect else {
                continue;
            };
            let pair = Pair::new(&encode(&vector.model()));
            let given = vector.inputs().expect("the vector's inputs are tensors");
            let outputs = pair.run(&given);
            let wanted = IntTensor::new(*elem, shape.clone(), data.clone()).expect("a tensor");
            assert_eq!(outputs, [wanted], "{}: {}", spec.op_type, vector.name);
            all.add(&outputs);
            for seed in 0..RANDOM_INPUTS {
                let inputs = pair.random_inputs(&mut Random::new(seed));
                all.add(&pair.run(&inputs));
            }
        }
        assert!(all.elements > 0, "{} has no worked example", spec.op_type);
        for seed in 0..LAYERS {
            let mut random = Random::new(seed);
            let Some(model) = layers::layer(spec.op_type, &mut random) else {
                break;
            };
            let pair = Pair::new(&encode(&model));
            let inputs = pair.random_inputs(&mut random);
            all.add(&pair.run(&inputs));
        }
        all.print(spec.op_type);
    }
}

#[test]
fn sample_models() {
    for name in SAMPLES {
        let pair = Pair::new(&integer_model(name));
        let mut all = Outputs::default();
        for seed in 0..2 {
            let inputs = pair.random_inputs(&mut Random::new(seed));
            all.add(&pair.run(&inputs));
        }
        all.print(name);
    }
}

/// What the dialect refuses, and why: the runtime's u8×s8 product beside the same product with the
/// weights rewritten to u8. On a processor without VNNI the two differ, which shows that the
/// emulation reaches the code that matters.
#[test]
fn u8_times_s8() {
    for operator in [
        "ConvInteger",
        "MatMulInteger",
        "QGemm",
        "QLinearConv",
        "QLinearMatMul",
    ] {
        let (mut different, mut compared) = (0, 0);
        for seed in 0..LAYERS {
            let mut random = Random::new(seed);
            let (mixed, rewritten) = layers::mixed(operator, &mut random);
            assert!(
                plan(&mixed, &Policy::public(1, 1)).is_err(),
                "{operator}: u8×s8 is refused"
            );
            let pair = Pair::new(&encode(&rewritten));
            let inputs = pair.random_inputs(&mut random);
            let right = pair.run(&inputs);
            let got = bare(&mixed, &inputs);
            for (a, b) in right.iter().zip(&got) {
                compared += a.len();
                different += a
                    .data()
                    .iter()
                    .zip(b.data())
                    .filter(|(a, b)| a != b)
                    .count();
            }
        }
        assert!(compared > 0);
        println!("u8s8 {operator}: {different} of {compared} outputs differ");
    }
}

/// The runtime alone.
fn bare(model: &Model, inputs: &[IntTensor]) -> Vec<IntTensor> {
    let session = IntSession::load(&encode(model), OptLevel::DisableAll).expect("it loads");
    let infos = model.graph.inputs.iter();
    let named = infos
        .zip(inputs)
        .map(|(info, tensor)| {
            assert_eq!(info.ty, ValueType::Int(tensor.elem()));
            (info.name.clone(), tensor.clone())
        })
        .collect();
    let outputs = session.run(&named).expect("it runs");
    let wanted = model.graph.outputs.iter();
    wanted.map(|info| outputs[&info.name].clone()).collect()
}
