//! Every entry of every constant table.
//!
//! A table is a `Gather` of a stored tensor by a computed index, and the index is arithmetic on one
//! or two 8-bit tensors. That arithmetic runs on every value (every pair) that these can hold, with
//! all dimensions along which no constant varies cut to 1, so that the number of elements is that of
//! the table and not that of the tensor.

use std::collections::BTreeSet;

use proofmark_onnx::{Dim, Model, Node, ValueInfo, ValueType};
use proofmark_ops::{OpsError, Ranges};
use proofmark_tensor::{ElemType, IntTensor};

use crate::error::ValidationError;
use crate::pair::{Compile, Pair, Subject, elements};
use crate::part::Whole;

/// Most elements of one run.
const ELEMENTS: usize = 1 << 20;
/// Most 8-bit tensors that an index is made of and every combination of which is tried.
const OPERANDS: usize = 2;

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Read {
    /// Distinct entries.
    pub(crate) entries: u64,
    /// Elements compared.
    pub(crate) compared: u64,
}

/// Whether a node reads a constant table.
pub(crate) fn is_table(whole: &Whole<'_>, node: &Node) -> bool {
    node.op_type == "Gather"
        && node.domain.is_empty()
        && node.input(0).is_some_and(|table| whole.is_constant(table))
        && node.input(1).is_some_and(|index| !whole.is_constant(index))
}

/// Reads every entry of a node's table that the node's inputs can reach; nothing where it has no
/// table.
pub(crate) fn check(
    whole: &Whole<'_>,
    ranges: &Ranges,
    index: usize,
    compile: Compile<'_>,
) -> Result<Read, ValidationError> {
    let Some(node) = whole.node(index).filter(|node| is_table(whole, node)) else {
        return Ok(Read::default());
    };
    let unchecked = || ValidationError::Unchecked {
        node: node.name.clone(),
        reason: "its table is not read by one or two 8-bit tensors".to_owned(),
    };
    let subject = Subject {
        node: &node.name,
        op_type: &node.op_type,
    };
    let (Some(output), Some(indices)) = (node.output(0), node.input(1)) else {
        return Err(unchecked());
    };
    let cone = whole.cone(index, |node| {
        node.domain.is_empty() && matches!(node.op_type.as_str(), "Add" | "Cast" | "Mul" | "Sub")
    });
    let part = whole
        .part(&cone, &[output, indices])
        .ok_or_else(unchecked)?;
    let bytes_only = part
        .graph
        .inputs
        .iter()
        .all(|input| matches!(input.ty, ValueType::Int(elem) if elem.bits() == 8));
    let sweep = if bytes_only && (1..=OPERANDS).contains(&part.graph.inputs.len()) {
        Sweep::of_operands(part, ranges)
    } else {
        let alone = whole.part(&BTreeSet::from([index]), &[output]);
        alone.and_then(|alone| Sweep::of_indices(alone, indices, ranges))
    };
    sweep.ok_or_else(unchecked)?.run(&subject, indices, compile)
}

/// A part of a model whose inputs take every combination of their values, one a row.
struct Sweep {
    part: Model,
    /// Smallest and largest value of each input.
    ranges: Vec<(i32, i32)>,
    /// Elements of a row of each input, and its shape under the axis of the rows.
    rows: Vec<Vec<usize>>,
    /// Shape of a row of the outputs.
    output: Vec<usize>,
}

impl Sweep {
    fn of_operands(part: Model, ranges: &Ranges) -> Option<Self> {
        let shapes: Option<Vec<Vec<usize>>> = part
            .graph
            .inputs
            .iter()
            .map(ValueInfo::static_shape)
            .collect();
        let shapes = shapes?;
        // The table itself is indexed, not broadcast.
        let table = part.graph.nodes.last()?.input(0)?.to_owned();
        let constants = part.graph.initializers.iter();
        let constants: Vec<&[usize]> = constants
            .filter(|(name, _)| **name != table)
            .map(|(_, tensor)| tensor.shape.as_slice())
            .collect();
        let ranks = shapes.iter().map(Vec::len);
        let rank = ranks.chain(constants.iter().map(|s| s.len())).max()?;
        let padded = |shape: &[usize]| {
            let mut padded = vec![1; rank - shape.len()];
            padded.extend_from_slice(shape);
            padded
        };
        let varies: Vec<bool> = (0..rank)
            .map(|d| {
                constants
                    .iter()
                    .any(|s| padded(s).get(d).is_some_and(|&n| n > 1))
            })
            .collect();
        let cut = |shape: &Vec<usize>| -> Vec<usize> {
            let dims = padded(shape).into_iter().zip(&varies);
            dims.map(|(n, &varies)| if varies { n } else { 1 })
                .collect()
        };
        let rows: Vec<Vec<usize>> = shapes.iter().map(cut).collect();
        let mut output = vec![1; rank];
        let constants = constants.iter().map(|s| padded(s));
        for shape in rows.iter().cloned().chain(constants) {
            for (most, n) in output.iter_mut().zip(shape) {
                *most = n.max(*most);
            }
        }
        let ranges = part
            .graph
            .inputs
            .iter()
            .map(|input| range(ranges, &input.name));
        let ranges = ranges.collect::<Option<_>>()?;
        Some(Self {
            part,
            ranges,
            rows,
            output,
        })
    }

