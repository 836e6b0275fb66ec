//! From an integer model and a visibility policy to a circuit, an evaluation, a witness.

use std::collections::BTreeMap;
use std::ops::Range;

use ark_bn254::Fr;
use ark_ff::Zero;
use proofmark_gadgets::{Backend, Challenger, Circuit, Lowering, NoChallenge, Num};
use proofmark_onnx::{Model, ValueType};
use proofmark_tensor::IntTensor;
use proofmark_types::manifest::Visibility;
use proofmark_types::statement::{LayoutTensor, PublicLayout, PublicValue, tensor_digest};

use crate::boundary::{Publics, bind_context, bind_input, bind_output};
use crate::context::{NodeContext, Refusal};
use crate::error::{OpsError, UnsupportedNode};
use crate::operator::{
    Fact, MAX_ELEMENTS, MAX_GRAPH_ELEMENTS, OpSpec, Operator, Parsed, TensorVar,
};
use crate::ops::OPERATORS;
use crate::pooled::{self, Pooled};

/// Version of the compiler's output. Frozen: a change of any lowering makes a new epoch.
pub const COMPILER_EPOCH: u32 = 1;

/// The same for the committed backend, whose circuits have epochs of their own.
pub const COMMITTED_EPOCH: u32 = 1;

/// Version of the compiler's output for a backend.
pub const fn compiler_epoch(backend: Backend) -> u32 {
    match backend {
        Backend::Plain => COMPILER_EPOCH,
        Backend::Committed => COMMITTED_EPOCH,
    }
}

/// Who learns each input and output, in graph order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// One visibility an input.
    pub inputs: Vec<Visibility>,
    /// One visibility an output.
    pub outputs: Vec<Visibility>,
}

impl Policy {
    /// Everything public, for a model with so many inputs and outputs.
    pub fn public(inputs: usize, outputs: usize) -> Self {
        Self {
            inputs: vec![Visibility::Public; inputs],
            outputs: vec![Visibility::Public; outputs],
        }
    }
}

/// A model input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name in the graph.
    pub name: String,
    /// Type and static shape.
    pub fact: Fact,
    /// Who learns it.
    pub visibility: Visibility,
}

/// Salts of private tensors, in graph order; `None` for all others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Salts {
    /// One entry an input.
    pub inputs: Vec<Option<Fr>>,
    /// One entry an output.
    pub outputs: Vec<Option<Fr>>,
}

/// The full assignment of one inference, and what is public of it.
#[derive(Debug, Clone)]
pub struct Witness {
    /// Value of every wire, the constant 1 first.
    pub assignment: Vec<Fr>,
    /// The public inputs, the constant 1 not counted.
    pub public_inputs: Vec<Fr>,
    /// Outputs as the circuit's wires hold them, in graph order.
    pub outputs: Vec<IntTensor>,
    /// Digest of each hashed or private input.
    pub input_commitments: Vec<Option<Fr>>,
    /// Digest of each hashed or private output.
    pub output_commitments: Vec<Option<Fr>>,
}

/// What one node costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCost {
    /// Node name, or `"(inputs)"` and `"(outputs)"` for the boundary, `"(lookup tables)"` for what
    /// all lookups share.
    pub node: String,
    /// Operator.
    pub op_type: String,
    /// Output elements.
    pub elements: usize,
    /// Constraints.
    pub constraints: usize,
}

/// Smallest and largest value of each element of each tensor, by name.
pub type Ranges = BTreeMap<String, Vec<(i64, i64)>>;

/// Smallest and largest value of each element of a tensor, when asked for.
type Intervals<'a> = dyn Fn() -> Result<Vec<(i64, i64)>, OpsError> + 'a;

#[derive(Debug)]
struct Step {
    name: String,
    op_type: String,
    operator: Box<dyn Operator>,
    data: Vec<String>,
    output: String,
}

