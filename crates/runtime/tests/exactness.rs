//! The arithmetic that circuits are proven against, measured on the pinned runtime.
//!
//! With zero weights a `QLinearConv` or `QGemm` accumulates its bias alone, so one node with a
//! channel an accumulator reaches any int32, and every case here is constructed: each requantize
//! is fed the smallest accumulator of each of its steps, that accumulator plus and minus one, and
//! both ends of int32. Random accumulators would hardly see a difference.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "how many outputs were compared is the result"
)]

mod common;

use common::{Builder, Random, feeds, ints};
use proofmark_onnx::{Attribute, Node, ValueType};
use proofmark_runtime::{IntSession, OptLevel};
use proofmark_tensor::Requantize;
use proofmark_tensor::requantize::shift_multiplier;
use proofmark_types::{ElemType, IntTensor};

const U8: ElemType = ElemType::Uint8;
const S8: ElemType = ElemType::Int8;
const S32: ElemType = ElemType::Int32;

/// Channels a model; the largest tests are cut into models of this size.
const CHANNELS: usize = 16_384;

/// The two kernels that requantize.
#[derive(Debug, Clone, Copy)]
enum Kernel {
    Conv,
    Gemm,
}

/// One accumulator and the multiplier that it is requantized with.
#[derive(Debug, Clone, Copy)]
struct Case {
    multiplier: f32,
    acc: i32,
}

/// What the runtime makes of the cases, all with this zero point and output type.
fn runtime(kernel: Kernel, elem: ElemType, zero_point: i32, cases: &[Case]) -> Vec<i32> {
    cases
        .chunks(CHANNELS)
        .flat_map(|chunk| run_chunk(kernel, elem, zero_point, chunk))
        .collect()
}

fn run_chunk(kernel: Kernel, elem: ElemType, zero_point: i32, cases: &[Case]) -> Vec<i32> {
    let (count, ty) = (cases.len(), ValueType::Int(elem));
    let scales = cases.iter().map(|case| case.multiplier).collect();
    let biases = cases.iter().map(|case| case.acc).collect();
    let inputs = ["x", "one", "xz", "w", "m", "wz"];
    let (builder, node, x_shape) = match kernel {
        Kernel::Conv => (
            Builder::new()
                .int("w", elem, &[count, 1, 1, 1], vec![0; count])
                .input("x", ty, &[1, 1, 1, 1])
                .output("y", ty, &[1, count, 1, 1]),
            Node::new(
                "n",
                "QLinearConv",
                &[&inputs[..], &["one", "yz", "b"]].concat(),
                &["y"],
            ),
            vec![1, 1, 1, 1],
        ),
        Kernel::Gemm => (
            Builder::new()
                .int("w", elem, &[1, count], vec![0; count])
                .input("x", ty, &[1, 1])
                .output("y", ty, &[1, count]),
            Node {
                domain: "com.microsoft".to_owned(),
                ..Node::new(
                    "n",
                    "QGemm",
                    &[&inputs[..], &["b", "one", "yz"]].concat(),
                    &["y"],
                )
            },
            vec![1, 1],
        ),
    };
    let model = builder
        .float("one", &[], vec![1.0])
        .float("m", &[count], scales)
        .int("xz", elem, &[], vec![0])
        .int("wz", elem, &[count], vec![0; count])
        .int("yz", elem, &[], vec![zero_point])
        .int("b", S32, &[count], biases)
        .node(node)
        .bytes();
    let session = IntSession::load(&model, OptLevel::DisableAll).unwrap();
    // Any input does: the weights are zero.
    let x = ints(elem, &x_shape, vec![elem.max()]);
    session
        .run(&feeds([("x", x)]))
        .unwrap()
        .remove("y")
        .unwrap()
        .into_data()
}

/// Every threshold and its neighbours, the ends of int32, the ends of what float32 holds exactly,
/// and some accumulators at random.
fn accumulators(requantize: &Requantize, random: &mut Random) -> Vec<i32> {
    let edge = 1 << 24;
    let mut accs = vec![i32::MIN, i32::MIN + 1, i32::MAX - 1, i32::MAX, -1, 0, 1];
    accs.extend([-edge - 1, -edge, -edge + 1, edge - 1, edge, edge + 1]);
    for step in requantize.thresholds(i32::MIN, i32::MAX) {
        accs.extend([
            step.acc.saturating_sub(1),
            step.acc,
            step.acc.saturating_add(1),
        ]);
    }
    accs.extend((0..8).map(|_| random.between(i32::MIN, i32::MAX)));
    accs
}

