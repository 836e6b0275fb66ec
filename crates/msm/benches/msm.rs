//! Multi-scalar multiplication against ark-ec's `msm_bigint`, on the same points and scalars in one
//! run: `cargo bench -p proofmark-msm`. Throughput is in bases a second.
//!
//! `tables` keeps the multiples that the cost model chooses without a limit, `bases` keeps none;
//! `ifma` is absent where the processor has no such instructions.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark whose input cannot be made has nothing to measure"
)]

use std::hint::black_box;

use ark_bn254::{Fq, Fr, g1, g2};
use ark_ec::short_weierstrass::{Affine, Projective};
use ark_ec::{CurveGroup, VariableBaseMSM};
use ark_ff::{BigInt, PrimeField, UniformRand};
use ark_std::rand::rngs::StdRng;
use ark_std::rand::{Rng, SeedableRng};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use proofmark_lanes::Engine;
use proofmark_msm::{Curve, FixedBases, Load, Shape, TableBudget};

/// Different points.
fn points<C: Curve>(count: usize, random: &mut StdRng) -> Vec<Affine<C>> {
    let step = Projective::<C>::rand(random);
    let mut point = Projective::<C>::rand(random);
    let mut points = Vec::with_capacity(count);
    for _ in 0..count {
        points.push(point);
        point += step;
    }
    Projective::normalize_batch(&points)
}

fn compare<C: Curve>(
    criterion: &mut Criterion,
    log: u32,
    kind: &str,
    scalar: impl Fn(&mut StdRng) -> Fr,
) {
    let mut random = StdRng::seed_from_u64(u64::from(log));
    let count = 1_usize << log;
    let points = points::<C>(count, &mut random);
    let scalars: Vec<BigInt<4>> = (0..count)
        .map(|_| scalar(&mut random).into_bigint())
        .collect();
    let mut group = criterion.benchmark_group(format!("{} 2^{log} {kind}", C::NAME));
    group.throughput(Throughput::Elements(count as u64));
    group.sample_size(10);
    group.bench_function("ark-ec", |bencher| {
        bencher.iter(|| Projective::<C>::msm_bigint(black_box(&points), black_box(&scalars)));
    });
    let mut engines = vec![Engine::<Fq>::portable()];
    if Engine::<Fq>::detect().name() != engines[0].name() {
        engines.push(Engine::detect());
    }
    let load = Load {
        bases: count,
        dense: count,
    };
    for engine in engines {
        for (name, budget) in [
            ("tables", TableBudget::UNLIMITED),
            ("bases", TableBudget::NONE),
        ] {
            let shape = Shape::choose::<C>(load, budget);
            let bases = FixedBases::with_engine(&points, shape, engine).unwrap();
            let label = format!("c={} s={}", shape.window(), shape.stride());
            let id = BenchmarkId::new(format!("{} {name}", engine.name()), label);
            group.bench_function(id, |bencher| {
                bencher.iter(|| bases.msm(black_box(&scalars)).unwrap());
            });
        }
    }
    group.finish();
}

fn build(criterion: &mut Criterion) {
    let points = points::<g1::Config>(1 << 13, &mut StdRng::seed_from_u64(1));
    let shape = Shape::new(13, 1).unwrap();
    let mut group = criterion.benchmark_group("g1 2^13 tables");
    group.throughput(Throughput::Elements(points.len() as u64));
    group.sample_size(10);
    for engine in [Engine::portable(), Engine::detect()] {
        group.bench_function(engine.name(), |bencher| {
            bencher.iter(|| FixedBases::with_engine(black_box(&points), shape, engine).unwrap());
        });
    }
    group.finish();
}

fn all(criterion: &mut Criterion) {
    for log in [13, 15, 17] {
        compare::<g1::Config>(criterion, log, "dense", Fr::rand);
    }
    compare::<g1::Config>(criterion, 17, "bits", |random| {
        Fr::from(random.gen_range(0..2_u64))
    });
    compare::<g1::Config>(criterion, 17, "signed bytes", |random| {
        Fr::from(random.gen_range(-128..128_i64))
    });
    compare::<g2::Config>(criterion, 13, "dense", Fr::rand);
    build(criterion);
}

criterion_group!(benches, all);
criterion_main!(benches);
