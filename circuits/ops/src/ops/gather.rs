//! `Gather`: elements of a computed tensor at constant indices (a data mover), or entries of a
//! constant table at computed indices (any function of an 8-bit value, many of two).

use proofmark_onnx::{Attribute, Node};
use std::collections::BTreeMap;
use std::sync::Arc;

use proofmark_gadgets::univariate::Function;
use proofmark_gadgets::{Lowering, Num};
use proofmark_onnx::TensorData;
use proofmark_tensor::{ElemType, IntTensor};

use super::relabel::{Relabel, axis};
use super::table_index::Index;
use crate::context::{NodeContext, Refusal};
use crate::error::OpsError;
use crate::operator::{Fact, OpSpec, Operator, Parsed, TensorVar};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Gather",
    domain: "",
    since: 1,
    summary: "elements at constant indices along an axis; or entries of a constant table of rank 1 at computed int32 indices",
    limits: "either the indices or the data are constant; computed indices are proven to stay in the table: 256 entries of it an element, or two 8-bit tensors whose table is a staircase over their sum or product",
    cost: "0 at constant indices; of one 8-bit value 0 for a constant or linear table, about 10 for a clamp, at most 45; of two about 10 to 45 for sums and products",
    portability: "every processor",
    vectors,
    parse,
};

/// Entries of a constant table.
#[derive(Debug)]
struct TableRead {
    node: String,
    output: Fact,
    entries: Vec<i64>,
}

impl TableRead {
    /// The entry at an index as ONNX counts: from the end where it is negative.
    fn entry(&self, index: i64) -> Option<i64> {
        let length = i64::try_from(self.entries.len()).ok()?;
        let at = if index < 0 { index + length } else { index };
        self.entries.get(usize::try_from(at).ok()?).copied()
    }

    /// The function on the indices that the constraints allow.
    fn function(&self, path: String, lo: i64, hi: i64) -> Result<Arc<Function>, OpsError> {
        let inside = usize::try_from(lo).ok().zip(usize::try_from(hi).ok());
        let slice = inside.and_then(|(lo, hi)| self.entries.get(lo..=hi));
        let Some(slice) = slice else {
            return Err(OpsError::Interval {
                node: path,
                reason: format!(
                    "an index of {lo} ..= {hi} may leave the table of {} entries",
                    self.entries.len()
                ),
                remedy: "clip the index to the table first",
            });
        };
        Function::new(lo, slice).map_err(|error| OpsError::Interval {
            node: path,
            reason: error.to_string(),
            remedy: "index the table with one 8-bit value, plus a constant",
        })
    }
}

impl Operator for TableRead {
    fn output(&self) -> &Fact {
        &self.output
    }

    fn eval(&self, inputs: &[&IntTensor]) -> Result<Vec<i32>, OpsError> {
        let x = inputs.first().map(|t| t.data()).unwrap_or_default();
        x.iter()
            .map(|&index| {
                let entry = self.entry(index.into());
                let entry = entry.and_then(|entry| i32::try_from(entry).ok());
                entry.ok_or_else(|| OpsError::Interval {
                    node: self.node.clone(),
                    reason: format!(
                        "index {index} is outside of the table of {} entries",
                        self.entries.len()
                    ),
                    remedy: "clip the index to the table first",
                })
            })
            .collect()
    }

    fn synthesize(
        &self,
        cx: &mut Lowering<'_>,
        inputs: &[&TensorVar],
    ) -> Result<Vec<Num>, OpsError> {
        let x = inputs
            .first()
            .map(|t| t.nums.as_slice())
            .unwrap_or_default();
        let mut functions: BTreeMap<(i64, i64), Arc<Function>> = BTreeMap::new();
        let mut out = Vec::with_capacity(x.len());
        for index in x {
            let interval = (index.lo(), index.hi());
            let function = if let Some(function) = functions.get(&interval) {
                Arc::clone(function)
            } else {
                let path = cx.path(&self.node);
                let function = self.function(path, interval.0, interval.1)?;
                functions.insert(interval, Arc::clone(&function));
                function
            };
            out.push(function.lower(cx, index, x.len())?);
        }
        Ok(out)
    }
}

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    cx.only_attributes(&["axis"])?;
    match cx.data(0) {
        Ok((name, x)) => mover(cx, name, &x),
        Err(_) => table(cx),
    }
}