/// The requantize with an exact product; `None` where float64 cannot hold that.
fn with_exact_product(case: Case, zero_point: i32, elem: ElemType) -> Option<f64> {
    if case.acc.unsigned_abs() > 1 << 24 {
        return None;
    }
    let steps = (f64::from(case.multiplier) * f64::from(case.acc)).round_ties_even();
    Some((steps + f64::from(zero_point)).clamp(f64::from(elem.min()), f64::from(elem.max())))
}

/// Compares runtime and evaluator. Returns how many outputs were compared, and on how many of
/// them the arithmetic with an exact product would have been wrong.
fn compare(kernel: Kernel, elem: ElemType, zero_point: i32, multipliers: &[f32]) -> (usize, usize) {
    let mut random = Random(7);
    let mut cases = Vec::new();
    for &multiplier in multipliers {
        let requantize = Requantize::new(multiplier, zero_point, elem).unwrap();
        let accs = accumulators(&requantize, &mut random);
        cases.extend(accs.into_iter().map(|acc| Case { multiplier, acc }));
    }
    let outputs = runtime(kernel, elem, zero_point, &cases);
    assert_eq!(outputs.len(), cases.len());
    let mut telling = 0;
    for (case, y) in cases.iter().zip(outputs) {
        let requantize = Requantize::new(case.multiplier, zero_point, elem).unwrap();
        assert_eq!(
            requantize.apply(case.acc),
            y,
            "{kernel:?} {elem} zero point {zero_point} {case:?}"
        );
        let exact = with_exact_product(*case, zero_point, elem);
        telling += usize::from(exact.is_some_and(|exact| (exact - f64::from(y)).abs() > 0.5));
    }
    (cases.len(), telling)
}

/// Multipliers of every magnitude that quantized models have, of every exponent there is, and
/// the awkward ones.
fn multipliers(random: &mut Random) -> Vec<f32> {
    let mut all: Vec<f32> = (1..=15).filter_map(shift_multiplier).collect();
    all.extend((0..24).map(|k| (-f32::from(i8::try_from(k).unwrap())).exp2()));
    all.extend((0..100).map(|_| random.float(97, 127)));
    all.extend((0..254).map(|exponent| random.float(exponent, exponent)));
    all.extend([
        0.0,
        f32::from_bits(1),
        f32::MIN_POSITIVE,
        0.1,
        0.5,
        1.0,
        1.5,
        127.0,
        255.5,
    ]);
    all.extend([1e-9, 2.4e-10, 1e9, 1e30, f32::MAX, 0.000_231_593_48]);
    all
}

fn requantize_is_exact(kernel: Kernel) {
    let (mut compared, mut telling) = (0, 0);
    for (elem, zero_points) in [(U8, [0_i32, 255, 128, 3]), (S8, [-128, 127, 0, -5])] {
        for zero_point in zero_points {
            let mut random = Random(u64::from(zero_point.cast_unsigned()));
            let (outputs, of_them) = compare(kernel, elem, zero_point, &multipliers(&mut random));
            compared += outputs;
            telling += of_them;
        }
    }
    println!(
        "{kernel:?}: {compared} outputs at and beside every threshold, none different; an exact \
         product would differ in {telling}"
    );
    assert!(
        compared > 1_000_000 && telling > 100,
        "{compared} {telling}"
    );
}

#[test]
fn conv_requantizes_as_the_evaluator_at_every_threshold() {
    requantize_is_exact(Kernel::Conv);
}

#[test]
fn gemm_requantizes_as_the_evaluator_at_every_threshold() {
    requantize_is_exact(Kernel::Gemm);
}

/// The product of accumulator and multiplier is rounded to float32 before it is rounded to an
/// integer. Taken as exact rationals, this one would round up.
#[test]
fn product_is_rounded_to_float32_first() {
    let case = Case {
        multiplier: 0.000_231_593_48,
        acc: 338_956,
    };
    // 24 and 19 bits: the product of the two is exact in float64
    let exact = f64::from(case.multiplier) * f64::from(case.acc);
    assert!(exact > 78.5 && exact < 78.500_001, "{exact}");
    for kernel in [Kernel::Conv, Kernel::Gemm] {
        assert_eq!(runtime(kernel, U8, 0, &[case]), [78], "{kernel:?}");
        assert_eq!(runtime(kernel, S8, 0, &[case]), [78], "{kernel:?}");
    }
    assert_eq!(
        Requantize::new(case.multiplier, 0, U8)
            .unwrap()
            .apply(case.acc),
        78
    );
}

