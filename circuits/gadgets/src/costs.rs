//! Golden sizes: what each gadget costs, committed in `costs.csv`. `UPDATE_EXPECT=1` rewrites it.

use std::fmt::Write as _;
use std::path::Path;

use proofmark_tensor::requantize::shift_multiplier;
use proofmark_tensor::{ElemType, Requantize};

use crate::arg_max::{Tie, arg_max};
use crate::bivariate::Bivariate;
use crate::circuit::Backend;
use crate::compare::clamp;
use crate::divide::divide;
use crate::equal::is_equal;
use crate::error::LowerError;
use crate::lc::Wire;
use crate::limbs::{enforce_range, limbs, ranged_wire};
use crate::logup::table::LookupTable;
use crate::lookup::{Table, table8};
use crate::lowering::Lowering;
use crate::max::max;
use crate::multiply::multiply;
use crate::num::{Num, Signal};
use crate::poseidon;
use crate::requantize::{clamped_shift, plan, requantize};
use crate::testing::Subject;
use crate::univariate::Function;

type Size = [usize; 3];

fn of_byte(f: &dyn Fn(i64) -> i64) -> Size {
    let values: Vec<i64> = (0..256).map(f).collect();
    let function = Function::new(0, &values).unwrap();
    size(&[(0, 255)], one(|cx, x| function.lower(cx, &x[0], 1)))
}

fn of_bytes(f: &dyn Fn(i64, i64) -> i64) -> Size {
    let bytes = (0, 255);
    let values: Vec<i64> = (0..256)
        .flat_map(|a| (0..256).map(move |b| f(a, b)))
        .collect();
    let function = Bivariate::new(bytes, bytes, &values).unwrap();
    size(
        &[bytes, bytes],
        one(|cx, x| function.lower(cx, &x[0], &x[1], 1)),
    )
}

