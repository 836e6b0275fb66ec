//! Everything that can be wrong with an ONNX file.

use std::path::PathBuf;

/// Why an ONNX file was not read, or an attribute not given.
///
/// Names come from the file and are printed quoted and escaped, so that a hostile file cannot
/// write control characters into a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The file, or a file with its external data, cannot be read.
    #[error("cannot read {path:?}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The path does not name a regular file (a folder, a device, a pipe).
    #[error("{path:?} is not a regular file")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A size in the file is above a field of [`Limits`](crate::Limits).
    #[error(
        "{what} is {got}, above the limit {limit} of {maximum}; raise the limit if the file is trusted"
    )]
    LimitExceeded {
        /// What is too large, with the name of the node or tensor where there is one.
        what: String,
        /// The field of [`Limits`](crate::Limits).
        limit: &'static str,
        /// The size found or claimed.
        got: u64,
        /// The largest size allowed.
        maximum: u64,
    },
    /// The bytes are not the protobuf message `onnx.ModelProto`.
    #[error("not an ONNX model: {reason}; the file is damaged or of another format")]
    Malformed {
        /// Where and why decoding stopped.
        reason: String,
    },
    /// A field that the standard demands is absent.
    #[error("{what} is missing; export the model again with a current exporter")]
    MissingField {
        /// The field, and of what.
        what: String,
    },
    /// The model uses a part of the standard that cannot be proven here.
    #[error("the model has {feature} ({names:?}); {remedy}")]
    UnsupportedFeature {
        /// The part of the standard.
        feature: &'static str,
        /// The names of its occurrences, in file order.
        names: Vec<String>,
        /// What to do.
        remedy: &'static str,
    },
    /// Something that must be unique is there twice.
    #[error("{kind} {name:?} is defined twice")]
    Duplicate {
        /// What it is: `tensor`, `attribute of node "n"`, …
        kind: String,
        /// Its name.
        name: String,
    },
    /// A node reads a tensor that nothing defines.
    #[error(
        "node {node:?} reads tensor {tensor:?}, which no node, initializer or graph input defines"
    )]
    UndefinedInput {
        /// The node.
        node: String,
        /// The tensor.
        tensor: String,
    },
    /// A graph output that nothing defines.
    #[error("graph output {output:?} is defined by no node, initializer or graph input")]
    UndefinedOutput {
        /// The output.
        output: String,
    },
    /// The nodes have no order in which each is computed before it is read.
    #[error("the graph has a cycle through node {node:?}, which waits for tensor {tensor:?}")]
    Cycle {
        /// A node on a cycle, or behind one.
        node: String,
        /// An input of it that can never be computed.
        tensor: String,
    },
    /// A node of a domain whose operator set the model does not import.
    #[error(
        "node {node:?} is of domain {domain:?}, whose operator set the model does not import; add it to opset_import"
    )]
    MissingOpset {
        /// The node.
        node: String,
        /// Its domain.
        domain: String,
    },
    /// A tensor whose type, shape and contents do not fit together.
    #[error("tensor {tensor:?}: {reason}")]
    InvalidTensor {
        /// The initializer, or `attribute "a" of node "n"`.
        tensor: String,
        /// What does not fit.
        reason: String,
    },
    /// A declaration of an input, output or intermediate value that cannot be right.
    #[error("value {value:?}: {reason}")]
    InvalidValue {
        /// The value's name.
        value: String,
        /// What is wrong.
        reason: String,
    },
    /// A node that breaks a rule of the standard.
    #[error("node {node:?}: {reason}")]
    InvalidNode {
        /// The node.
        node: String,
        /// What is wrong.
        reason: String,
    },
    /// An attribute that breaks a rule of the standard.
    #[error("attribute {attribute:?} of node {node:?}: {reason}")]
    InvalidAttribute {
        /// The node.
        node: String,
        /// The attribute.
        attribute: String,
        /// What is wrong.
        reason: String,
    },
    /// An attribute is not of the type that was asked for.
    #[error("attribute {attribute:?} of node {node:?} is of type {got}, not {expected}")]
    AttributeType {
        /// The node.
        node: String,
        /// The attribute.
        attribute: String,
        /// The type asked for.
        expected: &'static str,
        /// The type found.
        got: &'static str,
    },
    /// Contents in another file, where only bytes were given.
    #[error(
        "tensor {tensor:?} keeps its contents in another file; save the model with all data in one file"
    )]
    ExternalData {
        /// The tensor.
        tensor: String,
    },
    /// External data that is not inside the model's own folder.
    #[error(
        "external data of tensor {tensor:?} at {location:?}: {reason}; it must be a relative path to a file inside the model's folder"
    )]
    ExternalDataPath {
        /// The tensor.
        tensor: String,
        /// The path as the model has it.
        location: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// External data whose description does not fit the tensor or the file.
    #[error("external data of tensor {tensor:?}: {reason}")]
    ExternalDataRange {
        /// The tensor.
        tensor: String,
        /// What does not fit.
        reason: String,
    },
}

impl OnnxError {
    /// The stable kebab-case code of this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "onnx-io",
            Self::NotAFile { .. } => "onnx-not-a-file",
            Self::LimitExceeded { .. } => "onnx-limit-exceeded",
            Self::Malformed { .. } => "onnx-malformed",
            Self::MissingField { .. } => "onnx-missing-field",
            Self::UnsupportedFeature { .. } => "onnx-unsupported-feature",
            Self::Duplicate { .. } => "onnx-duplicate",
            Self::UndefinedInput { .. } => "onnx-undefined-input",
            Self::UndefinedOutput { .. } => "onnx-undefined-output",
            Self::Cycle { .. } => "onnx-cycle",
            Self::MissingOpset { .. } => "onnx-missing-opset",
            Self::InvalidTensor { .. } => "onnx-invalid-tensor",
            Self::InvalidValue { .. } => "onnx-invalid-value",
            Self::InvalidNode { .. } => "onnx-invalid-node",
            Self::InvalidAttribute { .. } => "onnx-invalid-attribute",
            Self::AttributeType { .. } => "onnx-attribute-type",
            Self::ExternalData { .. } => "onnx-external-data",
            Self::ExternalDataPath { .. } => "onnx-external-data-path",
            Self::ExternalDataRange { .. } => "onnx-external-data-range",
        }
    }
}
