//! Random models as other people's quantizers write them: operators on integers (`QOperator`), or
//! float operators between `DequantizeLinear` and `QuantizeLinear` (QDQ).

use std::collections::BTreeMap;

use proofmark_onnx::{Attribute, Model, Tensor, TensorData};
use proofmark_tensor::ElemType;
use proofmark_tests::Random;
use proofmark_tests::build::{Builder, random_tensor};

use crate::growing::zero_point;

/// How the model is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Style {
    QOperator,
    Qdq,
}

/// An integer tensor and what it stands for.
#[derive(Debug, Clone)]
struct Quantized {
    name: String,
    shape: Vec<usize>,
    scale: f32,
    scale_name: String,
    zero_name: String,
    zero: i32,
}

impl Quantized {
    fn len(&self) -> usize {
        self.shape.iter().product()
    }

    fn is_image(&self) -> bool {
        self.shape.len() == 4 || self.shape.len() == 3
    }
}

/// A finished original.
#[derive(Debug, Clone)]
pub(crate) struct Original {
    pub(crate) model: Model,
    pub(crate) style: Style,
    /// How often each operator stands in it.
    pub(crate) operators: BTreeMap<&'static str, usize>,
    /// Scale and zero point of each input and output, in graph order.
    pub(crate) inputs: Vec<(f32, i32)>,
    pub(crate) outputs: Vec<(f32, i32)>,
    /// Type of all activations.
    pub(crate) elem: ElemType,
}

struct Writing {
    b: Builder,
    random: Random,
    style: Style,
    elem: ElemType,
    weights: ElemType,
    per_channel: bool,
    values: Vec<Quantized>,
    read: Vec<String>,
}

const OPERATORS: [&str; 26] = [
    "Conv",
    "Conv",
    "Gemm",
    "MatMul",
    "Add",
    "Mul",
    "Sigmoid",
    "LeakyRelu",
    "Concat",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "Softmax",
    "Relu",
    "Clip",
    "Tanh",
    "HardSwish",
    "Transpose",
    "Reshape",
    "Flatten",
    "Slice",
    "Pad",
    "Squeeze",
    "Unsqueeze",
    "Gather",
    "Resize",
];

/// Most operators of an original.
pub(crate) const MOST: usize = 5;

/// A random original of at most so many operators: the first ones are the same, however many.
pub(crate) fn original(seed: u64, most: usize) -> Original {
    let mut random = Random::new(seed);
    let elem = if random.one_in(3) {
        ElemType::Int8
    } else {
        ElemType::Uint8
    };
    let weights = if elem == ElemType::Int8 || random.one_in(2) {
        ElemType::Int8
    } else {
        ElemType::Uint8
    };
    let mut w = Writing {
        b: Builder::new(),
        style: *random.pick(&[Style::QOperator, Style::Qdq]),
        elem,
        weights,
        per_channel: random.one_in(2),
        values: Vec::new(),
        read: Vec::new(),
        random,
    };
    let mut inputs = Vec::new();
    for _ in 0..w.random.size(1, 2) {
        let q = w.input();
        inputs.push((q.scale, q.zero));
    }
    let mut operators = BTreeMap::new();
    let wanted = w.random.size(1, MOST).min(most);
    let mut tried = 0;
    while operators.values().sum::<usize>() < wanted && tried < 60 {
        tried += 1;
        let op = *w.random.pick(&OPERATORS);
        if let Some(q) = w.operator(op) {
            w.values.push(q);
            *operators.entry(op).or_default() += 1;
        }
    }
    let mut outputs = Vec::new();
    for q in w.values.clone().into_iter().skip(inputs.len()) {
        if !w.read.contains(&q.name) {
            let y = w.float(&q);
            w.b.float_output(&y, &q.shape);
            outputs.push((q.scale, q.zero));
        }
    }
    Original {
        model: w.b.finish(),
        style: w.style,
        operators,
        inputs,
        outputs,
        elem,
    }
}

fn ints(list: &[usize]) -> Attribute {
    Attribute::Ints(list.iter().map(|&v| v as i64).collect())
}

