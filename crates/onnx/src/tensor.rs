//! `TensorProto` to [`Tensor`]: type, shape and contents must fit each other before any memory is
//! asked for.

use proofmark_types::IntTensor;

use crate::error::OnnxError;
use crate::external::Folder;
use crate::limits::{Limits, within};
use crate::model::{Tensor, TensorData, ValueType};
use crate::proto;
use crate::proto::tensor_proto::DataLocation;

/// Reads the tensors of one file and adds up what they take.
pub(crate) struct TensorReader<'a> {
    limits: &'a Limits,
    /// Where external data may be; `None` when there is only one file.
    folder: Option<&'a Folder>,
    /// Bytes in memory of all tensors so far.
    total: u64,
}

impl<'a> TensorReader<'a> {
    pub(crate) const fn new(limits: &'a Limits, folder: Option<&'a Folder>) -> Self {
        Self {
            limits,
            folder,
            total: 0,
        }
    }

    /// `name` is for messages: the initializer's, or the attribute and its node.
    ///
    /// # Errors
    /// [`OnnxError::InvalidTensor`], [`OnnxError::LimitExceeded`], those of external data.
    pub(crate) fn read(
        &mut self,
        name: &str,
        proto: proto::TensorProto,
    ) -> Result<Tensor, OnnxError> {
        let refuse = |reason: String| OnnxError::InvalidTensor {
            tensor: name.to_owned(),
            reason,
        };
        let data_type = match proto.data_type {
            Some(data_type) if data_type > 0 => data_type,
            Some(0) | None => return Err(refuse("no element type".to_owned())),
            Some(negative) => return Err(refuse(format!("element type {negative}"))),
        };
        let ty = ValueType::from_data_type(data_type);
        if proto.segment.is_some() {
            return Err(refuse(
                "stored in segments, which no runtime reads".to_owned(),
            ));
        }
        let (shape, elements) = self.shape(name, &proto.dims)?;

        let external = match proto.data_location {
            None => false,
            Some(location) => match DataLocation::try_from(location) {
                Ok(DataLocation::Default) => false,
                Ok(DataLocation::External) => true,
                Err(_) => return Err(refuse(format!("unknown data location {location}"))),
            },
        };
        if external && self.folder.is_none() {
            return Err(OnnxError::ExternalData {
                tensor: name.to_owned(),
            });
        }
        if !external && !proto.external_data.is_empty() {
            return Err(refuse(
                "names external data, but does not use it".to_owned(),
            ));
        }
        let typed = typed_field(&proto).map_err(&refuse)?;
        let stored = [external, proto.raw_data.is_some(), typed.is_some()];
        if stored.into_iter().filter(|&there| there).count() > 1 {
            return Err(refuse(
                "contents are stored in more than one way".to_owned(),
            ));
        }

        let Some(width) = ty.width() else {
            return Ok(Tensor {
                shape,
                data: TensorData::Unsupported(data_type),
            });
        };
        if let Some(field) = typed
            && field != field_of(ty)
        {
            return Err(refuse(format!(
                "elements of data type {data_type} stored in {field}"
            )));
        }
        // `width` is the file's; integers of 8 bits are held in 32
        let in_memory = if matches!(ty, ValueType::Int(_)) {
            4
        } else {
            width as u64
        };
        self.total = self
            .total
            .saturating_add(in_memory.saturating_mul(elements as u64));
        let most = self.limits.max_total_tensor_bytes;
        within(self.total, most, "max_total_tensor_bytes", || {
            format!("the memory that all tensors up to {name:?} take")
        })?;
        let bytes = elements
            .checked_mul(width)
            .ok_or_else(|| refuse(format!("shape {shape:?} cannot be addressed")))?;

        let data = if external {
            let folder = self.folder.ok_or_else(|| OnnxError::ExternalData {
                tensor: name.to_owned(),
            })?;
            let raw = folder.read(name, &proto.external_data, bytes)?;
            from_raw(ty, &shape, &raw).map_err(&refuse)?
        } else if let Some(raw) = proto.raw_data {
            if raw.len() != bytes {
                let got = raw.len();
                return Err(refuse(format!(
                    "shape {shape:?} takes {bytes} bytes, got {got}"
                )));
            }
            from_raw(ty, &shape, &raw).map_err(&refuse)?
        } else {
            from_typed(ty, &shape, proto).map_err(&refuse)?
        };
        match data.element_count() {
            Some(got) if got != elements => Err(refuse(format!(
                "shape {shape:?} has {elements} elements, got {got}"
            ))),
            _ => Ok(Tensor { shape, data }),
        }
    }

