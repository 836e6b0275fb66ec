//! Maxima of accumulators, where the operator list has maxima of requantized ones (committed
//! backend only).
//!
//! A requantize is a non-decreasing step function (its multiplier is never negative), so
//! `max(f(a), f(b)) = f(max(a, b))`: the circuit may take the maximum first and requantize once.
//! That is done where a pool is the only reader of a requantizing operator, possibly behind
//! operators that only move elements, where each window is of one step function, and where it is
//! cheaper. The evaluator knows nothing of it and follows the ONNX text, so the comparison of
//! runtime, evaluator and witness holds the two orders against each other for every result.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use proofmark_gadgets::max::{self, LONG, max};
use proofmark_gadgets::requantize::requantize;
use proofmark_gadgets::{Backend, Lowering, Num};
use proofmark_tensor::Requantize;

use crate::error::OpsError;
use crate::operator::{Accumulating, Operator, TensorVar, to_int32};

/// A node as far as this pass looks at it.
pub(crate) struct Node<'p> {
    pub(crate) operator: &'p dyn Operator,
    pub(crate) data: &'p [String],
    pub(crate) output: &'p str,
}

/// A requantizing operator and the pool that is the only one to read it.
#[derive(Debug)]
pub(crate) struct Pooled {
    /// Position of the requantizing operator among the nodes.
    pub(crate) producer: usize,
    /// The operators in between, which only move elements: their positions, and for each of their
    /// elements that of the producer.
    moved: Vec<(usize, Vec<usize>)>,
    /// Position of the pool.
    pub(crate) pool: usize,
    /// For each window the elements of the producer.
    windows: Vec<Vec<usize>>,
    /// Whether the maximum of accumulators is the cheaper form. It depends on the model alone, and
    /// is found when the model is lowered first, since proven intervals decide.
    cheaper: OnceLock<bool>,
}