impl Writing {
    fn input(&mut self) -> Quantized {
        let random = &mut self.random;
        let shape = match random.between(0, 3) {
            0 => vec![1, random.size(1, 12)],
            1 => vec![1, random.size(1, 4), random.size(3, 8)],
            _ => vec![1, random.size(1, 4), random.size(2, 6), random.size(2, 6)],
        };
        let scale = random.float(-8, -3);
        let x = self.b.float_input(&shape);
        let q = self.quantize(&x, shape, scale);
        self.values.push(q.clone());
        q
    }

    /// What an integer tensor that is still to be made stands for.
    fn known(&mut self, shape: Vec<usize>, scale: f32) -> Quantized {
        let zero = zero_point(&mut self.random, self.elem);
        Quantized {
            name: String::new(),
            shape,
            scale,
            scale_name: self.b.floats(&[scale]),
            zero_name: self.b.int(self.elem, zero),
            zero,
        }
    }

    fn quantize(&mut self, float: &str, shape: Vec<usize>, scale: f32) -> Quantized {
        let q = self.known(shape, scale);
        let inputs = [float, &q.scale_name, &q.zero_name];
        let name = self.b.node("", "QuantizeLinear", &inputs, &[]);
        Quantized { name, ..q }
    }

    fn float(&mut self, q: &Quantized) -> String {
        self.read.push(q.name.clone());
        let inputs = [q.name.as_str(), &q.scale_name, &q.zero_name];
        self.b.node("", "DequantizeLinear", &inputs, &[])
    }

    fn pick(&mut self, fits: impl Fn(&Quantized) -> bool) -> Option<Quantized> {
        let fitting: Vec<&Quantized> = self.values.iter().filter(|q| fits(q)).collect();
        let last = *fitting.last()?;
        Some(if self.random.one_in(2) {
            last.clone()
        } else {
            (*self.random.pick(&fitting)).clone()
        })
    }

    /// An operator of the microsoft domain on integers: inputs, then what the result stands for.
    fn on_integers(
        &mut self,
        op: (&str, &str),
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
        q: Quantized,
    ) -> Quantized {
        self.read.extend(inputs.iter().map(|&i| i.to_owned()));
        let name = self.b.node(op.0, op.1, inputs, attributes);
        Quantized { name, ..q }
    }

    /// A float operator on dequantized operands, quantized again.
    fn on_floats(
        &mut self,
        op: &str,
        operands: &[&Quantized],
        attributes: &[(&str, Attribute)],
        (shape, scale): (Vec<usize>, f32),
    ) -> Quantized {
        let floats: Vec<String> = operands.iter().map(|q| self.float(q)).collect();
        let floats: Vec<&str> = floats.iter().map(String::as_str).collect();
        let y = self.b.node("", op, &floats, attributes);
        self.quantize(&y, shape, scale)
    }

    fn operator(&mut self, op: &str) -> Option<Quantized> {
        match op {
            "Conv" => self.conv(),
            "Gemm" => self.dense(true),
            "MatMul" => self.dense(false),
            "Add" | "Mul" => self.binary(op),
            "Sigmoid" | "LeakyRelu" | "Tanh" | "HardSwish" => self.unary(op),
            "Softmax" => self.softmax(),
            "Concat" => self.concat(),
            "MaxPool" | "AveragePool" => self.pool(op),
            "GlobalAveragePool" => self.global(),
            "Relu" | "Clip" => self.clamped(op),
            _ => self.moved(op),
        }
    }

    /// Weights `[channels, …]` and their scales (one, or one a channel along the first dimension).
    fn weights(&mut self, shape: &[usize], channels: usize) -> (Tensor, Vec<f32>, Vec<i32>) {
        let tensor = random_tensor(&mut self.random, self.weights, shape);
        let count = if self.per_channel { channels } else { 1 };
        let base = self.random.float(-10, -5);
        let scales = (0..count)
            .map(|_| base * (1.0 + self.random.between(0, 999) as f32 / 1000.0))
            .collect();
        let zeros = if self.weights == ElemType::Uint8 {
            vec![zero_point(&mut self.random, self.weights); count]
        } else {
            vec![0; count]
        };
        (tensor.into(), scales, zeros)
    }

