//! What an index into a table is made of: the nodes in front of a `Gather` are read as one linear
//! form over 8-bit tensors, so that a table over two of them can be lowered as a function of two.

use std::collections::BTreeMap;
use std::sync::Arc;

use proofmark_gadgets::bivariate::Bivariate;
use proofmark_gadgets::univariate::Function;
use proofmark_gadgets::{Lowering, Num};
use proofmark_onnx::Tensor;
use proofmark_tensor::{ElemType, IntTensor};

use super::broadcast::positions;
use crate::context::{NodeContext, Refusal};
use crate::error::OpsError;
use crate::operator::{Fact, Operator, Parsed, TensorVar};

/// Most nodes between a source and the index.
const DEEPEST: usize = 16;
/// Largest factor of a source, and largest constant.
const LARGEST: i64 = 1 << 31;
const REMEDY: &str = "table a function that is a staircase over a sum or a product of its two operands, or one of a single 8-bit operand";

/// `Σ factor · source + constant`, one factor for all elements of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Index {
    /// Sources (8-bit tensors) in the order in which they are met, each once.
    terms: Vec<(String, i64)>,
    constant: i64,
}

impl Index {
    /// Reads the nodes that make a tensor; `None` where they are something else.
    pub(crate) fn of(cx: &NodeContext<'_>, tensor: &str) -> Option<Self> {
        let index = Self::read(cx, tensor, DEEPEST)?;
        let small = |v: i64| v.abs() < LARGEST;
        let fits = small(index.constant) && index.terms.iter().all(|term| small(term.1));
        fits.then_some(index)
    }

    fn read(cx: &NodeContext<'_>, tensor: &str, depth: usize) -> Option<Self> {
        let depth = depth.checked_sub(1)?;
        if let Some(constant) = uniform(cx.stored(tensor)) {
            return Some(Self {
                terms: Vec::new(),
                constant,
            });
        }
        let node = cx.producer(tensor)?;
        if !node.domain.is_empty() {
            return None;
        }
        let operand = |position: usize| node.input(position);
        match node.op_type.as_str() {
            "Cast" => {
                let source = operand(0)?;
                match cx.fact(source)?.elem {
                    // The type is not looked at: a cast that is not to int32 has no reader here.
                    ElemType::Int32 => Self::read(cx, source, depth),
                    ElemType::Uint8 | ElemType::Int8 => Some(Self {
                        terms: vec![(source.to_owned(), 1)],
                        constant: 0,
                    }),
                }
            }
            "Add" | "Sub" => {
                let left = Self::read(cx, operand(0)?, depth)?;
                let right = Self::read(cx, operand(1)?, depth)?;
                left.plus(if node.op_type == "Add" { 1 } else { -1 }, right)
            }
            "Mul" => {
                let left = Self::read(cx, operand(0)?, depth)?;
                let right = Self::read(cx, operand(1)?, depth)?;
                let (form, factor) = if left.terms.is_empty() {
                    (right, left.constant)
                } else if right.terms.is_empty() {
                    (left, right.constant)
                } else {
                    return None;
                };
                let zero = Self {
                    terms: Vec::new(),
                    constant: 0,
                };
                zero.plus(factor, form)
            }
            _ => None,
        }
    }

    fn plus(mut self, factor: i64, other: Self) -> Option<Self> {
        let scaled = |v: i64| {
            v.checked_mul(factor)
                .filter(|v| v.abs() < LARGEST * LARGEST / 2)
        };
        self.constant = self.constant.checked_add(scaled(other.constant)?)?;
        for (name, value) in other.terms {
            let value = scaled(value)?;
            match self.terms.iter_mut().find(|term| term.0 == name) {
                Some(term) => term.1 = term.1.checked_add(value)?,
                None => self.terms.push((name, value)),
            }
        }
        self.terms.retain(|term| term.1 != 0);
        Some(self)
    }

    /// The table read as a function of its sources; `None` where they are not one or two.
    ///
    /// # Errors
    /// [`Refusal`] when the table over the whole types of two sources has no cheap form.
    pub(crate) fn read_table(
        self,
        cx: &NodeContext<'_>,
        output: Fact,
        entries: Vec<i64>,
    ) -> Option<Result<Parsed, Refusal>> {
        let mut sources = Vec::with_capacity(2);
        for (name, factor) in &self.terms {
            let fact = cx.fact(name)?;
            sources.push(Source {
                factor: *factor,
                elem: fact.elem,
                at: positions(&output.shape, &fact.shape),
            });
        }
        if !matches!(sources.len(), 1 | 2) {
            return None;
        }
        let read = SourceRead {
            node: cx.node.name.clone(),
            output,
            entries,
            sources,
            constant: self.constant,
        };
        let intervals: Vec<(i64, i64)> = read.sources.iter().map(Source::interval).collect();
        // A table that does not cover the types may still do for the intervals that are proven.
        if read.slice(&intervals).is_some()
            && let Err(error) = read.lowered(&intervals)
        {
            return Some(Err(Refusal::new(error, REMEDY)));
        }
        let data = self.terms.into_iter().map(|(name, _)| name).collect();
        Some(Ok(Parsed {
            operator: Box::new(read),
            data,
        }))
    }
}

