//! Every engine of this processor against ark-ff, in both fields, on random and on extreme values.

use ark_bn254::{Fq, Fr};
use ark_ff::{BigInt, One};
use ark_std::rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

use crate::{Engine, Kernel, LaneField, Lanes, Packed};

/// Every operation on pairs of elements, checked against ark-ff lane by lane.
struct Check<'a, F> {
    left: &'a [F],
    right: &'a [F],
}

impl<F: LaneField> Kernel for Check<'_, F> {
    type Field = F;
    type Output = ();

    fn run<L: Lanes<Field = F>>(self, lanes: L) {
        let pack = |values: &[F]| -> Vec<[Packed; 1]> {
            values.iter().map(|value| [lanes.pack(value)]).collect()
        };
        let (left, right) = (pack(self.left), pack(self.right));
        for ((left, right), (a, b)) in (left
            .chunks_exact(L::WIDTH)
            .zip(right.chunks_exact(L::WIDTH)))
        .zip(
            self.left
                .chunks_exact(L::WIDTH)
                .zip(self.right.chunks_exact(L::WIDTH)),
        ) {
            let [x] = lanes.load(left);
            let [y] = lanes.load(right);
            let check = |name: &str, vector: L::Vector, expected: &dyn Fn(F, F) -> F| {
                let mut out = vec![[[0; 4]]; L::WIDTH];
                lanes.store([vector], &mut out);
                let mask = lanes.is_zero(vector);
                for lane in 0..L::WIDTH {
                    let expected = expected(a[lane], b[lane]);
                    // compared packed: equal elements have equal words
                    assert_eq!(
                        out[lane][0],
                        lanes.pack(&expected),
                        "{name} of {} and {}",
                        a[lane],
                        b[lane]
                    );
                    assert_eq!(lanes.unpack(&out[lane][0]), expected, "{name}: unpacked");
                    assert_eq!(mask >> lane & 1 == 1, expected.is_zero(), "{name}: zero");
                }
                assert!(L::WIDTH == 64 || mask < 1 << L::WIDTH);
            };
            check("load", x, &|a, _| a);
            check("add", lanes.add(x, y), &|a, b| a + b);
            check("sub", lanes.sub(x, y), &|a, b| a - b);
            check("sub_both", lanes.sub_both(x, y, y), &|a, b| a - b - b);
            check("sub_both self", lanes.sub_both(x, x, y), &|_, b| -b);
            check("add_both", lanes.add_both(x, y, x), &|a, b| a + b + a);
            check("add_sub", lanes.add_sub(x, x, y), &|a, b| a + a - b);
            check("add_sub other", lanes.add_sub(x, y, y), &|a, _| a);
            check("add_all", lanes.add_all([x, y, y, y]), &|a, b| {
                a + b + b + b
            });
            check("mul_sum", lanes.mul_sum(x, y, y), &|a, b| (a + b) * b);
            check("mul_difference", lanes.mul_difference(x, y, x), &|a, b| {
                (a - b) * a
            });
            check(
                "mul_differences",
                lanes.mul_differences([x, x, y, y], y),
                &|a, b| (a + a - b - b) * b,
            );
            check("neg", lanes.neg(x), &|a, _| -a);
            check("double", lanes.double(x), &|a, _| a.double());
            check("mul", lanes.mul(x, y), &|a, b| a * b);
            check("square", lanes.square(x), &|a, _| a.square());
            check("a − a", lanes.sub(x, x), &|_, _| F::zero());
            check("a + (−a)", lanes.add(x, lanes.neg(x)), &|_, _| F::zero());
            let mask = 0x5a & ((1 << L::WIDTH) - 1);
            let chosen = lanes.select(mask, x, y);
            let mut out = vec![[[0; 4]]; L::WIDTH];
            lanes.store([chosen], &mut out);
            for lane in 0..L::WIDTH {
                let from = if mask >> lane & 1 == 1 { left } else { right };
                assert_eq!(out[lane], from[lane], "select");
            }
            // Long chains keep to the bounds: values that were never brought below the prime.
            let (mut u, mut v) = (x, y);
            let (mut s, mut t) = (a.to_vec(), b.to_vec());
            for _ in 0..20 {
                let (sum, product) = (lanes.add(u, v), lanes.mul(u, lanes.neg(v)));
                let all = lanes.add_all([sum, v, u, product]);
                let product = lanes.mul_differences([product, all, u, v], all);
                u = lanes.sub_both(product, sum, v);
                v = lanes.double(lanes.add_sub(lanes.square(sum), u, product));
                for (s, t) in s.iter_mut().zip(&mut t) {
                    let (sum, product) = (*s + *t, -*s * *t);
                    let all = sum + *t + *s + product;
                    let product = (product + all - *s - *t) * all;
                    *s = product - sum - *t;
                    *t = (sum.square() + *s - product).double();
                }
            }
            let mut out = vec![[[0; 4]; 2]; L::WIDTH];
            lanes.store([u, v], &mut out);
            for lane in 0..L::WIDTH {
                assert_eq!(
                    out[lane].map(|word| lanes.unpack(&word)),
                    [s[lane], t[lane]]
                );
            }
        }
    }
}

