//! A pass over the protobuf wire format before anything is decoded.
//!
//! prost allocates as it reads: two bytes of file become a message of a few hundred bytes. This
//! pass walks the same messages without allocating, adds up what decoding will take, and refuses
//! the file when that, its depth or its number of nodes is above the limits. It accepts a subset
//! of what prost accepts (no groups, which ONNX never had), so the sum is an upper bound.

use crate::error::OnnxError;
use crate::limits::{Limits, within};
use crate::proto;

/// prost's own limit of nesting; deeper it would refuse anyway.
const DECODER_DEPTH: usize = 100;

/// Charged for each string, byte string and message beside its contents: the vector's own words
/// and what the allocator adds.
const OVERHEAD: u64 = 32;

macro_rules! kinds {
    ($($kind:ident = $ty:ty, $name:literal;)*) => {
        /// A message type of onnx-ml.proto.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Kind { $($kind),* }

        impl Kind {
            /// Bytes that one message takes, without what it points to.
            const fn size(self) -> u64 {
                match self { $(Self::$kind => size_of::<$ty>() as u64),* }
            }

            /// The message's name in the standard.
            const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }
        }

        #[cfg(test)]
        const KINDS: &[Kind] = &[$(Kind::$kind),*];
    };
}

kinds! {
    Attribute = proto::AttributeProto, "AttributeProto";
    Device = proto::DeviceConfigurationProto, "DeviceConfigurationProto";
    DimSimple = proto::SimpleShardedDimProto, "SimpleShardedDimProto";
    Dimension = proto::tensor_shape_proto::Dimension, "TensorShapeProto.Dimension";
    Entry = proto::StringStringEntryProto, "StringStringEntryProto";
    Function = proto::FunctionProto, "FunctionProto";
    Graph = proto::GraphProto, "GraphProto";
    IntEntry = proto::IntIntListEntryProto, "IntIntListEntryProto";
    Model = proto::ModelProto, "ModelProto";
    Node = proto::NodeProto, "NodeProto";
    NodeDevice = proto::NodeDeviceConfigurationProto, "NodeDeviceConfigurationProto";
    OperatorSet = proto::OperatorSetIdProto, "OperatorSetIdProto";
    Segment = proto::tensor_proto::Segment, "TensorProto.Segment";
    ShardedDim = proto::ShardedDimProto, "ShardedDimProto";
    Sharding = proto::ShardingSpecProto, "ShardingSpecProto";
    SparseTensor = proto::SparseTensorProto, "SparseTensorProto";
    Tensor = proto::TensorProto, "TensorProto";
    TensorAnnotation = proto::TensorAnnotation, "TensorAnnotation";
    TensorShape = proto::TensorShapeProto, "TensorShapeProto";
    Training = proto::TrainingInfoProto, "TrainingInfoProto";
    Type = proto::TypeProto, "TypeProto";
    TypeMap = proto::type_proto::Map, "TypeProto.Map";
    TypeOpaque = proto::type_proto::Opaque, "TypeProto.Opaque";
    TypeOptional = proto::type_proto::Optional, "TypeProto.Optional";
    TypeSequence = proto::type_proto::Sequence, "TypeProto.Sequence";
    TypeSparse = proto::type_proto::SparseTensor, "TypeProto.SparseTensor";
    TypeTensor = proto::type_proto::Tensor, "TypeProto.Tensor";
    ValueInfo = proto::ValueInfoProto, "ValueInfoProto";
}

/// What a field costs. Single numbers lie inside their message and cost nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    /// A message, single or repeated.
    Message(Kind),
    /// A `string`, single or repeated.
    Text,
    /// A `bytes`, single or repeated.
    Bytes,
    /// Repeated numbers, packed or not: wire type of one, bytes of one in memory.
    Numbers { wire: u8, width: u64 },
}

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;
const FIXED32: u8 = 5;

const INT64S: Field = Field::Numbers {
    wire: VARINT,
    width: 8,
};

