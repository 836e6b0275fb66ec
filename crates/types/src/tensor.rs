//! Integer tensors and their typed binary encoding, the only form in which tensors are digested.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Element type of an integer tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ElemType {
    /// Unsigned 8 bits, 0 … 255.
    Uint8,
    /// Signed 8 bits, −128 … 127.
    Int8,
    /// Signed 32 bits.
    Int32,
}

impl ElemType {
    /// Smallest value.
    pub const fn min(self) -> i32 {
        match self {
            Self::Uint8 => 0,
            Self::Int8 => -128,
            Self::Int32 => i32::MIN,
        }
    }

    /// Largest value.
    pub const fn max(self) -> i32 {
        match self {
            Self::Uint8 => 255,
            Self::Int8 => 127,
            Self::Int32 => i32::MAX,
        }
    }

    /// Width of an element in bits.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Uint8 | Self::Int8 => 8,
            Self::Int32 => 32,
        }
    }

    /// Width of an element in bytes.
    pub const fn width(self) -> usize {
        match self {
            Self::Uint8 | Self::Int8 => 1,
            Self::Int32 => 4,
        }
    }

    /// Stable one-byte tag, used in binary encodings and in the Poseidon domain tag.
    pub const fn tag(self) -> u8 {
        match self {
            Self::Uint8 => 1,
            Self::Int8 => 2,
            Self::Int32 => 3,
        }
    }

    /// The lower-case name, as in the manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uint8 => "uint8",
            Self::Int8 => "int8",
            Self::Int32 => "int32",
        }
    }

    /// The Open Inference Protocol's name.
    pub const fn oip_name(self) -> &'static str {
        match self {
            Self::Uint8 => "UINT8",
            Self::Int8 => "INT8",
            Self::Int32 => "INT32",
        }
    }
}

impl fmt::Display for ElemType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why some values are not a tensor of the claimed type and shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// The number of values is not the product of the dimensions.
    #[error("shape {shape:?} has {expected} elements, got {got}")]
    Length {
        /// The claimed shape.
        shape: Vec<usize>,
        /// Product of its dimensions.
        expected: usize,
        /// Values given.
        got: usize,
    },
    /// The product of the dimensions does not fit the address space.
    #[error("shape {shape:?} has more elements than can be addressed")]
    TooLarge {
        /// The claimed shape.
        shape: Vec<usize>,
    },
    /// A value is outside the element type.
    #[error("value {value} at index {index} is outside {elem}")]
    OutOfRange {
        /// The element type.
        elem: ElemType,
        /// Row-major index.
        index: usize,
        /// The value.
        value: i64,
    },
}

/// A dense row-major integer tensor. Values are held as `i32` whatever the element type, and are
/// always inside the element type's range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntTensor {
    elem: ElemType,
    shape: Vec<usize>,
    data: Vec<i32>,
}

/// Product of the dimensions (1 for a scalar, 0 when a dimension is 0).
///
/// # Errors
/// [`TensorError::TooLarge`] when the product does not fit `usize`.
pub fn element_count(shape: &[usize]) -> Result<usize, TensorError> {
    if shape.contains(&0) {
        return Ok(0);
    }
    shape
        .iter()
        .try_fold(1_usize, |n, &d| n.checked_mul(d))
        .ok_or_else(|| TensorError::TooLarge {
            shape: shape.to_vec(),
        })
}

impl TensorError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Length { .. } => "tensor-length-mismatch",
            Self::TooLarge { .. } => "tensor-too-large",
            Self::OutOfRange { .. } => "tensor-value-out-of-range",
        }
    }
}

impl IntTensor {
    /// Wraps row-major `data`.
    ///
    /// # Errors
    /// [`TensorError`] when the length does not fit the shape or a value does not fit the type.
    pub fn new(elem: ElemType, shape: Vec<usize>, data: Vec<i32>) -> Result<Self, TensorError> {
        let expected = element_count(&shape)?;
        if data.len() != expected {
            return Err(TensorError::Length {
                shape,
                expected,
                got: data.len(),
            });
        }
        if let Some((index, &value)) = data
            .iter()
            .enumerate()
            .find(|&(_, &v)| v < elem.min() || v > elem.max())
        {
            return Err(TensorError::OutOfRange {
                elem,
                index,
                value: i64::from(value),
            });
        }
        Ok(Self { elem, shape, data })
    }

    /// Element type.
    pub const fn elem(&self) -> ElemType {
        self.elem
    }

    /// Dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Row-major values, each inside the element type's range.
    pub fn data(&self) -> &[i32] {
        &self.data
    }

