//! What a file may claim before it is refused.

use crate::error::OnnxError;

/// Upper bounds on everything that a file can make large. They are checked before the memory is
/// asked for. The defaults admit any model that can be proven today, with room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the model file itself.
    pub max_file_bytes: u64,
    /// Bytes that the decoded protobuf messages take in memory, payloads included. Without it a
    /// file of empty two-byte messages would grow by a factor of two hundred. Vectors that grow
    /// may hold up to three times their share for a moment.
    pub max_decoded_bytes: u64,
    /// Depth of nested protobuf messages; a subgraph takes three. Above 100 it has no effect.
    pub max_depth: usize,
    /// Nodes in the file, those of subgraphs included.
    pub max_nodes: usize,
    /// Inputs and outputs of one node.
    pub max_node_values: usize,
    /// Attributes of one node.
    pub max_attributes: usize,
    /// Dimensions of a tensor or a declared value.
    pub max_rank: usize,
    /// Elements of one tensor, stored or declared.
    pub max_elements: u64,
    /// Bytes that all stored tensors together take in memory (integers of 8 bits take 4 bytes
    /// each), external data included.
    pub max_total_tensor_bytes: u64,
    /// UTF-8 bytes of a name: of a node, tensor, operator, domain, attribute, or dimension.
    pub max_name: usize,
    /// UTF-8 bytes of any other text: documentation, metadata, a text attribute.
    pub max_string: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_file_bytes: 512 << 20,
            max_decoded_bytes: 2 << 30,
            max_depth: 64,
            max_nodes: 100_000,
            max_node_values: 4096,
            max_attributes: 256,
            max_rank: 16,
            max_elements: 1 << 28,
            max_total_tensor_bytes: 4 << 30,
            max_name: 4096,
            max_string: 1 << 20,
        }
    }
}

/// Refuses `got` above `maximum`; `what` is only called for the message.
pub(crate) fn within(
    got: u64,
    maximum: u64,
    limit: &'static str,
    what: impl FnOnce() -> String,
) -> Result<(), OnnxError> {
    if got > maximum {
        return Err(OnnxError::LimitExceeded {
            what: what(),
            limit,
            got,
            maximum,
        });
    }
    Ok(())
}
