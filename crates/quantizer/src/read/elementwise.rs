//! Element-wise operators: what becomes a per-channel affine map, Relu, a residual sum, or nothing.

use proofmark_onnx::{Node, TensorData};

use super::{Constants as _, Known, Reader, Stop, only_attributes, only_first_output, refuse};
use crate::net::{Affine, Op};

/// What to do instead of an operator that is not supported.
pub(super) fn remedy(op_type: &str) -> String {
    match op_type {
        "LeakyRelu" | "PRelu" | "Elu" | "Selu" | "Celu" | "Gelu" | "Mish" | "HardSwish"
        | "HardSigmoid" | "ThresholdedRelu" | "Softplus" | "Softsign" | "Swish" => {
            "train the model with Relu".to_owned()
        }
        "Sigmoid" => {
            "at the end of a model remove it and compare the logit with 0; inside use Relu".to_owned()
        }
        "Tanh" => "use Relu inside the model".to_owned(),
        "Pad" => "give the padding to the convolution behind it (pads)".to_owned(),
        "ConvTranspose" => "use Conv after a fixed upsampling outside the model".to_owned(),
        "QuantizeLinear" | "DequantizeLinear" | "QLinearConv" | "QGemm" | "QLinearMatMul" => {
            "this model is quantized already: import it as a quantized model".to_owned()
        }
        _ => "replace it by Conv, Gemm, MatMul, Add, Relu, BatchNormalization, MaxPool, AveragePool, \
              GlobalAveragePool, Concat, Reshape, Flatten, Transpose"
            .to_owned(),
    }
}

/// Whether an operator that is not supported gives its first input's shape.
pub(super) fn keeps_shape(node: &Node) -> bool {
    matches!(
        node.op_type.as_str(),
        "LeakyRelu"
            | "PRelu"
            | "Elu"
            | "Selu"
            | "Celu"
            | "Gelu"
            | "Mish"
            | "HardSwish"
            | "HardSigmoid"
            | "ThresholdedRelu"
            | "Softplus"
            | "Softsign"
            | "Swish"
            | "Sigmoid"
            | "Tanh"
            | "Clip"
            | "Erf"
            | "Sqrt"
            | "Exp"
            | "Log"
            | "Abs"
            | "Neg"
            | "LRN"
            | "InstanceNormalization"
            | "LayerNormalization"
            | "BatchNormalization"
    )
}

/// A constant that is spread over a tensor, as one value per index of dimension 1.
fn per_channel(dims: &[usize], values: &[f64], shape: &[usize]) -> Result<Vec<f64>, Stop> {
    let wrong = || {
        refuse(
            format!("a constant of shape {dims:?} against a tensor of shape {shape:?}"),
            "use a scalar, or one value per channel (dimension 1)",
        )
    };
    let channels = *shape.get(1).ok_or_else(wrong)?;
    if dims.len() > shape.len() {
        return Err(wrong());
    }
    let lead = shape.len() - dims.len();
    for (at, &dim) in dims.iter().enumerate() {
        if dim != 1 && (at + lead != 1 || dim != channels) {
            return Err(wrong());
        }
    }
    match values {
        [single] => Ok(vec![*single; channels]),
        _ if values.len() == channels => Ok(values.to_vec()),
        _ => Err(wrong()),
    }
}

pub(super) fn arithmetic(cx: &mut Reader<'_>, node: &Node) -> Result<(), Stop> {
    only_attributes(node, &[])?;
    let op = node.op_type.as_str();
    if cx.opset < 7 {
        return Err(refuse(
            "before operator set 7 it broadcasts differently",
            "export with operator set 13 or later",
        ));
    }
    let at = match (cx.is_constant(node, 0), cx.is_constant(node, 1)) {
        (false, false) => {
            let (left, left_shape) = cx.data(node, 0)?;
            let (right, right_shape) = cx.data(node, 1)?;
            if op != "Add" {
                return Err(refuse(
                    "both operands are computed at run time",
                    "only sums of two computed tensors are supported",
                ));
            }
            if left_shape != right_shape || !matches!(left_shape.len(), 2 | 4) {
                return Err(refuse(
                    format!("it adds shapes {left_shape:?} and {right_shape:?}"),
                    "add two tensors of one shape, [1, features] or [1, channels, height, width]",
                ));
            }
            return cx.push(node, Op::Add, vec![left, right], left_shape);
        }
        (first, _) => usize::from(!first),
    };
    let (dims, values) = cx.weights(node, at)?;
    let (input, shape) = cx.data(node, 1 - at)?;
    let values = per_channel(&dims, &values, &shape)?;
    let (zeros, ones) = (vec![0.0; values.len()], vec![1.0; values.len()]);
    let affine = match (op, at) {
        ("Add", _) => Affine {
            scale: ones,
            shift: values,
        },
        ("Mul", _) => Affine {
            scale: values,
            shift: zeros,
        },
        ("Sub", 1) => Affine {
            scale: ones,
            shift: values.iter().map(|v| -v).collect(),
        },
        ("Sub", _) => Affine {
            scale: vec![-1.0; values.len()],
            shift: values,
        },
        ("Div", 1) if values.iter().all(|&v| v != 0.0) => Affine {
            scale: values.iter().map(|v| 1.0 / v).collect(),
            shift: zeros,
        },
        _ => {
            return Err(refuse(
                "it divides by a computed tensor or by 0",
                "divide by constants other than 0",
            ));
        }
    };
    cx.push(node, Op::Affine(affine), vec![input], shape)
}

