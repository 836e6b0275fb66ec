//! What becomes of a case.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use proofmark_onnx::{Limits, Model, Tensor, TensorData, ValueType};
use proofmark_quantizer::{
    Options, QuantizeError, Quantized, import_quantized, with_int32_outputs,
};
use proofmark_runtime::{AnySession, FloatTensor, OptLevel, RuntimeError, Value};
use proofmark_tensor::{ElemType, IntTensor};
use proofmark_tests::build::random_tensor;
use proofmark_tests::{Checked, Failure, Random};
use proofmark_types::manifest::{View, ViewValue};

use crate::archive::Case;
use crate::setting::{Setting, settings};

/// Random inputs that an exact case is compared on beside its own data.
const RANDOM_INPUTS: u64 = 4;

/// Exactly one of these is said of each case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// ONNX Runtime on the original, ONNX Runtime on the canonical model, evaluator and witness
    /// agree on every output element.
    Exact {
        /// What stayed computed.
        setting: Setting,
        /// Output elements compared.
        compared: usize,
    },
    /// ONNX Runtime does not load or run the original.
    CannotLoad {
        /// The class of its message.
        class: String,
    },
    /// Proofmark does not take it, and says why.
    Refused {
        /// The error's stable code.
        code: &'static str,
        /// Reason and remedy.
        reason: String,
    },
    /// Anything else.
    Fail {
        /// What went wrong.
        what: String,
    },
}

impl Verdict {
    /// The class, as the list names it.
    pub(crate) const fn class(&self) -> &'static str {
        match self {
            Self::Exact { .. } => "exact",
            Self::CannotLoad { .. } => "runtime cannot load it",
            Self::Refused { .. } => "refused",
            Self::Fail { .. } => "fail",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact { setting, compared } => write!(f, "{setting}; {compared} outputs"),
            Self::CannotLoad { class } => f.write_str(class),
            Self::Refused { code, reason } => write!(f, "{code}: {reason}"),
            Self::Fail { what } => f.write_str(what),
        }
    }
}

/// Judges a case. A panic anywhere is a failure.
pub(crate) fn judge(case: &Case) -> Verdict {
    catch_unwind(AssertUnwindSafe(|| judged(case))).unwrap_or_else(|panic| {
        let words = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Verdict::Fail {
            what: format!("panic: {}", one_line(words.unwrap_or("without words"))),
        }
    })
}

fn judged(case: &Case) -> Verdict {
    let model = match proofmark_onnx::parse(&case.model, &Limits::default()) {
        Ok(model) => model,
        // A model that is malformed for us but not for the runtime would be listed here, too.
        Err(error) => {
            return Verdict::Refused {
                code: error.code(),
                reason: one_line(&error.to_string()),
            };
        }
    };
    // Strings never enter an integer model, and whether the runtime loads such a case depends on
    // the machine's locales.
    if let Some(info) = model
        .graph
        .inputs
        .iter()
        .find(|info| info.ty == ValueType::Other(8))
    {
        return Verdict::Refused {
            code: "model-unsupported",
            reason: format!("input {:?}: its elements are strings", info.name),
        };
    }
    if let Err(RuntimeError::Model { source }) = AnySession::load(&case.model, OptLevel::DisableAll)
    {
        return Verdict::CannotLoad {
            class: load_class(&source.to_string()),
        };
    }
    let mut refusal: Option<(usize, Verdict)> = None;
    for (setting, model) in settings(&model, case) {
        // What is said of the form with one computed input is closest to the point.
        let rank = model.graph.inputs.len();
        let mut refuse = |verdict| {
            if refusal.as_ref().is_none_or(|(best, _)| rank < *best) {
                refusal = Some((rank, verdict));
            }
        };
        match import_quantized(&model, &Options::default()) {
            Ok(imported) => match compared(case, setting, &model, &imported) {
                verdict @ Verdict::Refused { .. } => refuse(verdict),
                verdict => return verdict,
            },
            Err(QuantizeError::Unsupported(nodes)) => {
                let first = nodes.first().map(ToString::to_string).unwrap_or_default();
                let more = match nodes.len() {
                    0 | 1 => String::new(),
                    n => format!(" (and {} more)", n - 1),
                };
                if nodes.is_empty()
                    || nodes
                        .iter()
                        .any(|n| n.reason.is_empty() || n.remedy.is_empty())
                {
                    return Verdict::Fail {
                        what: format!("refused without reason or remedy: {nodes:?}"),
                    };
                }
                refuse(Verdict::Refused {
                    code: "model-unsupported",
                    reason: one_line(&format!("{first}{more}")),
                });
            }
            Err(error) if error.code() == "quantizer-internal" => {
                return Verdict::Fail {
                    what: format!("{setting}: {}", one_line(&error.to_string())),
                };
            }
            Err(error) => {
                refuse(Verdict::Refused {
                    code: error.code(),
                    reason: one_line(&chain(&error)),
                });
            }
        }
    }
    if let Some(words) = not_run(case, &model) {
        return Verdict::CannotLoad {
            class: format!("fails when run: {}", one_line(&words)),
        };
    }
    refusal.map_or_else(
        || Verdict::Fail {
            what: "no setting could be tried".to_owned(),
        },
        |(_, verdict)| verdict,
    )
}

