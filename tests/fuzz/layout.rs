//! Generators of operators that move elements by rules of their own: borders, slices, blocks,
//! resizing, broadcasting.

use proofmark_onnx::{Attribute, Tensor, TensorData};
use proofmark_tensor::ElemType;
use proofmark_tests::Random;

use crate::growing::{Growing, MOST, Value, byte};
use crate::movers::{axis, moved, pick};

fn text(value: &str) -> Attribute {
    Attribute::String(value.to_owned())
}

pub(crate) fn identity(g: &mut Growing) -> Option<Value> {
    let x = pick(g, |_| true)?;
    let shape = x.shape.clone();
    Some(moved(g, "Identity", &[&x.name], &[], (&x, shape)))
}

pub(crate) fn expand(g: &mut Growing) -> Option<Value> {
    let x = pick(g, |v| v.shape.contains(&1) || v.shape.len() < 4)?;
    let mut wanted: Vec<i64> = x.shape.iter().map(|&d| d as i64).collect();
    for size in &mut wanted {
        if *size == 1 {
            *size = g.random.between(1, 4);
        } else if g.random.one_in(3) {
            *size = 1;
        }
    }
    if x.shape.len() < 4 && g.random.one_in(2) {
        wanted.insert(0, g.random.between(1, 3));
    }
    let rank = wanted.len();
    let skip = rank - x.shape.len();
    let shape: Vec<usize> = wanted
        .iter()
        .enumerate()
        .map(|(d, &w)| {
            d.checked_sub(skip)
                .map_or(1, |at| x.shape[at])
                .max(w as usize)
        })
        .collect();
    if shape.iter().product::<usize>() > MOST {
        return None;
    }
    let wanted = g.b.int64s(&wanted);
    Some(moved(g, "Expand", &[&x.name, &wanted], &[], (&x, shape)))
}

