//! Folding of what is known before the model runs: weights prepared by small operators, and the
//! shape arithmetic that exporters write in front of a `Reshape`.

use proofmark_onnx::{Attribute, Node, Tensor, TensorData};
use proofmark_tensor::element_count;
use proofmark_types::IntTensor;
use proofmark_types::manifest::MAX_ELEMENTS;

use super::layout::{permutation, target};
use super::{Constants, Known, Reader, Stop, axis_of, check_shape, only_attributes, refuse};
use crate::num::{f32_of, f32_of_i64, i64_of, i64_of_dim};

/// Folds the node if all it needs is known. Whether it did.
pub(super) fn fold(cx: &mut Reader<'_>, node: &Node) -> Result<bool, Stop> {
    let folded = match node.op_type.as_str() {
        "Constant" => constant(node)?,
        "Shape" => {
            let known = node.input(0).and_then(|name| cx.values.get(name));
            let shape = match known {
                Some(Known::Constant(tensor)) => tensor.shape.clone(),
                Some(Known::Data(source)) => cx.net.shape(source).to_vec(),
                Some(Known::Headed { .. } | Known::Unknown) | None => return Err(Stop::Unknown),
            };
            shape_of(node, &shape)?
        }
        _ => {
            let all_known = !node.inputs.is_empty()
                && (0..node.inputs.len())
                    .all(|at| node.input(at).is_none() || cx.is_constant(node, at));
            if !all_known {
                return Ok(false);
            }
            match evaluate(cx, node)? {
                Some(tensor) => tensor,
                None => {
                    return Err(refuse(
                        "an operator on constants that is not folded here",
                        "fold constants before the import, for example with onnxsim",
                    ));
                }
            }
        }
    };
    cx.set_constant(node, folded);
    Ok(true)
}

fn constant(node: &Node) -> Result<Tensor, Stop> {
    let list = |data: TensorData, len: usize| Tensor {
        shape: vec![len],
        data,
    };
    let scalar = |data: TensorData| Tensor {
        shape: Vec::new(),
        data,
    };
    match node.attributes.iter().next() {
        Some((_, Attribute::Tensor(tensor))) => Ok(tensor.clone()),
        Some((_, Attribute::Float(v))) => Ok(scalar(TensorData::Float(vec![*v]))),
        Some((_, Attribute::Int(v))) => Ok(scalar(TensorData::Int64(vec![*v]))),
        Some((_, Attribute::Floats(v))) => Ok(list(TensorData::Float(v.clone()), v.len())),
        Some((_, Attribute::Ints(v))) => Ok(list(TensorData::Int64(v.clone()), v.len())),
        _ => Err(refuse(
            "a constant of a kind that is not kept",
            "use float32 and int64 constants",
        )),
    }
}

/// What `Shape` makes of a tensor of this shape.
pub(crate) fn shape_of(node: &Node, shape: &[usize]) -> Result<Tensor, Stop> {
    only_attributes(node, &["end", "start"])?;
    let rank = i64_of_dim(shape.len());
    let at = |name: &str, default: i64| -> Result<usize, Stop> {
        let value = node.attr_int(name)?.unwrap_or(default);
        let value = if value < 0 { value + rank } else { value };
        Ok(usize::try_from(value.clamp(0, rank)).unwrap_or_default())
    };
    let (start, end) = (at("start", 0)?, at("end", rank)?);
    let part = shape.get(start..end).unwrap_or_default();
    let dims = part.iter().map(|&dim| i64_of_dim(dim)).collect();
    Ok(Tensor {
        shape: vec![part.len()],
        data: TensorData::Int64(dims),
    })
}

fn too_large() -> Stop {
    refuse(
        "a constant that is larger than any tensor may be",
        "fold constants before the import",
    )
}

/// Picks elements by their position in the source.
fn pick(data: &TensorData, positions: &[usize]) -> Option<TensorData> {
    fn each<T: Clone>(data: &[T], positions: &[usize]) -> Option<Vec<T>> {
        positions.iter().map(|&at| data.get(at).cloned()).collect()
    }
    Some(match data {
        TensorData::Float(data) => TensorData::Float(each(data, positions)?),
        TensorData::Double(data) => TensorData::Double(each(data, positions)?),
        TensorData::Int64(data) => TensorData::Int64(each(data, positions)?),
        TensorData::Bool(data) => TensorData::Bool(each(data, positions)?),
        TensorData::Int(data) => {
            let picked = each(data.data(), positions)?;
            TensorData::Int(IntTensor::new(data.elem(), vec![picked.len()], picked).ok()?)
        }
        TensorData::Unsupported(_) => return None,
    })
}

/// The elements under another shape of as many.
fn shaped(shape: Vec<usize>, data: TensorData) -> Option<Tensor> {
    let data = match data {
        TensorData::Int(ints) => TensorData::Int(ints.reshaped(shape.clone()).ok()?),
        other => other,
    };
    Some(Tensor { shape, data })
}

