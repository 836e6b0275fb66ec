//! `Resize` and `Upsample` to the nearest element.

use proofmark_onnx::Node;
use proofmark_types::{ElemType, IntTensor};

use super::Importer;
use super::cut::{Cut, own_name};
use super::movers::Move;
use super::shapes::gathered;
use crate::read::{Stop, check_shape, refuse};

impl Importer<'_> {
    /// `Resize` and `Upsample` with mode nearest: the runtime says which element each output is,
    /// and the canonical model gathers it.
    pub(super) fn resize(&self, node: &Node, shape: &[usize]) -> Result<Vec<Move>, Stop> {
        let mode = node.attr_string("mode")?.unwrap_or("nearest");
        let crop = node.attr_string("coordinate_transformation_mode")?;
        let crop = crop.filter(|&crop| crop == "tf_crop_and_resize");
        if mode != "nearest" || crop.is_some() {
            return Err(refuse(
                match crop {
                    Some(crop) => format!(
                        "mode {mode:?} with coordinate_transformation_mode {crop:?} computes new values"
                    ),
                    None => format!("mode {mode:?} computes new values"),
                },
                "export with mode nearest; replace other modes by a transposed convolution",
            ));
        }
        let count: usize = shape.iter().product();
        let numbers = (0..count)
            .map(|at| i32::try_from(at).unwrap_or(i32::MAX))
            .collect();
        let feed = IntTensor::new(ElemType::Int32, shape.to_vec(), numbers);
        let feed = feed.map_err(|error| refuse(error.to_string(), "report this model"))?;
        let mut alone = node.clone();
        let name = own_name("resized", 0);
        if let Some(input) = alone.inputs.first_mut() {
            input.clone_from(&name);
        }
        let cut = Cut {
            inputs: vec![(name, ElemType::Int32)],
            nodes: vec![alone],
            ..Cut::default()
        };
        let made = self.run_cut(&cut, &[feed], ElemType::Int32)?;
        check_shape(made.shape())?;
        let apart = separate(shape, made.shape(), made.data()).ok_or_else(|| {
            refuse(
                "its outputs are no grid of its inputs",
                "export with mode nearest",
            )
        })?;
        let mut chain = Vec::new();
        let mut current = shape.to_vec();
        for (axis, indices) in apart.iter().enumerate() {
            if !indices.iter().copied().eq(0..shape[axis]) {
                chain.push(gathered(&current, axis, indices));
                current[axis] = indices.len();
            }
        }
        Ok(chain)
    }
}

/// For each dimension the input index of each output index, where flat input positions `data` of
/// the outputs are made of such.
fn separate(from: &[usize], to: &[usize], data: &[i32]) -> Option<Vec<Vec<usize>>> {
    if from.len() != to.len() {
        return None;
    }
    let strides = |shape: &[usize]| -> Vec<usize> {
        (0..shape.len())
            .map(|axis| shape[axis + 1..].iter().product())
            .collect()
    };
    let (inner, outer) = (strides(from), strides(to));
    let source = |at: usize| usize::try_from(*data.get(at)?).ok();
    let mut apart = Vec::with_capacity(to.len());
    for axis in 0..to.len() {
        let each =
            (0..to[axis]).map(|at| Some(source(at * outer[axis])? / inner[axis] % from[axis]));
        apart.push(each.collect::<Option<Vec<usize>>>()?);
    }
    let composed = |at: usize| -> usize {
        let along = |axis: usize| apart[axis][at / outer[axis] % to[axis]] * inner[axis];
        (0..to.len()).map(along).sum()
    };
    (0..data.len())
        .all(|at| source(at) == Some(composed(at)))
        .then_some(apart)
}

#[cfg(test)]
mod tests {
    use proofmark_onnx::Attribute;
    use proofmark_types::ElemType;

    use super::super::small::Small;
    use super::*;

    #[test]
    fn what_computes_new_values_is_refused_in_words() {
        for (crop, wanted) in [
            (None, "mode \"linear\" computes new values"),
            (
                Some("tf_crop_and_resize"),
                "coordinate_transformation_mode \"tf_crop_and_resize\"",
            ),
        ] {
            let mut small = Small::new(ElemType::Uint8, &[&[1, 1, 2, 2]]);
            small.floats("scales", &[4], &[1.0, 1.0, 2.0, 2.0]);
            let text = |text: &str| Attribute::String(text.into());
            let mut attributes = vec![("mode", text("linear"))];
            attributes.extend(crop.map(|crop| ("coordinate_transformation_mode", text(crop))));
            small.node("Resize", &["q0", "", "scales"], &["r"], &attributes);
            small.output("r", ElemType::Uint8);
            let why = small.refused().remove(0);
            assert!(why.contains(wanted), "{why}");
            assert!(!why.contains("None") && !why.contains("Some"), "{why}");
        }
    }

    #[test]
    fn grids_of_inputs_come_apart() {
        // Rows 1, 0, 1 and columns 0, 2 of a 2×3 tensor.
        let apart = separate(&[2, 3], &[3, 2], &[3, 5, 0, 2, 3, 5]).unwrap();
        assert_eq!(apart, [vec![1, 0, 1], vec![0, 2]]);
        assert!(separate(&[2, 3], &[3, 2], &[3, 5, 0, 1, 3, 5]).is_none());
        assert!(separate(&[2, 3], &[2], &[3, 5]).is_none());
    }
}
