//! Everything that is asked of one model.

use std::collections::BTreeMap;
use std::time::Instant;

use ark_bn254::Fr;
use proofmark_onnx::{Limits, Model, encode};
use proofmark_ops::Salts;
use proofmark_prover::{NoProgress, Prover, setup};
use proofmark_quantizer::{
    Drift, Options, QuantizeError, Quantized, Samples, drift, import_quantized,
};
use proofmark_runtime::{AnySession, FloatTensor, OptLevel, Value};
use proofmark_tensor::IntTensor;
use proofmark_tests::build::random_tensor;
use proofmark_tests::{Checked, Failure, Random};
use proofmark_types::manifest::{InputSpec, ReferenceLevel, View, ViewValue};

use crate::catalogue::{Aim, Heldout, ThirdParty};

/// Most constraints that plain Groth16 proves here; larger ones wait for the lookup backend.
const PROVEN: usize = 1 << 18;
/// The model that is proven in the short run.
const SMALL: &str = "mlp-qop-u8s8-perchannel";

/// A line of `circuits.csv`.
pub(crate) struct Row {
    pub(crate) model: &'static str,
    format: &'static str,
    became: Became,
}

enum Became {
    /// What a refusal names.
    Refused(String),
    Circuit {
        constraints: usize,
        inexact: usize,
        drift: String,
        digest: String,
    },
}

impl Row {
    /// As it stands in the file.
    pub(crate) fn line(&self) -> String {
        let Self {
            model,
            format,
            became,
        } = self;
        match became {
            Became::Refused(what) => format!("{model},{format},{what},,,,refused\n"),
            Became::Circuit {
                constraints,
                inexact,
                drift,
                digest,
            } => {
                let proof = if *constraints <= PROVEN {
                    "plain backend"
                } else {
                    "waits for lookups"
                };
                format!("{model},{format},{constraints},{inexact},{drift},{digest},{proof}\n")
            }
        }
    }
}

/// Whether this is the long run.
pub(crate) fn deep() -> bool {
    std::env::var_os("PROOFMARK_DEEP").is_some()
}

/// Whether this processor computes originals as they are written: on x86 without VNNI, uint8 times
/// int8 saturates.
pub(crate) fn multiplies_exactly() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// The model as it is on disk.
pub(crate) fn original(model: &ThirdParty) -> Model {
    proofmark_onnx::load(&model.path(), &Limits::default()).expect("parses")
}

/// The model, imported.
pub(crate) fn imported(model: &ThirdParty) -> Result<Quantized, QuantizeError> {
    let options = Options {
        reference: model.reference,
        ..Options::default()
    };
    import_quantized(&original(model), &options)
}

/// Imports a model and asks everything of it.
pub(crate) fn examine(model: &'static ThirdParty) -> Row {
    let row = |became| Row {
        model: model.name,
        format: model.format,
        became,
    };
    let start = Instant::now();
    let quantized = match imported(model) {
        Ok(quantized) => quantized,
        Err(QuantizeError::Unsupported(nodes)) => {
            println!("{}: refused", model.name);
            for node in &nodes {
                println!("    {node}");
            }
            return row(Became::Refused(format!("{} nodes", nodes.len())));
        }
        Err(error) => panic!("{}: {error}", model.name),
    };
    // The pinned digests hold one run against another; this holds the rest of the model too.
    if deep() {
        assert_eq!(
            quantized,
            imported(model).expect("imports"),
            "not deterministic"
        );
    }
    let heldout = model.heldout();
    let drift = measured_drift(model, &quantized, &heldout);
    if quantized.inexact.is_empty() && multiplies_exactly() {
        assert_eq!(
            drift.different, 0,
            "{}: nothing inexact is named",
            model.name
        );
    }
    let checked = match Checked::compile(&quantized.model) {
        Ok(checked) => checked,
        Err(failure @ Failure::Refused { .. }) => {
            println!("{}: imported, not compiled: {failure}", model.name);
            return row(Became::Refused("not compiled".to_owned()));
        }
        Err(failure) => panic!("{}: {failure}", model.name),
    };
    let constraints = checked.circuit.r1cs.num_constraints();
    let (before, after) = (
        score(
            model,
            &heldout,
            &run_original(model, &quantized.inputs[0].shape, &heldout),
        ),
        score(
            model,
            &heldout,
            &run_imported(&checked, &quantized, &heldout),
        ),
    );
    assert!(
        after > before - 0.01,
        "{}: {before} became {after}",
        model.name
    );
    let ready = start.elapsed();
    let (inputs, outputs, witnesses) = agree(&checked, &quantized.inputs[0], &heldout);
    let proof = if constraints <= PROVEN && (deep() || model.name == SMALL) {
        let start = Instant::now();
        prove(&checked, &quantized.inputs[0]);
        format!(", proven in {:.1} s", start.elapsed().as_secs_f64())
    } else {
        String::new()
    };
    println!(
        "{}: {constraints} constraints, {} inexact nodes, drift {} of {} (largest step {}), score \
         {before:.4} became {after:.4}, {inputs} inputs ({witnesses} with witness), {outputs} \
         outputs compared, 0 different{proof}; {:.1} s to import and compile, {:.1} s in all",
        model.name,
        quantized.inexact.len(),
        drift.different,
        drift.compared,
        drift.largest_step,
        ready.as_secs_f64(),
        start.elapsed().as_secs_f64(),
    );
    for rewrite in &quantized.inexact {
        println!("    inexact {}: {}", rewrite.node, rewrite.reason);
    }
    row(Became::Circuit {
        constraints,
        inexact: quantized.inexact.len(),
        drift: format!("{:.6}", drift.rate()),
        digest: checked.circuit.digest().to_string(),
    })
}

