//! Generators of operators that compare.

use proofmark_onnx::Attribute;

use crate::growing::{Growing, Value, byte, image_shape};

pub(crate) fn max_pool(g: &mut Growing) -> Option<Value> {
    let x = g.pick(
        |v| {
            let image = v.shape.len() == 3 || v.shape.len() == 4;
            image && v.is_8_bit() && v.shape[0] == 1 && v.len() <= 160
        },
        |random| (byte(random), image_shape(random)),
    )?;
    let random = &mut g.random;
    let mut window = [const { Vec::new() }; 6];
    let [kernel, strides, dilations, begin, end, out] = &mut window;
    for &size in &x.shape[2..] {
        let k = random.size(1, size.min(3));
        let most = if k > 1 {
            ((size - 1) / (k - 1)).min(2)
        } else {
            2
        };
        let (d, s) = (random.size(1, most), random.size(1, 3));
        // The runtime wants pads smaller than the kernel.
        let (b, e) = (random.size(0, k - 1), random.size(0, k - 1));
        kernel.push(k);
        strides.push(s);
        dilations.push(d);
        begin.push(b);
        end.push(e);
        out.push((size + b + e - d * (k - 1) - 1) / s + 1);
    }
    let [kernel, strides, dilations, begin, end, out] = window;
    let ints = |list: &[usize]| Attribute::Ints(list.iter().map(|&v| v as i64).collect());
    let mut attributes = vec![("kernel_shape", ints(&kernel))];
    let pads: Vec<usize> = begin.into_iter().chain(end).collect();
    for (name, list, default) in [
        ("strides", strides, 1),
        ("dilations", dilations, 1),
        ("pads", pads, 0),
    ] {
        if list.iter().any(|&v| v != default) || random.one_in(3) {
            attributes.push((name, ints(&list)));
        }
    }
    let mut shape = x.shape[..2].to_vec();
    shape.extend(out);
    let out = (x.elem, shape, x.range);
    Some(g.node(("", "MaxPool"), &[&x.name], &attributes, out))
}
