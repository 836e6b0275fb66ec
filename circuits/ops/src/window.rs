//! Geometry of sliding windows (convolution, pooling): ONNX's `kernel_shape`, `strides`, `pads`,
//! `dilations`, `auto_pad` on 1 or 2 spatial dimensions.

use crate::context::{NodeContext, Refusal};

/// A window over one spatial dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) input: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
    pub(crate) pad_begin: usize,
    pub(crate) output: usize,
}

impl Axis {
    /// Input coordinate read by kernel position `tap` at output `at`; `None` in the padding.
    pub(crate) fn source(&self, at: usize, tap: usize) -> Option<usize> {
        (at * self.stride + tap * self.dilation)
            .checked_sub(self.pad_begin)
            .filter(|&i| i < self.input)
    }
}

/// A window over two spatial dimensions; one-dimensional ones have height 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) rows: Axis,
    pub(crate) columns: Axis,
    /// Output spatial shape in the rank of the input.
    pub(crate) output: Vec<usize>,
}

/// Who says how much is padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AutoPad {
    /// The attribute `pads`.
    Explicit,
    /// Nothing is.
    Valid,
    /// So that there are as many windows as strides begun, an odd one at the end.
    SameUpper,
    /// The same, an odd one at the beginning.
    SameLower,
}

fn auto_pad(cx: &NodeContext<'_>) -> Result<AutoPad, Refusal> {
    match cx.text("auto_pad", "NOTSET")?.as_str() {
        "NOTSET" => Ok(AutoPad::Explicit),
        "VALID" => Ok(AutoPad::Valid),
        "SAME_UPPER" => Ok(AutoPad::SameUpper),
        "SAME_LOWER" => Ok(AutoPad::SameLower),
        other => Err(Refusal::new(
            format!("auto_pad {other:?}"),
            "export explicit pads (auto_pad NOTSET)",
        )),
    }
}

/// Padding of both sides together, for `⌈input / stride⌉` windows.
fn same(input: usize, stride: usize, dilation: usize, kernel: usize) -> Result<usize, Refusal> {
    let remedy = "export explicit pads (auto_pad NOTSET)";
    if dilation != 1 {
        // The runtime's convolutions refuse it; its pools leave the dilation out of the sum.
        return Err(Refusal::new("auto_pad SAME with dilations", remedy));
    }
    let windows = input.div_ceil(stride);
    (windows.saturating_sub(1) * stride + kernel)
        .checked_sub(input)
        .ok_or_else(|| {
            // The runtime's pools pad by a negative number there.
            Refusal::new(
                format!("auto_pad SAME with a stride of {stride} past a kernel of {kernel}"),
                remedy,
            )
        })
}

/// Largest size of any window attribute: far above every model, small enough that no sum or
/// product of two of them overflows.
const LARGEST: i64 = 1 << 24;