/// Drift on the held-out samples and on values far outside of the data's range.
fn measured_drift(model: &ThirdParty, quantized: &Quantized, heldout: &Heldout) -> Drift {
    let mut inputs = heldout.x.clone();
    if !model.takes_integers() {
        let top = heldout.x.iter().flatten().fold(0.0, |a: f32, &b| a.max(b));
        let mut random = Random::new(5);
        for _ in 0..200 {
            let unit = |_| (random.between(-300, 1300) as f32) / 1000.0 * top;
            inputs.push((0..heldout.x[0].len()).map(unit).collect());
        }
        for extreme in [f32::MAX / 1e6, -f32::MAX / 1e6] {
            inputs.push(vec![extreme; heldout.x[0].len()]);
        }
    }
    let samples = Samples {
        inputs: BTreeMap::from([(quantized.inputs[0].name.clone(), inputs)]),
        labels: None,
    };
    drift(&original(model), quantized, &samples).expect("both run")
}

/// Outputs of the original at its reference level, one vector a sample.
fn run_original(model: &ThirdParty, shape: &[usize], heldout: &Heldout) -> Vec<Vec<f32>> {
    let graph = original(model);
    let level = match model.reference {
        ReferenceLevel::Disabled => OptLevel::DisableAll,
        ReferenceLevel::Basic => OptLevel::Basic,
        ReferenceLevel::Extended => OptLevel::Extended,
        ReferenceLevel::All => OptLevel::All,
    };
    let session = AnySession::load(&encode(&graph), level).expect("the original loads");
    let input = &session.inputs()[0];
    let run = |sample: &Vec<f32>| {
        let value = if model.takes_integers() {
            let ints = sample.iter().map(|&v| v as i32).collect();
            let elem = proofmark_tensor::ElemType::Int8;
            Value::Int(IntTensor::new(elem, shape.to_vec(), ints).expect("in range"))
        } else {
            Value::Float(FloatTensor::new(shape.to_vec(), sample.clone()).expect("fits"))
        };
        let outputs = session
            .run(&BTreeMap::from([(input.name.clone(), value)]))
            .expect("the original runs");
        match outputs.into_values().next().expect("an output") {
            Value::Float(tensor) => tensor.data,
            Value::Int(tensor) => tensor.data().iter().map(|&v| v as f32).collect(),
        }
    };
    heldout.x.iter().map(run).collect()
}

/// Outputs of the integer model, looked at as its views say.
fn run_imported(checked: &Checked, quantized: &Quantized, heldout: &Heldout) -> Vec<Vec<f32>> {
    let spec = &quantized.outputs[0];
    let view = spec
        .views
        .iter()
        .find(|view| matches!(view, View::Dequantize { .. }));
    let run = |sample: &Vec<f32>| {
        let output = &checked.run(&[integers(&quantized.inputs[0], sample)])[0];
        match view.map(|view| view.apply(output, &spec.views).expect("the view fits")) {
            Some(ViewValue::Floats(floats)) => floats,
            _ => output.data().iter().map(|&v| v as f32).collect(),
        }
    };
    heldout.x.iter().map(run).collect()
}

