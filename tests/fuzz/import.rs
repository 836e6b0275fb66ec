//! Models quantized by others: what is imported must give the integers of the original, run at
//! its named level; where the import lists inexact rewrites the difference is counted.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proofmark_onnx::Model;
use proofmark_quantizer::{Options, QuantizeError, Quantized, import_quantized};
use proofmark_runtime::{AnySession, FloatTensor, OptLevel, Value};
use proofmark_tensor::{ElemType, IntTensor};
use proofmark_tests::{Checked, Failure, Random};
use proofmark_types::manifest::ReferenceLevel;

use crate::original::{MOST, Original, Style, original};
use crate::run::{Goal, describe, kind};

const LEVELS: [ReferenceLevel; 4] = [
    ReferenceLevel::Disabled,
    ReferenceLevel::Basic,
    ReferenceLevel::Extended,
    ReferenceLevel::All,
];

/// What a run has done.
#[derive(Debug, Default)]
pub(crate) struct Imports {
    pub(crate) exact: usize,
    pub(crate) inexact: usize,
    /// Originals that the runtime itself does not load at their level.
    pub(crate) not_run: usize,
    pub(crate) refused: BTreeMap<String, usize>,
    /// Outputs of exact imports, all equal to the original's.
    pub(crate) outputs: usize,
    pub(crate) inexact_outputs: usize,
    pub(crate) inexact_different: usize,
    pub(crate) largest_step: i64,
    /// Nodes of exact imports, by style and operator of the original.
    pub(crate) operators: BTreeMap<(Style, &'static str), usize>,
}

impl Imports {
    pub(crate) fn refusals(&self) -> usize {
        self.refused.values().sum()
    }

    fn refuse(&mut self, reason: &str) {
        *self.refused.entry(kind(reason)).or_default() += 1;
    }

