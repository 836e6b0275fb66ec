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
    sweep.ok_or_else(unchecked)?.run(&subject, compile)
}

/// A part of a model whose inputs take every combination of their values, one a row.
struct Sweep {
    part: Model,
    /// Smallest and largest value of each input.
    ranges: Vec<(i32, i32)>,
    /// Shape of a row of each input.
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

    fn run(mut self, subject: &Subject<'_>, compile: Compile<'_>) -> Result<Read, ValidationError> {
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

#[cfg(test)]
mod tests {
    use proofmark_ops::plan;

    use super::*;
    use crate::pair::public;
    use crate::testing::{Builder, change_ints, evaluator_of};

    fn ranges(tensors: &[(&str, (i64, i64))]) -> Ranges {
        let own = |(name, range): &(&str, (i64, i64))| ((*name).to_owned(), vec![*range]);
        tensors.iter().map(own).collect()
    }

    fn read(model: &Model, ranges: &Ranges, compile: Compile<'_>) -> Result<Read, ValidationError> {
        let planned = plan(model, &public(model)).unwrap();
        let last = model.graph.nodes.len() - 1;
        check(&Whole::new(model, &planned), ranges, last, compile)
    }

    /// A table for each of three channels of an int8 tensor.
    fn per_channel() -> Model {
        let table: Vec<i32> = (0..3 * 256)
            .map(|i| (i * 7 % 251) - 100)
            .map(|v| v.min(127))
            .collect();
        Builder::default()
            .input("x", ElemType::Int8, &[1, 3, 20, 30])
            .node_with(
                "Cast",
                &["x"],
                "wide",
                &[("to", proofmark_onnx::Attribute::Int(6))],
            )
            .ints(
                "offset",
                ElemType::Int32,
                &[1, 3, 1, 1],
                &[128, 128 + 256, 128 + 512],
            )
            .node("Add", &["wide", "offset"], "index")
            .ints("table", ElemType::Int8, &[3 * 256], &table)
            .node("Gather", &["table", "index"], "y")
            .output("y", ElemType::Int8, &[1, 3, 20, 30])
            .model()
    }

    /// A table of pairs: a quarter of `3a + b`, saturated.
    fn pairs() -> Model {
        let table: Vec<i32> = (0..65_536)
            .map(|i| ((3 * (i / 256) + i % 256) / 4).min(255))
            .collect();
        let to = [("to", proofmark_onnx::Attribute::Int(6))];
        Builder::default()
            .input("a", ElemType::Uint8, &[1, 4, 5])
            .input("b", ElemType::Uint8, &[4, 1])
            .node_with("Cast", &["a"], "wide_a", &to)
            .node_with("Cast", &["b"], "wide_b", &to)
            .ints("rows", ElemType::Int32, &[], &[256])
            .node("Mul", &["wide_a", "rows"], "row")
            .node("Add", &["row", "wide_b"], "index")
            .ints("table", ElemType::Uint8, &[65_536], &table)
            .node("Gather", &["table", "index"], "y")
            .output("y", ElemType::Uint8, &[1, 4, 5])
            .model()
    }

    #[test]
    fn every_entry_that_the_inputs_reach_is_read_once() {
        let bytes = ranges(&[("x", (-128, 127))]);
        let all = Read {
            entries: 3 * 256,
            compared: 3 * 256,
        };
        assert_eq!(read(&per_channel(), &bytes, &plan).unwrap(), all);
        let narrow = ranges(&[("x", (-10, 9))]);
        assert_eq!(read(&per_channel(), &narrow, &plan).unwrap().entries, 60);
        let bytes = ranges(&[("a", (0, 255)), ("b", (0, 255))]);
        assert_eq!(read(&pairs(), &bytes, &plan).unwrap().entries, 65_536);
        let narrow = ranges(&[("a", (7, 9)), ("b", (0, 255))]);
        assert_eq!(read(&pairs(), &narrow, &plan).unwrap().entries, 768);
    }

    #[test]
    fn an_index_that_is_no_8_bit_tensor_takes_all_its_values() {
        let model = Builder::default()
            .input("index", ElemType::Int32, &[5])
            .ints("table", ElemType::Int32, &[4], &[1 << 20, -5, 3, 9])
            .node("Gather", &["table", "index"], "y")
            .output("y", ElemType::Int32, &[5])
            .model();
        let index = ranges(&[("index", (0, 3))]);
        assert_eq!(read(&model, &index, &plan).unwrap().entries, 4);
    }

    #[test]
    fn one_wrong_entry_is_found_and_named() {
        let bytes = ranges(&[("x", (-128, 127)), ("a", (0, 255)), ("b", (0, 255))]);
        for (model, entry, inputs) in [
            (per_channel(), 2 * 256 + 128 - 77, "[-77]"),
            (pairs(), 200 * 256 + 13, "[200, 13]"),
        ] {
            let wrong = evaluator_of(|graph| {
                change_ints(graph, "table", |table| table[entry] ^= 1);
            });
            let error = read(&model, &bytes, &wrong).unwrap_err();
            let ValidationError::Divergence {
                node,
                input,
                runtime,
                evaluator,
                ..
            } = error
            else {
                panic!("{error}")
            };
            assert_eq!(node, "y");
            assert!(input.ends_with(inputs), "{input}");
            assert_eq!(evaluator, runtime ^ 1);
        }
    }
}
