//! `Resize` to the nearest element, with constant scales or sizes.

use proofmark_onnx::{Attribute, Tensor, TensorData};
use proofmark_tensor::ElemType::{Int32, Uint8};

use super::relabel::Relabel;
use crate::context::{NodeContext, Refusal};
use crate::operator::{Fact, MAX_ELEMENTS, OpSpec, Parsed};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Resize",
    domain: "",
    since: 11,
    summary: "the nearest element for each output position; coordinates in float32 as the runtime computes them",
    limits: "mode nearest; coordinates asymmetric, half_pixel, pytorch_half_pixel, align_corners; constant scales or sizes; not where rounding noise decides between two elements",
    cost: "0",
    portability: "every processor: divisions and products of float32, one rounding each",
    vectors,
    parse,
};

/// How an output index becomes a coordinate of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coordinates {
    Asymmetric,
    HalfPixel,
    PytorchHalfPixel,
    AlignCorners,
}

/// How a coordinate becomes an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nearest {
    RoundPreferFloor,
    RoundPreferCeil,
    Floor,
    Ceil,
}

/// A coordinate this close to the middle of two elements, but not in it, is there because of
/// float32 rounding. The runtime takes some of those for the middle (up to 10^-6 off, measured)
/// and others not; which of the two elements ONNX means cannot be said.
const NOISE: f32 = 1e-4;

/// One dimension.
#[derive(Debug, Clone, Copy)]
struct Dimension {
    input: usize,
    output: usize,
    scale: f32,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "sizes are at most 2^24, which float32 holds exactly"
)]
const fn float(size: usize) -> f32 {
    size as f32
}

impl Dimension {
    /// The coordinate, each operation rounded to float32 as in the runtime.
    fn coordinate(self, at: usize, coordinates: Coordinates) -> f32 {
        let x = float(at);
        match coordinates {
            Coordinates::Asymmetric => x / self.scale,
            Coordinates::PytorchHalfPixel if self.output <= 1 => 0.0,
            Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => (x + 0.5) / self.scale - 0.5,
            Coordinates::AlignCorners if self.output == 1 => 0.0,
            Coordinates::AlignCorners => x * (float(self.input) - 1.0) / (float(self.output) - 1.0),
        }
    }

    /// The input index of an output index; `None` where rounding noise decides.
    fn source(self, at: usize, coordinates: Coordinates, nearest: Nearest) -> Option<usize> {
        // The runtime copies a dimension of scale 1.
        if self.scale.to_bits() == 1.0_f32.to_bits() {
            return Some(at);
        }
        let x = self.coordinate(at, coordinates);
        let middle = x.floor() + 0.5;
        let in_middle = x.to_bits() == middle.to_bits();
        let index = match nearest {
            Nearest::Floor => x.floor(),
            Nearest::Ceil => x.ceil(),
            _ if !in_middle && (x - middle).abs() < NOISE => return None,
            Nearest::RoundPreferFloor if in_middle => x.floor(),
            Nearest::RoundPreferCeil if in_middle => x.ceil(),
            Nearest::RoundPreferFloor | Nearest::RoundPreferCeil => x.round(),
        };
        let last = self.input.saturating_sub(1);
        Some(whole(index).min(last))
    }
}

/// A float without a fraction as an index; negative ones are the first element.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, at 0 and at the largest index"
)]
const fn whole(value: f32) -> usize {
    value as usize
}

fn coordinates(cx: &NodeContext<'_>) -> Result<Coordinates, Refusal> {
    match cx
        .text("coordinate_transformation_mode", "half_pixel")?
        .as_str()
    {
        "asymmetric" => Ok(Coordinates::Asymmetric),
        "half_pixel" => Ok(Coordinates::HalfPixel),
        "pytorch_half_pixel" => Ok(Coordinates::PytorchHalfPixel),
        "align_corners" => Ok(Coordinates::AlignCorners),
        other => Err(Refusal::new(
            format!("coordinate_transformation_mode {other:?}"),
            "use asymmetric, half_pixel, pytorch_half_pixel or align_corners",
        )),
    }
}

fn nearest(cx: &NodeContext<'_>) -> Result<Nearest, Refusal> {
    let mode = cx.text("mode", "nearest")?;
    if mode != "nearest" {
        return Err(Refusal::new(
            format!("mode {mode:?}, which interpolates in float"),
            "resize to the nearest element",
        ));
    }
    match cx.text("nearest_mode", "round_prefer_floor")?.as_str() {
        "round_prefer_floor" => Ok(Nearest::RoundPreferFloor),
        "round_prefer_ceil" => Ok(Nearest::RoundPreferCeil),
        "floor" => Ok(Nearest::Floor),
        "ceil" => Ok(Nearest::Ceil),
        other => Err(Refusal::new(
            format!("nearest_mode {other:?}"),
            "use round_prefer_floor, round_prefer_ceil, floor or ceil",
        )),
    }
}

