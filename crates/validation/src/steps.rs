//! Every threshold of every requantize.
//!
//! A probe is a node of the same operator, scales and zero points whose accumulators are chosen:
//! one output channel for each. `QLinearConv` and `QGemm` take them as bias, over an input that
//! contributes nothing; `QLinearMatMul` has no bias, so its columns multiply out to them.

use std::collections::BTreeMap;

use proofmark_onnx::{Graph, Model, Node, Tensor, TensorData, ValueInfo, ValueType};
use proofmark_ops::{Fact, Ranges};
use proofmark_tensor::requantize::{conv_multiplier, gemm_multiplier};
use proofmark_tensor::{ElemType, IntTensor, Requantize};

use crate::error::ValidationError;
use crate::pair::{Compile, Difference, Pair, Subject};
use crate::part::Whole;

/// Most accumulators of one probe.
const CHANNELS: usize = 1 << 18;
/// Most weights of one probe.
const WEIGHTS: usize = 1 << 24;
/// Weight of the inputs that carry the most of a probed accumulator.
const COARSE: i64 = 255;
/// Largest weight on the other side, the same for both types.
const FINE: i64 = 127;

/// What was probed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Probed {
    pub(crate) steps: u64,
    pub(crate) thresholds: u64,
    pub(crate) probes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Conv,
    MatMul,
    Gemm,
}

/// Positions of a requantizing node's inputs.
struct At {
    w_scale: usize,
    w_zero_point: usize,
    bias: Option<usize>,
    y_scale: usize,
}

impl Kind {
    fn of(node: &Node) -> Option<Self> {
        match (node.domain.as_str(), node.op_type.as_str()) {
            ("", "QLinearConv") => Some(Self::Conv),
            ("", "QLinearMatMul") => Some(Self::MatMul),
            ("com.microsoft", "QGemm") => Some(Self::Gemm),
            _ => None,
        }
    }

    /// x, x scale, x zero point and w are inputs 0 to 3, w's scale and zero point 4 and 5.
    const fn at(self) -> At {
        let (bias, y_scale) = match self {
            Self::Conv => (Some(8), 6),
            Self::MatMul => (None, 6),
            Self::Gemm => (Some(6), 7),
        };
        At {
            w_scale: 4,
            w_zero_point: 5,
            bias,
            y_scale,
        }
    }
}

/// A requantizing node, read again from the model: not through the compiler, which is what is
/// checked.
struct Requantizing<'m> {
    node: &'m Node,
    kind: Kind,
    x: ElemType,
    x_zero_point: i32,
    alpha: f32,
    x_scale: f32,
    y_scale: f32,
    y_zero_point: i32,
    y: ElemType,
    /// Whether the weights are computed at run time.
    is_product: bool,
    /// One for all channels, or one a channel.
    scales: &'m [f32],
    /// Smallest and largest accumulator of each channel.
    intervals: Vec<(i64, i64)>,
}

/// One accumulator to probe.
#[derive(Debug, Clone, Copy)]
struct Probe {
    scale: f32,
    acc: i32,
}

/// Probes a node's requantize; nothing where it has none.
pub(crate) fn check(
    whole: &Whole<'_>,
    ranges: &Ranges,
    index: usize,
    compile: Compile<'_>,
) -> Result<Probed, ValidationError> {
    let mut probed = Probed::default();
    let Some((node, kind)) = whole.node(index).and_then(|n| Some((n, Kind::of(n)?))) else {
        return Ok(probed);
    };
    let unchecked = |reason: &str| ValidationError::Unchecked {
        node: node.name.clone(),
        reason: reason.to_owned(),
    };
    let requantizing = Requantizing::read(whole, ranges, node, kind)
        .ok_or_else(|| unchecked("its scales or weights are not as the operator has them"))?;
    // One step function for each distinct scale, over all intervals that it is used with.
    let mut steps: BTreeMap<u32, (i64, i64)> = BTreeMap::new();
    for (channel, &(lo, hi)) in requantizing.intervals.iter().enumerate() {
        let scale = match requantizing.scales {
            [one] => one,
            many => many.get(channel).unwrap_or(&1.0),
        };
        let interval = steps.entry(scale.to_bits()).or_insert((lo, hi));
        *interval = (interval.0.min(lo), interval.1.max(hi));
    }
    let mut pending: Vec<Probe> = Vec::new();
    for (bits, (lo, hi)) in steps {
        let scale = f32::from_bits(bits);
        let step = Requantize::new(
            requantizing.multiplier(scale),
            requantizing.y_zero_point,
            requantizing.y,
        );
        let step = step.map_err(|error| unchecked(&error.to_string()))?;
        let (lo, hi) = (int32(lo), int32(hi));
        let thresholds = step.thresholds(lo, hi);
        probed.steps += 1;
        probed.thresholds += thresholds.len() as u64;
        let around = |t: i32| [t.saturating_sub(1), t, t.saturating_add(1)];
        let mut accs: Vec<i32> = thresholds.iter().flat_map(|t| around(t.acc)).collect();
        accs.extend([lo, hi]);
        accs.retain(|acc| (lo..=hi).contains(acc));
        accs.sort_unstable();
        accs.dedup();
        probed.probes += accs.len() as u64;
        pending.extend(accs.into_iter().map(|acc| Probe { scale, acc }));
        if pending.len() >= 4 * CHANNELS {
            requantizing.run(whole, &mut pending, compile)?;
        }
    }
    requantizing.run(whole, &mut pending, compile)?;
    Ok(probed)
}

