//! Reading iden3 `.r1cs` files (version 1): circuits of other compilers, as snarkjs takes them.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use ark_bn254::Fr;
use ark_ff::{BigInt, PrimeField};
use proofmark_gadgets::{Backend, Circuit, Lc, LowerError, Lowering, Wire};

use super::moduli;
use crate::error::CeremonyError;

const MAGIC: &[u8; 4] = b"r1cs";
/// Bytes of the header's section.
const HEADER_BYTES: u64 = 64;
/// Bytes of a term: wire and value.
const TERM_BYTES: u64 = 36;
/// Most sections of a file that is read.
const MAX_SECTIONS: u32 = 64;
/// Most wires of a circuit that is read.
const MAX_WIRES: u32 = 1 << 28;

fn malformed(part: &'static str, reason: impl Into<String>) -> CeremonyError {
    CeremonyError::R1csMalformed {
        part,
        reason: reason.into(),
    }
}

fn lowered(error: &LowerError) -> CeremonyError {
    malformed("constraints", error.to_string())
}

struct Source<'a> {
    file: BufReader<File>,
    path: &'a Path,
    /// Bytes of the section that are left.
    left: u64,
}

impl Source<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], CeremonyError> {
        let left = self.left.checked_sub(N as u64);
        self.left = left.ok_or_else(|| malformed("sections", "one ends too early"))?;
        let mut out = [0; N];
        self.file
            .read_exact(&mut out)
            .map_err(|e| CeremonyError::io("cannot read", self.path, &e))?;
        Ok(out)
    }

    fn number(&mut self) -> Result<u32, CeremonyError> {
        self.array().map(u32::from_le_bytes)
    }

    fn long(&mut self) -> Result<u64, CeremonyError> {
        self.array().map(u64::from_le_bytes)
    }

    fn skip(&mut self) -> Result<(), CeremonyError> {
        let left = std::mem::take(&mut self.left);
        let offset = i64::try_from(left).map_err(|_| malformed("sections", "one is too long"))?;
        self.file
            .seek_relative(offset)
            .map_err(|e| CeremonyError::io("cannot read", self.path, &e))
    }

    fn scalar(&mut self) -> Result<Fr, CeremonyError> {
        let mut limbs = [0; 4];
        for limb in &mut limbs {
            *limb = self.long()?;
        }
        let value = Fr::from_bigint(BigInt(limbs));
        value.ok_or_else(|| malformed("constraints", "a value is not below the field's order"))
    }
}

/// The header's counts.
#[derive(Clone, Copy)]
struct Counts {
    wires: u32,
    public: usize,
    constraints: u32,
}

/// Reads a circuit: outputs and public inputs are its public inputs, in the order of their wires. Terms
/// of a row are put in the order of their wires. The circuit has no public layout, so its digest is of no
/// package's circuit; its key and its `.zkey` are those of the constraints.
///
/// # Errors
/// [`CeremonyError::R1csMalformed`], [`CeremonyError::Io`].
pub fn read_r1cs(path: &Path) -> Result<Circuit, CeremonyError> {
    let refuse = |error: &std::io::Error| CeremonyError::io("cannot read", path, error);
    let file = File::open(path).map_err(|e| refuse(&e))?;
    let length = file.metadata().map_err(|e| refuse(&e))?.len();
    let mut source = Source {
        file: BufReader::with_capacity(1 << 20, file),
        path,
        left: 12,
    };
    if length < 12 || source.array::<4>()? != *MAGIC || source.number()? != 1 {
        return Err(malformed("magic", "this is no .r1cs file of version 1"));
    }
    let sections = source.number()?;
    if sections > MAX_SECTIONS {
        return Err(malformed("sections", "there are more than are read"));
    }
    let (mut place, mut counts, mut lowering) = (12_u64, None, None);
    for _ in 0..sections {
        if length - place < 12 {
            return Err(malformed("sections", "there are fewer than the file says"));
        }
        source.left = 12;
        let (number, bytes) = (source.number()?, source.long()?);
        let end = place.checked_add(12).and_then(|at| at.checked_add(bytes));
        place = end
            .filter(|end| *end <= length)
            .ok_or_else(|| malformed("sections", "one is longer than the file"))?;
        source.left = bytes;
        match (number, counts, lowering.is_some()) {
            (1, None, _) => counts = Some(read_header(&mut source, bytes, length)?),
            (2, Some(counts), false) => lowering = Some(read_constraints(&mut source, counts)?),
            (1 | 2, ..) => {
                return Err(malformed(
                    "sections",
                    "the header does not stand once and first",
                ));
            }
            _ => source.skip()?,
        }
        if source.left != 0 {
            return Err(malformed("sections", "one has more than its content"));
        }
    }
    if place != length {
        return Err(malformed("length", "the file goes on behind its sections"));
    }
    let circuit = lowering.and_then(|lowering| lowering.into_circuit(0, Vec::new()));
    circuit.ok_or_else(|| malformed("sections", "there are no constraints"))
}

