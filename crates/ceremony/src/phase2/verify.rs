//! Whether a key is the initial one with the contributions of a chain, and nothing else.

use ark_bn254::{G1Affine, G1Projective, G2Affine, g1};
use ark_ec::short_weierstrass::Affine;
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{BigInt, Zero};
use proofmark_msm::{Curve, FixedBases, TableBudget};
use proofmark_prover::ceremony::{CeremonyRecord, ContributionRecord, HexBytes};
use proofmark_prover::key::check_strength;
use proofmark_prover::{Progress, ProvingKey, random};
use proofmark_types::Digest;
use proofmark_types::digest::DigestStream;
use rayon::prelude::*;

use super::chain::{Chain, same_ratio};
use super::initial::InitialKey;
use crate::error::CeremonyError;

/// Verifies a key against what circuit and phase 1 give and what the contributors proved.
///
/// * Every contribution holds, and at least one of them is no beacon.
/// * δ and δc are what the last contribution left, the same in both groups.
/// * IC, A, B, α, β and γ are those of the initial key, point by point.
/// * L and H are those of the initial key over δ, D over δc: the same random combination of both
///   is compared by pairings. A wrong point passes with probability 2^-128.
/// * The key is none that [`check_strength`] refuses.
///
/// All points of the key are taken to be on their curves and in their groups, as every reader of a file
/// makes sure.
///
/// # Errors
/// [`CeremonyError::ContributionInvalid`], [`CeremonyError::ContributionMalformed`],
/// [`CeremonyError::NoContribution`], [`CeremonyError::KeyDiffers`], [`CeremonyError::QueryRatio`];
/// [`CeremonyError::Prover`] for another form or size of the key, for a degenerate one, and without
/// randomness.
pub fn verify_key(
    initial: &InitialKey,
    records: &[ContributionRecord],
    key: &ProvingKey,
    progress: &dyn Progress,
) -> Result<Chain, CeremonyError> {
    let chain = Chain::verify(&initial.hash, initial.is_committed(), records, progress)?;
    verify_against(initial, &chain, key, progress)?;
    Ok(chain)
}

/// [`verify_key`] for a key with its public record, which must be about the same phase 1 and initial
/// key.
///
/// # Errors
/// As [`verify_key`]; [`CeremonyError::CeremonyMismatch`].
pub fn verify_record(
    initial: &InitialKey,
    record: &CeremonyRecord,
    key: &ProvingKey,
    progress: &dyn Progress,
) -> Result<Chain, CeremonyError> {
    let hash = HexBytes(initial.hash.to_vec());
    for (part, expected, got) in [
        (
            "phase 1",
            initial.phase1.to_string(),
            record.phase1.to_string(),
        ),
        ("initial key", hash.to_hex(), record.initial_key.to_hex()),
    ] {
        if expected != got {
            return Err(CeremonyError::CeremonyMismatch {
                part,
                expected,
                got,
            });
        }
    }
    verify_key(initial, &record.contributions, key, progress)
}