/// A model that has been read whole: every node an operator, every shape known.
#[derive(Debug)]
pub struct Plan {
    inputs: Vec<TensorInfo>,
    outputs: Vec<TensorInfo>,
    steps: Vec<Step>,
    layout: PublicLayout,
    /// For each tensor, how many steps and outputs still read it: it is dropped after the last.
    readers: BTreeMap<String, usize>,
    /// Pools that may be taken before the requantize.
    pooled: Vec<Pooled>,
}

/// Reads a model: every node must be an operator of the list, within its limits.
///
/// # Errors
/// [`OpsError::Unsupported`] with all refused nodes at once; [`OpsError::Boundary`] for inputs
/// and outputs that are not static integer tensors; [`OpsError::Policy`].
pub fn plan(model: &Model, policy: &Policy) -> Result<Plan, OpsError> {
    let graph = &model.graph;
    let inputs = boundary_inputs(model, policy)?;
    let mut facts: BTreeMap<String, Fact> = inputs
        .iter()
        .map(|i| (i.name.clone(), i.fact.clone()))
        .collect();
    // Tensors behind a refused node: their own consumers are not blamed for it.
    let mut unknown: Vec<&str> = Vec::new();
    let mut refused = Vec::new();
    let mut steps = Vec::new();
    let mut elements = inputs.iter().map(|i| i.fact.len()).sum();
    for node in &graph.nodes {
        let depends_on_refused = node
            .inputs
            .iter()
            .any(|input| unknown.contains(&input.as_str()));
        let parsed = match find_operator(model, &node.domain, &node.op_type) {
            Err(refusal) => Err(refusal),
            Ok(_) if depends_on_refused => {
                unknown.extend(node.outputs.iter().map(String::as_str));
                continue;
            }
            Ok((spec, opset)) => (spec.parse)(&NodeContext {
                node,
                opset,
                constants: &graph.initializers,
                facts: &facts,
                nodes: &graph.nodes,
            })
            .and_then(|parsed| sized(parsed, &mut elements)),
        };
        match parsed {
            Ok(parsed) => {
                let Some(output) = node.output(0) else {
                    continue;
                };
                facts.insert(output.to_owned(), parsed.operator.output().clone());
                steps.push(Step {
                    name: node.name.clone(),
                    op_type: node.op_type.clone(),
                    operator: parsed.operator,
                    data: parsed.data,
                    output: output.to_owned(),
                });
            }
            Err(Refusal { reason, remedy }) => {
                unknown.extend(node.outputs.iter().map(String::as_str));
                refused.push(UnsupportedNode {
                    node: node.name.clone(),
                    op_type: qualified(&node.domain, &node.op_type),
                    reason,
                    remedy,
                });
            }
        }
    }
    if !refused.is_empty() {
        return Err(OpsError::Unsupported(refused));
    }
    let outputs = boundary_outputs(model, policy, &facts)?;
    let layout = PublicLayout::new(layout_tensors(&inputs), layout_tensors(&outputs))?;
    let mut readers: BTreeMap<String, usize> = BTreeMap::new();
    let names = steps
        .iter()
        .flat_map(|s| &s.data)
        .chain(outputs.iter().map(|o| &o.name));
    for name in names {
        *readers.entry(name.clone()).or_default() += 1;
    }
    let nodes: Vec<pooled::Node<'_>> = steps
        .iter()
        .map(|step| pooled::Node {
            operator: step.operator.as_ref(),
            data: &step.data,
            output: &step.output,
        })
        .collect();
    let pooled = pooled::find(&nodes, &readers);
    Ok(Plan {
        inputs,
        outputs,
        steps,
        layout,
        readers,
        pooled,
    })
}

/// Refuses a result without elements, and one that makes the graph too large.
fn sized(parsed: Parsed, elements: &mut usize) -> Result<Parsed, Refusal> {
    let shape = &parsed.operator.output().shape;
    let count = proofmark_tensor::element_count(shape).unwrap_or(usize::MAX);
    if count == 0 {
        return Err(Refusal::new(
            format!("the result has shape {shape:?}, without elements"),
            "remove the node",
        ));
    }
    *elements = elements.saturating_add(count);
    if *elements > MAX_GRAPH_ELEMENTS {
        return Err(Refusal::new(
            format!("the tensors so far have more than {MAX_GRAPH_ELEMENTS} elements together"),
            "split the model",
        ));
    }
    Ok(parsed)
}