    /// A scale that spreads sums of `terms` products over the output.
    fn spread(&mut self, x: &Quantized, weights: &[f32], terms: usize) -> f32 {
        let most = weights.iter().copied().fold(0.0, f32::max);
        let reach = 40.0 * (terms as f32).sqrt();
        x.scale * most * reach * (0.5 + self.random.between(0, 1000) as f32 / 700.0)
    }

    fn conv(&mut self) -> Option<Quantized> {
        let x = self.pick(|q| q.is_image() && q.shape[0] == 1)?;
        let random = &mut self.random;
        let inputs = x.shape[1];
        let groups = match random.between(0, 2) {
            0 => inputs,
            1 if inputs.is_multiple_of(2) => 2,
            _ => 1,
        };
        let channels = groups * random.size(1, 2);
        let (mut kernel, mut strides, mut pads, mut out) = (vec![], vec![], vec![], vec![]);
        for &size in &x.shape[2..] {
            let k = random.size(1, size.min(3));
            let p = random.size(0, k - 1);
            let s = random.size(1, 2);
            kernel.push(k);
            strides.push(s);
            pads.push(p);
            out.push((size + 2 * p - k) / s + 1);
        }
        let mut w_shape = vec![channels, inputs / groups];
        w_shape.extend(&kernel);
        let mut shape = vec![1, channels];
        shape.extend(&out);
        let terms: usize = w_shape[1..].iter().product();
        let biased = !random.one_in(3);
        let (w, scales, zeros) = self.weights(&w_shape, channels);
        let scale = self.spread(&x, &scales, terms);
        let both: Vec<usize> = pads.iter().chain(&pads).copied().collect();
        let attributes = [
            ("kernel_shape", ints(&kernel)),
            ("strides", ints(&strides)),
            ("pads", ints(&both)),
            ("group", Attribute::Int(groups as i64)),
        ];
        self.linear(
            "Conv",
            &x,
            (w, &scales, &zeros, 0),
            biased.then_some(channels),
            &attributes,
            (shape, scale),
        )
    }

    fn dense(&mut self, gemm: bool) -> Option<Quantized> {
        let x = self.pick(|q| q.shape.len() == 2 || (!gemm && q.shape.len() == 3))?;
        let depth = *x.shape.last()?;
        let columns = self.random.size(1, 6);
        let transposed = gemm && self.random.one_in(2);
        let w_shape = if transposed {
            [columns, depth]
        } else {
            [depth, columns]
        };
        let axis = usize::from(!transposed);
        let (w, scales, zeros) = self.weights(&w_shape, columns);
        let scale = self.spread(&x, &scales, depth);
        let mut shape = x.shape.clone();
        *shape.last_mut()? = columns;
        let biased = gemm && !self.random.one_in(3);
        let attributes = if gemm {
            vec![("transB", Attribute::Int(transposed.into()))]
        } else {
            vec![]
        };
        let op = if gemm { "Gemm" } else { "MatMul" };
        self.linear(
            op,
            &x,
            (w, &scales, &zeros, axis),
            biased.then_some(columns),
            &attributes,
            (shape, scale),
        )
    }