/// [`verify_key`] for a chain that was verified.
///
/// # Errors
/// As [`verify_key`].
pub fn verify_against(
    initial: &InitialKey,
    chain: &Chain,
    key: &ProvingKey,
    progress: &dyn Progress,
) -> Result<(), CeremonyError> {
    if chain.secret == 0 {
        return Err(CeremonyError::NoContribution);
    }
    let before = &initial.key;
    if key.form != before.form {
        return Err(CeremonyError::CeremonyMismatch {
            part: "form of the key",
            expected: before.form.name().to_owned(),
            got: key.form.name().to_owned(),
        });
    }
    key.check_shape(&initial.shape)?;
    if chain.deltas.committed.is_some() != initial.is_committed() {
        let name = |committed| if committed { "with" } else { "without" }.to_owned();
        return Err(CeremonyError::CeremonyMismatch {
            part: "commitment of the contributions",
            expected: name(initial.is_committed()),
            got: name(chain.deltas.committed.is_some()),
        });
    }
    unchanged(before, key)?;

    let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
    let mut deltas = vec![(
        ["delta in G1", "delta in G2"],
        chain.deltas.delta,
        key.groth16.delta_g1,
        key.groth16.vk.delta_g2,
    )];
    if let (Some(expected), Some(committed)) = (chain.deltas.committed, &key.committed) {
        deltas.push((
            [
                "delta of the commitment in G1",
                "delta of the commitment in G2",
            ],
            expected,
            committed.delta_g1,
            committed.delta_g2,
        ));
    }
    for ([in_g1, in_g2], expected, got_g1, got_g2) in deltas {
        let differs = |part| CeremonyError::KeyDiffers { part, index: 0 };
        if got_g1 != expected {
            return Err(differs(in_g1));
        }
        if !same_ratio((g1, got_g1), (g2, got_g2)) {
            return Err(differs(in_g2));
        }
    }

    let delta_g2 = key.groth16.vk.delta_g2;
    let mut queries = vec![
        (
            "query L",
            &before.groth16.l_query,
            &key.groth16.l_query,
            delta_g2,
        ),
        (
            "query H",
            &before.groth16.h_query,
            &key.groth16.h_query,
            delta_g2,
        ),
    ];
    if let (Some(before), Some(committed)) = (&before.committed, &key.committed) {
        queries.push((
            "query D",
            &before.query,
            &committed.query,
            committed.delta_g2,
        ));
    }
    for (part, before, after, delta) in queries {
        progress.stage(part, 0, 1);
        if !divided(before, after, delta)? {
            return Err(CeremonyError::QueryRatio { part });
        }
        progress.stage(part, 1, 1);
    }
    Ok(check_strength(key)?)
}

/// What no contribution changes.
fn unchanged(before: &ProvingKey, key: &ProvingKey) -> Result<(), CeremonyError> {
    fn same<P: PartialEq>(part: &'static str, a: &[P], b: &[P]) -> Result<(), CeremonyError> {
        let index = a.iter().zip(b).position(|(a, b)| a != b);
        match index.or((a.len() != b.len()).then(|| a.len().min(b.len()))) {
            Some(index) => Err(CeremonyError::KeyDiffers { part, index }),
            None => Ok(()),
        }
    }
    let (a, b) = (&before.groth16, &key.groth16);
    same("alpha", &[a.vk.alpha_g1], &[b.vk.alpha_g1])?;
    same("beta in G1", &[a.beta_g1], &[b.beta_g1])?;
    same("beta in G2", &[a.vk.beta_g2], &[b.vk.beta_g2])?;
    same("gamma", &[a.vk.gamma_g2], &[b.vk.gamma_g2])?;
    same("IC", &a.vk.gamma_abc_g1, &b.vk.gamma_abc_g1)?;
    same("query A", &a.a_query, &b.a_query)?;
    same("query B in G1", &a.b_g1_query, &b.b_g1_query)?;
    same("query B in G2", &a.b_g2_query, &b.b_g2_query)
}

/// Whether `before = δ · after`, point by point, for the δ of `delta`.
fn divided(
    before: &[G1Affine],
    after: &[G1Affine],
    delta: G2Affine,
) -> Result<bool, CeremonyError> {
    if before.len() != after.len() {
        return Ok(false);
    }
    let weights = weights(before.len())?;
    let sum = |points: &[G1Affine]| -> Result<G1Projective, CeremonyError> {
        weighted_sum::<g1::Config>(points, &weights)
    };
    let (before, after) = (sum(before)?, sum(after)?);
    if before.is_zero() || after.is_zero() {
        return Ok(before.is_zero() && after.is_zero());
    }
    let (before, after) = (before.into_affine(), after.into_affine());
    Ok(same_ratio((after, before), (G2Affine::generator(), delta)))
}

fn weighted_sum<C: Curve>(
    points: &[Affine<C>],
    weights: &[BigInt<4>],
) -> Result<ark_ec::short_weierstrass::Projective<C>, CeremonyError> {
    let bases = FixedBases::new(points, points.len(), TableBudget::NONE)?;
    Ok(bases.msm(weights)?)
}