    /// Dimensions and their product, within the limits.
    fn shape(&self, name: &str, dims: &[i64]) -> Result<(Vec<usize>, usize), OnnxError> {
        let refuse = |reason: String| OnnxError::InvalidTensor {
            tensor: name.to_owned(),
            reason,
        };
        within(
            dims.len() as u64,
            self.limits.max_rank as u64,
            "max_rank",
            || format!("the rank of tensor {name:?}"),
        )?;
        let mut shape = Vec::with_capacity(dims.len());
        for &dim in dims {
            let Ok(dim) = u64::try_from(dim) else {
                return Err(refuse(format!("dimension {dim} is negative")));
            };
            let what = || format!("a dimension of tensor {name:?}");
            within(dim, self.limits.max_elements, "max_elements", what)?;
            shape.push(
                usize::try_from(dim)
                    .map_err(|_| refuse(format!("dimension {dim} cannot be addressed")))?,
            );
        }
        let elements = product(&shape);
        within(elements, self.limits.max_elements, "max_elements", || {
            format!("the number of elements of tensor {name:?}")
        })?;
        let elements = usize::try_from(elements)
            .map_err(|_| refuse(format!("shape {shape:?} cannot be addressed")))?;
        Ok((shape, elements))
    }
}

/// Product of the dimensions; 0 if one of them is, else at most `u64::MAX`.
pub(crate) fn product(shape: &[usize]) -> u64 {
    if shape.contains(&0) {
        return 0;
    }
    shape
        .iter()
        .fold(1, |product: u64, &dim| product.saturating_mul(dim as u64))
}

/// Which typed field holds contents.
fn typed_field(proto: &proto::TensorProto) -> Result<Option<&'static str>, String> {
    let fields = [
        ("float_data", proto.float_data.is_empty()),
        ("int32_data", proto.int32_data.is_empty()),
        ("string_data", proto.string_data.is_empty()),
        ("int64_data", proto.int64_data.is_empty()),
        ("double_data", proto.double_data.is_empty()),
        ("uint64_data", proto.uint64_data.is_empty()),
    ];
    let mut filled = fields
        .into_iter()
        .filter(|&(_, empty)| !empty)
        .map(|(field, _)| field);
    match (filled.next(), filled.next()) {
        (Some(one), Some(two)) => Err(format!("contents in both {one} and {two}")),
        (one, _) => Ok(one),
    }
}

/// The typed field that the standard gives to a type.
const fn field_of(ty: ValueType) -> &'static str {
    match ty {
        ValueType::Float => "float_data",
        ValueType::Double => "double_data",
        ValueType::Int64 => "int64_data",
        ValueType::Int(_) | ValueType::Bool => "int32_data",
        ValueType::Other(_) => "",
    }
}

/// The contents as little-endian bytes; their number has been checked.
fn from_raw(ty: ValueType, shape: &[usize], raw: &[u8]) -> Result<TensorData, String> {
    Ok(match ty {
        ValueType::Float => TensorData::Float(
            raw.as_chunks()
                .0
                .iter()
                .map(|&b| f32::from_le_bytes(b))
                .collect(),
        ),
        ValueType::Double => TensorData::Double(
            raw.as_chunks()
                .0
                .iter()
                .map(|&b| f64::from_le_bytes(b))
                .collect(),
        ),
        ValueType::Int64 => TensorData::Int64(
            raw.as_chunks()
                .0
                .iter()
                .map(|&b| i64::from_le_bytes(b))
                .collect(),
        ),
        ValueType::Int(elem) => TensorData::Int(
            IntTensor::from_le_bytes(elem, shape.to_vec(), raw).map_err(|e| e.to_string())?,
        ),
        ValueType::Bool => TensorData::Bool(bools(raw.iter().map(|&byte| i32::from(byte)))?),
        ValueType::Other(data_type) => TensorData::Unsupported(data_type),
    })
}

