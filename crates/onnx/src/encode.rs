//! The plain graph to protobuf bytes, always the same bytes for the same model.

use prost::Message;

use crate::model::{Attribute, Dim, Graph, Model, Node, Tensor, ValueInfo, ValueType};
use crate::proto;
use crate::proto::attribute_proto::AttributeType;
use crate::proto::tensor_shape_proto::{Dimension, dimension};
use crate::proto::type_proto;
use crate::tensor;

/// Files of an older format list each initializer among the graph inputs as well.
const FIRST_IR_WITH_PURE_INITIALIZERS: i64 = 4;

/// Writes a model as the bytes of an ONNX file.
///
/// Deterministic: initializers, attributes, metadata and operator sets go in the order of their
/// names, tensor contents as raw little-endian bytes. What [`parse`](crate::parse) gives is read
/// back as it was.
///
/// Contents that the graph does not hold ([`TensorData::Unsupported`](crate::TensorData),
/// [`Attribute::Unsupported`]) are written as their type alone; runtimes refuse such a file, and
/// so does whoever reads it here and meets them again. A model put together by hand must follow
/// the standard's rules (see [`parse`](crate::parse)); that is not checked here.
pub fn encode(model: &Model) -> Vec<u8> {
    let proto = proto::ModelProto {
        ir_version: Some(model.ir_version),
        producer_name: text(&model.producer_name),
        producer_version: text(&model.producer_version),
        opset_import: model
            .opsets
            .iter()
            .map(|(domain, &version)| proto::OperatorSetIdProto {
                domain: Some(domain.clone()),
                version: Some(version),
            })
            .collect(),
        graph: Some(graph(&model.graph, model.ir_version)),
        metadata_props: model
            .metadata
            .iter()
            .map(|(key, value)| proto::StringStringEntryProto {
                key: Some(key.clone()),
                value: Some(value.clone()),
            })
            .collect(),
        ..proto::ModelProto::default()
    };
    proto.encode_to_vec()
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn graph(graph: &Graph, ir_version: i64) -> proto::GraphProto {
    let mut input: Vec<_> = graph.inputs.iter().map(value_info).collect();
    if ir_version < FIRST_IR_WITH_PURE_INITIALIZERS {
        input.extend(
            graph
                .initializers
                .iter()
                .map(|(name, tensor)| declared(name, tensor)),
        );
    }
    proto::GraphProto {
        name: Some(
            if graph.name.is_empty() {
                crate::decode::NO_NAME
            } else {
                &graph.name
            }
            .into(),
        ),
        node: graph.nodes.iter().map(node).collect(),
        initializer: graph
            .initializers
            .iter()
            .map(|(name, tensor)| tensor::write(Some(name), tensor))
            .collect(),
        input,
        output: graph.outputs.iter().map(value_info).collect(),
        value_info: graph.value_info.values().map(value_info).collect(),
        ..proto::GraphProto::default()
    }
}

fn declared(name: &str, tensor: &Tensor) -> proto::ValueInfoProto {
    value_info(&ValueInfo::fixed(name, tensor.ty(), &tensor.shape))
}

fn node(node: &Node) -> proto::NodeProto {
    proto::NodeProto {
        input: node.inputs.clone(),
        output: node.outputs.clone(),
        name: Some(node.name.clone()),
        op_type: Some(node.op_type.clone()),
        domain: text(&node.domain),
        attribute: node
            .attributes
            .iter()
            .map(|(name, value)| attribute(name, value))
            .collect(),
        ..proto::NodeProto::default()
    }
}

fn attribute(name: &str, value: &Attribute) -> proto::AttributeProto {
    let mut proto = proto::AttributeProto {
        name: Some(name.to_owned()),
        ..proto::AttributeProto::default()
    };
    let ty = match value {
        Attribute::Int(value) => {
            proto.i = Some(*value);
            AttributeType::Int
        }
        Attribute::Float(value) => {
            proto.f = Some(*value);
            AttributeType::Float
        }
        Attribute::String(value) => {
            proto.s = Some(value.clone().into_bytes());
            AttributeType::String
        }
        Attribute::Tensor(value) => {
            proto.t = Some(Box::new(tensor::write(None, value)));
            AttributeType::Tensor
        }
        Attribute::Ints(values) => {
            proto.ints.clone_from(values);
            AttributeType::Ints
        }
        Attribute::Floats(values) => {
            proto.floats.clone_from(values);
            AttributeType::Floats
        }
        Attribute::Strings(values) => {
            proto.strings = values
                .iter()
                .map(|value| value.clone().into_bytes())
                .collect();
            AttributeType::Strings
        }
        Attribute::Unsupported(kind) => {
            AttributeType::from_str_name(&kind.to_uppercase()).unwrap_or(AttributeType::Undefined)
        }
    };
    proto.r#type = Some(ty.into());
    proto
}

fn value_info(info: &ValueInfo) -> proto::ValueInfoProto {
    let shape = info.dims.as_ref().map(|dims| proto::TensorShapeProto {
        dim: dims.iter().map(dimension).collect(),
    });
    let value = match info.ty {
        ValueType::Other(0) if shape.is_none() => None,
        ValueType::Other(-4) => Some(type_proto::Value::SequenceType(Box::default())),
        ValueType::Other(-5) => Some(type_proto::Value::MapType(Box::default())),
        ValueType::Other(-7) => Some(type_proto::Value::OpaqueType(type_proto::Opaque::default())),
        ValueType::Other(-8) => Some(type_proto::Value::SparseTensorType(
            type_proto::SparseTensor::default(),
        )),
        ValueType::Other(-9) => Some(type_proto::Value::OptionalType(Box::default())),
        ty => Some(type_proto::Value::TensorType(type_proto::Tensor {
            elem_type: Some(ty.data_type()),
            shape,
        })),
    };
    proto::ValueInfoProto {
        name: Some(info.name.clone()),
        r#type: value.map(|value| proto::TypeProto {
            value: Some(value),
            denotation: None,
        }),
        ..proto::ValueInfoProto::default()
    }
}

fn dimension(dim: &Dim) -> Dimension {
    let value = match dim {
        Dim::Static(dim) => Some(dimension::Value::DimValue(
            i64::try_from(*dim).unwrap_or(i64::MAX),
        )),
        Dim::Symbolic(name) if name.is_empty() => None,
        Dim::Symbolic(name) => Some(dimension::Value::DimParam(name.clone())),
    };
    Dimension {
        value,
        denotation: None,
    }
}
