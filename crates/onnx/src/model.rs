//! The plain graph: what an ONNX file says, without protobuf and without what operators mean.

use std::collections::BTreeMap;

use proofmark_types::tensor::element_count;
use proofmark_types::{ElemType, IntTensor};

use crate::error::OnnxError;

/// A model: one graph and the operator sets its nodes are taken from.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Version of the file format, 1 … 14.
    pub ir_version: i64,
    /// The program that wrote the file; empty when not said.
    pub producer_name: String,
    /// Its version; empty when not said.
    pub producer_version: String,
    /// Operator-set version by domain. The standard's own domain is `""`; a file's `"ai.onnx"` is
    /// read as that.
    pub opsets: BTreeMap<String, i64>,
    /// The graph.
    pub graph: Graph,
    /// The model's metadata, without meaning to the standard.
    pub metadata: BTreeMap<String, String>,
}

/// Nodes and the values between them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Graph {
    /// The graph's name, never empty after [`parse`](crate::parse).
    pub name: String,
    /// Topological: each node stands behind those it reads. The file's order is kept where it
    /// allows.
    pub nodes: Vec<Node>,
    /// Stored tensors by name. A graph input with an initializer is a default that a caller could
    /// override; here it is a constant.
    pub initializers: BTreeMap<String, Tensor>,
    /// Graph inputs in file order, those with an initializer left out.
    pub inputs: Vec<ValueInfo>,
    /// Graph outputs in file order.
    pub outputs: Vec<ValueInfo>,
    /// What the file declares about intermediate values. Never checked against what the operators
    /// make of their inputs: a hint for display, not a fact.
    pub value_info: BTreeMap<String, ValueInfo>,
}

/// One application of an operator.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Node {
    /// Unique in the graph. Where the file has none, or one already taken, it is
    /// `<op_type>_<index in the file>`.
    pub name: String,
    /// The operator, as in the standard: `Conv`.
    pub op_type: String,
    /// The operator's domain; `""` is the standard's own.
    pub domain: String,
    /// Names of the values read; `""` is an optional input left out.
    pub inputs: Vec<String>,
    /// Names of the values made; `""` is an optional output left out.
    pub outputs: Vec<String>,
    /// Attributes by name.
    pub attributes: BTreeMap<String, Attribute>,
}

/// A constant parameter of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// An integer.
    Int(i64),
    /// A float.
    Float(f32),
    /// A text.
    String(String),
    /// A tensor.
    Tensor(Tensor),
    /// Integers.
    Ints(Vec<i64>),
    /// Floats.
    Floats(Vec<f32>),
    /// Texts.
    Strings(Vec<String>),
    /// Something this crate does not keep, by its kind in the standard's words: `"graph"`,
    /// `"graphs"`, `"tensors"`, `"sparse_tensor"`, `"sparse_tensors"`, `"type_proto"`,
    /// `"type_protos"`.
    Unsupported(&'static str),
}

impl Attribute {
    /// The type in the standard's words, lower case.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::String(_) => "string",
            Self::Tensor(_) => "tensor",
            Self::Ints(_) => "ints",
            Self::Floats(_) => "floats",
            Self::Strings(_) => "strings",
            Self::Unsupported(kind) => kind,
        }
    }
}

/// A stored tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Dimensions, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// The elements; as many as the shape says.
    pub data: TensorData,
}

/// Elements of a stored tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum TensorData {
    /// float32.
    Float(Vec<f32>),
    /// float64.
    Double(Vec<f64>),
    /// int64: shapes, axes, indices.
    Int64(Vec<i64>),
    /// uint8, int8 or int32, under the same shape.
    Int(IntTensor),
    /// bool.
    Bool(Vec<bool>),
    /// Any other type, by its number in `TensorProto.DataType`. The contents are not kept.
    Unsupported(i32),
}

/// Element type of a declared value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// float32.
    Float,
    /// float64.
    Double,
    /// int64.
    Int64,
    /// uint8, int8 or int32.
    Int(ElemType),
    /// bool.
    Bool,
    /// Positive: another element type, by its number in `TensorProto.DataType`. 0: not said.
    /// Negative: not a tensor; the field of `TypeProto` with the sign turned (−4 sequence, −5 map,
    /// −7 opaque, −8 sparse tensor, −9 optional).
    Other(i32),
}

