//! Means over windows: `QLinearAveragePool`, `QLinearGlobalAveragePool`, and `AveragePool`,
//! `GlobalAveragePool` and `ReduceMean` between `DequantizeLinear` and `QuantizeLinear`. Each
//! becomes a depthwise `QLinearConv` with weights 1.
//!
//! Where padding is not counted, windows at the border are divided by less than those inside. The
//! image is then cut into regions of equal windows, each with a convolution of its own.

use proofmark_onnx::{Attribute, Node, Tensor, TensorData};
use proofmark_types::ElemType;

use super::Importer;
use super::mean::{Kernel, Mean, Rescale};
use super::value::{Grid, Int, Pending, Shown, Target, Value, What};
use crate::emit::ints;
use crate::num::{f32_of_i64, f64_of, i64_of_dim};
use crate::read::{Constants as _, Stop, axis_of, check_shape, only_attributes, refuse};
use crate::window::{Image, Window};

/// A mean over windows of 8-bit integers, without the scale of its output.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Averaged {
    pub(super) source: Int,
    pub(super) grid: Grid,
    /// The original's node.
    pub(super) node: Node,
    /// Brings the channels to the front and what is averaged to the back.
    perm: Option<Vec<usize>>,
    /// The shape that is pooled, behind `perm`: `[1, channels, height, width]` or with one spatial
    /// dimension.
    planes: Vec<usize>,
    window: Window,
    /// Whether padding counts as elements of value 0.
    counted: bool,
    /// Undoes `perm` behind the pool.
    back: Option<Vec<usize>>,
    /// Output shape.
    pub(super) shape: Vec<usize>,
    /// `QLinearGlobalAveragePool` and what the runtime treats as it.
    global: bool,
    /// Whether the runtime computes it as a `QLinear…` operator.
    fused: bool,
}

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

fn internal(error: impl ToString) -> Stop {
    refuse(error.to_string(), "report this model")
}

fn int64s(values: &[usize]) -> Tensor {
    Tensor {
        shape: vec![values.len()],
        data: TensorData::Int64(values.iter().map(|&v| i64_of_dim(v)).collect()),
    }
}

fn permuted(perm: &[usize]) -> Node {
    let perm = perm.iter().map(|&axis| i64_of_dim(axis)).collect();
    Node::new("", "Transpose", &[], &[]).with("perm", Attribute::Ints(perm))
}

/// Channels from the last dimension to the second, and back.
fn channels_first(rank: usize) -> (Vec<usize>, Vec<usize>) {
    let mut first = vec![0, rank - 1];
    first.extend(1..rank - 1);
    let mut last = vec![0];
    last.extend(2..rank);
    last.push(1);
    (first, last)
}

fn only_8_bits(source: &Int) -> Result<(), Stop> {
    if source.elem.bits() == 8 {
        return Ok(());
    }
    Err(refuse("it averages int32", "requantize to 8 bits first"))
}

impl Averaged {
    /// A pool of the original: `AveragePool` or `QLinearAveragePool`.
    fn pool(node: &Node, source: Int, grid: Grid, channels_last: bool) -> Result<Self, Stop> {
        only_8_bits(&source)?;
        let rank = source.shape.len();
        let (perm, back) = if channels_last && rank > 2 {
            let (perm, back) = channels_first(rank);
            (Some(perm), Some(back))
        } else {
            (None, None)
        };
        let planes: Vec<usize> = match &perm {
            Some(perm) => perm.iter().map(|&axis| source.shape[axis]).collect(),
            None => source.shape.clone(),
        };
        let image = Image::of(&planes)?;
        let window = Window::pool(node, &image)?;
        if window.dilations != [1, 1] {
            return Err(refuse(
                "a dilated average is not supported",
                "export it as a depthwise convolution",
            ));
        }
        let pooled = image.shape(image.channels, window.sized(image.size)?);
        let shape = match &back {
            Some(back) => back.iter().map(|&axis| pooled[axis]).collect(),
            None => pooled,
        };
        Ok(Self {
            source,
            grid,
            node: node.clone(),
            perm,
            planes,
            global: window.kernel == image.size && !window.padded(),
            counted: node.attr_int("count_include_pad")?.unwrap_or(0) != 0,
            window,
            back,
            shape,
            fused: true,
        })
    }