/// One scale for all channels takes another path through the runtime than one each.
#[test]
fn a_scalar_scale_requantizes_the_same() {
    let mut random = Random(11);
    let mut compared = 0;
    for elem in [U8, S8] {
        for _ in 0..12 {
            let multiplier = random.float(105, 127);
            let zero_point = random.between(elem.min(), elem.max());
            let requantize = Requantize::new(multiplier, zero_point, elem).unwrap();
            let accs = accumulators(&requantize, &mut random);
            let count = accs.len();
            let model = Builder::new()
                .input("x", ValueType::Int(elem), &[1, 1, 1, 1])
                .int("w", elem, &[count, 1, 1, 1], vec![0; count])
                .float("one", &[], vec![1.0])
                .float("m", &[], vec![multiplier])
                .int("zero", elem, &[], vec![0])
                .int("yz", elem, &[], vec![zero_point])
                .int("b", S32, &[count], accs.clone())
                .node(Node::new(
                    "n",
                    "QLinearConv",
                    &["x", "one", "zero", "w", "m", "zero", "one", "yz", "b"],
                    &["y"],
                ))
                .output("y", ValueType::Int(elem), &[1, count, 1, 1])
                .bytes();
            let session = IntSession::load(&model, OptLevel::DisableAll).unwrap();
            let y = session
                .run(&feeds([("x", ints(elem, &[1, 1, 1, 1], vec![1]))]))
                .unwrap();
            let expected: Vec<i32> = accs.iter().map(|&acc| requantize.apply(acc)).collect();
            assert_eq!(y["y"].data(), expected, "{elem} {multiplier} {zero_point}");
            compared += count;
        }
    }
    println!("scalar scale: {compared} outputs, none different");
}

/// `saturate((acc + 2^(k-1) − 1) >> k)`, counted from the type's minimum.
fn shifted(acc: i32, k: u32, elem: ElemType) -> i32 {
    let steps = (i64::from(acc) + (1 << (k - 1)) - 1) >> k;
    i32::try_from(steps.clamp(0, 255)).unwrap() + elem.min()
}

/// The cheapest encoding: one float32 step below `2^-k` with the zero point at the type's
/// minimum is a shift.
#[test]
fn the_step_below_a_power_of_two_is_a_shift() {
    let mut compared = 0;
    for elem in [U8, S8] {
        for k in 1..=15 {
            let multiplier = shift_multiplier(k).unwrap();
            assert_eq!(
                multiplier.to_bits() + 1,
                (-f32::from(i8::try_from(k).unwrap())).exp2().to_bits()
            );
            let requantize = Requantize::new(multiplier, elem.min(), elem).unwrap();
            let mut accs = accumulators(&requantize, &mut Random(u64::from(k)));
            // and the steps of the shift itself, should they lie elsewhere
            for y in 1..=255 {
                let step = (y << k) - (1 << (k - 1)) + 1;
                accs.extend([step - 1, step, step + 1]);
            }
            let cases: Vec<_> = accs
                .into_iter()
                .map(|acc| Case { multiplier, acc })
                .collect();
            for kernel in [Kernel::Conv, Kernel::Gemm] {
                let outputs = runtime(kernel, elem, elem.min(), &cases);
                for (case, y) in cases.iter().zip(outputs) {
                    assert_eq!(
                        shifted(case.acc, k, elem),
                        y,
                        "{kernel:?} {elem} k = {k} {case:?}"
                    );
                }
                compared += cases.len();
            }
        }
    }
    println!("shift: {compared} outputs, none different");
}

/// From k = 16 on the steps lie where float32 no longer holds every accumulator, and the rule
/// breaks: the reason for its bound.
#[test]
fn the_shift_rule_ends_at_15() {
    let k = 16;
    let multiplier = f32::from_bits((-f32::from(16_i8)).exp2().to_bits() - 1);
    let cases: Vec<_> = (1..=255)
        .flat_map(|y| {
            let step = (y << k) - (1 << (k - 1)) + 1;
            [step - 1, step, step + 1]
        })
        .map(|acc| Case { multiplier, acc })
        .collect();
    let outputs = runtime(Kernel::Conv, U8, 0, &cases);
    let differ = cases
        .iter()
        .zip(&outputs)
        .filter(|(case, y)| shifted(case.acc, k, U8) != **y);
    assert!(differ.count() > 0);
    for (case, y) in cases.iter().zip(&outputs) {
        assert_eq!(
            Requantize::new(multiplier, 0, U8).unwrap().apply(case.acc),
            *y,
            "{case:?}"
        );
    }
}