impl Window {
    /// Reads the window attributes for an input of this spatial shape.
    pub(crate) fn parse(
        cx: &NodeContext<'_>,
        spatial: &[usize],
        kernel: &[usize],
    ) -> Result<Self, Refusal> {
        if spatial.is_empty() || spatial.len() > 2 || kernel.len() != spatial.len() {
            return Err(Refusal::new(
                format!(
                    "{} spatial dimensions with a kernel of {}",
                    spatial.len(),
                    kernel.len()
                ),
                "use 1 or 2 spatial dimensions",
            ));
        }
        let rank = spatial.len();
        let auto_pad = auto_pad(cx)?;
        let ceil = cx.flag("ceil_mode", false)?;
        let strides = sizes(cx, "strides", rank, 1, 1)?;
        let dilations = sizes(cx, "dilations", rank, 1, 1)?;
        let pads = sizes(cx, "pads", 2 * rank, 0, 0)?;
        if auto_pad != AutoPad::Explicit && pads.iter().any(|&p| p != 0) {
            return Err(Refusal::new(
                "auto_pad with pads",
                "export explicit pads only",
            ));
        }
        let mut axes = Vec::with_capacity(2);
        for d in 0..rank {
            let at = |list: &[usize], i: usize| list.get(i).copied().unwrap_or_default();
            let (input, size) = (at(spatial, d), at(kernel, d));
            let (stride, dilation) = (at(&strides, d), at(&dilations, d));
            let large = usize::try_from(LARGEST).unwrap_or(usize::MAX);
            if input > large || size == 0 || size > large {
                return Err(Refusal::new(
                    format!("input size {input} with kernel size {size}"),
                    "use sizes between 1 and 2^24",
                ));
            }
            let reach = dilation * (size - 1) + 1;
            let (begin, end) = match auto_pad {
                AutoPad::Explicit | AutoPad::Valid => (at(&pads, d), at(&pads, d + rank)),
                AutoPad::SameUpper | AutoPad::SameLower => {
                    let total = same(input, stride, dilation, size)?;
                    let half = total / 2;
                    if auto_pad == AutoPad::SameUpper {
                        (half, total - half)
                    } else {
                        (total - half, half)
                    }
                }
            };
            let padded = input + begin + end;
            if reach > padded {
                return Err(Refusal::new(
                    format!("a window of {reach} over a padded input of {padded}"),
                    "use a kernel that fits the input",
                ));
            }
            let mut output = (padded - reach) / stride + 1;
            if ceil && !(padded - reach).is_multiple_of(stride) {
                if output * stride >= input + begin {
                    return Err(Refusal::new(
                        "ceil_mode with a last window in the padding, which the runtime's kernel leaves out and its shape inference counts",
                        "export the pool with ceil_mode = 0",
                    ));
                }
                output += 1;
            }
            axes.push(Axis {
                input,
                kernel: size,
                stride,
                dilation,
                pad_begin: begin,
                output,
            });
        }
        let output = axes.iter().map(|a| a.output).collect();
        let unit = Axis {
            input: 1,
            kernel: 1,
            stride: 1,
            dilation: 1,
            pad_begin: 0,
            output: 1,
        };
        let (rows, columns) = match axes.as_slice() {
            [rows, columns] => (*rows, *columns),
            [columns] => (unit, *columns),
            _ => {
                return Err(Refusal::new(
                    "no spatial dimension",
                    "use 1 or 2 spatial dimensions",
                ));
            }
        };
        Ok(Self {
            rows,
            columns,
            output,
        })
    }

    /// The kernel positions that fall inside the input at output (`row`, `column`): pairs of a
    /// flat kernel position and a flat spatial input position.
    pub(crate) fn taps(
        &self,
        row: usize,
        column: usize,
    ) -> impl Iterator<Item = (usize, usize)> + '_ {
        (0..self.rows.kernel).flat_map(move |kr| {
            let source_row = self.rows.source(row, kr);
            (0..self.columns.kernel).filter_map(move |kc| {
                let source = source_row? * self.columns.input + self.columns.source(column, kc)?;
                Some((kr * self.columns.kernel + kc, source))
            })
        })
    }
}

fn sizes(
    cx: &NodeContext<'_>,
    name: &str,
    count: usize,
    default: usize,
    least: i64,
) -> Result<Vec<usize>, Refusal> {
    let Some(list) = cx.int_list(name)? else {
        return Ok(vec![default; count]);
    };
    if list.len() != count || list.iter().any(|&v| v < least || v > LARGEST) {
        return Err(Refusal::new(
            format!("{name} {list:?}"),
            format!("give {count} values of at least {least}"),
        ));
    }
    Ok(list
        .iter()
        .map(|&v| usize::try_from(v).unwrap_or_default())
        .collect())
}

/// The `kernel_shape` attribute.
pub(crate) fn kernel_shape(
    cx: &NodeContext<'_>,
    rank: usize,
) -> Result<Option<Vec<usize>>, Refusal> {
    if cx.int_list("kernel_shape")?.is_none() {
        return Ok(None);
    }
    sizes(cx, "kernel_shape", rank, 1, 1).map(Some)
}