fn int32(v: i64) -> i32 {
    let clamped = v.clamp(i32::MIN.into(), i32::MAX.into());
    i32::try_from(clamped).unwrap_or_default()
}

impl<'m> Requantizing<'m> {
    fn read(whole: &Whole<'m>, ranges: &Ranges, node: &'m Node, kind: Kind) -> Option<Self> {
        let at = kind.at();
        let stored = |position: usize| {
            let name = node.input(position)?;
            whole.model.graph.initializers.get(name)
        };
        let scale = |position| stored(position)?.floats()?.first().copied();
        let zero_point = |position| {
            let tensor = stored(position).and_then(Tensor::ints);
            tensor.and_then(|t| t.data().first().copied()).unwrap_or(0)
        };
        let (x, depth) = if let Some(constant) = stored(0).and_then(Tensor::ints) {
            (constant.elem(), *constant.shape().last()?)
        } else {
            let fact: &Fact = whole.facts.get(node.input(0)?)?;
            (fact.elem, *fact.shape.last()?)
        };
        let y = whole.facts.get(node.output(0)?)?.elem;
        let mut read = Self {
            node,
            kind,
            x,
            x_zero_point: zero_point(2),
            alpha: node.attr_float("alpha").ok().flatten().unwrap_or(1.0),
            x_scale: scale(1)?,
            y_scale: scale(at.y_scale)?,
            y_zero_point: zero_point(at.y_scale + 1),
            y,
            is_product: stored(3).is_none(),
            scales: stored(at.w_scale)?.floats()?,
            intervals: Vec::new(),
        };
        let zero_points = stored(at.w_zero_point).and_then(Tensor::ints);
        let zero_points = zero_points.map(IntTensor::data).unwrap_or_default();
        let zero_point_of = |channel: usize| match zero_points {
            [] => 0,
            [one] => i64::from(*one),
            many => many.get(channel).map_or(0, |&z| i64::from(z)),
        };
        // Of an operand's values less its zero points; 0, as padding has it, is among them.
        let operand = |position: usize, zero_points: &[i32]| -> Option<(i64, i64)> {
            let (lo, hi) = match stored(position).and_then(Tensor::ints) {
                Some(constant) => extent(constant.data().iter().map(|&v| i64::from(v)))?,
                None => range(ranges, node.input(position)?)?,
            };
            let zero_points = zero_points.iter().map(|&z| i64::from(z));
            let (least, most) = extent(zero_points).unwrap_or((0, 0));
            Some(((lo - most).min(0), (hi - least).max(0)))
        };
        let left = operand(0, &[read.x_zero_point])?;
        let weights = stored(3).and_then(Tensor::ints);
        let weights = weights.filter(|w| kind != Kind::MatMul || w.shape().len() == 2);
        let Some(weights) = weights.filter(|_| stored(0).is_none()) else {
            // Two computed tensors, or a stack of matrices: one interval for all columns.
            let right = operand(3, zero_points)?;
            let products = [
                left.0.saturating_mul(right.0),
                left.0.saturating_mul(right.1),
                left.1.saturating_mul(right.0),
                left.1.saturating_mul(right.1),
            ];
            let (lo, hi) = extent(products.into_iter())?;
            let depth = i64::try_from(depth).ok()?;
            let interval = (lo.saturating_mul(depth), hi.saturating_mul(depth));
            read.intervals = vec![interval; read.scales.len()];
            return Some(read);
        };
        let &[first, .., last] = weights.shape() else {
            return None;
        };
        let is_row_a_channel =
            kind == Kind::Conv || node.attr_int("transB").ok().flatten().unwrap_or(0) != 0;
        let channels = if is_row_a_channel { first } else { last };
        let depth = weights.len() / channels.max(1);
        let bias = at.bias.and_then(stored).and_then(Tensor::ints);
        let bias = bias.map(IntTensor::data).unwrap_or_default();
        for channel in 0..channels {
            let zero_point = zero_point_of(channel);
            let (mut lo, mut hi) = (0_i64, 0_i64);
            for d in 0..depth {
                let flat = if is_row_a_channel {
                    channel * depth + d
                } else {
                    d * channels + channel
                };
                let weight = i64::from(*weights.data().get(flat)?) - zero_point;
                let ends = (left.0 * weight, left.1 * weight);
                lo += ends.0.min(ends.1);
                hi += ends.0.max(ends.1);
            }
            // A bias of several rows: all values that stand in the channel's column.
            let column = bias.iter().skip(channel).step_by(channels.max(1));
            let (least, most) = extent(column.map(|&b| i64::from(b))).unwrap_or((0, 0));
            read.intervals.push((lo + least, hi + most));
        }
        Some(read)
    }