/// Random integers of 128 bits, drawn when all points are fixed.
fn weights(count: usize) -> Result<Vec<BigInt<4>>, CeremonyError> {
    let mut seed = [0_u8; 32];
    random::fill(&mut seed)?;
    let block = |index: usize| -> [BigInt<4>; 2] {
        let mut stream = DigestStream::new();
        stream.update(&seed);
        stream.update(&(index as u64).to_le_bytes());
        let digest: Digest = stream.finish();
        let [a, b, c, d] = words(digest.as_bytes());
        [BigInt([a, b, 0, 0]), BigInt([c, d, 0, 0])]
    };
    let mut weights: Vec<BigInt<4>> = (0..count.div_ceil(2))
        .into_par_iter()
        .flat_map_iter(block)
        .collect();
    weights.truncate(count);
    Ok(weights)
}

fn words(bytes: &[u8; 32]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase2::chain::{Factors, Texts};
    use crate::phase2::testing::{
        committed_circuit, initial, prove_committed, prove_plain, random_circuit, stray,
    };
    use ark_bn254::g2;
    use proofmark_prover::NoProgress;

    type Spoil<'a> = &'a dyn Fn(&mut ProvingKey);

    /// The key after contributions with these factors, and their records.
    fn contributed(
        initial: &InitialKey,
        factors: &[Factors],
    ) -> (ProvingKey, Vec<ContributionRecord>) {
        let mut chain = Chain::new(&initial.hash, initial.is_committed());
        let mut key = initial.key.clone();
        let mut records = Vec::new();
        for factors in factors {
            records.push(chain.contribute(factors, Texts::default(), None).unwrap());
            factors.apply(&mut key).unwrap();
        }
        (key, records)
    }

    fn honest(initial: &InitialKey) -> (ProvingKey, Vec<ContributionRecord>) {
        let factors = || Factors::from_system(initial.is_committed()).unwrap();
        contributed(initial, &[factors(), factors()])
    }

    fn refused(
        initial: &InitialKey,
        records: &[ContributionRecord],
        key: &ProvingKey,
    ) -> CeremonyError {
        verify_key(initial, records, key, &NoProgress).unwrap_err()
    }

    #[test]
    fn honest_keys_hold_and_prove() {
        let (plain, assignment) = random_circuit(1, 3, 50);
        let before = initial(&plain);
        let (key, records) = honest(&before);
        verify_key(&before, &records, &key, &NoProgress).unwrap();
        prove_plain(&plain, &assignment, key);

        let committed = committed_circuit(2, 10);
        let before = initial(&committed);
        let (key, records) = honest(&before);
        verify_key(&before, &records, &key, &NoProgress).unwrap();
        prove_committed(&committed, 2, &[0, 1, 2, 3, 4, 5, 6, 7, 7, 7], key);
    }

    #[test]
    fn terms_of_another_circuit_are_found() {
        let (circuit, _) = random_circuit(1, 3, 50);
        // The same dimensions, another coefficient somewhere.
        let (other, _) = random_circuit(2, 3, 50);
        let (before, cheat) = (initial(&circuit), initial(&other));
        let (key, records) = honest(&cheat);
        // Its contributions were made to another key.
        let error = refused(&before, &records, &key);
        assert_eq!(error.code(), "contribution-invalid");
        // A coordinator who has the contributors work on the right queries and then puts other ones in.
        let (mut key, records) = honest(&before);
        let l_query = contributed(&cheat, &[Factors::from_system(false).unwrap()]).0;
        key.groth16.l_query.clone_from(&l_query.groth16.l_query);
        assert_eq!(
            refused(&before, &records, &key).code(),
            "ceremony-query-mismatch"
        );
        key.groth16.a_query.clone_from(&cheat.key.groth16.a_query);
        assert_eq!(
            refused(&before, &records, &key).code(),
            "ceremony-key-mismatch"
        );
    }

    #[test]
    fn every_point_that_is_replaced_is_found() {
        let in_g1 = stray::<g1::Config>();
        let in_g2 = stray::<g2::Config>();
        let plain: [(&str, Spoil<'_>); 13] = [
            ("alpha", &|k| k.groth16.vk.alpha_g1 = in_g1),
            ("beta in G1", &|k| k.groth16.beta_g1 = in_g1),
            ("beta in G2", &|k| k.groth16.vk.beta_g2 = in_g2),
            ("gamma", &|k| k.groth16.vk.gamma_g2 = in_g2),
            ("IC", &|k| k.groth16.vk.gamma_abc_g1[1] = in_g1),
            ("query A", &|k| k.groth16.a_query[7] = in_g1),
            ("query B in G1", &|k| k.groth16.b_g1_query[3] = in_g1),
            ("query B in G2", &|k| k.groth16.b_g2_query[2] = in_g2),
            ("delta in G1", &|k| k.groth16.delta_g1 = in_g1),
            ("delta in G2", &|k| k.groth16.vk.delta_g2 = in_g2),
            ("query L", &|k| k.groth16.l_query[4] = in_g1),
            ("query L", &|k| k.groth16.l_query.swap(0, 1)),
            ("query H", &|k| k.groth16.h_query[9] = in_g1),
        ];
        let committed: [(&str, Spoil<'_>); 5] = [
            ("delta of the commitment in G1", &|k| {
                k.committed.as_mut().unwrap().delta_g1 = in_g1;
            }),
            ("delta of the commitment in G2", &|k| {
                k.committed.as_mut().unwrap().delta_g2 = in_g2;
            }),
            ("query D", &|k| {
                k.committed.as_mut().unwrap().query[3] = in_g1;
            }),
            ("query D", &|k| {
                k.committed.as_mut().unwrap().query.swap(0, 1);
            }),
            ("query L", &|k| {
                let d = k.committed.as_ref().unwrap().query[0];
                k.groth16.l_query[0] = d;
            }),
        ];
        let plain_circuit = random_circuit(1, 3, 50).0;
        let lookup_circuit = committed_circuit(2, 10);
        let every = [
            (&plain_circuit, &plain[..]),
            (&lookup_circuit, &plain[..]),
            (&lookup_circuit, &committed[..]),
        ];
        for (circuit, spoiled) in every {
            let before = initial(circuit);
            let (key, records) = honest(&before);
            for (part, spoil) in spoiled {
                let mut key = key.clone();
                spoil(&mut key);
                match refused(&before, &records, &key) {
                    CeremonyError::KeyDiffers { part: got, .. }
                    | CeremonyError::QueryRatio { part: got } => assert_eq!(got, *part),
                    other => panic!("{part}: {other}"),
                }
            }
        }
    }

    #[test]
    fn a_key_whose_secret_is_known_is_refused() {
        let before = initial(&random_circuit(1, 3, 50).0);
        // No phase 2 at all.
        assert_eq!(
            refused(&before, &[], &before.key),
            CeremonyError::NoContribution
        );
        // A beacon alone.
        let value = proofmark_prover::ceremony::BeaconRecord {
            value: HexBytes(vec![1]),
            iterations_log2: 10,
        };
        let factors = Factors::from_beacon(&value, false, &NoProgress).unwrap();
        let mut chain = Chain::new(&before.hash, false);
        let texts = Texts {
            beacon: Some(value),
            ..Texts::default()
        };
        let record = chain.contribute(&factors, texts, None).unwrap();
        let mut key = before.key.clone();
        factors.apply(&mut key).unwrap();
        assert_eq!(
            refused(&before, &[record], &key),
            CeremonyError::NoContribution
        );
        // The coordinator puts a delta of its own behind the contributions of others.
        let (mut key, records) = honest(&before);
        Factors::from_system(false)
            .unwrap()
            .apply(&mut key)
            .unwrap();
        assert_eq!(
            refused(&before, &records, &key).code(),
            "ceremony-key-mismatch"
        );
        // Contributions of others to another key.
        let foreign = honest(&initial(&random_circuit(2, 3, 50).0)).1;
        assert_eq!(
            refused(&before, &foreign, &key).code(),
            "contribution-invalid"
        );
    }

    #[test]
    fn other_shapes_are_refused() {
        let before = initial(&random_circuit(1, 3, 50).0);
        let (key, records) = honest(&before);
        let mut short = key.clone();
        short.groth16.l_query.pop();
        assert_eq!(
            refused(&before, &records, &short).code(),
            "key-circuit-mismatch"
        );
        let mut folded = key;
        folded.form = proofmark_prover::QuotientForm::Folded;
        assert_eq!(
            refused(&before, &records, &folded).code(),
            "ceremony-mismatch"
        );
    }
}