/// A convolution with all that moves its window.
struct Conv {
    elem: ElemType,
    /// Channels in, channels out, groups.
    channels: (usize, usize, usize),
    /// Height and width of the input.
    size: (usize, usize),
    kernel: (usize, usize),
    stride: usize,
    pad: usize,
    dilation: usize,
}

impl Conv {
    fn output_size(&self) -> (usize, usize) {
        let out = |size: usize, kernel: usize| {
            (size + 2 * self.pad - self.dilation * (kernel - 1) - 1) / self.stride + 1
        };
        (
            out(self.size.0, self.kernel.0),
            out(self.size.1, self.kernel.1),
        )
    }

    /// The int32 accumulators by definition: padding adds nothing.
    fn accumulate(&self, x: &[i32], xz: i32, w: &[i32], wz: i32, bias: &[i32]) -> Vec<i32> {
        let (inputs, outputs, groups) = self.channels;
        assert_eq!(bias.len(), outputs);
        let ((height, width), (kernel_height, kernel_width)) = (self.size, self.kernel);
        let (out_height, out_width) = self.output_size();
        let (group_inputs, group_outputs) = (inputs / groups, outputs / groups);
        let mut accs = Vec::new();
        for (o, &start) in bias.iter().enumerate() {
            for row in 0..out_height {
                for column in 0..out_width {
                    let mut acc = start;
                    for i in 0..group_inputs {
                        for a in 0..kernel_height {
                            for b in 0..kernel_width {
                                let y =
                                    (row * self.stride + a * self.dilation).wrapping_sub(self.pad);
                                let z = (column * self.stride + b * self.dilation)
                                    .wrapping_sub(self.pad);
                                if y >= height || z >= width {
                                    continue;
                                }
                                let channel = o / group_outputs * group_inputs + i;
                                let left = x[(channel * height + y) * width + z] - xz;
                                let tap =
                                    ((o * group_inputs + i) * kernel_height + a) * kernel_width + b;
                                acc += left * (w[tap] - wz);
                            }
                        }
                    }
                    accs.push(acc);
                }
            }
        }
        accs
    }

    /// Compares one random instance and returns how many outputs were compared.
    fn check(&self, random: &mut Random) -> usize {
        let (inputs, outputs, groups) = self.channels;
        let elem = self.elem;
        let (height, width) = self.output_size();
        let taps = inputs / groups * self.kernel.0 * self.kernel.1;
        let x = random.tensor(elem, inputs * self.size.0 * self.size.1);
        let w = random.tensor(elem, outputs * taps);
        let xz = random.between(elem.min(), elem.max());
        let wz = if elem == U8 {
            random.between(0, 255)
        } else {
            0
        };
        let yz = random.between(elem.min(), elem.max());
        let bias: Vec<i32> = (0..outputs)
            .map(|_| random.between(-20_000, 20_000))
            .collect();
        let scales: Vec<f32> = (0..outputs).map(|_| random.float(112, 118)).collect();
        let both = |value: usize| Attribute::Ints(vec![i64::try_from(value).unwrap(); 2]);
        let node = Node::new(
            "n",
            "QLinearConv",
            &["x", "one", "xz", "w", "m", "wz", "one", "yz", "b"],
            &["y"],
        )
        .with("group", Attribute::Int(i64::try_from(groups).unwrap()))
        .with("strides", both(self.stride))
        .with("dilations", both(self.dilation))
        .with(
            "pads",
            Attribute::Ints(vec![i64::try_from(self.pad).unwrap(); 4]),
        );
        let x_shape = [1, inputs, self.size.0, self.size.1];
        let model = Builder::new()
            .input("x", ValueType::Int(elem), &x_shape)
            .float("one", &[], vec![1.0])
            .float("m", &[outputs], scales.clone())
            .int("xz", elem, &[], vec![xz])
            .int("wz", elem, &[outputs], vec![wz; outputs])
            .int("yz", elem, &[], vec![yz])
            .int(
                "w",
                elem,
                &[outputs, inputs / groups, self.kernel.0, self.kernel.1],
                w.clone(),
            )
            .int("b", S32, &[outputs], bias.clone())
            .node(node)
            .output("y", ValueType::Int(elem), &[1, outputs, height, width])
            .bytes();
        let session = IntSession::load(&model, OptLevel::DisableAll).unwrap();
        let y = session
            .run(&feeds([("x", ints(elem, &x_shape, x.clone()))]))
            .unwrap();
        let accs = self.accumulate(&x, xz, &w, wz, &bias);
        let expected: Vec<i32> = accs
            .iter()
            .enumerate()
            .map(|(at, &acc)| {
                Requantize::new(scales[at / (height * width)], yz, elem)
                    .unwrap()
                    .apply(acc)
            })
            .collect();
        assert_eq!(y["y"].data(), expected);
        expected.len()
    }
}