fn layout_tensors(tensors: &[TensorInfo]) -> Vec<LayoutTensor> {
    tensors
        .iter()
        .map(|t| LayoutTensor {
            name: t.name.clone(),
            elem: t.fact.elem,
            shape: t.fact.shape.clone(),
            visibility: t.visibility,
        })
        .collect()
}

fn qualified(domain: &str, op_type: &str) -> String {
    if domain.is_empty() {
        op_type.to_owned()
    } else {
        format!("{domain}.{op_type}")
    }
}

fn find_operator(
    model: &Model,
    domain: &str,
    op_type: &str,
) -> Result<(&'static OpSpec, i64), Refusal> {
    let spec = OPERATORS
        .iter()
        .find(|s| s.domain == domain && s.op_type == op_type)
        .ok_or_else(|| {
            Refusal::new(
                "the operator is not in the integer dialect",
                "import the float model with proofmark, or see OPERATORS.md for what may be proven",
            )
        })?;
    let opset = model.opset(domain).ok_or_else(|| {
        Refusal::new(
            format!("the model imports no operator set for domain {domain:?}"),
            "add the operator-set import",
        )
    })?;
    if opset < spec.since {
        return Err(Refusal::new(
            format!("operator set {opset} is older than {}", spec.since),
            "export the model with a newer operator set",
        ));
    }
    Ok((spec, opset))
}

fn boundary_inputs(model: &Model, policy: &Policy) -> Result<Vec<TensorInfo>, OpsError> {
    let declared = &model.graph.inputs;
    if policy.inputs.len() != declared.len() {
        return Err(OpsError::Policy {
            what: "input",
            expected: declared.len(),
            got: policy.inputs.len(),
        });
    }
    declared
        .iter()
        .zip(&policy.inputs)
        .map(|(info, &visibility)| {
            let refuse = |reason: &str| OpsError::Boundary {
                what: "input",
                name: info.name.clone(),
                reason: reason.to_owned(),
            };
            let ValueType::Int(elem) = info.ty else {
                return Err(refuse(
                    "is not uint8, int8 or int32; import the model first",
                ));
            };
            let shape = info
                .static_shape()
                .ok_or_else(|| refuse("has no static shape"))?;
            let count = proofmark_tensor::element_count(&shape)?;
            if count == 0 {
                return Err(refuse("has no elements"));
            }
            if count > MAX_ELEMENTS {
                return Err(refuse("has more elements than can be proven"));
            }
            Ok(TensorInfo {
                name: info.name.clone(),
                fact: Fact { elem, shape },
                visibility,
            })
        })
        .collect()
}

fn boundary_outputs(
    model: &Model,
    policy: &Policy,
    facts: &BTreeMap<String, Fact>,
) -> Result<Vec<TensorInfo>, OpsError> {
    let declared = &model.graph.outputs;
    if policy.outputs.len() != declared.len() {
        return Err(OpsError::Policy {
            what: "output",
            expected: declared.len(),
            got: policy.outputs.len(),
        });
    }
    declared
        .iter()
        .zip(&policy.outputs)
        .map(|(info, &visibility)| {
            let refuse = |reason: String| OpsError::Boundary {
                what: "output",
                name: info.name.clone(),
                reason,
            };
            let fact = facts
                .get(&info.name)
                .ok_or_else(|| refuse("is not computed by the graph".to_owned()))?;
            let agrees = info.ty == ValueType::Int(fact.elem)
                && info.static_shape().is_none_or(|shape| shape == fact.shape);
            if !agrees {
                return Err(refuse(format!(
                    "is declared as {:?} {:?} but computed as {} {:?}",
                    info.ty,
                    info.static_shape(),
                    fact.elem,
                    fact.shape
                )));
            }
            if fact.is_empty() {
                return Err(refuse("has no elements".to_owned()));
            }
            Ok(TensorInfo {
                name: info.name.clone(),
                fact: fact.clone(),
                visibility,
            })
        })
        .collect()
}