/// The axes that are resized, in the order of scales and sizes.
fn axes(cx: &NodeContext<'_>, rank: usize) -> Result<Vec<usize>, Refusal> {
    let Some(list) = cx.int_list("axes")? else {
        return Ok((0..rank).collect());
    };
    let mut seen = vec![false; rank];
    let axes: Option<Vec<usize>> = list
        .iter()
        .map(|&wanted| {
            let at = usize::try_from(wanted).ok()?;
            let slot = seen.get_mut(at)?;
            (!std::mem::replace(slot, true)).then_some(at)
        })
        .collect();
    // The runtime does not count negative axes from the end.
    axes.filter(|axes| cx.opset >= 18 && !axes.is_empty())
        .ok_or_else(|| {
            Refusal::new(
                format!("axes {list:?} in operator set {}", cx.opset),
                "name each axis once, from 0, in operator set 18 or later; or leave axes out",
            )
        })
}

/// The list at a position; an empty one is as good as none.
fn list<'c>(cx: &'c NodeContext<'_>, position: usize) -> Result<Option<&'c Tensor>, Refusal> {
    let given = cx.constant(position)?;
    Ok(given.filter(|tensor| tensor.data.element_count() != Some(0)))
}

/// Every dimension with its output size and scale.
fn dimensions(cx: &NodeContext<'_>, x: &Fact) -> Result<Vec<Dimension>, Refusal> {
    let axes = axes(cx, x.shape.len())?;
    let refuse = |reason: String| Refusal::new(reason, "give constant scales, or constant sizes");
    let input = |at: usize| x.shape.get(at).copied().unwrap_or_default();
    let resized: Vec<Dimension> = match (list(cx, 2)?, list(cx, 3)?) {
        (Some(scales), None) => {
            let scales = scales.floats().unwrap_or_default();
            if scales.len() != axes.len() || scales.iter().any(|s| !s.is_finite() || *s <= 0.0) {
                return Err(refuse(format!("scales {scales:?} for {} axes", axes.len())));
            }
            let sized = |(&at, &scale): (&usize, &f32)| Dimension {
                input: input(at),
                output: whole((scale * float(input(at))).floor()),
                scale,
            };
            axes.iter().zip(scales).map(sized).collect()
        }
        (None, Some(sizes)) => {
            let TensorData::Int64(sizes) = &sizes.data else {
                return Err(refuse("sizes that are not int64".to_owned()));
            };
            let outputs: Option<Vec<usize>> = sizes
                .iter()
                .map(|&size| {
                    usize::try_from(size)
                        .ok()
                        .filter(|&size| size <= MAX_ELEMENTS)
                })
                .collect();
            let outputs = outputs
                .filter(|outputs| outputs.len() == axes.len())
                .ok_or_else(|| refuse(format!("sizes {sizes:?} for {} axes", axes.len())))?;
            let sized = |(&at, output): (&usize, usize)| Dimension {
                input: input(at),
                output,
                scale: float(output) / float(input(at)),
            };
            axes.iter().zip(outputs).map(sized).collect()
        }
        (scales, _) => {
            let given = if scales.is_some() { "both" } else { "neither" };
            return Err(refuse(format!("{given} of scales and sizes")));
        }
    };
    let mut all: Vec<Dimension> = x
        .shape
        .iter()
        .map(|&size| Dimension {
            input: size,
            output: size,
            scale: 1.0,
        })
        .collect();
    for (at, dimension) in axes.into_iter().zip(resized) {
        if let Some(slot) = all.get_mut(at) {
            *slot = dimension;
        }
    }
    Ok(all)
}

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    // The last two speak of other modes only; the roi (input 1) does too.
    cx.only_attributes(&[
        "mode",
        "coordinate_transformation_mode",
        "nearest_mode",
        "axes",
        "antialias",
        "exclude_outside",
        "keep_aspect_ratio_policy",
        "cubic_coeff_a",
        "extrapolation_value",
    ])?;
    let (name, x) = cx.data(0)?;
    let (coordinates, nearest) = (coordinates(cx)?, nearest(cx)?);
    let policy = cx.text("keep_aspect_ratio_policy", "stretch")?;
    if cx.flag("antialias", false)? || cx.flag("exclude_outside", false)? || policy != "stretch" {
        return Err(Refusal::new(
            "antialias, exclude_outside or keep_aspect_ratio_policy is set",
            "export the node without them, with the sizes that are meant",
        ));
    }
    cx.constant(1)?;
    if x.shape.is_empty() {
        return Err(Refusal::new(
            "a scalar",
            "resize a tensor of rank 1 or more",
        ));
    }
    let dimensions = dimensions(cx, &x)?;
    let shape = cx.bounded(dimensions.iter().map(|d| d.output).collect())?;
    let scaled = |d: &Dimension| d.scale.to_bits() != 1.0_f32.to_bits();
    if shape == x.shape && dimensions.iter().any(scaled) {
        return Err(Refusal::new(
            "scales that change no size, which the runtime does not apply",
            "remove the node",
        ));
    }
    let mut maps = Vec::with_capacity(dimensions.len());
    for dimension in dimensions {
        let map: Option<Vec<usize>> = (0..dimension.output)
            .map(|at| dimension.source(at, coordinates, nearest))
            .collect();
        maps.push(map.ok_or_else(|| {
            Refusal::new(
                format!(
                    "from {} to {} elements a coordinate falls within float32 rounding of the middle of two",
                    dimension.input, dimension.output
                ),
                "use nearest_mode floor or ceil, or sizes in a ratio of whole numbers",
            )
        })?);
    }
    Ok(Parsed {
        operator: Box::new(Relabel::separable(x.elem, &x.shape, &maps)),
        data: vec![name],
    })
}

