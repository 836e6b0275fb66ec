//! Models loaded into ONNX Runtime.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ort::environment::Environment;
use ort::ep::CPU;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Outlet, Tensor, TensorElementType, TensorRef};
use proofmark_types::{ElemType, IntTensor};

use crate::error::RuntimeError;
use crate::init::environment;
use crate::pool::Pool;
use crate::value::{Elem, FloatTensor, IoSpec, Value, ValueView, dims_of, type_name};

/// How far ONNX Runtime may rewrite the graph before it runs it. Part of a statement: fusions
/// change results of models that are not in the integer dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OptLevel {
    /// `ORT_DISABLE_ALL`: the graph as it is written. Integer models run at this level.
    DisableAll,
    /// `ORT_ENABLE_BASIC`: rewrites that keep the semantics.
    Basic,
    /// `ORT_ENABLE_EXTENDED`: fusions of the CPU provider as well.
    Extended,
    /// `ORT_ENABLE_ALL`: layout changes as well.
    All,
}

impl OptLevel {
    const fn ort(self) -> GraphOptimizationLevel {
        match self {
            Self::DisableAll => GraphOptimizationLevel::Disable,
            Self::Basic => GraphOptimizationLevel::Level1,
            Self::Extended => GraphOptimizationLevel::Level2,
            Self::All => GraphOptimizationLevel::All,
        }
    }
}

/// How a model is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOptions {
    /// Optimisation level.
    pub opt: OptLevel,
    /// Threads that one run uses inside an operator (at least 1).
    pub intra_threads: usize,
    /// Runs that may go on at once (at least 1); each holds a copy of the model. Further callers
    /// wait.
    pub max_parallel: usize,
}

impl SessionOptions {
    /// One thread a run, and as many runs at once as there are processors.
    pub fn new(opt: OptLevel) -> Self {
        let max_parallel = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            opt,
            intra_threads: 1,
            max_parallel,
        }
    }
}

/// A model whose inputs and outputs are integers or float32 in any mix, such as a quantized model
/// with `QuantizeLinear` and `DequantizeLinear` at its ends.
///
/// May be shared by threads. A run is sequential, on the CPU provider, and deterministic.
pub struct AnySession {
    pool: Pool,
    inputs: Vec<IoSpec>,
    outputs: Vec<IoSpec>,
}

impl AnySession {
    /// Loads the bytes of an ONNX model.
    ///
    /// # Errors
    /// Those of [`init`](crate::init); [`RuntimeError::Model`] with ONNX Runtime's own words when
    /// it refuses the model; [`RuntimeError::ModelType`] when an end of the model is none of
    /// uint8, int8, int32 and float.
    pub fn load(model: &[u8], opt: OptLevel) -> Result<Self, RuntimeError> {
        Self::load_with(model, &SessionOptions::new(opt))
    }