impl Plan {
    /// Inputs in graph order.
    pub fn inputs(&self) -> &[TensorInfo] {
        &self.inputs
    }

    /// Outputs in graph order.
    pub fn outputs(&self) -> &[TensorInfo] {
        &self.outputs
    }

    /// Type and shape of each input and of each tensor that a node makes, by name.
    pub fn facts(&self) -> BTreeMap<&str, &Fact> {
        let inputs = self.inputs.iter().map(|i| (i.name.as_str(), &i.fact));
        let steps = self.steps.iter();
        let made = steps.map(|s| (s.output.as_str(), s.operator.output()));
        inputs.chain(made).collect()
    }

    /// What each public input means.
    pub const fn layout(&self) -> &PublicLayout {
        &self.layout
    }

    /// The circuit of the plain backend, compiled deterministically.
    ///
    /// # Errors
    /// [`OpsError`] when an interval cannot be proven.
    pub fn circuit(&self) -> Result<Circuit, OpsError> {
        self.circuit_for(Backend::Plain)
    }

    /// The circuit of a backend, compiled deterministically.
    ///
    /// # Errors
    /// [`OpsError`] when an interval cannot be proven.
    pub fn circuit_for(&self, backend: Backend) -> Result<Circuit, OpsError> {
        self.compile(backend, |_, _, _, _| {}, |_, _| Ok(()))
    }

    /// The circuit of the plain backend and what each node contributes to it.
    ///
    /// # Errors
    /// Those of [`circuit`](Self::circuit).
    pub fn circuit_with_costs(&self) -> Result<(Circuit, Vec<NodeCost>), OpsError> {
        self.circuit_with_costs_for(Backend::Plain)
    }

    /// The circuit of a backend and what each node contributes to it.
    ///
    /// # Errors
    /// Those of [`circuit`](Self::circuit).
    pub fn circuit_with_costs_for(
        &self,
        backend: Backend,
    ) -> Result<(Circuit, Vec<NodeCost>), OpsError> {
        let mut nodes: Vec<(String, String, usize, Range<usize>)> = Vec::new();
        let report = |node: &str, op_type: &str, elements, scopes| {
            nodes.push((node.to_owned(), op_type.to_owned(), elements, scopes));
        };
        let circuit = self.compile(backend, report, |_, _| Ok(()))?;
        let costs = nodes
            .into_iter()
            .map(|(node, op_type, elements, scopes)| NodeCost {
                node,
                op_type,
                elements,
                constraints: circuit.labels.constraints_in(scopes),
            })
            .collect();
        Ok((circuit, costs))
    }

    /// The circuit of the plain backend and, for each input and each tensor that a node makes, the
    /// smallest and the largest value of every element, row-major, as the circuit's constraints
    /// enforce them. Where a pool is taken before the requantize, the circuit does not hold the
    /// requantized tensor; its ranges are then those that it would have.
    ///
    /// # Errors
    /// Those of [`circuit`](Self::circuit).
    pub fn circuit_with_ranges(&self) -> Result<(Circuit, Ranges), OpsError> {
        self.circuit_with_ranges_for(Backend::Plain)
    }