    fn multiplier(&self, scale: f32) -> f32 {
        match self.kind {
            Kind::Gemm => gemm_multiplier(self.alpha, self.x_scale, scale, self.y_scale),
            Kind::Conv | Kind::MatMul => conv_multiplier(self.x_scale, scale, self.y_scale),
        }
    }

    /// Runs all pending probes, in as few models as fit the limits.
    fn run(
        &self,
        whole: &Whole<'_>,
        pending: &mut Vec<Probe>,
        compile: Compile<'_>,
    ) -> Result<(), ValidationError> {
        if self.kind == Kind::MatMul {
            // Columns of one model are as long as the largest accumulator needs.
            pending.sort_by_key(|probe| probe.acc.unsigned_abs());
        }
        let mut rest = pending.as_slice();
        while let Some(smallest) = rest.first() {
            let mut count = rest.len().min(CHANNELS);
            while count > 1 && count.saturating_mul(self.depth(&rest[..count])) > WEIGHTS {
                count = count.div_ceil(2);
            }
            // A node of one scale for all channels is probed as that: one model a scale.
            if self.scales.len() == 1 {
                let same = |probe: &&Probe| probe.scale.to_bits() == smallest.scale.to_bits();
                count = rest.iter().take(count).take_while(same).count();
            }
            let (now, later) = rest.split_at(count);
            self.probe(whole, now, compile)?;
            rest = later;
        }
        pending.clear();
        Ok(())
    }

    /// Rows of the matrix that multiplies out to these accumulators.
    fn depth(&self, probes: &[Probe]) -> usize {
        if self.kind != Kind::MatMul {
            return 1;
        }
        let coarse = |probe: &Probe| quotient(probe.acc).0.unsigned_abs().div_ceil(FINE as u64);
        let rows = probes.iter().map(coarse).max().unwrap_or_default();
        usize::try_from(rows)
            .unwrap_or(usize::MAX)
            .saturating_add(1)
    }

    fn probe(
        &self,
        whole: &Whole<'_>,
        probes: &[Probe],
        compile: Compile<'_>,
    ) -> Result<(), ValidationError> {
        let made = self.model(whole, probes);
        let (model, inputs) = made.ok_or_else(|| ValidationError::Unchecked {
            node: self.node.name.clone(),
            reason: "no probe can be made of its constants".to_owned(),
        })?;
        let subject = Subject {
            node: &self.node.name,
            op_type: &self.node.op_type,
        };
        let pair = Pair::part(subject, &model, compile)?;
        match pair.run(&inputs)? {
            Ok(_) => Ok(()),
            Err(difference) => {
                let probe = probes.get(difference.index);
                let input = probe.map_or_else(String::new, |p| {
                    let multiplier = self.multiplier(p.scale);
                    format!("accumulator {} under multiplier {multiplier:e}", p.acc)
                });
                let output = self.node.output(0).unwrap_or_default().to_owned();
                Err(Difference {
                    output,
                    ..difference
                }
                .error(&subject, input))
            }
        }
    }

