//! Geometry of windows that slide over the spatial dimensions of a convolution or a pool, read
//! from a node's attributes in one place for float and for quantized models.

use proofmark_onnx::{Attribute, Node};

use crate::num::i64_of_dim;
use crate::read::{Stop, refuse};

/// Largest size of an attribute: far above every model, and no product of two overflows.
const LARGEST: usize = 1 << 20;

/// The dimensions of `[1, channels, height, width]`, or of `[1, channels, length]` as height 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) channels: usize,
    pub(crate) size: [usize; 2],
    /// Spatial dimensions that the tensor has: 1 or 2.
    pub(crate) rank: usize,
}

impl Image {
    /// Of a tensor with one or two spatial dimensions.
    pub(crate) fn of(shape: &[usize]) -> Result<Self, Stop> {
        let (channels, size, rank) = match *shape {
            [1, channels, height, width] => (channels, [height, width], 2),
            [1, channels, length] => (channels, [1, length], 1),
            _ => {
                return Err(refuse(
                    format!(
                        "its input has shape {shape:?}, not [1, channels, height, width] or [1, channels, length]"
                    ),
                    "use one or two spatial dimensions and batch 1",
                ));
            }
        };
        Ok(Self {
            channels,
            size,
            rank,
        })
    }

    /// The shape of a tensor of the same rank.
    pub(crate) fn shape(&self, channels: usize, size: [usize; 2]) -> Vec<usize> {
        let mut shape = vec![1, channels];
        shape.extend(&size[2 - self.rank..]);
        shape
    }
}

/// Kernel geometry of a convolution or pool over an [`Image`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) kernel: [usize; 2],
    pub(crate) strides: [usize; 2],
    pub(crate) dilations: [usize; 2],
    /// Top, left, bottom, right.
    pub(crate) pads: [usize; 4],
    /// Spatial dimensions that its attributes name: 1 or 2.
    pub(crate) rank: usize,
}

impl Window {
    pub(crate) const POINT: Self = Self {
        kernel: [1, 1],
        strides: [1, 1],
        dilations: [1, 1],
        pads: [0; 4],
        rank: 2,
    };

    pub(crate) fn padded(&self) -> bool {
        self.pads.iter().any(|&pad| pad > 0)
    }

    /// What one window reaches over along a dimension.
    fn span(&self, axis: usize) -> Option<usize> {
        let taps = self.kernel[axis].checked_sub(1)?;
        self.dilations[axis].checked_mul(taps)?.checked_add(1)
    }

    /// Output height and width (ONNX, `ceil_mode = 0`); `None` when the window does not fit.
    pub(crate) fn output(&self, size: [usize; 2]) -> Option<[usize; 2]> {
        let mut out = [0; 2];
        for axis in 0..2 {
            let padded = size[axis]
                .checked_add(self.pads[axis])?
                .checked_add(self.pads[axis + 2])?;
            out[axis] = padded
                .checked_sub(self.span(axis)?)?
                .checked_div(self.strides[axis])?
                .checked_add(1)?;
        }
        Some(out)
    }

    /// Output height and width, or why there is none.
    pub(crate) fn sized(&self, size: [usize; 2]) -> Result<[usize; 2], Stop> {
        self.output(size).ok_or_else(|| {
            refuse(
                format!("a kernel {:?} does not fit an image {size:?}", self.kernel),
                "check the input's size and the pads",
            )
        })
    }

    /// The attributes as ONNX writes them.
    pub(crate) fn attributes(&self, node: Node) -> Node {
        let ints = |values: &[usize]| {
            let skip = if values.len() == 4 && self.rank == 1 {
                // Only left and right.
                vec![values[1], values[3]]
            } else {
                values[values.len().min(2) - self.rank..].to_vec()
            };
            Attribute::Ints(skip.into_iter().map(i64_of_dim).collect())
        };
        node.with("kernel_shape", ints(&self.kernel))
            .with("strides", ints(&self.strides))
            .with("dilations", ints(&self.dilations))
            .with("pads", ints(&self.pads))
    }

    /// Strides, dilations and pads of a node with `auto_pad` resolved, for a kernel over an image
    /// of known size.
    pub(crate) fn read(node: &Node, kernel: [usize; 2], image: &Image) -> Result<Self, Stop> {
        let rank = image.rank;
        let mut window = Self {
            kernel,
            strides: sizes(node, "strides", rank, 1)?.unwrap_or([1, 1]),
            dilations: sizes(node, "dilations", rank, 1)?.unwrap_or([1, 1]),
            pads: [0; 4],
            rank,
        };
        match node.attr_string("auto_pad")?.unwrap_or("NOTSET") {
            "NOTSET" | "" => {
                if let Some(values) = list(node, "pads", 2 * rank, 0)? {
                    let (begin, end) = values.split_at(rank);
                    for (at, (&begin, &end)) in begin.iter().zip(end).enumerate() {
                        window.pads[2 - rank + at] = begin;
                        window.pads[4 - rank + at] = end;
                    }
                }
            }
            "VALID" => {}
            mode @ ("SAME_UPPER" | "SAME_LOWER") => {
                for axis in 2 - rank..2 {
                    let (stride, size) = (window.strides[axis], image.size[axis]);
                    let span = window.span(axis).unwrap_or_default();
                    let reach = (size.div_ceil(stride).saturating_sub(1)) * stride + span;
                    let total = reach.saturating_sub(size);
                    let (small, large) = (total / 2, total - total / 2);
                    let upper = mode == "SAME_UPPER";
                    window.pads[axis] = if upper { small } else { large };
                    window.pads[axis + 2] = if upper { large } else { small };
                }
            }
            other => {
                return Err(refuse(
                    format!("auto_pad {other:?} is not known"),
                    "give explicit pads",
                ));
            }
        }
        Ok(window)
    }

