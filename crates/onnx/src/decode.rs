//! Protobuf bytes to the plain graph, with every rule of the standard that does not need to know
//! what an operator means.

use std::collections::{BTreeMap, HashMap, HashSet};

use prost::Message;

use crate::error::OnnxError;
use crate::external::Folder;
use crate::limits::{Limits, within};
use crate::model::{
    Attribute, Dim, Graph, Model, Node, Tensor, ValueInfo, ValueType, normal_domain,
};
use crate::proto;
use crate::proto::attribute_proto::AttributeType;
use crate::proto::tensor_shape_proto::dimension;
use crate::proto::type_proto;
use crate::tensor::{TensorReader, product};
use crate::{scan, topology};

/// The newest file format that the vendored onnx-ml.proto describes. What a newer one adds would
/// be dropped unread.
const NEWEST_IR: i64 = proto::Version::IrVersion as i64;

/// The name of a graph that has none; the standard demands one.
pub(crate) const NO_NAME: &str = "graph";

/// Reads a model; external data only from `folder`.
///
/// # Errors
/// As [`parse`](crate::parse) and [`load`](crate::load) say.
pub(crate) fn model(
    bytes: &[u8],
    limits: &Limits,
    folder: Option<&Folder>,
) -> Result<Model, OnnxError> {
    within(
        bytes.len() as u64,
        limits.max_file_bytes,
        "max_file_bytes",
        || "the size of the file".to_owned(),
    )?;
    scan::check(bytes, limits)?;
    let proto = proto::ModelProto::decode(bytes).map_err(|error| OnnxError::Malformed {
        reason: error.to_string(),
    })?;

    refuse_features(&proto)?;
    let ir_version = match proto.ir_version {
        Some(version) if version > 0 => version,
        _ => return Err(missing("the model's ir_version")),
    };
    if ir_version > NEWEST_IR {
        return Err(OnnxError::UnsupportedFeature {
            feature: "a file format newer than this program",
            names: vec![format!("ir_version {ir_version}")],
            remedy: "save it with an older ir_version",
        });
    }
    let graph = proto.graph.ok_or_else(|| missing("the model's graph"))?;
    let opsets = opsets(&proto.opset_import, limits)?;
    let mut metadata = BTreeMap::new();
    for entry in proto.metadata_props {
        let key = entry.key.unwrap_or_default();
        if metadata
            .insert(key.clone(), entry.value.unwrap_or_default())
            .is_some()
        {
            return Err(OnnxError::Duplicate {
                kind: "metadata key".to_owned(),
                name: key,
            });
        }
    }
    let mut reader = Reader {
        limits,
        opsets: &opsets,
        tensors: TensorReader::new(limits, folder),
    };
    let graph = reader.graph(graph)?;
    Ok(Model {
        ir_version,
        producer_name: proto.producer_name.unwrap_or_default(),
        producer_version: proto.producer_version.unwrap_or_default(),
        opsets,
        graph,
        metadata,
    })
}

fn missing(what: &str) -> OnnxError {
    OnnxError::MissingField {
        what: what.to_owned(),
    }
}

/// Parts of the standard that change what the model computes and that are not read here.
fn refuse_features(model: &proto::ModelProto) -> Result<(), OnnxError> {
    if !model.functions.is_empty() {
        return Err(OnnxError::UnsupportedFeature {
            feature: "model-local functions",
            names: model
                .functions
                .iter()
                .map(|function| function.name().to_owned())
                .collect(),
            remedy: "inline them with onnx.inliner.inline_local_functions",
        });
    }
    if !model.training_info.is_empty() {
        let name = |info: &proto::TrainingInfoProto| {
            info.algorithm
                .as_ref()
                .map(|graph| graph.name().to_owned())
                .unwrap_or_default()
        };
        return Err(OnnxError::UnsupportedFeature {
            feature: "training information",
            names: model.training_info.iter().map(name).collect(),
            remedy: "export the model for inference",
        });
    }
    let sparse = model
        .graph
        .iter()
        .flat_map(|graph| &graph.sparse_initializer);
    let names: Vec<_> = sparse
        .map(|tensor| {
            tensor
                .values
                .as_ref()
                .map(|values| values.name().to_owned())
                .unwrap_or_default()
        })
        .collect();
    if !names.is_empty() {
        return Err(OnnxError::UnsupportedFeature {
            feature: "sparse initializers",
            names,
            remedy: "store them as dense tensors",
        });
    }
    Ok(())
}

fn opsets(
    imports: &[proto::OperatorSetIdProto],
    limits: &Limits,
) -> Result<BTreeMap<String, i64>, OnnxError> {
    let mut opsets = BTreeMap::new();
    for import in imports {
        let domain = normal_domain(import.domain());
        name_length(domain, "an operator set's domain", limits)?;
        let version = match import.version {
            Some(version) if version > 0 => version,
            _ => return Err(missing(&format!("the version of operator set {domain:?}"))),
        };
        if opsets
            .insert(domain.to_owned(), version)
            .is_some_and(|other| other != version)
        {
            return Err(OnnxError::Duplicate {
                kind: "operator set".to_owned(),
                name: domain.to_owned(),
            });
        }
    }
    if opsets.is_empty() {
        return Err(missing("the model's opset_import"));
    }
    Ok(opsets)
}