    /// The probe's model and its inputs.
    fn model(&self, whole: &Whole<'_>, probes: &[Probe]) -> Option<(Model, Vec<IntTensor>)> {
        let at = self.kind.at();
        let Operands {
            x,
            w,
            w_zero_point,
            y_shape,
        } = match at.bias {
            Some(_) => self.idle(probes)?,
            None => self.multiplied(probes)?,
        };
        // Scales and zero points of input and output are the node's own, under their own names.
        let positions = self
            .node
            .inputs
            .len()
            .max(at.bias.map_or(0, |bias| bias + 1));
        let mut names: Vec<&str> = (0..positions)
            .map(|position| self.node.input(position).unwrap_or_default())
            .collect();
        let mut constants: Vec<(&str, Tensor)> = Vec::new();
        let mut set = |position: usize, name: &'static str, constant: Option<Tensor>| {
            if let Some(slot) = names.get_mut(position) {
                *slot = name;
            }
            constants.extend(constant.map(|tensor| (name, tensor)));
        };
        set(0, "probe.x", None);
        let vector = [probes.len()];
        let mut zero_point_shape: &[usize] = &[];
        if self.scales.len() > 1 {
            let scales = probes.iter().map(|p| p.scale).collect();
            let scales = Tensor::new(vector.to_vec(), TensorData::Float(scales)).ok()?;
            set(at.w_scale, "probe.w_scale", Some(scales));
            zero_point_shape = &vector;
        } else if let Some(name) = self.node.input(at.w_scale) {
            zero_point_shape = &whole.model.graph.initializer(name)?.shape;
        }
        // The runtime wants the scales and zero points of QGemm's matrix in one shape.
        if self.kind != Kind::Gemm {
            zero_point_shape = &[];
        }
        let zero_points = vec![w_zero_point; zero_point_shape.iter().product()];
        let zero_points = ints(self.x, zero_point_shape, zero_points)?;
        set(
            at.w_zero_point,
            "probe.w_zero_point",
            Some(zero_points.into()),
        );
        if let Some(bias) = at.bias {
            let accs = probes.iter().map(|p| p.acc).collect();
            let accs = ints(ElemType::Int32, &vector, accs)?;
            set(bias, "probe.bias", Some(accs.into()));
        } else {
            let lowest = ints(self.x, &[], vec![self.x.min()])?;
            set(2, "probe.x_zero_point", Some(lowest.into()));
        }
        let mut inputs = vec![("probe.x", x)];
        if self.is_product {
            set(3, "probe.w", None);
            inputs.push(("probe.w", w));
        } else {
            set(3, "probe.w", Some(w.into()));
        }

        let mut node = Node::new(&self.node.name, &self.node.op_type, &names, &["probe.y"]);
        node.domain.clone_from(&self.node.domain);
        for attribute in ["alpha", "transB"] {
            if let Some(value) = self.node.attributes.get(attribute) {
                node = node.with(attribute, value.clone());
            }
        }
        let own = names.iter().filter_map(|&name| {
            let tensor = whole.model.graph.initializers.get(name)?;
            Some((name, tensor.clone()))
        });
        let declare =
            |name: &str, elem, shape: &[usize]| ValueInfo::fixed(name, ValueType::Int(elem), shape);
        let graph = Graph {
            name: "probe".to_owned(),
            nodes: vec![node],
            initializers: own
                .chain(constants)
                .map(|(name, tensor)| (name.to_owned(), tensor))
                .collect(),
            inputs: inputs
                .iter()
                .map(|(name, tensor)| declare(name, tensor.elem(), tensor.shape()))
                .collect(),
            outputs: vec![declare("probe.y", self.y, &y_shape)],
            ..Graph::default()
        };
        let inputs = inputs.into_iter().map(|(_, tensor)| tensor).collect();
        Some((whole.standing(graph), inputs))
    }

    /// Operands whose products are 0: the accumulators are the biases.
    fn idle(&self, probes: &[Probe]) -> Option<Operands> {
        let count = probes.len();
        let transposed = self.node.attr_int("transB").ok().flatten().unwrap_or(0) != 0;
        let (x_shape, w_shape, y_shape): (&[usize], &[usize], Vec<usize>) = match self.kind {
            Kind::Conv => (&[1; 4], &[count, 1, 1, 1], vec![1, count, 1, 1]),
            _ if transposed => (&[1; 2], &[count, 1], vec![1, count]),
            _ => (&[1; 2], &[1, count], vec![1, count]),
        };
        Some(Operands {
            x: ints(self.x, x_shape, vec![self.x_zero_point])?,
            w: ints(self.x, w_shape, vec![0; count])?,
            w_zero_point: 0,
            y_shape,
        })
    }

    /// Operands that multiply out to the accumulators. Both zero points are the probe's: x counts
    /// from its minimum, w from its middle.
    fn multiplied(&self, probes: &[Probe]) -> Option<Operands> {
        let rows = self.depth(probes);
        let lowest = self.x.min();
        let mut factors = vec![self.x.max(); rows - 1];
        factors.push(lowest + 1);
        let w_zero_point = lowest + 128;
        let matrix = columns(probes, rows, w_zero_point);
        Some(Operands {
            x: ints(self.x, &[1, rows], factors)?,
            w: ints(self.x, &[rows, probes.len()], matrix)?,
            w_zero_point,
            y_shape: vec![1, probes.len()],
        })
    }
}