    /// Row-major values by value.
    pub fn into_data(self) -> Vec<i32> {
        self.data
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether a dimension is 0.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The same values under another shape.
    ///
    /// # Errors
    /// [`TensorError::Length`] when the element counts differ.
    pub fn reshaped(self, shape: Vec<usize>) -> Result<Self, TensorError> {
        Self::new(self.elem, shape, self.data)
    }

    /// Little-endian bytes of the values alone, row-major.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        let width = self.elem.width();
        self.data
            .iter()
            .flat_map(|value| value.to_le_bytes().into_iter().take(width))
            .collect()
    }

    /// Reads little-endian values, row-major.
    ///
    /// # Errors
    /// [`TensorError::Length`] when the byte count is not the element count times the width.
    pub fn from_le_bytes(
        elem: ElemType,
        shape: Vec<usize>,
        bytes: &[u8],
    ) -> Result<Self, TensorError> {
        let width = elem.width();
        let expected = element_count(&shape)?;
        if expected.checked_mul(width) != Some(bytes.len()) {
            let got = bytes.chunks(width).count();
            return Err(TensorError::Length {
                shape,
                expected,
                got,
            });
        }
        let data = bytes
            .chunks_exact(width)
            .map(|chunk| match (elem, chunk) {
                (ElemType::Uint8, &[b]) => i32::from(b),
                (ElemType::Int8, &[b]) => i32::from(b.cast_signed()),
                (_, &[a, b, c, d]) => i32::from_le_bytes([a, b, c, d]),
                _ => 0,
            })
            .collect();
        Self::new(elem, shape, data)
    }

    /// The typed binary encoding that digests are taken over:
    /// `"proofmark/tensor/v1\0"`, name length (u32 LE) and UTF-8 name, element tag (1 byte), rank
    /// (u32 LE), dimensions (u64 LE each), values (little-endian, row-major).
    pub fn encode(&self, name: &str) -> Vec<u8> {
        let mut bytes = b"proofmark/tensor/v1\0".to_vec();
        bytes.extend_from_slice(&u32::try_from(name.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(self.elem.tag());
        bytes.extend_from_slice(
            &u32::try_from(self.shape.len())
                .unwrap_or(u32::MAX)
                .to_le_bytes(),
        );
        for &dim in &self.shape {
            bytes.extend_from_slice(&u64::try_from(dim).unwrap_or(u64::MAX).to_le_bytes());
        }
        bytes.extend_from_slice(&self.to_le_bytes());
        bytes
    }

    /// Digest of [`encode`](Self::encode).
    pub fn digest(&self, name: &str) -> Digest {
        Digest::of(&self.encode(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip_at_the_extremes() {
        for elem in [ElemType::Uint8, ElemType::Int8, ElemType::Int32] {
            let tensor = IntTensor::new(elem, vec![1, 3], vec![elem.min(), elem.max(), 7]).unwrap();
            let back = IntTensor::from_le_bytes(elem, vec![1, 3], &tensor.to_le_bytes()).unwrap();
            assert_eq!(back, tensor);
        }
    }

    #[test]
    fn refuses_what_does_not_fit() {
        assert!(matches!(
            IntTensor::new(ElemType::Uint8, vec![2], vec![0, 256]),
            Err(TensorError::OutOfRange {
                index: 1,
                value: 256,
                ..
            })
        ));
        assert!(matches!(
            IntTensor::new(ElemType::Int8, vec![2], vec![0]),
            Err(TensorError::Length {
                expected: 2,
                got: 1,
                ..
            })
        ));
        assert!(matches!(
            IntTensor::new(ElemType::Int8, vec![usize::MAX, 2], vec![]),
            Err(TensorError::TooLarge { .. })
        ));
        assert!(IntTensor::from_le_bytes(ElemType::Int32, vec![1], &[0, 0, 0]).is_err());
        assert!(IntTensor::from_le_bytes(ElemType::Int32, vec![1], &[0, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn encoding_tells_name_type_and_shape_apart() {
        let u = IntTensor::new(ElemType::Uint8, vec![2, 1], vec![1, 2]).unwrap();
        let i = IntTensor::new(ElemType::Int8, vec![2, 1], vec![1, 2]).unwrap();
        let flat = u.clone().reshaped(vec![2]).unwrap();
        let digests = [
            u.digest("x"),
            u.digest("y"),
            i.digest("x"),
            flat.digest("x"),
        ];
        for (k, a) in digests.iter().enumerate() {
            assert!(digests.iter().skip(k + 1).all(|b| a != b));
        }
    }
}