impl ValueType {
    /// From a number in `TensorProto.DataType`.
    pub const fn from_data_type(data_type: i32) -> Self {
        match data_type {
            1 => Self::Float,
            2 => Self::Int(ElemType::Uint8),
            3 => Self::Int(ElemType::Int8),
            6 => Self::Int(ElemType::Int32),
            7 => Self::Int64,
            9 => Self::Bool,
            11 => Self::Double,
            other => Self::Other(other),
        }
    }

    /// The number in `TensorProto.DataType`.
    pub const fn data_type(self) -> i32 {
        match self {
            Self::Float => 1,
            Self::Int(ElemType::Uint8) => 2,
            Self::Int(ElemType::Int8) => 3,
            Self::Int(ElemType::Int32) => 6,
            Self::Int64 => 7,
            Self::Bool => 9,
            Self::Double => 11,
            Self::Other(other) => other,
        }
    }

    /// Bytes of one element in a file; `None` for types this crate does not keep.
    pub const fn width(self) -> Option<usize> {
        match self {
            Self::Bool | Self::Int(ElemType::Uint8 | ElemType::Int8) => Some(1),
            Self::Float | Self::Int(ElemType::Int32) => Some(4),
            Self::Double | Self::Int64 => Some(8),
            Self::Other(_) => None,
        }
    }
}

/// One dimension of a declared value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// Known.
    Static(usize),
    /// Known at run time only; the name is empty when the file gives none.
    Symbolic(String),
}

/// What a file declares about a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueInfo {
    /// The value's name.
    pub name: String,
    /// Its element type.
    pub ty: ValueType,
    /// Its dimensions, outermost first; `None` when the file does not say even how many.
    pub dims: Option<Vec<Dim>>,
}

impl ValueInfo {
    /// A value of known shape.
    pub fn fixed(name: impl Into<String>, ty: ValueType, shape: &[usize]) -> Self {
        let dims = shape.iter().map(|&dim| Dim::Static(dim)).collect();
        Self {
            name: name.into(),
            ty,
            dims: Some(dims),
        }
    }

    /// The shape, where every dimension is known.
    pub fn static_shape(&self) -> Option<Vec<usize>> {
        self.dims
            .as_ref()?
            .iter()
            .map(|dim| match dim {
                Dim::Static(dim) => Some(*dim),
                Dim::Symbolic(_) => None,
            })
            .collect()
    }
}

impl Model {
    /// Operator-set version of a domain (`""` or `"ai.onnx"` for the standard's own).
    pub fn opset(&self, domain: &str) -> Option<i64> {
        self.opsets.get(normal_domain(domain)).copied()
    }
}

/// `"ai.onnx"` is a second name of the standard's own domain `""`.
pub(crate) fn normal_domain(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

impl Graph {
    /// Index of the node that makes each value. Graph inputs and initializers are not in it.
    pub fn producers(&self) -> BTreeMap<&str, usize> {
        let mut map = BTreeMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            for output in node.outputs.iter().filter(|name| !name.is_empty()) {
                map.insert(output.as_str(), index);
            }
        }
        map
    }

    /// Indices of the nodes that read each value, ascending, each node once. Values that no node
    /// reads (among them most graph outputs) are not in it.
    pub fn consumers(&self) -> BTreeMap<&str, Vec<usize>> {
        let mut map: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            for input in node.inputs.iter().filter(|name| !name.is_empty()) {
                let readers = map.entry(input.as_str()).or_default();
                if readers.last() != Some(&index) {
                    readers.push(index);
                }
            }
        }
        map
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The graph input of this name.
    pub fn input(&self, name: &str) -> Option<&ValueInfo> {
        self.inputs.iter().find(|info| info.name == name)
    }

    /// The graph output of this name.
    pub fn output(&self, name: &str) -> Option<&ValueInfo> {
        self.outputs.iter().find(|info| info.name == name)
    }

    /// The stored tensor of this name.
    pub fn initializer(&self, name: &str) -> Option<&Tensor> {
        self.initializers.get(name)
    }
}