/// The accumulator is the plain int32 sum, whatever path the kernel takes to it.
#[test]
fn conv_accumulates_by_definition() {
    let mut random = Random(3);
    let mut compared = 0;
    for elem in [U8, S8] {
        let plain = || Conv {
            elem,
            channels: (3, 8, 1),
            size: (9, 7),
            kernel: (3, 3),
            stride: 1,
            pad: 0,
            dilation: 1,
        };
        let cases = [
            plain(),
            Conv { pad: 1, ..plain() },
            Conv {
                stride: 2,
                pad: 2,
                kernel: (5, 5),
                ..plain()
            },
            Conv {
                dilation: 2,
                pad: 1,
                ..plain()
            },
            Conv {
                channels: (4, 8, 2),
                pad: 1,
                ..plain()
            },
            Conv {
                channels: (16, 16, 16),
                pad: 1,
                ..plain()
            },
            Conv {
                channels: (16, 32, 16),
                stride: 2,
                ..plain()
            },
            Conv {
                kernel: (1, 1),
                channels: (32, 16, 1),
                ..plain()
            },
            Conv {
                kernel: (1, 4),
                channels: (5, 3, 1),
                ..plain()
            },
            Conv {
                kernel: (9, 7),
                channels: (8, 4, 1),
                ..plain()
            },
        ];
        for case in cases {
            compared += (0..4).map(|_| case.check(&mut random)).sum::<usize>();
        }
    }
    println!("convolutions: {compared} outputs, none different");
}

/// `Σ (a − az)(b − bz)` by definition, `[rows, inner] × [inner, columns]`.
fn product(a: &[i32], az: i32, b: &[i32], bz: i32, [rows, inner, columns]: [usize; 3]) -> Vec<i32> {
    let mut sums = Vec::with_capacity(rows * columns);
    for row in 0..rows {
        for column in 0..columns {
            let terms =
                (0..inner).map(|k| (a[row * inner + k] - az) * (b[k * columns + column] - bz));
            sums.push(terms.sum());
        }
    }
    sums
}

#[test]
fn gemm_accumulates_by_definition() {
    let mut random = Random(5);
    let mut compared = 0;
    for elem in [U8, S8] {
        for (inner, columns) in [(1, 1), (7, 3), (64, 128), (257, 33), (1000, 10)] {
            let a = random.tensor(elem, inner);
            let b = random.tensor(elem, inner * columns);
            let az = random.between(elem.min(), elem.max());
            let bz = if elem == U8 {
                random.between(0, 255)
            } else {
                0
            };
            let yz = random.between(elem.min(), elem.max());
            let bias: Vec<i32> = (0..columns)
                .map(|_| random.between(-50_000, 50_000))
                .collect();
            let scales: Vec<f32> = (0..columns).map(|_| random.float(110, 116)).collect();
            let node = Node {
                domain: "com.microsoft".to_owned(),
                ..Node::new(
                    "n",
                    "QGemm",
                    &["a", "one", "az", "b", "m", "bz", "bias", "one", "yz"],
                    &["y"],
                )
            };
            let model = Builder::new()
                .input("a", ValueType::Int(elem), &[1, inner])
                .float("one", &[], vec![1.0])
                .float("m", &[columns], scales.clone())
                .int("az", elem, &[], vec![az])
                .int("bz", elem, &[columns], vec![bz; columns])
                .int("yz", elem, &[], vec![yz])
                .int("b", elem, &[inner, columns], b.clone())
                .int("bias", S32, &[columns], bias.clone())
                .node(node)
                .output("y", ValueType::Int(elem), &[1, columns])
                .bytes();
            let session = IntSession::load(&model, OptLevel::DisableAll).unwrap();
            let y = session
                .run(&feeds([("a", ints(elem, &[1, inner], a.clone()))]))
                .unwrap();
            let sums = product(&a, az, &b, bz, [1, inner, columns]);
            for (column, sum) in sums.into_iter().enumerate() {
                let requantize = Requantize::new(scales[column], yz, elem).unwrap();
                let expected = requantize.apply(sum + bias[column]);
                assert_eq!(
                    y["y"].data()[column],
                    expected,
                    "{elem} {inner}×{columns} {column}"
                );
                compared += 1;
            }
        }
    }
    println!("QGemm: {compared} outputs, none different");
}