    /// The circuit of a backend and the ranges that its constraints enforce, as
    /// [`circuit_with_ranges`](Self::circuit_with_ranges) has them.
    ///
    /// # Errors
    /// Those of [`circuit`](Self::circuit).
    pub fn circuit_with_ranges_for(&self, backend: Backend) -> Result<(Circuit, Ranges), OpsError> {
        let mut ranges = Ranges::new();
        let observe = |tensor: &str, intervals: &Intervals<'_>| {
            ranges.insert(tensor.to_owned(), intervals()?);
            Ok(())
        };
        let circuit = self.compile(backend, |_, _, _, _| {}, observe)?;
        Ok((circuit, ranges))
    }

    fn compile(
        &self,
        backend: Backend,
        report: impl FnMut(&str, &str, usize, Range<usize>),
        observe: impl FnMut(&str, &Intervals<'_>) -> Result<(), OpsError>,
    ) -> Result<Circuit, OpsError> {
        let mut cx = Lowering::shape(backend, self.layout.len())?;
        self.lower(&mut cx, None, &Salts::default(), report, observe)?;
        cx.into_circuit(compiler_epoch(backend), self.layout.encode())
            .ok_or_else(|| OpsError::Internal {
                node: "circuit".to_owned(),
                reason: "not in shape mode".to_owned(),
            })
    }

    /// The integer evaluation, independent of the circuit.
    ///
    /// # Errors
    /// [`OpsError`] for inputs of another type or shape.
    pub fn evaluate(&self, inputs: &[IntTensor]) -> Result<Vec<IntTensor>, OpsError> {
        self.check_inputs(inputs)?;
        let mut live = Live::new(&self.readers);
        for (info, tensor) in self.inputs.iter().zip(inputs) {
            live.insert(&info.name, tensor.clone());
        }
        for step in &self.steps {
            let fact = step.operator.output();
            let values = step.operator.eval(&live.get(&step.name, &step.data)?)?;
            let tensor = IntTensor::new(fact.elem, fact.shape.clone(), values)?;
            live.release(&step.data);
            live.insert(&step.output, tensor);
        }
        self.outputs
            .iter()
            .map(|info| {
                let names = [info.name.clone()];
                Ok(live.get("(outputs)", &names)?.first().map(|&t| t.clone()))
            })
            .collect::<Result<Option<Vec<_>>, OpsError>>()?
            .ok_or_else(|| missing("(outputs)", "output"))
    }

    /// The witness of one inference, for the plain backend.
    ///
    /// # Errors
    /// [`OpsError::Divergence`] when the circuit's wires hold other outputs than the evaluator
    /// computed; [`OpsError`] for inputs of another type or shape, and for missing salts.
    pub fn witness(
        &self,
        inputs: &[IntTensor],
        context: Fr,
        salts: &Salts,
    ) -> Result<Witness, OpsError> {
        self.witness_for(Backend::Plain, inputs, context, salts, &mut NoChallenge)
    }

    /// The witness of one inference, for a backend. The challenger is asked once with the committed
    /// backend, when all it is to bind is known, and never with the plain one.
    ///
    /// # Errors
    /// Those of [`witness`](Self::witness), and the challenger's.
    pub fn witness_for(
        &self,
        backend: Backend,
        inputs: &[IntTensor],
        context: Fr,
        salts: &Salts,
        challenger: &mut dyn Challenger,
    ) -> Result<Witness, OpsError> {
        let evaluated = self.evaluate(inputs)?;
        let input_commitments = commitments(&self.inputs, inputs, &salts.inputs)?;
        let output_commitments = commitments(&self.outputs, &evaluated, &salts.outputs)?;
        let public_inputs = self.layout.public_inputs(
            context,
            &public_values(inputs, &input_commitments),
            &public_values(&evaluated, &output_commitments),
        )?;
        let mut cx = Lowering::witness(backend, &public_inputs, challenger)?;
        let tensors = self.lower(&mut cx, Some(inputs), salts, |_, _, _, _| {}, |_, _| Ok(()))?;
        let mut outputs = Vec::with_capacity(tensors.len());
        for ((info, tensor), expected) in self.outputs.iter().zip(tensors).zip(&evaluated) {
            let mut values = Vec::with_capacity(tensor.nums.len());
            for (index, (num, &evaluator)) in tensor.nums.iter().zip(expected.data()).enumerate() {
                let evaluator = i64::from(evaluator);
                if num.value() != evaluator {
                    return Err(OpsError::Divergence {
                        output: info.name.clone(),
                        index,
                        evaluator,
                        witness: num.value(),
                    });
                }
                values.push(i32::try_from(num.value()).unwrap_or_default());
            }
            outputs.push(IntTensor::new(
                info.fact.elem,
                info.fact.shape.clone(),
                values,
            )?);
        }
        let assignment = cx
            .into_assignment()
            .ok_or_else(|| missing("(witness)", "witness mode"))?;
        Ok(Witness {
            assignment,
            public_inputs,
            outputs,
            input_commitments,
            output_commitments,
        })
    }

    fn lower(
        &self,
        cx: &mut Lowering<'_>,
        inputs: Option<&[IntTensor]>,
        salts: &Salts,
        mut report: impl FnMut(&str, &str, usize, Range<usize>),
        mut observe: impl FnMut(&str, &Intervals<'_>) -> Result<(), OpsError>,
    ) -> Result<Vec<TensorVar>, OpsError> {
        let mut publics = Publics::new();
        let mut live = Live::new(&self.readers);
        cx.scoped(|| "context".to_owned(), |cx| bind_context(cx, &mut publics))?;
        let mut elements = 0;
        for (at, info) in self.inputs.iter().enumerate() {
            let values = inputs.and_then(|tensors| tensors.get(at));
            let salt = salts.inputs.get(at).copied().flatten();
            let tensor = cx.scoped(
                || format!("input {}", info.name),
                |cx| bind_input(cx, &mut publics, info, values, salt),
            )?;
            elements += tensor.nums.len();
            observe(&info.name, &|| Ok(intervals(&tensor.nums)))?;
            live.insert(&info.name, tensor);
        }
        report("(inputs)", "", elements, 0..cx.num_scopes());
        // Steps whose constraints are made with those of the pool behind them.
        let mut deferred: BTreeMap<usize, &Pooled> = BTreeMap::new();
        for (at, step) in self.steps.iter().enumerate() {
            let before = cx.num_scopes();
            let fact = step.operator.output().clone();
            let scope = || format!("{}/{}", step.name, step.op_type);
            if let Some(pooled) = self.pooled.iter().find(|p| p.producer == at) {
                let operands = live.get(&step.name, &step.data)?;
                if pooled.is_cheaper(cx, step.operator.as_ref(), &operands)? {
                    deferred.extend(pooled.nodes().map(|at| (at, pooled)));
                }
            }
            let nums = match deferred.get(&at) {
                Some(pooled) if pooled.pool == at => {
                    let producer = self.step(pooled.producer)?;
                    let operands = live.get(&producer.name, &producer.data)?;
                    let nums = cx.scoped(scope, |cx| {
                        let operator = producer.operator.as_ref();
                        pooled.synthesize(cx, operator, &operands, step.operator.as_ref())
                    })?;
                    live.release(&producer.data);
                    nums
                }
                Some(pooled) => {
                    let producer = self.step(pooled.producer)?;
                    let operands = live.get(&producer.name, &producer.data)?;
                    let operator = producer.operator.as_ref();
                    observe(&step.output, &|| pooled.ranges(cx, operator, &operands, at))?;
                    report(&step.name, &step.op_type, fact.len(), before..before);
                    continue;
                }
                None => {
                    let operands = live.get(&step.name, &step.data)?;
                    let nums = cx.scoped(scope, |cx| step.operator.synthesize(cx, &operands))?;
                    live.release(&step.data);
                    nums
                }
            };
            if nums.len() != fact.len() {
                return Err(missing(&step.name, "an output element"));
            }
            let scopes = before..cx.num_scopes();
            report(&step.name, &step.op_type, nums.len(), scopes);
            observe(&step.output, &|| Ok(intervals(&nums)))?;
            live.insert(&step.output, TensorVar { fact, nums });
        }
        let before = cx.num_scopes();
        let mut outputs = Vec::with_capacity(self.outputs.len());
        for (at, info) in self.outputs.iter().enumerate() {
            let names = [info.name.clone()];
            let tensor = live
                .get("(outputs)", &names)?
                .first()
                .map(|&t| t.clone())
                .ok_or_else(|| missing("(outputs)", "output"))?;
            let salt = salts.outputs.get(at).copied().flatten();
            cx.scoped(
                || format!("output {}", info.name),
                |cx| bind_output(cx, &mut publics, info, &tensor, salt),
            )?;
            outputs.push(tensor);
        }
        let elements = outputs.iter().map(|t| t.nums.len()).sum();
        report("(outputs)", "", elements, before..cx.num_scopes());
        if cx.backend() == Backend::Committed {
            let before = cx.num_scopes();
            cx.close()?;
            report("(lookup tables)", "", 0, before..cx.num_scopes());
        }
        // Every public input must have been used; one that is not would be malleable.
        if publics.used() != self.layout.len() {
            return Err(missing("(public)", "use of a public input"));
        }
        Ok(outputs)
    }

    #[cfg(test)]
    pub(crate) fn pooled(&self) -> &[Pooled] {
        &self.pooled
    }

    fn step(&self, at: usize) -> Result<&Step, OpsError> {
        self.steps
            .get(at)
            .ok_or_else(|| missing("(step)", "a step"))
    }

    fn check_inputs(&self, inputs: &[IntTensor]) -> Result<(), OpsError> {
        if inputs.len() != self.inputs.len() {
            return Err(OpsError::InputCount {
                expected: self.inputs.len(),
                got: inputs.len(),
            });
        }
        for (info, tensor) in self.inputs.iter().zip(inputs) {
            if tensor.elem() != info.fact.elem || tensor.shape() != info.fact.shape {
                return Err(OpsError::Input {
                    name: info.name.clone(),
                    expected: format!("{} {:?}", info.fact.elem, info.fact.shape),
                    got: format!("{} {:?}", tensor.elem(), tensor.shape()),
                });
            }
        }
        Ok(())
    }
}

fn intervals(nums: &[Num]) -> Vec<(i64, i64)> {
    nums.iter().map(|num| (num.lo(), num.hi())).collect()
}

fn missing(node: &str, what: &str) -> OpsError {
    OpsError::Internal {
        node: node.to_owned(),
        reason: format!("{what} is missing"),
    }
}

fn public_values<'t>(tensors: &'t [IntTensor], commitments: &[Option<Fr>]) -> Vec<PublicValue<'t>> {
    tensors
        .iter()
        .zip(commitments)
        .map(|(tensor, commitment)| match commitment {
            Some(digest) => PublicValue::Commitment(*digest),
            None => PublicValue::Tensor(tensor),
        })
        .collect()
}