/// The contents out of the field of their type.
fn from_typed(
    ty: ValueType,
    shape: &[usize],
    proto: proto::TensorProto,
) -> Result<TensorData, String> {
    Ok(match ty {
        ValueType::Float => TensorData::Float(proto.float_data),
        ValueType::Double => TensorData::Double(proto.double_data),
        ValueType::Int64 => TensorData::Int64(proto.int64_data),
        ValueType::Int(elem) => TensorData::Int(
            IntTensor::new(elem, shape.to_vec(), proto.int32_data).map_err(|e| e.to_string())?,
        ),
        ValueType::Bool => TensorData::Bool(bools(proto.int32_data.into_iter())?),
        ValueType::Other(data_type) => TensorData::Unsupported(data_type),
    })
}

fn bools(values: impl Iterator<Item = i32>) -> Result<Vec<bool>, String> {
    values
        .map(|value| match value {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(format!("value {other} is not a bool")),
        })
        .collect()
}

/// [`Tensor`] to `TensorProto`, contents always as raw bytes.
pub(crate) fn write(name: Option<&str>, tensor: &Tensor) -> proto::TensorProto {
    let raw_data = match &tensor.data {
        TensorData::Float(data) => Some(data.iter().flat_map(|v| v.to_le_bytes()).collect()),
        TensorData::Double(data) => Some(data.iter().flat_map(|v| v.to_le_bytes()).collect()),
        TensorData::Int64(data) => Some(data.iter().flat_map(|v| v.to_le_bytes()).collect()),
        TensorData::Int(data) => Some(data.to_le_bytes()),
        TensorData::Bool(data) => Some(data.iter().map(|&v| u8::from(v)).collect()),
        TensorData::Unsupported(_) => None,
    };
    proto::TensorProto {
        name: name.map(str::to_owned),
        dims: tensor
            .shape
            .iter()
            .map(|&dim| i64::try_from(dim).unwrap_or(i64::MAX))
            .collect(),
        data_type: Some(tensor.ty().data_type()),
        raw_data,
        ..proto::TensorProto::default()
    }
}

#[cfg(test)]
mod tests {
    use proofmark_types::ElemType;

    use super::*;

    fn read(proto: proto::TensorProto) -> Result<Tensor, OnnxError> {
        TensorReader::new(&Limits::default(), None).read("t", proto)
    }

    fn reason(proto: proto::TensorProto) -> String {
        read(proto).unwrap_err().to_string()
    }

    fn typed(data_type: i32, dims: &[i64]) -> proto::TensorProto {
        proto::TensorProto {
            data_type: Some(data_type),
            dims: dims.to_vec(),
            ..proto::TensorProto::default()
        }
    }

    #[test]
    fn each_type_is_read_from_raw_and_typed_fields_alike() {
        let int =
            |elem, data: Vec<i32>| TensorData::Int(IntTensor::new(elem, vec![2], data).unwrap());
        let cases = [
            (TensorData::Float(vec![-0.5, f32::MAX]), 0),
            (TensorData::Double(vec![-0.5, f64::MIN_POSITIVE]), 1),
            (TensorData::Int64(vec![i64::MIN, i64::MAX]), 2),
            (int(ElemType::Uint8, vec![0, 255]), 3),
            (int(ElemType::Int8, vec![-128, 127]), 3),
            (int(ElemType::Int32, vec![i32::MIN, i32::MAX]), 3),
            (TensorData::Bool(vec![true, false]), 4),
        ];
        for (data, field) in cases {
            let tensor = Tensor::new(vec![2], data).unwrap();
            let raw = write(Some("t"), &tensor);
            let mut fields = typed(tensor.ty().data_type(), &[2]);
            match (&tensor.data, field) {
                (TensorData::Float(data), 0) => fields.float_data.clone_from(data),
                (TensorData::Double(data), 1) => fields.double_data.clone_from(data),
                (TensorData::Int64(data), 2) => fields.int64_data.clone_from(data),
                (TensorData::Int(data), 3) => fields.int32_data = data.data().to_vec(),
                (TensorData::Bool(_), 4) => fields.int32_data = vec![1, 0],
                other => panic!("{other:?}"),
            }
            assert_eq!(read(raw).unwrap(), tensor);
            assert_eq!(read(fields.clone()).unwrap(), tensor);
            // one element too few, in either form
            fields.dims = vec![3];
            assert!(reason(fields).contains('3'));
            let mut short = write(Some("t"), &tensor);
            short.raw_data.as_mut().unwrap().pop();
            assert!(reason(short).contains("bytes, got"));
        }
    }