pub(super) fn batch_normalization(cx: &mut Reader<'_>, node: &Node) -> Result<(), Stop> {
    only_attributes(node, &["epsilon", "momentum", "spatial", "training_mode"])?;
    only_first_output(node)?;
    if node.attr_int("training_mode")?.unwrap_or(0) != 0 {
        return Err(refuse(
            "it is in training mode",
            "export the model for inference",
        ));
    }
    if node.attr_int("spatial")?.unwrap_or(1) != 1 {
        return Err(refuse(
            "spatial = 0 is not supported",
            "export with operator set 13 or later",
        ));
    }
    let epsilon = f64::from(node.attr_float("epsilon")?.unwrap_or(1e-5));
    let [gamma, beta, mean, variance] = [1, 2, 3, 4].map(|position| cx.weights(node, position));
    let (gamma, beta, mean, variance) = (gamma?.1, beta?.1, mean?.1, variance?.1);
    let (input, shape) = cx.data(node, 0)?;
    let channels = shape.get(1).copied().unwrap_or_default();
    if [&gamma, &beta, &mean, &variance]
        .iter()
        .any(|v| v.len() != channels)
    {
        return Err(refuse(
            format!("its parameters are not one for each of {channels} channels"),
            "check the parameters' shapes",
        ));
    }
    let scale: Vec<f64> = gamma
        .iter()
        .zip(&variance)
        .map(|(g, v)| g / (v + epsilon).sqrt())
        .collect();
    if scale.iter().any(|s| !s.is_finite()) {
        return Err(refuse(
            "a variance plus epsilon is not positive",
            "train the model again; its running variance is broken",
        ));
    }
    let shift = scale
        .iter()
        .zip(&mean)
        .zip(&beta)
        .map(|((s, m), b)| b - m * s)
        .collect();
    cx.push(
        node,
        Op::Affine(Affine { scale, shift }),
        vec![input],
        shape,
    )
}

pub(super) fn relu(cx: &mut Reader<'_>, node: &Node) -> Result<(), Stop> {
    only_attributes(node, &[])?;
    let (input, shape) = cx.data(node, 0)?;
    cx.push(node, Op::Relu, vec![input], shape)
}

/// `Clip` from 0 without an upper bound is Relu.
pub(super) fn clip(cx: &mut Reader<'_>, node: &Node) -> Result<(), Stop> {
    only_attributes(node, &["max", "min"])?;
    let bound = |name: &str, position: usize| -> Result<Option<f64>, Stop> {
        if let Some(value) = node.attr_float(name)? {
            return Ok(Some(f64::from(value)));
        }
        let tensor = cx.constant(node, position)?;
        Ok(tensor
            .and_then(super::floats_of)
            .and_then(|v| v.first().copied()))
    };
    let (low, high) = (bound("min", 1)?, bound("max", 2)?);
    if low != Some(0.0) || high.is_some_and(|high| high < f64::from(f32::MAX)) {
        return Err(refuse(
            format!("it clips to {low:?} … {high:?}"),
            "train the model with Relu; of the clips only the one from 0 upward is supported",
        ));
    }
    let (input, shape) = cx.data(node, 0)?;
    cx.push(node, Op::Relu, vec![input], shape)
}

/// `Identity`, and `Dropout` at inference.
pub(super) fn identity(cx: &mut Reader<'_>, node: &Node) -> Result<(), Stop> {
    if node.op_type == "Dropout" {
        only_attributes(node, &["ratio", "seed", "is_test"])?;
        only_first_output(node)?;
        if let Some(training) = cx.constant(node, 2)?
            && training.data != TensorData::Bool(vec![false])
        {
            return Err(refuse(
                "it is in training mode",
                "export the model for inference",
            ));
        }
    } else {
        only_attributes(node, &[])?;
    }
    let known = match node.input(0).and_then(|name| cx.values.get(name)) {
        Some(known @ (Known::Data(_) | Known::Headed { .. } | Known::Constant(_))) => known.clone(),
        Some(Known::Unknown) | None => return Err(Stop::Unknown),
    };
    if let Some(output) = node.output(0) {
        cx.values.insert(output.to_owned(), known);
    }
    Ok(())
}