    /// A layer with constant weights, in either style.
    fn linear(
        &mut self,
        op: &str,
        x: &Quantized,
        (w, scales, zeros, axis): (Tensor, &[f32], &[i32], usize),
        bias: Option<usize>,
        attributes: &[(&str, Attribute)],
        (shape, scale): (Vec<usize>, f32),
    ) -> Option<Quantized> {
        let w = self.b.constant(w);
        let w_scale = self.b.floats(scales);
        let one = scales.len() == 1;
        let w_zero = if one {
            self.b.int(self.weights, zeros[0])
        } else {
            self.b.ints(self.weights, &[zeros.len()], zeros.to_vec())
        };
        let bias = bias.map(|channels| {
            let data = (0..channels)
                .map(|_| self.random.between(-4000, 4000) as i32)
                .collect();
            self.b.ints(ElemType::Int32, &[channels], data)
        });
        if self.style == Style::QOperator {
            let q = self.known(shape, scale);
            let mut inputs = vec![
                x.name.as_str(),
                &x.scale_name,
                &x.zero_name,
                &w,
                &w_scale,
                &w_zero,
            ];
            let (domain, name) = match op {
                "Conv" => ("", "QLinearConv"),
                "Gemm" => ("com.microsoft", "QGemm"),
                _ => ("", "QLinearMatMul"),
            };
            let (sy, zy) = (q.scale_name.clone(), q.zero_name.clone());
            if op == "Gemm" {
                inputs.push(bias.as_deref().unwrap_or_default());
            }
            inputs.extend([sy.as_str(), zy.as_str()]);
            if op == "Conv" {
                inputs.extend(bias.as_deref());
            }
            return Some(self.on_integers((domain, name), &inputs, attributes, q));
        }
        let along = [("axis", Attribute::Int(axis as i64))];
        let along = if one { &[][..] } else { &along[..] };
        let float_w = self
            .b
            .node("", "DequantizeLinear", &[&w, &w_scale, &w_zero], along);
        let float_x = self.float(x);
        let mut inputs = vec![float_x, float_w];
        if let Some(bias) = bias {
            let bias_scales: Vec<f32> = scales.iter().map(|s| x.scale * s).collect();
            let bias_scale = self.b.floats(&bias_scales);
            let along = [("axis", Attribute::Int(0))];
            let along = if one { &[][..] } else { &along[..] };
            inputs.push(
                self.b
                    .node("", "DequantizeLinear", &[&bias, &bias_scale], along),
            );
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let y = self.b.node("", op, &inputs, attributes);
        Some(self.quantize(&y, shape, scale))
    }

    fn binary(&mut self, op: &str) -> Option<Quantized> {
        let a = self.pick(|q| q.len() <= 64)?;
        let b = self.pick(|q| q.shape == a.shape)?;
        let scale = if op == "Add" {
            (a.scale + b.scale) * (0.6 + self.random.between(0, 9) as f32 / 10.0)
        } else {
            a.scale * b.scale * (50.0 + self.random.between(0, 99) as f32)
        };
        let shape = a.shape.clone();
        if self.style == Style::Qdq {
            return Some(self.on_floats(op, &[&a, &b], &[], (shape, scale)));
        }
        let q = self.known(shape, scale);
        let (sy, zy) = (q.scale_name.clone(), q.zero_name.clone());
        let inputs = [
            a.name.as_str(),
            &a.scale_name,
            &a.zero_name,
            &b.name,
            &b.scale_name,
            &b.zero_name,
            &sy,
            &zy,
        ];
        let name = if op == "Add" {
            "QLinearAdd"
        } else {
            "QLinearMul"
        };
        Some(self.on_integers(("com.microsoft", name), &inputs, &[], q))
    }

    fn unary(&mut self, op: &str) -> Option<Quantized> {
        let x = self.pick(|q| q.len() <= 64)?;
        let scale = match op {
            "Sigmoid" => 1.0 / 256.0,
            "Tanh" => 1.0 / 128.0,
            _ => x.scale * (0.5 + self.random.between(0, 9) as f32 / 10.0),
        };
        let alpha = [("alpha", Attribute::Float(0.1))];
        let attributes = if op == "LeakyRelu" {
            &alpha[..]
        } else {
            &[][..]
        };
        let shape = x.shape.clone();
        let on_integers = match op {
            "Sigmoid" => "QLinearSigmoid",
            "LeakyRelu" => "QLinearLeakyRelu",
            _ if self.style == Style::QOperator => return None,
            _ => "",
        };
        if self.style == Style::Qdq {
            return Some(self.on_floats(op, &[&x], attributes, (shape, scale)));
        }
        let q = self.known(shape, scale);
        let (sy, zy) = (q.scale_name.clone(), q.zero_name.clone());
        let inputs = [x.name.as_str(), &x.scale_name, &x.zero_name, &sy, &zy];
        Some(self.on_integers(("com.microsoft", on_integers), &inputs, attributes, q))
    }

    /// Never the last node: a softmax in front of the end is a view of the output.
    fn softmax(&mut self) -> Option<Quantized> {
        let x = self.pick(|q| q.shape.len() == 2 && q.len() <= 12)?;
        let shape = x.shape.clone();
        if self.style == Style::Qdq {
            let axis = [("axis", Attribute::Int(-1))];
            return Some(self.on_floats("Softmax", &[&x], &axis, (shape, 1.0 / 256.0)));
        }
        let q = self.known(shape, 1.0 / 256.0);
        let (sy, zy) = (q.scale_name.clone(), q.zero_name.clone());
        let inputs = [x.name.as_str(), &x.scale_name, &x.zero_name, &sy, &zy];
        let attributes = [("axis", Attribute::Int(-1)), ("opset", Attribute::Int(13))];
        Some(self.on_integers(("com.microsoft", "QLinearSoftmax"), &inputs, &attributes, q))
    }

    fn concat(&mut self) -> Option<Quantized> {
        let a = self.pick(|q| q.len() <= 64)?;
        let b = self.pick(|q| q.shape == a.shape)?;
        let axis = self.random.size(0, a.shape.len() - 1);
        let mut shape = a.shape.clone();
        shape[axis] *= 2;
        let scale = a.scale.max(b.scale) * (0.8 + self.random.between(0, 4) as f32 / 10.0);
        let along = [("axis", Attribute::Int(axis as i64))];
        if self.style == Style::Qdq {
            return Some(self.on_floats("Concat", &[&a, &b], &along, (shape, scale)));
        }
        let q = self.known(shape, scale);
        let (sy, zy) = (q.scale_name.clone(), q.zero_name.clone());
        let inputs = [
            sy.as_str(),
            &zy,
            &a.name,
            &a.scale_name,
            &a.zero_name,
            &b.name,
            &b.scale_name,
            &b.zero_name,
        ];
        Some(self.on_integers(("com.microsoft", "QLinearConcat"), &inputs, &along, q))
    }

    fn pool(&mut self, op: &str) -> Option<Quantized> {
        let x = self.pick(|q| q.is_image() && q.shape[0] == 1 && q.len() <= 160)?;
        let (mut kernel, mut strides, mut out) = (vec![], vec![], vec![]);
        for &size in &x.shape[2..] {
            let k = self.random.size(1, size.min(3));
            let s = self.random.size(1, 2);
            kernel.push(k);
            strides.push(s);
            out.push((size - k) / s + 1);
        }
        let attributes = [("kernel_shape", ints(&kernel)), ("strides", ints(&strides))];
        let mut shape = x.shape[..2].to_vec();
        shape.extend(&out);
        if op == "MaxPool" {
            return Some(self.same_scale(op, &x, &[], &attributes, shape));
        }
        let scale = x.scale * (0.8 + self.random.between(0, 4) as f32 / 10.0);
        if self.style == Style::Qdq {
            return Some(self.on_floats(op, &[&x], &attributes, (shape, scale)));
        }
        let q = self.known(shape, scale);
        let (sy, zy) = (q.scale_name.clone(), q.zero_name.clone());
        let inputs = [x.name.as_str(), &x.scale_name, &x.zero_name, &sy, &zy];
        Some(self.on_integers(
            ("com.microsoft", "QLinearAveragePool"),
            &inputs,
            &attributes,
            q,
        ))
    }

    fn global(&mut self) -> Option<Quantized> {
        let x = self.pick(|q| q.shape.len() == 4 && q.shape[0] == 1)?;
        let shape = vec![1, x.shape[1], 1, 1];
        let scale = x.scale * (0.5 + self.random.between(0, 7) as f32 / 10.0);
        if self.style == Style::Qdq {
            return Some(self.on_floats("GlobalAveragePool", &[&x], &[], (shape, scale)));
        }
        let q = self.known(shape, scale);
        let (sy, zy) = (q.scale_name.clone(), q.zero_name.clone());
        let inputs = [x.name.as_str(), &x.scale_name, &x.zero_name, &sy, &zy];
        let first = [("channels_last", Attribute::Int(0))];
        Some(self.on_integers(
            ("com.microsoft", "QLinearGlobalAveragePool"),
            &inputs,
            &first,
            q,
        ))
    }

    /// Relu and Clip on floats between the ends of a QDQ pair.
    fn clamped(&mut self, op: &str) -> Option<Quantized> {
        if self.style == Style::QOperator {
            return None;
        }
        let x = self.pick(|q| q.len() <= 96)?;
        let (shape, scale) = (x.shape.clone(), x.scale);
        let float = self.float(&x);
        let mut inputs = vec![float];
        if op == "Clip" {
            inputs.push(self.b.floats(&[0.0]));
            inputs.push(self.b.floats(&[100.0 * scale]));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let y = self.b.node("", op, &inputs, &[]);
        Some(self.quantize(&y, shape, scale))
    }

    /// An operator that keeps scale and zero point.
    fn same_scale(
        &mut self,
        op: &str,
        x: &Quantized,
        constants: &[String],
        attributes: &[(&str, Attribute)],
        shape: Vec<usize>,
    ) -> Quantized {
        if self.style == Style::QOperator {
            let mut inputs = vec![x.name.as_str()];
            inputs.extend(constants.iter().map(String::as_str));
            let q = Quantized { shape, ..x.clone() };
            return self.on_integers(("", op), &inputs, attributes, q);
        }
        let float = self.float(x);
        let mut inputs = vec![float.as_str()];
        inputs.extend(constants.iter().map(String::as_str));
        let y = self.b.node("", op, &inputs, attributes);
        let name = self.b.node(
            "",
            "QuantizeLinear",
            &[&y, &x.scale_name, &x.zero_name],
            &[],
        );
        Quantized {
            name,
            shape,
            ..x.clone()
        }
    }

    fn moved(&mut self, op: &str) -> Option<Quantized> {
        let x = self.pick(|q| q.shape.len() >= 2)?;
        let shape = x.shape.clone();
        let rank = shape.len();
        let (constants, attributes, shape) = match op {
            "Transpose" => {
                // The batch stays in front.
                let mut perm: Vec<usize> = (0..rank).collect();
                perm[1..].reverse();
                let shape = perm.iter().map(|&p| shape[p]).collect();
                (vec![], vec![("perm", ints(&perm))], shape)
            }
            "Reshape" => (
                vec![self.b.int64s(&[shape[0] as i64, -1])],
                vec![],
                vec![shape[0], x.len() / shape[0]],
            ),
            "Flatten" => (vec![], vec![], vec![shape[0], x.len() / shape[0]]),
            "Slice" => {
                let last = shape[rank - 1];
                let end = self.random.size(1, last);
                let lists = [[0], [end as i64], [rank as i64 - 1]];
                let mut sliced = shape;
                sliced[rank - 1] = end;
                (lists.map(|l| self.b.int64s(&l)).to_vec(), vec![], sliced)
            }
            "Pad" => {
                // Zeros in floats are the zero point.
                let mut list = vec![0; 2 * rank];
                list[2 * rank - 1] = 1;
                let mut padded = shape;
                padded[rank - 1] += 1;
                let mut constants = vec![self.b.int64s(&list)];
                if self.style == Style::QOperator {
                    constants.push(x.zero_name.clone());
                }
                (constants, vec![], padded)
            }
            "Squeeze" if rank > 2 && shape[rank - 1] == 1 => (
                vec![self.b.int64s(&[-1])],
                vec![],
                shape[..rank - 1].to_vec(),
            ),
            "Unsqueeze" if rank < 4 => {
                let longer = shape.iter().copied().chain([1]).collect();
                (vec![self.b.int64s(&[rank as i64])], vec![], longer)
            }
            "Gather" => {
                let picked = self.random.size(0, shape[1] - 1) as i64;
                let mut shape = shape;
                shape[1] = 2;
                (
                    vec![self.b.int64s(&[picked, -1])],
                    vec![("axis", Attribute::Int(1))],
                    shape,
                )
            }
            "Resize" if rank == 4 && x.len() <= 64 => {
                let data = TensorData::Float(vec![1.0, 1.0, 2.0, 2.0]);
                let scales = Tensor::new(vec![4], data).ok()?;
                let scales = self.b.constant(scales);
                let text = |v: &str| Attribute::String(v.to_owned());
                let attributes = vec![
                    ("mode", text("nearest")),
                    ("coordinate_transformation_mode", text("asymmetric")),
                    ("nearest_mode", text("floor")),
                ];
                let shape = vec![shape[0], shape[1], 2 * shape[2], 2 * shape[3]];
                (vec![String::new(), scales], attributes, shape)
            }
            _ => return None,
        };
        Some(self.same_scale(op, &x, &constants, &attributes, shape))
    }
}