    #[test]
    fn values_outside_of_their_type_are_refused() {
        for (data_type, value) in [(2, 256), (2, -1), (3, 128), (3, -129), (9, 2), (9, -1)] {
            let mut tensor = typed(data_type, &[1]);
            tensor.int32_data = vec![value];
            assert!(
                reason(tensor).contains(&value.to_string()),
                "{data_type} {value}"
            );
        }
        let mut raw = typed(9, &[1]);
        raw.raw_data = Some(vec![2]);
        assert!(reason(raw).contains("not a bool"));
    }

    #[test]
    fn contents_are_stored_in_one_way() {
        let mut both = typed(1, &[1]);
        both.raw_data = Some(vec![0; 4]);
        both.float_data = vec![0.0];
        assert!(reason(both.clone()).contains("more than one way"));
        both.raw_data = Some(vec![]);
        assert!(reason(both.clone()).contains("more than one way"));
        both.raw_data = None;
        both.int32_data = vec![0];
        assert!(reason(both).contains("both float_data and int32_data"));
        let mut wrong = typed(1, &[1]);
        wrong.int32_data = vec![0];
        assert!(reason(wrong).contains("stored in int32_data"));
        let mut unused = typed(1, &[0]);
        unused.external_data = vec![proto::StringStringEntryProto::default()];
        assert!(reason(unused).contains("does not use it"));
        assert!(reason(typed(1, &[1])).contains("1 elements, got 0"));
    }

    #[test]
    fn shapes_are_refused_before_memory_is_asked_for() {
        assert!(reason(typed(1, &[2, -1])).contains("-1 is negative"));
        for dims in [
            &[i64::MAX][..],
            &[1 << 20, 1 << 20],
            &[i64::MAX, i64::MAX, 4],
            &[0, i64::MAX],
        ] {
            let error = read(typed(1, dims)).unwrap_err();
            assert!(
                matches!(
                    error,
                    OnnxError::LimitExceeded {
                        limit: "max_elements",
                        ..
                    }
                ),
                "{dims:?} {error}"
            );
        }
        assert!(matches!(
            read(typed(1, &[1; 17])).unwrap_err(),
            OnnxError::LimitExceeded {
                limit: "max_rank",
                got: 17,
                ..
            }
        ));
        assert_eq!(read(typed(1, &[0, 5])).unwrap().shape, [0, 5]);
        assert!(matches!(
            read(typed(7, &[1 << 28])).unwrap_err(),
            OnnxError::InvalidTensor { .. }
        ));
    }

    #[test]
    fn all_tensors_together_are_limited() {
        let limits = Limits {
            max_total_tensor_bytes: 8,
            ..Limits::default()
        };
        let mut reader = TensorReader::new(&limits, None);
        let mut tensor = typed(3, &[1]);
        tensor.raw_data = Some(vec![1]);
        reader.read("a", tensor.clone()).unwrap();
        reader.read("b", tensor.clone()).unwrap();
        assert!(matches!(
            reader.read("c", tensor).unwrap_err(),
            OnnxError::LimitExceeded {
                limit: "max_total_tensor_bytes",
                got: 12,
                ..
            }
        ));
    }

    #[test]
    fn other_types_are_kept_by_number() {
        for data_type in [4, 5, 8, 10, 12, 13, 14, 15, 16, 17, 21, 22, 99] {
            let tensor = read(typed(data_type, &[3])).unwrap();
            assert_eq!(tensor.data, TensorData::Unsupported(data_type));
            assert_eq!(read(write(None, &tensor)).unwrap(), tensor);
        }
        assert!(reason(typed(0, &[])).contains("no element type"));
        assert!(reason(typed(-1, &[])).contains("element type -1"));
        let mut segment = typed(1, &[0]);
        segment.segment = Some(proto::tensor_proto::Segment::default());
        assert!(reason(segment).contains("segments"));
    }
}
