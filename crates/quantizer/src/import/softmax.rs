//! Softmax inside a model: `QLinearSoftmax`, and `Softmax` between `DequantizeLinear` and
//! `QuantizeLinear`. (One at the end of a model is a view of the integers in front of it.)
//!
//! The runtime adds float32 exponentials, in an order that no integer arithmetic follows. The
//! canonical form is the integer arithmetic of [`Exponential`], an inexact rewrite: outputs next to
//! the middle between two steps may differ by one step.

use proofmark_onnx::{Attribute, Node, Tensor, TensorData};
use proofmark_types::ElemType;

use super::exponential::Exponential;
use super::regions::permuted;
use super::value::{Int, Shown, Target, Value};
use super::{Importer, internal};
use crate::emit::ints;
use crate::num::{f64_of, i64_of_dim};
use crate::read::{Stop, axis_of, check_shape, only_attributes, refuse};

/// Where a softmax runs: `perm`, then a reshape to `[1, rows, length]`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rows {
    /// Swaps the axis with the last one; its own inverse.
    swap: Option<Vec<usize>>,
    count: usize,
    length: usize,
}

impl Rows {
    /// From operator set 13 on along one axis, before that over all dimensions from the axis on.
    fn of(shape: &[usize], axis: usize, opset: i64) -> Self {
        let product = |dims: &[usize]| dims.iter().product::<usize>();
        if opset < 13 {
            let (outer, inner) = shape.split_at(axis);
            return Self {
                swap: None,
                count: product(outer),
                length: product(inner),
            };
        }
        let length = shape.get(axis).copied().unwrap_or(1);
        let last = shape.len().saturating_sub(1);
        let mut swap: Vec<usize> = (0..shape.len()).collect();
        swap.swap(axis, last);
        Self {
            swap: (axis != last).then_some(swap),
            count: product(shape) / length.max(1),
            length,
        }
    }
}