/// ONNX Runtime's words when it loads the original but does not run it on the case's own data.
fn not_run(case: &Case, model: &Model) -> Option<String> {
    let mut inputs = BTreeMap::new();
    for (at, input) in model.graph.inputs.iter().enumerate() {
        inputs.insert(input.name.clone(), value(case.inputs.get(&at)?.clone())?);
    }
    let session = AnySession::load(&case.model, OptLevel::DisableAll).ok()?;
    match session.run(&inputs) {
        Err(RuntimeError::Run { source }) => {
            let words = source.to_string();
            let class = words
                .split_once("was false. ")
                .map(|(_, class)| class.to_owned());
            Some(class.unwrap_or(words))
        }
        _ => None,
    }
}

/// Compares an imported model with its original, on the case's own data and on random inputs.
fn compared(case: &Case, setting: Setting, original: &Model, imported: &Quantized) -> Verdict {
    let fail = |what: String| Verdict::Fail {
        what: format!("{setting}: {}", one_line(&what)),
    };
    let served = proofmark_onnx::encode(&with_int32_outputs(original));
    let session = match AnySession::load(&served, OptLevel::All) {
        Ok(session) => session,
        Err(error) => {
            return fail(format!(
                "the runtime loads the case, but not so: {}",
                chain(&error)
            ));
        }
    };
    let checked = match Checked::compile(&imported.model) {
        Ok(checked) => checked,
        Err(Failure::Refused { code, reason }) => {
            return Verdict::Refused {
                code,
                reason: one_line(&reason),
            };
        }
        Err(failure) => return fail(failure.to_string()),
    };
    let mut elements = 0;
    let mut sets = 0;
    for seed in 0..=RANDOM_INPUTS {
        let Some(inputs) = inputs(case, original, imported, seed) else {
            continue;
        };
        match agree(case, &session, imported, &checked, &inputs, seed == 0) {
            Ok(count) => elements += count,
            Err(what) => return fail(format!("inputs {seed}: {what}")),
        }
        sets += 1;
    }
    if sets == 0 {
        return fail("no data to compare on".to_owned());
    }
    Verdict::Exact {
        setting,
        compared: elements,
    }
}

/// The case's own data (seed 0) or random 8-bit data with extremes; `None` where the archive has
/// no data and the inputs are not of 8 bits.
fn inputs(
    case: &Case,
    original: &Model,
    imported: &Quantized,
    seed: u64,
) -> Option<BTreeMap<String, Value>> {
    let all = proofmark_onnx::parse(&case.model, &Limits::default())
        .ok()?
        .graph
        .inputs;
    // Integer division by zero ends the process in some kernels.
    let divides = original
        .graph
        .nodes
        .iter()
        .any(|n| matches!(n.op_type.as_str(), "Div" | "Mod"));
    let mut random = Random::new(seed);
    let mut named = BTreeMap::new();
    for input in &original.graph.inputs {
        let at = all.iter().position(|info| info.name == input.name)?;
        let own = case.inputs.get(&at).cloned();
        let spec = imported
            .inputs
            .iter()
            .find(|spec| spec.name == input.name)?;
        let value = if seed == 0 {
            value(own?)?
        } else {
            match input.ty {
                ValueType::Int(elem @ (ElemType::Uint8 | ElemType::Int8)) if !divides => {
                    Value::Int(random_tensor(&mut random, elem, &spec.shape))
                }
                ValueType::Float => {
                    let count = spec.shape.iter().product();
                    let data = (0..count).map(|_| random.between(-4000, 4000) as f32 / 8.0);
                    Value::Float(FloatTensor::new(spec.shape.clone(), data.collect()).ok()?)
                }
                _ => value(own?)?,
            }
        };
        named.insert(input.name.clone(), value);
    }
    Some(named)
}

fn value(tensor: Tensor) -> Option<Value> {
    match tensor.data {
        TensorData::Int(ints) => Some(Value::Int(ints)),
        TensorData::Float(data) => FloatTensor::new(tensor.shape, data).ok().map(Value::Float),
        _ => None,
    }
}