    /// As [`load`](Self::load), with threads of choice.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_with(model: &[u8], options: &SessionOptions) -> Result<Self, RuntimeError> {
        Self::load_served(model, options, "uint8, int8, int32 and float", |_| true)
    }

    fn load_served(
        model: &[u8],
        options: &SessionOptions,
        served: &'static str,
        serves: impl Fn(Elem) -> bool,
    ) -> Result<Self, RuntimeError> {
        let first = commit(model, options)?;
        let specs = |end: &'static str, outlets: &[Outlet]| -> Result<Vec<IoSpec>, RuntimeError> {
            outlets
                .iter()
                .map(|outlet| spec_of(end, outlet, served, &serves))
                .collect()
        };
        let inputs = specs("input", first.inputs())?;
        let outputs = specs("output", first.outputs())?;
        let model: Arc<[u8]> = model.into();
        let remade = options.clone();
        let pool = Pool::new(first, options.max_parallel, move || commit(&model, &remade));
        Ok(Self {
            pool,
            inputs,
            outputs,
        })
    }

    /// The model's inputs in graph order.
    pub fn inputs(&self) -> &[IoSpec] {
        &self.inputs
    }

    /// The model's outputs in graph order.
    pub fn outputs(&self) -> &[IoSpec] {
        &self.outputs
    }

    /// Runs the model on exactly its inputs and returns all its outputs by name.
    ///
    /// # Errors
    /// `InputMissing`, `InputUnknown`, `InputType`, `InputShape` and `InputLength` before anything
    /// is run; [`RuntimeError::Run`] with ONNX Runtime's own words when it fails;
    /// [`RuntimeError::Output`] when it returns another type than the model promises.
    pub fn run(
        &self,
        inputs: &BTreeMap<String, Value>,
    ) -> Result<BTreeMap<String, Value>, RuntimeError> {
        self.run_views(inputs.iter().map(|(name, value)| {
            let view = match value {
                Value::Int(tensor) => ValueView::Int(tensor),
                Value::Float(tensor) => ValueView::Float(tensor),
            };
            (name.as_str(), view)
        }))
    }

    fn run_views<'a>(
        &self,
        inputs: impl Iterator<Item = (&'a str, ValueView<'a>)>,
    ) -> Result<BTreeMap<String, Value>, RuntimeError> {
        let mut given: BTreeMap<&str, ValueView<'a>> = inputs.collect();
        let known = || self.inputs.iter().map(|spec| spec.name.clone()).collect();
        let mut feeds = Vec::with_capacity(self.inputs.len());
        for spec in &self.inputs {
            let Some(view) = given.remove(spec.name.as_str()) else {
                return Err(RuntimeError::InputMissing {
                    name: spec.name.clone(),
                    known: known(),
                });
            };
            check(spec, view)?;
            feeds.push((spec.name.as_str(), feed(view)?));
        }
        if let Some(name) = given.into_keys().next() {
            return Err(RuntimeError::InputUnknown {
                name: name.to_owned(),
                known: known(),
            });
        }
        self.pool.with(|session| {
            // Lent, not given: an output that is an input itself shares its memory, which has to
            // live until the outputs are copied.
            let lent: Vec<(&str, SessionInputValue<'_>)> = feeds
                .iter()
                .map(|(name, value)| (*name, SessionInputValue::from(&**value)))
                .collect();
            let results = session.run(lent).map_err(|error| RuntimeError::Run {
                source: Box::new(error),
            })?;
            self.outputs
                .iter()
                .map(|spec| {
                    let value = results
                        .get(&spec.name)
                        .ok_or_else(|| RuntimeError::Output {
                            name: spec.name.clone(),
                            reason: "it is absent".to_owned(),
                        })?;
                    Ok((spec.name.clone(), extract(spec, value)?))
                })
                .collect()
        })
    }
}

/// An integer model: every input and output is uint8, int8 or int32.
///
/// Integer intermediates are returned as well where the model names them as graph outputs.
pub struct IntSession(AnySession);

impl IntSession {
    /// Loads the bytes of an ONNX model.
    ///
    /// # Errors
    /// As [`AnySession::load`]; a float end is refused as [`RuntimeError::ModelType`].
    pub fn load(model: &[u8], opt: OptLevel) -> Result<Self, RuntimeError> {
        Self::load_with(model, &SessionOptions::new(opt))
    }

    /// As [`load`](Self::load), with threads of choice.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_with(model: &[u8], options: &SessionOptions) -> Result<Self, RuntimeError> {
        AnySession::load_served(model, options, "uint8, int8 and int32", |elem| {
            elem != Elem::Float
        })
        .map(Self)
    }

    /// The model's inputs in graph order.
    pub fn inputs(&self) -> &[IoSpec] {
        self.0.inputs()
    }

    /// The model's outputs in graph order.
    pub fn outputs(&self) -> &[IoSpec] {
        self.0.outputs()
    }

    /// Runs the model on exactly its inputs and returns all its outputs by name.
    ///
    /// # Errors
    /// As [`AnySession::run`].
    pub fn run(
        &self,
        inputs: &BTreeMap<String, IntTensor>,
    ) -> Result<BTreeMap<String, IntTensor>, RuntimeError> {
        let views = inputs
            .iter()
            .map(|(name, tensor)| (name.as_str(), ValueView::Int(tensor)));
        narrow(self.0.run_views(views)?, Value::into_int)
    }
}

/// A float model: every input and output is float32.
pub struct FloatSession(AnySession);

impl FloatSession {
    /// Loads the bytes of an ONNX model.
    ///
    /// # Errors
    /// As [`AnySession::load`]; an integer end is refused as [`RuntimeError::ModelType`].
    pub fn load(model: &[u8], opt: OptLevel) -> Result<Self, RuntimeError> {
        Self::load_with(model, &SessionOptions::new(opt))
    }

