//! int32 arithmetic, casts, tables and products of two computed tensors.

use proofmark_onnx::Attribute;
use proofmark_tensor::ElemType;
use proofmark_tests::Random;
use proofmark_tests::build::Builder;

use super::{ELEMS, multiplier, run, zero_point};

/// Two shapes that broadcast, and their common one.
fn broadcasting(random: &mut Random) -> [Vec<usize>; 3] {
    let rank = random.size(1, 4);
    let common: Vec<usize> = (0..rank).map(|_| random.size(1, 3)).collect();
    let part = |random: &mut Random| {
        let from = random.size(0, rank);
        let dims = common[from..].iter();
        dims.map(|&dim| if random.one_in(3) { 1 } else { dim })
            .collect::<Vec<usize>>()
    };
    let (left, right) = (part(random), part(random));
    let mut common = vec![1; left.len().max(right.len())];
    for shape in [&left, &right] {
        let skip = common.len() - shape.len();
        for (d, &dim) in shape.iter().enumerate() {
            common[d + skip] = common[d + skip].max(dim);
        }
    }
    [left, right, common]
}

#[test]
fn int32_add_sub_mul_div() {
    for seed in 1000..1120 {
        let mut random = Random::new(seed);
        let mut b = Builder::new();
        let [left, right, common] = broadcasting(&mut random);
        let op = ["Add", "Sub", "Mul", "Div"][(seed % 4) as usize];
        let computed = |random: &mut Random, b: &mut Builder, shape: &[usize], least: i32| {
            let x = b.input(*random.pick(&ELEMS), shape);
            let x = b.node("", "Cast", &[&x], &[("to", Attribute::Int(6))]);
            let up = b.int(ElemType::Int32, if op == "Div" { 128 + least } else { -3 });
            let x = b.node("", "Add", &[&x, &up], &[]);
            let times = b.int(ElemType::Int32, random.between(1, 200) as i32);
            b.node("", "Mul", &[&times, &x], &[])
        };
        let constant = |random: &mut Random, b: &mut Builder, shape: &[usize], lo: i64| {
            let data = (0..shape.iter().product()).map(|_| random.between(lo, 9000) as i32);
            let data = data.collect();
            b.ints(ElemType::Int32, shape, data)
        };
        let lo = if op == "Div" { 1 } else { -9000 };
        let which = random.between(0, 3);
        let x = if which == 0 {
            constant(&mut random, &mut b, &left, lo)
        } else {
            computed(&mut random, &mut b, &left, 0)
        };
        let y = if which == 1 {
            constant(&mut random, &mut b, &right, lo)
        } else {
            computed(&mut random, &mut b, &right, 1)
        };
        let out = b.node("", op, &[&x, &y], &[]);
        b.output(&out, ElemType::Int32, &common);
        run(seed, &b.finish(), &mut random);
    }
}

#[test]
fn casts_back_to_eight_bits() {
    for (elem, to) in [(ElemType::Uint8, 2), (ElemType::Int8, 3)] {
        let mut random = Random::new(7);
        let mut b = Builder::new();
        let x = b.input(ElemType::Uint8, &[2, 5]);
        let x = b.node("", "Cast", &[&x], &[("to", Attribute::Int(6))]);
        let two = b.int(ElemType::Int32, 2);
        let half = b.node("", "Div", &[&x, &two], &[]);
        let y = b.node("", "Cast", &[&half], &[("to", Attribute::Int(to))]);
        b.output(&y, elem, &[2, 5]);
        run(9, &b.finish(), &mut random);
    }
}

#[test]
fn reduce_sum() {
    for seed in 1200..1240 {
        let mut random = Random::new(seed);
        let mut b = Builder::new();
        let rank = random.size(1, 4);
        let shape: Vec<usize> = (0..rank).map(|_| random.size(1, 4)).collect();
        let x = b.input(*random.pick(&ELEMS), &shape);
        let x = b.node("", "Cast", &[&x], &[("to", Attribute::Int(6))]);
        let axes: Vec<i64> = (0..rank as i64).filter(|_| random.one_in(2)).collect();
        let (keepdims, noop) = (random.one_in(2), random.one_in(2));
        let summed = |d: usize| match axes.is_empty() {
            true => !noop,
            false => axes.contains(&(d as i64)),
        };
        let out: Vec<usize> = (0..rank)
            .filter(|&d| keepdims || !summed(d))
            .map(|d| if summed(d) { 1 } else { shape[d] })
            .collect();
        let shift = if random.one_in(2) { rank as i64 } else { 0 };
        let stored: Vec<i64> = axes.iter().map(|a| a - shift).collect();
        let stored = b.int64s(&stored);
        let inputs: &[&str] = if axes.is_empty() && random.one_in(2) {
            &[&x]
        } else {
            &[&x, &stored]
        };
        let attributes = [
            ("keepdims", Attribute::Int(keepdims.into())),
            ("noop_with_empty_axes", Attribute::Int(noop.into())),
        ];
        let y = b.node("", "ReduceSum", inputs, &attributes);
        b.output(&y, ElemType::Int32, &out);
        run(seed, &b.finish(), &mut random);
    }
}