    /// The window of a pool, with `ceil_mode` turned into padding at the end.
    pub(crate) fn pool(node: &Node, image: &Image) -> Result<Self, Stop> {
        let mut window = Self::read(node, kernel_shape(node, image.rank)?, image)?;
        let beyond =
            |window: &Self| (0..4).any(|side| window.pads[side] >= window.kernel[side % 2]);
        let wide = |window: &Self| {
            refuse(
                format!("pads {:?} reach over the kernel", window.pads),
                "use pads smaller than the kernel",
            )
        };
        if beyond(&window) {
            return Err(wide(&window));
        }
        let out = window.sized(image.size)?;
        if node.attr_int("ceil_mode")?.unwrap_or(0) != 0 {
            for (axis, &windows) in out.iter().enumerate().skip(2 - image.rank) {
                let (stride, begin) = (window.strides[axis], window.pads[axis]);
                let span = window.span(axis).unwrap_or_default();
                let covered = (windows - 1) * stride + span;
                let padded = image.size[axis] + begin + window.pads[axis + 2];
                // One window more covers the rest, as long as it begins inside the image.
                if covered < padded && windows * stride < image.size[axis] + begin {
                    window.pads[axis + 2] += covered + stride - padded;
                }
            }
            if beyond(&window) {
                return Err(wide(&window));
            }
        }
        Ok(window)
    }
}

/// The `kernel_shape` of a pool.
pub(crate) fn kernel_shape(node: &Node, rank: usize) -> Result<[usize; 2], Stop> {
    sizes(node, "kernel_shape", rank, 1)?
        .ok_or_else(|| refuse("kernel_shape is missing", "give the kernel's size"))
}

/// One value a spatial dimension; a missing height is 1.
fn sizes(node: &Node, name: &str, rank: usize, least: usize) -> Result<Option<[usize; 2]>, Stop> {
    let values = list(node, name, rank, least)?;
    Ok(values.map(|values| match *values {
        [height, width] => [height, width],
        [length] => [1, length],
        _ => [1, 1],
    }))
}

fn list(node: &Node, name: &str, count: usize, least: usize) -> Result<Option<Vec<usize>>, Stop> {
    let Some(values) = node.attr_ints(name)? else {
        return Ok(None);
    };
    let fits = |&v: &usize| v >= least && v <= LARGEST;
    let read = values.iter().map(|&v| usize::try_from(v).ok().filter(fits));
    match read.collect::<Option<Vec<usize>>>() {
        Some(read) if read.len() == count => Ok(Some(read)),
        _ => Err(refuse(
            format!("{name} is {values:?}"),
            format!("give {count} values of at least {least}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphs::list as ints;

    fn pool(attributes: &[(&str, Attribute)], shape: &[usize]) -> Result<(Window, Image), Stop> {
        let mut node = Node::new("p", "MaxPool", &["x"], &["y"]);
        for (name, value) in attributes {
            node = node.with(*name, value.clone());
        }
        let image = Image::of(shape)?;
        Window::pool(&node, &image).map(|window| (window, image))
    }

    #[test]
    fn one_dimension_is_height_one() {
        let attributes = [
            ("kernel_shape", ints(&[3])),
            ("strides", ints(&[2])),
            ("dilations", ints(&[2])),
            ("pads", ints(&[1, 2])),
        ];
        let (window, image) = pool(&attributes, &[1, 5, 11]).unwrap();
        assert_eq!((window.kernel, window.pads), ([1, 3], [0, 1, 0, 2]));
        let out = window.output(image.size).unwrap();
        assert_eq!(image.shape(7, out), [1, 7, 5]);
        let written = window.attributes(Node::default());
        for (name, value) in attributes {
            assert_eq!(written.attributes.get(name), Some(&value), "{name}");
        }
        assert!(pool(&[("kernel_shape", ints(&[3, 3]))], &[1, 5, 11]).is_err());
        assert!(pool(&[("kernel_shape", ints(&[3]))], &[2, 5, 11]).is_err());
        assert!(pool(&[("kernel_shape", ints(&[0]))], &[1, 5, 11]).is_err());
        assert!(pool(&[], &[1, 5, 11]).is_err());
    }

    #[test]
    fn ceil_mode_becomes_padding() {
        // size, kernel, stride, pads → end padding and outputs, by hand from the ONNX text.
        for (size, kernel, stride, pads, end, out) in [
            (5, 2, 2, [0, 0], 1, 3),
            (6, 2, 2, [0, 0], 0, 3),
            // A third window would begin at 6, behind the image.
            (5, 1, 3, [0, 0], 0, 2),
            // The fourth begins at 6 − 1, the last column.
            (6, 2, 2, [1, 0], 1, 4),
            // The third begins at 4 − 1, the last column.
            (4, 3, 2, [1, 1], 2, 3),
            // The next would begin at 3, behind the image though in the padding.
            (3, 2, 3, [0, 1], 1, 1),
            (7, 3, 3, [1, 1], 1, 3),
        ] {
            let attributes = [
                ("kernel_shape", ints(&[kernel])),
                ("strides", ints(&[stride])),
                ("pads", ints(&pads)),
                ("ceil_mode", Attribute::Int(1)),
            ];
            let (window, image) = pool(&attributes, &[1, 1, size]).unwrap();
            assert_eq!(window.pads[3], end, "{size} {kernel} {stride} {pads:?}");
            assert_eq!(window.output(image.size), Some([1, out]));
        }
    }
}
