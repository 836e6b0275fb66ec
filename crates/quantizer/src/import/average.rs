//! Means over windows: `QLinearAveragePool`, `QLinearGlobalAveragePool`, and `AveragePool`,
//! `GlobalAveragePool` and `ReduceMean` between `DequantizeLinear` and `QuantizeLinear`. What they
//! become is in [`regions`](super::regions).

use proofmark_onnx::Node;

use super::Importer;
use super::value::{Grid, Int, Pending, Shown, Target, Value, What};
use crate::read::{Constants as _, Stop, axis_of, only_attributes, refuse};
use crate::window::{Image, Window};

/// A mean over windows of 8-bit integers, without the scale of its output.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Averaged {
    pub(super) source: Int,
    pub(super) grid: Grid,
    /// The original's node.
    pub(super) node: Node,
    /// Brings the channels to the front and what is averaged to the back.
    pub(super) perm: Option<Vec<usize>>,
    /// The shape that is pooled, behind `perm`: `[1, channels, height, width]` or with one spatial
    /// dimension.
    pub(super) planes: Vec<usize>,
    pub(super) window: Window,
    /// Whether padding counts as elements of value 0.
    pub(super) counted: bool,
    /// Undoes `perm` behind the pool.
    pub(super) back: Option<Vec<usize>>,
    /// Output shape.
    pub(super) shape: Vec<usize>,
    /// `QLinearGlobalAveragePool` and what the runtime treats as it.
    pub(super) global: bool,
    /// Whether the runtime computes it as a `QLinear…` operator.
    pub(super) fused: bool,
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
        averaged.fused = node.op_type != "ReduceMean" && self.is_fused(&node.name);
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_move_there_and_back() {
        let (first, last) = channels_first(4);
        assert_eq!((first, last), (vec![0, 3, 1, 2], vec![0, 2, 3, 1]));
        assert_eq!(channels_first(3), (vec![0, 2, 1], vec![0, 2, 1]));
    }

    use proofmark_onnx::Attribute;
    use proofmark_types::manifest::ReferenceLevel;
    use proofmark_types::{ElemType, IntTensor};

    use crate::graphs::list;
    use crate::import::small::{BOTH, Small};
    use crate::num::i64_of_dim;

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

    /// Windows of every sum, two of each, filled at random: `[sum][window][element]`.
    fn every_sum(small: &mut Small, elem: ElemType, taps: usize) -> Vec<[Vec<i32>; 2]> {
        let below = |small: &mut Small, most: i32| {
            i32::try_from(small.random(u64::from(most.unsigned_abs()) + 1)).unwrap()
        };
        let count = i32::try_from(taps).unwrap();
        let window = |small: &mut Small, sum: i32| {
            let share = |at: i32| sum / count + i32::from(at < sum % count);
            let mut window: Vec<i32> = (0..count).map(share).collect();
            for _ in 0..2 * taps {
                let [from, to] = [0; 2].map(|_| usize::try_from(below(small, count - 1)).unwrap());
                let moved = below(small, window[from].min(255 - window[to]));
                window[from] -= moved;
                window[to] += moved;
            }
            window
                .iter()
                .map(|value| value + elem.min())
                .collect::<Vec<i32>>()
        };
        (0..=255 * count)
            .map(|sum| [0; 2].map(|_| window(small, sum)))
            .collect()
    }

    /// Random grids: scales over four decades, any zero points.
    fn grids(small: &mut Small) -> ([f32; 2], [i32; 2]) {
        let unit =
            |small: &mut Small| f32::from(u16::try_from(small.random(1 << 16)).unwrap()) / 65_536.0;
        let from = 10.0_f32.powf(-4.0 * unit(small));
        let zero = |small: &mut Small| i32::try_from(small.random(256)).unwrap();
        let to = from * (0.3 + unit(small));
        ([from, to], [zero(small), zero(small)])
    }

    #[test]
    fn every_sum_of_a_global_average() {
        let mut source = Small::new(ElemType::Uint8, &[]);
        let mut compared = 0;
        for elem in BOTH {
            for (shape, rounds) in [([2, 2], 60), ([3, 5], 40), ([7, 7], 16)] {
                let taps = shape[0] * shape[1];
                let sums = every_sum(&mut source, elem, taps);
                let data: Vec<i32> = sums.iter().flat_map(|[window, _]| window.clone()).collect();
                let shape = [1, sums.len(), shape[0], shape[1]];
                let feed = IntTensor::new(elem, shape.to_vec(), data).unwrap();
                for _ in 0..rounds {
                    let drawn = grids(&mut source);
                    for small in both("GlobalAveragePool", elem, &shape, drawn, &[]) {
                        let found = small.run_both(ReferenceLevel::All, &[vec![feed.clone()]]);
                        assert!(found.inexact.is_empty());
                        assert_eq!(found.different, 0, "{shape:?} {drawn:?}");
                        compared += found.compared;
                    }
                }
            }
        }
        // Every sum, so every threshold and the accumulators next to it.
        assert!(compared > 1_600_000, "{compared}");
    }

    #[test]
    fn every_sum_of_an_average() {
        let mut source = Small::new(ElemType::Uint8, &[]);
        let (mut compared, mut exact, mut listed) = (0, 0, 0);
        for elem in BOTH {
            for (kernel, rounds) in [([1, 2], 60), ([2, 2], 60), ([3, 3], 40), ([4, 5], 16)] {
                let [height, width] = kernel;
                let sums = every_sum(&mut source, elem, height * width);
                // Two windows a channel, side by side.
                let mut data = Vec::new();
                for [left, right] in &sums {
                    for (left, right) in left.chunks(width).zip(right.chunks(width)) {
                        data.extend_from_slice(left);
                        data.extend_from_slice(right);
                    }
                }
                let shape = [1, sums.len(), height, 2 * width];
                let feed = IntTensor::new(elem, shape.to_vec(), data).unwrap();
                let size = list(&[i64_of_dim(height), i64_of_dim(width)]);
                let attributes = [("kernel_shape", size.clone()), ("strides", size)];
                for _ in 0..rounds {
                    let drawn = grids(&mut source);
                    for small in both("AveragePool", elem, &shape, drawn, &attributes) {
                        let found = small.run_both(ReferenceLevel::All, &[vec![feed.clone()]]);
                        compared += found.compared;
                        if found.inexact.is_empty() {
                            assert_eq!(found.different, 0, "{kernel:?} {drawn:?}");
                            exact += 1;
                        } else {
                            assert!(found.largest <= 1, "{kernel:?} {drawn:?}");
                            listed += 1;
                        }
                    }
                }
            }
        }
        assert!(compared > 2_000_000, "{compared}");
        assert!(
            listed > 0 && exact > 2 * listed,
            "{exact} exact, {listed} listed"
        );
    }

    /// Shape and attributes of a pool.
    type Case<'c> = (&'c [usize], Vec<(&'c str, Attribute)>);

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
        let cases: Vec<Case<'_>> = vec![
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