/// What a node makes of constants, or of nothing; `None` for an operator that is not known here.
pub(crate) fn evaluate<C: Constants>(cx: &C, node: &Node) -> Result<Option<Tensor>, Stop> {
    if node.op_type == "Constant" {
        return constant(node).map(Some);
    }
    let Some(first) = cx.constant(node, 0)? else {
        return Ok(None);
    };
    Ok(match node.op_type.as_str() {
        "Identity" => Some(first.clone()),
        "Cast" => cast(node, first)?,
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
            let list = cx.int64s(node, 1)?;
            let shape = target(node, &first.shape, list)?;
            shaped(shape, first.data.clone())
        }
        "Transpose" => {
            let perm = permutation(node, first.shape.len())?;
            transpose(first, &perm)
        }
        "Gather" => {
            only_attributes(node, &["axis"])?;
            let axis = axis_of(node.attr_int("axis")?.unwrap_or(0), first.shape.len())?;
            cx.constant(node, 1)?
                .and_then(|indices| gather(first, axis, indices))
        }
        "Concat" => concat(cx, node)?,
        "Slice" => slice(cx, node, first)?,
        "ConstantOfShape" => constant_of_shape(node, first)?,
        "Add" | "Sub" | "Mul" | "Div" => match cx.constant(node, 1)? {
            Some(second) => arithmetic(&node.op_type, first, second)?,
            None => None,
        },
        "Sqrt" | "Neg" | "Reciprocal" => match &first.data {
            TensorData::Float(data) => {
                let map = |v: f32| match node.op_type.as_str() {
                    "Sqrt" => v.sqrt(),
                    "Neg" => -v,
                    _ => 1.0 / v,
                };
                Some(Tensor {
                    shape: first.shape.clone(),
                    data: TensorData::Float(data.iter().map(|&v| map(v)).collect()),
                })
            }
            _ => None,
        },
        _ => None,
    })
}

fn cast(node: &Node, from: &Tensor) -> Result<Option<Tensor>, Stop> {
    let to = node.attr_int("to")?.unwrap_or_default();
    let data = match (&from.data, to) {
        (TensorData::Float(_), 1) | (TensorData::Int64(_), 7) => from.data.clone(),
        (TensorData::Double(data), 1) => {
            TensorData::Float(data.iter().map(|&v| f32_of(v)).collect())
        }
        (TensorData::Int64(data), 1) => {
            TensorData::Float(data.iter().map(|&v| f32_of_i64(v)).collect())
        }
        (TensorData::Float(data), 7) => {
            TensorData::Int64(data.iter().map(|&v| i64_of(f64::from(v))).collect())
        }
        (TensorData::Int(data), 7) => {
            TensorData::Int64(data.data().iter().map(|&v| i64::from(v)).collect())
        }
        _ => return Ok(None),
    };
    Ok(Some(Tensor {
        shape: from.shape.clone(),
        data,
    }))
}

/// Row-major strides.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// The position in a source, for every element of `shape`, row-major, with one stride a dimension.
fn positions(shape: &[usize], strides: &[usize]) -> Vec<usize> {
    let mut out = vec![0];
    for (&dim, &stride) in shape.iter().zip(strides) {
        out = out
            .iter()
            .flat_map(|&base| (0..dim).map(move |index| base + index * stride))
            .collect();
    }
    out
}

/// The tensor with permuted dimensions.
pub(crate) fn transpose(from: &Tensor, perm: &[usize]) -> Option<Tensor> {
    let source = strides(&from.shape);
    let shape: Vec<usize> = perm.iter().map(|&axis| from.shape[axis]).collect();
    let steps: Vec<usize> = perm.iter().map(|&axis| source[axis]).collect();
    let data = pick(&from.data, &positions(&shape, &steps))?;
    shaped(shape, data)
}

fn gather(from: &Tensor, axis: usize, indices: &Tensor) -> Option<Tensor> {
    let size = from.shape[axis];
    let picked: Option<Vec<usize>> = indices
        .int64s()?
        .iter()
        .map(|&index| {
            let index = if index < 0 {
                index.checked_add(i64_of_dim(size))?
            } else {
                index
            };
            usize::try_from(index).ok().filter(|&index| index < size)
        })
        .collect();
    let picked = picked?;
    let (outer, rest) = from.shape.split_at(axis);
    let inner = &rest[1..];
    let block: usize = inner.iter().product();
    let count: usize = outer.iter().product();
    let wanted = count.checked_mul(picked.len())?.checked_mul(block)?;
    if wanted > MAX_ELEMENTS {
        return None;
    }
    let at: Vec<usize> = (0..count)
        .flat_map(|o| picked.iter().map(move |&p| (o * size + p) * block))
        .flat_map(|base| (0..block).map(move |i| base + i))
        .collect();
    let shape = [outer, &indices.shape, inner].concat();
    shaped(shape, pick(&from.data, &at)?)
}

