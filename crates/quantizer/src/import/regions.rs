//! How means over windows are written: as a depthwise `QLinearConv` with weights 1.
//!
//! Where padding is not counted, windows at the border are divided by less than those inside. The
//! image is then cut into regions of equal windows, each with a convolution of its own.

use proofmark_onnx::{Attribute, Node, Tensor, TensorData};
use proofmark_types::ElemType;

use super::average::Averaged;
use super::mean::{Kernel, Mean, Rescale};
use super::shapes::{dims, int64s};
use super::value::{Grid, Int, Target};
use super::{Importer, internal};
use crate::emit::ints;
use crate::num::{f32_of_i64, f64_of, i64_of_dim};
use crate::read::{Stop, check_shape, refuse};
use crate::window::{Image, Window};

/// Output rows (or columns) of windows with as many elements inside the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    /// First row read.
    from: usize,
    /// Rows read by one window.
    taps: usize,
    /// Windows.
    count: usize,
}

/// The runs of one dimension, in order.
fn runs(window: &Window, size: usize, axis: usize, outputs: usize) -> Vec<Run> {
    let (kernel, stride) = (window.kernel[axis], window.strides[axis]);
    let mut runs: Vec<Run> = Vec::new();
    for at in 0..outputs {
        let begin = at * stride;
        let from = begin.saturating_sub(window.pads[axis]);
        let end = (begin + kernel).saturating_sub(window.pads[axis]).min(size);
        let taps = end.saturating_sub(from);
        match runs.last_mut() {
            Some(run) if run.taps == taps && from == run.from + run.count * stride => {
                run.count += 1;
            }
            _ => runs.push(Run {
                from,
                taps,
                count: 1,
            }),
        }
    }
    runs
}

/// A `Transpose`.
pub(super) fn permuted(perm: &[usize]) -> Node {
    Node::new("", "Transpose", &[], &[]).with("perm", Attribute::Ints(dims(perm)))
}