#[test]
fn matmul_integer_and_int32_add_are_exact() {
    let mut random = Random(13);
    for dims @ [rows, inner, columns] in [[1, 1, 1], [3, 17, 5], [1, 64, 128], [4, 300, 9]] {
        let a = random.tensor(U8, rows * inner);
        let b = random.tensor(U8, inner * columns);
        let (az, bz) = (random.between(0, 255), random.between(0, 255));
        let bias: Vec<i32> = (0..columns)
            .map(|_| random.between(-1 << 30, 1 << 30))
            .collect();
        let model = Builder::new()
            .input("a", ValueType::Int(U8), &[rows, inner])
            .int("b", U8, &[inner, columns], b.clone())
            .int("az", U8, &[], vec![az])
            .int("bz", U8, &[], vec![bz])
            .int("bias", S32, &[columns], bias.clone())
            .node(Node::new(
                "m",
                "MatMulInteger",
                &["a", "b", "az", "bz"],
                &["s"],
            ))
            .node(Node::new("p", "Add", &["s", "bias"], &["y"]))
            .output("s", ValueType::Int(S32), &[rows, columns])
            .output("y", ValueType::Int(S32), &[rows, columns])
            .bytes();
        let session = IntSession::load(&model, OptLevel::DisableAll).unwrap();
        let results = session
            .run(&feeds([("a", ints(U8, &[rows, inner], a.clone()))]))
            .unwrap();
        let sums = product(&a, az, &b, bz, dims);
        assert_eq!(results["s"].data(), sums);
        let expected: Vec<i32> = sums
            .iter()
            .enumerate()
            .map(|(at, sum)| sum + bias[at % columns])
            .collect();
        assert_eq!(results["y"].data(), expected);
    }
}

/// The largest of each window, by definition; padding is no value.
fn largest(x: &IntTensor, kernel: usize, stride: usize, pad: usize) -> Vec<i32> {
    let [_, channels, height, width] = x.shape().try_into().unwrap();
    let out = |size: usize| (size + 2 * pad - kernel) / stride + 1;
    let mut result = Vec::new();
    for channel in 0..channels {
        for row in 0..out(height) {
            for column in 0..out(width) {
                let window = (0..kernel * kernel).filter_map(|tap| {
                    let y = (row * stride + tap / kernel).checked_sub(pad)?;
                    let z = (column * stride + tap % kernel).checked_sub(pad)?;
                    (y < height && z < width).then(|| x.data()[(channel * height + y) * width + z])
                });
                result.push(window.max().unwrap());
            }
        }
    }
    result
}

#[test]
fn max_pool_on_8_bits_is_exact() {
    let mut random = Random(17);
    for elem in [U8, S8] {
        for (kernel, stride, pad) in [(2, 2, 0), (3, 1, 1), (3, 2, 1), (2, 1, 0), (5, 3, 2)] {
            let shape = [1, 3, 8, 11];
            // low values, so that padding taken for a value would show
            let data = (0..264)
                .map(|_| random.between(elem.min(), elem.min() + 40))
                .collect();
            let x = ints(elem, &shape, data);
            let expected = largest(&x, kernel, stride, pad);
            let square =
                |value: usize, count| Attribute::Ints(vec![i64::try_from(value).unwrap(); count]);
            let out = |size: usize| (size + 2 * pad - kernel) / stride + 1;
            let model = Builder::new()
                .input("x", ValueType::Int(elem), &shape)
                .node(
                    Node::new("n", "MaxPool", &["x"], &["y"])
                        .with("kernel_shape", square(kernel, 2))
                        .with("strides", square(stride, 2))
                        .with("pads", square(pad, 4)),
                )
                .output("y", ValueType::Int(elem), &[1, 3, out(8), out(11)])
                .bytes();
            let session = IntSession::load(&model, OptLevel::DisableAll).unwrap();
            let y = session.run(&feeds([("x", x)])).unwrap();
            assert_eq!(y["y"].data(), expected, "{elem} {kernel} {stride} {pad}");
        }
    }
}
