//! `proofmark inspect`: what proving a model takes, before any setup.

use std::collections::BTreeMap;
use std::path::Path;

use proofmark_engine::{Estimate, circuit_backend, policy_of};
use proofmark_gadgets::Backend;
use proofmark_onnx::{Limits, Model, ValueType};
use proofmark_ops::{Plan, Policy, plan};
use proofmark_package::Package;
use proofmark_quantizer::{
    Calibration, Options, Quantized, import_quantized, is_quantized, quantize,
};
use proofmark_types::Manifest;
use proofmark_validation::TranslationReport;
use proofmark_verify::{Exit, Failure};
use serde_json::{Map, Value, json};

use crate::arguments::InspectArgs;
use crate::commands::import;
use crate::failures::OrFail as _;
use crate::output::{Output, bytes, grouped, seconds};

/// Made-up samples for a float model that comes without calibration data.
const MADE_UP_SAMPLES: usize = 8;

/// What was found at a path.
struct Subject {
    kind: &'static str,
    /// Members that the JSON begins with, and lines that the text begins with.
    members: Map<String, Value>,
    lines: Vec<String>,
    plan: Plan,
    /// The backend that a package was sealed for.
    backend: Option<Backend>,
}

pub(crate) fn run(args: &InspectArgs, output: Output) -> Result<(), Failure> {
    let found = if args.path.is_dir() {
        package(&args.path)
    } else {
        onnx(args)
    };
    let subject = found.map_err(|failure| match failure.exit {
        Exit::Rejected => failure.member("provable", json!(false)),
        _ => failure,
    })?;
    let bars = output.bars();
    let spinner = bars.spinner("compiling the circuit");
    let estimates = Estimate::all(&subject.plan, subject.backend);
    drop(spinner);
    report(subject, &estimates.or_fail()?, output)
}

fn package(folder: &Path) -> Result<Subject, Failure> {
    let package = Package::open(folder).or_fail()?;
    let manifest = package.manifest();
    let kind = if manifest.sealed.is_some() {
        "package"
    } else {
        "draft"
    };
    let model = parse(&package.integer_model().or_fail()?)?;
    let plan = plan(&model, &policy_of(manifest)).or_fail()?;
    let digest = package.digest();
    let mut members = Map::new();
    let mut lines = vec![format!(
        "{kind} {} version {}",
        manifest.name, manifest.version
    )];
    members.insert("name".to_owned(), json!(manifest.name));
    members.insert("version".to_owned(), json!(manifest.version));
    members.insert("licence".to_owned(), json!(manifest.licence));
    members.insert("integer_model".to_owned(), json!(manifest.integer_model));
    members.insert("validation".to_owned(), json!(manifest.validation));
    if let Some(sealed) = &manifest.sealed {
        members.insert("package_digest".to_owned(), json!(digest));
        members.insert("sealed".to_owned(), json!(sealed));
        lines.push(format!("package digest  {digest}"));
        lines.push(format!("setup           {}", sealed.setup_kind.name()));
    } else {
        members.insert("draft_digest".to_owned(), json!(digest));
    }
    lines.push(format!(
        "integer model   {} ({})",
        manifest.integer_model.digest,
        bytes(manifest.integer_model.bytes)
    ));
    lines.extend(tensors(manifest));
    lines.extend(import::validation(&manifest.validation));
    if let Some(report) = import::translation(&package)? {
        lines.extend(translation(&report));
        members.insert("translation".to_owned(), json!(report));
    } else {
        lines.push("translation     not validated yet; `proofmark setup` does".to_owned());
        members.insert("translation".to_owned(), Value::Null);
    }
    Ok(Subject {
        kind,
        members,
        lines,
        plan,
        backend: manifest
            .sealed
            .as_ref()
            .map(|_| circuit_backend(manifest.compiler.backend)),
    })
}