macro_rules! attribute_accessors {
    ($($(#[$doc:meta])* $name:ident: $variant:ident, $expected:literal => $ty:ty, $value:ident => $out:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// [`OnnxError::AttributeType`] when it is there with another type.
        pub fn $name(&self, name: &str) -> Result<Option<$ty>, OnnxError> {
            match self.attributes.get(name) {
                None => Ok(None),
                Some(Attribute::$variant($value)) => Ok(Some($out)),
                Some(other) => Err(OnnxError::AttributeType {
                    node: self.name.clone(),
                    attribute: name.to_owned(),
                    expected: $expected,
                    got: other.kind(),
                }),
            }
        }
    )*};
}

impl Node {
    /// A node of the standard's own domain without attributes.
    pub fn new(
        name: impl Into<String>,
        op_type: impl Into<String>,
        inputs: &[&str],
        outputs: &[&str],
    ) -> Self {
        Self {
            name: name.into(),
            op_type: op_type.into(),
            domain: String::new(),
            inputs: inputs.iter().map(|&input| input.to_owned()).collect(),
            outputs: outputs.iter().map(|&output| output.to_owned()).collect(),
            attributes: BTreeMap::new(),
        }
    }

    /// The same node with one attribute more.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, attribute: Attribute) -> Self {
        self.attributes.insert(name.into(), attribute);
        self
    }

    /// Name of the input at a position; `None` when it is left out.
    pub fn input(&self, position: usize) -> Option<&str> {
        self.inputs
            .get(position)
            .map(String::as_str)
            .filter(|name| !name.is_empty())
    }

    /// Name of the output at a position; `None` when it is left out.
    pub fn output(&self, position: usize) -> Option<&str> {
        self.outputs
            .get(position)
            .map(String::as_str)
            .filter(|name| !name.is_empty())
    }

    attribute_accessors! {
        /// An integer attribute; `None` when absent.
        attr_int: Int, "int" => i64, value => *value;
        /// A float attribute; `None` when absent.
        attr_float: Float, "float" => f32, value => *value;
        /// A text attribute; `None` when absent.
        attr_string: String, "string" => &str, value => value.as_str();
        /// A tensor attribute; `None` when absent.
        attr_tensor: Tensor, "tensor" => &Tensor, value => value;
        /// An integer-list attribute; `None` when absent.
        attr_ints: Ints, "ints" => &[i64], value => value.as_slice();
        /// A float-list attribute; `None` when absent.
        attr_floats: Floats, "floats" => &[f32], value => value.as_slice();
        /// A text-list attribute; `None` when absent.
        attr_strings: Strings, "strings" => &[String], value => value.as_slice();
    }
}

impl Tensor {
    /// A tensor whose contents fit its shape.
    ///
    /// # Errors
    /// [`OnnxError::InvalidTensor`] when the number of elements is another, or an integer tensor
    /// has a shape of its own that differs.
    pub fn new(shape: Vec<usize>, data: TensorData) -> Result<Self, OnnxError> {
        let refuse = |reason: String| OnnxError::InvalidTensor {
            tensor: String::new(),
            reason,
        };
        let expected = element_count(&shape).map_err(|error| refuse(error.to_string()))?;
        if let TensorData::Int(tensor) = &data
            && tensor.shape() != shape
        {
            return Err(refuse(format!(
                "shape {shape:?} over integers of shape {:?}",
                tensor.shape()
            )));
        }
        match data.element_count() {
            Some(got) if got != expected => Err(refuse(format!(
                "shape {shape:?} has {expected} elements, got {got}"
            ))),
            _ => Ok(Self { shape, data }),
        }
    }

    /// The element type.
    pub const fn ty(&self) -> ValueType {
        self.data.ty()
    }

    /// The elements, if they are float32.
    pub fn floats(&self) -> Option<&[f32]> {
        match &self.data {
            TensorData::Float(data) => Some(data),
            _ => None,
        }
    }

    /// The tensor, if it is of uint8, int8 or int32.
    pub const fn ints(&self) -> Option<&IntTensor> {
        match &self.data {
            TensorData::Int(data) => Some(data),
            _ => None,
        }
    }

    /// The elements, if they are int64.
    pub fn int64s(&self) -> Option<&[i64]> {
        match &self.data {
            TensorData::Int64(data) => Some(data),
            _ => None,
        }
    }
}

