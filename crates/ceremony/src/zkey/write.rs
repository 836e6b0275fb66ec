//! Writing `.zkey` files, byte for byte as snarkjs does.

use std::io::{self, Write};
use std::path::Path;

use proofmark_gadgets::{Backend, Circuit};
use proofmark_prover::ceremony::ContributionRecord;
use proofmark_prover::{NoProgress, ProvingKey};
use proofmark_types::Digest;

use super::{
    BEACON_ITERATIONS, BEACON_VALUE, COEFFICIENT_BYTES, GROTH16, HEADER_BYTES, MAGIC,
    MODULUS_BYTES, NAME, coefficients, moduli, section,
};
use crate::error::CeremonyError;
use crate::output;
use crate::phase2::chain::Share;
use crate::phase2::{Chain, InitialKey};
use crate::snarkjs::Point;

/// Points encoded at a time.
const BLOCK: usize = 1 << 12;

/// Writes a key and its contributions, none for the initial key itself. `snarkjs zkey verify` accepts
/// the file if [`verify_key`](crate::phase2::verify_key) accepts the key. Returns the file's digest.
///
/// # Errors
/// [`CeremonyError::ZkeyUnsupported`] for circuits with a commitment, and where phase 1 is no larger
/// than a circuit above 2^14 rows (snarkjs's hash then depends on what follows the powers in their
/// file); [`CeremonyError::ContributionInvalid`]; [`CeremonyError::Io`].
pub fn write(
    path: &Path,
    circuit: &Circuit,
    initial: &InitialKey,
    key: &ProvingKey,
    contributions: &[ContributionRecord],
) -> Result<Digest, CeremonyError> {
    let unsupported = |reason| Err(CeremonyError::ZkeyUnsupported { reason });
    if circuit.backend != Backend::Plain {
        return unsupported("snarkjs knows no proofs with a commitment; use Proofmark's own files");
    }
    if !initial.snarkjs_hash {
        return unsupported(
            "phase 1 must be larger than the circuit's domain for that; take a file of one more power",
        );
    }
    key.check_shape(&initial.shape)?;
    let chain = Chain::verify(&initial.hash, false, contributions, &NoProgress)?;
    let contributions = encode_contributions(&initial.hash, &chain, contributions)?;
    output::create(path, |out| {
        write_sections(out, circuit, initial, key, &contributions)
            .map_err(|e| CeremonyError::io("cannot write", path, &e))
    })
}

fn small(count: usize) -> io::Result<[u8; 4]> {
    let count = u32::try_from(count)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "more than 2^32 of something"))?;
    Ok(count.to_le_bytes())
}

fn begin(out: &mut impl Write, section: u32, bytes: u64) -> io::Result<()> {
    out.write_all(&section.to_le_bytes())?;
    out.write_all(&bytes.to_le_bytes())
}

fn write_points<P: Point>(out: &mut impl Write, points: &[P]) -> io::Result<()> {
    let mut block = Vec::with_capacity(P::BYTES * points.len().min(BLOCK));
    for points in points.chunks(BLOCK) {
        block.clear();
        for point in points {
            point.push_montgomery(&mut block);
        }
        out.write_all(&block)?;
    }
    Ok(())
}

fn write_query<P: Point>(out: &mut impl Write, section: u32, points: &[P]) -> io::Result<()> {
    begin(out, section, P::BYTES as u64 * points.len() as u64)?;
    write_points(out, points)
}

fn write_sections(
    out: &mut impl Write,
    circuit: &Circuit,
    initial: &InitialKey,
    key: &ProvingKey,
    contributions: &[u8],
) -> io::Result<()> {
    let (shape, groth16) = (&initial.shape, &key.groth16);
    let vk = &groth16.vk;
    out.write_all(MAGIC)?;
    for number in [1_u32, 10] {
        out.write_all(&number.to_le_bytes())?;
    }
    begin(out, section::PROTOCOL, 4)?;
    out.write_all(&GROTH16.to_le_bytes())?;

    begin(out, section::HEADER, HEADER_BYTES)?;
    for modulus in moduli() {
        out.write_all(&MODULUS_BYTES.to_le_bytes())?;
        out.write_all(&modulus)?;
    }
    for count in [shape.num_wires, shape.num_public, shape.size] {
        out.write_all(&small(count)?)?;
    }
    write_points(out, &[vk.alpha_g1, groth16.beta_g1])?;
    write_points(out, &[vk.beta_g2, vk.gamma_g2])?;
    write_points(out, &[groth16.delta_g1])?;
    write_points(out, &[vk.delta_g2])?;

    // In the order in which snarkjs writes them.
    write_coefficients(out, circuit)?;
    write_query(out, section::IC, &vk.gamma_abc_g1)?;
    write_query(out, section::H, &groth16.h_query)?;
    write_query(out, section::L, &groth16.l_query)?;
    write_query(out, section::A, &groth16.a_query)?;
    write_query(out, section::B_G1, &groth16.b_g1_query)?;
    write_query(out, section::B_G2, &groth16.b_g2_query)?;

    begin(out, section::CONTRIBUTIONS, contributions.len() as u64)?;
    out.write_all(contributions)
}

fn write_coefficients(out: &mut impl Write, circuit: &Circuit) -> io::Result<()> {
    let count = coefficients::count(circuit);
    begin(
        out,
        section::COEFFICIENTS,
        4 + COEFFICIENT_BYTES * count as u64,
    )?;
    out.write_all(&small(count)?)?;
    coefficients::each(circuit, |(matrix, row, wire, value)| {
        for number in [matrix, row, wire] {
            out.write_all(&number.to_le_bytes())?;
        }
        out.write_all(&value)
    })
}

fn encode_contributions(
    hash: &[u8; 64],
    chain: &Chain,
    contributions: &[ContributionRecord],
) -> Result<Vec<u8>, CeremonyError> {
    let too_many = CeremonyError::ZkeyUnsupported {
        reason: "it has more contributions than a file can count",
    };
    let mut bytes = hash.to_vec();
    let count = u32::try_from(contributions.len()).map_err(|_| too_many)?;
    bytes.extend(count.to_le_bytes());
    for (record, challenge) in contributions.iter().zip(&chain.challenges) {
        let Share { after, s, sx, spx } = Share::read(&record.delta)?;
        for point in [after, s, sx] {
            point.push_montgomery(&mut bytes);
        }
        spx.push_montgomery(&mut bytes);
        bytes.extend(challenge);
        bytes.extend(u32::from(record.beacon.is_some()).to_le_bytes());
        let mut parameters = Vec::new();
        // Names and values have at most 255 bytes: the chain was verified.
        let mut text = |kind: u8, text: &[u8]| {
            parameters.push(kind);
            parameters.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
            parameters.extend(text);
        };
        if !record.name.is_empty() {
            text(NAME, record.name.as_bytes());
        }
        if let Some(beacon) = &record.beacon {
            let iterations = u8::try_from(beacon.iterations_log2).unwrap_or(u8::MAX);
            parameters.extend([BEACON_ITERATIONS, iterations]);
            parameters.push(BEACON_VALUE);
            parameters.push(u8::try_from(beacon.value.0.len()).unwrap_or(u8::MAX));
            parameters.extend(&beacon.value.0);
        }
        // Some hundred bytes.
        let length = u32::try_from(parameters.len()).unwrap_or(u32::MAX);
        bytes.extend(length.to_le_bytes());
        bytes.extend(parameters);
    }
    Ok(bytes)
}