impl Importer<'_> {
    /// Writes a mean with the scale of its output.
    pub(super) fn write_average(
        &mut self,
        averaged: &Averaged,
        to: Target,
        output: &str,
    ) -> Result<Int, Stop> {
        let (elem, name) = (averaged.source.elem, averaged.node.name.clone());
        check_shape(&averaged.shape)?;
        if to.elem != elem {
            // The same steps in the type of the elements, and then the other type's names for them.
            let shifted = Target {
                grid: Grid {
                    zero_point: to.grid.zero_point - to.elem.min() + elem.min(),
                    ..to.grid
                },
                elem,
            };
            let mut apart = averaged.clone();
            apart.fused = false;
            let inner = self.writer.fresh(&format!("{output}.{elem}"));
            let made = self.write_average(&apart, shifted, &inner)?;
            return self.recode(&name, &made, to.elem, output);
        }
        let image = Image::of(&averaged.planes)?;
        let pooled = image.shape(image.channels, averaged.window.sized(image.size)?);
        let reshaped = averaged.back.is_none() && averaged.shape != pooled;
        let mut x = averaged.source.clone();
        if let Some(perm) = &averaged.perm {
            let shape = perm.iter().map(|&axis| x.shape[axis]).collect();
            x = self.write_step(&name, "first", permuted(perm), &x, &[], shape, None)?;
        }
        if x.shape != averaged.planes {
            let planes = self.writer.fresh(&format!("{output}.planes"));
            let reshape = self.writer.fresh(&format!("{name}.planes"));
            self.writer
                .reshape(&reshape, &x.name, &planes, &averaged.planes);
            x.name = planes;
            x.shape.clone_from(&averaged.planes);
        }
        let direct = !reshaped && averaged.back.is_none();
        let to_name = if direct {
            output.to_owned()
        } else {
            self.writer.fresh(&format!("{output}.pooled"))
        };
        let made = self.write_regions(averaged, &image, &x, to, &to_name)?;
        if let Some(back) = &averaged.back {
            let shape = averaged.shape.clone();
            return self.write_step(
                &name,
                "last",
                permuted(back),
                &made,
                &[],
                shape,
                Some(output),
            );
        }
        if reshaped {
            let reshape = self.writer.fresh(&format!("{name}.reshape"));
            self.writer
                .reshape(&reshape, &made.name, output, &averaged.shape);
        }
        Ok(Int {
            name: output.to_owned(),
            elem,
            shape: averaged.shape.clone(),
        })
    }

    /// One convolution, or one for each region where windows differ.
    fn write_regions(
        &mut self,
        averaged: &Averaged,
        image: &Image,
        x: &Int,
        to: Target,
        output: &str,
    ) -> Result<Int, Stop> {
        let window = &averaged.window;
        let size = window.sized(image.size)?;
        let area = window.kernel[0] * window.kernel[1];
        if averaged.counted || !window.padded() {
            let rescale = self.rescale(averaged, to, area, area)?;
            return self.write_mean(averaged, image, window, x, to, rescale, output);
        }
        let name = averaged.node.name.as_str();
        let [rows, columns] = [0, 1].map(|axis| runs(window, image.size[axis], axis, size[axis]));
        if rows.iter().chain(&columns).any(|run| run.taps == 0) {
            return Err(refuse(
                "a window lies in the padding whole, where the runtime divides by 0",
                "use pads smaller than the kernel",
            ));
        }
        let axis = |at: usize| i64_of_dim(at + image.rank);
        let mut bands: Vec<Int> = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut parts: Vec<Int> = Vec::with_capacity(columns.len());
            for column in &columns {
                let run = [row, column];
                let span = |at: usize| (run[at].count - 1) * window.strides[at] + run[at].taps;
                let size = [span(0), span(1)];
                let first = 2 - image.rank;
                let begin: Vec<usize> = (first..2).map(|at| run[at].from).collect();
                let end: Vec<usize> = (first..2).map(|at| run[at].from + size[at]).collect();
                let axes: Vec<usize> = (2..2 + image.rank).collect();
                let constants = [
                    ("starts", int64s(&dims(&begin))),
                    ("ends", int64s(&dims(&end))),
                    ("axes", int64s(&dims(&axes))),
                ];
                let part = Image {
                    size,
                    ..image.clone()
                };
                let slice = Node::new("", "Slice", &[], &[]);
                let shape = part.shape(part.channels, size);
                let x = self.write_step(name, "region", slice, x, &constants, shape, None)?;
                let inner = Window {
                    kernel: [row.taps, column.taps],
                    pads: [0; 4],
                    ..window.clone()
                };
                let taps = row.taps * column.taps;
                let rescale = self.rescale(averaged, to, taps, taps)?;
                let made = self.writer.fresh(&format!("{output}.region"));
                parts.push(self.write_mean(averaged, &part, &inner, &x, to, rescale, &made)?);
            }
            bands.push(self.join(name, parts, axis(1), None)?);
        }
        // Of one spatial dimension, the only band is the whole.
        let along = if image.rank == 2 {
            axis(0)
        } else {
            axis(0) - 1
        };
        self.join(name, bands, along, Some(output))
    }

    /// Tensors side by side; one alone is given on (or named).
    fn join(
        &mut self,
        name: &str,
        parts: Vec<Int>,
        axis: i64,
        output: Option<&str>,
    ) -> Result<Int, Stop> {
        let along = usize::try_from(axis).map_err(internal)?;
        let mut parts = parts.into_iter();
        let mut whole = parts.next().ok_or_else(|| internal("no region"))?;
        let mut inputs = vec![whole.name.clone()];
        for part in parts {
            let dim = whole.shape.get_mut(along).ok_or(Stop::Unknown)?;
            *dim += part.shape.get(along).copied().unwrap_or_default();
            inputs.push(part.name);
        }
        if inputs.len() == 1 && output.is_none() {
            return Ok(whole);
        }
        let (op_type, made) = if inputs.len() == 1 {
            ("Identity", Node::new("", "Identity", &[], &[]))
        } else {
            let node = Node::new("", "Concat", &[], &[]).with("axis", Attribute::Int(axis));
            ("Concat", node)
        };
        let target = match output {
            Some(output) => output.to_owned(),
            None => self.writer.fresh(&format!("{}.joined", whole.name)),
        };
        let mut node = made;
        node.name = self
            .writer
            .fresh(&format!("{name}.{}", op_type.to_lowercase()));
        self.writer.node(node, inputs, &target);
        whole.name = target;
        Ok(whole)
    }

    /// The requantize of a window's sum, and what is inexact about it.
    fn rescale(
        &mut self,
        averaged: &Averaged,
        to: Target,
        taps: usize,
        divisor: usize,
    ) -> Result<Rescale, Stop> {
        let from = averaged.grid;
        if averaged.global && averaged.fused {
            let count = f32_of_i64(i64::try_from(divisor).map_err(internal)?);
            let multiplier = from.scale / (to.grid.scale * count);
            if divisor >= 1 << 24 || !(1.0 / 4_294_967_296.0..256.0).contains(&multiplier) {
                return Err(refuse(
                    format!("its scales make the multiplier {multiplier} over {divisor} elements"),
                    "quantize the model again; the runtime refuses it as well",
                ));
            }
            return Ok(Rescale {
                multiplier,
                bias: 0,
                zero_point: to.grid.zero_point,
                wrong: 0,
            });
        }
        let mean = Mean {
            from,
            to,
            taps,
            divisor,
            kernel: if averaged.fused {
                Kernel::Pool
            } else {
                Kernel::Float
            },
        };
        if !mean.in_range() || taps > 1 << 16 {
            return Err(refuse(
                format!(
                    "its scales {} and {} over {taps} elements leave the range of float32",
                    from.scale, to.grid.scale
                ),
                "quantize the model again",
            ));
        }
        let sums = mean.sums();
        let rescale = mean.rescale(&sums).ok_or_else(|| {
            refuse(
                "its scales make no requantize multiplier",
                "quantize the model again",
            )
        })?;
        if rescale.wrong > 0 {
            let share = 100.0 * f64_of(rescale.wrong) / f64_of(sums.range.len());
            let name = averaged.node.name.clone();
            self.inexact(
                &name,
                format!(
                    "the runtime averages {taps} elements in float32: {share:.2}% of their sums have a result that depends on the elements, one step up or down"
                ),
            );
        }
        Ok(rescale)
    }

    /// A depthwise `QLinearConv` with weights 1.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is another part of one node"
    )]
    fn write_mean(
        &mut self,
        averaged: &Averaged,
        image: &Image,
        window: &Window,
        x: &Int,
        to: Target,
        rescale: Rescale,
        output: &str,
    ) -> Result<Int, Stop> {
        let name = averaged.node.name.as_str();
        let (elem, channels) = (x.elem, image.channels);
        let shape = image.shape(channels, window.sized(image.size)?);
        check_shape(&shape)?;
        let mut weight = vec![channels, 1];
        weight.extend(&window.kernel[2 - image.rank..]);
        let taps = weight.iter().product();
        let ones = ints(elem, weight, vec![1; taps]).map_err(internal)?;
        let weight = self.writer.constant(&format!("{name}.weight"), ones);
        let scale = Tensor {
            shape: Vec::new(),
            data: TensorData::Float(vec![rescale.multiplier]),
        };
        let multiplier = self.writer.constant(&format!("{name}.multiplier"), scale);
        let one = self.writer.one();
        let mut zero = |value: i32| self.writer.zero_point(elem, value).map_err(internal);
        let x_zero = zero(averaged.grid.zero_point)?;
        let (w_zero, y_zero) = (zero(0)?, zero(rescale.zero_point)?);
        let mut inputs = vec![
            x.name.clone(),
            one.clone(),
            x_zero,
            weight,
            multiplier,
            w_zero,
            one,
            y_zero,
        ];
        if rescale.bias != 0 {
            let bias = vec![rescale.bias; channels];
            let bias = ints(ElemType::Int32, vec![channels], bias).map_err(internal)?;
            inputs.push(self.writer.constant(&format!("{name}.bias"), bias));
        }
        let node = window
            .attributes(Node::new(self.node_name(name), "QLinearConv", &[], &[]))
            .with("group", Attribute::Int(i64_of_dim(channels)));
        self.writer.node(node, inputs, output);
        debug_assert_eq!(elem, to.elem);
        Ok(Int {
            name: output.to_owned(),
            elem,
            shape,
        })
    }

    /// A node of one data input and constants, under a free name or the one given.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is another part of one node"
    )]
    pub(super) fn write_step(
        &mut self,
        name: &str,
        what: &str,
        mut node: Node,
        x: &Int,
        constants: &[(&str, Tensor)],
        shape: Vec<usize>,
        output: Option<&str>,
    ) -> Result<Int, Stop> {
        check_shape(&shape)?;
        node.name = self.writer.fresh(&format!("{name}.{what}"));
        let mut inputs = vec![x.name.clone()];
        for (what, tensor) in constants {
            let stored = self
                .writer
                .constant(&format!("{}.{what}", node.name), tensor.clone());
            inputs.push(stored);
        }
        let output = match output {
            Some(output) => output.to_owned(),
            None => self.writer.fresh(&format!("{}.{what}", x.name)),
        };
        self.writer.node(node, inputs, &output);
        Ok(Int {
            name: output,
            elem: x.elem,
            shape,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_follow_the_windows() {
        let window = |kernel, stride, begin, end| Window {
            kernel: [1, kernel],
            strides: [1, stride],
            pads: [0, begin, 0, end],
            ..Window::POINT
        };
        let run = |from, taps, count| Run { from, taps, count };
        assert_eq!(
            runs(&window(3, 1, 1, 1), 5, 1, 5),
            [run(0, 2, 1), run(0, 3, 3), run(3, 2, 1)]
        );
        assert_eq!(
            runs(&window(5, 2, 4, 4), 6, 1, 5),
            [
                run(0, 1, 1),
                run(0, 3, 1),
                run(0, 5, 1),
                run(2, 4, 1),
                run(4, 2, 1)
            ]
        );
        assert_eq!(runs(&window(2, 2, 0, 0), 6, 1, 3), [run(0, 2, 3)]);
    }
}