    /// As [`load`](Self::load), with threads of choice.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_with(model: &[u8], options: &SessionOptions) -> Result<Self, RuntimeError> {
        AnySession::load_served(model, options, "float", |elem| elem == Elem::Float).map(Self)
    }

    /// The model's inputs in graph order.
    pub fn inputs(&self) -> &[IoSpec] {
        self.0.inputs()
    }

    /// The model's outputs in graph order.
    pub fn outputs(&self) -> &[IoSpec] {
        self.0.outputs()
    }

    /// Runs the model on exactly its inputs and returns all its outputs by name. NaN and
    /// infinities are passed through.
    ///
    /// # Errors
    /// As [`AnySession::run`].
    pub fn run(
        &self,
        inputs: &BTreeMap<String, FloatTensor>,
    ) -> Result<BTreeMap<String, FloatTensor>, RuntimeError> {
        let views = inputs
            .iter()
            .map(|(name, tensor)| (name.as_str(), ValueView::Float(tensor)));
        narrow(self.0.run_views(views)?, Value::into_float)
    }
}

/// Outputs of the one kind that the session was loaded for.
fn narrow<T>(
    outputs: BTreeMap<String, Value>,
    kind: fn(Value) -> Option<T>,
) -> Result<BTreeMap<String, T>, RuntimeError> {
    outputs
        .into_iter()
        .map(|(name, value)| match kind(value) {
            Some(tensor) => Ok((name, tensor)),
            None => Err(RuntimeError::Output {
                name,
                reason: "it is of another kind".to_owned(),
            }),
        })
        .collect()
}

fn commit(model: &[u8], options: &SessionOptions) -> Result<Session, RuntimeError> {
    let builder =
        configure(environment()?, options).map_err(|error| RuntimeError::Configuration {
            source: Box::new(error),
        })?;
    commit_with(builder, model)
}

fn commit_with(mut builder: SessionBuilder, model: &[u8]) -> Result<Session, RuntimeError> {
    // The bindings panic on types of a model's ends that they do not know.
    match catch_unwind(AssertUnwindSafe(|| builder.commit_from_memory(model))) {
        Ok(Ok(session)) => Ok(session),
        Ok(Err(error)) => Err(RuntimeError::Model {
            source: Box::new(error),
        }),
        Err(_) => Err(RuntimeError::Model {
            source: "an input or output has a type unknown to the bindings".into(),
        }),
    }
}

/// The model as ONNX Runtime rewrites it at a level, before it runs it: which of its nodes are fused
/// can be read off it. A fused node has the name of the node of the original that it stands for,
/// or that name with `_token_` and a number behind it.
///
/// # Errors
/// As [`AnySession::load`]; [`RuntimeError::Configuration`] when no temporary file can be made.
pub fn optimized(model: &[u8], opt: OptLevel) -> Result<Vec<u8>, RuntimeError> {
    let options = SessionOptions {
        max_parallel: 1,
        ..SessionOptions::new(opt)
    };
    let unwritten = |error: std::io::Error| RuntimeError::Configuration {
        source: Box::new(error),
    };
    let folder = tempfile::tempdir().map_err(unwritten)?;
    let file = folder.path().join("optimized.onnx");
    let builder = configure(environment()?, &options)
        .and_then(|builder| Ok(builder.with_optimized_model_path(&file)?))
        .map_err(|error| RuntimeError::Configuration {
            source: Box::new(error),
        })?;
    commit_with(builder, model)?;
    std::fs::read(&file).map_err(unwritten)
}

fn configure(environment: &Environment, options: &SessionOptions) -> ort::Result<SessionBuilder> {
    let builder = Session::builder(environment)?
        .with_execution_providers([CPU::default()
            .with_arena_allocator(true)
            .build()
            .error_on_failure()])?
        .with_optimization_level(options.opt.ort())?
        .with_intra_threads(options.intra_threads.max(1))?
        .with_inter_threads(1)?
        .with_parallel_execution(false)?
        .with_deterministic_compute(true)?
        .with_intra_op_spinning(false)?
        // Bytes that pass for ONNX Runtime's own format would skip the checks on ONNX models.
        .with_config_entry("session.load_model_format", "ONNX")?;
    Ok(builder)
}

