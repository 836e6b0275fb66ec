//! A prepared powers-of-tau file as snarkjs reads it. Making one with snarkjs takes longer than
//! anything that is measured; here the secret is drawn, used as a number, and forgotten. **Whoever
//! ran this could have kept it: such a file is for measuring only.**

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use ark_bn254::{Fq, Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::{AffineRepr, CurveGroup as _, PrimeGroup as _, scalar_mul::BatchMulPreprocessing};
use ark_ff::{AdditiveGroup as _, BigInteger as _, Field as _, PrimeField, UniformRand as _};
use ark_poly::{EvaluationDomain as _, Radix2EvaluationDomain};
use ark_std::rand::SeedableRng as _;
use ark_std::rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

/// What was made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PtauReport {
    /// Seconds.
    pub(crate) seconds: f64,
}

/// Writes the file.
pub(crate) fn run(power: u32, out: &Path) -> Result<PtauReport> {
    let start = Instant::now();
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).context("the system's randomness")?;
    let mut random = StdRng::from_seed(seed);
    let [tau, alpha, beta] = [(); 3].map(|()| Fr::rand(&mut random));
    let mut file = BufWriter::new(File::create(out)?);
    write(power, [tau, alpha, beta], &mut file)?;
    file.flush()?;
    Ok(PtauReport {
        seconds: start.elapsed().as_secs_f64(),
    })
}

fn write(power: u32, [tau, alpha, beta]: [Fr; 3], out: &mut impl Write) -> Result<()> {
    let size = 1_usize << power;
    let g1 = BatchMulPreprocessing::new(G1Projective::generator(), 4 * size);
    let g2 = BatchMulPreprocessing::new(G2Projective::generator(), size);
    let scaled = |scalars: &[Fr], by: Fr| scalars.iter().map(|s| *s * by).collect::<Vec<_>>();
    let powers: Vec<Fr> = std::iter::successors(Some(Fr::ONE), |last| Some(*last * tau))
        .take(2 * size - 1)
        .collect();
    // Lagrange polynomials at tau for every domain from 1 to 2^(power + 1), one behind the other.
    let mut lagrange = Vec::with_capacity(4 * size);
    for k in 0..=power + 1 {
        let domain = Radix2EvaluationDomain::<Fr>::new(1 << k).context("a domain")?;
        lagrange.extend(domain.evaluate_all_lagrange_coefficients(tau));
    }
    let small = lagrange.get(..2 * size - 1).unwrap_or_default();
    let low = powers.get(..size).unwrap_or_default();

    out.write_all(b"ptau")?;
    out.write_all(&1_u32.to_le_bytes())?;
    out.write_all(&11_u32.to_le_bytes())?;
    section(out, 1, 44)?;
    out.write_all(&32_u32.to_le_bytes())?;
    out.write_all(&Fq::MODULUS.to_bytes_le())?;
    out.write_all(&power.to_le_bytes())?;
    out.write_all(&power.to_le_bytes())?;
    g1_section(out, 2, &g1.batch_mul(&powers))?;
    g2_section(out, 3, &g2.batch_mul(low))?;
    g1_section(out, 4, &g1.batch_mul(&scaled(low, alpha)))?;
    g1_section(out, 5, &g1.batch_mul(&scaled(low, beta)))?;
    g2_section(out, 6, &[(G2Affine::generator() * beta).into_affine()])?;
    // No contribution is recorded: there is no ceremony.
    section(out, 7, 4)?;
    out.write_all(&0_u32.to_le_bytes())?;
    g1_section(out, 12, &g1.batch_mul(&lagrange))?;
    g2_section(out, 13, &g2.batch_mul(small))?;
    g1_section(out, 14, &g1.batch_mul(&scaled(small, alpha)))?;
    g1_section(out, 15, &g1.batch_mul(&scaled(small, beta)))
}

fn section(out: &mut impl Write, number: u32, bytes: u64) -> Result<()> {
    out.write_all(&number.to_le_bytes())?;
    Ok(out.write_all(&bytes.to_le_bytes())?)
}

/// Points in snarkjs's "LEM" form: affine coordinates, Montgomery form, little-endian.
fn g1_section(out: &mut impl Write, number: u32, points: &[G1Affine]) -> Result<()> {
    section(out, number, 64 * points.len() as u64)?;
    for point in points {
        let (x, y) = point.xy().unwrap_or((Fq::ZERO, Fq::ZERO));
        coordinates(out, [x, y])?;
    }
    Ok(())
}

fn g2_section(out: &mut impl Write, number: u32, points: &[G2Affine]) -> Result<()> {
    section(out, number, 128 * points.len() as u64)?;
    for point in points {
        let (x, y) = point.xy().unwrap_or_default();
        coordinates(out, [x.c0, x.c1, y.c0, y.c1])?;
    }
    Ok(())
}

fn coordinates<const N: usize>(out: &mut impl Write, values: [Fq; N]) -> Result<()> {
    for value in values {
        out.write_all(&value.0.to_bytes_le())?;
    }
    Ok(())
}