/// The fields of onnx-ml.proto that take memory; a test holds this against the file.
#[expect(
    clippy::unnested_or_patterns,
    reason = "one line a message reads as the .proto does"
)]
const fn field(kind: Kind, number: u32) -> Option<Field> {
    use Field::{Bytes, Message, Numbers, Text};
    Some(match (kind, number) {
        (Kind::Attribute, 1 | 13 | 21)
        | (Kind::Device, 1 | 3)
        | (Kind::DimSimple, 2)
        | (Kind::Dimension, 2 | 3)
        | (Kind::Entry, 1 | 2)
        | (Kind::Function, 1 | 4 | 5 | 6 | 8 | 10 | 13)
        | (Kind::Graph, 2 | 10)
        | (Kind::Model, 2 | 3 | 4 | 6)
        | (Kind::Node, 1 | 2 | 3 | 4 | 6 | 7 | 8)
        | (Kind::NodeDevice | Kind::OperatorSet | Kind::Sharding | Kind::TensorAnnotation, 1)
        | (Kind::Tensor, 8 | 12)
        | (Kind::Type, 6)
        | (Kind::TypeOpaque, 1 | 2)
        | (Kind::ValueInfo, 1 | 3) => Text,
        (Kind::Attribute, 4 | 9) | (Kind::Tensor, 6 | 9) => Bytes,
        (Kind::Attribute, 7) | (Kind::Tensor, 4) => Numbers {
            wire: FIXED32,
            width: 4,
        },
        (Kind::Tensor, 5) => Numbers {
            wire: VARINT,
            width: 4,
        },
        (Kind::Tensor, 10) => Numbers {
            wire: FIXED64,
            width: 8,
        },
        (Kind::Attribute, 8)
        | (Kind::IntEntry | Kind::Sharding, 2)
        | (Kind::SparseTensor, 3)
        | (Kind::Tensor, 1 | 7 | 11) => INT64S,
        (Kind::Attribute, 5 | 10) | (Kind::Graph, 5) | (Kind::SparseTensor, 1 | 2) => {
            Message(Kind::Tensor)
        }
        (Kind::Attribute, 6 | 11) | (Kind::Model, 7) | (Kind::Training, 1 | 2) => {
            Message(Kind::Graph)
        }
        (Kind::Attribute, 22 | 23) | (Kind::Graph, 15) => Message(Kind::SparseTensor),
        (Kind::Attribute, 14 | 15)
        | (Kind::TypeMap | Kind::ValueInfo, 2)
        | (Kind::TypeOptional | Kind::TypeSequence, 1) => Message(Kind::Type),
        (Kind::Function, 7) | (Kind::Graph, 1) => Message(Kind::Node),
        (Kind::Function, 9) | (Kind::Model, 8) => Message(Kind::OperatorSet),
        (Kind::Function, 11) | (Kind::Node, 5) => Message(Kind::Attribute),
        (Kind::Function, 12) | (Kind::Graph, 11..=13) => Message(Kind::ValueInfo),
        (Kind::Function | Kind::Model, 14)
        | (Kind::Graph, 16)
        | (Kind::Node, 9)
        | (Kind::Tensor, 13 | 16)
        | (Kind::TensorAnnotation, 2)
        | (Kind::Training, 3 | 4)
        | (Kind::ValueInfo, 4) => Message(Kind::Entry),
        (Kind::Graph, 14) => Message(Kind::TensorAnnotation),
        (Kind::Model, 20) => Message(Kind::Training),
        (Kind::Model, 25) => Message(Kind::Function),
        (Kind::Model, 26) => Message(Kind::Device),
        (Kind::Node, 10) => Message(Kind::NodeDevice),
        (Kind::NodeDevice, 2) => Message(Kind::Sharding),
        (Kind::Sharding, 3) => Message(Kind::IntEntry),
        (Kind::Sharding, 4) => Message(Kind::ShardedDim),
        (Kind::ShardedDim, 2) => Message(Kind::DimSimple),
        (Kind::Tensor, 3) => Message(Kind::Segment),
        (Kind::TensorShape, 1) => Message(Kind::Dimension),
        (Kind::Type, 1) => Message(Kind::TypeTensor),
        (Kind::Type, 4) => Message(Kind::TypeSequence),
        (Kind::Type, 5) => Message(Kind::TypeMap),
        (Kind::Type, 7) => Message(Kind::TypeOpaque),
        (Kind::Type, 8) => Message(Kind::TypeSparse),
        (Kind::Type, 9) => Message(Kind::TypeOptional),
        (Kind::TypeSparse | Kind::TypeTensor, 2) => Message(Kind::TensorShape),
        _ => return None,
    })
}

