//! What the single movers do: shapes and constants of `Slice`, `Split`, `Expand`, `Gather`, `Tile`,
//! `DepthToSpace` and `SpaceToDepth`.

use proofmark_onnx::{Attribute, Node, Tensor, TensorData};
use proofmark_types::ElemType;

use super::movers::{Move, Stored};
use crate::num::i64_of_dim;
use crate::read::{Constants, Stop, axis_of, check_shape, only_attributes, refuse};

/// A list of int64.
pub(super) fn int64s(values: &[i64]) -> Tensor {
    Tensor {
        shape: vec![values.len()],
        data: TensorData::Int64(values.to_vec()),
    }
}

/// Sizes as ONNX writes them.
pub(super) fn dims(values: &[usize]) -> Vec<i64> {
    values.iter().map(|&value| i64_of_dim(value)).collect()
}

/// A list that newer operator sets take as an input and older ones as an attribute.
pub(super) fn list(
    cx: &impl Constants,
    node: &Node,
    name: &str,
    position: usize,
) -> Result<Option<Vec<i64>>, Stop> {
    if let Some(values) = node.attr_ints(name)? {
        return Ok(Some(values.to_vec()));
    }
    // Indices are int32 in some files.
    if let Some(ints) = cx.constant(node, position)?.and_then(Tensor::ints) {
        return Ok(Some(ints.data().iter().map(|&v| v.into()).collect()));
    }
    cx.int64s(node, position)
}

/// What a `Slice` takes along one dimension: the first index, how many, and the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Taken {
    start: i64,
    count: usize,
    step: i64,
}

impl Taken {
    /// ONNX's clamping: of `start` to the dimension, of `end` to it or to the place before it.
    fn of(dim: usize, start: i64, end: i64, step: i64) -> Option<Self> {
        let size = i64_of_dim(dim);
        let inside = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
        let (start, end) = (inside(start), inside(end));
        let (start, end) = if step > 0 {
            (start.clamp(0, size), end.clamp(0, size))
        } else {
            (
                start.clamp(0, (size - 1).max(0)),
                end.clamp(-1, (size - 1).max(-1)),
            )
        };
        let count = if step > 0 {
            (end - start)
                .max(0)
                .checked_add(step - 1)?
                .checked_div(step)?
        } else {
            let back = step.checked_neg().filter(|&back| back > 0)?;
            (start - end)
                .max(0)
                .checked_add(back - 1)?
                .checked_div(back)?
        };
        Some(Self {
            start,
            count: usize::try_from(count).ok()?,
            step,
        })
    }

    /// The end that leads to as many elements; one before the first is written from the back.
    fn end(&self, dim: usize) -> i64 {
        let past = self.start + self.step * i64_of_dim(self.count);
        if self.step > 0 {
            past.min(i64_of_dim(dim))
        } else if past < 0 {
            -i64_of_dim(dim) - 1
        } else {
            past
        }
    }
}

/// A `Slice` with positive starts, in one canonical form.
fn sliced(shape: &[usize], taken: &[(usize, Taken)]) -> Move {
    let mut target = shape.to_vec();
    for &(axis, each) in taken {
        if let Some(dim) = target.get_mut(axis) {
            *dim = each.count;
        }
    }
    let each = |value: &dyn Fn(usize, Taken) -> i64| {
        let values: Vec<i64> = taken
            .iter()
            .map(|&(axis, taken)| value(axis, taken))
            .collect();
        int64s(&values)
    };
    let mut made = Move::new(Node::new("", "Slice", &[], &[]), target);
    made.constants = vec![
        ("starts", each(&|_, taken| taken.start)),
        (
            "ends",
            each(&|axis, taken| taken.end(shape.get(axis).copied().unwrap_or_default())),
        ),
        ("axes", each(&|axis, _| i64_of_dim(axis))),
    ];
    if taken.iter().any(|(_, taken)| taken.step != 1) {
        made.constants.push(("steps", each(&|_, taken| taken.step)));
    }
    made
}

/// Elements along one dimension.
pub(super) fn gathered(shape: &[usize], axis: usize, indices: &[usize]) -> Move {
    let mut target = shape.to_vec();
    if let Some(dim) = target.get_mut(axis) {
        *dim = indices.len();
    }
    let node = Node::new("", "Gather", &[], &[]).with("axis", Attribute::Int(i64_of_dim(axis)));
    let mut made = Move::new(node, target);
    made.constants = vec![("indices", int64s(&dims(indices)))];
    made
}