/// A sample as the integer model takes it.
fn integers(spec: &InputSpec, sample: &[f32]) -> IntTensor {
    match &spec.quantizer {
        Some(quantizer) => quantizer
            .quantize(sample, &spec.shape, spec.elem)
            .expect("finite values"),
        None => {
            let ints = sample.iter().map(|&v| v as i32).collect();
            IntTensor::new(spec.elem, spec.shape.clone(), ints).expect("in range")
        }
    }
}

/// Share of samples or pixels that are right; of an autoencoder, the share of variance explained.
fn score(model: &ThirdParty, heldout: &Heldout, outputs: &[Vec<f32>]) -> f64 {
    match model.aim {
        Aim::Classes => {
            let right = outputs.iter().zip(&heldout.y).filter(|(output, class)| {
                let best = (0..output.len())
                    .rev()
                    .max_by(|&a, &b| output[a].total_cmp(&output[b]));
                best == usize::try_from(**class).ok()
            });
            right.count() as f64 / outputs.len() as f64
        }
        Aim::Pixels => {
            let pixels = outputs.iter().flatten().zip(&heldout.y);
            let right = pixels
                .filter(|(logit, mask)| (**logit > 0.0) == (**mask == 1))
                .count();
            right as f64 / heldout.y.len() as f64
        }
        Aim::Itself => {
            let count = outputs.len() as f64;
            let (mut error, mut variance) = (0.0, 0.0);
            for pixel in 0..outputs[0].len() {
                let truth = || heldout.x.iter().map(|x| f64::from(x[pixel]));
                let mean = truth().sum::<f64>() / count;
                variance += truth().map(|x| (x - mean).powi(2)).sum::<f64>();
                let pairs = truth().zip(outputs);
                error += pairs
                    .map(|(x, y)| (x - f64::from(y[pixel])).powi(2))
                    .sum::<f64>();
            }
            1.0 - error / variance
        }
    }
}

/// ONNX Runtime, evaluator and witness on held-out, extreme and random inputs; how many inputs,
/// outputs and witnesses were compared.
fn agree(checked: &Checked, spec: &InputSpec, heldout: &Heldout) -> (usize, usize, usize) {
    let (total, witnesses) = match checked.circuit.r1cs.num_constraints() {
        _ if deep() => (1_000, 1_000),
        0..20_000 => (100, 5),
        20_000..100_000 => (100, 3),
        _ => (100, 2),
    };
    let (lo, hi) = (spec.elem.min(), spec.elem.max());
    let count: usize = spec.shape.iter().product();
    let tensor = |data| IntTensor::new(spec.elem, spec.shape.clone(), data).expect("in range");
    let mut random = Random::new(3);
    let mut inputs = vec![
        random_tensor(&mut random, spec.elem, &spec.shape),
        integers(spec, &heldout.x[0]),
        tensor(vec![hi; count]),
        tensor(vec![lo; count]),
    ];
    for period in [2, 3, 7] {
        let stripe = |i| if i % period == 0 { hi } else { lo };
        inputs.push(tensor((0..count).map(stripe).collect()));
    }
    let real = heldout.x.iter().skip(1).take(total / 2);
    inputs.extend(real.map(|sample| integers(spec, sample)));
    while inputs.len() < total {
        inputs.push(random_tensor(&mut random, spec.elem, &spec.shape));
    }
    let mut outputs = 0;
    for (at, input) in inputs.iter().enumerate() {
        let input = std::slice::from_ref(input);
        outputs += if at < witnesses {
            checked.check(input)
        } else {
            checked.check_evaluator(input)
        };
    }
    (inputs.len(), outputs, witnesses)
}

/// Keys, a proof, and its verification.
fn prove(checked: &Checked, spec: &InputSpec) {
    let input = random_tensor(&mut Random::new(11), spec.elem, &spec.shape);
    let witness = checked
        .plan
        .witness(&[input], Fr::from(5_u64), &Salts::default())
        .expect("a witness");
    let key = setup(&checked.circuit, &NoProgress).expect("keys");
    let prover = Prover::new(&checked.circuit, key).expect("fits");
    let proof = prover.prove(&witness.assignment, None).expect("a proof");
    let public = &witness.public_inputs;
    proofmark_verifier::verify_proof(prover.verifying_key(), public, &proof).expect("verifies");
}