/// Constant indices, a computed tensor.
fn mover(cx: &NodeContext<'_>, name: String, x: &Fact) -> Result<Parsed, Refusal> {
    let stored = cx.constant(1)?;
    let (indices, index_shape): (Vec<i64>, &[usize]) = match stored.map(|t| (&t.data, &t.shape)) {
        Some((TensorData::Int64(values), shape)) => (values.clone(), shape),
        Some((TensorData::Int(values), shape)) if values.elem() == ElemType::Int32 => {
            (values.data().iter().map(|&v| v.into()).collect(), shape)
        }
        _ => {
            return Err(Refusal::new(
                "indices that are no int32 or int64 constant",
                "export the indices as a constant",
            ));
        }
    };
    let rank = x.shape.len();
    let wanted = cx.int("axis", 0)?;
    let along = axis(wanted, rank).ok_or_else(|| {
        Refusal::new(
            format!("axis {wanted} of rank {rank}"),
            "give an axis inside the rank",
        )
    })?;
    let length = x.shape.get(along).copied().unwrap_or_default();
    let picked = indices
        .iter()
        .map(|&index| {
            axis(index, length).ok_or_else(|| {
                Refusal::new(
                    format!("index {index} into a dimension of {length}"),
                    "give indices inside the dimension",
                )
            })
        })
        .collect::<Result<Vec<usize>, _>>()?;
    let (outer, inner) = (x.shape.get(..along), x.shape.get(along + 1..));
    let (outer, inner) = (outer.unwrap_or_default(), inner.unwrap_or_default());
    let shape = cx.bounded([outer, index_shape, inner].concat())?;
    let run: usize = inner.iter().product();
    let mut source = Vec::with_capacity(shape.iter().product());
    for o in 0..outer.iter().product() {
        for &at in &picked {
            source.extend((0..run).map(|i| (0, (o * length + at) * run + i)));
        }
    }
    let output = Fact {
        elem: x.elem,
        shape,
    };
    Ok(Parsed {
        operator: Box::new(Relabel { output, source }),
        data: vec![name],
    })
}

/// A constant table, computed indices.
fn table(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    let stored = cx.ints(0)?;
    let (name, index) = cx.data(1)?;
    if stored.shape().len() != 1 {
        return Err(Refusal::new(
            format!(
                "computed indices into a constant of shape {:?}",
                stored.shape()
            ),
            "give the table rank 1",
        ));
    }
    if !matches!(cx.int("axis", 0)?, 0 | -1) {
        return Err(Refusal::new(
            "an axis outside of the table's rank 1",
            "use axis 0",
        ));
    }
    if index.elem != ElemType::Int32 {
        return Err(Refusal::new(
            format!("{} indices", index.elem),
            "cast the indices to int32",
        ));
    }
    let output = Fact {
        elem: stored.elem(),
        shape: index.shape,
    };
    let entries: Vec<i64> = stored.data().iter().map(|&v| v.into()).collect();
    if let Some(index) = Index::of(cx, &name)
        && let Some(parsed) = index.read_table(cx, output.clone(), entries.clone())
    {
        return parsed;
    }
    let read = TableRead {
        node: cx.node.name.clone(),
        output,
        entries,
    };
    Ok(Parsed {
        operator: Box::new(read),
        data: vec![name],
    })
}