/// Elements whose words, in either form, lie near the borders of words, limbs and the field.
fn extremes<F: LaneField>() -> Vec<F> {
    let mut values = vec![
        F::zero(),
        F::one(),
        -F::one(),
        F::one().double(),
        -F::one().double(),
    ];
    let prime = F::PRIME;
    for shift in [
        1u32, 12, 51, 52, 53, 63, 64, 65, 103, 104, 105, 128, 155, 156, 157, 192, 207, 208, 209,
        252, 253,
    ] {
        let mut words = [0u64; 4];
        words[shift as usize / 64] = 1 << (shift % 64);
        for delta in [0u64, 1, 2] {
            let mut below = words;
            let mut borrow = delta;
            for word in &mut below {
                let (difference, less) = word.overflowing_sub(borrow);
                *word = difference;
                borrow = u64::from(less);
            }
            if BigInt(below) < BigInt(prime) {
                // as a value, and as the words of either Montgomery form
                let value = F::from_bigint(F::BigInt::try_from(BigInt(below).into()).ok().unwrap())
                    .unwrap();
                let words = F::from_words(below);
                let sixteenth = F::from(16u64).inverse().unwrap();
                values.extend([
                    value,
                    -value,
                    words,
                    -words,
                    words * sixteenth,
                    -words * sixteenth,
                ]);
            }
        }
    }
    values
}

fn check<F: LaneField>(engine: Engine<F>, rounds: usize) {
    let mut rng = StdRng::seed_from_u64(0x1f3a);
    let mut left = extremes::<F>();
    let mut right = left.clone();
    // every extreme with seventeen others, in changing lanes
    let count = left.len();
    for turn in (1..count).step_by(count / 16) {
        for index in 0..count {
            left.push(left[index]);
            right.push(left[(index + turn) % count]);
        }
    }
    for _ in 0..rounds {
        left.push(F::rand(&mut rng));
        right.push(F::rand(&mut rng));
    }
    engine.run(Check {
        left: &left,
        right: &right,
    });
}

#[test]
fn every_operation_is_ark_ffs() {
    check(Engine::<Fq>::portable(), 1_000);
    check(Engine::<Fr>::portable(), 1_000);
    // where the processor has nothing better this is the portable engine again
    check(Engine::<Fq>::detect(), 40_000);
    check(Engine::<Fr>::detect(), 40_000);
}

/// Points through gather and scatter, and elements through the linear loads.
struct Move<F> {
    rng: StdRng,
    field: std::marker::PhantomData<F>,
}

impl<F: LaneField> Kernel for Move<F> {
    type Field = F;
    type Output = ();

