//! Circuit and witness in iden3's formats, for snarkjs.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context as _, Result};
use ark_bn254::Fr;
use ark_ff::{BigInteger as _, PrimeField};
use serde::{Deserialize, Serialize};

use super::{assignment, inputs, plain_circuit};

/// The constraints.
pub(crate) const CIRCUIT: &str = "circuit.r1cs";
/// The assignment of the first sample.
pub(crate) const WITNESS: &str = "witness.wtns";

/// What an export tells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExportReport {
    /// Power of two of the domain that snarkjs takes.
    pub(crate) power: u32,
    /// Constraints.
    pub(crate) rows: u64,
    /// Public inputs.
    pub(crate) public_inputs: u64,
}

/// Writes both files.
pub(crate) fn run(draft: &Path, samples: &Path, out: &Path) -> Result<ExportReport> {
    fs::create_dir_all(out)?;
    let (package, plan, circuit) = plain_circuit(draft)?;
    let samples: Vec<Vec<f32>> = serde_json::from_slice(&fs::read(samples)?)?;
    let sample = samples.first().context("a sample")?;
    let assignment = assignment(&package, &plan, &inputs(package.manifest(), sample)?)?;
    let mut file = BufWriter::new(File::create(out.join(CIRCUIT))?);
    circuit.r1cs.write_iden3(&mut file)?;
    file.flush()?;
    let mut file = BufWriter::new(File::create(out.join(WITNESS))?);
    write_witness(&assignment, &mut file)?;
    file.flush()?;
    let rows = circuit.r1cs.num_constraints();
    Ok(ExportReport {
        // One row more for each public input and the constant.
        power: usize::BITS - (rows + circuit.r1cs.num_public).leading_zeros(),
        rows: rows as u64,
        public_inputs: circuit.r1cs.num_public as u64,
    })
}

/// The `.wtns` format, version 2: a header section and the values, 32 bytes little-endian each.
fn write_witness(assignment: &[Fr], out: &mut impl Write) -> Result<()> {
    out.write_all(b"wtns")?;
    out.write_all(&2_u32.to_le_bytes())?;
    out.write_all(&2_u32.to_le_bytes())?;
    out.write_all(&1_u32.to_le_bytes())?;
    out.write_all(&40_u64.to_le_bytes())?;
    out.write_all(&32_u32.to_le_bytes())?;
    out.write_all(&Fr::MODULUS.to_bytes_le())?;
    out.write_all(&u32::try_from(assignment.len())?.to_le_bytes())?;
    out.write_all(&2_u32.to_le_bytes())?;
    out.write_all(&(32 * assignment.len() as u64).to_le_bytes())?;
    for value in assignment {
        out.write_all(&value.into_bigint().to_bytes_le())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::Field as _;

    #[test]
    fn a_witness_file_is_header_and_values() {
        let mut bytes = Vec::new();
        write_witness(&[Fr::ONE, -Fr::ONE], &mut bytes).unwrap();
        assert_eq!(bytes.len(), 12 + 12 + 40 + 12 + 64);
        assert_eq!(&bytes[..12], b"wtns\x02\0\0\0\x02\0\0\0");
        assert_eq!(bytes[60..64], 2_u32.to_le_bytes());
        assert_eq!(bytes[76..78], [1, 0]);
        // r - 1, whose lowest byte is that of r less one.
        assert_eq!(bytes[108], bytes[28] - 1);
    }
}
