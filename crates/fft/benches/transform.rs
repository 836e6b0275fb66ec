//! Even to odd points: our engines against ark-poly's inverse and coset transforms.

use ark_bn254::Fr;
use ark_ff::FftField;
use ark_poly::{EvaluationDomain, GeneralEvaluationDomain};
use ark_std::{UniformRand, test_rng};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use proofmark_fft::{Domain, DomainKind, Transform};
use proofmark_lanes::Engine;

fn even_to_odd(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("even_to_odd");
    group.sample_size(10);
    for size in [1 << 15, 9 << 12, 1 << 17, 3 << 16, 1 << 18] {
        let mut rng = test_rng();
        let values: Vec<Fr> = (0..size).map(|_| Fr::rand(&mut rng)).collect();
        let Some(domain) = Domain::smallest(size, DomainKind::Any) else {
            continue;
        };
        let mut engines = vec![Engine::portable()];
        if Engine::<Fr>::detect().name() != "portable" {
            engines.push(Engine::detect());
        }
        for engine in engines {
            let transform = Transform::with_engine(domain, engine);
            group.bench_function(BenchmarkId::new(engine.name(), size), |bencher| {
                bencher.iter_batched_ref(
                    || values.clone(),
                    |values| transform.even_to_odd(values),
                    BatchSize::LargeInput,
                );
            });
        }
        // ark-poly knows powers of two for `Radix2` and mixed sizes for `GeneralEvaluationDomain`
        let Some(even) = GeneralEvaluationDomain::<Fr>::new(size) else {
            continue;
        };
        let Some(odd) =
            Fr::get_root_of_unity(2 * size as u64).and_then(|root| even.get_coset(root))
        else {
            continue;
        };
        group.bench_function(BenchmarkId::new("ark-poly", size), |bencher| {
            bencher.iter_batched_ref(
                || values.clone(),
                |values| {
                    even.ifft_in_place(values);
                    odd.fft_in_place(values);
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, even_to_odd);
criterion_main!(benches);