    /// The `Gather` by itself: its index takes every value that is proven possible.
    fn of_indices(part: Model, indices: &str, ranges: &Ranges) -> Option<Self> {
        Some(Self {
            part,
            ranges: vec![range(ranges, indices)?],
            rows: vec![Vec::new()],
            output: Vec::new(),
        })
    }

    fn run(
        mut self,
        subject: &Subject<'_>,
        indices: &str,
        compile: Compile<'_>,
    ) -> Result<Read, ValidationError> {
        let spans = self.ranges.iter().map(|&(lo, hi)| span(lo, hi));
        let spans: Vec<usize> = spans.collect();
        let total = spans
            .iter()
            .fold(1_usize, |product, &n| product.saturating_mul(n));
        let width = self.output.iter().product::<usize>().max(1);
        let step = (ELEMENTS / width).clamp(1, total.max(1));
        let mut seen = BTreeSet::new();
        let mut read = Read::default();
        let mut loaded: Option<(usize, Pair<'_>)> = None;
        for first in (0..total).step_by(step) {
            let count = step.min(total - first);
            let pair = match loaded.take() {
                Some((rows, pair)) if rows == count => pair,
                _ => {
                    self.resize(count);
                    Pair::part(*subject, &self.part, compile)?
                }
            };
            let inputs = self.inputs(&spans, first, count).map_err(OpsError::from)?;
            let outputs = pair.run(&inputs)?.map_err(|difference| {
                let row = first + difference.index / width;
                let values = self.values(&spans, row);
                difference.error(subject, format!("table inputs {values:?}"))
            })?;
            read.compared += elements(outputs.get(..1).unwrap_or_default());
            // The index is the second output, or the only input.
            if let Some(index) = outputs.get(1).or(inputs.first()) {
                seen.extend(index.data().iter().copied());
            }
            loaded = Some((count, pair));
        }
        debug_assert!(!indices.is_empty());
        read.entries = seen.len() as u64;
        Ok(read)
    }

    /// Gives every input so many rows.
    fn resize(&mut self, count: usize) {
        let under = |row: &[usize]| {
            let shape = std::iter::once(count).chain(row.iter().copied());
            Some(shape.map(Dim::Static).collect())
        };
        for (input, row) in self.part.graph.inputs.iter_mut().zip(&self.rows) {
            input.dims = under(row);
        }
        for output in &mut self.part.graph.outputs {
            output.dims = under(&self.output);
        }
    }

    /// The value of each input in a row: the first input varies slowest.
    fn values(&self, spans: &[usize], row: usize) -> Vec<i32> {
        let mut rest = row;
        let mut values: Vec<i32> = spans
            .iter()
            .zip(&self.ranges)
            .rev()
            .map(|(&span, &(lo, _))| {
                let offset = rest % span.max(1);
                rest /= span.max(1);
                lo.saturating_add(i32::try_from(offset).unwrap_or(i32::MAX))
            })
            .collect();
        values.reverse();
        values
    }

    fn inputs(
        &self,
        spans: &[usize],
        first: usize,
        count: usize,
    ) -> Result<Vec<IntTensor>, proofmark_tensor::TensorError> {
        let table: Vec<Vec<i32>> = (first..first + count)
            .map(|row| self.values(spans, row))
            .collect();
        self.part
            .graph
            .inputs
            .iter()
            .zip(&self.rows)
            .enumerate()
            .map(|(at, (info, row))| {
                let width: usize = row.iter().product();
                let value = |values: &Vec<i32>| values.get(at).copied().unwrap_or_default();
                let data = table
                    .iter()
                    .flat_map(|values| std::iter::repeat_n(value(values), width));
                let elem = match info.ty {
                    ValueType::Int(elem) => elem,
                    _ => ElemType::Int32,
                };
                let shape = std::iter::once(count).chain(row.iter().copied()).collect();
                IntTensor::new(elem, shape, data.collect())
            })
            .collect()
    }
}

fn span(lo: i32, hi: i32) -> usize {
    usize::try_from(i64::from(hi) - i64::from(lo) + 1).unwrap_or_default()
}

/// Smallest and largest value of any element of a tensor.
fn range(ranges: &Ranges, tensor: &str) -> Option<(i32, i32)> {
    let ranges = ranges.get(tensor)?;
    let lo = ranges.iter().map(|r| r.0).min()?;
    let hi = ranges.iter().map(|r| r.1).max()?;
    Some((i32::try_from(lo).ok()?, i32::try_from(hi).ok()?))
}