    /// The mean over some dimensions.
    fn reduced(
        node: &Node,
        source: Int,
        grid: Grid,
        axes: &[usize],
        keep: bool,
    ) -> Result<Self, Stop> {
        only_8_bits(&source)?;
        let kept: Vec<usize> = (0..source.shape.len())
            .filter(|a| !axes.contains(a))
            .collect();
        let size = |axes: &[usize]| axes.iter().map(|&axis| source.shape[axis]).product();
        let (channels, count): (usize, usize) = (size(&kept), size(axes));
        let perm = [kept.as_slice(), axes].concat();
        let spatial = match *source.shape.as_slice() {
            // Height and width as they are.
            [1, _, height, width] if axes == [2, 3] => [height, width],
            _ => [1, count],
        };
        let shape = (0..source.shape.len()).filter_map(|axis| {
            if axes.contains(&axis) {
                keep.then_some(1)
            } else {
                Some(source.shape[axis])
            }
        });
        Ok(Self {
            grid,
            node: node.clone(),
            perm: (!perm.is_sorted()).then_some(perm),
            planes: vec![1, channels, spatial[0], spatial[1]],
            window: Window {
                kernel: spatial,
                ..Window::POINT
            },
            counted: true,
            back: None,
            shape: shape.collect(),
            global: true,
            fused: true,
            source,
        })
    }
}