pub(super) fn slice(cx: &impl Constants, node: &Node, shape: &[usize]) -> Result<Move, Stop> {
    only_attributes(node, &["axes", "ends", "starts"])?;
    let missing = |what: &str| refuse(format!("its {what} are missing"), format!("give {what}"));
    let starts = list(cx, node, "starts", 1)?.ok_or_else(|| missing("starts"))?;
    let ends = list(cx, node, "ends", 2)?.ok_or_else(|| missing("ends"))?;
    let axes = match list(cx, node, "axes", 3)? {
        Some(axes) => axes,
        None => dims(&(0..starts.len()).collect::<Vec<_>>()),
    };
    let steps = list(cx, node, "steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()]
        .iter()
        .any(|&len| len != starts.len())
    {
        return Err(refuse(
            "starts, ends, axes and steps differ in length",
            "give as many of each",
        ));
    }
    let mut taken: Vec<(usize, Taken)> = Vec::with_capacity(axes.len());
    for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let axis = axis_of(axis, shape.len())?;
        if taken.iter().any(|&(known, _)| known == axis) {
            return Err(refuse(
                format!("axis {axis} repeats"),
                "name each axis once",
            ));
        }
        let dim = shape.get(axis).copied().unwrap_or_default();
        let each = Taken::of(dim, start, end, step).filter(|each| each.count > 0);
        let each = each.ok_or_else(|| {
            refuse(
                format!("{start} to {end} by {step} takes nothing of a dimension of {dim}"),
                "take at least one element, with a step other than 0",
            )
        })?;
        taken.push((axis, each));
    }
    Ok(sliced(shape, &taken))
}

pub(super) fn split(cx: &impl Constants, node: &Node, shape: &[usize]) -> Result<Vec<Move>, Stop> {
    only_attributes(node, &["axis", "num_outputs", "split"])?;
    let axis = axis_of(node.attr_int("axis")?.unwrap_or(0), shape.len())?;
    let dim = shape.get(axis).copied().unwrap_or_default();
    let parts = node.outputs.len();
    let sizes = match list(cx, node, "split", 1)? {
        Some(sizes) => sizes,
        // Equal parts; the last one is smaller where `num_outputs` says how many there are.
        None if node.attr_int("num_outputs")?.is_some() || dim.is_multiple_of(parts.max(1)) => {
            let each = dim.div_ceil(parts.max(1));
            let of = |part: usize| dim.saturating_sub(part * each).min(each);
            dims(&(0..parts).map(of).collect::<Vec<_>>())
        }
        None => Vec::new(),
    };
    let sizes: Option<Vec<usize>> = sizes.iter().map(|&v| usize::try_from(v).ok()).collect();
    let sizes = sizes.filter(|sizes| {
        sizes.len() == parts && sizes.iter().sum::<usize>() == dim && !sizes.contains(&0)
    });
    let sizes = sizes.ok_or_else(|| {
        refuse(
            format!("a dimension of {dim} is not split into {parts} parts"),
            "give the sizes of the parts, none of them 0, one for each output",
        )
    })?;
    let mut start = 0;
    let each = sizes.iter().map(|&count| {
        let taken = Taken {
            start: i64_of_dim(start),
            count,
            step: 1,
        };
        start += count;
        sliced(shape, &[(axis, taken)])
    });
    Ok(each.collect())
}

pub(super) fn expand(cx: &impl Constants, node: &Node, shape: &[usize]) -> Result<Move, Stop> {
    only_attributes(node, &[])?;
    let wanted = list(cx, node, "shape", 1)?
        .ok_or_else(|| refuse("its shape is missing", "give a constant shape"))?;
    let wanted: Option<Vec<usize>> = wanted.iter().map(|&v| usize::try_from(v).ok()).collect();
    let wanted = wanted
        .ok_or_else(|| refuse("its shape has a negative dimension", "give a static shape"))?;
    let target = super::sum::broadcast(&[shape.to_vec(), wanted])?;
    let mut made = Move::new(Node::new("", "Expand", &[], &[]), target);
    made.constants = vec![("shape", int64s(&dims(&made.shape)))];
    Ok(made)
}

/// `Gather` of a computed tensor at constant indices.
pub(super) fn gather(cx: &impl Constants, node: &Node, shape: &[usize]) -> Result<Move, Stop> {
    only_attributes(node, &["axis"])?;
    let axis = axis_of(node.attr_int("axis")?.unwrap_or(0), shape.len())?;
    let dim = shape.get(axis).copied().unwrap_or_default();
    let indices = list(cx, node, "indices", 1)?;
    let index_shape = cx.constant(node, 1)?.map(|tensor| tensor.shape.clone());
    let (Some(indices), Some(index_shape)) = (indices, index_shape) else {
        return Err(refuse("its indices are missing", "give constant indices"));
    };
    let indices = indices
        .iter()
        .map(|&index| axis_of(index, dim).map(i64_of_dim))
        .collect::<Result<Vec<i64>, _>>()?;
    let target = [&shape[..axis], &index_shape, &shape[axis + 1..]].concat();
    check_shape(&target)?;
    let made = Node::new("", "Gather", &[], &[]).with("axis", Attribute::Int(i64_of_dim(axis)));
    let mut made = Move::new(made, target);
    let stored = Tensor {
        shape: index_shape,
        data: TensorData::Int64(indices),
    };
    made.constants = vec![("indices", stored)];
    Ok(made)
}

