//! What an operator sees of its node while it is parsed.

use std::collections::BTreeMap;

use proofmark_onnx::{Node, Tensor, TensorData};
use proofmark_tensor::{ElemType, IntTensor, Requantize};

use crate::operator::{Fact, MAX_ELEMENTS};

/// Why a node is refused, and what the user can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub reason: String,
    /// The remedy.
    pub remedy: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }
}

/// A node with the constants and the facts about its inputs.
#[derive(Debug)]
pub struct NodeContext<'a> {
    /// The node.
    pub node: &'a Node,
    /// Operator-set version of the node's domain.
    pub opset: i64,
    pub(crate) constants: &'a BTreeMap<String, Tensor>,
    pub(crate) facts: &'a BTreeMap<String, Fact>,
    pub(crate) nodes: &'a [Node],
}

impl NodeContext<'_> {
    /// Name and fact of a data input: a tensor that exists at run time.
    ///
    /// # Errors
    /// [`Refusal`] when it is absent or a constant.
    pub fn data(&self, position: usize) -> Result<(String, Fact), Refusal> {
        let name = self.node.input(position).ok_or_else(|| {
            Refusal::new(
                format!("input {position} is missing"),
                "give the node all its inputs",
            )
        })?;
        self.facts.get(name).map(|fact| (name.to_owned(), fact.clone())).ok_or_else(|| {
            Refusal::new(
                format!("input {position} ({name:?}) is a constant, not a tensor computed at run time"),
                "fold constants before the import",
            )
        })
    }

    /// The node that makes a tensor, so that an operator may read a pattern of nodes as one.
    pub fn producer(&self, tensor: &str) -> Option<&Node> {
        let makes = |node: &&Node| node.outputs.iter().any(|output| output == tensor);
        self.nodes.iter().find(makes)
    }

    /// The stored tensor of a name.
    pub fn stored(&self, name: &str) -> Option<&Tensor> {
        self.constants.get(name)
    }

    /// The fact about a tensor that exists at run time.
    pub fn fact(&self, name: &str) -> Option<&Fact> {
        self.facts.get(name)
    }

    /// The constant at a position, `None` when the input is absent.
    ///
    /// # Errors
    /// [`Refusal`] when the input is computed at run time.
    pub fn constant(&self, position: usize) -> Result<Option<&Tensor>, Refusal> {
        let Some(name) = self.node.input(position) else {
            return Ok(None);
        };
        self.constants.get(name).map(Some).ok_or_else(|| {
            Refusal::new(
                format!(
                    "input {position} ({name:?}) is computed at run time where a constant is needed"
                ),
                "export the model with constant weights, scales, zero points and shapes",
            )
        })
    }

    /// A constant integer tensor.
    ///
    /// # Errors
    /// [`Refusal`] when it is absent, computed, or of another type.
    pub fn ints(&self, position: usize) -> Result<&IntTensor, Refusal> {
        self.constant(position)?
            .and_then(Tensor::ints)
            .ok_or_else(|| {
                Refusal::new(
                    format!("input {position} is no constant uint8, int8 or int32 tensor"),
                    "quantize the model with constant integer weights",
                )
            })
    }

    /// A scalar float constant (shape `[]` or `[1]`).
    ///
    /// # Errors
    /// [`Refusal`] when it is anything else, or not finite and positive.
    pub fn scale(&self, position: usize) -> Result<f32, Refusal> {
        match self.scales(position, 1)?.as_slice() {
            &[scale] => Ok(scale),
            _ => Err(Refusal::new(
                format!("input {position} is no scalar scale"),
                "use one scale for the whole tensor",
            )),
        }
    }

    /// That a scale or zero point is a scalar or a vector, as the runtime's kernels demand.
    fn flat(&self, position: usize) -> Result<(), Refusal> {
        match self.constant(position)? {
            Some(tensor) if tensor.shape.len() > 1 => Err(Refusal::new(
                format!("input {position} has shape {:?}", tensor.shape),
                "give scales and zero points as a scalar or a vector",
            )),
            _ => Ok(()),
        }
    }

    /// A computed shape, before anything of its size is allocated.
    ///
    /// # Errors
    /// [`Refusal`] above [`MAX_ELEMENTS`].
    pub fn bounded(&self, shape: Vec<usize>) -> Result<Vec<usize>, Refusal> {
        match proofmark_tensor::element_count(&shape) {
            Ok(count) if count <= MAX_ELEMENTS => Ok(shape),
            _ => Err(Refusal::new(
                format!("a tensor of shape {shape:?} has more than {MAX_ELEMENTS} elements"),
                "split the model",
            )),
        }
    }

    /// One scale, or one per channel, as a vector of length 1 or `channels`.
    ///
    /// # Errors
    /// [`Refusal`] when the length fits neither, or a scale is not finite and positive.
    pub fn scales(&self, position: usize, channels: usize) -> Result<Vec<f32>, Refusal> {
        self.flat(position)?;
        let tensor = self.constant(position)?;
        let floats = tensor.and_then(Tensor::floats).ok_or_else(|| {
            Refusal::new(
                format!("input {position} is no constant float32 scale"),
                "give constant scales",
            )
        })?;
        if floats.len() != 1 && floats.len() != channels {
            return Err(Refusal::new(
                format!(
                    "input {position} has {} scales for {channels} channels",
                    floats.len()
                ),
                "give one scale, or one per output channel",
            ));
        }
        if let Some(bad) = floats.iter().find(|s| !s.is_finite() || **s <= 0.0) {
            return Err(Refusal::new(
                format!("scale {bad} of input {position} is not finite and positive"),
                "re-quantize the model; scales are finite and greater than 0",
            ));
        }
        Ok(floats.to_vec())
    }

    /// A zero point of the given type, one value; 0 when absent.
    ///
    /// # Errors
    /// [`Refusal`] for another type, or another number of values.
    pub fn zero_point(&self, position: usize, elem: ElemType) -> Result<i32, Refusal> {
        if self.node.input(position).is_none() {
            return Ok(0);
        }
        self.flat(position)?;
        let tensor = self.ints(position)?;
        if tensor.elem() != elem {
            return Err(Refusal::new(
                format!(
                    "zero point {position} is {}, its tensor {elem}",
                    tensor.elem()
                ),
                "give the zero point the type of its tensor",
            ));
        }
        match tensor.data() {
            &[one] => Ok(one),
            several => Err(Refusal::new(
                format!("zero point {position} has {} values", several.len()),
                "quantize the tensor with one zero point",
            )),
        }
    }

    /// Zero points of weights: one for each of `channels` output channels, all equal where the
    /// node names one. The runtime honours different ones (73,270 outputs of `QLinearConv` plain,
    /// grouped and depthwise, `QGemm`, `QLinearMatMul` and `MatMulInteger`, none different).
    ///
    /// # Errors
    /// [`Refusal`] for another type, or another number of values.
    pub fn weight_zero_points(
        &self,
        position: usize,
        elem: ElemType,
        channels: usize,
    ) -> Result<Vec<i64>, Refusal> {
        self.flat(position)?;
        match self.node.input(position) {
            Some(_)
                if self.ints(position)?.len() == channels
                    && self.ints(position)?.elem() == elem =>
            {
                Ok(self
                    .ints(position)?
                    .data()
                    .iter()
                    .map(|&v| i64::from(v))
                    .collect())
            }
            _ => Ok(vec![i64::from(self.zero_point(position, elem)?); channels]),
        }
    }

    /// Type of a zero point, which is the type of the tensor it belongs to.
    ///
    /// # Errors
    /// [`Refusal`] when it is absent or no integer constant.
    pub fn zero_point_elem(&self, position: usize) -> Result<ElemType, Refusal> {
        Ok(self.ints(position)?.elem())
    }

    /// A constant list of int64 (a shape, axes).
    ///
    /// # Errors
    /// [`Refusal`] when it is computed, of another type or of another rank than 1, which the
    /// runtime takes in some operators only.
    pub fn int64s(&self, position: usize) -> Result<Option<&[i64]>, Refusal> {
        match self.constant(position)? {
            None => Ok(None),
            Some(Tensor {
                data: TensorData::Int64(values),
                shape,
            }) if shape.len() == 1 => Ok(Some(values)),
            Some(_) => Err(Refusal::new(
                format!("input {position} is no int64 list"),
                "export shapes and axes as int64 constants of rank 1",
            )),
        }
    }

    /// Integer attribute with a default.
    ///
    /// # Errors
    /// [`Refusal`] when it has another type.
    pub fn int(&self, name: &str, default: i64) -> Result<i64, Refusal> {
        Ok(self
            .node
            .attr_int(name)
            .map_err(attribute)?
            .unwrap_or(default))
    }

    /// Integer attribute that says yes or no.
    ///
    /// # Errors
    /// [`Refusal`] for anything but 0 and 1, which the runtime's kernels read one way or the other.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, Refusal> {
        match self.int(name, default.into())? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Refusal::new(
                format!("attribute {name:?} is {other}"),
                "give it as 0 or 1",
            )),
        }
    }

    /// Float attribute with a default.
    ///
    /// # Errors
    /// [`Refusal`] when it has another type.
    pub fn float(&self, name: &str, default: f32) -> Result<f32, Refusal> {
        Ok(self
            .node
            .attr_float(name)
            .map_err(attribute)?
            .unwrap_or(default))
    }

    /// Integer-list attribute.
    ///
    /// # Errors
    /// [`Refusal`] when it has another type.
    pub fn int_list(&self, name: &str) -> Result<Option<Vec<i64>>, Refusal> {
        Ok(self
            .node
            .attr_ints(name)
            .map_err(attribute)?
            .map(<[i64]>::to_vec))
    }

    /// Text attribute with a default.
    ///
    /// # Errors
    /// [`Refusal`] when it has another type.
    pub fn text(&self, name: &str, default: &str) -> Result<String, Refusal> {
        Ok(self
            .node
            .attr_string(name)
            .map_err(attribute)?
            .unwrap_or(default)
            .to_owned())
    }

    /// Refuses attributes that the operator's file does not read, so that none is ignored.
    ///
    /// # Errors
    /// [`Refusal`] naming the first one.
    pub fn only_attributes(&self, known: &[&str]) -> Result<(), Refusal> {
        match self
            .node
            .attributes
            .keys()
            .find(|name| !known.contains(&name.as_str()))
        {
            Some(name) => Err(Refusal::new(
                format!("attribute {name:?} is not supported"),
                "export the node without it",
            )),
            None => Ok(()),
        }
    }

    /// The rule of the dialect for products: u8×u8 or s8×s8 only, because u8×s8 saturates on
    /// processors without VNNI.
    ///
    /// # Errors
    /// [`Refusal`] for anything else.
    pub fn same_sign(&self, left: ElemType, right: ElemType) -> Result<(), Refusal> {
        if left.bits() == 8 && left == right {
            return Ok(());
        }
        Err(Refusal::new(
            format!("a product of {left} and {right}, whose result depends on the processor"),
            "import the model with proofmark, which rewrites int8 weights to uint8 (w + 128, zero point + 128)",
        ))
    }

    /// Builds one requantize a channel (or one for all), from multipliers.
    ///
    /// # Errors
    /// [`Refusal`] when a multiplier is not finite.
    pub fn requantizes(
        &self,
        multipliers: impl IntoIterator<Item = f32>,
        zero_point: i32,
        elem: ElemType,
    ) -> Result<Vec<Requantize>, Refusal> {
        multipliers
            .into_iter()
            .map(|m| {
                Requantize::new(m, zero_point, elem)
                    .map_err(|error| Refusal::new(error.to_string(), "re-quantize the model"))
            })
            .collect()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err calls")]
fn attribute(error: proofmark_onnx::OnnxError) -> Refusal {
    Refusal::new(
        error.to_string(),
        "export the attribute with the type that ONNX gives it",
    )
}
