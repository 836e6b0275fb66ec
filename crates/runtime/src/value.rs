//! What goes into and comes out of a session.

use ort::value::{Shape, TensorElementType, ValueType};
use proofmark_types::tensor::element_count;
use proofmark_types::{ElemType, IntTensor, TensorError};

/// A dense row-major float32 tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatTensor {
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Row-major values, as many as the product of the dimensions (checked when it is run).
    pub data: Vec<f32>,
}

impl FloatTensor {
    /// Wraps row-major `data`.
    ///
    /// # Errors
    /// [`TensorError`] when the length does not fit the shape.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Result<Self, TensorError> {
        let tensor = Self { shape, data };
        tensor.check()?;
        Ok(tensor)
    }

    /// Refuses a length that does not fit the shape.
    pub(crate) fn check(&self) -> Result<(), TensorError> {
        let expected = element_count(&self.shape)?;
        if self.data.len() == expected {
            return Ok(());
        }
        Err(TensorError::Length {
            shape: self.shape.clone(),
            expected,
            got: self.data.len(),
        })
    }
}

/// A tensor of any type that sessions serve.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// uint8, int8 or int32.
    Int(IntTensor),
    /// float32.
    Float(FloatTensor),
}

impl Value {
    /// The integer tensor, if it is one.
    pub fn into_int(self) -> Option<IntTensor> {
        match self {
            Self::Int(tensor) => Some(tensor),
            Self::Float(_) => None,
        }
    }

    /// The float tensor, if it is one.
    pub fn into_float(self) -> Option<FloatTensor> {
        match self {
            Self::Float(tensor) => Some(tensor),
            Self::Int(_) => None,
        }
    }
}

/// A borrowed [`Value`], so that wrappers need not copy tensors to mix them.
#[derive(Clone, Copy)]
pub(crate) enum ValueView<'a> {
    Int(&'a IntTensor),
    Float(&'a FloatTensor),
}

impl<'a> ValueView<'a> {
    pub(crate) fn shape(self) -> &'a [usize] {
        match self {
            Self::Int(tensor) => tensor.shape(),
            Self::Float(tensor) => &tensor.shape,
        }
    }

    pub(crate) fn elem(self) -> Elem {
        match self {
            Self::Int(tensor) => Elem::Int(tensor.elem()),
            Self::Float(_) => Elem::Float,
        }
    }
}

/// Name, type and dimensions of a model's input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IoSpec {
    /// Its name.
    pub name: String,
    /// Element type as ONNX names it: `uint8`, `int8`, `int32`, `float`.
    pub elem: String,
    /// Dimensions, outermost first; `None` is free. Empty is a scalar or a model that does not
    /// tell the rank; then any shape is handed to the runtime, which decides.
    pub dims: Vec<Option<usize>>,
}

impl IoSpec {
    /// Whether a tensor of this shape fits.
    pub(crate) fn admits(&self, shape: &[usize]) -> bool {
        self.dims.is_empty()
            || self.dims.len() == shape.len()
                && self
                    .dims
                    .iter()
                    .zip(shape)
                    .all(|(dim, given)| dim.is_none_or(|dim| dim == *given))
    }

    /// The dimensions for a message, `?` where free.
    pub(crate) fn shape_text(&self) -> String {
        let dim = |dim: &Option<usize>| dim.map_or_else(|| "?".to_owned(), |dim| dim.to_string());
        format!(
            "[{}]",
            self.dims.iter().map(dim).collect::<Vec<_>>().join(", ")
        )
    }
}

/// Element types that sessions serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elem {
    Int(ElemType),
    Float,
}

impl Elem {
    pub(crate) fn onnx_name(self) -> &'static str {
        match self {
            Self::Int(elem) => elem.name(),
            Self::Float => "float",
        }
    }

    pub(crate) fn of(ty: TensorElementType) -> Option<Self> {
        match ty {
            TensorElementType::Uint8 => Some(Self::Int(ElemType::Uint8)),
            TensorElementType::Int8 => Some(Self::Int(ElemType::Int8)),
            TensorElementType::Int32 => Some(Self::Int(ElemType::Int32)),
            TensorElementType::Float32 => Some(Self::Float),
            _ => None,
        }
    }
}

/// ONNX's name of any type that the runtime can report.
pub(crate) fn type_name(ty: &ValueType) -> String {
    let ValueType::Tensor { ty, .. } = ty else {
        return ty.to_string();
    };
    match ty {
        TensorElementType::Int16 => "int16".to_owned(),
        TensorElementType::Int64 => "int64".to_owned(),
        TensorElementType::Uint16 => "uint16".to_owned(),
        TensorElementType::Uint32 => "uint32".to_owned(),
        TensorElementType::Uint64 => "uint64".to_owned(),
        TensorElementType::Float16 => "float16".to_owned(),
        TensorElementType::Bfloat16 => "bfloat16".to_owned(),
        TensorElementType::Float64 => "double".to_owned(),
        TensorElementType::String => "string".to_owned(),
        other => {
            Elem::of(*other).map_or_else(|| other.to_string(), |elem| elem.onnx_name().to_owned())
        }
    }
}

/// Dimensions as a model declares them; what is negative or absent is free.
pub(crate) fn dims_of(shape: &Shape) -> Vec<Option<usize>> {
    shape.iter().map(|&dim| usize::try_from(dim).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_dimensions_admit_anything_and_fixed_ones_nothing_else() {
        let spec = IoSpec {
            name: "x".to_owned(),
            elem: "uint8".to_owned(),
            dims: vec![None, Some(3)],
        };
        assert!(spec.admits(&[7, 3]) && spec.admits(&[0, 3]));
        assert!(!spec.admits(&[7, 4]) && !spec.admits(&[3]) && !spec.admits(&[1, 7, 3]));
        assert_eq!(spec.shape_text(), "[?, 3]");
    }

    #[test]
    fn float_tensors_are_checked() {
        assert!(FloatTensor::new(vec![2, 2], vec![0.0; 4]).is_ok());
        assert!(FloatTensor::new(vec![2, 2], vec![0.0; 5]).is_err());
        assert!(FloatTensor::new(vec![usize::MAX, 2], vec![]).is_err());
    }
}