/// Refuses a model that decoding would make too large, too deep or too long.
///
/// # Errors
/// [`OnnxError::Malformed`] or [`OnnxError::LimitExceeded`].
pub(crate) fn check(bytes: &[u8], limits: &Limits) -> Result<(), OnnxError> {
    let mut scan = Scan {
        bytes,
        at: 0,
        limits,
        decoded: 0,
        nodes: 0,
    };
    scan.message(Kind::Model, bytes.len(), 0)
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    limits: &'a Limits,
    decoded: u64,
    nodes: u64,
}

impl Scan<'_> {
    fn malformed(&self, what: &str) -> OnnxError {
        OnnxError::Malformed {
            reason: format!("{what} at byte {}", self.at),
        }
    }

    fn charge(&mut self, bytes: u64) -> Result<(), OnnxError> {
        self.decoded = self.decoded.saturating_add(bytes);
        within(
            self.decoded,
            self.limits.max_decoded_bytes,
            "max_decoded_bytes",
            || {
                format!(
                    "the memory that the first {} bytes of the file take",
                    self.at
                )
            },
        )
    }

    fn varint(&mut self, end: usize) -> Result<u64, OnnxError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let Some(&byte) = self.bytes[..end].get(self.at) else {
                return Err(self.malformed("a number is cut off"));
            };
            self.at += 1;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.malformed("a number of more than 64 bits"))
    }

    /// Reads a length and returns where the item ends.
    fn item(&mut self, end: usize) -> Result<usize, OnnxError> {
        let length = self.varint(end)?;
        match usize::try_from(length)
            .ok()
            .and_then(|length| self.at.checked_add(length))
        {
            Some(item_end) if item_end <= end => Ok(item_end),
            _ => Err(self.malformed(&format!("an item that claims {length} bytes is cut off"))),
        }
    }

    fn skip(&mut self, wire: u8, end: usize) -> Result<(), OnnxError> {
        let next = match wire {
            VARINT => {
                self.varint(end)?;
                self.at
            }
            FIXED64 => self.at + 8,
            LENGTH => self.item(end)?,
            FIXED32 => self.at + 4,
            _ => return Err(self.malformed(&format!("wire type {wire}, unknown to ONNX,"))),
        };
        if next > end {
            return Err(self.malformed("a number is cut off"));
        }
        self.at = next;
        Ok(())
    }

    fn message(&mut self, kind: Kind, end: usize, depth: usize) -> Result<(), OnnxError> {
        let deepest = self.limits.max_depth.min(DECODER_DEPTH);
        within(depth as u64, deepest as u64, "max_depth", || {
            format!("the depth of a nested {}", kind.name())
        })?;
        self.charge(kind.size() + OVERHEAD)?;
        if kind == Kind::Node {
            self.nodes += 1;
            let most = self.limits.max_nodes as u64;
            within(self.nodes, most, "max_nodes", || {
                "the number of nodes".to_owned()
            })?;
        }
        while self.at < end {
            let key = self.varint(end)?;
            let Ok(key) = u32::try_from(key) else {
                return Err(self.malformed("a field number of more than 29 bits"));
            };
            let (number, wire) = (key >> 3, (key & 7) as u8);
            if number == 0 {
                return Err(self.malformed("field number 0"));
            }
            match (field(kind, number), wire) {
                (None, _) => self.skip(wire, end)?,
                (Some(Field::Message(inner)), LENGTH) => {
                    let item_end = self.item(end)?;
                    self.message(inner, item_end, depth + 1)?;
                }
                (Some(field @ (Field::Text | Field::Bytes)), LENGTH) => {
                    let item_end = self.item(end)?;
                    let length = (item_end - self.at) as u64;
                    if field == Field::Text {
                        let most = self.limits.max_string as u64;
                        within(length, most, "max_string", || {
                            format!("a text of a {} at byte {}", kind.name(), self.at)
                        })?;
                    }
                    self.charge(length + OVERHEAD)?;
                    self.at = item_end;
                }
                (Some(Field::Numbers { wire, width }), LENGTH) => {
                    let item_end = self.item(end)?;
                    let packed = &self.bytes[self.at..item_end];
                    let count = match wire {
                        FIXED32 => packed.len() / 4,
                        FIXED64 => packed.len() / 8,
                        // the last byte of a varint has its top bit clear
                        _ => packed.iter().filter(|&&byte| byte < 0x80).count(),
                    };
                    self.charge((count as u64).saturating_mul(width))?;
                    self.at = item_end;
                }
                (
                    Some(Field::Numbers {
                        wire: expected,
                        width,
                    }),
                    _,
                ) if wire == expected => {
                    self.charge(width)?;
                    self.skip(wire, end)?;
                }
                (Some(_), _) => {
                    return Err(self.malformed(&format!(
                        "field {number} of a {} with wire type {wire}",
                        kind.name()
                    )));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use protox::prost_reflect::{DescriptorPool, Kind as Type};

    use super::*;

    /// Every field of every message that a model can contain is charged as its declaration says.
    #[test]
    fn the_table_is_the_standards() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
        let files = protox::compile([root.join("onnx-ml.proto")], [root]).unwrap();
        let pool = DescriptorPool::from_file_descriptor_set(files).unwrap();
        assert_eq!(pool.all_messages().count(), KINDS.len());
        for &kind in KINDS {
            let message = pool
                .get_message_by_name(&format!("onnx.{}", kind.name()))
                .unwrap();
            for number in 1..=64 {
                let expected = message.get_field(number).and_then(|declared| {
                    match (declared.kind(), declared.is_list()) {
                        (Type::Message(inner), _) => Some(Field::Message(
                            *KINDS
                                .iter()
                                .find(|kind| format!("onnx.{}", kind.name()) == inner.full_name())
                                .unwrap(),
                        )),
                        (Type::String, _) => Some(Field::Text),
                        (Type::Bytes, _) => Some(Field::Bytes),
                        (Type::Float, true) => Some(Field::Numbers {
                            wire: FIXED32,
                            width: 4,
                        }),
                        (Type::Double, true) => Some(Field::Numbers {
                            wire: FIXED64,
                            width: 8,
                        }),
                        (Type::Int32, true) => Some(Field::Numbers {
                            wire: VARINT,
                            width: 4,
                        }),
                        (Type::Int64 | Type::Uint64, true) => Some(INT64S),
                        (other, true) => panic!("repeated {other:?}"),
                        (_, false) => None,
                    }
                });
                assert_eq!(
                    field(kind, number),
                    expected,
                    "{} field {number}",
                    kind.name()
                );
            }
            assert!(message.fields().all(|field| field.number() <= 64));
        }
    }

    fn code(bytes: &[u8], limits: &Limits) -> &'static str {
        check(bytes, limits).map_or_else(|error| error.code(), |()| "ok")
    }

    #[test]
    fn numbers_are_read_as_prost_reads_them() {
        let limits = Limits::default();
        // ir_version = u64::MAX, in ten bytes; then one bit more; then eleven bytes
        let mut longest = vec![0x08];
        longest.extend([0xff; 9]);
        longest.push(0x01);
        assert_eq!(code(&longest, &limits), "ok");
        longest[10] = 0x02;
        assert_eq!(code(&longest, &limits), "onnx-malformed");
        longest[10] = 0x81;
        longest.push(0);
        assert_eq!(code(&longest, &limits), "onnx-malformed");
        // cut off: a varint, a fixed32, a fixed64, a length
        for cut in [
            &[0x08, 0x80][..],
            &[0x0d, 0, 0],
            &[0x09, 0, 0, 0],
            &[0x12, 3, b'a'],
        ] {
            assert_eq!(code(cut, &limits), "onnx-malformed", "{cut:?}");
        }
        // field number 0, a group, a message field that is a number
        for wrong in [&[0x00, 0][..], &[0x0b, 0x0c], &[0x38, 0]] {
            assert_eq!(code(wrong, &limits), "onnx-malformed", "{wrong:?}");
        }
    }

    #[test]
    fn an_item_that_claims_two_gigabytes_is_refused() {
        // graph { initializer { raw_data: 2^31 bytes claimed } }
        let claim = [0x3a, 9, 0x2a, 7, 0x4a, 0x80, 0x80, 0x80, 0x80, 0x08, 0];
        assert_eq!(code(&claim, &Limits::default()), "onnx-malformed");
    }

    #[test]
    fn each_limit_is_exact() {
        let limits = Limits::default();
        // graph { node {} node {} }
        let nodes = [0x3a, 4, 0x0a, 0, 0x0a, 0];
        assert_eq!(
            code(
                &nodes,
                &Limits {
                    max_nodes: 2,
                    ..limits.clone()
                }
            ),
            "ok"
        );
        assert_eq!(
            code(
                &nodes,
                &Limits {
                    max_nodes: 1,
                    ..limits.clone()
                }
            ),
            "onnx-limit-exceeded"
        );
        assert_eq!(
            code(
                &nodes,
                &Limits {
                    max_depth: 2,
                    ..limits.clone()
                }
            ),
            "ok"
        );
        assert_eq!(
            code(
                &nodes,
                &Limits {
                    max_depth: 1,
                    ..limits.clone()
                }
            ),
            "onnx-limit-exceeded"
        );
        let cost = Kind::Model.size() + Kind::Graph.size() + 2 * Kind::Node.size() + 4 * OVERHEAD;
        assert_eq!(
            code(
                &nodes,
                &Limits {
                    max_decoded_bytes: cost,
                    ..limits.clone()
                }
            ),
            "ok"
        );
        assert_eq!(
            code(
                &nodes,
                &Limits {
                    max_decoded_bytes: cost - 1,
                    ..limits.clone()
                }
            ),
            "onnx-limit-exceeded"
        );
        // producer_name: "abc"
        let text = [0x12, 3, b'a', b'b', b'c'];
        assert_eq!(
            code(
                &text,
                &Limits {
                    max_string: 3,
                    ..limits.clone()
                }
            ),
            "ok"
        );
        assert_eq!(
            code(
                &text,
                &Limits {
                    max_string: 2,
                    ..limits
                }
            ),
            "onnx-limit-exceeded"
        );
    }

    #[test]
    fn packed_and_single_numbers_cost_the_same() {
        // graph { initializer { int64_data: 1, 300 } } packed, then one by one
        let packed = [0x3a, 7, 0x2a, 5, 0x3a, 3, 1, 0xac, 0x02];
        let single = [0x3a, 7, 0x2a, 5, 0x38, 1, 0x38, 0xac, 0x02];
        let structs = Kind::Model.size() + Kind::Graph.size() + Kind::Tensor.size() + 3 * OVERHEAD;
        for bytes in [packed, single] {
            let exact = Limits {
                max_decoded_bytes: structs + 16,
                ..Limits::default()
            };
            assert_eq!(code(&bytes, &exact), "ok");
            let tight = Limits {
                max_decoded_bytes: structs + 15,
                ..Limits::default()
            };
            assert_eq!(code(&bytes, &tight), "onnx-limit-exceeded");
        }
    }
}