pub(crate) fn slice(g: &mut Growing) -> Option<Value> {
    let x = pick(g, |v| !v.shape.is_empty())?;
    let rank = x.shape.len();
    let random = &mut g.random;
    let (mut starts, mut ends, mut axes, mut steps) = (vec![], vec![], vec![], vec![]);
    let mut shape = x.shape.clone();
    for (at, left) in shape.iter_mut().enumerate() {
        if random.one_in(2) && at + 1 < rank {
            continue;
        }
        let size = x.shape[at] as i64;
        let (first, last) = (random.between(0, size - 1), random.between(0, size - 1));
        let backwards = first > last;
        let step = random.between(1, 3);
        let kept = (first - last).abs() / step + 1;
        *left = kept as usize;
        // One past the last, in one of the ways in which ONNX lets one say it.
        let stop = if backwards { last - 1 } else { last + 1 };
        let end = match (backwards, random.one_in(2)) {
            (true, _) if stop < 0 => *random.pick(&[-size - 1, -size - 7, i64::MIN]),
            (false, true) if stop == size => *random.pick(&[size, size + 9, i64::MAX]),
            (_, true) if stop < size => stop - size,
            _ => stop,
        };
        starts.push(if random.one_in(2) {
            first
        } else {
            first - size
        });
        ends.push(end);
        axes.push(axis(random, at, rank));
        steps.push(if backwards { -step } else { step });
    }
    let whole_prefix = axes.len() == rank;
    let ones = steps.iter().all(|&s| s == 1);
    let mut inputs = vec![x.name.clone(), g.b.int64s(&starts), g.b.int64s(&ends)];
    if !(whole_prefix && ones && g.random.one_in(2)) {
        inputs.push(g.b.int64s(&axes));
        if !ones || g.random.one_in(2) {
            inputs.push(g.b.int64s(&steps));
        }
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    Some(moved(g, "Slice", &inputs, &[], (&x, shape)))
}

pub(crate) fn pad(g: &mut Growing) -> Option<Value> {
    let x = pick(g, |v| !v.shape.is_empty())?;
    let rank = x.shape.len();
    let random = &mut g.random;
    let mode = *random.pick(&["constant", "constant", "edge", "reflect", "wrap"]);
    let all = random.one_in(2);
    let axes: Vec<usize> = (0..rank).filter(|_| all || random.one_in(2)).collect();
    let (mut begins, mut ends) = (vec![], vec![]);
    let mut shape = x.shape.clone();
    for &at in &axes {
        let size = x.shape[at] as i64;
        let most = if mode == "reflect" {
            (size - 1).min(2)
        } else {
            2
        };
        // Either may crop, but one element stays. The runtime crops in constant mode only.
        let crop = |random: &mut Random| mode == "constant" && random.one_in(4);
        let begin = if crop(random) {
            -random.between(0, (size - 1) / 2)
        } else {
            random.between(0, most)
        };
        let end = if crop(random) {
            -random.between(0, (size - 1) / 2)
        } else {
            random.between(0, most)
        };
        shape[at] = (size + begin + end) as usize;
        begins.push(begin);
        ends.push(end);
    }
    if axes.is_empty() || shape.iter().product::<usize>() > MOST {
        return None;
    }
    begins.extend(ends);
    let mut inputs = vec![x.name.clone(), g.b.int64s(&begins)];
    let (mut lo, mut hi) = x.range;
    let mut border = 0;
    if g.random.one_in(2) {
        border = g.random.between(x.elem.min().into(), x.elem.max().into());
        inputs.push(g.b.int(x.elem, border as i32));
    } else {
        inputs.push(String::new());
    }
    if mode == "constant" {
        (lo, hi) = (lo.min(border), hi.max(border));
    }
    if !all || g.random.one_in(2) {
        let axes: Vec<i64> = axes
            .iter()
            .map(|&at| axis(&mut g.random, at, rank))
            .collect();
        inputs.push(g.b.int64s(&axes));
    }
    while inputs.last().is_some_and(String::is_empty) {
        inputs.pop();
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let attributes = if mode == "constant" && g.random.one_in(2) {
        vec![]
    } else {
        vec![("mode", text(mode))]
    };
    let out = (x.elem, shape, (lo, hi));
    Some(g.node(("", "Pad"), &inputs, &attributes, out))
}

fn block_image(random: &mut Random) -> (ElemType, Vec<usize>) {
    (
        byte(random),
        vec![
            random.size(1, 2),
            4,
            2 * random.size(1, 3),
            2 * random.size(1, 3),
        ],
    )
}

pub(crate) fn depth_to_space(g: &mut Growing) -> Option<Value> {
    let x = g.pick(
        |v| v.shape.len() == 4 && v.is_8_bit() && v.shape[1].is_multiple_of(4),
        block_image,
    )?;
    let [n, c, h, w] = [0, 1, 2, 3].map(|d| x.shape[d]);
    let block = if g.random.one_in(4) { 1 } else { 2 };
    let mut attributes = vec![("blocksize", Attribute::Int(block as i64))];
    match g.random.between(0, 2) {
        0 => attributes.push(("mode", text("DCR"))),
        1 => attributes.push(("mode", text("CRD"))),
        _ => {}
    }
    let shape = vec![n, c / (block * block), h * block, w * block];
    Some(moved(
        g,
        "DepthToSpace",
        &[&x.name],
        &attributes,
        (&x, shape),
    ))
}

pub(crate) fn space_to_depth(g: &mut Growing) -> Option<Value> {
    let x = g.pick(
        |v| {
            let even = |d: usize| v.shape[d].is_multiple_of(2);
            v.shape.len() == 4 && v.is_8_bit() && even(2) && even(3)
        },
        block_image,
    )?;
    let [n, c, h, w] = [0, 1, 2, 3].map(|d| x.shape[d]);
    let attributes = [("blocksize", Attribute::Int(2))];
    let shape = vec![n, 4 * c, h / 2, w / 2];
    Some(moved(
        g,
        "SpaceToDepth",
        &[&x.name],
        &attributes,
        (&x, shape),
    ))
}

pub(crate) fn resize(g: &mut Growing) -> Option<Value> {
    let x = pick(g, |v| !v.shape.is_empty() && v.len() <= 160)?;
    let rank = x.shape.len();
    let random = &mut g.random;
    let coordinates = *random.pick(&[
        "asymmetric",
        "half_pixel",
        "pytorch_half_pixel",
        "align_corners",
    ]);
    // Rounding to the nearest is refused where noise decides; whole ratios have none.
    let nearest = *random.pick(&["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]);
    let any = nearest == "floor" || nearest == "ceil";
    let by_scale = random.one_in(2);
    let mut sizes = Vec::new();
    let mut scales = Vec::new();
    for (d, &size) in x.shape.iter().enumerate() {
        let out = match random.between(0, 3) {
            _ if d + 2 < rank => size,
            0 => size,
            1 if any && !by_scale => random.size(1, 9),
            2 if size.is_multiple_of(2) => size / 2,
            _ => size * random.size(1, 2),
        };
        sizes.push(out);
        scales.push(out as f32 / size as f32);
    }
    if sizes == x.shape || sizes.iter().product::<usize>() > MOST {
        return None;
    }
    let attributes = [
        ("mode", text("nearest")),
        ("coordinate_transformation_mode", text(coordinates)),
        ("nearest_mode", text(nearest)),
    ];
    let inputs = if by_scale {
        let data = TensorData::Float(scales);
        let scales =
            g.b.constant(Tensor::new(vec![rank], data).expect("as many"));
        vec![x.name.clone(), String::new(), scales]
    } else {
        let wanted: Vec<i64> = sizes.iter().map(|&s| s as i64).collect();
        vec![
            x.name.clone(),
            String::new(),
            String::new(),
            g.b.int64s(&wanted),
        ]
    };
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    Some(moved(g, "Resize", &inputs, &attributes, (&x, sizes)))
}