fn commitments(
    infos: &[TensorInfo],
    tensors: &[IntTensor],
    salts: &[Option<Fr>],
) -> Result<Vec<Option<Fr>>, OpsError> {
    infos
        .iter()
        .zip(tensors)
        .enumerate()
        .map(|(at, (info, tensor))| {
            let salt = salts.get(at).copied().flatten();
            let refuse = || OpsError::Salt {
                name: info.name.clone(),
                visibility: info.visibility.name(),
            };
            match (info.visibility, salt) {
                (Visibility::Public, None) => Ok(None),
                (Visibility::Hashed, None) => Ok(Some(tensor_digest(tensor, Fr::zero()))),
                (Visibility::Private, Some(salt)) => Ok(Some(tensor_digest(tensor, salt))),
                _ => Err(refuse()),
            }
        })
        .collect()
}

/// Tensors that are still read, dropped after their last reader.
struct Live<T> {
    tensors: BTreeMap<String, T>,
    readers: BTreeMap<String, usize>,
}

impl<T> Live<T> {
    fn new(readers: &BTreeMap<String, usize>) -> Self {
        Self {
            tensors: BTreeMap::new(),
            readers: readers.clone(),
        }
    }

    fn insert(&mut self, name: &str, tensor: T) {
        if self.readers.get(name).is_some_and(|&n| n > 0) {
            self.tensors.insert(name.to_owned(), tensor);
        }
    }

    fn get(&self, node: &str, names: &[String]) -> Result<Vec<&T>, OpsError> {
        names
            .iter()
            .map(|name| self.tensors.get(name).ok_or_else(|| missing(node, name)))
            .collect()
    }

    fn release(&mut self, names: &[String]) {
        for name in names {
            if let Some(left) = self.readers.get_mut(name) {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    self.tensors.remove(name);
                }
            }
        }
    }
}