/// The two factors of a probe.
struct Operands {
    x: IntTensor,
    w: IntTensor,
    w_zero_point: i32,
    y_shape: Vec<usize>,
}

fn ints(elem: ElemType, shape: &[usize], data: Vec<i32>) -> Option<IntTensor> {
    IntTensor::new(elem, shape.to_vec(), data).ok()
}

/// `acc = 255 · q + r` with `|r| ≤ 127`.
const fn quotient(acc: i32) -> (i64, i64) {
    let acc = acc as i64;
    let q = (acc + FINE).div_euclid(COARSE);
    (q, acc - COARSE * q)
}

/// A matrix, row-major, whose columns times `(255, …, 255, 1)` are the accumulators.
fn columns(probes: &[Probe], rows: usize, zero_point: i32) -> Vec<i32> {
    let count = probes.len();
    let mut matrix = vec![zero_point; rows * count];
    for (column, probe) in probes.iter().enumerate() {
        let (mut q, r) = quotient(probe.acc);
        for row in 0..rows {
            let value = if row + 1 == rows {
                r
            } else {
                q.clamp(-FINE, FINE)
            };
            if row + 1 < rows {
                q -= value;
            }
            if let Some(slot) = matrix.get_mut(row * count + column) {
                *slot += i32::try_from(value).unwrap_or_default();
            }
        }
    }
    matrix
}

/// Range of a tensor's elements together.
fn range(ranges: &Ranges, tensor: &str) -> Option<(i64, i64)> {
    let ranges = ranges.get(tensor)?;
    let ends = extent(ranges.iter().map(|r| r.0)).zip(extent(ranges.iter().map(|r| r.1)));
    ends.map(|(lo, hi)| (lo.0, hi.1))
}

fn extent(values: impl Iterator<Item = i64>) -> Option<(i64, i64)> {
    values.fold(None, |extent, v| {
        Some(extent.map_or((v, v), |(lo, hi): (i64, i64)| (lo.min(v), hi.max(v))))
    })
}

#[cfg(test)]
mod tests {
    use proofmark_ops::plan;
    use proofmark_tensor::requantize::shift_multiplier;

    use super::*;
    use crate::pair::public;
    use crate::testing::{Builder, change_floats, evaluator_of};

    /// A convolution of two channels in and three out, `x` scaled by 0.5 and `y` by 2.
    fn conv(scales: &[f32]) -> Model {
        Builder::default()
            .input("x", ElemType::Uint8, &[1, 2, 1, 1])
            .floats("x_scale", &[0.5])
            .ints("x_zero", ElemType::Uint8, &[], &[3])
            .ints(
                "w",
                ElemType::Uint8,
                &[3, 2, 1, 1],
                &[0, 255, 7, 9, 128, 128],
            )
            .floats("w_scale", scales)
            .ints("w_zero", ElemType::Uint8, &[], &[128])
            .floats("y_scale", &[2.0])
            .ints("y_zero", ElemType::Uint8, &[], &[100])
            .ints("bias", ElemType::Int32, &[3], &[1000, -2000, 30])
            .node(
                "QLinearConv",
                &[
                    "x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "y_scale", "y_zero", "bias",
                ],
                "conv",
            )
            .output("conv", ElemType::Uint8, &[1, 3, 1, 1])
            .model()
    }