fn vectors() -> Vec<Vector> {
    let (uint8, int8, int32) = (ElemType::Uint8, ElemType::Int8, ElemType::Int32);
    let wide =
        |name: &str, to: &str| Node::new(to, "Cast", &[name], &[to]).with("to", Attribute::Int(6));
    let moved = |name| {
        Vector::new(name, &SPEC, &["x", "at"]).input("x", int8, &[2, 3], &[1, 2, 3, -4, -5, -6])
    };
    // A table read at an 8-bit value.
    let one = |name, table: Vec<i32>| {
        Vector::new(name, &SPEC, &["table", "w"])
            .input("x", uint8, &[4], &[0, 127, 128, 255])
            .ints("table", uint8, &[table.len()], &table)
            .after(wide("x", "w"))
    };
    // A table read at `256·(a + 128) + b`.
    let two = |name, table: Vec<i32>| {
        Vector::new(name, &SPEC, &["table", "i"])
            .input("a", int8, &[2, 1], &[-128, 100])
            .input("b", uint8, &[3], &[0, 3, 255])
            .ints("table", int8, &[table.len()], &table)
            .ints("up", int32, &[], &[128])
            .ints("rows", int32, &[], &[256])
            .after(wide("a", "wa"))
            .after(wide("b", "wb"))
            .after(Node::new("offset", "Add", &["wa", "up"], &["oa"]))
            .after(Node::new("row", "Mul", &["oa", "rows"], &["ra"]))
            .after(Node::new("index", "Add", &["ra", "wb"], &["i"]))
    };
    let pairs = |f: fn(i32, i32) -> i32| -> Vec<i32> {
        (0..65_536).map(|i| f(i / 256 - 128, i % 256)).collect()
    };
    vec![
        moved("rows, counted from both ends")
            .int64s("at", &[1, -2])
            .gives(int8, &[2, 3], &[-4, -5, -6, 1, 2, 3]),
        moved("columns, one twice")
            .attribute("axis", Attribute::Int(-1))
            .ints("at", int32, &[1, 3], &[2, 2, 0])
            .gives(int8, &[2, 1, 3], &[3, 3, 1, -6, -6, -4]),
        moved("a scalar index drops the axis")
            .attribute("axis", Attribute::Int(1))
            .ints("at", int32, &[], &[1])
            .gives(int8, &[2], &[2, -5]),
        one(
            "a clamp as a table",
            (0..256).map(|x| x.clamp(100, 200)).collect(),
        )
        .gives(uint8, &[4], &[100, 127, 128, 200]),
        one(
            "no order in the table",
            (0..256).map(|x| x * x % 251).collect(),
        )
        .gives(
            uint8,
            &[4],
            // 127² = 16129 = 64·251 + 65, 128² = 16384 = 65·251 + 69, 255² = 65025 = 259·251 + 16
            &[0, 65, 69, 16],
        ),
        // ⌊(2a + b) / 4⌋, saturated: (−256 + 0)/4 = −64, (−256 + 3)/4 = −63.25, −0.25; 50, 50.75,
        // 113.75.
        two(
            "a sum of two tensors",
            pairs(|a, b| (2 * a + b).div_euclid(4).clamp(-64, 100)),
        )
        .gives(int8, &[2, 3], &[-64, -64, -1, 50, 50, 100]),
        // a·(b − 3) / 256, rounded down: −128·−3 = 384, 0, −128·252 = −32256; −300, 0, 25200.
        two(
            "a product of two tensors",
            pairs(|a, b| (a * (b - 3)).div_euclid(256)),
        )
        .gives(int8, &[2, 3], &[1, 0, -126, -2, 0, 98]),
        Vector::new("a table that is too short", &SPEC, &["table", "w"])
            .input("x", uint8, &[1], &[0])
            .ints("table", uint8, &[255], &[1; 255])
            .after(wide("x", "w"))
            .refused("may leave the table of 255"),
        two(
            "neither a sum nor a product",
            pairs(|a, b| (a & 127) ^ (b / 2)),
        )
        .refused("no staircase"),
        moved("an index outside")
            .int64s("at", &[2])
            .refused("index 2 into a dimension of 2"),
        Vector::new("8-bit indices", &SPEC, &["table", "x"])
            .input("x", uint8, &[1], &[0])
            .ints("table", uint8, &[256], &[0; 256])
            .refused("uint8 indices"),
    ]
}