/// Every such pair of a model.
pub(crate) fn find(nodes: &[Node<'_>], readers: &BTreeMap<String, usize>) -> Vec<Pooled> {
    let makers: HashMap<&str, usize> = (0..).zip(nodes).map(|(at, n)| (n.output, at)).collect();
    let maker = |name: &String| {
        // What another node or the model's output reads has to be there.
        let alone = readers.get(name) == Some(&1);
        makers.get(name.as_str()).copied().filter(|_| alone)
    };
    let behind = |at: usize| match nodes.get(at)?.data {
        [only] => maker(only),
        _ => None,
    };
    let mut found = Vec::new();
    for (pool, node) in nodes.iter().enumerate() {
        let Some(maxima) = node.operator.maxima() else {
            continue;
        };
        let mut between = Vec::new();
        let mut producer = behind(pool);
        while let Some(at) = producer
            && let Some(sources) = nodes.get(at).and_then(|n| n.operator.sources())
        {
            between.push((at, sources));
            producer = behind(at);
        }
        let Some(producer) = producer else { continue };
        let operator = nodes.get(producer).map(|n| n.operator);
        let Some(accumulating) = operator.and_then(Operator::accumulating) else {
            continue;
        };
        // From the producer on: where the elements so far are from.
        let mut moved: Vec<(usize, Vec<usize>)> = Vec::new();
        for (at, sources) in between.into_iter().rev() {
            let before = moved.last().map(|(_, origins)| origins.as_slice());
            let origin = |&(_, at): &(usize, usize)| match before {
                Some(origins) => origins.get(at).copied(),
                None => Some(at),
            };
            let origins: Option<Vec<usize>> = sources.iter().map(origin).collect();
            moved.push((at, origins.unwrap_or_default()));
        }
        let origin = |at: usize| match moved.last() {
            Some((_, origins)) => origins.get(at).copied(),
            None => Some(at),
        };
        let windows: Option<Vec<Vec<usize>>> = (0..node.operator.output().len())
            .map(|element| maxima.operands(element).into_iter().map(origin).collect())
            .collect();
        let same_step = |window: &Vec<usize>| {
            let mut steps = window.iter().map(|&at| accumulating.step(at));
            let first = steps.next();
            first.is_none_or(|first| first.is_some() && steps.all(|step| step == first))
        };
        if let Some(windows) = windows
            && windows.iter().all(same_step)
        {
            found.push(Pooled {
                producer,
                moved,
                pool,
                windows,
                cheaper: OnceLock::new(),
            });
        }
    }
    found
}

impl Pooled {
    /// Whether the maximum is taken of accumulators: where that takes fewer dense scalars.
    ///
    /// # Errors
    /// Those of [`Accumulating::accumulators`] and of the requantize's encoding.
    pub(crate) fn is_cheaper(
        &self,
        cx: &Lowering<'_>,
        producer: &dyn Operator,
        inputs: &[&TensorVar],
    ) -> Result<bool, OpsError> {
        if cx.backend() == Backend::Plain {
            return Ok(false);
        }
        if let Some(&known) = self.cheaper.get() {
            return Ok(known);
        }
        let accumulating = accumulating(cx, producer)?;
        let mut separate = 0;
        let mut operands = Vec::with_capacity(producer.output().len());
        let accumulator = accumulating.accumulators(cx, inputs);
        for element in 0..producer.output().len() {
            let acc = accumulator(cx, element)?;
            let operand = Operand::new((acc.lo(), acc.hi()), step(cx, accumulating, element)?)?;
            separate += operand.requantize;
            operands.push(operand);
        }
        let mut together = 0;
        for window in &self.windows {
            let of = window.iter().map(|&at| operands.get(at));
            let of: Option<Vec<&Operand>> = of.collect();
            let of = of.ok_or_else(|| outside(cx))?;
            let Some(&first) = window.first() else {
                continue;
            };
            separate += fold_price(of.iter().map(|operand| operand.out)).0;
            let (price, largest) = fold_price(of.iter().map(|operand| operand.acc));
            let step = step(cx, accumulating, first)?;
            together += price + Operand::new(largest, step)?.requantize;
        }
        Ok(*self.cheaper.get_or_init(|| together < separate))
    }

    /// Positions of all its nodes.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = usize> + '_ {
        let moved = self.moved.iter().map(|&(at, _)| at);
        [self.producer, self.pool].into_iter().chain(moved)
    }

    /// The intervals of the elements that the node at `position`, which is not the pool, would
    /// have; the circuit does not hold them: the requantized ends of the accumulators' intervals.
    ///
    /// # Errors
    /// Those of [`Accumulating::accumulators`].
    pub(crate) fn ranges(
        &self,
        cx: &Lowering<'_>,
        producer: &dyn Operator,
        inputs: &[&TensorVar],
        position: usize,
    ) -> Result<Vec<(i64, i64)>, OpsError> {
        let accumulating = accumulating(cx, producer)?;
        let moved = self.moved.iter().find(|&&(at, _)| at == position);
        let elements = match moved {
            Some((_, origins)) => origins.clone(),
            None => (0..producer.output().len()).collect(),
        };
        let accumulator = accumulating.accumulators(cx, inputs);
        elements
            .into_iter()
            .map(|element| {
                let acc = accumulator(cx, element)?;
                requantized((acc.lo(), acc.hi()), step(cx, accumulating, element)?)
            })
            .collect()
    }

    /// The pool's output, each element a requantized maximum of accumulators.
    ///
    /// # Soundness
    /// That of [`max`] and [`requantize`]; each accumulator is proven to stay inside int32, as
    /// when it is requantized itself. That the result is the maximum of the requantized follows
    /// from the step function's never falling.
    ///
    /// # Errors
    /// Those of [`Accumulating::accumulators`], [`max`] and [`requantize`].
    pub(crate) fn synthesize(
        &self,
        cx: &mut Lowering<'_>,
        producer: &dyn Operator,
        inputs: &[&TensorVar],
        pool: &dyn Operator,
    ) -> Result<Vec<Num>, OpsError> {
        let accumulating = accumulating(cx, producer)?;
        let mut readers: HashMap<usize, u32> = HashMap::new();
        for &at in self.windows.iter().flatten() {
            *readers.entry(at).or_default() += 1;
        }
        // Accumulators that further windows read.
        let mut shared: HashMap<usize, Num> = HashMap::new();
        let accumulator = accumulating.accumulators(cx, inputs);
        let mut out = Vec::with_capacity(self.windows.len());
        for window in &self.windows {
            let mut largest: Option<Num> = None;
            for &at in window {
                let acc = match shared.remove(&at) {
                    Some(acc) => acc,
                    None => accumulator(cx, at)?,
                };
                let left = readers.entry(at).or_default();
                *left = left.saturating_sub(1);
                let mut acc = acc;
                if *left > 0 {
                    // It stands in the constraints of several maxima.
                    if acc.weight().saturating_mul(*left + 1) > LONG {
                        acc = acc.materialised(cx, "pool-accumulator")?;
                    }
                    shared.insert(at, acc.clone());
                }
                largest = Some(match largest {
                    None => acc,
                    Some(so_far) => max(cx, &so_far, &acc)?,
                });
            }
            out.push(match (largest, window.first()) {
                (Some(acc), Some(&first)) => requantize(cx, &acc, step(cx, accumulating, first)?)?,
                // A window that lies in the padding whole yields the type's minimum.
                _ => Num::constant(cx, pool.output().elem.min().into()),
            });
        }
        Ok(out)
    }
}