fn name_length(name: &str, what: &str, limits: &Limits) -> Result<(), OnnxError> {
    within(
        name.len() as u64,
        limits.max_name as u64,
        "max_name",
        || format!("the length of {what}"),
    )
}

struct Reader<'a> {
    limits: &'a Limits,
    opsets: &'a BTreeMap<String, i64>,
    tensors: TensorReader<'a>,
}

impl Reader<'_> {
    fn graph(&mut self, proto: proto::GraphProto) -> Result<Graph, OnnxError> {
        let name = proto
            .name
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| NO_NAME.to_owned());
        name_length(&name, "the graph's name", self.limits)?;
        let mut initializers = BTreeMap::new();
        for tensor in proto.initializer {
            let name = self.value_name(tensor.name(), "an initializer")?;
            let tensor = self.tensors.read(&name, tensor)?;
            if initializers.insert(name.clone(), tensor).is_some() {
                return Err(OnnxError::Duplicate {
                    kind: "initializer".to_owned(),
                    name,
                });
            }
        }
        let mut inputs = self.value_infos(proto.input, "graph input")?;
        for input in &inputs {
            if let Some(tensor) = initializers.get(&input.name) {
                check_declaration(input, tensor)?;
            }
        }
        inputs.retain(|input| !initializers.contains_key(&input.name));
        let outputs = self.value_infos(proto.output, "graph output")?;

        let names = node_names(&proto.node);
        let mut nodes = Vec::with_capacity(proto.node.len());
        for (name, node) in names.into_iter().zip(proto.node) {
            nodes.push(self.node(name, node)?);
        }
        let given: HashSet<&str> = inputs
            .iter()
            .map(|input| input.name.as_str())
            .chain(initializers.keys().map(String::as_str))
            .collect();
        let nodes = topology::order(nodes, &given)?;
        let made: HashSet<&str> = nodes
            .iter()
            .flat_map(|node| &node.outputs)
            .map(String::as_str)
            .collect();
        for output in &outputs {
            let name = output.name.as_str();
            if !made.contains(name) && !given.contains(name) {
                return Err(OnnxError::UndefinedOutput {
                    output: output.name.clone(),
                });
            }
        }

        let mut value_info: BTreeMap<String, ValueInfo> = BTreeMap::new();
        for info in proto.value_info {
            let info = self.value_info(info)?;
            if let Some(other) = value_info.insert(info.name.clone(), info)
                && value_info.get(&other.name) != Some(&other)
            {
                return Err(OnnxError::Duplicate {
                    kind: "the declaration of value".to_owned(),
                    name: other.name,
                });
            }
        }
        Ok(Graph {
            name,
            nodes,
            initializers,
            inputs,
            outputs,
            value_info,
        })
    }

    fn value_name(&self, name: &str, what: &str) -> Result<String, OnnxError> {
        if name.is_empty() {
            return Err(missing(&format!("the name of {what}")));
        }
        name_length(name, &format!("the name of {what}"), self.limits)?;
        Ok(name.to_owned())
    }

    fn value_infos(
        &self,
        protos: Vec<proto::ValueInfoProto>,
        kind: &str,
    ) -> Result<Vec<ValueInfo>, OnnxError> {
        let mut infos = Vec::with_capacity(protos.len());
        let mut seen = HashSet::new();
        for proto in protos {
            let info = self.value_info(proto)?;
            if !seen.insert(info.name.clone()) {
                return Err(OnnxError::Duplicate {
                    kind: kind.to_owned(),
                    name: info.name,
                });
            }
            infos.push(info);
        }
        Ok(infos)
    }

    fn value_info(&self, proto: proto::ValueInfoProto) -> Result<ValueInfo, OnnxError> {
        use type_proto::Value;
        let name = self.value_name(proto.name(), "a declared value")?;
        let other = |ty| (ValueType::Other(ty), None);
        let (ty, shape) = match proto.r#type.and_then(|ty| ty.value) {
            None => other(0),
            Some(Value::TensorType(tensor)) => {
                let data_type = tensor.elem_type.unwrap_or(0);
                if data_type < 0 {
                    return Err(OnnxError::InvalidValue {
                        value: name,
                        reason: format!("element type {data_type}"),
                    });
                }
                (ValueType::from_data_type(data_type), tensor.shape)
            }
            Some(Value::SequenceType(_)) => other(-4),
            Some(Value::MapType(_)) => other(-5),
            Some(Value::OpaqueType(_)) => other(-7),
            Some(Value::SparseTensorType(_)) => other(-8),
            Some(Value::OptionalType(_)) => other(-9),
        };
        let dims = shape.map(|shape| self.dims(&name, shape)).transpose()?;
        Ok(ValueInfo { name, ty, dims })
    }

    fn dims(&self, name: &str, shape: proto::TensorShapeProto) -> Result<Vec<Dim>, OnnxError> {
        within(
            shape.dim.len() as u64,
            self.limits.max_rank as u64,
            "max_rank",
            || format!("the rank of value {name:?}"),
        )?;
        let most = self.limits.max_elements;
        let mut fixed = Vec::new();
        let mut dims = Vec::with_capacity(shape.dim.len());
        for dim in shape.dim {
            dims.push(match dim.value {
                None => Dim::Symbolic(String::new()),
                Some(dimension::Value::DimParam(param)) => {
                    name_length(
                        &param,
                        &format!("a dimension's name of value {name:?}"),
                        self.limits,
                    )?;
                    Dim::Symbolic(param)
                }
                Some(dimension::Value::DimValue(value)) => {
                    let dim = u64::try_from(value).map_err(|_| OnnxError::InvalidValue {
                        value: name.to_owned(),
                        reason: format!(
                            "dimension {value} is negative; give its size, or a name if it varies"
                        ),
                    })?;
                    within(dim, most, "max_elements", || {
                        format!("a dimension of value {name:?}")
                    })?;
                    let dim = usize::try_from(dim).map_err(|_| OnnxError::InvalidValue {
                        value: name.to_owned(),
                        reason: format!("dimension {dim} cannot be addressed"),
                    })?;
                    fixed.push(dim);
                    Dim::Static(dim)
                }
            });
        }
        within(product(&fixed), most, "max_elements", || {
            format!("the number of elements of value {name:?}")
        })?;
        Ok(dims)
    }

    fn node(&mut self, name: String, proto: proto::NodeProto) -> Result<Node, OnnxError> {
        let refuse = |reason: &str| OnnxError::InvalidNode {
            node: name.clone(),
            reason: reason.to_owned(),
        };
        name_length(&name, "a node's name", self.limits)?;
        let op_type = proto.op_type.unwrap_or_default();
        if op_type.is_empty() {
            return Err(refuse("no operator"));
        }
        name_length(
            &op_type,
            &format!("the operator of node {name:?}"),
            self.limits,
        )?;
        if proto.overload.is_some_and(|overload| !overload.is_empty()) {
            return Err(refuse("an overload, which only model-local functions have"));
        }
        let domain = normal_domain(proto.domain.as_deref().unwrap_or_default()).to_owned();
        if !self.opsets.contains_key(&domain) {
            return Err(OnnxError::MissingOpset { node: name, domain });
        }
        let values = proto.input.len() + proto.output.len();
        within(
            values as u64,
            self.limits.max_node_values as u64,
            "max_node_values",
            || format!("the number of inputs and outputs of node {name:?}"),
        )?;
        if proto.output.iter().all(String::is_empty) {
            return Err(refuse("no output"));
        }
        for value in proto.input.iter().chain(&proto.output) {
            name_length(
                value,
                &format!("a value's name at node {name:?}"),
                self.limits,
            )?;
        }
        let count = proto.attribute.len() as u64;
        within(
            count,
            self.limits.max_attributes as u64,
            "max_attributes",
            || format!("the number of attributes of node {name:?}"),
        )?;
        let mut attributes = BTreeMap::new();
        for attribute in proto.attribute {
            let key = attribute.name().to_owned();
            if key.is_empty() {
                return Err(missing(&format!(
                    "the name of an attribute of node {name:?}"
                )));
            }
            name_length(
                &key,
                &format!("an attribute's name at node {name:?}"),
                self.limits,
            )?;
            let value = self.attribute(&name, &key, attribute)?;
            if attributes.insert(key.clone(), value).is_some() {
                return Err(OnnxError::Duplicate {
                    kind: format!("attribute of node {name:?}"),
                    name: key,
                });
            }
        }
        Ok(Node {
            name,
            op_type,
            domain,
            inputs: proto.input,
            outputs: proto.output,
            attributes,
        })
    }

    fn attribute(
        &mut self,
        node: &str,
        name: &str,
        proto: proto::AttributeProto,
    ) -> Result<Attribute, OnnxError> {
        let refuse = |reason: String| OnnxError::InvalidAttribute {
            node: node.to_owned(),
            attribute: name.to_owned(),
            reason,
        };
        if proto
            .ref_attr_name
            .as_ref()
            .is_some_and(|other| !other.is_empty())
        {
            return Err(refuse(
                "refers to a function's attribute outside of one".to_owned(),
            ));
        }
        let ty = match proto.r#type.map(AttributeType::try_from) {
            None | Some(Ok(AttributeType::Undefined)) => {
                return Err(refuse("no type".to_owned()));
            }
            Some(Ok(ty)) => ty,
            Some(Err(error)) => return Err(refuse(format!("unknown type {}", error.0))),
        };
        let fields = [
            (AttributeType::Float, proto.f.is_some()),
            (AttributeType::Int, proto.i.is_some()),
            (AttributeType::String, proto.s.is_some()),
            (AttributeType::Tensor, proto.t.is_some()),
            (AttributeType::Graph, proto.g.is_some()),
            (AttributeType::SparseTensor, proto.sparse_tensor.is_some()),
            (AttributeType::TypeProto, proto.tp.is_some()),
            (AttributeType::Floats, !proto.floats.is_empty()),
            (AttributeType::Ints, !proto.ints.is_empty()),
            (AttributeType::Strings, !proto.strings.is_empty()),
            (AttributeType::Tensors, !proto.tensors.is_empty()),
            (AttributeType::Graphs, !proto.graphs.is_empty()),
            (
                AttributeType::SparseTensors,
                !proto.sparse_tensors.is_empty(),
            ),
            (AttributeType::TypeProtos, !proto.type_protos.is_empty()),
        ];
        if let Some((other, _)) = fields
            .into_iter()
            .find(|&(field, there)| there && field != ty)
        {
            return Err(refuse(format!(
                "of type {}, but with a value of type {}",
                ty.as_str_name(),
                other.as_str_name()
            )));
        }
        let text = |bytes: Vec<u8>| {
            within(
                bytes.len() as u64,
                self.limits.max_string as u64,
                "max_string",
                || format!("the length of attribute {name:?} of node {node:?}"),
            )?;
            String::from_utf8(bytes).map_err(|_| refuse("not UTF-8".to_owned()))
        };
        Ok(match ty {
            // writers of protobuf 3 leave out numbers that are 0 and texts that are empty
            AttributeType::Float => Attribute::Float(proto.f.unwrap_or_default()),
            AttributeType::Int => Attribute::Int(proto.i.unwrap_or_default()),
            AttributeType::String => Attribute::String(text(proto.s.unwrap_or_default())?),
            AttributeType::Tensor => {
                let tensor = proto.t.ok_or_else(|| refuse("no tensor".to_owned()))?;
                let label = format!("attribute {name} of node {node}");
                Attribute::Tensor(self.tensors.read(&label, *tensor)?)
            }
            AttributeType::Floats => Attribute::Floats(proto.floats),
            AttributeType::Ints => Attribute::Ints(proto.ints),
            AttributeType::Strings => Attribute::Strings(
                proto
                    .strings
                    .into_iter()
                    .map(text)
                    .collect::<Result<_, _>>()?,
            ),
            AttributeType::Graph => Attribute::Unsupported("graph"),
            AttributeType::Graphs => Attribute::Unsupported("graphs"),
            AttributeType::Tensors => Attribute::Unsupported("tensors"),
            AttributeType::SparseTensor => Attribute::Unsupported("sparse_tensor"),
            AttributeType::SparseTensors => Attribute::Unsupported("sparse_tensors"),
            AttributeType::TypeProto => Attribute::Unsupported("type_proto"),
            AttributeType::TypeProtos => Attribute::Unsupported("type_protos"),
            AttributeType::Undefined => return Err(refuse("no type".to_owned())),
        })
    }
}