fn tensors(manifest: &Manifest) -> Vec<String> {
    let inputs = manifest.inputs.iter().map(|i| {
        let float = match i.quantizer {
            Some(_) => ", takes floats",
            None => "",
        };
        let who = i.visibility.name();
        format!("input  {} {} {:?} {who}{float}", i.name, i.elem, i.shape)
    });
    let outputs = manifest.outputs.iter().map(|o| {
        let who = o.visibility.name();
        format!("output {} {} {:?} {who}", o.name, o.elem, o.shape)
    });
    inputs.chain(outputs).collect()
}

/// What was compared between ONNX Runtime and what is proven, in sum and by node.
fn translation(report: &TranslationReport) -> Vec<String> {
    let totals = report.totals();
    let mut lines = vec![
        format!(
            "translation     {} integers of ONNX Runtime {} and of the evaluator compared, 0 different",
            grouped(totals.compared),
            report.runtime.onnxruntime
        ),
        format!(
            "                {} thresholds of {} step functions (each - 1, + 0, + 1), {} table \
             entries, {} runs of single nodes, {} of the model, {} witnesses",
            grouped(totals.thresholds),
            grouped(totals.steps),
            grouped(totals.table_entries),
            grouped(totals.runs),
            grouped(report.model.runs),
            grouped(report.model.witnesses)
        ),
        format!(
            "                on {} {}, seed {}",
            report.machine.architecture,
            report.machine.features.join(" "),
            report.seed
        ),
    ];
    lines.push(format!(
        "  {:<38} {:<20} {:>10} {:>10} {:>10} {:>10}",
        "validated node", "operator", "thresholds", "probes", "entries", "compared"
    ));
    lines.extend(report.nodes.iter().map(|node| {
        format!(
            "  {:<38} {:<20} {:>10} {:>10} {:>10} {:>10}",
            node.node,
            node.op_type,
            grouped(node.thresholds),
            grouped(node.probes),
            grouped(node.table_entries),
            grouped(node.compared)
        )
    }));
    lines
}

fn parse(bytes: &[u8]) -> Result<Model, Failure> {
    proofmark_onnx::parse(bytes, &Limits::default()).or_fail()
}

fn onnx(args: &InspectArgs) -> Result<Subject, Failure> {
    let model = proofmark_onnx::load(&args.path, &Limits::default()).or_fail()?;
    let inputs = &model.graph.inputs;
    let integer = inputs
        .iter()
        .all(|input| matches!(input.ty, ValueType::Int(_)));
    let quantized = is_quantized(&model);
    let mut lines = Vec::new();
    let (kind, plan) = if integer {
        let policy = Policy::public(inputs.len(), model.graph.outputs.len());
        let planned = plan(&model, &policy).or_fail()?;
        lines.push("integer model; every input and output taken as public".to_owned());
        ("integer-model", planned)
    } else if quantized {
        let canonical = import_quantized(&model, &Options::default()).or_fail()?;
        lines.push("quantized model; every input and output taken as public".to_owned());
        lines.extend(canonical.notes.iter().map(|note| format!("note: {note}")));
        ("quantized-model", plan_quantized(&canonical)?)
    } else {
        let calibration = if let Some(path) = &args.calibration {
            import::calibration(&model, path)?
        } else {
            lines.push(
                "float model, quantized with made-up samples: the figures are estimates; \
                 --calibration FILE makes them exact"
                    .to_owned(),
            );
            made_up(&model)
        };
        proofmark_runtime::init().or_fail()?;
        let quantized = quantize(&model, &calibration, &Options::default()).or_fail()?;
        ("float-model", plan_quantized(&quantized)?)
    };
    let mut members = Map::new();
    let exact = integer || quantized || args.calibration.is_some();
    members.insert("exact".to_owned(), json!(exact));
    for (what, infos) in [("input ", plan.inputs()), ("output", plan.outputs())] {
        for info in infos {
            let line = format!(
                "{what} {} {} {:?}",
                info.name, info.fact.elem, info.fact.shape
            );
            lines.push(line);
        }
    }
    Ok(Subject {
        kind,
        members,
        lines,
        plan,
        backend: None,
    })
}