/// An element of the producer: what a maximum is taken of.
struct Operand {
    /// Interval of the accumulator.
    acc: (i64, i64),
    /// Interval of the output.
    out: (i64, i64),
    /// Price of the requantize.
    requantize: u64,
}

impl Operand {
    fn new(acc: (i64, i64), step: &Requantize) -> Result<Self, OpsError> {
        Ok(Self {
            acc,
            out: requantized(acc, step)?,
            requantize: price(acc, step)?,
        })
    }
}

/// Price of a requantize with lookups, in tenths of a dense scalar: three of them and the small
/// wires that they are of; nothing for a constant.
fn price(acc: (i64, i64), step: &Requantize) -> Result<u64, OpsError> {
    let (lo, hi) = requantized(acc, step)?;
    Ok(if lo == hi { 0 } else { 93 })
}

/// The ends of an accumulator's interval, requantized.
fn requantized((lo, hi): (i64, i64), step: &Requantize) -> Result<(i64, i64), OpsError> {
    let apply = |acc| to_int32("pool", acc).map(|acc| i64::from(step.apply(acc)));
    Ok((apply(lo)?, apply(hi)?))
}

/// Price of the maximum of numbers in these intervals, one after the other, and its interval.
fn fold_price(intervals: impl Iterator<Item = (i64, i64)>) -> (u64, (i64, i64)) {
    let fold = |so_far: Option<(u64, (i64, i64))>, next: (i64, i64)| {
        Some(so_far.map_or((0, next), |(price, largest)| {
            let larger = (largest.0.max(next.0), largest.1.max(next.1));
            (price + max::price(largest, next), larger)
        }))
    };
    intervals.fold(None, fold).unwrap_or_default()
}

fn accumulating<'o>(
    cx: &Lowering<'_>,
    operator: &'o dyn Operator,
) -> Result<&'o dyn Accumulating, OpsError> {
    operator.accumulating().ok_or_else(|| outside(cx))
}

fn step<'o>(
    cx: &Lowering<'_>,
    accumulating: &'o dyn Accumulating,
    element: usize,
) -> Result<&'o Requantize, OpsError> {
    accumulating.step(element).ok_or_else(|| outside(cx))
}