fn vectors() -> Vec<Vector> {
    let mode = |name: &str| Attribute::String(name.to_owned());
    let of = |name, coordinates: &str, nearest: &str, sizes: &[i64]| {
        Vector::new(name, &SPEC, &["x", "", "", "sizes"])
            .input("x", Uint8, &[1, 4], &[1, 2, 3, 4])
            .int64s("sizes", sizes)
            .attribute("coordinate_transformation_mode", mode(coordinates))
            .attribute("nearest_mode", mode(nearest))
    };
    let scaled = |name, scales: &[f32]| {
        Vector::new(name, &SPEC, &["x", "", "scales"])
            .input("x", Int32, &[2, 2], &[1, 2, 3, 4])
            .floats("scales", scales)
            .attribute("coordinate_transformation_mode", mode("asymmetric"))
            .attribute("nearest_mode", mode("floor"))
    };
    vec![
        scaled("twice as large", &[2.0, 2.0]).gives(
            Int32,
            &[4, 4],
            &[1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4],
        ),
        // (i + 0.5)/0.5 − 0.5 = 0.5, 2.5: in the middle.
        of(
            "half as large, the lower",
            "half_pixel",
            "round_prefer_floor",
            &[1, 2],
        )
        .gives(Uint8, &[1, 2], &[1, 3]),
        of(
            "half as large, the upper",
            "half_pixel",
            "round_prefer_ceil",
            &[1, 2],
        )
        .gives(Uint8, &[1, 2], &[2, 4]),
        // i · 3/6 = 0, 0.5, 1, …, 3.
        of("corners on corners", "align_corners", "ceil", &[1, 7]).gives(
            Uint8,
            &[1, 7],
            &[1, 2, 2, 3, 3, 4, 4],
        ),
        // One element: coordinate 0 in PyTorch's way, 1.5 in the plain one.
        of(
            "one element, PyTorch",
            "pytorch_half_pixel",
            "floor",
            &[1, 1],
        )
        .gives(Uint8, &[1, 1], &[1]),
        of("one element", "half_pixel", "floor", &[1, 1]).gives(Uint8, &[1, 1], &[2]),
        of(
            "another coordinate mode",
            "tf_crop_and_resize",
            "floor",
            &[1, 2],
        )
        .refused("tf_crop"),
        of("another nearest mode", "asymmetric", "round", &[1, 2]).refused("nearest_mode"),
        of("too few sizes", "asymmetric", "floor", &[2]).refused("sizes"),
        of("interpolation", "asymmetric", "floor", &[1, 2])
            .attribute("mode", mode("linear"))
            .refused("linear"),
        Vector::new("rounding noise", &SPEC, &["x", "", "", "sizes"])
            .input("x", Uint8, &[7], &[0; 7])
            .int64s("sizes", &[4])
            .attribute("coordinate_transformation_mode", mode("asymmetric"))
            .attribute("nearest_mode", mode("round_prefer_ceil"))
            .refused("rounding"),
        scaled("scales that change nothing", &[1.25, 1.0]).refused("change no size"),
    ]
}