fn plan_quantized(quantized: &Quantized) -> Result<Plan, Failure> {
    let model = parse(&quantized.model)?;
    let policy = Policy::public(quantized.inputs.len(), quantized.outputs.len());
    plan(&model, &policy).or_fail()
}

/// Samples spread evenly over 0 … 1, always the same: good enough to see the circuit's size, which
/// depends on the ranges only a little.
fn made_up(model: &Model) -> Calibration {
    let inputs: BTreeMap<_, _> = model
        .graph
        .inputs
        .iter()
        .map(|input| {
            let shape = input.static_shape().unwrap_or_default();
            let count: usize = shape.iter().product();
            let samples = (0..MADE_UP_SAMPLES)
                .map(|sample| {
                    (0..count)
                        .map(|at| fraction(at * MADE_UP_SAMPLES + sample))
                        .collect()
                })
                .collect();
            (input.name.clone(), samples)
        })
        .collect();
    Calibration { inputs }
}

/// The fractional part of `n` times the golden ratio, in 24 bits: evenly spread over 0 … 1.
fn fraction(n: usize) -> f32 {
    let spread = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    #[expect(clippy::cast_precision_loss, reason = "24 bits are exact in float32")]
    let fraction = spread as f32 / 16_777_216.0;
    fraction
}

/// An estimate for people.
fn estimate_lines(estimate: &Estimate) -> Vec<String> {
    let r1cs = &estimate.circuit.r1cs;
    vec![
        format!(
            "circuit         {}: {} constraints, {} wires, {} non-zero entries, {} public inputs",
            estimate.backend(),
            grouped(r1cs.num_constraints() as u64),
            grouped(r1cs.num_wires as u64),
            grouped(r1cs.non_zero() as u64),
            grouped(r1cs.num_public as u64)
        ),
        format!(
            "                key {}, proving about {} on two cores (an estimate; `proofmark \
                 bench` measures), EVM gas about {}",
            bytes(estimate.prediction.key_bytes),
            seconds(estimate.prediction.time().as_secs_f64()),
            grouped(estimate.gas())
        ),
    ]
}

/// Reports on the compiled circuits, the preferred one first.
fn report(subject: Subject, compiled: &[Estimate], output: Output) -> Result<(), Failure> {
    let mut object = subject.members;
    let mut lines = subject.lines;
    object.insert("kind".to_owned(), json!(subject.kind));
    object.insert("provable".to_owned(), json!(true));
    object.insert("unsupported".to_owned(), json!([]));
    let all: Vec<_> = compiled.iter().map(Estimate::json).collect();
    object.insert("backends".to_owned(), json!(all));
    lines.extend(compiled.iter().flat_map(estimate_lines));
    if let Some(first) = compiled.first() {
        object.extend(first.json());
        object.insert("nodes".to_owned(), first.nodes_json());
        lines.push(String::new());
        lines.push(format!(
            "{:<40} {:<20} {:>10} {:>12}",
            "node",
            "operator",
            "elements",
            first.backend()
        ));
        lines.extend(first.costs.iter().map(|cost| {
            format!(
                "{:<40} {:<20} {:>10} {:>12}",
                cost.node,
                cost.op_type,
                grouped(cost.elements as u64),
                grouped(cost.constraints as u64)
            )
        }));
    }
    output.result(&Value::Object(object), &lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_values_are_spread_and_always_the_same() {
        let values: Vec<f32> = (0..1000).map(fraction).collect();
        assert!(values.iter().all(|v| (0.0..1.0).contains(v)));
        let mean = values.iter().sum::<f32>() / 1000.0;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        assert_eq!(fraction(1).to_bits(), fraction(1).to_bits());
    }
}