/// The value of all elements of an int32 constant, where it is one.
fn uniform(stored: Option<&Tensor>) -> Option<i64> {
    let tensor = stored?.ints().filter(|t| t.elem() == ElemType::Int32)?;
    let first = tensor.data().first()?;
    let same = tensor.data().iter().all(|v| v == first);
    same.then_some(i64::from(*first))
}

#[derive(Debug)]
struct Source {
    factor: i64,
    elem: ElemType,
    /// For each output element, the position in the source.
    at: Vec<usize>,
}

impl Source {
    fn interval(&self) -> (i64, i64) {
        (self.elem.min().into(), self.elem.max().into())
    }
}

/// A table at `Σ factor · source + constant`, with one source or two.
#[derive(Debug)]
struct SourceRead {
    node: String,
    output: Fact,
    entries: Vec<i64>,
    sources: Vec<Source>,
    constant: i64,
}

/// The function that a table is of its sources.
#[derive(Debug, Clone)]
enum Lowered {
    One(Arc<Function>),
    Two(Arc<Bivariate>),
}

impl SourceRead {
    fn entry(&self, values: &[i64]) -> Option<i64> {
        let products = self.sources.iter().zip(values).map(|(s, v)| s.factor * v);
        let at = self.constant + products.sum::<i64>();
        self.entries.get(usize::try_from(at).ok()?).copied()
    }

    /// The entries for sources in these intervals, row-major; `None` where one is outside.
    fn slice(&self, intervals: &[(i64, i64)]) -> Option<Vec<i64>> {
        match *intervals {
            [(lo, hi)] => (lo..=hi).map(|x| self.entry(&[x])).collect(),
            [a, b] => (a.0..=a.1)
                .flat_map(|x| (b.0..=b.1).map(move |y| [x, y]))
                .map(|pair| self.entry(&pair))
                .collect(),
            _ => None,
        }
    }

    fn lowered(&self, intervals: &[(i64, i64)]) -> Result<Lowered, String> {
        let slice = self.slice(intervals).ok_or_else(|| {
            format!(
                "an index made of values in {intervals:?} may leave the table of {} entries",
                self.entries.len()
            )
        })?;
        match *intervals {
            [a, b] => Bivariate::new(a, b, &slice).map(Lowered::Two),
            [(lo, _)] => Function::new(lo, &slice).map(Lowered::One),
            _ => return Err("an index of no source".to_owned()),
        }
        .map_err(|error| error.to_string())
    }

    fn missing(&self) -> OpsError {
        OpsError::Internal {
            node: self.node.clone(),
            reason: "operand is missing".to_owned(),
        }
    }
}

impl Operator for SourceRead {
    fn output(&self) -> &Fact {
        &self.output
    }

    fn eval(&self, inputs: &[&IntTensor]) -> Result<Vec<i32>, OpsError> {
        let mut out = Vec::with_capacity(self.output.len());
        let mut values = Vec::with_capacity(2);
        for i in 0..self.output.len() {
            values.clear();
            for (source, input) in self.sources.iter().zip(inputs) {
                let value = source.at.get(i).and_then(|&at| input.data().get(at));
                values.push(i64::from(*value.ok_or_else(|| self.missing())?));
            }
            let entry = self
                .entry(&values)
                .and_then(|entry| i32::try_from(entry).ok());
            out.push(entry.ok_or_else(|| OpsError::Interval {
                node: self.node.clone(),
                reason: format!("an index made of {values:?} is outside of the table"),
                remedy: REMEDY,
            })?);
        }
        Ok(out)
    }

    fn synthesize(
        &self,
        cx: &mut Lowering<'_>,
        inputs: &[&TensorVar],
    ) -> Result<Vec<Num>, OpsError> {
        let mut known: BTreeMap<Vec<(i64, i64)>, Lowered> = BTreeMap::new();
        let uses = self.output.len();
        let mut out = Vec::with_capacity(uses);
        for i in 0..uses {
            let mut nums = Vec::with_capacity(2);
            for (source, input) in self.sources.iter().zip(inputs) {
                let num = source.at.get(i).and_then(|&at| input.nums.get(at));
                nums.push(num.ok_or_else(|| self.missing())?);
            }
            let intervals: Vec<(i64, i64)> = nums.iter().map(|n| (n.lo(), n.hi())).collect();
            let lowered = if let Some(lowered) = known.get(&intervals) {
                lowered.clone()
            } else {
                let lowered = self
                    .lowered(&intervals)
                    .map_err(|reason| OpsError::Interval {
                        node: cx.path(&self.node),
                        reason,
                        remedy: REMEDY,
                    })?;
                known.insert(intervals, lowered.clone());
                lowered
            };
            out.push(match (lowered, nums.as_slice()) {
                (Lowered::One(function), &[x]) => function.lower(cx, x, uses)?,
                (Lowered::Two(function), &[a, b]) => function.lower(cx, a, b, uses)?,
                _ => return Err(self.missing()),
            });
        }
        Ok(out)
    }
}