impl Importer<'_> {
    pub(super) fn q_linear_softmax(&mut self, node: &Node) -> Result<Value, Stop> {
        only_attributes(node, &["axis", "opset"])?;
        let source = self.int(node, 0)?;
        let opset = node
            .attr_int("opset")?
            .ok_or_else(|| refuse("its opset is missing", "give the attribute opset"))?;
        let shown = Shown {
            grid: self.grid(node, [1, 2], source.elem)?,
            source,
            name: String::new(),
            head: crate::net::Head::default(),
        };
        let to = Target {
            grid: self.grid(node, [3, 4], shown.source.elem)?,
            elem: shown.source.elem,
        };
        let output = self.output_name(node, 0)?;
        self.write_softmax(node, &shown, opset, to, true, &output)
            .map(Value::Int)
    }

    /// A `Softmax` whose result a `QuantizeLinear` reads.
    pub(super) fn quantize_softmax(
        &mut self,
        shown: &Shown,
        to: Target,
        quantize: &Node,
    ) -> Result<Int, Stop> {
        let nodes = &self.model.graph.nodes;
        let made = quantize.input(0).unwrap_or_default();
        let softmax = nodes
            .iter()
            .find(|node| node.outputs.iter().any(|o| o == made));
        let softmax = softmax.filter(|node| node.op_type == "Softmax").cloned();
        let softmax = softmax.ok_or_else(|| {
            refuse(
                "it quantizes what is made of a Softmax or ArgMax",
                "quantize the result of the Softmax itself, or end the model there",
            )
        })?;
        let fused = self.is_fused(&softmax.name) && to.elem == shown.source.elem;
        let output = self.output_name(quantize, 0)?;
        self.write_softmax(&softmax, shown, self.opset, to, fused, &output)
    }

    fn write_softmax(
        &mut self,
        node: &Node,
        shown: &Shown,
        opset: i64,
        to: Target,
        fused: bool,
        output: &str,
    ) -> Result<Int, Stop> {
        let source = &shown.source;
        check_shape(&source.shape)?;
        if source.elem.bits() != 8 {
            return Err(refuse(
                "a softmax of int32 inside the model",
                "quantize the tensor in front of it to 8 bits",
            ));
        }
        let default = if opset < 13 { 1 } else { -1 };
        let axis = node.attr_int("axis")?.unwrap_or(default);
        let axis = axis_of(axis, source.shape.len())?;
        let rows = Rows::of(&source.shape, axis, opset);
        // The integer operator takes the whole steps of the probability 1.
        let steps = if fused {
            f64::from((1.0 / to.grid.scale).floor())
        } else {
            1.0 / f64::from(to.grid.scale)
        };
        // It also lets each exponential be as large as float32 admits for so many of them.
        let overflows = fused && steps >= f64_of(rows.length) * 5.0_f64.exp();
        if rows.length < 2 || overflows {
            return Err(refuse(
                format!(
                    "a softmax over {} elements with {steps} steps for the probability 1 overflows in the runtime",
                    rows.length
                ),
                "quantize the output with a scale of 1/256",
            ));
        }
        let exponential = Exponential::new(shown.grid.scale, rows.length, steps).ok_or_else(|| {
            refuse(
                format!(
                    "a softmax over {} elements with {steps} steps for the probability 1 does not fit int32",
                    rows.length
                ),
                "use a shorter axis, or quantize the output with a scale of 1/256",
            )
        })?;
        self.inexact(
            &node.name,
            "the runtime divides float32 exponentials, the canonical model integers: an output next to the middle between two steps may differ by one",
        );
        let name = node.name.as_str();
        let mut x = source.clone();
        if let Some(swap) = &rows.swap {
            let shape = swap.iter().map(|&axis| x.shape[axis]).collect();
            x = self.write_step(name, "swap", permuted(swap), &x, &[], shape, None)?;
        }
        let swapped = x.shape.clone();
        let flat = vec![1, rows.count, rows.length];
        if x.shape != flat {
            let rows = self.writer.fresh(&format!("{output}.rows"));
            let reshape = self.writer.fresh(&format!("{name}.rows"));
            self.writer.reshape(&reshape, &x.name, &rows, &flat);
            x.name = rows;
            x.shape.clone_from(&flat);
        }
        let quotient = self.write_quotient(name, &x, &exponential)?;
        let direct = rows.swap.is_none() && flat == source.shape;
        let made = if direct {
            output.to_owned()
        } else {
            self.writer.fresh(&format!("{output}.rows"))
        };
        let lo = to.elem.min();
        let shifted = self.with_constant(name, "Add", &quotient, to.grid.zero_point)?;
        let clipped = self.clip(name, &shifted, lo, to.elem.max())?;
        self.write_cast_to(name, &clipped, to.elem, Some(&made));
        let mut y = Int {
            name: made,
            elem: to.elem,
            shape: flat,
        };
        if direct {
            return Ok(y);
        }
        let shaped = if rows.swap.is_some() {
            self.writer.fresh(&format!("{output}.swapped"))
        } else {
            output.to_owned()
        };
        let reshape = self.writer.fresh(&format!("{name}.shape"));
        self.writer.reshape(&reshape, &y.name, &shaped, &swapped);
        y.name = shaped;
        y.shape = swapped;
        match &rows.swap {
            None => Ok(y),
            Some(swap) => {
                let shape = source.shape.clone();
                self.write_step(name, "back", permuted(swap), &y, &[], shape, Some(output))
            }
        }
    }

    /// The steps of each probability, from 0 on, as int32.
    fn write_quotient(
        &mut self,
        name: &str,
        x: &Int,
        exponential: &Exponential,
    ) -> Result<String, Stop> {
        let length = i64_of_dim(x.shape.last().copied().unwrap_or_default());
        let pool =
            Node::new("", "MaxPool", &[], &[]).with("kernel_shape", Attribute::Ints(vec![length]));
        let rows = vec![1, x.shape.get(1).copied().unwrap_or_default(), 1];
        let largest = self.write_step(name, "largest", pool, x, &[], rows, None)?;
        let wide = self.write_cast_to(name, &x.name, ElemType::Int32, None);
        let largest = self.write_cast_to(name, &largest.name, ElemType::Int32, None);
        let distance = self.operation(name, "Sub", vec![wide, largest]);
        // Never above 0, which only the comparison with the largest element shows.
        let distance = self.clip(name, &distance, -255, 0)?;
        let index = self.with_constant(name, "Add", &distance, 255)?;
        let table = ints(ElemType::Int32, vec![256], exponential.table.clone());
        let table = table.map_err(internal)?;
        let table = self.writer.constant(&format!("{name}.exponentials"), table);
        let gathered = Node::new("", "Gather", &[], &[]).with("axis", Attribute::Int(0));
        let each = self.written(name, gathered, vec![table, index], None);
        let axes = Tensor {
            shape: vec![1],
            data: TensorData::Int64(vec![2]),
        };
        let axes = self.writer.shared("axes_2", axes);
        let sum = Node::new("", "ReduceSum", &[], &[]).with("keepdims", Attribute::Int(1));
        let sum = self.written(name, sum, vec![each.clone(), axes], None);
        // Never less than the largest element's own, which keeps the division away from 0.
        let most = exponential.largest().saturating_mul(exponential.length);
        let sum = self.clip(name, &sum, exponential.largest(), most)?;
        let scaled = self.with_constant(name, "Mul", &each, 2 * exponential.numerator)?;
        let half = self.with_constant(name, "Mul", &sum, exponential.denominator)?;
        let dividend = self.operation(name, "Add", vec![scaled, half]);
        let divisor = self.with_constant(name, "Mul", &sum, 2 * exponential.denominator)?;
        Ok(self.operation(name, "Div", vec![dividend, divisor]))
    }

    /// An int32 scalar.
    fn scalar(&mut self, value: i32) -> Result<String, Stop> {
        let tensor = ints(ElemType::Int32, Vec::new(), vec![value]).map_err(internal)?;
        Ok(self.writer.shared(&format!("int32_{value}"), tensor))
    }

    /// An operator with an int32 constant on its right; nothing where that changes nothing.
    pub(super) fn with_constant(
        &mut self,
        name: &str,
        op_type: &str,
        x: &str,
        constant: i32,
    ) -> Result<String, Stop> {
        if (op_type, constant) == ("Add", 0) || (op_type, constant) == ("Mul", 1) {
            return Ok(x.to_owned());
        }
        let constant = self.scalar(constant)?;
        Ok(self.operation(name, op_type, vec![x.to_owned(), constant]))
    }

    fn clip(&mut self, name: &str, x: &str, lo: i32, hi: i32) -> Result<String, Stop> {
        let (lo, hi) = (self.scalar(lo)?, self.scalar(hi)?);
        Ok(self.operation(name, "Clip", vec![x.to_owned(), lo, hi]))
    }

    pub(super) fn write_cast_to(
        &mut self,
        name: &str,
        x: &str,
        to: ElemType,
        output: Option<&str>,
    ) -> String {
        let number = proofmark_onnx::ValueType::Int(to).data_type();
        let node = Node::new("", "Cast", &[], &[]).with("to", Attribute::Int(number.into()));
        self.written(name, node, vec![x.to_owned()], output)
    }

    fn operation(&mut self, name: &str, op_type: &str, inputs: Vec<String>) -> String {
        self.written(name, Node::new("", op_type, &[], &[]), inputs, None)
    }

    /// A node under a free name.
    fn written(
        &mut self,
        name: &str,
        mut node: Node,
        inputs: Vec<String>,
        output: Option<&str>,
    ) -> String {
        let what = node.op_type.to_lowercase();
        node.name = self.writer.fresh(&format!("{name}.{what}"));
        let output = match output {
            Some(output) => output.to_owned(),
            None => self.writer.fresh(&format!("{}.made", node.name)),
        };
        self.writer.node(node, inputs, &output);
        output
    }

    /// The same steps in the other 8-bit type.
    pub(super) fn recode(
        &mut self,
        name: &str,
        x: &Int,
        to: ElemType,
        output: &str,
    ) -> Result<Int, Stop> {
        let wide = self.write_cast_to(name, &x.name, ElemType::Int32, None);
        let moved = self.with_constant(name, "Add", &wide, to.min() - x.elem.min())?;
        self.write_cast_to(name, &moved, to, Some(output));
        Ok(Int {
            name: output.to_owned(),
            elem: to,
            shape: x.shape.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_what_the_operator_set_says() {
        let rows = |shape: &[usize], axis, opset| {
            let rows = Rows::of(shape, axis, opset);
            (rows.swap, rows.count, rows.length)
        };
        assert_eq!(rows(&[1, 4, 5, 6], 3, 13), (None, 20, 6));
        assert_eq!(rows(&[1, 4, 5, 6], 1, 17), (Some(vec![0, 3, 2, 1]), 30, 4));
        assert_eq!(rows(&[1, 4, 5, 6], 1, 12), (None, 1, 120));
        assert_eq!(rows(&[2, 4, 5], 2, 11), (None, 8, 5));
    }

    use proofmark_types::manifest::ReferenceLevel;

    use crate::import::small::{BOTH, Small};

    /// The softmax as `QLinearSoftmax`, and between `DequantizeLinear` and `QuantizeLinear`, each
    /// with something behind it.
    fn both(
        elem: ElemType,
        shape: &[usize],
        scale: f32,
        to: f32,
        axis: i64,
        opset: i64,
    ) -> [Small; 2] {
        let start = || {
            let mut small = Small::new(elem, &[shape]).opset(opset);
            small
                .grid("x", scale, elem.min() + 9, elem)
                .grid("y", to, elem.min(), elem);
            small.output("y", elem);
            small
        };
        let axis = ("axis", Attribute::Int(axis));
        let mut one = start();
        let inputs = ["q0", "xs", "xz", "ys", "yz"];
        let attributes = [axis.clone(), ("opset", Attribute::Int(opset))];
        one.node("QLinearSoftmax", &inputs, &["y"], &attributes);
        let mut other = start();
        other
            .show("q0", "x", "d")
            .node("Softmax", &["d"], &["m"], &[axis]);
        other.quantize("m", "y", "y");
        [one, other]
    }

    #[test]
    fn integers_stay_within_one_step_and_rarely_leave() {
        let (mut compared, mut different) = (0, 0);
        for elem in BOTH {
            for (shape, axis, opset) in [
                (&[1, 4, 10][..], -1, 17),
                (&[1, 5, 3, 4], 1, 13),
                (&[1, 2, 3, 4], 2, 12),
                (&[1, 64], 1, 11),
            ] {
                for (scale, to) in [(0.09, 1.0 / 256.0), (0.5, 1.0 / 255.0), (0.011, 0.0041)] {
                    for mut small in both(elem, shape, scale, to, axis, opset) {
                        let feeds = small.feeds(60);
                        let found = small.compare(ReferenceLevel::All, &feeds);
                        assert_eq!(found.inexact.len(), 1);
                        assert!(found.largest <= 1, "{shape:?} {scale} {to}: {found:?}");
                        compared += found.compared;
                        different += found.different;
                    }
                }
            }
            // Where nothing is fused, probabilities take fractions of steps.
            for level in [ReferenceLevel::Disabled, ReferenceLevel::Basic] {
                let [_, mut small] = both(elem, &[1, 4, 10], 0.09, 0.004_01, 2, 17);
                let feeds = small.feeds(60);
                let found = small.compare(level, &feeds);
                assert!(found.largest <= 1, "{found:?}");
                compared += found.compared;
                different += found.different;
            }
        }
        // A row of ten costs this much.
        let [small, _] = both(ElemType::Uint8, &[1, 10], 0.09, 1.0 / 256.0, 1, 17);
        let model = small.import(ReferenceLevel::All).unwrap().model;
        let model = proofmark_onnx::parse(&model, &proofmark_onnx::Limits::default()).unwrap();
        let plan = proofmark_ops::plan(&model, &proofmark_ops::Policy::public(1, 1)).unwrap();
        let constraints = plan.circuit().unwrap().r1cs.num_constraints();
        assert!(constraints < 2500, "{constraints}");
        // As one in ten thousand.
        assert!(
            compared > 100_000 && different * 10_000 <= compared,
            "{different} of {compared}"
        );
    }

    #[test]
    fn what_overflows_or_is_not_8_bit_is_refused() {
        let u8s = ElemType::Uint8;
        for small in both(u8s, &[1, 3, 1], 0.1, 1.0 / 256.0, 2, 17) {
            assert!(small.refused()[0].contains("overflows in the runtime"));
        }
        for small in both(u8s, &[1, 2], 0.1, 0.001, 1, 17) {
            assert!(small.refused()[0].contains("overflows in the runtime"));
        }
        let mut small = Small::new(u8s, &[&[1, 4]]);
        small.grid("x", 0.1, 0, u8s).grid("y", 0.1, 0, u8s);
        small
            .show("q0", "x", "d")
            .node("LogSoftmax", &["d"], &["m"], &[]);
        small.quantize("m", "y", "y").output("y", u8s);
        assert!(small.refused()[0].contains("Softmax"));
    }
}