pub(super) fn tile(cx: &impl Constants, node: &Node, shape: &[usize]) -> Result<Vec<Move>, Stop> {
    only_attributes(node, &[])?;
    let repeats = list(cx, node, "repeats", 1)?.unwrap_or_default();
    let repeats: Option<Vec<usize>> = repeats.iter().map(|&v| usize::try_from(v).ok()).collect();
    let repeats = repeats.filter(|repeats| {
        repeats.len() == shape.len() && repeats.iter().all(|repeat| (1..1 << 24).contains(repeat))
    });
    let repeats = repeats.ok_or_else(|| {
        refuse(
            "its repeats are no constant of at least 1 for each dimension",
            "give constant repeats",
        )
    })?;
    let mut chain: Vec<Move> = Vec::new();
    let mut current = shape.to_vec();
    for (axis, (&repeat, &dim)) in repeats.iter().zip(shape).enumerate() {
        if repeat > 1 {
            let mut wide = current.clone();
            wide[axis] = dim * repeat;
            check_shape(&wide)?;
            let indices: Vec<usize> = (0..dim * repeat).map(|at| at % dim).collect();
            chain.push(gathered(&current, axis, &indices));
            current = wide;
        }
    }
    Ok(chain)
}

/// `DepthToSpace` and `SpaceToDepth`.
pub(super) fn blocks(node: &Node, shape: &[usize], stored: Stored) -> Result<Move, Stop> {
    let to_space = node.op_type == "DepthToSpace";
    only_attributes(
        node,
        if to_space {
            &["blocksize", "mode"]
        } else {
            &["blocksize"]
        },
    )?;
    let size = node
        .attr_int("blocksize")?
        .and_then(|size| usize::try_from(size).ok());
    let size = size
        .filter(|size| (1..1 << 12).contains(size))
        .ok_or_else(|| {
            refuse(
                "its blocksize is missing or below 1",
                "give a blocksize of at least 1",
            )
        })?;
    let mode = node.attr_string("mode")?.unwrap_or("DCR").to_owned();
    let wrong = || {
        refuse(
            format!("blocks of {size} in shape {shape:?} and mode {mode:?}"),
            "use [batch, channels, height, width] with dimensions that are multiples of the blocks",
        )
    };
    let &[batch, channels, height, width] = shape else {
        return Err(wrong());
    };
    if stored == Stored::Int(ElemType::Int32) || matches!(stored, Stored::Shown(ElemType::Int32, _))
    {
        return Err(refuse(
            "the runtime has no kernel of it for int32",
            "requantize to 8 bits first",
        ));
    }
    let area = size * size;
    let made = Node::new("", node.op_type.clone(), &[], &[])
        .with("blocksize", Attribute::Int(i64_of_dim(size)));
    if to_space {
        if !channels.is_multiple_of(area) || !["DCR", "CRD"].contains(&mode.as_str()) {
            return Err(wrong());
        }
        let shape = vec![batch, channels / area, height * size, width * size];
        return Ok(Move::new(made.with("mode", Attribute::String(mode)), shape));
    }
    if !height.is_multiple_of(size) || !width.is_multiple_of(size) {
        return Err(wrong());
    }
    Ok(Move::new(
        made,
        vec![batch, channels * area, height / size, width / size],
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Default)]
    struct Known(BTreeMap<String, Tensor>);

    impl Constants for Known {
        fn constant(&self, node: &Node, position: usize) -> Result<Option<&Tensor>, Stop> {
            Ok(node.input(position).and_then(|name| self.0.get(name)))
        }
    }

    impl Known {
        fn with(mut self, name: &str, values: &[i64]) -> Self {
            self.0.insert(name.to_owned(), int64s(values));
            self
        }
    }

    fn values(made: &Move, name: &str) -> Vec<i64> {
        let found = made.constants.iter().find(|(known, _)| *known == name);
        found.unwrap().1.int64s().unwrap().to_vec()
    }

    #[test]
    fn slices_clamp_as_the_text_says() {
        let taken = |dim, start, end, step| {
            let taken = Taken::of(dim, start, end, step)?;
            Some((taken.start, taken.count, taken.end(dim)))
        };
        assert_eq!(taken(10, 2, 8, 3), Some((2, 2, 8)));
        assert_eq!(taken(10, -3, i64::MAX, 1), Some((7, 3, 10)));
        assert_eq!(taken(10, i64::MIN, 4, 1), Some((0, 4, 4)));
        assert_eq!(taken(10, -1, i64::MIN, -1), Some((9, 10, -11)));
        assert_eq!(taken(10, 100, 2, -4), Some((9, 2, 1)));
        assert_eq!(taken(5, 3, 3, 1).unwrap().1, 0);
        assert_eq!(taken(5, 0, 5, 0), None);
        assert_eq!(taken(5, 4, 0, i64::MIN), None);
        let cx = Known::default().with("s", &[1, -1]).with("e", &[3, -9]);
        let cx = cx.with("a", &[-1, 0]).with("t", &[1, -2]);
        let node = Node::new("n", "Slice", &["x", "s", "e", "a", "t"], &["y"]);
        let made = slice(&cx, &node, &[5, 4]).unwrap();
        assert_eq!(made.shape, [3, 2]);
        assert_eq!(values(&made, "starts"), [1, 4]);
        assert_eq!(values(&made, "ends"), [3, -6]);
        assert_eq!(values(&made, "steps"), [1, -2]);
        let cx = Known::default().with("s", &[3]).with("e", &[3]);
        let node = Node::new("n", "Slice", &["x", "s", "e"], &["y"]);
        assert!(slice(&cx, &node, &[5, 4]).is_err());
    }

    #[test]
    fn splits_cover_the_dimension() {
        let of = |attribute: Option<(&str, Attribute)>, outputs: &[&str], dim| {
            let mut node = Node::new("n", "Split", &["x"], outputs);
            node = node.with("axis", Attribute::Int(1));
            if let Some((name, value)) = attribute {
                node = node.with(name, value);
            }
            let made = split(&Known::default(), &node, &[1, dim]).ok()?;
            Some(made.iter().map(|made| made.shape[1]).collect::<Vec<_>>())
        };
        assert_eq!(of(None, &["a", "b"], 6), Some(vec![3, 3]));
        assert_eq!(of(None, &["a", "b"], 7), None);
        let number = Attribute::Int(3);
        assert_eq!(
            of(Some(("num_outputs", number.clone())), &["a", "b", "c"], 7),
            Some(vec![3, 3, 1])
        );
        assert_eq!(
            of(Some(("num_outputs", number)), &["a", "b", "c"], 3),
            Some(vec![1, 1, 1])
        );
        let sizes = |v: &[i64]| Some(("split", crate::graphs::list(v)));
        assert_eq!(of(sizes(&[1, 6]), &["a", "b"], 7), Some(vec![1, 6]));
        assert_eq!(of(sizes(&[1, 5]), &["a", "b"], 7), None);
        assert_eq!(of(sizes(&[0, 7]), &["a", "b"], 7), None);
        assert_eq!(of(sizes(&[7]), &["a", "b"], 7), None);
    }

    #[test]
    fn blocks_and_tiles() {
        let node = |op: &str, size: i64| {
            Node::new("n", op, &["x"], &["y"]).with("blocksize", Attribute::Int(size))
        };
        let stored = Stored::Int(ElemType::Uint8);
        let shape = |op, size, shape: &[usize]| {
            blocks(&node(op, size), shape, stored)
                .map(|made| made.shape)
                .ok()
        };
        assert_eq!(
            shape("DepthToSpace", 2, &[1, 8, 3, 5]),
            Some(vec![1, 2, 6, 10])
        );
        assert_eq!(
            shape("SpaceToDepth", 2, &[1, 2, 6, 10]),
            Some(vec![1, 8, 3, 5])
        );
        assert_eq!(shape("DepthToSpace", 2, &[1, 6, 3, 5]), None);
        assert_eq!(shape("SpaceToDepth", 2, &[1, 2, 5, 10]), None);
        assert_eq!(shape("SpaceToDepth", 0, &[1, 2, 4, 4]), None);
        let int32 = Stored::Int(ElemType::Int32);
        assert!(blocks(&node("SpaceToDepth", 2), &[1, 2, 4, 4], int32).is_err());
        let cx = Known::default().with("r", &[1, 2]);
        let made = tile(&cx, &Node::new("n", "Tile", &["x", "r"], &["y"]), &[2, 3]).unwrap();
        assert_eq!(values(&made[0], "indices"), [0, 1, 2, 0, 1, 2]);
    }
}