    fn gemm(transposed: bool, scales: &[f32]) -> Model {
        let (shape, w) = if transposed {
            ([2, 3], [1, 2, 3, 250, 0, 90])
        } else {
            ([3, 2], [1, 250, 2, 0, 3, 90])
        };
        let zeros = vec![128; scales.len()];
        let zero_shape: &[usize] = if scales.len() == 1 { &[] } else { &[2] };
        let attributes = [
            ("alpha", proofmark_onnx::Attribute::Float(0.75)),
            ("transB", proofmark_onnx::Attribute::Int(transposed.into())),
        ];
        Builder::default()
            .input("x", ElemType::Uint8, &[1, 3])
            .floats("x_scale", &[0.5])
            .ints("x_zero", ElemType::Uint8, &[], &[3])
            .ints("w", ElemType::Uint8, &shape, &w)
            .floats("w_scale", scales)
            .ints("w_zero", ElemType::Uint8, zero_shape, &zeros)
            .floats("y_scale", &[2.0])
            .ints("y_zero", ElemType::Uint8, &[], &[0])
            .ints("bias", ElemType::Int32, &[2], &[-5, 70])
            .node_with(
                "QGemm",
                &[
                    "x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "bias", "y_scale", "y_zero",
                ],
                "gemm",
                &attributes,
            )
            .output("gemm", ElemType::Uint8, &[1, 2])
            .model()
    }

    fn matmul(scales: &[f32], weights: &[i32; 6]) -> Model {
        Builder::default()
            .input("x", ElemType::Int8, &[2, 3])
            .floats("x_scale", &[1.0])
            .ints("x_zero", ElemType::Int8, &[], &[-1])
            .ints("w", ElemType::Int8, &[3, 2], weights)
            .floats("w_scale", scales)
            .ints("w_zero", ElemType::Int8, &[], &[5])
            .floats("y_scale", &[1.0])
            .ints("y_zero", ElemType::Int8, &[], &[-128])
            .node(
                "QLinearMatMul",
                &[
                    "x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "y_scale", "y_zero",
                ],
                "matmul",
            )
            .output("matmul", ElemType::Int8, &[2, 2])
            .model()
    }

    fn probe(model: &Model, compile: Compile<'_>) -> Result<Probed, ValidationError> {
        let plan = plan(model, &public(model)).unwrap();
        let (_, ranges) = plan.circuit_with_ranges().unwrap();
        check(&Whole::new(model, &plan), &ranges, 0, compile)
    }

    #[test]
    fn every_threshold_of_each_distinct_scale_is_probed() {
        // Channel 0: weights −128 and 127, inputs −3 … 252.
        let (lo, hi) = (1000 - 252 * 128 - 3 * 127, 1000 + 3 * 128 + 252 * 127);
        let step = Requantize::new(0.5 * 0.03 / 2.0, 100, ElemType::Uint8).unwrap();
        let thresholds = step.thresholds(lo, hi);
        let one = probe(&conv(&[0.03, 0.9, 0.9]), &plan).unwrap();
        assert_eq!(one.steps, 2);
        let all = probe(&conv(&[0.03]), &plan).unwrap();
        assert_eq!(all.steps, 1);
        assert_eq!(all.thresholds, thresholds.len() as u64);
        assert!(thresholds.len() > 200);
        // Steps are 133 apart, so that no two of the probes coincide but with the ends.
        assert!((3 * all.thresholds..=3 * all.thresholds + 2).contains(&all.probes));
        for model in [
            gemm(false, &[0.01]),
            gemm(true, &[0.01, 0.7]),
            gemm(false, &[0.02, 0.01]),
            matmul(&[0.01], &[1, 2, 3, -128, -7, 127]),
            matmul(&[0.01, 0.2], &[1, 2, 3, -128, -7, 127]),
        ] {
            let probed = probe(&model, &plan).unwrap();
            assert!(probed.thresholds > 20, "{probed:?}");
        }
    }