impl From<IntTensor> for Tensor {
    fn from(tensor: IntTensor) -> Self {
        Self {
            shape: tensor.shape().to_vec(),
            data: TensorData::Int(tensor),
        }
    }
}

impl TensorData {
    /// The element type.
    pub const fn ty(&self) -> ValueType {
        match self {
            Self::Float(_) => ValueType::Float,
            Self::Double(_) => ValueType::Double,
            Self::Int64(_) => ValueType::Int64,
            Self::Int(tensor) => ValueType::Int(tensor.elem()),
            Self::Bool(_) => ValueType::Bool,
            Self::Unsupported(data_type) => ValueType::Other(*data_type),
        }
    }

    /// Number of elements held; `None` where they are not kept.
    pub fn element_count(&self) -> Option<usize> {
        match self {
            Self::Float(data) => Some(data.len()),
            Self::Double(data) => Some(data.len()),
            Self::Int64(data) => Some(data.len()),
            Self::Int(tensor) => Some(tensor.len()),
            Self::Bool(data) => Some(data.len()),
            Self::Unsupported(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_of_another_type_is_an_error_that_names_the_node() {
        let node = Node::new("conv1", "Conv", &["x", "", "b"], &["y"])
            .with("group", Attribute::Int(2))
            .with("pads", Attribute::Ints(vec![0, 1]))
            .with("body", Attribute::Unsupported("graph"));
        assert_eq!(node.attr_int("group").unwrap(), Some(2));
        assert_eq!(node.attr_ints("pads").unwrap(), Some(&[0, 1][..]));
        assert_eq!(node.attr_float("alpha").unwrap(), None);
        let error = node.attr_ints("group").unwrap_err();
        assert_eq!(error.code(), "onnx-attribute-type");
        assert_eq!(
            error.to_string(),
            "attribute \"group\" of node \"conv1\" is of type int, not ints"
        );
        assert!(
            node.attr_tensor("body")
                .unwrap_err()
                .to_string()
                .contains("type graph")
        );
        assert_eq!(
            (node.input(0), node.input(1), node.input(7)),
            (Some("x"), None, None)
        );
    }

    #[test]
    fn maps_hold_each_producer_and_each_consumer_once() {
        let graph = Graph {
            nodes: vec![
                Node::new("a", "Relu", &["x"], &["y", ""]),
                Node::new("b", "Add", &["y", "y"], &["z"]),
                Node::new("c", "Add", &["z", "y"], &["w"]),
            ],
            ..Graph::default()
        };
        assert_eq!(
            graph.producers(),
            BTreeMap::from([("y", 0), ("z", 1), ("w", 2)])
        );
        assert_eq!(
            graph.consumers(),
            BTreeMap::from([("x", vec![0]), ("y", vec![1, 2]), ("z", vec![2])])
        );
    }

    #[test]
    fn a_tensor_is_not_made_of_a_wrong_number_of_elements() {
        assert!(Tensor::new(vec![2, 2], TensorData::Float(vec![0.0; 4])).is_ok());
        assert!(Tensor::new(vec![2, 2], TensorData::Float(vec![0.0; 3])).is_err());
        assert!(Tensor::new(vec![usize::MAX, 2], TensorData::Bool(vec![])).is_err());
        let ints = IntTensor::new(ElemType::Int8, vec![4], vec![0; 4]).unwrap();
        assert!(Tensor::new(vec![2, 2], TensorData::Int(ints)).is_err());
    }

    #[test]
    fn data_type_numbers_are_the_standards() {
        use crate::proto::tensor_proto::DataType;
        for number in 0..40 {
            let ty = ValueType::from_data_type(number);
            assert_eq!(ty.data_type(), number);
            let name = match ty {
                ValueType::Float => "FLOAT".to_owned(),
                ValueType::Double => "DOUBLE".to_owned(),
                ValueType::Int64 => "INT64".to_owned(),
                ValueType::Int(elem) => elem.name().to_uppercase(),
                ValueType::Bool => "BOOL".to_owned(),
                ValueType::Other(_) => continue,
            };
            assert_eq!(DataType::try_from(number).unwrap().as_str_name(), name);
        }
    }
}