    fn run<L: Lanes<Field = F>>(mut self, lanes: L) {
        let count = 8 * u32::try_from(L::WIDTH).unwrap() + 3;
        let points: Vec<[F; 4]> = (0..count)
            .map(|_| std::array::from_fn(|_| F::rand(&mut self.rng)))
            .collect();
        let packed: Vec<[Packed; 4]> = points
            .iter()
            .map(|point| point.map(|value| lanes.pack(&value)))
            .collect();
        for _ in 0..50 {
            let slots: Vec<u32> = (0..L::WIDTH)
                .map(|_| self.rng.gen_range(0..count))
                .collect();
            let vectors = lanes.gather(&packed, &slots);
            let mut out = vec![[[0; 4]; 4]; L::WIDTH];
            lanes.store(vectors, &mut out);
            for (row, &slot) in out.iter().zip(&slots) {
                assert_eq!(*row, packed[slot as usize]);
            }
            let mut order: Vec<u32> = (0..count).collect();
            order.shuffle(&mut self.rng);
            // the last two lanes share a slot where there are as many
            let mut targets = order[..L::WIDTH].to_vec();
            if let [.., last, shared] = &mut targets[..] {
                *last = *shared;
            }
            let mut expected = packed.clone();
            for (&target, &slot) in targets.iter().zip(&slots) {
                expected[target as usize] = packed[slot as usize];
            }
            let mut scattered = packed.clone();
            lanes.scatter(vectors, &mut scattered, &targets);
            assert_eq!(scattered, expected);
        }
        let mut values: Vec<F> = points.iter().map(|point| point[0]).collect();
        let before = values.clone();
        let factor = F::rand(&mut self.rng);
        let packed_factor = lanes.splat(&lanes.pack(&factor));
        for (start, step) in [(0, 1), (1, 1), (3, 5), (2, 8)] {
            let x = lanes.load_linear(&values, start, step);
            let y = lanes.mul(lanes.add(x, x), packed_factor);
            lanes.park_linear(y, &mut values, start, step);
            let y = lanes.sub(lanes.load_linear(&values, start, step), x);
            lanes.store_linear(y, &mut values, start, step);
            for (index, value) in values.iter().enumerate() {
                let lane = index
                    .checked_sub(start)
                    .filter(|offset| offset % step == 0)
                    .map(|offset| offset / step);
                let expected = if lane.is_some_and(|lane| lane < L::WIDTH) {
                    before[index].double() * factor - before[index]
                } else {
                    before[index]
                };
                assert_eq!(*value, expected, "{start} {step} {index}");
            }
            values.clone_from(&before);
        }
    }
}

#[test]
fn points_and_elements_come_back_from_the_slots_they_went_to() {
    for engine in [Engine::<Fq>::portable(), Engine::<Fq>::detect()] {
        engine.run(Move {
            rng: StdRng::seed_from_u64(7),
            field: std::marker::PhantomData,
        });
    }
    for engine in [Engine::<Fr>::portable(), Engine::<Fr>::detect()] {
        engine.run(Move {
            rng: StdRng::seed_from_u64(8),
            field: std::marker::PhantomData,
        });
    }
}

/// A gather from outside of its slice.
struct Outside;

impl Kernel for Outside {
    type Field = Fq;
    type Output = ();

    fn run<L: Lanes<Field = Fq>>(self, lanes: L) {
        let points = vec![[[0; 4]; 2]; 5];
        let mut slots = vec![0; L::WIDTH];
        slots[L::WIDTH - 1] = 5;
        lanes.gather(&points, &slots);
    }
}

#[test]
#[should_panic(expected = "out of bounds")]
fn a_slot_outside_of_its_slice_is_a_panic() {
    Engine::<Fq>::detect().run(Outside);
}

#[test]
fn a_packed_one_is_not_the_other_engines() {
    let (portable, best) = (Engine::<Fr>::portable(), Engine::<Fr>::detect());
    assert_eq!(
        portable.pack(&Fr::one()) == best.pack(&Fr::one()),
        portable.name() == best.name()
    );
    assert!(best.width().is_power_of_two() && best.width() <= 64);
}