    pub(crate) fn print(&self) {
        println!(
            "imports: {} exact with {} outputs, none different; {} inexact with {} of {} outputs \
             different, by at most {} steps; {} refused; {} not run by the runtime",
            self.exact,
            self.outputs,
            self.inexact,
            self.inexact_different,
            self.inexact_outputs,
            self.largest_step,
            self.refusals(),
            self.not_run
        );
        println!("  exact: {:?}", self.operators);
        for (reason, count) in &self.refused {
            println!("  {count:4} × {reason}");
        }
    }
}

/// Findings after which a run ends.
const FINDINGS: usize = 6;

const fn opt_level(level: ReferenceLevel) -> OptLevel {
    match level {
        ReferenceLevel::Disabled => OptLevel::DisableAll,
        ReferenceLevel::Basic => OptLevel::Basic,
        ReferenceLevel::Extended => OptLevel::Extended,
        ReferenceLevel::All => OptLevel::All,
    }
}

/// Imports random originals until so many are exact and have given so many outputs.
///
/// # Panics
/// When an exact import differs in one integer, or what is imported is outside the dialect, or
/// the three disagree on it.
pub(crate) fn until(goal: Goal, first_seed: u64) -> Imports {
    let mut imports = Imports::default();
    let mut findings = Vec::new();
    let mut seed = first_seed;
    while imports.outputs < goal.outputs || imports.exact < goal.graphs {
        if let Err(finding) = whole(seed, MOST, &mut imports) {
            findings.push(report(seed, finding));
            // Some at once say more than the first.
            if findings.len() == FINDINGS {
                break;
            }
        }
        seed += 1;
    }
    assert!(findings.is_empty(), "{}", findings.join("\n\n"));
    imports
}

fn whole(seed: u64, most: usize, imports: &mut Imports) -> Result<(), String> {
    let mut random = Random::new(!seed);
    let level = *random.pick(&LEVELS);
    one(&original(seed, most), level, &mut random, imports)
}

/// The fewest operators that still fail, saved and described.
fn report(seed: u64, finding: String) -> String {
    let fails = |most: usize| {
        let finding = whole(seed, most, &mut Imports::default()).err()?;
        Some((most, finding))
    };
    let (most, finding) = (1..MOST).find_map(fails).unwrap_or((MOST, finding));
    let case = original(seed, most);
    let level = *Random::new(!seed).pick(&LEVELS);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    fs::create_dir_all(&folder).expect("a folder for findings");
    let path = folder.join(format!("import-{seed}.onnx"));
    fs::write(&path, proofmark_onnx::encode(&case.model)).expect("a file");
    format!(
        "seed {seed}, level {}, {:?} {}: {finding}\n{}\n  saved as {}",
        level.name(),
        case.style,
        case.elem,
        describe(&case.model),
        path.display()
    )
}

fn one(
    case: &Original,
    level: ReferenceLevel,
    random: &mut Random,
    imports: &mut Imports,
) -> Result<(), String> {
    // The unchanged original is the reference.
    let Ok(reference) = AnySession::load(&proofmark_onnx::encode(&case.model), opt_level(level))
    else {
        imports.not_run += 1;
        return Ok(());
    };
    let options = Options {
        reference: level,
        ..Options::default()
    };
    let imported = match import_quantized(&case.model, &options) {
        Ok(imported) => imported,
        Err(QuantizeError::Unsupported(nodes)) => {
            if let Some(node) = nodes.first() {
                imports.refuse(&format!(
                    "{:?} {}: {}",
                    case.style, node.op_type, node.reason
                ));
            }
            return Ok(());
        }
        Err(error) => {
            imports.refuse(&error.to_string());
            return Ok(());
        }
    };
    let canonical = match Checked::compile(&imported.model) {
        Ok(canonical) => canonical,
        // A table without a cheap form is found where intervals are known.
        Err(Failure::Refused { code, reason }) => {
            imports.refuse(&format!("{:?} canonical {code}: {reason}", case.style));
            return Ok(());
        }
        Err(failure) => return Err(format!("canonical: {failure}")),
    };
    let (mut compared, mut different) = (0, 0);
    for turn in 0..6 {
        let floats = floats(&case.model, &case.inputs, case.elem, turn, random);
        let integers = quantized(&imported, &case.model, &floats)?;
        if turn < 2 {
            canonical
                .compare(&integers)
                .map_err(|f| format!("canonical: {f}"))?;
        }
        let got = canonical.run(&integers);
        let wanted = run(&reference, &case.model, &floats)?;
        for (at, (info, &(scale, zero))) in case
            .model
            .graph
            .outputs
            .iter()
            .zip(&case.outputs)
            .enumerate()
        {
            let place = imported
                .outputs
                .iter()
                .position(|spec| spec.name == info.name)
                .ok_or_else(|| format!("output {} is not imported", info.name))?;
            let (got, wanted) = (&got[place], &wanted[at]);
            if got.len() != wanted.len() {
                return Err(format!("{} has {} elements", info.name, got.len()));
            }
            for (&q, &y) in got.data().iter().zip(wanted) {
                compared += 1;
                // f32(q − zero) · scale, as DequantizeLinear.
                let shown = (q - zero) as f32 * scale;
                if shown.to_bits() == y.to_bits() || (shown == 0.0 && y == 0.0) {
                    continue;
                }
                different += 1;
                let steps = f64::from(shown - y) / f64::from(scale);
                imports.largest_step = imports.largest_step.max(steps.abs().round() as i64);
                if imported.inexact.is_empty() {
                    return Err(format!("{} is {shown}, the original's {y}", info.name));
                }
            }
        }
    }
    if imported.inexact.is_empty() {
        imports.exact += 1;
        imports.outputs += compared;
        for (&op, count) in &case.operators {
            *imports.operators.entry((case.style, op)).or_default() += count;
        }
    } else {
        imports.inexact += 1;
        imports.inexact_outputs += compared;
        imports.inexact_different += different;
    }
    Ok(())
}

/// Values on the grid of the input's integers, between its steps, and far outside.
fn floats(
    model: &Model,
    parameters: &[(f32, i32)],
    elem: ElemType,
    turn: usize,
    random: &mut Random,
) -> Vec<Vec<f32>> {
    let shapes = model
        .graph
        .inputs
        .iter()
        .map(|i| i.static_shape().expect("static"));
    shapes
        .zip(parameters)
        .map(|(shape, &(scale, zero))| {
            (0..shape.iter().product::<usize>())
                .map(|i| {
                    let q = match turn {
                        0 => elem.min(),
                        1 => elem.max(),
                        2 if i % 2 == 0 => elem.min(),
                        2 => elem.max(),
                        _ => random.between(elem.min().into(), elem.max().into()) as i32,
                    };
                    let exact = (q - zero) as f32 * scale;
                    if turn == 5 {
                        exact * (random.between(-300, 300) as f32 / 100.0)
                    } else {
                        exact
                    }
                })
                .collect()
        })
        .collect()
}

fn quantized(
    imported: &Quantized,
    original: &Model,
    floats: &[Vec<f32>],
) -> Result<Vec<IntTensor>, String> {
    imported
        .inputs
        .iter()
        .map(|spec| {
            let at = original
                .graph
                .inputs
                .iter()
                .position(|info| info.name == spec.name)
                .ok_or_else(|| format!("input {} is not the original's", spec.name))?;
            let quantizer = spec
                .quantizer
                .as_ref()
                .ok_or("an input without a quantizer")?;
            quantizer
                .quantize(&floats[at], &spec.shape, spec.elem)
                .map_err(|error| error.to_string())
        })
        .collect()
}

fn run(
    reference: &AnySession,
    model: &Model,
    floats: &[Vec<f32>],
) -> Result<Vec<Vec<f32>>, String> {
    let inputs: BTreeMap<String, Value> = model
        .graph
        .inputs
        .iter()
        .zip(floats)
        .map(|(info, data)| {
            let shape = info.static_shape().expect("static");
            let tensor = FloatTensor {
                shape,
                data: data.clone(),
            };
            (info.name.clone(), Value::Float(tensor))
        })
        .collect();
    let mut outputs = reference.run(&inputs).map_err(|error| error.to_string())?;
    model
        .graph
        .outputs
        .iter()
        .map(|info| match outputs.remove(&info.name) {
            Some(Value::Float(tensor)) => Ok(tensor.data),
            _ => Err(format!("no float output {}", info.name)),
        })
        .collect()
}