/// One inference through the original and the three.
fn agree(
    case: &Case,
    original: &AnySession,
    imported: &Quantized,
    checked: &Checked,
    inputs: &BTreeMap<String, Value>,
    own: bool,
) -> Result<usize, String> {
    let wanted = original.run(inputs).map_err(|error| chain(&error))?;
    let mut ints = Vec::new();
    for spec in &imported.inputs {
        ints.push(match inputs.get(&spec.name) {
            Some(Value::Int(tensor)) => tensor.clone(),
            Some(Value::Float(tensor)) => spec
                .quantizer
                .as_ref()
                .ok_or("a float input without quantizer")?
                .quantize(&tensor.data, &spec.shape, spec.elem)
                .map_err(|error| error.to_string())?,
            None => return Err(format!("no input {:?}", spec.name)),
        });
    }
    checked
        .compare(&ints)
        .map_err(|failure| failure.to_string())?;
    let got: BTreeMap<&str, IntTensor> = checked
        .plan
        .outputs()
        .iter()
        .map(|info| info.name.as_str())
        .zip(checked.run(&ints))
        .collect();
    let mut elements = 0;
    for (at, spec) in original.outputs().iter().enumerate() {
        let shown = imported
            .outputs
            .iter()
            .find(|output| output.name == spec.name);
        let shown = shown.ok_or_else(|| format!("output {:?} was lost", spec.name))?;
        let ours = got.get(spec.name.as_str()).ok_or("an output is missing")?;
        let theirs = wanted.get(&spec.name).ok_or("an output is missing")?;
        let same = match theirs {
            Value::Int(theirs) => ours == theirs,
            Value::Float(theirs) => {
                let view = shown
                    .views
                    .iter()
                    .find(|v| matches!(v, View::Dequantize { .. }));
                let view = view.ok_or("a float output without view")?;
                match view.apply(ours, &shown.views) {
                    Ok(ViewValue::Floats(floats)) => {
                        theirs.shape == ours.shape()
                            && floats.len() == theirs.data.len()
                            && floats
                                .iter()
                                .zip(&theirs.data)
                                .all(|(a, b)| f64::from(*b).to_bits() == f64::from(*a).to_bits())
                    }
                    other => return Err(format!("{other:?}")),
                }
            }
        };
        if !same {
            return Err(format!(
                "output {:?}: the original gives {theirs:?}, the import {ours:?}",
                spec.name
            ));
        }
        if own
            && let (Some(expected), Value::Int(theirs)) = (case.outputs.get(&at), theirs)
            && !same_values(expected, theirs)
        {
            return Err(format!(
                "output {:?}: the suite expects {expected:?}, the runtime gives {theirs:?}",
                spec.name
            ));
        }
        elements += ours.len();
    }
    Ok(elements)
}

/// Whether the runtime gives what the suite expects; int64 is compared as int32.
fn same_values(expected: &Tensor, theirs: &IntTensor) -> bool {
    match expected.int64s() {
        Some(wide) => {
            expected.shape == theirs.shape()
                && wide
                    .iter()
                    .copied()
                    .eq(theirs.data().iter().copied().map(i64::from))
        }
        None => expected.ints() == Some(theirs),
    }
}

/// An error with its causes, which carry the runtime's own words.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// The class of ONNX Runtime's message about a model that it does not take.
fn load_class(message: &str) -> String {
    let between = |from: &str, to: &str| {
        let (_, rest) = message.split_once(from)?;
        Some(
            rest.split_once(to)
                .map_or(rest, |(text, _)| text)
                .trim()
                .to_owned(),
        )
    };
    let class = between("Unsupported model IR version:", ",")
        .map(|version| format!("IR version {version}, at most 13"))
        .or_else(|| {
            between("Opset ", " is under").map(|v| format!("operator set {v} not released"))
        })
        .or_else(|| between("an implementation for ", "(").map(|op| format!("no kernel: {op}")))
        .or_else(|| between("find kernel for ", "(").map(|op| format!("no kernel: {op}")))
        .or_else(|| between("Fatal error: ", "(").map(|op| format!("no such operator: {op}")))
        .or_else(|| {
            between("Error Unrecognized attribute: ", "\n")
                .map(|a| format!("unknown attribute: {a}"))
        })
        .or_else(|| {
            message
                .contains("layout_ == 0")
                .then(|| "kernel without layout 1".to_owned())
        })
        .or_else(|| {
            message
                .contains("Type Error")
                .then(|| "type error".to_owned())
        });
    class.unwrap_or_else(|| one_line(&message.chars().take(160).collect::<String>()))
}

fn one_line(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 400 {
        return line;
    }
    line.chars().take(400).chain(['…']).collect()
}