#[test]
fn gather_at_constant_indices() {
    for seed in 1300..1330 {
        let mut random = Random::new(seed);
        let mut b = Builder::new();
        let rank = random.size(1, 3);
        let shape: Vec<usize> = (0..rank).map(|_| random.size(1, 4)).collect();
        let elem = *random.pick(&ELEMS);
        let x = b.input(elem, &shape);
        let axis = random.size(0, rank - 1);
        let dim = shape[axis] as i64;
        let index_shape: Vec<usize> = (0..random.size(0, 2)).map(|_| random.size(1, 3)).collect();
        let count: usize = index_shape.iter().product();
        let indices: Vec<i64> = (0..count).map(|_| random.between(-dim, dim - 1)).collect();
        let indices = if random.one_in(2) {
            let data = indices.iter().map(|&v| v as i32).collect();
            b.ints(ElemType::Int32, &index_shape, data)
        } else {
            let data = proofmark_onnx::TensorData::Int64(indices);
            b.constant(proofmark_onnx::Tensor::new(index_shape.clone(), data).expect("a tensor"))
        };
        let signed = if random.one_in(2) {
            axis as i64
        } else {
            axis as i64 - rank as i64
        };
        let y = b.node(
            "",
            "Gather",
            &[&x, &indices],
            &[("axis", Attribute::Int(signed))],
        );
        let out = [&shape[..axis], &index_shape, &shape[axis + 1..]].concat();
        b.output(&y, elem, &out);
        run(seed, &b.finish(), &mut random);
    }
}

/// Tables of 256 entries, one a channel: scrambled, linear, clamped, constant.
#[test]
fn gather_from_a_table() {
    for seed in 1400..1430 {
        let mut random = Random::new(seed);
        let mut b = Builder::new();
        let (elem, out) = (*random.pick(&ELEMS), *random.pick(&ELEMS));
        let channels = random.size(1, 4);
        let x = b.input(elem, &[1, channels, 3]);
        let wide = b.node("", "Cast", &[&x], &[("to", Attribute::Int(6))]);
        let first = (0..channels as i32).map(|c| 256 * c - elem.min()).collect();
        let first = b.ints(ElemType::Int32, &[channels, 1], first);
        let index = b.node("", "Add", &[&wide, &first], &[]);
        let mut table = Vec::new();
        for _ in 0..channels {
            let (kind, at) = (random.between(0, 4), random.between(0, 255) as i32);
            table.extend((0..256).map(|i| {
                out.min()
                    + match kind {
                        0 => (i * i * 7 + i * 31 + at) % 256,
                        1 => i,
                        2 => i.max(at),
                        3 => 255 - i,
                        _ => at,
                    }
            }));
        }
        let table = b.ints(out, &[256 * channels], table);
        let y = b.node("", "Gather", &[&table, &index], &[]);
        b.output(&y, out, &[1, channels, 3]);
        run(seed, &b.finish(), &mut random);
    }
}

/// Shapes of a batched product: two operands and the result.
fn batched(random: &mut Random) -> [Vec<usize>; 3] {
    let [left, right, common] = broadcasting(random);
    let (rows, depth, columns) = (random.size(1, 3), random.size(1, 9), random.size(1, 3));
    let with = |batch: &[usize], matrix: [usize; 2]| [batch, &matrix].concat();
    [
        with(&left, [rows, depth]),
        with(&right, [depth, columns]),
        with(&common, [rows, columns]),
    ]
}

#[test]
fn products_of_two_tensors() {
    for seed in 1500..1580 {
        let mut random = Random::new(seed);
        let mut b = Builder::new();
        let elem = *random.pick(&ELEMS);
        let [left, right, out] = batched(&mut random);
        // Mostly both computed; now and then one constant, of any rank.
        let which = random.between(0, 5);
        let constant = |random: &mut Random, b: &mut Builder, shape: &[usize]| {
            let data = (0..shape.iter().product())
                .map(|_| random.between(elem.min().into(), elem.max().into()) as i32);
            let data = data.collect();
            b.ints(elem, shape, data)
        };
        let x = if which == 0 {
            constant(&mut random, &mut b, &left)
        } else {
            b.input(elem, &left)
        };
        let y = if which == 1 {
            constant(&mut random, &mut b, &right)
        } else {
            b.input(elem, &right)
        };
        let columns = right[right.len() - 1];
        let x_zp = zero_point(&mut random, elem);
        let x_zp = b.int(elem, x_zp);
        let many = right.len() == 2 && random.one_in(2);
        let y_zps: Vec<i32> = (0..columns)
            .map(|_| zero_point(&mut random, elem))
            .collect();
        let y_zp = if many {
            b.ints(elem, &[columns], y_zps)
        } else {
            b.int(elem, y_zps[0])
        };
        if seed % 2 == 0 {
            let acc = b.node("", "MatMulInteger", &[&x, &y, &x_zp, &y_zp], &[]);
            b.output(&acc, ElemType::Int32, &out);
        } else {
            let depth = left[left.len() - 1] as i64;
            let scales: Vec<f32> = (0..if many { columns } else { 1 })
                .map(|_| multiplier(&mut random, depth * 255 * 128))
                .collect();
            let m = if many {
                let data = proofmark_onnx::TensorData::Float(scales);
                b.constant(proofmark_onnx::Tensor::new(vec![columns], data).expect("a tensor"))
            } else {
                b.floats(&scales)
            };
            let one = b.floats(&[1.0]);
            let zp = zero_point(&mut random, elem);
            let zp = b.int(elem, zp);
            let inputs = [&x, &one, &x_zp, &y, &m, &y_zp, &one, &zp].map(String::as_str);
            let q = b.node("", "QLinearMatMul", &inputs, &[]);
            b.output(&q, elem, &out);
        }
        run(seed, &b.finish(), &mut random);
    }
}