    #[test]
    fn a_multiplier_that_differs_at_ties_only_is_found() {
        // One float32 step below 2^-9, and 2^-9 itself: they differ where the quotient is a half.
        let below = shift_multiplier(9).unwrap();
        let tie = f32::from_bits(below.to_bits() + 1);
        let x = [100, 100, 120, 127, 127, 127];
        for (model, scales) in [
            (matmul(&[below], &x), "w_scale"),
            (matmul(&[below, 0.01], &x), "probe.w_scale"),
        ] {
            probe(&model, &plan).unwrap();
            let wrong = evaluator_of(|graph| {
                change_floats(graph, scales, |scales| {
                    for scale in scales.iter_mut().filter(|s| s.to_bits() == below.to_bits()) {
                        *scale = tie;
                    }
                });
            });
            let error = probe(&model, &wrong).unwrap_err();
            assert_eq!(error.code(), "translation-divergence");
            let ValidationError::Divergence {
                node,
                op_type,
                input,
                output,
                runtime,
                evaluator,
                ..
            } = error
            else {
                panic!("{error}")
            };
            assert_eq!(
                (node.as_str(), op_type.as_str()),
                ("matmul", "QLinearMatMul")
            );
            assert_eq!(output, "matmul");
            assert!(input.starts_with("accumulator "), "{input}");
            assert_eq!(evaluator, runtime + 1);
        }
    }

    #[test]
    fn products_of_computed_tensors_and_of_a_constant_from_the_left_are_probed() {
        let product = |left: &str, right: &str| {
            let mut model = Builder::default()
                .floats("half", &[0.5])
                .floats("w_scale", &[0.004])
                .ints("zero", ElemType::Uint8, &[], &[7])
                .node(
                    "QLinearMatMul",
                    &["l", "half", "zero", "r", "w_scale", "zero", "half", "zero"],
                    "matmul",
                )
                .output("matmul", ElemType::Uint8, &[2, 2]);
            for (name, source, shape) in [("l", left, [2, 3]), ("r", right, [3, 2])] {
                model = match source {
                    "computed" => model.input(name, ElemType::Uint8, &shape),
                    _ => model.ints(name, ElemType::Uint8, &shape, &[0, 255, 3, 100, 7, 20]),
                };
            }
            model.model()
        };
        for (left, right) in [
            ("computed", "computed"),
            ("constant", "computed"),
            ("computed", "constant"),
        ] {
            let model = product(left, right);
            let probed = probe(&model, &plan).unwrap();
            assert_eq!(probed.steps, 1);
            assert!(probed.thresholds > 200, "{left} {right}: {probed:?}");
            let wrong = evaluator_of(|graph| change_floats(graph, "w_scale", |s| s[0] *= 1.001));
            let error = probe(&model, &wrong).unwrap_err();
            assert_eq!(error.code(), "translation-divergence", "{left} {right}");
        }
    }

    #[test]
    fn operands_multiply_out_to_any_accumulator() {
        let accs = [
            0, 1, -1, 127, 128, -128, 254, 255, 256, 32_640, -32_641, 9_999_999,
        ];
        let probes: Vec<Probe> = accs.iter().map(|&acc| Probe { scale: 1.0, acc }).collect();
        let rows = 1 + 9_999_999 / 255 / 127 + 1;
        let matrix = columns(&probes, rows, 0);
        for (column, acc) in accs.iter().enumerate() {
            let weight = |row: usize| i64::from(matrix[row * accs.len() + column]);
            assert!((0..rows).all(|row| (-127..=127).contains(&weight(row))));
            let coarse: i64 = (0..rows - 1).map(|row| 255 * weight(row)).sum();
            assert_eq!(coarse + weight(rows - 1), i64::from(*acc));
        }
        assert_eq!(
            quotient(i32::MIN).0 * 255 + quotient(i32::MIN).1,
            i64::from(i32::MIN)
        );
        assert_eq!(
            quotient(i32::MAX).0 * 255 + quotient(i32::MAX).1,
            i64::from(i32::MAX)
        );
    }

    #[test]
    fn nodes_without_a_requantize_have_no_probes() {
        let model = Builder::default()
            .input("x", ElemType::Uint8, &[1, 1, 2, 2])
            .node_with(
                "MaxPool",
                &["x"],
                "pool",
                &[("kernel_shape", proofmark_onnx::Attribute::Ints(vec![2, 2]))],
            )
            .output("pool", ElemType::Uint8, &[1, 1, 1, 1])
            .model();
        assert_eq!(probe(&model, &plan).unwrap(), Probed::default());
    }
}