fn concat<C: Constants>(cx: &C, node: &Node) -> Result<Option<Tensor>, Stop> {
    only_attributes(node, &["axis"])?;
    let mut values = Vec::new();
    for position in 0..node.inputs.len() {
        match cx.constant(node, position)? {
            Some(tensor) if tensor.shape.len() == 1 => match tensor.int64s() {
                Some(part) => values.extend_from_slice(part),
                None => return Ok(None),
            },
            _ => return Ok(None),
        }
    }
    Ok(Some(Tensor {
        shape: vec![values.len()],
        data: TensorData::Int64(values),
    }))
}

fn slice<C: Constants>(cx: &C, node: &Node, from: &Tensor) -> Result<Option<Tensor>, Stop> {
    let (Some(values), &[len]) = (from.int64s(), from.shape.as_slice()) else {
        return Ok(None);
    };
    let list = |name: &str, position: usize| -> Result<Option<Vec<i64>>, Stop> {
        Ok(match node.attr_ints(name)? {
            Some(list) => Some(list.to_vec()),
            None => cx.int64s(node, position)?,
        })
    };
    let (Some(starts), Some(ends)) = (list("starts", 1)?, list("ends", 2)?) else {
        return Ok(None);
    };
    let steps = list("steps", 4)?.unwrap_or_else(|| vec![1]);
    let (&[start], &[end], &[1]) = (starts.as_slice(), ends.as_slice(), steps.as_slice()) else {
        return Ok(None);
    };
    let len_i = i64_of_dim(len);
    let at = |v: i64| {
        let v = if v < 0 { v.saturating_add(len_i) } else { v };
        usize::try_from(v.clamp(0, len_i)).unwrap_or_default()
    };
    let part = values.get(at(start)..at(end)).unwrap_or_default().to_vec();
    Ok(Some(Tensor {
        shape: vec![part.len()],
        data: TensorData::Int64(part),
    }))
}

fn constant_of_shape(node: &Node, from: &Tensor) -> Result<Option<Tensor>, Stop> {
    let Some(dims) = from.int64s() else {
        return Ok(None);
    };
    let shape: Option<Vec<usize>> = dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
    let Some(shape) = shape else {
        return Ok(None);
    };
    check_shape(&shape)?;
    let len = element_count(&shape).map_err(|_| too_large())?;
    let data = match node.attr_tensor("value")?.map(|tensor| &tensor.data) {
        None => TensorData::Float(vec![0.0; len]),
        Some(TensorData::Float(v)) if v.len() == 1 => TensorData::Float(vec![v[0]; len]),
        Some(TensorData::Int64(v)) if v.len() == 1 => TensorData::Int64(vec![v[0]; len]),
        Some(_) => return Ok(None),
    };
    Ok(Some(Tensor { shape, data }))
}

fn arithmetic(op: &str, left: &Tensor, right: &Tensor) -> Result<Option<Tensor>, Stop> {
    let rank = left.shape.len().max(right.shape.len());
    let spread = |shape: &[usize]| -> Vec<usize> {
        let mut out = vec![1; rank - shape.len()];
        out.extend_from_slice(shape);
        out
    };
    let (a, b) = (spread(&left.shape), spread(&right.shape));
    let mut shape = Vec::with_capacity(rank);
    for (&a, &b) in a.iter().zip(&b) {
        shape.push(match (a, b) {
            (1, other) | (other, 1) => other,
            (a, b) if a == b => a,
            _ => return Ok(None),
        });
    }
    if element_count(&shape).map_err(|_| too_large())? > MAX_ELEMENTS {
        return Err(too_large());
    }
    let steps = |dims: &[usize]| -> Vec<usize> {
        let full = strides(dims);
        dims.iter()
            .zip(full)
            .map(|(&dim, stride)| if dim == 1 { 0 } else { stride })
            .collect()
    };
    let (at_left, at_right) = (positions(&shape, &steps(&a)), positions(&shape, &steps(&b)));
    let (Some(left), Some(right)) = (pick(&left.data, &at_left), pick(&right.data, &at_right))
    else {
        return Ok(None);
    };
    let data = match (left, right) {
        (TensorData::Float(left), TensorData::Float(right)) => {
            let pairs = left.iter().zip(&right);
            TensorData::Float(
                pairs
                    .map(|(a, b)| match op {
                        "Add" => a + b,
                        "Sub" => a - b,
                        "Mul" => a * b,
                        _ => a / b,
                    })
                    .collect(),
            )
        }
        (TensorData::Int64(left), TensorData::Int64(right)) => {
            let pairs = left.iter().zip(&right);
            let values: Option<Vec<i64>> = pairs
                .map(|(&a, &b)| match op {
                    "Add" => a.checked_add(b),
                    "Sub" => a.checked_sub(b),
                    "Mul" => a.checked_mul(b),
                    _ => a.checked_div(b),
                })
                .collect();
            match values {
                Some(values) => TensorData::Int64(values),
                None => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    Ok(Some(Tensor { shape, data }))
}