fn size(
    inputs: &[(i64, i64)],
    build: impl Fn(&mut Lowering<'_>, &[Num]) -> Result<Vec<Signal>, LowerError>,
) -> Size {
    Subject::new("size", inputs, &build, &|_| None)
        .size()
        .unwrap()
}

fn one(
    gadget: impl Fn(&mut Lowering<'_>, &[Num]) -> Result<Num, LowerError>,
) -> impl Fn(&mut Lowering<'_>, &[Num]) -> Result<Vec<Signal>, LowerError> {
    move |cx, x| Ok(vec![gadget(cx, x)?.to_signal(cx)])
}

/// 50 weights over 50 bytes: an accumulator as a layer makes it.
fn accumulator(cx: &Lowering<'_>, x: &[Num]) -> Num {
    let weights = (0_i64..).map(|i| (i * 37) % 101 - 50);
    Num::linear(cx, weights.zip(x), 1234).unwrap()
}

fn requantized(m: f32, zero_point: i32, elem: ElemType) -> (Size, usize, u32, String) {
    let step = Requantize::new(m, zero_point, elem).unwrap();
    let bytes = vec![(0, 255); 50];
    let size = size(
        &bytes,
        one(|cx, x| requantize(cx, &accumulator(cx, x), &step)),
    );
    let cx = Lowering::shape(Backend::Plain, 50).unwrap();
    let x: Vec<Num> = (1..=50)
        .map(|w| Num::claimed(&cx, Wire(w), 0, 0, 255))
        .collect();
    let acc = accumulator(&cx, &x);
    let (lo, hi) = (acc.lo().try_into().unwrap(), acc.hi().try_into().unwrap());
    let width = 65 - acc.hi().max(-acc.lo() - 1).leading_zeros();
    let plan = plan(&step, lo, hi).unwrap();
    let name = format!("requantize {} M={m} of 50 terms", plan.kind().name());
    (size, plan.cost(), width, name)
}

#[test]
fn sizes_are_the_committed_ones() {
    let byte = (0, 255);
    let wide = (-(1 << 20), (1 << 20) - 1);
    let scrambled: [i32; 256] = core::array::from_fn(|i| {
        let i = i32::try_from(i).unwrap();
        (i * i * i + 7 * i * i + 41 * i) % 257
    });
    let table = Table::of_outputs(&scrambled).unwrap();
    let hash = |inputs: usize| {
        size(&vec![(0, 1); inputs], |cx: &mut Lowering<'_>, x: &[Num]| {
            let inputs: Vec<Signal> = x.iter().map(|x| x.to_signal(cx)).collect();
            Ok(vec![poseidon::hash(cx, &inputs)?])
        })
    };
    let shift = |k: u32| {
        requantized(
            shift_multiplier(k).unwrap(),
            ElemType::Uint8.min(),
            ElemType::Uint8,
        )
    };
    let (shift_size, shift_cost, width, shift_name) = shift(9);
    assert_eq!(shift_size[0], shift_cost);
    assert!(
        shift_cost <= width as usize + 4,
        "{shift_cost} for {width} bits"
    );
    let (affine_size, affine_cost, _, affine_name) = requantized(0.002_1, 7, ElemType::Uint8);
    assert_eq!(affine_size[0], affine_cost);
    let (table_size, table_cost, _, table_name) = requantized(1.0 / 512.0, -3, ElemType::Int8);
    assert_eq!(table_size[0], table_cost);

    let mut cx = Lowering::shape(Backend::Committed, 0).unwrap();
    let bytes = LookupTable::range(8).unwrap();
    for _ in 0..32 {
        let wire = cx.hint("value", crate::Fr::default).unwrap();
        let value = Num::claimed(&cx, wire, 0, 0, 255);
        cx.lookup("value", &bytes, &value).unwrap();
    }
    cx.close().unwrap();
    let logup = cx.into_circuit(0, Vec::new()).unwrap().r1cs;

    let rows: Vec<(&str, Size)> = vec![
        (
            "limbs 8+8 of a wire",
            size(&[(0, 65_535)], |cx, x| {
                limbs(cx, "limbs", &x[0], &[8, 8]).map(|_| Vec::new())
            }),
        ),
        (
            "limbs 10+10 of 50 terms",
            size(&vec![byte; 50], |cx, x| {
                let acc = accumulator(cx, x).plus(cx, 400_000)?;
                limbs(cx, "limbs", &acc, &[10, 10]).map(|_| Vec::new())
            }),
        ),
        (
            "enforce-range 16 bits",
            size(&[wide], |cx, x| {
                enforce_range(cx, "range", &x[0], 16).map(|()| Vec::new())
            }),
        ),
        (
            "ranged-wire 8 bits",
            size(
                &[byte],
                one(|cx, _| ranged_wire(cx, "range", Wire(1), 0, 8)),
            ),
        ),
        (
            "is-equal",
            size(&[wide], one(|cx, x| is_equal(cx, &x[0], 5))),
        ),
        (
            "max of bytes",
            size(&[byte, byte], one(|cx, x| max(cx, &x[0], &x[1]))),
        ),
        (
            "clamp of int8 at 0",
            size(&[(-128, 127)], one(|cx, x| clamp(cx, &x[0], 0, 127))),
        ),
        (
            "clamp of a byte at 100 and 200",
            size(&[byte], one(|cx, x| clamp(cx, &x[0], 100, 200))),
        ),
        (
            "arg-max of 10 bytes",
            size(&[byte; 10], one(|cx, x| arg_max(cx, x, Tie::First))),
        ),
        (
            "clamped-shift 21 bits by 9",
            size(&[wide], one(|cx, x| clamped_shift(cx, &x[0], 9))),
        ),
        (
            "clamped-shift unsigned 20 bits by 9",
            size(
                &[(0, (1 << 20) - 1)],
                one(|cx, x| clamped_shift(cx, &x[0], 9)),
            ),
        ),
        (&shift_name, shift_size),
        (&affine_name, affine_size),
        (&table_name, table_size),
        (
            "table of 8 bits",
            size(
                &[byte],
                one(|cx, x| table8(cx, &x[0], ElemType::Uint8, &table)),
            ),
        ),
        (
            "multiply",
            size(
                &[wide, wide],
                one(|cx, x| multiply(cx, "product", &x[0], &x[1])),
            ),
        ),
        (
            "divide 16 bits by a byte",
            size(
                &[(0, 65_535), (1, 255)],
                one(|cx, x| divide(cx, &x[0], &x[1])),
            ),
        ),
        (
            "divide 16 bits by 10",
            size(
                &[(0, 65_535), (10, 10)],
                one(|cx, x| divide(cx, &x[0], &x[1])),
            ),
        ),
        ("function of a byte: clamp below", of_byte(&|x| x.max(100))),
        (
            "function of a byte: clamp on both sides",
            of_byte(&|x| x.clamp(30, 140)),
        ),
        (
            "function of a byte: rescale",
            of_byte(&|x| ((x - 31) * 641 + 512).div_euclid(1024).max(0)),
        ),
        (
            "function of a byte: any",
            of_byte(&|x| (x * x * x + 41 * x) % 257),
        ),
        (
            "function of two bytes: sum",
            of_bytes(&|a, b| ((a * 7591 + b * 4337) >> 14).clamp(0, 255)),
        ),
        (
            "function of two bytes: sum, half to even",
            of_bytes(&|a, b| a.midpoint(b) + i64::from((a + b) % 4 == 3)),
        ),
        (
            "function of two bytes: product",
            of_bytes(&|a, b| (((a - 13) * (b - 133) * 43) >> 14).clamp(-128, 127)),
        ),
        ("poseidon 1", hash(1)),
        ("poseidon 2", hash(2)),
        ("poseidon 16", hash(16)),
        (
            "logup 32 wires in 256 entries",
            [
                logup.num_constraints(),
                logup.num_wires - 1,
                logup.non_zero(),
            ],
        ),
    ];
    let mut text = "gadget,constraints,private wires,non-zero entries\n".to_owned();
    for (name, [constraints, wires, non_zero]) in rows {
        writeln!(text, "{name},{constraints},{wires},{non_zero}").unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("costs.csv");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, committed, "UPDATE_EXPECT=1 rewrites costs.csv");
}
