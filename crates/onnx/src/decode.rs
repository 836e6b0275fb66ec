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