/// Counts that a file of this length can have: each wire has a label of 8 bytes in it.
fn read_header(source: &mut Source<'_>, bytes: u64, length: u64) -> Result<Counts, CeremonyError> {
    let [_, order] = moduli();
    if bytes != HEADER_BYTES || source.number()? != 32 || source.array::<32>()? != *order {
        return Err(malformed("header", "the field is not BN254's scalar field"));
    }
    let wires = source.number()?;
    let (outputs, inputs) = (source.number()?, source.number()?);
    let (_private, _labels) = (source.number()?, source.long()?);
    let constraints = source.number()?;
    let public = outputs.checked_add(inputs).filter(|public| *public < wires);
    match public {
        Some(public) if wires <= MAX_WIRES && 8 * u64::from(wires) <= length => Ok(Counts {
            wires,
            public: public as usize,
            constraints,
        }),
        _ => Err(malformed(
            "header",
            "the counts in it are those of no circuit",
        )),
    }
}

fn read_constraints(
    source: &mut Source<'_>,
    counts: Counts,
) -> Result<Lowering<'static>, CeremonyError> {
    let mut lowering = Lowering::shape(Backend::Plain, counts.public).map_err(|e| lowered(&e))?;
    let mut wires = vec![Wire::ONE];
    for input in 0..counts.public {
        let signal = lowering.public(input).map_err(|e| lowered(&e))?;
        wires.extend(signal.lc.terms().first().map(|(wire, _)| *wire));
    }
    for _ in wires.len()..counts.wires as usize {
        let wire = lowering.hint("wire", || Fr::from(0_u64));
        wires.push(wire.map_err(|e| lowered(&e))?);
    }
    for _ in 0..counts.constraints {
        let mut side = || -> Result<Lc, CeremonyError> {
            let terms = source.number()?;
            if u64::from(terms) * TERM_BYTES > source.left {
                return Err(malformed("constraints", "a row is longer than the section"));
            }
            let mut sum = Lc::zero();
            for _ in 0..terms {
                let wire = wires.get(source.number()? as usize);
                let none = || malformed("constraints", "a row names a wire that is none");
                sum.push(*wire.ok_or_else(none)?, source.scalar()?);
            }
            Ok(sum)
        };
        let (a, b, c) = (side()?, side()?, side()?);
        lowering.enforce("row", a, b, c).map_err(|e| lowered(&e))?;
    }
    Ok(lowering)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proofmark_prover::testing::random_circuit;
    use std::fs;

    #[test]
    fn our_own_files_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("circuit.r1cs");
        let (circuit, _) = random_circuit(5, 4, 200);
        let mut bytes = Vec::new();
        circuit.r1cs.write_iden3(&mut bytes).unwrap();
        fs::write(&path, &bytes).unwrap();
        let read = read_r1cs(&path).unwrap();
        let mut again = Vec::new();
        read.r1cs.write_iden3(&mut again).unwrap();
        assert_eq!(again, bytes);
        assert_eq!(read.r1cs.num_public, 4);

        let cases: [(&str, &dyn Fn(&mut Vec<u8>)); 13] = [
            ("empty", &Vec::clear),
            ("magic", &|b| b[0] ^= 1),
            ("version", &|b| b[4] = 2),
            ("many sections", &|b| b[8..12].fill(0xff)),
            ("a section more", &|b| b[8] += 1),
            ("a section less", &|b| b[8] -= 1),
            ("field", &|b| b[28] ^= 1),
            ("wires", &|b| b[60..64].fill(0)),
            ("many wires", &|b| b[60..64].fill(0xff)),
            // Would take gigabytes, in a file of some kilobytes.
            ("more wires than the file has labels", &|b| b[63] = 0x0f),
            ("constraints", &|b| b[84] ^= 1),
            ("terms", &|b| b[100..104].fill(0xff)),
            ("short", &|b| b.truncate(b.len() - 1)),
        ];
        for (what, spoil) in cases {
            let mut spoiled = bytes.clone();
            spoil(&mut spoiled);
            fs::write(&path, spoiled).unwrap();
            let error = read_r1cs(&path).unwrap_err();
            assert_eq!(error.code(), "r1cs-malformed", "{what}");
        }
    }
}