fn outside(cx: &Lowering<'_>) -> OpsError {
    OpsError::Internal {
        node: cx.path("pool"),
        reason: "an element of a window is no accumulator".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fr;
    use proofmark_gadgets::testing::Transcript;
    use proofmark_gadgets::{Backend, Circuit};
    use proofmark_onnx::{Attribute, Graph, Model, Node, Tensor, TensorData, ValueInfo, ValueType};
    use proofmark_tensor::ElemType::{self, Int8, Uint8};
    use proofmark_tensor::IntTensor;
    use proofmark_tensor::requantize::shift_multiplier;

    use crate::plan::{Plan, Policy, Salts, plan};

    /// A convolution, operators that move elements, a pool; and what else reads the convolution.
    struct Net {
        elem: ElemType,
        /// Channels out, and the input's height and width.
        shape: [usize; 3],
        kernel: usize,
        /// One a channel, or one.
        multipliers: Vec<f32>,
        zero_point: i32,
        between: Vec<Node>,
        pool: Vec<(&'static str, Attribute)>,
        /// Whether the convolution is an output as well.
        seen: bool,
    }

    fn ints(list: &[i64]) -> Attribute {
        Attribute::Ints(list.to_vec())
    }

    impl Net {
        fn new(pool: &[(&'static str, Attribute)]) -> Self {
            Self {
                elem: Uint8,
                shape: [2, 5, 5],
                kernel: 2,
                multipliers: vec![shift_multiplier(8).unwrap(), 0.0031],
                zero_point: 0,
                between: Vec::new(),
                pool: pool.to_vec(),
                seen: false,
            }
        }

        fn model(&self) -> Model {
            let [channels, height, width] = self.shape;
            let (elem, kernel) = (self.elem, self.kernel);
            let span = elem.max() - elem.min() + 1;
            let weights: Vec<i32> = (0..channels * kernel * kernel)
                .map(|i| (i32::try_from(i).unwrap() * 97 + 13) % span + elem.min())
                .collect();
            let int = |value: i32| IntTensor::new(elem, vec![], vec![value]).unwrap().into();
            let floats = |values: &[f32]| Tensor {
                shape: if values.len() == 1 {
                    vec![]
                } else {
                    vec![values.len()]
                },
                data: TensorData::Float(values.to_vec()),
            };
            let weights = IntTensor::new(elem, vec![channels, 1, kernel, kernel], weights);
            let bias: Vec<i32> = (0..).map(|c: i32| 900 - 1700 * c).take(channels).collect();
            let bias = IntTensor::new(ElemType::Int32, vec![channels], bias);
            let constants = [
                ("one", floats(&[1.0])),
                ("m", floats(&self.multipliers)),
                ("zx", int(elem.min() + 3)),
                ("zw", int(elem.min() + 128)),
                ("zy", int(self.zero_point)),
                ("w", weights.unwrap().into()),
                ("b", bias.unwrap().into()),
            ];
            let inputs = ["x", "one", "zx", "w", "m", "zw", "one", "zy", "b"];
            let mut nodes = vec![Node::new("conv", "QLinearConv", &inputs, &["c"])];
            nodes.extend(self.between.iter().cloned());
            let last = nodes.last().unwrap().outputs[0].clone();
            let pool = Node::new("pool", "MaxPool", &[&last], &["y"]);
            let with =
                |node: Node, (name, value): &(&str, Attribute)| node.with(*name, value.clone());
            nodes.push(self.pool.iter().fold(pool, with));
            // Shapes of the outputs are what the plan finds, so they are left open.
            let open = |name: &str| ValueInfo {
                dims: None,
                ..ValueInfo::fixed(name, ValueType::Int(elem), &[])
            };
            let mut outputs = vec![open("y")];
            if self.seen {
                outputs.push(open("c"));
            }
            Model {
                ir_version: 10,
                producer_name: String::new(),
                producer_version: String::new(),
                opsets: [(String::new(), 21)].into(),
                graph: Graph {
                    nodes,
                    initializers: constants.map(|(n, t)| (n.to_owned(), t)).into(),
                    inputs: vec![ValueInfo::fixed(
                        "x",
                        ValueType::Int(elem),
                        &[1, 1, height, width],
                    )],
                    outputs,
                    ..Graph::default()
                },
                metadata: std::collections::BTreeMap::new(),
            }
        }

        fn plan(&self) -> Plan {
            let model = self.model();
            plan(&model, &Policy::public(1, model.graph.outputs.len())).unwrap()
        }

        /// Extreme, ramped and pseudo-random inputs.
        fn points(&self, count: u64) -> Vec<IntTensor> {
            let [_, height, width] = self.shape;
            let (lo, hi) = (self.elem.min(), self.elem.max());
            let mut state = 0x9e37_79b9_7f4a_7c15_u64;
            let mut random = move || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                i32::try_from(state >> 56).unwrap()
            };
            let mut fills: Vec<Vec<i32>> = vec![
                vec![lo; height * width],
                vec![hi; height * width],
                (0..height * width)
                    .map(|i| if i % 2 == 0 { lo } else { hi })
                    .collect(),
                (lo..).take(height * width).collect(),
            ];
            fills.extend((0..count).map(|_| (0..height * width).map(|_| lo + random()).collect()));
            let tensor = |data| IntTensor::new(self.elem, vec![1, 1, height, width], data).unwrap();
            fills.into_iter().map(tensor).collect()
        }
    }

    /// The circuit with maxima of accumulators, or without.
    fn circuit(plan: &Plan, fused: bool) -> Circuit {
        for pooled in plan.pooled() {
            pooled.cheaper.set(fused).unwrap();
        }
        plan.circuit_for(Backend::Committed).unwrap()
    }

    fn agrees(plan: &Plan, circuit: &Circuit, point: &IntTensor) -> Vec<IntTensor> {
        let inputs = [point.clone()];
        let witness = plan
            .witness_for(
                Backend::Committed,
                &inputs,
                Fr::from(7_u64),
                &Salts::default(),
                &mut Transcript::default(),
            )
            .unwrap();
        // `witness_for` compared them with the evaluator, which follows the ONNX text.
        assert_eq!(witness.outputs, plan.evaluate(&inputs).unwrap());
        assert_eq!(
            circuit.r1cs.violated(&witness.assignment),
            Vec::<usize>::new()
        );
        witness.outputs
    }

    fn pools() -> Vec<Vec<(&'static str, Attribute)>> {
        let kernel = |size: &[i64]| ("kernel_shape", ints(size));
        vec![
            vec![kernel(&[2, 2]), ("strides", ints(&[2, 2]))],
            vec![kernel(&[2, 2])],
            vec![kernel(&[3, 2]), ("pads", ints(&[1, 0, 2, 1]))],
            vec![kernel(&[2, 2]), ("dilations", ints(&[3, 2]))],
            vec![
                kernel(&[3, 3]),
                ("strides", ints(&[2, 3])),
                ("ceil_mode", Attribute::Int(1)),
            ],
            vec![
                kernel(&[2, 2]),
                ("strides", ints(&[2, 1])),
                ("auto_pad", Attribute::String("SAME_UPPER".to_owned())),
            ],
        ]
    }

    #[test]
    fn fused_and_unfused_give_the_same_outputs() {
        let scales = [
            (Uint8, vec![shift_multiplier(8).unwrap()], 0),
            (Uint8, vec![shift_multiplier(8).unwrap(), 0.0031], 11),
            (Int8, vec![0.0021, 1e-12], -7),
            (Int8, vec![shift_multiplier(9).unwrap()], -128),
        ];
        for pool in pools() {
            for (elem, multipliers, zero_point) in &scales {
                let net = Net {
                    elem: *elem,
                    multipliers: multipliers.clone(),
                    zero_point: *zero_point,
                    ..Net::new(&pool)
                };
                let (fused, unfused) = (net.plan(), net.plan());
                assert_eq!(fused.pooled().len(), 1);
                let (of, without) = (circuit(&fused, true), circuit(&unfused, false));
                assert_ne!(of.digest(), without.digest());
                for point in net.points(12) {
                    let outputs = agrees(&fused, &of, &point);
                    assert_eq!(outputs, agrees(&unfused, &without, &point), "{pool:?}");
                }
            }
        }
    }

    #[test]
    fn elements_may_move_in_between() {
        let net = Net {
            shape: [2, 5, 6],
            between: vec![
                Node::new("turn", "Transpose", &["c"], &["t"]).with("perm", ints(&[0, 1, 3, 2])),
                Node::new("same", "Identity", &["t"], &["i"]),
            ],
            ..Net::new(&pools()[0])
        };
        let plan = net.plan();
        assert_eq!(plan.pooled().len(), 1);
        let of = circuit(&plan, true);
        for point in net.points(12) {
            agrees(&plan, &of, &point);
        }
        // Ranges are those that the tensors would have; costs stand with the pool.
        let (_, ranges) = plan.circuit_with_ranges_for(Backend::Committed).unwrap();
        let (_, others) = {
            let unfused = net.plan();
            circuit(&unfused, false);
            unfused.circuit_with_ranges_for(Backend::Committed).unwrap()
        };
        assert_eq!(ranges, others);
        let (_, costs) = plan.circuit_with_costs_for(Backend::Committed).unwrap();
        let cost = |node: &str| costs.iter().find(|c| c.node == node).unwrap().constraints;
        assert_eq!((cost("conv"), cost("turn"), cost("same")), (0, 0, 0));
        assert!(cost("pool") > 0);
    }

    #[test]
    fn what_somebody_else_reads_is_not_fused() {
        let pool = pools().swap_remove(0);
        let base = Net::new(&pool);
        assert_eq!(base.plan().pooled().len(), 1);
        // The model's output.
        let seen = Net {
            seen: true,
            ..Net::new(&pool)
        };
        assert_eq!(seen.plan().pooled().len(), 0);
        // Another node, which reads the convolution, or what has been moved.
        let mut model = base.model();
        model
            .graph
            .nodes
            .push(Node::new("other", "Identity", &["c"], &["z"]));
        let unread = plan(&model, &Policy::public(1, 1)).unwrap();
        assert_eq!(unread.pooled().len(), 0);
        // Channels that become one window have step functions of their own.
        let mixed = Net {
            shape: [2, 3, 3],
            between: vec![
                Node::new("mix", "Transpose", &["c"], &["t"]).with("perm", ints(&[0, 2, 1, 3])),
            ],
            ..Net::new(&[("kernel_shape", ints(&[2, 1]))])
        };
        assert_eq!(mixed.plan().pooled().len(), 0);
        let alike = Net {
            multipliers: vec![0.0031],
            ..mixed
        };
        assert_eq!(alike.plan().pooled().len(), 1);
    }

    #[test]
    fn the_plain_circuit_knows_nothing_of_it() {
        let net = Net::new(&pools()[0]);
        let plan = net.plan();
        let before = plan.circuit().unwrap().digest();
        circuit(&plan, true);
        assert_eq!(plan.circuit().unwrap().digest(), before);
    }

    #[test]
    fn the_cheaper_form_is_taken_in_both_modes() {
        // Separate windows: one requantize instead of four. Windows that overlap would requantize
        // each accumulator once a window or compare long numbers: the elements are few.
        for (pool, fused) in [(&pools()[0], true), (&pools()[1], false)] {
            let net = Net {
                shape: [1, 9, 9],
                multipliers: vec![0.0031],
                ..Net::new(pool)
            };
            let plan = net.plan();
            let circuit = plan.circuit_for(Backend::Committed).unwrap();
            assert_eq!(plan.pooled()[0].cheaper.get(), Some(&fused), "{pool:?}");
            // A plan that has made no circuit yet decides alike.
            agrees(&net.plan(), &circuit, &net.points(0)[3]);
        }
    }
}