fn spec_of(
    end: &'static str,
    outlet: &Outlet,
    served: &'static str,
    serves: impl Fn(Elem) -> bool,
) -> Result<IoSpec, RuntimeError> {
    let refuse = || RuntimeError::ModelType {
        end,
        name: outlet.name().to_owned(),
        found: type_name(outlet.dtype()),
        served,
    };
    let elem = outlet
        .dtype()
        .tensor_type()
        .and_then(Elem::of)
        .filter(|elem| serves(*elem));
    let (Some(elem), Some(shape)) = (elem, outlet.dtype().tensor_shape()) else {
        return Err(refuse());
    };
    Ok(IoSpec {
        name: outlet.name().to_owned(),
        elem: elem.onnx_name().to_owned(),
        dims: dims_of(shape),
    })
}

fn check(spec: &IoSpec, view: ValueView<'_>) -> Result<(), RuntimeError> {
    let found = view.elem().onnx_name();
    if found != spec.elem {
        return Err(RuntimeError::InputType {
            name: spec.name.clone(),
            expected: spec.elem.clone(),
            found: found.to_owned(),
        });
    }
    if !spec.admits(view.shape()) {
        return Err(RuntimeError::InputShape {
            name: spec.name.clone(),
            expected: spec.shape_text(),
            found: view.shape().to_vec(),
        });
    }
    if let ValueView::Float(tensor) = view {
        tensor.check().map_err(|source| RuntimeError::InputLength {
            name: spec.name.clone(),
            source,
        })?;
    }
    Ok(())
}

/// The runtime's form of a tensor: int32 and float32 borrowed, 8 bits copied.
fn feed(view: ValueView<'_>) -> Result<SessionInputValue<'_>, RuntimeError> {
    let shape = view.shape();
    match view {
        ValueView::Float(tensor) => {
            TensorRef::from_array_view((shape, tensor.data.as_slice())).map(Into::into)
        }
        ValueView::Int(tensor) => match tensor.elem() {
            ElemType::Int32 => TensorRef::from_array_view((shape, tensor.data())).map(Into::into),
            ElemType::Uint8 => {
                Tensor::from_array((shape.to_vec(), tensor.to_le_bytes())).map(Into::into)
            }
            ElemType::Int8 => {
                let bytes: Vec<i8> = tensor
                    .to_le_bytes()
                    .iter()
                    .map(|byte| byte.cast_signed())
                    .collect();
                Tensor::from_array((shape.to_vec(), bytes)).map(Into::into)
            }
        },
    }
    .map_err(|error| RuntimeError::Run {
        source: Box::new(error),
    })
}

fn extract(spec: &IoSpec, value: &DynValue) -> Result<Value, RuntimeError> {
    let wrong = |reason: String| RuntimeError::Output {
        name: spec.name.clone(),
        reason,
    };
    let unread = |error: ort::Error| wrong(error.to_string());
    let Some(ty) = value.dtype().tensor_type() else {
        return Err(wrong("it is no tensor".to_owned()));
    };
    let Some(elem) = Elem::of(ty).filter(|elem| elem.onnx_name() == spec.elem) else {
        return Err(wrong(format!(
            "it is {}, not {}",
            type_name(value.dtype()),
            spec.elem
        )));
    };
    let sizes = |shape: &[i64]| -> Result<Vec<usize>, RuntimeError> {
        shape
            .iter()
            .map(|&dim| usize::try_from(dim).map_err(|_| wrong(format!("its shape is {shape:?}"))))
            .collect()
    };
    let Elem::Int(elem) = elem else {
        let (shape, data) = value.try_extract_tensor::<f32>().map_err(unread)?;
        let tensor = FloatTensor::new(sizes(shape)?, data.to_vec());
        return tensor
            .map(Value::Float)
            .map_err(|error| wrong(error.to_string()));
    };
    let (shape, data) = match ty {
        TensorElementType::Uint8 => {
            let (shape, data) = value.try_extract_tensor::<u8>().map_err(unread)?;
            (
                sizes(shape)?,
                data.iter().map(|&value| i32::from(value)).collect(),
            )
        }
        TensorElementType::Int8 => {
            let (shape, data) = value.try_extract_tensor::<i8>().map_err(unread)?;
            (
                sizes(shape)?,
                data.iter().map(|&value| i32::from(value)).collect(),
            )
        }
        _ => {
            let (shape, data) = value.try_extract_tensor::<i32>().map_err(unread)?;
            (sizes(shape)?, data.to_vec())
        }
    };
    IntTensor::new(elem, shape, data)
        .map(Value::Int)
        .map_err(|error| wrong(error.to_string()))
}
