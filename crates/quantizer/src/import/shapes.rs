//! What the single movers do: shapes and constants of `Slice`, `Split`, `Pad`, `Expand`, `Gather`,
//! `Tile`, `Resize`, `DepthToSpace`, `SpaceToDepth` and the pools that take a largest element.

use proofmark_onnx::{Attribute, Node, Tensor, TensorData};
use proofmark_types::{ElemType, IntTensor};

use super::Importer;
use super::cut::Cut;
use super::movers::{Move, Stored};
use super::value::Grid;
use crate::emit::ints;
use crate::num::{f32_of_i64, i64_of_dim, round_to};
use crate::read::{Constants, Stop, axis_of, check_shape, only_attributes, refuse};
use crate::window::{Image, Window};

fn int64s(values: &[i64]) -> Tensor {
    Tensor {
        shape: vec![values.len()],
        data: TensorData::Int64(values.to_vec()),
    }
}

fn dims(values: &[usize]) -> Vec<i64> {
    values.iter().map(|&value| i64_of_dim(value)).collect()
}

/// A list that newer operator sets take as an input and older ones as an attribute.
fn list(
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
fn gathered(shape: &[usize], axis: usize, indices: &[usize]) -> Move {
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

/// The integer of a padding value.
fn padding(
    cx: &impl Constants,
    node: &Node,
    stored: Stored,
) -> Result<Option<(ElemType, i32)>, Stop> {
    let constant = cx.constant(node, 2)?;
    let one = |ok: bool| {
        if ok {
            return Ok(());
        }
        Err(refuse(
            "its padding value is no scalar of its input's type",
            "pad with one value of the input's type",
        ))
    };
    let float = match constant {
        Some(tensor) => tensor.floats().and_then(|v| <[f32; 1]>::try_from(v).ok()),
        None => node.attr_float("value")?.map(|value| [value]),
    };
    match stored {
        Stored::Later => {
            one(constant.is_none() || float.is_some())?;
            Ok(None)
        }
        Stored::Int(elem) => {
            let Some(tensor) = constant else {
                one(float.is_none() || float == Some([0.0]))?;
                return Ok(Some((elem, 0)));
            };
            let value = tensor.ints().filter(|t| t.elem() == elem && t.len() == 1);
            one(value.is_some())?;
            let value = value.and_then(|t| t.data().first().copied());
            Ok(Some((elem, value.unwrap_or_default())))
        }
        Stored::Shown(elem, grid) => {
            one(constant.is_none() || float.is_some())?;
            let [value] = float.unwrap_or([0.0]);
            on_grid(value, elem, grid).map(|value| Some((elem, value)))
        }
    }
}

/// The integer that stands for a float; refused where there is none.
fn on_grid(value: f32, elem: ElemType, grid: Grid) -> Result<i32, Stop> {
    let steps = f64::from((value / grid.scale).round_ties_even());
    let at = round_to(steps + f64::from(grid.zero_point), elem.min(), elem.max());
    let shown = grid.scale * f32_of_i64(i64::from(at - grid.zero_point));
    if value.is_finite() && shown.to_bits() == (value + 0.0).to_bits() {
        return Ok(at);
    }
    Err(refuse(
        format!(
            "it pads with {value}, which {elem} of scale {} and zero point {} does not hold",
            grid.scale, grid.zero_point
        ),
        "pad with 0 or with a value of the quantized grid",
    ))
}

pub(super) fn pad(
    cx: &impl Constants,
    node: &Node,
    shape: &[usize],
    stored: Stored,
) -> Result<Move, Stop> {
    only_attributes(node, &["mode", "pads", "value"])?;
    let mode = node.attr_string("mode")?.unwrap_or("constant").to_owned();
    if !["constant", "edge", "reflect"].contains(&mode.as_str()) {
        return Err(refuse(
            format!("mode {mode:?} is not supported"),
            "pad with mode constant, edge or reflect",
        ));
    }
    let rank = shape.len();
    let given = list(cx, node, "pads", 1)?
        .ok_or_else(|| refuse("its pads are missing", "give constant pads"))?;
    let axes = match list(cx, node, "axes", 3)? {
        Some(axes) => axes
            .iter()
            .map(|&axis| axis_of(axis, rank))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).collect(),
    };
    let wrong = || {
        refuse(
            format!("pads {given:?} of shape {shape:?}"),
            "give a begin and an end of at least 0 for each dimension; crop with Slice; reflect less than the dimension",
        )
    };
    let sizes: Option<Vec<usize>> = given.iter().map(|&v| usize::try_from(v).ok()).collect();
    let sizes = sizes
        .filter(|sizes| sizes.len() == 2 * axes.len())
        .ok_or_else(wrong)?;
    let mut pads = vec![0; 2 * rank];
    let mut target = shape.to_vec();
    for (at, &axis) in axes.iter().enumerate() {
        let (begin, end) = (sizes[at], sizes[at + axes.len()]);
        let dim = shape[axis];
        if mode == "reflect" && begin.max(end) >= dim || begin.max(end) > 1 << 24 {
            return Err(wrong());
        }
        (pads[axis], pads[axis + rank]) = (begin, end);
        target[axis] = dim + begin + end;
    }
    check_shape(&target)?;
    let constant = mode == "constant";
    let made = Node::new("", "Pad", &[], &[]).with("mode", Attribute::String(mode));
    let mut made = Move::new(made, target);
    made.constants = vec![("pads", int64s(&dims(&pads)))];
    if constant && let Some((elem, value)) = padding(cx, node, stored)? {
        let value = ints(elem, Vec::new(), vec![value])
            .map_err(|error| refuse(error.to_string(), "report this model"))?;
        made.constants.push(("value", value));
    }
    Ok(made)
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

/// `MaxPool` and `GlobalMaxPool` of 8 bits; padding never wins.
pub(super) fn max_pool(node: &Node, shape: &[usize], stored: Stored) -> Result<Vec<Move>, Stop> {
    only_8_bits(stored)?;
    if node.op_type == "GlobalMaxPool" {
        only_attributes(node, &[])?;
        let axes: Vec<usize> = (2..shape.len()).collect();
        return reduce_max(shape, &axes, true);
    }
    only_attributes(
        node,
        &[
            "auto_pad",
            "ceil_mode",
            "dilations",
            "kernel_shape",
            "pads",
            "storage_order",
            "strides",
        ],
    )?;
    if node.output(1).is_some() {
        return Err(refuse(
            "its second output, the indices, is used",
            "use the values only",
        ));
    }
    let image = Image::of(shape)?;
    let window = Window::pool(node, &image)?;
    let size = window.sized(image.size)?;
    let made = window.attributes(Node::new("", "MaxPool", &[], &[]));
    Ok(vec![Move::new(made, image.shape(image.channels, size))])
}

fn only_8_bits(stored: Stored) -> Result<(), Stop> {
    match stored {
        Stored::Int(elem) | Stored::Shown(elem, _) if elem.bits() != 8 => Err(refuse(
            "a largest element of int32",
            "requantize to 8 bits first",
        )),
        _ => Ok(()),
    }
}

/// The largest element over dimensions, as a pool over all of them.
fn reduce_max(shape: &[usize], axes: &[usize], keep: bool) -> Result<Vec<Move>, Stop> {
    let kept: Vec<usize> = (0..shape.len())
        .filter(|axis| !axes.contains(axis))
        .collect();
    let size = |axes: &[usize]| axes.iter().map(|&axis| shape[axis]).product::<usize>();
    let perm = [kept.as_slice(), axes].concat();
    let mut chain = Vec::new();
    if !perm.is_sorted() {
        let turned = perm.iter().map(|&axis| shape[axis]).collect();
        let node = Node::new("", "Transpose", &[], &[]).with("perm", Attribute::Ints(dims(&perm)));
        chain.push(Move::new(node, turned));
    }
    let rows = vec![1, size(&kept), size(axes)];
    chain.push(Move::reshape(rows.clone()));
    let pool = Node::new("", "MaxPool", &[], &[])
        .with("kernel_shape", Attribute::Ints(vec![i64_of_dim(rows[2])]));
    chain.push(Move::new(pool, vec![1, rows[1], 1]));
    let target = (0..shape.len()).filter_map(|axis| {
        if axes.contains(&axis) {
            keep.then_some(1)
        } else {
            Some(shape[axis])
        }
    });
    chain.push(Move::reshape(target.collect()));
    Ok(chain)
}

impl Importer<'_> {
    /// `ReduceMax` of 8 bits.
    pub(super) fn reduce_max(
        &self,
        node: &Node,
        shape: &[usize],
        stored: Stored,
    ) -> Result<Vec<Move>, Stop> {
        only_8_bits(stored)?;
        let (axes, keep) = self.reduced_axes(node, shape.len())?;
        reduce_max(shape, &axes, keep)
    }

    /// `Resize` and `Upsample` with mode nearest: the runtime says which element each output is,
    /// and the canonical model gathers it.
    pub(super) fn resize(&self, node: &Node, shape: &[usize]) -> Result<Vec<Move>, Stop> {
        let mode = node.attr_string("mode")?.unwrap_or("nearest");
        let crop = node.attr_string("coordinate_transformation_mode")?;
        if mode != "nearest" || crop == Some("tf_crop_and_resize") {
            return Err(refuse(
                format!("mode {mode:?} with {crop:?} computes new values"),
                "export with mode nearest; replace other modes by a transposed convolution",
            ));
        }
        let count: usize = shape.iter().product();
        let numbers = (0..count)
            .map(|at| i32::try_from(at).unwrap_or(i32::MAX))
            .collect();
        let feed = IntTensor::new(ElemType::Int32, shape.to_vec(), numbers);
        let feed = feed.map_err(|error| refuse(error.to_string(), "report this model"))?;
        let mut alone = node.clone();
        let name = super::cut::own_name("resized", 0);
        if let Some(input) = alone.inputs.first_mut() {
            input.clone_from(&name);
        }
        let cut = Cut {
            inputs: vec![(name, ElemType::Int32)],
            nodes: vec![alone],
            ..Cut::default()
        };
        let made = self.run_cut(&cut, &[feed], ElemType::Int32)?;
        check_shape(made.shape())?;
        let apart = separate(shape, made.shape(), made.data()).ok_or_else(|| {
            refuse(
                "its outputs are no grid of its inputs",
                "export with mode nearest",
            )
        })?;
        let mut chain = Vec::new();
        let mut current = shape.to_vec();
        for (axis, indices) in apart.iter().enumerate() {
            if !indices.iter().copied().eq(0..shape[axis]) {
                chain.push(gathered(&current, axis, indices));
                current[axis] = indices.len();
            }
        }
        Ok(chain)
    }
}

/// For each dimension the input index of each output index, where flat input positions `data` of
/// the outputs are made of such.
fn separate(from: &[usize], to: &[usize], data: &[i32]) -> Option<Vec<Vec<usize>>> {
    if from.len() != to.len() {
        return None;
    }
    let strides = |shape: &[usize]| -> Vec<usize> {
        (0..shape.len())
            .map(|axis| shape[axis + 1..].iter().product())
            .collect()
    };
    let (inner, outer) = (strides(from), strides(to));
    let source = |at: usize| usize::try_from(*data.get(at)?).ok();
    let mut apart = Vec::with_capacity(to.len());
    for axis in 0..to.len() {
        let each =
            (0..to[axis]).map(|at| Some(source(at * outer[axis])? / inner[axis] % from[axis]));
        apart.push(each.collect::<Option<Vec<usize>>>()?);
    }
    let composed = |at: usize| -> usize {
        let along = |axis: usize| apart[axis][at / outer[axis] % to[axis]] * inner[axis];
        (0..to.len()).map(along).sum()
    };
    (0..data.len())
        .all(|at| source(at) == Some(composed(at)))
        .then_some(apart)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Default)]
    struct Stored0(BTreeMap<String, Tensor>);

    impl Constants for Stored0 {
        fn constant(&self, node: &Node, position: usize) -> Result<Option<&Tensor>, Stop> {
            Ok(node.input(position).and_then(|name| self.0.get(name)))
        }
    }

    impl Stored0 {
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
        let cx = Stored0::default().with("s", &[1, -1]).with("e", &[3, -9]);
        let cx = cx.with("a", &[-1, 0]).with("t", &[1, -2]);
        let node = Node::new("n", "Slice", &["x", "s", "e", "a", "t"], &["y"]);
        let made = slice(&cx, &node, &[5, 4]).unwrap();
        assert_eq!(made.shape, [3, 2]);
        assert_eq!(values(&made, "starts"), [1, 4]);
        assert_eq!(values(&made, "ends"), [3, -6]);
        assert_eq!(values(&made, "steps"), [1, -2]);
        let cx = Stored0::default().with("s", &[3]).with("e", &[3]);
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
            let made = split(&Stored0::default(), &node, &[1, dim]).ok()?;
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
    fn padding_values_lie_on_the_grid() {
        let grid = Grid {
            scale: 0.1,
            zero_point: 12,
        };
        assert_eq!(on_grid(0.0, ElemType::Uint8, grid).ok(), Some(12));
        assert_eq!(on_grid(-0.0, ElemType::Uint8, grid).ok(), Some(12));
        assert_eq!(on_grid(0.1 * 7.0, ElemType::Uint8, grid).ok(), Some(19));
        assert!(on_grid(0.75, ElemType::Uint8, grid).is_err());
        assert!(on_grid(-2.0, ElemType::Uint8, grid).is_err());
        assert!(on_grid(f32::NEG_INFINITY, ElemType::Int8, grid).is_err());
        assert!(on_grid(f32::NAN, ElemType::Int8, grid).is_err());
    }

    #[test]
    fn grids_of_inputs_come_apart() {
        // Rows 1, 0, 1 and columns 0, 2 of a 2×3 tensor.
        let apart = separate(&[2, 3], &[3, 2], &[3, 5, 0, 2, 3, 5]).unwrap();
        assert_eq!(apart, [vec![1, 0, 1], vec![0, 2]]);
        assert!(separate(&[2, 3], &[3, 2], &[3, 5, 0, 1, 3, 5]).is_none());
        assert!(separate(&[2, 3], &[2], &[3, 5]).is_none());
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
        let cx = Stored0::default().with("r", &[1, 2]);
        let made = tile(&cx, &Node::new("n", "Tile", &["x", "r"], &["y"]), &[2, 3]).unwrap();
        assert_eq!(values(&made[0], "indices"), [0, 1, 2, 0, 1, 2]);
    }

    use crate::graphs::list as attribute;
    use crate::import::small::{BOTH, Small};

    /// A mover: its operator, the input's shape, attributes, and int64 inputs behind the data.
    type Case<'c> = (
        &'c str,
        &'c [usize],
        Vec<(&'c str, Attribute)>,
        Vec<&'c [i64]>,
    );

    fn cases() -> Vec<Case<'static>> {
        let text = |text: &str| Attribute::String(text.to_owned());
        let int = Attribute::Int;
        let mut cases: Vec<Case<'static>> = vec![
            (
                "Slice",
                &[1, 3, 7],
                vec![],
                vec![&[0, 6], &[2, -8], &[1, 2], &[1, -2]],
            ),
            ("Slice", &[1, 9], vec![], vec![&[-4], &[i64::MAX], &[-1]]),
            (
                "Pad",
                &[1, 2, 3, 3],
                vec![],
                vec![&[0, 0, 1, 2, 0, 1, 0, 1]],
            ),
            (
                "Pad",
                &[1, 2, 3, 4],
                vec![("mode", text("reflect"))],
                vec![&[0, 0, 1, 2, 0, 0, 2, 3]],
            ),
            (
                "Pad",
                &[1, 2, 3, 4],
                vec![("mode", text("edge"))],
                vec![&[0, 1, 0, 0, 0, 0, 2, 5]],
            ),
            ("Expand", &[1, 3, 1], vec![], vec![&[2, 1, 4]]),
            (
                "Gather",
                &[1, 5, 2],
                vec![("axis", int(1))],
                vec![&[4, -5, 1, 1]],
            ),
            ("Tile", &[1, 2, 3], vec![], vec![&[1, 2, 3]]),
            (
                "DepthToSpace",
                &[1, 8, 2, 3],
                vec![("blocksize", int(2))],
                vec![],
            ),
            (
                "DepthToSpace",
                &[1, 4, 3, 1],
                vec![("blocksize", int(2)), ("mode", text("CRD"))],
                vec![],
            ),
            (
                "SpaceToDepth",
                &[1, 2, 4, 6],
                vec![("blocksize", int(2))],
                vec![],
            ),
            ("Reshape", &[1, 4, 6], vec![], vec![&[0, -1, 3]]),
            (
                "Reshape",
                &[1, 4, 6],
                vec![("allowzero", int(1))],
                vec![&[1, 24]],
            ),
            ("Flatten", &[1, 4, 6], vec![("axis", int(-1))], vec![]),
            ("Squeeze", &[1, 4, 1, 6], vec![], vec![&[-2]]),
            ("Unsqueeze", &[1, 4], vec![], vec![&[1, -1]]),
            (
                "Transpose",
                &[1, 4, 2],
                vec![("perm", attribute(&[2, 0, 1]))],
                vec![],
            ),
            ("Transpose", &[1, 4, 2], vec![], vec![]),
            ("Identity", &[1, 4], vec![], vec![]),
            (
                "MaxPool",
                &[1, 2, 6, 5],
                vec![
                    ("kernel_shape", attribute(&[3, 2])),
                    ("strides", attribute(&[2, 2])),
                    ("ceil_mode", int(1)),
                ],
                vec![],
            ),
            (
                "MaxPool",
                &[1, 2, 9],
                vec![
                    ("kernel_shape", attribute(&[3])),
                    ("dilations", attribute(&[2])),
                    ("pads", attribute(&[2, 1])),
                ],
                vec![],
            ),
            (
                "MaxPool",
                &[1, 2, 7, 7],
                vec![
                    ("kernel_shape", attribute(&[3, 3])),
                    ("strides", attribute(&[2, 3])),
                    ("auto_pad", text("SAME_LOWER")),
                    ("storage_order", int(1)),
                ],
                vec![],
            ),
            (
                "ReduceMax",
                &[1, 4, 3, 5],
                vec![("axes", attribute(&[1, 3])), ("keepdims", int(0))],
                vec![],
            ),
        ];
        for how in [
            "asymmetric",
            "half_pixel",
            "pytorch_half_pixel",
            "align_corners",
        ] {
            for round in ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"] {
                let attributes = vec![
                    ("mode", text("nearest")),
                    ("coordinate_transformation_mode", text(how)),
                    ("nearest_mode", text(round)),
                ];
                cases.push(("Resize", &[1, 2, 5, 3], attributes, vec![&[1, 2, 11, 7]]));
            }
        }
        cases
    }

    fn small(elem: ElemType, (_, shape, _, lists): &Case<'_>) -> (Small, Vec<String>) {
        let mut small = Small::new(elem, &[shape]);
        let mut names = Vec::new();
        for (at, values) in lists.iter().enumerate() {
            names.push(format!("c{at}"));
            small.ints(&format!("c{at}"), values);
        }
        small.grid("x", 0.07, elem.min() + 31, elem);
        (small, names)
    }

    /// The node's inputs; `Resize` takes its sizes last.
    fn inputs<'n>(op_type: &str, data: &'n str, names: &'n [String]) -> Vec<&'n str> {
        let gap: &[&str] = if op_type == "Resize" { &["", ""] } else { &[] };
        let mut inputs = vec![data];
        inputs.extend(gap);
        inputs.extend(names.iter().map(String::as_str));
        inputs
    }

    #[test]
    fn movers_keep_every_integer() {
        for elem in BOTH {
            for case in cases() {
                let op_type = case.0;
                // On integers; where nothing moves there is nothing to prove.
                let (mut bare, names) = small(elem, &case);
                bare.node(op_type, &inputs(op_type, "q0", &names), &["y"], &case.2);
                bare.output("y", elem);
                if op_type == "Identity" {
                    assert!(bare.refused()[0].contains("input of the model"));
                } else {
                    bare.exact(30);
                }
                // On what they show, to the same grid, and to another one in the other type.
                let (mut same, names) = small(elem, &case);
                same.show("q0", "x", "d");
                same.node(op_type, &inputs(op_type, "d", &names), &["m"], &case.2);
                same.quantize("m", "x", "y").output("y", elem);
                if op_type != "Identity" {
                    same.exact(30);
                }
                let other = BOTH[usize::from(elem == ElemType::Uint8)];
                let (mut apart, names) = small(elem, &case);
                apart
                    .grid("y", 0.031, other.min() + 77, other)
                    .show("q0", "x", "d");
                apart.node(op_type, &inputs(op_type, "d", &names), &["m"], &case.2);
                apart.quantize("m", "y", "y").output("y", other);
                apart.exact(30);
            }
        }
    }

    #[test]
    fn parts_of_a_split_go_their_own_ways() {
        for elem in BOTH {
            let mut small = Small::new(elem, &[&[1, 7, 2]]).opset(18);
            small
                .grid("x", 0.07, elem.min() + 31, elem)
                .grid("y", 0.11, elem.min() + 3, elem);
            let attributes = [
                ("axis", Attribute::Int(1)),
                ("num_outputs", Attribute::Int(3)),
            ];
            small
                .show("q0", "x", "d")
                .node("Split", &["d"], &["a", "b", "c"], &attributes);
            small.quantize("a", "x", "ya").output("ya", elem);
            small.quantize("b", "y", "yb").output("yb", elem);
            small.quantize("c", "x", "yc").output("yc", elem);
            small.exact(40);
            let mut small = Small::new(elem, &[&[1, 7, 2]]);
            small.ints("sizes", &[2, 5]);
            let axis = [("axis", Attribute::Int(1))];
            small.node("Split", &["q0", "sizes"], &["a", "b"], &axis);
            small.output("b", elem).output("a", elem).exact(40);
        }
    }

    #[test]
    fn padding_brings_its_own_integers() {
        for elem in BOTH {
            let mut small = Small::new(elem, &[&[1, 4]]);
            small
                .ints("p", &[0, 1, 0, 2])
                .bytes("v", elem, &[], &[elem.min() + 5]);
            small
                .node("Pad", &["q0", "p", "v"], &["y"], &[])
                .output("y", elem);
            small.exact(30);
            let mut small = Small::new(elem, &[&[1, 4]]);
            small
                .grid("x", 0.5, elem.min() + 7, elem)
                .ints("p", &[0, 1, 0, 2]);
            small.floats("v", &[], &[10.5]).show("q0", "x", "d");
            small.node("Pad", &["d", "p", "v"], &["m"], &[]);
            small.quantize("m", "x", "y").output("y", elem);
            small.exact(30);
            small.floats("v", &[], &[10.6]);
            assert!(small.refused()[0].contains("does not hold"));
        }
    }

    #[test]
    fn what_moves_nothing_is_refused() {
        let u8s = ElemType::Uint8;
        let text = |text: &str| Attribute::String(text.to_owned());
        for (case, part) in [
            (
                (
                    "Resize",
                    &[1, 1, 3, 3][..],
                    vec![("mode", text("linear"))],
                    vec![&[1, 1, 6, 6][..]],
                ),
                "linear",
            ),
            (
                (
                    "Pad",
                    &[1, 3],
                    vec![("mode", text("wrap"))],
                    vec![&[0, 1, 0, 1]],
                ),
                "wrap",
            ),
            (("Pad", &[1, 3], vec![], vec![&[0, -1, 0, 1]]), "pads"),
            (
                ("Slice", &[1, 3], vec![], vec![&[3], &[3], &[1]]),
                "takes nothing",
            ),
            (
                (
                    "Gather",
                    &[1, 3],
                    vec![("axis", Attribute::Int(1))],
                    vec![&[3]],
                ),
                "3",
            ),
            (("Reshape", &[1, 3], vec![], vec![&[2, 2]]), "cannot become"),
            (
                ("Expand", &[1, 3], vec![], vec![&[1, 4]]),
                "do not broadcast",
            ),
            (
                (
                    "DepthToSpace",
                    &[1, 3, 2, 2],
                    vec![("blocksize", Attribute::Int(2))],
                    vec![],
                ),
                "blocks",
            ),
        ] {
            let (mut small, names) = small(u8s, &case);
            small
                .node(case.0, &inputs(case.0, "q0", &names), &["y"], &case.2)
                .output("y", u8s);
            let reason = small.refused().join("; ");
            assert!(reason.contains(part), "{}: {reason}", case.0);
        }
    }
}
