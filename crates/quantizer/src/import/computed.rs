//! Matrix products of two computed tensors.

use proofmark_onnx::{Node, Tensor};
use proofmark_types::ElemType;

use super::Importer;
use super::value::{Grid, Int, Target};
use crate::read::{Stop, refuse};

/// A product of two computed 8-bit tensors.
#[derive(Debug, Clone)]
pub(super) struct Product {
    pub(super) name: String,
    /// The float tensor of the original.
    pub(super) output: String,
    pub(super) operands: [Int; 2],
    pub(super) grids: [Grid; 2],
}

impl Importer<'_> {
    /// Writes a product of two computed tensors, requantized.
    pub(super) fn write_product(
        &mut self,
        name: &str,
        operands: [&Int; 2],
        grids: [Grid; 2],
        target: Target,
        output: &str,
    ) -> Result<Int, Stop> {
        let [left, right] = operands;
        let [x, w] = grids;
        let scales = [x.scale, w.scale];
        let multiplier =
            proofmark_tensor::requantize::conv_multiplier(scales[0], scales[1], target.grid.scale);
        if !multiplier.is_normal() {
            return Err(refuse(
                format!("its scales make the requantize multiplier {multiplier}"),
                "quantize the model again; scales of one layer are too far apart",
            ));
        }
        let shape = matmul_shape(&left.shape, &right.shape)?;
        let (right, right_zero) = self.same_type(name, left.elem, right, w.zero_point)?;
        let one = self.writer.one();
        let multiplier = Tensor {
            shape: Vec::new(),
            data: proofmark_onnx::TensorData::Float(vec![multiplier]),
        };
        let node_name = self.node_name(name);
        let multiplier = self
            .writer
            .constant(&format!("{node_name}.multiplier"), multiplier);
        let offset = left.elem.min() - target.elem.min();
        let left_zero = self.zero(left.elem, x.zero_point)?;
        let right_zero = self.zero(left.elem, right_zero)?;
        let y_zero = self.zero(left.elem, target.grid.zero_point + offset)?;
        let made = if offset == 0 {
            output.to_owned()
        } else {
            self.writer.fresh(&format!("{output}.requantized"))
        };
        let inputs = vec![
            left.name.clone(),
            one.clone(),
            left_zero,
            right.name,
            multiplier,
            right_zero,
            one,
            y_zero,
        ];
        let node = Node::new(node_name, "QLinearMatMul", &[], &[]);
        self.writer.node(node, inputs, &made);
        let int = Int {
            name: made,
            elem: left.elem,
            shape,
        };
        if offset == 0 {
            return Ok(int);
        }
        let all = (target.elem.min(), target.elem.max());
        self.write_clamp(name, output, &int, target.elem, all)
    }

    /// Writes a product of two computed tensors as int32.
    pub(super) fn write_int32_product(
        &mut self,
        name: &str,
        [left, right]: [&Int; 2],
        [left_zero, right_zero]: [i32; 2],
        output: &str,
    ) -> Result<Int, Stop> {
        let shape = matmul_shape(&left.shape, &right.shape)?;
        let (right, right_zero) = self.same_type(name, left.elem, right, right_zero)?;
        let left_zero = self.zero(left.elem, left_zero)?;
        let right_zero = self.zero(left.elem, right_zero)?;
        let node = Node::new(self.node_name(name), "MatMulInteger", &[], &[]);
        let inputs = vec![left.name.clone(), right.name, left_zero, right_zero];
        self.writer.node(node, inputs, output);
        Ok(Int {
            name: output.to_owned(),
            elem: ElemType::Int32,
            shape,
        })
    }

    /// A tensor of the type asked for, with as many steps from its zero point.
    fn same_type(
        &mut self,
        name: &str,
        elem: ElemType,
        int: &Int,
        zero_point: i32,
    ) -> Result<(Int, i32), Stop> {
        if elem.bits() != 8 || int.elem.bits() != 8 {
            return Err(refuse(
                "it multiplies int32 tensors",
                "requantize to 8 bits in front of it",
            ));
        }
        if int.elem == elem {
            return Ok((int.clone(), zero_point));
        }
        let output = self.writer.fresh(&format!("{}.{elem}", int.name));
        let all = (elem.min(), elem.max());
        let moved = self.write_clamp(name, &output, int, elem, all)?;
        Ok((moved, zero_point + elem.min() - int.elem.min()))
    }
}

/// The shape of a matrix product, its leading dimensions broadcast.
pub(super) fn matmul_shape(left: &[usize], right: &[usize]) -> Result<Vec<usize>, Stop> {
    let wrong = || {
        refuse(
            format!("shapes {left:?} and {right:?} do not multiply"),
            "give matrices of rank 2 or more that fit",
        )
    };
    let (&[rows, depth], &[other, columns]) = (
        left.last_chunk::<2>().ok_or_else(wrong)?,
        right.last_chunk::<2>().ok_or_else(wrong)?,
    );
    if depth != other {
        return Err(wrong());
    }
    let leads = [&left[..left.len() - 2], &right[..right.len() - 2]].map(<[usize]>::to_vec);
    let mut shape = super::sum::broadcast(&leads)?;
    shape.extend([rows, columns]);
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use proofmark_types::ElemType;

    use super::super::small::{BOTH, Small};
    use super::super::testing::operators;
    #[test]
    fn matrix_products_of_two_tensors() {
        for elem in BOTH {
            let mut small = Small::new(elem, &[&[1, 2, 3, 4], &[1, 2, 4, 5]]);
            small.grid("a", 0.031, elem.min() + 120, elem);
            small.grid("b", 0.043, elem.min() + 99, elem);
            small.grid("y", 0.67, elem.min() + 110, elem);
            small.show("q0", "a", "d").show("q1", "b", "e");
            small.node("MatMul", &["d", "e"], &["f"], &[]);
            small.quantize("f", "y", "r").output("r", elem);
            let found = small.exact_where_fused(elem, 60);
            assert_eq!(operators(&found), ["QLinearMatMul"]);

            let mut small = Small::new(elem, &[&[3, 4], &[4, 5]]);
            small.model.graph.inputs[0].dims =
                Some([1, 3, 4].map(proofmark_onnx::Dim::Static).to_vec());
            small.model.graph.inputs[1].dims =
                Some([1, 4, 5].map(proofmark_onnx::Dim::Static).to_vec());
            small.bytes("az", elem, &[], &[elem.min() + 3]);
            small.node("MatMulInteger", &["q0", "q1", "az"], &["r"], &[]);
            small.output("r", ElemType::Int32);
            assert_eq!(operators(&small.exact(60)), ["MatMulInteger"]);
        }
    }
}