impl Importer<'_> {
    /// `QLinearAveragePool` and `QLinearGlobalAveragePool`.
    pub(super) fn q_linear_average(&mut self, node: &Node) -> Result<Value, Stop> {
        let source = self.int(node, 0)?;
        let from = self.grid(node, [1, 2], source.elem)?;
        let to = Target {
            grid: self.grid(node, [3, 4], source.elem)?,
            elem: source.elem,
        };
        let channels_last = node.attr_int("channels_last")?.unwrap_or(0) != 0;
        let averaged = if node.op_type == "QLinearGlobalAveragePool" {
            only_attributes(node, &["channels_last"])?;
            let rank = source.shape.len();
            if rank < 3 {
                return Err(refuse(
                    format!("its input has shape {:?}", source.shape),
                    "pool a tensor with spatial dimensions",
                ));
            }
            let begin = if channels_last { 1 } else { 2 };
            let axes: Vec<usize> = (begin..begin + rank - 2).collect();
            Averaged::reduced(node, source, from, &axes, true)?
        } else {
            only_attributes(
                node,
                &[
                    "auto_pad",
                    "ceil_mode",
                    "channels_last",
                    "count_include_pad",
                    "kernel_shape",
                    "pads",
                    "strides",
                ],
            )?;
            Averaged::pool(node, source, from, channels_last)?
        };
        let output = self.output_name(node, 0)?;
        self.write_average(&averaged, to, &output).map(Value::Int)
    }

    /// `AveragePool`, `GlobalAveragePool` and `ReduceMean` of what was dequantized.
    pub(super) fn average(&mut self, node: &Node) -> Result<Value, Stop> {
        let Value::Shown(Shown {
            source, grid, head, ..
        }) = self.value(node, 0)?.clone()
        else {
            return Err(refuse(
                "it averages a float tensor that is not quantized",
                "quantize the tensor in front of the node as well",
            ));
        };
        if head != crate::net::Head::default() {
            return Err(refuse(
                "it averages probabilities or classes",
                "end the model in front of the node",
            ));
        }
        let mut averaged = match node.op_type.as_str() {
            "AveragePool" => {
                only_attributes(
                    node,
                    &[
                        "auto_pad",
                        "ceil_mode",
                        "count_include_pad",
                        "dilations",
                        "kernel_shape",
                        "pads",
                        "strides",
                    ],
                )?;
                Averaged::pool(node, source, grid, false)?
            }
            "GlobalAveragePool" => {
                only_attributes(node, &[])?;
                let axes: Vec<usize> = (2..source.shape.len()).collect();
                Averaged::reduced(node, source, grid, &axes, true)?
            }
            _ => {
                let (axes, keep) = self.reduced_axes(node, source.shape.len())?;
                Averaged::reduced(node, source, grid, &axes, keep)?
            }
        };
        averaged.fused = node.op_type != "ReduceMean" && self.is_fused(node);
        let ceil = node.attr_int("ceil_mode")?.unwrap_or(0) != 0;
        if ceil && !averaged.fused && averaged.counted && averaged.window.padded() {
            return Err(refuse(
                "it counts padding with ceil_mode = 1, where versions of the operator differ",
                "export with ceil_mode = 0 and explicit pads",
            ));
        }
        Ok(Value::Pending(Pending {
            shape: averaged.shape.clone(),
            what: What::Averaged(Box::new(averaged)),
            moves: Vec::new(),
        }))
    }

    /// The dimensions that a `Reduce…` node takes away, and whether each leaves a 1.
    pub(super) fn reduced_axes(
        &self,
        node: &Node,
        rank: usize,
    ) -> Result<(Vec<usize>, bool), Stop> {
        only_attributes(node, &["axes", "keepdims", "noop_with_empty_axes"])?;
        let axes = match node.attr_ints("axes")? {
            Some(axes) => axes.to_vec(),
            None => self.int64s(node, 1)?.unwrap_or_default(),
        };
        let mut at = axes
            .iter()
            .map(|&axis| axis_of(axis, rank))
            .collect::<Result<Vec<_>, _>>()?;
        at.sort_unstable();
        at.dedup();
        if at.is_empty() && node.attr_int("noop_with_empty_axes")?.unwrap_or(0) != 0 {
            return Err(refuse("it reduces nothing", "remove the node"));
        }
        if at.is_empty() {
            at = (0..rank).collect();
        }
        Ok((at, node.attr_int("keepdims")?.unwrap_or(1) != 0))
    }

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
                    ("starts", int64s(&begin)),
                    ("ends", int64s(&end)),
                    ("axes", int64s(&axes)),
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

    #[test]
    fn channels_move_there_and_back() {
        let (first, last) = channels_first(4);
        assert_eq!((first, last), (vec![0, 3, 1, 2], vec![0, 2, 3, 1]));
        assert_eq!(channels_first(3), (vec![0, 2, 1], vec![0, 2, 1]));
    }

    use proofmark_types::manifest::ReferenceLevel;

    use crate::graphs::list;
    use crate::import::small::{BOTH, Small};

    const GRIDS: [&str; 4] = ["xs", "xz", "ys", "yz"];

    /// A graph with the grids `x` and `y`; scales and zero points from the type's minimum.
    fn start(elem: ElemType, shape: &[usize], scales: [f32; 2], zeros: [i32; 2]) -> Small {
        let mut small = Small::new(elem, &[shape]);
        small.grid("x", scales[0], elem.min() + zeros[0], elem);
        small.grid("y", scales[1], elem.min() + zeros[1], elem);
        small.output("y", elem);
        small
    }

    /// The pool as `QLinear…` operator, and between `DequantizeLinear` and `QuantizeLinear`.
    fn both(
        op_type: &str,
        elem: ElemType,
        shape: &[usize],
        (scales, zeros): ([f32; 2], [i32; 2]),
        attributes: &[(&str, Attribute)],
    ) -> [Small; 2] {
        let mut one = start(elem, shape, scales, zeros);
        let inputs = [&["q0"], GRIDS.as_slice()].concat();
        one.node(&format!("QLinear{op_type}"), &inputs, &["y"], attributes);
        let mut other = start(elem, shape, scales, zeros);
        other
            .show("q0", "x", "d")
            .node(op_type, &["d"], &["m"], attributes);
        other.quantize("m", "y", "y");
        [one, other]
    }

    /// Scales without a common measure, so that no mean is a tie.
    const APART: ([f32; 2], [i32; 2]) = ([0.008_364, 0.016_484], [7, 11]);

    #[test]
    fn global_averages_are_exact() {
        let mut compared = 0;
        for elem in BOTH {
            for (shape, grids) in [
                (&[1, 3, 6, 6][..], APART),
                (&[1, 5, 7, 3], ([0.02, 0.02], [130, 0])),
                (&[1, 2, 31], ([0.3, 0.001], [255, 255])),
                (&[1, 1, 1, 1], ([0.5, 0.7], [3, 200])),
            ] {
                for mut small in both("GlobalAveragePool", elem, shape, grids, &[]) {
                    compared += small.exact(400).compared;
                }
            }
            // Channels behind, and a pool over the whole image.
            let last = [("channels_last", Attribute::Int(1))];
            let [mut small, _] = both("GlobalAveragePool", elem, &[1, 5, 4, 3], APART, &last);
            compared += small.exact(300).compared;
            let whole = [("kernel_shape", list(&[5, 4])), ("strides", list(&[2, 2]))];
            for mut small in both("AveragePool", elem, &[1, 3, 5, 4], APART, &whole) {
                compared += small.exact(300).compared;
            }
        }
        assert!(compared > 15_000, "{compared}");
    }

    #[test]
    fn averages_without_ties_are_exact() {
        let pad = |pads: &[i64], counted: i64| {
            vec![
                ("kernel_shape", list(&[3, 3])),
                ("strides", list(&[2, 1])),
                ("pads", list(pads)),
                ("count_include_pad", Attribute::Int(counted)),
            ]
        };
        let cases: Vec<(&[usize], Vec<(&str, Attribute)>)> = vec![
            (&[1, 2, 6, 7], vec![("kernel_shape", list(&[2, 2]))]),
            (&[1, 2, 7, 6], pad(&[1, 1, 1, 1], 1)),
            (&[1, 2, 7, 6], pad(&[1, 0, 2, 1], 0)),
            (
                &[1, 2, 8, 5],
                vec![
                    ("kernel_shape", list(&[3, 2])),
                    ("strides", list(&[3, 2])),
                    ("ceil_mode", Attribute::Int(1)),
                ],
            ),
            (
                &[1, 3, 11],
                vec![
                    ("kernel_shape", list(&[4])),
                    ("auto_pad", Attribute::String("SAME_UPPER".to_owned())),
                ],
            ),
            (
                &[1, 3, 4, 4],
                vec![("kernel_shape", list(&[1, 1])), ("strides", list(&[2, 2]))],
            ),
        ];
        for elem in BOTH {
            for (shape, attributes) in &cases {
                for mut small in both("AveragePool", elem, shape, APART, attributes) {
                    small.exact(120);
                }
            }
            let last = [
                ("channels_last", Attribute::Int(1)),
                ("kernel_shape", list(&[2, 2])),
            ];
            let [mut small, _] = both("AveragePool", elem, &[1, 5, 4, 3], APART, &last);
            small.exact(120);
        }
    }

    #[test]
    fn ties_are_listed_and_one_step_apart() {
        let attributes = [("kernel_shape", list(&[2, 2]))];
        for elem in BOTH {
            let same = ([0.0237, 0.0237], [40, 40]);
            for mut small in both("AveragePool", elem, &[1, 2, 9, 9], same, &attributes) {
                let feeds = small.feeds(100);
                let found = small.compare(ReferenceLevel::All, &feeds);
                assert_eq!(found.inexact.len(), 1);
                assert!(found.different > 0 && found.largest == 1, "{found:?}");
                // A quarter of all sums are ties; the runtime leaves some of them.
                assert!(found.different * 8 < found.compared, "{found:?}");
            }
        }
    }

    #[test]
    fn float_means_are_proven_for_any_order() {
        for elem in BOTH {
            for (shape, axes, keep) in [
                (&[1, 3, 4, 5][..], &[2, 3][..], 1),
                (&[1, 4, 5, 3], &[1, 2], 0),
                (&[1, 6, 9], &[-1], 1),
                (&[1, 6, 9], &[1], 0),
            ] {
                let mut small = start(elem, shape, APART.0, APART.1);
                let attributes = [("axes", list(axes)), ("keepdims", Attribute::Int(keep))];
                small
                    .show("q0", "x", "d")
                    .node("ReduceMean", &["d"], &["m"], &attributes);
                small.quantize("m", "y", "y");
                small.exact(200);
            }
            // At a level that fuses nothing, and to the other type.
            let [_, mut small] = both("GlobalAveragePool", elem, &[1, 3, 4, 4], APART, &[]);
            let feeds = small.feeds(200);
            for level in [ReferenceLevel::Disabled, ReferenceLevel::Basic] {
                let found = small.compare(level, &feeds);
                assert_eq!((found.different, found.inexact.len()), (0, 0), "{found:?}");
            }
            let other = BOTH[usize::from(elem == ElemType::Uint8)];
            let mut small = Small::new(elem, &[&[1, 3, 4, 4]]);
            let [from, to] = APART.0;
            small
                .grid("x", from, elem.min() + 7, elem)
                .grid("y", to, other.min() + 11, other);
            small
                .show("q0", "x", "d")
                .node("GlobalAveragePool", &["d"], &["m"], &[]);
            small
                .node("Flatten", &["m"], &["f"], &[])
                .quantize("f", "y", "y");
            small.output("y", other);
            small.exact(200);
        }
    }

    #[test]
    fn what_is_no_average_of_bytes_is_refused() {
        let u8s = ElemType::Uint8;
        let reason = |small: &Small| small.refused().join("; ");
        let kernel = ("kernel_shape", list(&[2, 2]));
        let [small, _] = both("AveragePool", u8s, &[1, 1, 4, 4], APART, &[]);
        assert!(reason(&small).contains("kernel_shape"));
        let wide = [kernel.clone(), ("pads", list(&[2, 0, 0, 0]))];
        let [small, _] = both("AveragePool", u8s, &[1, 1, 4, 4], APART, &wide);
        assert!(reason(&small).contains("reach over the kernel"));
        let dilated = [kernel, ("dilations", list(&[2, 2]))];
        let [_, small] = both("AveragePool", u8s, &[1, 1, 4, 4], APART, &dilated);
        assert!(reason(&small.opset(19)).contains("dilated"));
        let far = ([1e30, 1e-6], [0, 0]);
        for small in both("GlobalAveragePool", u8s, &[1, 1, 4, 4], far, &[]) {
            assert!(reason(&small).contains("multiplier"));
        }
        let [small, _] = both("GlobalAveragePool", u8s, &[1, 4], APART, &[]);
        assert!(reason(&small).contains("shape"));
    }
}