/// A graph input that an initializer gives the value of must be declared as that is.
fn check_declaration(input: &ValueInfo, tensor: &Tensor) -> Result<(), OnnxError> {
    let refuse = |reason| {
        Err(OnnxError::InvalidValue {
            value: input.name.clone(),
            reason,
        })
    };
    if input.ty != tensor.ty() {
        return refuse(format!(
            "declared with data type {}, but its initializer has {}",
            input.ty.data_type(),
            tensor.ty().data_type()
        ));
    }
    let fits = input.dims.as_ref().is_none_or(|dims| {
        dims.len() == tensor.shape.len()
            && dims.iter().zip(&tensor.shape).all(|(dim, size)| match dim {
                Dim::Static(dim) => dim == size,
                Dim::Symbolic(_) => true,
            })
    });
    if fits {
        Ok(())
    } else {
        refuse(format!(
            "declared with dimensions {:?}, but its initializer has {:?}",
            input.dims, tensor.shape
        ))
    }
}

/// A unique name for each node: its own where it is the first of that name, else
/// `<op_type>_<index>`, with underscores behind while that is taken.
fn node_names(nodes: &[proto::NodeProto]) -> Vec<String> {
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        if !node.name().is_empty() {
            first.entry(node.name()).or_insert(index);
        }
    }
    let mut made: HashSet<String> = HashSet::new();
    nodes
        .iter()
        .enumerate()
        .map(|(index, node)| {
            if first.get(node.name()) == Some(&index) {
                return node.name().to_owned();
            }
            let mut name = format!("{}_{index}", node.op_type());
            while first.contains_key(name.as_str()) || made.contains(&name) {
                name.push('_');
            }
            made.insert(name.clone());
            name
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::parse;

    fn node(name: &str, op_type: &str, input: &[&str], output: &[&str]) -> proto::NodeProto {
        proto::NodeProto {
            name: Some(name.to_owned()),
            op_type: Some(op_type.to_owned()),
            input: input.iter().map(|&name| name.to_owned()).collect(),
            output: output.iter().map(|&name| name.to_owned()).collect(),
            ..proto::NodeProto::default()
        }
    }

    fn value(name: &str, dims: &[i64]) -> proto::ValueInfoProto {
        let dim = dims
            .iter()
            .map(|&dim| proto::tensor_shape_proto::Dimension {
                value: Some(dimension::Value::DimValue(dim)),
                denotation: None,
            })
            .collect();
        proto::ValueInfoProto {
            name: Some(name.to_owned()),
            r#type: Some(proto::TypeProto {
                value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                    elem_type: Some(1),
                    shape: Some(proto::TensorShapeProto { dim }),
                })),
                denotation: None,
            }),
            ..proto::ValueInfoProto::default()
        }
    }

    fn weight(name: &str, dims: &[i64]) -> proto::TensorProto {
        let elements = usize::try_from(dims.iter().product::<i64>()).unwrap();
        proto::TensorProto {
            name: Some(name.to_owned()),
            data_type: Some(1),
            dims: dims.to_vec(),
            float_data: vec![0.5; elements],
            ..proto::TensorProto::default()
        }
    }

    fn attribute(name: &str, ty: AttributeType) -> proto::AttributeProto {
        proto::AttributeProto {
            name: Some(name.to_owned()),
            r#type: Some(ty.into()),
            ..proto::AttributeProto::default()
        }
    }

    /// `x` [1, 2] → MatMul with `w` [2, 2] → Relu → `y`.
    fn small() -> proto::ModelProto {
        proto::ModelProto {
            ir_version: Some(10),
            opset_import: vec![proto::OperatorSetIdProto {
                domain: Some("ai.onnx".to_owned()),
                version: Some(21),
            }],
            graph: Some(proto::GraphProto {
                name: Some("g".to_owned()),
                node: vec![
                    node("mul", "MatMul", &["x", "w"], &["h"]),
                    node("act", "Relu", &["h"], &["y"]),
                ],
                initializer: vec![weight("w", &[2, 2])],
                input: vec![value("x", &[1, 2])],
                output: vec![value("y", &[1, 2])],
                ..proto::GraphProto::default()
            }),
            ..proto::ModelProto::default()
        }
    }

    fn read(proto: &proto::ModelProto) -> Result<Model, OnnxError> {
        parse(&proto.encode_to_vec(), &Limits::default())
    }

    /// The error that a change to the small model or its graph makes.
    fn error(change: impl FnOnce(&mut proto::ModelProto, &mut proto::GraphProto)) -> OnnxError {
        let mut model = small();
        let mut graph = model.graph.take().unwrap();
        change(&mut model, &mut graph);
        model.graph = Some(graph);
        read(&model).unwrap_err()
    }

    /// Code and message of that error.
    fn refused(
        change: impl FnOnce(&mut proto::ModelProto, &mut proto::GraphProto),
    ) -> (&'static str, String) {
        let error = error(change);
        (error.code(), error.to_string())
    }

    #[test]
    fn the_small_model_is_read() {
        let model = read(&small()).unwrap();
        assert_eq!(model.opset("ai.onnx"), Some(21));
        assert_eq!(model.opset(""), Some(21));
        assert_eq!(model.opset("com.microsoft"), None);
        assert_eq!(
            model.graph.inputs,
            [ValueInfo::fixed("x", ValueType::Float, &[1, 2])]
        );
        assert_eq!(
            model.graph.initializer("w").unwrap().floats(),
            Some(&[0.5; 4][..])
        );
        let names: Vec<_> = model
            .graph
            .nodes
            .iter()
            .map(|node| node.name.as_str())
            .collect();
        assert_eq!(names, ["mul", "act"]);
    }

    #[test]
    fn a_file_cut_off_anywhere_never_panics_and_never_reads_as_the_whole() {
        let model = small();
        let bytes = model.encode_to_vec();
        let whole = read(&model).unwrap();
        let mut refused = 0;
        for length in 0..bytes.len() {
            match parse(&bytes[..length], &Limits::default()) {
                Ok(part) => assert_ne!(part, whole, "cut at {length}"),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > bytes.len() / 2);
        assert_eq!(
            parse(&[], &Limits::default()).unwrap_err().code(),
            "onnx-missing-field"
        );
    }

    #[test]
    fn versions_and_graph_must_be_there() {
        let code = |change: fn(&mut proto::ModelProto)| refused(|model, _| change(model)).0;
        assert_eq!(code(|m| m.ir_version = None), "onnx-missing-field");
        assert_eq!(code(|m| m.ir_version = Some(0)), "onnx-missing-field");
        assert_eq!(
            code(|m| m.ir_version = Some(15)),
            "onnx-unsupported-feature"
        );
        assert_eq!(code(|m| m.opset_import.clear()), "onnx-missing-field");
        assert_eq!(
            code(|m| m.opset_import[0].version = None),
            "onnx-missing-field"
        );
        assert_eq!(
            code(|m| m.opset_import[0].version = Some(-1)),
            "onnx-missing-field"
        );
        assert_eq!(
            code(|m| m.opset_import.push(proto::OperatorSetIdProto {
                domain: None,
                version: Some(20)
            })),
            "onnx-duplicate"
        );
        let entry = proto::StringStringEntryProto {
            key: Some("k".into()),
            value: None,
        };
        assert_eq!(
            refused(|m, _| m.metadata_props = vec![entry.clone(), entry]).0,
            "onnx-duplicate"
        );
        let mut headless = small();
        headless.graph = None;
        assert_eq!(read(&headless).unwrap_err().code(), "onnx-missing-field");
    }

    #[test]
    fn features_that_change_the_result_are_refused_by_name() {
        let (code, message) = refused(|model, _| {
            model.functions = vec![proto::FunctionProto {
                name: Some("MyGelu".to_owned()),
                ..proto::FunctionProto::default()
            }];
        });
        assert!(
            code == "onnx-unsupported-feature" && message.contains("MyGelu"),
            "{message}"
        );
        let (code, message) = refused(|_, graph| {
            graph.sparse_initializer = vec![proto::SparseTensorProto {
                values: Some(weight("sparse_w", &[1])),
                ..proto::SparseTensorProto::default()
            }];
        });
        assert!(
            code == "onnx-unsupported-feature" && message.contains("sparse_w"),
            "{message}"
        );
        let (code, message) = refused(|model, _| {
            model.training_info = vec![proto::TrainingInfoProto {
                algorithm: Some(proto::GraphProto {
                    name: Some("sgd".to_owned()),
                    ..proto::GraphProto::default()
                }),
                ..proto::TrainingInfoProto::default()
            }];
        });
        assert!(
            code == "onnx-unsupported-feature" && message.contains("sgd"),
            "{message}"
        );
    }

    #[test]
    fn values_are_defined_once_and_before_they_are_read() {
        let (code, message) = refused(|_, graph| graph.node[1].input[0] = "gone".to_owned());
        assert_eq!(code, "onnx-undefined-input");
        assert!(
            message.contains("\"act\"") && message.contains("\"gone\""),
            "{message}"
        );
        let (code, message) = refused(|_, graph| graph.node[0].input[0] = "y".to_owned());
        assert_eq!(code, "onnx-cycle");
        assert!(message.contains("through node"), "{message}");
        let (code, message) = refused(|_, graph| graph.output[0].name = Some("z".to_owned()));
        assert_eq!(code, "onnx-undefined-output");
        assert!(message.contains("\"z\""), "{message}");

        let duplicate = |change: fn(&mut proto::GraphProto)| {
            let (code, message) = refused(|_, graph| change(graph));
            assert_eq!(code, "onnx-duplicate", "{message}");
            message
        };
        let message = duplicate(|graph| graph.node[1].output[0] = "h".to_owned());
        assert_eq!(message, "tensor \"h\" is defined twice");
        duplicate(|graph| graph.node[1].output = vec!["y".into(), "y".into()]);
        duplicate(|graph| graph.node[1].output[0] = "x".to_owned());
        duplicate(|graph| graph.node[1].output[0] = "w".to_owned());
        let message = duplicate(|graph| graph.initializer.push(weight("w", &[1])));
        assert_eq!(message, "initializer \"w\" is defined twice");
        duplicate(|graph| graph.input.push(value("x", &[1, 2])));
        duplicate(|graph| graph.output.push(value("y", &[1, 2])));
        duplicate(|graph| graph.value_info = vec![value("h", &[1, 2]), value("h", &[1, 3])]);

        let mut twice_the_same = small();
        twice_the_same.graph.as_mut().unwrap().value_info = vec![value("h", &[1, 2]); 2];
        assert_eq!(read(&twice_the_same).unwrap().graph.value_info.len(), 1);
    }

    #[test]
    fn nodes_out_of_order_are_sorted() {
        let mut model = small();
        model.graph.as_mut().unwrap().node.reverse();
        assert_eq!(read(&model).unwrap(), read(&small()).unwrap());
    }

    #[test]
    fn nodes_get_unique_names() {
        let mut model = small();
        let graph = model.graph.as_mut().unwrap();
        graph.node = vec![
            node("", "Relu", &["x"], &["a"]),
            node("Relu_0", "Relu", &["x"], &["b"]),
            node("twin", "Relu", &["x"], &["c"]),
            node("twin", "Relu", &["x"], &["d"]),
            node("", "Relu", &["x"], &["y"]),
        ];
        let names: Vec<_> = read(&model)
            .unwrap()
            .graph
            .nodes
            .into_iter()
            .map(|node| node.name)
            .collect();
        assert_eq!(names, ["Relu_0_", "Relu_0", "twin", "Relu_3", "Relu_4"]);
    }

    #[test]
    fn an_input_with_an_initializer_is_a_constant() {
        let mut model = small();
        model.ir_version = Some(3);
        model
            .graph
            .as_mut()
            .unwrap()
            .input
            .push(value("w", &[2, 2]));
        let read_model = read(&model).unwrap();
        assert_eq!(read_model.graph.inputs.len(), 1);
        // files of this format list it again
        let bytes = crate::encode(&read_model);
        let written = proto::ModelProto::decode(&bytes[..])
            .unwrap()
            .graph
            .unwrap();
        let listed: Vec<_> = written
            .input
            .iter()
            .map(proto::ValueInfoProto::name)
            .collect();
        assert_eq!(listed, ["x", "w"]);
        assert_eq!(parse(&bytes, &Limits::default()).unwrap(), read_model);

        let (code, message) = refused(|_, graph| graph.input.push(value("w", &[2, 3])));
        assert_eq!(code, "onnx-invalid-value", "{message}");
        let (code, message) = refused(|_, graph| {
            graph.input.push(value("w", &[2, 2]));
            graph.initializer[0].data_type = Some(11);
            graph.initializer[0].float_data.clear();
            graph.initializer[0].double_data = vec![0.5; 4];
        });
        assert_eq!(code, "onnx-invalid-value", "{message}");
    }

    #[test]
    fn names_are_there_and_short() {
        let missing = |change: fn(&mut proto::GraphProto)| {
            let (code, message) = refused(|_, graph| change(graph));
            assert_eq!(code, "onnx-missing-field", "{message}");
        };
        missing(|graph| graph.initializer[0].name = None);
        missing(|graph| graph.input[0].name = Some(String::new()));
        missing(|graph| graph.output[0].name = None);
        missing(|graph| {
            graph.node[0].attribute = vec![attribute("", AttributeType::Int)];
        });
        let long = |change: fn(&mut proto::GraphProto, String)| {
            let error = error(|_, graph| change(graph, "n".repeat(4097)));
            assert!(
                matches!(
                    error,
                    OnnxError::LimitExceeded {
                        limit: "max_name",
                        got: 4097,
                        maximum: 4096,
                        ..
                    }
                ),
                "{error}"
            );
        };
        long(|graph, name| graph.name = Some(name));
        long(|graph, name| graph.node[0].name = Some(name));
        long(|graph, name| graph.node[0].op_type = Some(name));
        long(|graph, name| graph.node[0].input[0] = name);
        long(|graph, name| graph.node[0].output[0] = name);
        long(|graph, name| graph.initializer[0].name = Some(name));
        long(|graph, name| graph.input[0].name = Some(name));
        long(|graph, name| graph.node[0].attribute = vec![attribute(&name, AttributeType::Int)]);
        // a name is quoted, whatever is in it
        let (_, message) = refused(|_, graph| graph.node[1].input[0] = "a\n\u{1b}[2J".to_owned());
        assert!(message.contains(r#""a\n\u{1b}[2J""#), "{message}");
    }

    #[test]
    fn nodes_follow_the_standard() {
        let invalid = |change: fn(&mut proto::NodeProto), expected: &str| {
            let (code, message) = refused(|_, graph| change(&mut graph.node[1]));
            assert_eq!(code, expected);
            assert!(message.contains("\"act\""), "{message}");
        };
        invalid(|node| node.op_type = None, "onnx-invalid-node");
        invalid(
            |node| node.overload = Some("v2".to_owned()),
            "onnx-invalid-node",
        );
        invalid(|node| node.output[0].clear(), "onnx-invalid-node");
        invalid(
            |node| node.domain = Some("com.microsoft".to_owned()),
            "onnx-missing-opset",
        );
        invalid(
            |node| node.input = vec!["h".to_owned(); 4096],
            "onnx-limit-exceeded",
        );
        invalid(
            |node| {
                node.attribute = (0..257)
                    .map(|i| attribute(&format!("a{i}"), AttributeType::Int))
                    .collect();
            },
            "onnx-limit-exceeded",
        );
        let mut same = small();
        same.graph.as_mut().unwrap().node[1].domain = Some("ai.onnx".to_owned());
        assert_eq!(read(&same).unwrap(), read(&small()).unwrap());
    }

    #[test]
    fn an_attribute_has_the_one_value_its_type_says() {
        let with = |attributes: Vec<proto::AttributeProto>| {
            let mut model = small();
            model.graph.as_mut().unwrap().node[1].attribute = attributes;
            read(&model).map(|mut model| model.graph.nodes.remove(1).attributes)
        };
        let int = proto::AttributeProto {
            i: Some(7),
            ..attribute("a", AttributeType::Int)
        };
        assert_eq!(with(vec![int.clone()]).unwrap()["a"], Attribute::Int(7));
        // left out by a writer of protobuf 3
        let zero = attribute("a", AttributeType::Int);
        assert_eq!(with(vec![zero]).unwrap()["a"], Attribute::Int(0));
        let tensor = attribute("a", AttributeType::Tensor);
        assert_eq!(
            with(vec![tensor]).unwrap_err().code(),
            "onnx-invalid-attribute"
        );

        assert_eq!(
            with(vec![int.clone(), int.clone()]).unwrap_err().code(),
            "onnx-duplicate"
        );
        for change in [
            |a: &mut proto::AttributeProto| a.r#type = None,
            |a: &mut proto::AttributeProto| a.r#type = Some(0),
            |a: &mut proto::AttributeProto| a.r#type = Some(77),
            |a: &mut proto::AttributeProto| a.r#type = Some(AttributeType::Float.into()),
            |a: &mut proto::AttributeProto| a.f = Some(1.0),
            |a: &mut proto::AttributeProto| a.ints = vec![1],
            |a: &mut proto::AttributeProto| a.g = Some(Box::default()),
            |a: &mut proto::AttributeProto| a.ref_attr_name = Some("outer".to_owned()),
        ] {
            let mut wrong = int.clone();
            change(&mut wrong);
            let error = with(vec![wrong]).unwrap_err();
            assert_eq!(error.code(), "onnx-invalid-attribute");
            assert!(
                error
                    .to_string()
                    .starts_with("attribute \"a\" of node \"act\""),
                "{error}"
            );
        }
        for ty in [AttributeType::String, AttributeType::Strings] {
            let mut binary = attribute("a", ty);
            if ty == AttributeType::String {
                binary.s = Some(vec![0xc3, 0x28]);
            } else {
                binary.strings = vec![b"ok".to_vec(), vec![0xff]];
            }
            assert!(
                with(vec![binary])
                    .unwrap_err()
                    .to_string()
                    .contains("not UTF-8")
            );
        }
        let mut huge = attribute("value", AttributeType::Tensor);
        huge.t = Some(Box::new(proto::TensorProto {
            dims: vec![1 << 40],
            ..weight("", &[1])
        }));
        let message = with(vec![huge]).unwrap_err().to_string();
        assert!(message.contains("attribute value of node act"), "{message}");
    }

    #[test]
    fn subgraphs_are_kept_by_kind_however_deep_and_refused_when_too_deep() {
        let nest = |depth: usize| {
            let mut graph = small().graph.unwrap();
            for _ in 0..depth {
                let mut outer = small().graph.unwrap();
                outer.node[1].attribute = vec![proto::AttributeProto {
                    g: Some(Box::new(graph)),
                    ..attribute("body", AttributeType::Graph)
                }];
                graph = outer;
            }
            proto::ModelProto {
                graph: Some(graph),
                ..small()
            }
        };
        let model = read(&nest(1)).unwrap();
        assert_eq!(
            model.graph.nodes[1].attributes["body"],
            Attribute::Unsupported("graph")
        );
        // a node of the innermost of n subgraphs lies 2 + 3n messages deep; its tensors no deeper,
        // the dimensions of its values four
        assert!(read(&nest(19)).is_ok());
        assert!(matches!(
            read(&nest(20)).unwrap_err(),
            OnnxError::LimitExceeded {
                limit: "max_depth",
                ..
            }
        ));
        // with our own limit off, the decoder's holds
        let deep = Limits {
            max_depth: usize::MAX,
            ..Limits::default()
        };
        assert!(parse(&nest(40).encode_to_vec(), &deep).is_err());
    }

    #[test]
    fn declared_shapes_are_plausible() {
        let (code, message) = refused(|_, graph| graph.input[0] = value("x", &[-1, 2]));
        assert_eq!(code, "onnx-invalid-value");
        assert!(message.contains("-1 is negative"), "{message}");
        for dims in [vec![i64::MAX], vec![1 << 20, 1 << 20], vec![1; 17]] {
            let (code, message) = refused(|_, graph| graph.output[0] = value("y", &dims));
            assert_eq!(code, "onnx-limit-exceeded", "{message}");
        }
        let (code, _) = refused(|_, graph| {
            graph.input[0].r#type = Some(proto::TypeProto {
                value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                    elem_type: Some(-3),
                    shape: None,
                })),
                denotation: None,
            });
        });
        assert_eq!(code, "onnx-invalid-value");
    }

    #[test]
    fn what_is_not_a_tensor_is_declared_by_its_kind() {
        use type_proto::Value;
        let kinds = [
            (None, 0),
            (Some(Value::SequenceType(Box::default())), -4),
            (Some(Value::MapType(Box::default())), -5),
            (Some(Value::OpaqueType(type_proto::Opaque::default())), -7),
            (
                Some(Value::SparseTensorType(type_proto::SparseTensor::default())),
                -8,
            ),
            (Some(Value::OptionalType(Box::default())), -9),
        ];
        for (kind, number) in kinds {
            let mut model = small();
            model.graph.as_mut().unwrap().output[0].r#type = Some(proto::TypeProto {
                value: kind,
                denotation: None,
            });
            let model = read(&model).unwrap();
            assert_eq!(model.graph.outputs[0].ty, ValueType::Other(number));
            assert_eq!(
                parse(&crate::encode(&model), &Limits::default()).unwrap(),
                model
            );
        }
    }

    #[test]
    fn external_data_is_refused_where_there_is_no_folder() {
        let (code, message) = refused(|_, graph| {
            graph.initializer[0].float_data.clear();
            graph.initializer[0].data_location = Some(1);
            graph.initializer[0].external_data = vec![proto::StringStringEntryProto {
                key: Some("location".to_owned()),
                value: Some("/etc/passwd".to_owned()),
            }];
        });
        assert_eq!(code, "onnx-external-data");
        assert!(message.contains("\"w\""), "{message}");
        let (code, _) = refused(|_, graph| graph.initializer[0].data_location = Some(2));
        assert_eq!(code, "onnx-invalid-tensor");
    }

    #[test]
    fn invalid_utf8_in_a_name_is_refused() {
        let mut bytes = small().encode_to_vec();
        let at = bytes
            .windows(3)
            .position(|window| window == b"act")
            .unwrap();
        bytes[at] = 0xff;
        assert_eq!(
            parse(&bytes, &Limits::default()).unwrap_err().code(),
            "onnx-malformed"
        );
    }

    #[test]
    fn the_file_itself_is_limited() {
        let bytes = small().encode_to_vec();
        let exact = Limits {
            max_file_bytes: bytes.len() as u64,
            ..Limits::default()
        };
        assert!(parse(&bytes, &exact).is_ok());
        let tight = Limits {
            max_file_bytes: bytes.len() as u64 - 1,
            ..exact
        };
        assert!(matches!(
            parse(&bytes, &tight).unwrap_err(),
            OnnxError::LimitExceeded {
                limit: "max_file_bytes",
                ..
            }
        ));
    }
}
